"""scripts/services.sh with the real servers, in copies of the checkout whose paths have a space."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pymysql
import pytest

from tests.databases import Server, exported_variables, s3_client

PROJECT = Path(__file__).parents[1]
SERVERS = ("postgresql", "mariadb")
BEHIND_REDSHIFT = ("postgresql", "s3", "redshift")

pytestmark = [
    pytest.mark.default_spark,
    pytest.mark.skipif(sys.platform != "linux", reason="the script is for Linux"),
    pytest.mark.skipif(
        os.geteuid() != 0 and not (Path("/usr/sbin/mariadbd").exists() and Path("/usr/lib/postgresql").exists()),
        reason="the servers are not on this machine, and only root can install them",
    ),
]


@dataclass(frozen=True)
class Checkout:
    """A copy of the scripts, who calls them, and every argument list seen on the machine meanwhile."""

    folder: Path
    user: str | None = None
    argument_lists: set[str] = field(default_factory=set)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        with subprocess.Popen(
            [self.folder / "scripts/services.sh", *arguments],
            user=self.user,
            group=self.user and pwd.getpwnam(self.user).pw_gid,
            extra_groups=[] if self.user else None,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(self.folder), "PGPORT": "1", **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            while True:
                try:
                    stdout, stderr = running.communicate(timeout=0.05)
                except subprocess.TimeoutExpired:
                    self.argument_lists.update(argument_lists())
                else:
                    return subprocess.CompletedProcess(arguments, running.returncode, stdout, stderr)

    def up(self, *servers: str) -> str:
        """The databases, where no servers are named."""
        run = self.run("up", *(servers or SERVERS), SERVICES_PYTHON=sys.executable)
        assert (run.stderr, run.returncode) == ("", 0)
        return run.stdout

    def environment(self) -> Mapping[str, str]:
        """What sourcing .services/env exports."""
        return exported_variables(self.folder / ".services/env")

    def process(self, server: str) -> psutil.Process:
        return psutil.Process(int((self.folder / f".services/{server}.pid").read_text().split()[0]))

    def kill(self, server: str) -> None:
        """Returns when it has ended: one that is about to still runs."""
        process = self.process(server)
        process.kill()
        process.wait(60)

    def mariadb(self, **changed: str) -> pymysql.Connection[pymysql.cursors.Cursor]:
        given = self.environment()
        return pymysql.connect(
            host=given["ETL_SPARK_MARIADB_HOST"],
            port=int(given["ETL_SPARK_MARIADB_PORT"]),
            user=changed.get("user", given["ETL_SPARK_MARIADB_USER"]),
            password=changed.get("password", given["ETL_SPARK_MARIADB_PASSWORD"]),
        )

    def psql(
        self, sql: str, database: str = "etl", server: str = "postgresql", **changed: str
    ) -> subprocess.CompletedProcess[str]:
        given, name = self.environment(), f"ETL_SPARK_{server.upper()}"
        variables = {f"PG{part}": given[f"{name}_{part}"] for part in ("HOST", "PORT", "USER", "PASSWORD")}
        return subprocess.run(
            ["psql", "-XAtqc", sql, database],
            env={"PATH": os.environ["PATH"], **variables, **changed},
            capture_output=True,
            text=True,
            check=False,
        )

    def s3(self) -> Any:
        """A client of the S3."""
        return s3_client(Server.of("s3", self.environment()))


def argument_lists() -> set[str]:
    return {" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])}


def copy_to(folder: Path) -> Path:
    shutil.copytree(PROJECT / "scripts", folder / "scripts")
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    checkout = Checkout(copy_to(tmp_path_factory.mktemp("services") / "check out"))
    yield checkout
    assert checkout.run("down", "--purge").returncode == 0
    assert not (checkout.folder / ".services").exists()


@pytest.fixture
def running(shared: Checkout) -> Checkout:
    """With both databases up, whatever an earlier test did to them."""
    shared.up()
    return shared


@pytest.fixture(scope="module")
def shared_redshift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    checkout = Checkout(copy_to(tmp_path_factory.mktemp("redshift") / "check out"))
    yield checkout
    assert checkout.run("down", "--purge").returncode == 0
    assert not (checkout.folder / ".services").exists()


@pytest.fixture
def with_redshift(shared_redshift: Checkout) -> Checkout:
    """With the stand-in for Redshift up, and what it needs; MariaDB was never asked for."""
    shared_redshift.up("redshift")
    return shared_redshift


@pytest.fixture
def neighbour() -> Iterator[Checkout]:
    """Another checkout at the same time: an ordinary user's, also where root runs the tests."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        folder = copy_to(Path(place) / "check out")
        user = None
        if os.geteuid() == 0:
            user = "nobody"
            Path(place).chmod(0o755)
            for path in (folder, *folder.rglob("*")):
                shutil.chown(path, user)
        checkout = Checkout(folder, user)
        yield checkout
        checkout.run("down")


def test_up_gives_two_servers_and_their_credentials(running: Checkout) -> None:
    names = {f"ETL_SPARK_{s}_{n}" for s in ("POSTGRESQL", "MARIADB") for n in ("HOST", "PORT", "USER", "PASSWORD")}
    assert set(running.environment()) == names | {"ETL_SPARK_MARIADB_CERTIFICATE"}
    assert stat.S_IMODE((running.folder / ".services/env").stat().st_mode) == 0o600
    for server in SERVERS:
        assert running.process(server).uids().real != 0


def test_status_of_running_servers(running: Checkout) -> None:
    run = running.run("status")

    given = running.environment()
    assert run.stdout.splitlines() == [
        f"{server}: running, host 127.0.0.1, port {given[f'ETL_SPARK_{server.upper()}_PORT']}, "
        f"log {running.folder}/.services/{server}.log"
        for server in SERVERS
    ] + ["s3: never started", "redshift: never started"]
    assert (run.stderr, run.returncode) == ("", 0)


def test_mariadb(running: Checkout) -> None:
    with running.mariadb() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1, @@character_set_server, @@time_zone, @@local_infile, @@sql_mode")
        (one, characters, zone, infile, mode) = cursor.fetchone() or ()
        cursor.execute("CREATE OR REPLACE DATABASE another")
        cursor.execute("CREATE TABLE another.t AS SELECT 1 AS i")
        cursor.execute("DROP DATABASE another")
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            cursor.execute("SELECT 1 INTO OUTFILE '/tmp/no_rights_over_files'")

    assert (one, characters, zone, infile) == (1, "utf8mb4", "+00:00", 1)
    assert "STRICT_ALL_TABLES" in mode


def test_postgresql(running: Checkout) -> None:
    shown = [running.psql(f"SHOW {name}").stdout.strip() for name in ("server_encoding", "timezone", "lc_collate")]

    assert running.psql("SELECT 1").stdout == "1\n"
    assert shown == ["UTF8", "UTC", "C.UTF-8"]
    assert running.psql("CREATE DATABASE another").returncode == 0
    assert running.psql("SELECT current_user", "another").stdout == "etl\n"
    assert running.psql("DROP DATABASE another").returncode == 0
    assert running.psql("SELECT rolsuper FROM pg_roles WHERE rolname = 'etl'").stdout == "f\n"


def test_nobody_else_comes_in(running: Checkout) -> None:
    for changed in ({"password": "wrong"}, {"password": ""}, {"user": "root", "password": ""}, {"user": "nobody"}):
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            running.mariadb(**changed)
    for variables in ({"PGPASSWORD": "wrong"}, {"PGPASSWORD": ""}, {"PGUSER": "postgres"}):
        refused = running.psql("SELECT 1", **variables)
        assert (refused.stdout, refused.returncode) == ("", 2)
        assert "FATAL" in refused.stderr or "no password supplied" in refused.stderr


@pytest.mark.parametrize("server", [*SERVERS, "s3", "redshift"])
def test_only_the_loopback_is_listened_on(running: Checkout, with_redshift: Checkout, server: str) -> None:
    checkout = running if server in SERVERS else with_redshift
    process = checkout.process(server)
    family = {process.pid, *(child.pid for child in process.children(recursive=True))}
    open_to = {
        tuple(c.laddr) for c in psutil.net_connections("inet") if c.pid in family and c.status == psutil.CONN_LISTEN
    }
    assert open_to == {("127.0.0.1", int(checkout.environment()[f"ETL_SPARK_{server.upper()}_PORT"]))}
    assert not [c for c in psutil.net_connections("unix") if c.pid in family and c.laddr]


def test_a_second_up_changes_nothing(running: Checkout) -> None:
    before = (running.environment(), [running.process(server).pid for server in SERVERS])

    assert running.up().splitlines()[:2] == [f"{server} is running already" for server in SERVERS]
    assert (running.environment(), [running.process(server).pid for server in SERVERS]) == before


@pytest.mark.parametrize("server", SERVERS)
def test_a_killed_server_is_started_again_on_its_data(running: Checkout, server: str) -> None:
    before = running.environment()
    (other,) = set(SERVERS) - {server}
    untouched = running.process(other)
    table = "DROP TABLE IF EXISTS etl.kept; CREATE TABLE etl.kept AS SELECT 'ż' AS c"
    running.psql(table.replace("etl.", ""))
    with running.mariadb() as connection, connection.cursor() as cursor:
        for statement in table.split(";"):
            cursor.execute(statement)
        connection.commit()
    running.kill(server)

    after_kill, said = running.run("status"), running.up()

    assert after_kill.returncode == 3
    assert f"{server}: stopped, host" in after_kill.stdout
    assert f"{other}: running, host" in after_kill.stdout
    assert f"{server} is started\n" in said
    assert f"{other} is running already\n" in said
    after = running.environment()
    changed = {name for name in after if after[name] != before[name]}
    assert (changed, running.process(other)) == ({f"ETL_SPARK_{server.upper()}_PASSWORD"}, untouched)
    assert running.psql("SELECT c FROM kept").stdout == "ż\n"
    with running.mariadb() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT c FROM etl.kept")
        assert cursor.fetchall() == (("ż",),)


def test_up_of_the_stand_in_for_redshift_brings_what_it_needs(with_redshift: Checkout) -> None:
    parts = ("HOST", "PORT", "USER", "PASSWORD")
    given = with_redshift.environment()
    status = with_redshift.run("status")

    assert set(given) == {f"ETL_SPARK_{s.upper()}_{n}" for s in BEHIND_REDSHIFT for n in parts}
    assert given["ETL_SPARK_REDSHIFT_PASSWORD"] == given["ETL_SPARK_POSTGRESQL_PASSWORD"]
    assert "mariadb: never started\n" in status.stdout
    assert status.returncode == 0
    known = {"PATH", "LC_ALL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "_"}
    for server in ("s3", "redshift"):
        process = with_redshift.process(server)
        assert process.uids().real == os.geteuid()
        assert set(process.environ()) <= known


def test_s3(with_redshift: Checkout) -> None:
    client = with_redshift.s3()
    client.put_object(Bucket="etl-spark", Key="a/b", Body=b"c")
    assert client.get_object(Bucket="etl-spark", Key="a/b")["Body"].read() == b"c"
    assert [one["Name"] for one in client.list_buckets()["Buckets"]] == ["etl-spark"]


def test_redshift(with_redshift: Checkout) -> None:
    with_redshift.s3().put_object(Bucket="etl-spark", Key="one.csv", Body=b"1,\xc5\xbc\n")
    with_redshift.psql("DROP TABLE IF EXISTS r", server="redshift")
    copy = "COPY r FROM 's3://etl-spark/one.csv' IAM_ROLE default FORMAT AS CSV"
    for sql in ("CREATE TABLE r (a int, b text)", copy):
        run = with_redshift.psql(sql, server="redshift")
        assert (run.stderr, run.returncode) == ("", 0)

    assert with_redshift.psql("SELECT a, b FROM r").stdout == "1|ż\n"
    assert "CREATE INDEX" in with_redshift.psql("CREATE INDEX i ON r (a)", server="redshift").stderr
    assert with_redshift.psql("SELECT 1", server="redshift", PGPASSWORD="wrong").returncode == 2


def test_a_killed_stand_in_is_started_again(with_redshift: Checkout) -> None:
    before, untouched = with_redshift.environment(), with_redshift.process("postgresql")
    with_redshift.kill("redshift")

    after_kill, said = with_redshift.run("status"), with_redshift.up("redshift")

    assert after_kill.returncode == 3
    assert "redshift: stopped, host" in after_kill.stdout
    assert said.splitlines()[:3] == [
        "postgresql is running already",
        "s3 is running already",
        "redshift is started",
    ]
    assert (with_redshift.environment(), with_redshift.process("postgresql")) == (before, untouched)
    assert with_redshift.psql("SELECT 1", server="redshift").stdout == "1\n"


@pytest.mark.parametrize("server", ["postgresql", "s3"])
def test_the_stand_in_starts_anew_with_what_it_needs(with_redshift: Checkout, server: str) -> None:
    with_redshift.kill(server)

    said = with_redshift.up(server)

    assert f"{server} is started\n" in said
    assert "redshift is started\n" in said
    assert with_redshift.run("status").returncode == 0
    assert with_redshift.psql("SELECT 1", server="redshift").stdout == "1\n"
    assert with_redshift.s3().head_bucket(Bucket="etl-spark")


def test_down_ends_the_stand_in_and_what_it_needs(with_redshift: Checkout) -> None:
    processes = [with_redshift.process(server) for server in BEHIND_REDSHIFT]

    down = with_redshift.run("down")

    assert down.stdout == "redshift is stopped\ns3 is stopped\npostgresql is stopped\n"
    assert (down.stderr, down.returncode) == ("", 0)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)
    assert with_redshift.run("status").returncode == 3


def test_the_python_of_the_checkouts_environment(tmp_path: Path) -> None:
    checkout = Checkout(copy_to(tmp_path / "check out"))
    (checkout.folder / "requirements").mkdir()
    shutil.copy(PROJECT / "setup.py", checkout.folder)
    shutil.copy(PROJECT / "requirements/spark-4.0.txt", checkout.folder / "requirements")
    python = checkout.folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    # As environment.sh writes it, once all is installed.
    written = (
        'printf "%s\\n" "$PWD" && cksum <setup.py && cksum <requirements/spark-4.0.txt && echo spark,generate,aws,test'
    )
    (checkout.folder / ".venv/installed").write_text(
        subprocess.check_output(["bash", "-c", written], cwd=checkout.folder, text=True)
    )

    run = checkout.run("up", "s3")
    names = set(checkout.environment())
    down = checkout.run("down", "--purge")

    assert (run.stderr, run.returncode) == ("", 0)
    assert run.stdout.startswith("s3 is started\n")
    assert names == {f"ETL_SPARK_S3_{name}" for name in ("HOST", "PORT", "USER", "PASSWORD")}
    assert (down.stdout, down.returncode) == ("s3 is stopped\n", 0)


def test_a_python_that_is_none(tmp_path: Path) -> None:
    run = Checkout(copy_to(tmp_path / "check out")).run("up", "s3", SERVICES_PYTHON="/bin/false")

    assert run.stderr == "services.sh: /bin/false is no Python 3.11 or newer\n"
    assert run.returncode == 1


def test_a_port_that_was_taken_meanwhile(running: Checkout) -> None:
    taken = int(running.environment()["ETL_SPARK_MARIADB_PORT"])
    running.run("down")
    with socket.create_server(("127.0.0.1", taken)):
        running.up()
        assert int(running.environment()["ETL_SPARK_MARIADB_PORT"]) != taken
        running.mariadb().close()


def test_down_keeps_the_data_and_spares_strangers(running: Checkout) -> None:
    running.psql("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 7 AS i")
    services, servers = running.folder / ".services", [running.process(server) for server in SERVERS]
    records = {services / f"{server}.pid": (services / f"{server}.pid").read_text() for server in SERVERS}

    down, again = running.run("down"), running.run("down")

    assert (down.stdout, down.stderr, down.returncode) == ("mariadb is stopped\npostgresql is stopped\n", "", 0)
    assert (again.stdout, again.returncode) == ("mariadb is not running\npostgresql is not running\n", 0)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in servers)
    assert "database system is shut down" in (services / "postgresql.log").read_text()
    assert "Shutdown complete" in (services / "mariadb.log").read_text()
    assert not (services / "env").exists()

    with subprocess.Popen(["sleep", "60"]) as stranger:
        for file, recorded in records.items():
            file.write_text(" ".join([str(stranger.pid), *recorded.split()[1:]]) + "\n")
        assert running.run("status").returncode == 3
        assert running.run("down").returncode == 0
        assert stranger.poll() is None
        stranger.kill()
    running.up()
    assert running.psql("SELECT i FROM kept").stdout == "7\n"


@pytest.mark.parametrize(("servers", "seen_one"), [(SERVERS, "mariadbd"), (BEHIND_REDSHIFT, "redshift_stand_in.py")])
def test_no_password_is_seen(
    running: Checkout, with_redshift: Checkout, servers: tuple[str, ...], seen_one: str
) -> None:
    checkout = running if servers == SERVERS else with_redshift
    checkout.run("down")
    said = checkout.up(*servers) + checkout.run("status").stdout

    passwords = [value for name, value in checkout.environment().items() if name.endswith("PASSWORD")]
    seen = [said, *checkout.argument_lists, *argument_lists()]
    seen += [file.read_text() for file in (checkout.folder / ".services").glob("*.log")]
    assert any(seen_one in text for text in checkout.argument_lists)
    assert len(set(passwords)) == 2
    assert not [text for text in seen for password in passwords if len(password) < 20 or password in text]


def test_a_server_that_cannot_start_names_its_log(running: Checkout) -> None:
    running.run("down")
    version = (running.folder / ".services/data").resolve() / "postgresql/PG_VERSION"
    good = version.read_text()
    version.write_text("9.6\n")
    try:
        run = running.run("up", "postgresql")
    finally:
        version.write_text(good)

    log = running.folder / ".services/postgresql.log"
    assert run.stderr == f"services.sh: postgresql could not be started: why is in {log}\n"
    assert run.returncode == 1
    assert "9.6" in log.read_text()


def test_two_checkouts_do_not_meet(running: Checkout, neighbour: Checkout) -> None:
    before = [running.process(server) for server in SERVERS]

    neighbour.up()
    ours, theirs = (
        {value for name, value in checkout.environment().items() if name.endswith(("PORT", "PASSWORD"))}
        for checkout in (running, neighbour)
    )
    user = neighbour.process("postgresql").username(), neighbour.process("mariadb").username()
    down = neighbour.run("down", "--purge")

    assert len(ours | theirs) == 8
    assert user == ((neighbour.user,) * 2 if neighbour.user else user)
    assert (down.stderr, down.returncode) == ("", 0)
    assert not (neighbour.folder / ".services").exists()
    assert [running.process(server) for server in SERVERS] == before
    assert running.run("status").returncode == 0


def test_a_copied_checkout_has_no_say(running: Checkout, tmp_path: Path) -> None:
    copy = Checkout(copy_to(tmp_path / "copy"))
    shutil.copytree(running.folder / ".services", copy.folder / ".services", symlinks=True, ignore=_data)

    for arguments in (["up"], ["status"], ["down", "--purge"]):
        run = copy.run(*arguments)
        (sentence,) = run.stderr.splitlines()
        assert sentence.startswith(f"services.sh: {copy.folder}/.services is a copy of another checkout's")
        assert run.returncode == 1
    assert running.run("status").returncode == 0


def _data(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name == "data" and not (Path(folder) / name).is_symlink()}


@pytest.mark.parametrize(
    "arguments",
    [[], ["start"], ["up", "down"], ["up", "s3 redshift"], ["status", "s3"], ["down", "--force"], ["--help"], [""]],
)
def test_usage(tmp_path: Path, arguments: list[str]) -> None:
    run = Checkout(copy_to(tmp_path / "check out")).run(*arguments)

    assert run.stderr.startswith("usage: services.sh up ")
    assert (run.stdout, run.returncode) == ("", 2)


def test_nothing_was_started_yet(tmp_path: Path) -> None:
    checkout = Checkout(copy_to(tmp_path / "check out"))

    assert [checkout.run(one).returncode for one in ("install", "status", "down")] == [0, 3, 0]
    assert not (checkout.folder / ".services").exists()


def test_missing_packages(tmp_path: Path) -> None:
    """With a PATH on which MariaDB's client is missing, and an apt-get without a network."""
    checkout = Checkout(copy_to(tmp_path / "check out"))
    tools = tmp_path / "bin"
    tools.mkdir()
    for command in ("bash", "cat", "dirname", "env", "flock", "mkdir", "rm"):
        (tools / command).symlink_to(shutil.which(command) or "")
    (tools / "apt-get").write_text('#!/bin/sh\n[ "$2" = -qq ] || exit 0\n[ "$1" = update ]')
    (tools / "apt-get").chmod(0o755)

    run = checkout.run("up", "mariadb", PATH=str(tools))

    (sentence,) = run.stderr.splitlines()
    assert sentence.startswith("services.sh: ")
    assert "mariadb-client-core" in sentence
    assert run.returncode == 1
