"""A password appears nowhere: no list of processes, log, event log, record, error or table has any part of it."""

from __future__ import annotations

import html
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self
from urllib.parse import quote, quote_plus

import psutil
import pytest

from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.sinks import MYSQL_DRIVERS
from etl_spark.core.table import Table
from etl_spark.pipelines.viewing.tables import VIEWING_STATISTICS
from etl_spark.stores.ddl import MySqlDdl
from etl_spark.stores.mysql import LOADING_RIGHTS
from tests.databases import Server
from tests.fault_proxy import fault_proxy
from tests.leaks import written_in
from tests.many_runs import ENDED
from tests.places import ROOT, SAMPLE

pytestmark = [
    pytest.mark.default_spark,
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="argument lists are read from /proc"),
]

# New each time: another test run's, or a search for the one of last time, would be found in the list of processes.
PARTS = (f"canary{secrets.token_hex(6)}", f"yranac{secrets.token_hex(6)}")
PASSWORD = PARTS[0] + "/+%&\"'\\ @:?#=$;" + PARTS[1]
"""Between two parts that every form of it has: what URLs, JSON, XML and SQL write in another way."""

FORMS = {
    "raw": PASSWORD,
    "in a URL": quote(PASSWORD, safe=""),
    "in a path": quote(PASSWORD),
    "in a form": quote_plus(PASSWORD),
    "JSON": json.dumps(PASSWORD),
    "XML": html.escape(PASSWORD),
    "repr": repr(PASSWORD),
    "its end": PARTS[1],
}
USER, FEW, STRANGER = "canary_loader", "canary_of_few_connections", "canary_stranger"
DAY = "2022-04-01"
CUT = {"cut_in_java": "INSERT INTO `etl_staging", "cut_in_python": "SELECT COUNT(*)"}
"""The statements, by case, that are cut off: one that Spark's driver sends, and one of the run's own."""

MARKER = "a-marker-among-the-arguments"
SPARK = {
    **tomllib.loads((ROOT / "conf" / "local.toml").read_text())["spark"],
    "spark.sql.shuffle.partitions": "2",
    # As tests/conftest.py has it: a run is too short for the best compiler to pay.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m",
    # Drivers of both kinds, since the first run that starts Spark starts it for all.
    "spark.jars.packages": ",".join(MYSQL_DRIVERS.values()),
    "spark.eventLog.enabled": True,
    "spark.eventLog.compress": False,
}


@dataclass(frozen=True, eq=False)
class Case:
    """A run, and what it says where it fails: a pattern for the one line.

    `sql` is run before it, in the case's own database, on which the user has `rights`. `option` is one of Spark's.
    """

    name: str
    says: str
    code: int = 1
    command: str = "publish viewing"
    options: tuple[str, ...] = ()
    sink: Mapping[str, Any] = field(default_factory=dict)
    option: Mapping[str, str] = field(default_factory=dict)
    user: str = USER
    rights: Sequence[str] = LOADING_RIGHTS
    sql: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    output: str = "output"

    @property
    def database(self) -> str:
        return f"canary_{self.name}"


def refused() -> list[Case]:
    """A password where it must not be: said before anything is started."""
    in_url = quote(PASSWORD, safe="")
    given: Mapping[str, Any] = {"code": 2, "command": "viewing", "output": "refused"}
    uri = "a URI with a user and a password in it is refused"
    return [
        Case("in_url", r"\[sinks.mysql\] a database is named jdbc:KIND://HOST:PORT/DATABASE", **given,
             sink={"url": f"jdbc:mysql://{USER}:{in_url}@127.0.0.1:3306/etl"}),
        Case("in_url_option", "options of the database are not allowed: password, user$", **given,
             sink={"url": f"jdbc:mysql://127.0.0.1:3306/etl?user={USER}&password={in_url}"}),
        Case("in_sink", r"\[sinks.mysql\] has unknown keys: password$", **given, sink={"password": PASSWORD}),
        Case("in_spark", "spark.hadoop.db.password is a secret, which belongs into the environment", **given,
             option={"spark.hadoop.db.password": PASSWORD}),
        Case("in_source", uri, **given, options=("--source", f"jdbc:mysql://{USER}:{in_url}@127.0.0.1/etl")),
    ]  # fmt: skip


def failing(server: Server, proxied: Mapping[str, Server]) -> list[Case]:
    """What can go wrong with a database: behind `proxied`, by case, a connection will be cut off.

    load_audit is the first table of a publication.
    """
    key = ", ".join(VIEWING_STATISTICS.grain)
    return [
        Case("nothing_listens", "cannot connect to jdbc:mysql://127.0.0.1:1/x: Can't connect to MySQL server",
             sink={"url": "jdbc:mysql://127.0.0.1:1/x"}, command="viewing", output="unreached"),
        Case("no_database", "cannot connect to .*: Unknown database 'canary_no_database'", sql="DROP DATABASE {db}"),
        Case("not_let_in", f"cannot connect to .*: Access denied for user '{STRANGER}'.* \\(using password: YES\\)",
             user=STRANGER),
        Case("certificate", "cannot connect to .*certificate verify failed",
             sink={"url": server.url("canary_certificate") + "?sslMode=verify-full"}),
        # Python is told to trust the certificate, Java is not.
        Case("certificate_in_java", "load_audit was not loaded: .*SQL.*Self signed certificates",
             sink={"url": server.url("canary_certificate_in_java") + "?sslMode=verify-full"},
             environment={"SSL_CERT_FILE": server.certificate}),
        Case("no_insert", "load_audit was not loaded: .*SQL.*INSERT command denied to user",
             rights=tuple(set(LOADING_RIGHTS) - {"INSERT"})),
        Case("few_connections", r"\w+ was not loaded: .*SQL.*max_user_connections", user=FEW),
        Case("other_table", "is not as this version defines it, nothing was loaded: load_audit has no column run_id",
             sql=f"{create(LOAD_AUDIT)}; ALTER TABLE load_audit DROP COLUMN run_id"),
        Case("value", "CONSTRAINT `not_all` failed for `canary_value`.`load_audit`",
             sql=f"{create(LOAD_AUDIT)}; ALTER TABLE load_audit ADD CONSTRAINT not_all CHECK (reason <> 'All')"),
        Case("cut_in_java", "load_audit was not loaded: .*(Communications link failure|after connection closed)",
             sink={"url": proxied["cut_in_java"].url("canary_cut_in_java"), "driver": "mysql"}),
        Case("cut_in_python", "load_audit was not loaded: Lost connection to MySQL server",
             sink={"url": proxied["cut_in_python"].url("canary_cut_in_python")}),
        Case("locked", "another run is loading load_audit: wait for it to end", sink={"lock_seconds": 1}),
        Case("foreign_key", "viewing_statistics was not loaded, the foreign key of_category would not hold",
             sql=f"{create(VIEWING_STATISTICS)}; CREATE TABLE child (log_date date, category varchar(16) COLLATE "
                 f"utf8mb4_bin, CONSTRAINT of_category FOREIGN KEY ({key}) REFERENCES viewing_statistics ({key})); "
                 f"SET foreign_key_checks = 0; INSERT INTO child VALUES ('{DAY}', 'Opera')"),
        Case("damaged_lake", "unexpected failure: .* calling .*collectToPython", output="damaged"),
    ]  # fmt: skip


def create(table: Table) -> str:
    return "; ".join(MySqlDdl().create(table))


class Arguments(Thread):
    """Looks again and again at the arguments of all processes of this machine."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self._stop_asked = Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_asked.set()
        self.join()

    def run(self) -> None:
        while not self._stop_asked.wait(0.03):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                # A process that has ended meanwhile.
                with suppress(OSError):
                    self.seen.add(file.read_bytes())


@dataclass(frozen=True)
class Place:
    """The folder of the test, and the process in which the runs are."""

    folder: Path
    server: Server
    process: subprocess.Popen[str]

    @property
    def stderr(self) -> Path:
        return self.folder / "stderr.txt"

    def run(self, case: Case) -> tuple[int, str]:
        """The exit code of the case's run, and its line on standard error that is not of its log."""
        config = self.folder / "configurations" / f"{case.name}.toml"
        config.write_text(self._configuration(case), encoding="utf-8")
        given = ["--start-date", DAY, "--end-date", DAY, "--output", str(self.folder / case.output)]
        arguments = [*case.command.split(), *given, "--config", str(config), "--sink", "mysql", *case.options]
        environment = {"SSL_CERT_FILE": "", "ETL_SPARK_MYSQL_USER": case.user, **case.environment}
        before = self.stderr.stat().st_size
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({"arguments": arguments, "environment": environment}) + "\n")
        self.process.stdin.flush()
        with (self.folder / "stdout.txt").open("a", encoding="utf-8") as stdout:
            for line in self.process.stdout:
                stdout.write(line)
                if line.startswith(ENDED):
                    code = int(line.removeprefix(ENDED))
                    break
            else:
                pytest.fail(f"the process ended in {case.name}: {self.stderr.read_text()[before:]}")
        said = self.stderr.read_bytes()[before:].decode()
        return code, "\n".join(line for line in said.splitlines() if not line.startswith('{"time"'))

    def _configuration(self, case: Case) -> str:
        spark = {**SPARK, "spark.eventLog.dir": (self.folder / "events").as_uri(), **case.option}
        sections = {
            "spark": spark,
            "viewing": {"source": str(SAMPLE / "viewing")},
            "sinks.mysql": {"url": self.server.url(case.database), **case.sink},
        }
        return "\n".join(
            "\n".join((f"[{name}]", *(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in values.items())))
            for name, values in sections.items()
        )

    def files(self) -> list[Path]:
        """All files but the configurations, some of which have the password."""
        return [
            file
            for file in self.folder.rglob("*")
            if file.is_file() and (self.folder / "configurations") not in file.parents
        ]


@contextmanager
def started(folder: Path, server: Server) -> Iterator[Place]:
    for name in ("configurations", "events", "temporary"):
        (folder / name).mkdir()
    temporary = str(folder / "temporary")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
        "ETL_SPARK_MYSQL_PASSWORD": PASSWORD,
        "TMPDIR": temporary,
        "SPARK_LOCAL_DIRS": temporary,
    }
    with (folder / "stderr.txt").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.many_runs", MARKER],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    with process:
        try:
            yield Place(folder, server, process)
        finally:
            family = psutil.Process(process.pid).children(recursive=True)
            # The end of the input is that of the runs. The JVM ends after them.
            assert process.stdin
            process.stdin.close()
            psutil.wait_procs(family, timeout=60)


def prepare(server: Server, case: Case) -> None:
    server.create(case.database)
    server.run(f"GRANT {', '.join(case.rights)} ON {case.database}.* TO {case.user}@'127.0.0.1'")
    server.run(case.sql.format(db=case.database), case.database)


def create_users(server: Server) -> None:
    with server.connect("etl") as connection, connection.cursor() as cursor:
        for user, password in ((USER, PASSWORD), (FEW, PASSWORD), (STRANGER, "another")):
            cursor.execute(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY %s", (password,))
        # One is for the job and one for Spark's look at the table: none is left for its tasks.
        cursor.execute(f"GRANT USAGE ON *.* TO {FEW}@'127.0.0.1' WITH MAX_USER_CONNECTIONS 2")


def damage(lake: Path) -> None:
    for file in lake.glob("load_audit/**/*.parquet"):
        file.write_bytes(b"\0" * file.stat().st_size)


def places_with(texts: Iterable[str], files: Iterable[Path]) -> dict[str, list[Path]]:
    """Those of `texts` that stand in any of `files`, and where."""
    contents = {file: file.read_bytes() for file in files}
    found = {text: [file for file, content in contents.items() if text.encode() in content] for text in texts}
    return {text: places for text, places in found.items() if places}


@dataclass(frozen=True)
class Runs:
    """What is left of all runs. `ended` tells, by case, how they ended; `leaked` is where the password stood."""

    place: Place
    ended: Mapping[Case, tuple[int, str]]
    arguments: Collection[bytes]
    leaked: Mapping[str, list[Path]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, databases: Mapping[str, Server]) -> Runs:
    server, folder = databases["mariadb"], tmp_path_factory.mktemp("canary")
    create_users(server)
    successes = [
        Case("success", "", 0, command="viewing", options=("--sink", "parquet")),
        Case("success", "", 0),
    ]
    with ExitStack() as stack:
        arguments = stack.enter_context(Arguments()).seen
        proxies = {name: stack.enter_context(fault_proxy(server.host, server.port)) for name in CUT}
        for name, proxy in proxies.items():
            proxy.cut_once(CUT[name], "before")
        cases = failing(server, {name: replace(server, port=str(proxy.port)) for name, proxy in proxies.items()})
        for case in (successes[0], *cases):
            prepare(server, case)
        lock = stack.enter_context(server.connect("canary_locked")).cursor()
        lock.execute("SELECT GET_LOCK(SHA2(CONCAT('etl_spark ', DATABASE(), ' load_audit'), 224), 0)")
        place = stack.enter_context(started(folder, server))
        ended = {case: place.run(case) for case in (*refused(), *successes)}
        shutil.copytree(folder / "output", folder / "damaged")
        damage(folder / "damaged" / "lake")
        ended |= {case: place.run(case) for case in cases}
        # Spark removes its temporary files when it ends.
        leaked = places_with(PARTS, place.files())
    assert all(len(proxy.cut) == 1 for proxy in proxies.values())
    return Runs(place, ended, arguments, {**leaked, **places_with(PARTS, place.files())})


def test_each_run_ended_as_it_had_to(runs: Runs) -> None:
    errors = {json.loads(file.read_text())["error"] for file in runs.place.folder.glob("*/_runs/*.json")}
    others = [
        (case.name, code, said)
        for case, (code, said) in runs.ended.items()
        if code != case.code or not re.fullmatch(f"etl-spark: .*{case.says}.*" if code else "", said)
    ]
    assert others == []
    assert {case.name for case, (code, _) in runs.ended.items() if code == 0} == {"success"}
    # A password in an argument is refused before there is a record of the run.
    unrecorded = [
        case.name
        for case, (code, said) in runs.ended.items()
        if code and said.removeprefix("etl-spark: ") not in errors
    ]
    assert set(unrecorded) <= {"in_source"}
    assert len({said for code, said in runs.ended.values() if code == 1}) > 10


def test_no_process_has_the_password_among_its_arguments(runs: Runs) -> None:
    assert [one for one in runs.arguments if any(part.encode() in one for part in PARTS)] == []
    assert any(MARKER.encode() in one for one in runs.arguments)
    assert any(b"org.apache.spark.deploy.SparkSubmit" in one and b"spark.eventLog" in one for one in runs.arguments)


def test_no_file_has_the_password(runs: Runs) -> None:
    assert runs.leaked == {}
    assert written_in(runs.place.folder / "output", PARTS) == set()


def test_the_search_finds_what_is_there(runs: Runs, tmp_path: Path) -> None:
    folder, files = runs.place.folder, runs.place.files()
    for name, form in FORMS.items():
        (tmp_path / name).write_text(f"... {form} ...")
    planted = places_with(PARTS, tmp_path.iterdir())
    assert {file.name for places in planted.values() for file in places} == set(FORMS)

    def standing(text: str, kind: str) -> bool:
        return any(file.match(kind) for file in places_with([text], files).get(text, []))

    # What a connection and a load are told by, in each place where the password could be.
    assert standing(USER, "events/**/events_*")
    assert standing("etl_staging_", "events/**/events_*")
    assert standing("org.mariadb.jdbc", "output/_runs/*.log")
    assert standing("com.mysql.cj", "output/_runs/*.log")
    assert standing(STRANGER, "output/_runs/*.json")
    assert standing(STRANGER, "output/_runs/*.log")
    assert standing(STRANGER, "stderr.txt")
    assert standing("jdbc:mysql://", "stdout.txt")
    contract = json.loads((SAMPLE / "viewing" / "20220401.json").read_text().partition("\n")[0])["_source"]["Contract"]
    assert written_in(folder / "output", [contract]) == {contract}
