"""Kills loaders and databases at random moments, and shows that no store loses a row, doubles one, or mixes two loads.

    python benchmarks/load_faults.py --store mysql --loader-kills 30 --database-kills 10

A table gets two versions, A and B, of the rows of some days by turns; other days of it must never change. A loader is
a process of its own that loads one after the other until its whole process group, Python and JVM, gets SIGKILL. A
database gets SIGKILL while this process loads, and is started again. All the time a thread reads the whole table by
other means than the store's: it must be exactly A or exactly B, to every value. After each kill the table must hold the
last load that was told of, or the one under way; one more load must lead to exactly its version, with one row in the
ledger for every load that was completed and none for any other, and with nothing left of the dead one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain, count, cycle
from pathlib import Path
from threading import Condition, Event, Thread
from typing import IO, Any, Literal, Protocol

import psutil
import pyspark.sql.functions as F
from pyspark.sql import DataFrame, SparkSession

# A script has its own folder on its path, and not the one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.faults import LATEST, Kill, Parts, differences
from etl_spark import session
from etl_spark.config import Credentials, conf_file
from etl_spark.core.database import DIALECTS
from etl_spark.core.errors import EtlError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.sinks import MYSQL_DRIVERS, MySqlSink, RedshiftSink
from etl_spark.core.table import MONEY, Column, Scope, Table
from etl_spark.stores.lake import Lake
from etl_spark.stores.mysql import LOADING_RIGHTS, MySql
from etl_spark.stores.redshift import Redshift
from etl_spark.stores.warehouse import LEDGER, STAGING, Session, Warehouse
from tests.databases import Server, exported_variables, s3_client, s3a_settings

ROOT = Path(__file__).resolve().parents[1]

TABLE = Table(
    name="sold",
    doc="One row per day and code.",
    columns=(
        Column("day", "DATE", "the day"),
        Column("code", "VARCHAR(20)", "what was sold"),
        Column("label", "VARCHAR(32)", "of this row and version alone"),
        Column("pieces", "BIGINT", "how many"),
        Column("amount", MONEY, "for how much"),
    ),
    grain=("day", "code"),
    replaces=("day",),
)
DAYS = tuple(date(2022, 4, day) for day in range(1, 7))
LOADED, OTHER = DAYS[1:-1], (DAYS[0], DAYS[-1])
"""The days of the loads, and those that no load but the first touches."""
VERSIONS = ("A", "B")
BUCKET = "load-faults"
"""Not the one that scripts/services.sh makes, which a test run has in an S3 of its own."""

LIMIT = 180.0
"""Seconds after which whatever is waited for is taken to hang."""

Tell = Callable[[str], None]


class Store(Protocol):
    def write(self, df: DataFrame, table: Table, scope: Scope) -> None: ...


# The rows: for Spark to load, and once more for the readers to compare.


def scope_of(days: Sequence[date]) -> Scope:
    return tuple({"day": day} for day in days)


def numbers(version: str, rows: int) -> range:
    """What the rows of a day are made of: half of A's keys are in B too, and B has some rows more."""
    return range(rows // 2, rows // 2 + rows + 7) if version == "B" else range(rows)


def frame(spark: SparkSession, version: str, rows: int, days: Sequence[date]) -> DataFrame:
    wanted = numbers(version, rows)
    listed = ", ".join(f"DATE'{day}'" for day in days)
    return (
        spark.range(wanted.start, wanted.stop, 1, 4)
        .withColumn("day", F.expr(f"explode(array({listed}))"))
        .selectExpr(
            "day",
            "concat('c', id) AS code",
            f"md5(concat_ws('|', '{version}', day, id)) AS label",
            "id * 7919 AS pieces",
            "CAST(id / 4 AS DECIMAL(18,4)) AS amount",
        )
    )


def expected(version: str, rows: int, days: Sequence[date]) -> dict[tuple[str, ...], tuple[int, int]]:
    """By day, the number of the rows of frame(), and the sum of their checksums."""
    return {
        (str(day),): (
            len(numbers(version, rows)),
            sum(checksum(text_of(version, day, number)) for number in numbers(version, rows)),
        )
        for day in days
    }


def text_of(version: str, day: date, number: int) -> str:
    label = hashlib.md5(f"{version}|{day}|{number}".encode()).hexdigest()
    return f"{day}|c{number}|{label}|{number * 7919}|{number / 4:.4f}"


def checksum(text: str) -> int:
    """Of a row's values with | between them: every database can work it out, and so can Spark."""
    return int(hashlib.md5(text.encode()).hexdigest()[:15], 16)


def other(version: str) -> str:
    return "B" if version == "A" else "A"


def faults_of(found: Parts, allowed: Sequence[Parts]) -> list[str]:
    """What is wrong with `found`, which must be one of `allowed` as a whole."""
    if found in allowed:
        return []
    return differences(found, allowed, may_miss=False) or ["some days are of one version, others of another"]


def ledger_faults(known: Set[str], found: Sequence[str], new: int) -> list[str]:
    """What is wrong with a ledger that had the loads `known`, of which `new` more were completed since."""
    wrong = [f"the ledger has {one} {times} times" for one, times in Counter(found).items() if times > 1]
    wrong += [f"the ledger has lost {one}" for one in sorted(known - set(found))]
    more = len(set(found) - known)
    return wrong if more == new else [*wrong, f"the ledger has {more} loads more, not {new}"]


# The servers.


class Servers:
    """The servers `wanted`, for kills alone, by a copy of scripts/, which keeps its servers beside itself."""

    def __init__(self, folder: Path, wanted: Sequence[str]) -> None:
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        self._folder, self._wanted = folder, wanted

    def up(self) -> None:
        """Starts those that do not run, each at the port it had before."""
        if self._wanted:
            self._run("up", *self._wanted)

    def down(self) -> None:
        self._run("down", "--purge")

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            [str(self._folder / "scripts" / "services.sh"), *arguments],
            env={**os.environ, "SERVICES_PYTHON": sys.executable},
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def server(self, kind: str) -> Server:
        """As the user `etl`, whose password is another one after each start."""
        return Server.of(kind, exported_variables(self._folder / ".services" / "env"))

    def kill(self, kind: str) -> None:
        recorded = (self._folder / ".services" / f"{kind}.pid").read_text(encoding="utf-8")
        kill_all([psutil.Process(int(recorded.split()[0]))])


@contextmanager
def running_servers(folder: Path, stores: Iterable[str]) -> Iterator[Servers]:
    """Those that the trials of `stores` take."""
    servers = Servers(folder, sorted({server for store in stores for server in STORES[store].servers}))
    servers.up()
    try:
        yield servers
    finally:
        servers.down()


def kill_all(family: Sequence[psutil.Process]) -> None:
    """Kills them, and waits until none holds a file or a port any more."""
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    deadline = time.monotonic() + 30
    while any(map(is_alive, family)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes that were killed live on: {[one.pid for one in family if is_alive(one)]}")
        time.sleep(0.01)


def is_alive(process: psutil.Process) -> bool:
    """Whether it may still hold something.

    A zombie does not: nobody may wait for those that lost their parent, as in a container with no init. But it is one
    as soon as its first thread has ended.
    """
    try:
        is_zombie = process.status() == psutil.STATUS_ZOMBIE
        return process.is_running() and not (is_zombie and process.num_threads() <= 1)
    except psutil.NoSuchProcess:
        return False


# The stores.


class Subject(ABC):
    """A store on trial, and how to look at it from outside."""

    servers: Sequence[str] = ()
    """What it takes, by the names that scripts/services.sh has for them; the first one is the database to be killed."""
    packages: Sequence[str] = ()
    """The Maven coordinates of the jars that it takes."""
    place: Mapping[str, str]
    """All that `open` must know, also in another process."""

    @abstractmethod
    def __init__(self, work: Path, spark: SparkSession, servers: Servers) -> None:
        """Makes an empty place for the table; `spark` and `servers` are this process's."""

    @staticmethod
    @abstractmethod
    def open(spark: SparkSession, place: Mapping[str, str], tell: Tell) -> Store:
        """The store, which tells of each step of a load at its beginning."""

    @abstractmethod
    def read(self) -> Parts:
        """The whole table by days, as it stands at one moment."""

    @abstractmethod
    def loads(self) -> list[str]:
        """What names each load that was completed."""

    @abstractmethod
    def left_over(self) -> list[str]:
        """What is there beside the tables."""

    @abstractmethod
    def sessions(self) -> int:
        """How many connections of loads the server knows of; those of dead processes end a little later."""


class InLake(Subject):
    """Read by the Spark of this process, while another one is killed: nothing else here reads Delta.

    A load is known by its commit in the table's log. Files that no commit names are what a dead load leaves, until a
    VACUUM; no reader sees them.
    """

    def __init__(self, work: Path, spark: SparkSession, servers: Servers) -> None:
        self.place = {"output": str(work / "output")}
        self._folder = work / "output" / "lake" / TABLE.name
        self._spark = spark

    @staticmethod
    def open(spark: SparkSession, place: Mapping[str, str], tell: Tell) -> Store:
        return TellingLake(spark, FileSystem(spark, place["output"]), Path(place["output"]), tell)

    def read(self) -> Parts:
        text = F.concat_ws("|", *(F.col(name).cast("string") for name in TABLE.column_names))
        rows = (
            self._spark.read.format("delta")
            .load(str(self._folder))
            .groupBy(F.col("day").cast("string"))
            .agg(
                F.count(F.lit(1)),
                F.sum(F.conv(F.substring(F.md5(text), 1, 15), 16, 10).cast("decimal(38,0)")),
            )
            .collect()
        )
        return {(day,): (number, int(total)) for day, number, total in rows}

    def loads(self) -> list[str]:
        return [file.name for file in (self._folder / "_delta_log").glob("[0-9]*.json")]

    def left_over(self) -> list[str]:
        return []

    def sessions(self) -> int:
        return 0


class TellingLake(Lake):
    """Delta does all of a load in one call: how far it has come is seen by the files that it makes."""

    def __init__(self, spark: SparkSession, files: FileSystem, output: Path, tell: Tell) -> None:
        super().__init__(spark, files)
        self._folder, self._tell = output / "lake", tell

    def write(self, df: DataFrame, table: Table, scope: Scope) -> None:
        ended = Event()
        watcher = Thread(target=self._watch, args=(self._folder / table.name, ended), daemon=True)
        watcher.start()
        try:
            super().write(df, table, scope)
        finally:
            ended.set()
            watcher.join()

    def _watch(self, folder: Path, ended: Event) -> None:
        known = files_of(folder)
        written = 0
        while not ended.wait(0.003):
            new = files_of(folder) - known
            known |= new
            for path in sorted(new):
                if path.endswith(".parquet"):
                    written += 1
                    self._tell(f"file {written}")
                elif path.endswith((".tmp", ".json")):
                    self._tell("log" if path.endswith(".json") else "log's draft")


def files_of(folder: Path) -> set[str]:
    """The paths of all files in the folders of `folder`."""
    paths: set[str] = set()
    with suppress(FileNotFoundError):
        for one in os.scandir(folder):
            if one.is_dir():
                paths.update(file.path for file in os.scandir(one.path))
    return paths


class InDatabase(Subject):
    """A warehouse, read by a client of its database. What stands here is alike in all of them."""

    schema: str
    """Where the tables are, as an SQL expression."""
    checksum: str
    """checksum() of {text}, as an SQL expression."""

    database: str
    reader: Server
    """The server, as one who may read the database."""

    def read(self) -> Parts:
        total = self.checksum.format(text=f"CONCAT_WS('|', {', '.join(TABLE.column_names)})")
        # One statement sees the table as it is at one moment.
        rows = self.rows(f"SELECT day, COUNT(*), SUM({total}) FROM {TABLE.name} GROUP BY day")
        return {(str(day),): (number, int(sum_of_all)) for day, number, sum_of_all in rows}

    def loads(self) -> list[str]:
        return [load for (load,) in self.rows(f"SELECT load_id FROM {LEDGER.name} WHERE table_name = '{TABLE.name}'")]

    def left_over(self) -> list[str]:
        names = self.rows(f"SELECT table_name FROM information_schema.tables WHERE table_schema = {self.schema}")
        return sorted(name for (name,) in names if name.startswith(STAGING))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.reader.rows(sql, self.database)


class InRedshift(InDatabase):
    """The stand-in, read by way of the PostgreSQL behind it, which is what gets killed."""

    servers = ("postgresql", "redshift", "s3")
    schema = "current_schema()"
    checksum = "('x' || LEFT(MD5({text}), 15))::bit(60)::bigint"
    way: Literal["copy", "jdbc"]

    def __init__(self, work: Path, spark: SparkSession, servers: Servers) -> None:
        behind, redshift, s3 = map(servers.server, self.servers)
        self.database = f"load_faults_{self.way}"
        behind.create(self.database)
        loader = f"loader_{self.way}"
        behind.run(
            f"CREATE USER {loader} PASSWORD 'pass-word'; GRANT USAGE, CREATE ON SCHEMA public TO {loader}",
            self.database,
        )
        self.reader = replace(behind, user=loader, password="pass-word")
        self._s3 = s3_client(s3)
        self._s3.create_bucket(Bucket=BUCKET)
        self.place = {
            "url": redshift.url(self.database),
            "user": loader,
            "password": "pass-word",
            "way": self.way,
            "temporary": f"s3a://{BUCKET}/{self.database}",
            "s3": json.dumps(s3a_settings(s3, BUCKET)),
        }

    @staticmethod
    def open(spark: SparkSession, place: Mapping[str, str], tell: Tell) -> Store:
        for name, value in json.loads(place["s3"]).items():
            spark._jsc.hadoopConfiguration().set(name, value)
        way: Any = place["way"]
        sink = RedshiftSink(place["url"], way=way, temporary=place["temporary"], iam_role="default")
        return telling(Redshift(sink, Credentials(place["user"], place["password"]), "run", spark), tell)

    def left_over(self) -> list[str]:
        found = self._s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.database}/")
        keys = [one["Key"] for one in found.get("Contents", ())]
        # Hadoop leaves an object for a folder that has become empty.
        return [*super().left_over(), *(key for key in keys if not key.endswith("/"))]

    def sessions(self) -> int:
        asked = "SELECT COUNT(*) FROM pg_stat_activity WHERE usename = CURRENT_USER AND pid <> pg_backend_pid()"
        ((number,),) = self.rows(asked)
        return int(number)


class InRedshiftByCopy(InRedshift):
    way = "copy"
    packages = (DIALECTS["redshift"].package, *session.s3_packages())


class InRedshiftByDriver(InRedshift):
    way = "jdbc"
    packages = (DIALECTS["redshift"].package,)


class InMySql(InDatabase):
    """Users of its own, whose passwords outlive a start of the server; the one that loads has no right too many."""

    servers = ("mariadb",)
    packages = (MYSQL_DRIVERS["mariadb"],)
    schema = "DATABASE()"
    checksum = "CAST(CONV(LEFT(MD5({text}), 15), 16, 10) AS UNSIGNED)"
    database = "load_faults"

    def __init__(self, work: Path, spark: SparkSession, servers: Servers) -> None:
        server = servers.server(self.servers[0])
        server.create(self.database)
        self.loader, self.reader = (replace(server, user=user, password="pass-word") for user in ("loader", "reader"))
        for user, rights in ((self.loader.user, ", ".join(LOADING_RIGHTS)), (self.reader.user, "SELECT")):
            server.run(
                f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'pass-word';"
                f"GRANT {rights} ON {self.database}.* TO {user}@'127.0.0.1'"
            )
        self.place = {"url": self.loader.url(self.database), "user": self.loader.user, "password": self.loader.password}

    @staticmethod
    def open(spark: SparkSession, place: Mapping[str, str], tell: Tell) -> Store:
        return telling(MySql(MySqlSink(place["url"]), Credentials(place["user"], place["password"]), "run"), tell)

    def sessions(self) -> int:
        # One sees one's own.
        asked = "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID()"
        ((number,),) = self.loader.rows(asked, self.database)
        return int(number)


def telling(store: Warehouse, tell: Tell) -> Warehouse:
    """The same store, which tells of each statement, and of staging, before it goes on to it."""
    connect, stage = store.connect, store.stage

    def told_stage(df: DataFrame, table: Table, staging: str) -> None:
        tell("stage")
        stage(df, table, staging)

    # On the object, not in a subclass: this way it works for every warehouse, made in whatever way.
    vars(store).update(connect=lambda: ToldSession(connect(), tell), stage=told_stage)
    return store


class ToldSession:
    def __init__(self, inner: Session, tell: Tell) -> None:
        self._inner, self._tell = inner, tell

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        self._tell(label(sql))
        return self._inner.run(sql)

    def begin(self) -> None:
        self._tell("BEGIN")
        self._inner.begin()

    def commit(self) -> None:
        self._tell("COMMIT")
        self._inner.commit()

    def rollback(self) -> None:
        self._tell("ROLLBACK")
        self._inner.rollback()

    def close(self) -> None:
        self._inner.close()


def label(sql: str) -> str:
    """The words in capitals that `sql` begins with, and the table after them; `staging` for every staging table."""
    found = re.match(r"([A-Z0-9_ ]*[A-Z0-9_])(?: ([\"`]?)(\w+)\2)?", sql)
    if not found:
        return sql[:20]
    words, quote, name = found.groups()
    return f"{words} {'staging' if name.startswith(STAGING) else name}" if quote else words


STORES: Mapping[str, type[Subject]] = {
    "lake": InLake,
    "mysql": InMySql,
    "redshift_copy": InRedshiftByCopy,
    "redshift_jdbc": InRedshiftByDriver,
}
"""What --store takes."""


# Loads that go on, and what they tell.


@dataclass(frozen=True)
class Step:
    """The seconds that a step of a load takes, and those from its beginning to the load's end."""

    takes: float
    left: float


class Progress:
    """What loads tell of: "load 1 A" at the beginning of the first one, its steps, "loaded 1 A" at its end."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._told: list[tuple[float, str]] = []
        self._is_over = False

    def tell(self, text: str) -> None:
        with self._changed:
            self._told.append((time.monotonic(), text))
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more will be told."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    @property
    def told(self) -> list[str]:
        with self._changed:
            return [text for _, text in self._told]

    def steps(self) -> dict[str, Step]:
        """The steps of the load that has ended, each by its first time."""
        with self._changed:
            _, *told, (last, _) = self._told
        times = [*(moment for moment, _ in told), last]
        steps: dict[str, Step] = {}
        for (begin, text), end in zip(told, times[1:], strict=True):
            steps.setdefault(text, Step(end - begin, last - begin))
        return steps

    def wait_for(self, holds: Callable[[Sequence[str]], bool]) -> None:
        """Returns when `holds` of what was told, or when nothing more will be. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_over or holds([text for _, text in self._told]), LIMIT):
                raise TimeoutError(f"nothing happened for {LIMIT:.0f} s after: {self._told[-1:]}")


@dataclass(frozen=True)
class Interrupted:
    """Where a kill hit: after `done` loads, the last of version `last`, while `under_way` was loaded and at `step`.

    Empty is what there was none of.
    """

    done: int
    last: str
    under_way: str
    step: str


def interrupted(told: Sequence[str]) -> Interrupted:
    done, last, under_way, step = 0, "", "", ""
    for text in told:
        match text.split():
            case ["load", _, version]:
                under_way, step = version, "count"
            case ["loaded", _, version]:
                done, last, under_way, step = done + 1, version, "", ""
            case _ if under_way:
                step = text
    return Interrupted(done, last, under_way, step)


def is_due(kill: Kill, load: int) -> Callable[[Sequence[str]], bool]:
    """Whether all that remains to wait for is the delay of `kill`, which is meant for the load of that number."""

    def holds(told: Sequence[str]) -> bool:
        begun = [place for place, text in enumerate(told) if text.startswith(f"load {load} ")]
        return bool(begun) and (
            not kill.after or any(text == kill.after or text.startswith("loaded ") for text in told[begun[0] :])
        )

    return holds


class Loader:
    """A process that makes itself ready, and then loads one version after the other until it is killed."""

    def __init__(self, given: Mapping[str, Any], log: Path) -> None:
        self.progress = Progress()
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "benchmarks" / "load_faults.py"), "--loader"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                start_new_session=True,
            )
        self._log = log
        self._family: list[psutil.Process] = []
        self._listener = Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()
        # Not among its arguments, which everybody can read: a password is among it.
        self._say(json.dumps(given))

    def _say(self, line: str) -> None:
        stream = self._process.stdin
        if stream:
            stream.write(f"{line}\n")
            stream.flush()

    def _listen(self, stream: IO[str]) -> None:
        for line in stream:
            self.progress.tell(line.rstrip("\n"))
        self.progress.end()

    def start(self, version: str) -> None:
        """Waits until it is ready, and lets it load, `version` first."""
        self.progress.wait_for(lambda told: "ready" in told)
        if "ready" not in self.progress.told:
            raise RuntimeError(f"the loader ended before it was ready, see {self._log}")
        first = psutil.Process(self._process.pid)
        self._family = [first, *first.children(recursive=True)]
        self._say(version)

    def kill(self) -> bool:
        """Kills its process group, and returns whether it was running."""
        was_running = self._process.poll() is None
        if was_running:
            os.killpg(self._process.pid, signal.SIGKILL)
        kill_all(self._family)
        self._process.wait()
        self._listener.join()
        return was_running


def be_loader() -> int:
    """What a Loader's process does."""
    given = json.loads(sys.stdin.readline())
    spark = session.start(
        "load_faults", given["options"], run_id="loader", log=Path(given["log"]), packages=given["packages"]
    )

    def tell(text: str) -> None:
        # Whole lines: the last one of a killed process may not be half of one.
        os.write(1, f"{text}\n".encode())

    store = STORES[given["store"]].open(spark, given["place"], tell)
    frames = {version: frame(spark, version, given["rows"], LOADED) for version in VERSIONS}
    tell("ready")
    version = sys.stdin.readline().strip()
    for number in count(1):
        # Where this process's parent has died, there is nobody to tell, and this fails.
        tell(f"load {number} {version}")
        store.write(frames[version], TABLE, scope_of(LOADED))
        tell(f"loaded {number} {version}")
        version = other(version)
    return 0


# The trial.


@dataclass(frozen=True)
class Outcome:
    """`held` is "old" or "new", or empty where no load was under way; `ended` how a load of this process ended."""

    what: str
    kill: Kill
    step: str
    held: str
    ended: str
    reads: int
    failures: tuple[str, ...]


@dataclass
class Outages:
    """How often the database went down, and how often it has come up again after that."""

    begun: int = 0
    over: int = 0


class Reader(Thread):
    """Reads the whole table again and again, until it is stopped; it must be one of `allowed`."""

    def __init__(self, read: Callable[[], Parts], allowed: Sequence[Parts], outages: Outages) -> None:
        super().__init__(name="reader", daemon=True)
        self._read, self._allowed, self._outages = read, allowed, outages
        self.stop = Event()
        self.reads = 0
        self._failures: list[str] = []
        self._taken = 0

    def run(self) -> None:
        pause = 0.0
        while not self.stop.wait(pause):
            started = time.monotonic()
            self.look()
            # Half of the time is left to the loads that it is to watch.
            pause = max(0.02, time.monotonic() - started)

    def look(self) -> None:
        """Reads the table once. While the database is down, and then only, that may fail."""
        over = self._outages.over
        try:
            found = self._read()
        except Exception as error:  # A reader that dies in silence would prove anything.
            if self._outages.begun == over:
                self._failures.append(f"the table cannot be read: {error!r}")
            return
        self.reads += 1
        self._failures += [f"a reader found that {text}" for text in faults_of(found, self._allowed)]

    def take_failures(self) -> list[str]:
        """The failures since the last call, each once."""
        new = self._failures[self._taken :]
        self._taken += len(new)
        return [f"{text} ({times} times)" for text, times in Counter(new).items()]


class Load(Thread):
    """A load by this process, in a thread of its own."""

    def __init__(self, store: Store, df: DataFrame, days: Sequence[date], version: str, progress: Progress) -> None:
        super().__init__(name=f"load of {version}", daemon=True)
        self._store, self._df, self._days, self._version, self.progress = store, df, days, version, progress
        self.error: Exception | None = None

    def run(self) -> None:
        self.progress.tell(f"load 1 {self._version}")
        try:
            self._store.write(self._df, TABLE, scope_of(self._days))
            self.progress.tell(f"loaded 1 {self._version}")
        except Exception as error:  # Judged by whoever waits for it.
            self.error = error
        self.progress.end()

    def wait(self) -> None:
        """Returns when it has ended. Raises TimeoutError."""
        self.join(LIMIT)
        if self.is_alive():
            raise TimeoutError(
                f"a load hangs, {LIMIT:.0f} s after it was given up; last told: {self.progress.told[-1]}"
            )


class Trial:
    """A table of two versions in a store, and what it must hold. Making it loads each once."""

    def __init__(
        self, name: str, work: Path, *, spark: SparkSession, servers: Servers, options: Mapping[str, str], rows: int
    ) -> None:
        self.name, self._work, self._spark, self._options, self._rows = name, work, spark, options, rows
        self._servers = servers
        work.mkdir(parents=True)
        self.subject = STORES[name](work, spark, servers)
        self._progress = Progress()
        self._store = self.subject.open(spark, self.subject.place, self._tell)
        others = expected("A", rows, OTHER)
        self.expected: Mapping[str, Parts] = {version: others | expected(version, rows, LOADED) for version in VERSIONS}
        self._outages = Outages()
        self._known: set[str] = set()
        self.held = ""
        self._rehearse()

    def _tell(self, text: str) -> None:
        self._progress.tell(text)

    def _rehearse(self) -> None:
        """Makes the table, and finds out which steps a load has, and how long they take."""
        for version, days in (("A", DAYS), ("B", LOADED)):
            started = time.monotonic()
            load = self._load(version, days)
            load.wait()
            if load.error:
                raise load.error
            self.seconds = time.monotonic() - started
        self.held = "B"
        self.steps = load.progress.steps()
        wrong = self._faults_of_table("B") + self._faults_of_ledger(2)
        if wrong:
            raise RuntimeError(f"{self.name} is wrong before any kill: {'; '.join(wrong)}")

    def _load(self, version: str, days: Sequence[date] = LOADED) -> Load:
        """A load that is under way."""
        self._progress = Progress()
        load = Load(self._store, frame(self._spark, version, self._rows, days), days, version, self._progress)
        load.start()
        return load

    def _faults_of_table(self, *versions: str) -> list[str]:
        """What is wrong with the table, which must be one of `versions` as a whole."""
        return faults_of(self.subject.read(), [self.expected[version] for version in versions])

    def _faults_of_ledger(self, new: int) -> list[str]:
        """What is wrong with the ledger, which must have `new` loads more than when it was last looked at."""
        found = self.subject.loads()
        wrong = ledger_faults(self._known, found, new)
        self._known = set(found)
        return wrong

    def kills(self, number: int, chance: random.Random) -> list[Kill]:
        """A third at any time of a load, a third within a step of it, a third between a step and the load's end."""
        within, until_end = (cycle(chance.sample(list(self.steps), len(self.steps))) for _ in range(2))
        kills = []
        for place in range(number):
            match place % 3:
                case 0:
                    kills.append(Kill(chance.uniform(0, LATEST * self.seconds)))
                case 1:
                    step = next(within)
                    kills.append(Kill(chance.uniform(0, self.steps[step].takes), after=step))
                case _:
                    step = next(until_end)
                    kills.append(Kill(chance.uniform(0, LATEST * self.steps[step].left), after=step))
        return kills

    def run(
        self, loader_kills: Sequence[Kill], database_kills: Sequence[Kill], say: Callable[[str], None] = print
    ) -> list[Outcome]:
        """All kills, while a reader reads. A store of files has no database to be killed."""
        reader = Reader(self.subject.read, list(self.expected.values()), self._outages)
        reader.start()
        outcomes: list[Outcome] = []
        try:
            for outcome in chain(
                self._kill_loaders(loader_kills, reader),
                self._kill_databases(database_kills if self.subject.servers else (), reader),
            ):
                outcomes.append(outcome)
                say(line_of(len(outcomes), self.name, outcome))
        finally:
            reader.stop.set()
            reader.join(LIMIT)
        late = tuple(reader.take_failures())
        if late and outcomes:
            outcomes[-1] = replace(outcomes[-1], failures=outcomes[-1].failures + late)
        return outcomes

    def _kill_loaders(self, kills: Sequence[Kill], reader: Reader) -> Iterator[Outcome]:
        loaders = [self._loader()] if kills else []
        try:
            for left, kill in zip(reversed(range(len(kills))), kills, strict=True):
                reads, loader = reader.reads, loaders[-1]
                # A JVM's first load is slow, and of unknown length: what goes by the clock is for its second one.
                loader.start(other(self.held))
                loader.progress.wait_for(is_due(kill, 1 if kill.after else 2))
                time.sleep(kill.delay)
                was_running = loader.kill()
                hit = interrupted(loader.progress.told)
                # The next one gets ready while this one's end is judged.
                if left:
                    loaders.append(self._loader())
                held, failures = self._judge(hit)
                if not was_running:
                    failures.append(f"the loader ended by itself, see {self._log}")
                failures += self._rerun(hit.under_way or other(self.held)) + reader.take_failures()
                if reader.reads == reads:
                    failures.append("nothing was read meanwhile")
                yield Outcome("loader", kill, hit.step, held, "", reader.reads - reads, tuple(failures))
        finally:
            for loader in loaders:
                loader.kill()

    @property
    def _log(self) -> Path:
        return self._work / "loader.log"

    def _loader(self) -> Loader:
        given = {
            "store": self.name,
            "place": dict(self.subject.place),
            "packages": list(self.subject.packages),
            "options": dict(self._options),
            "log": str(self._log),
            "rows": self._rows,
        }
        return Loader(given, self._log)

    def _kill_databases(self, kills: Sequence[Kill], reader: Reader) -> Iterator[Outcome]:
        for number, kill in enumerate(kills):
            reads = reader.reads
            version = other(self.held)
            load = self._load(version)
            load.progress.wait_for(is_due(kill, 1))
            time.sleep(kill.delay)
            step = interrupted(load.progress.told).step
            self._outages.begun += 1
            self._servers.kill(self.subject.servers[0])
            # Every other time the load finds it up again when it tries once more; else it is down until that ends.
            if number % 2:
                load.wait()
            self._servers.up()
            self._outages.over += 1
            load.wait()
            hit = Interrupted(0, "", version, step) if load.error else Interrupted(1, version, "", step)
            held, failures = self._judge(hit)
            if load.error and not isinstance(load.error, EtlError):
                failures.append(f"the load ended with {load.error!r}")
            failures += self._rerun(hit.under_way or other(self.held)) + reader.take_failures()
            if reader.reads == reads:
                failures.append("nothing was read meanwhile")
            ended = f"failed ({load.error})" if load.error else "was completed"
            held = held or ("new" if step else "")
            yield Outcome("database", kill, step, held, ended, reader.reads - reads, tuple(failures))

    def _judge(self, hit: Interrupted) -> tuple[str, list[str]]:
        """What the table holds after a kill, old or new, and what is wrong with it and with the ledger."""
        deadline = time.monotonic() + LIMIT
        # What a dead loader has asked for last, the server still does: a COMMIT too.
        while sessions := self.subject.sessions():
            if time.monotonic() > deadline:
                return "", [f"{sessions} sessions of dead loads are there after {LIMIT:.0f} s"]
            time.sleep(0.02)
        found = self.subject.read()
        self.held = hit.last or self.held
        versions = [self.held, hit.under_way] if hit.under_way else [self.held]
        wrong = faults_of(found, [self.expected[version] for version in versions])
        is_new = bool(hit.under_way) and found == self.expected[hit.under_way]
        wrong += self._faults_of_ledger(hit.done + is_new)
        if is_new:
            self.held = hit.under_way
        held = ("new" if is_new else "old") if hit.under_way else ""
        return held, [f"after the kill {text}" for text in wrong]

    def _rerun(self, version: str) -> list[str]:
        """Loads `version` to the end, and returns what is wrong then."""
        load = self._load(version)
        load.wait()
        if load.error:
            return [f"the load after the kill failed: {load.error!r}"]
        self.held = version
        wrong = self._faults_of_table(version) + self._faults_of_ledger(1)
        wrong += [f"{name} was left behind" for name in self.subject.left_over()]
        return [f"after the next load {text}" for text in wrong]


def line_of(number: int, store: str, outcome: Outcome) -> str:
    place = f"in {outcome.step}" if outcome.step else "between two loads"
    held = f"the table held the {outcome.held} rows" if outcome.held else "nothing was under way"
    ended = f", the load {outcome.ended}" if outcome.ended else ""
    failed = "ok" if not outcome.failures else "FAILED\n  " + "\n  ".join(outcome.failures)
    return (
        f"{number:>3}  {store}: {outcome.what} killed {outcome.kill}, {place}{ended}; {held}; "
        f"{outcome.reads} reads: {failed}"
    )


def summary(store: str, outcomes: Sequence[Outcome]) -> str:
    lines = []
    for what in ("loader", "database"):
        ours = [outcome for outcome in outcomes if outcome.what == what]
        hit = [outcome for outcome in ours if outcome.step]
        held, steps = Counter(outcome.held for outcome in hit), Counter(outcome.step for outcome in hit)
        if ours:
            lines.append(
                f"{store}: {len(ours)} {what} kills, {len(hit)} of them during a load, which left {held['old']} times "
                f"the old rows and {held['new']} times the new ones: "
                + ", ".join(f"{step} {times}" for step, times in steps.most_common())
            )
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    reads = sum(outcome.reads for outcome in outcomes)
    lines.append(f"{'FAILED' if failed else 'ok'}: {store}, {reads:,} reads, {failed} kills with failures")
    return "\n".join(lines)


def spark_options(work: Path) -> dict[str, str]:
    """For JVMs that live for seconds."""
    (work / "java").mkdir(parents=True)
    return {
        **tomllib.loads(conf_file("local.toml").read_text(encoding="utf-8"))["spark"],
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": "2",
        # A killed JVM does not clear what it left there.
        "spark.local.dir": str(work / "java"),
        "spark.driver.extraJavaOptions": f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Djava.io.tmpdir={work / 'java'}",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }


def run_aloud(trial: Trial, loader_kills: int, database_kills: int, seed: int) -> list[Outcome]:
    """The trial's kills, drawn by `seed`, with a line for each and a summary."""
    print(f"{trial.name}: seed {seed}; a load takes {trial.seconds:.1f} s, in {len(trial.steps)} steps", flush=True)
    chance = random.Random(seed)
    outcomes = trial.run(
        trial.kills(loader_kills, chance),
        trial.kills(database_kills, chance),
        say=lambda text: print(text, flush=True),
    )
    print(summary(trial.name, outcomes), flush=True)
    return outcomes


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the trials and returns 1 if anything failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", action="append", choices=STORES, help="which one, repeatable (default: all)")
    parser.add_argument("--loader-kills", type=int, default=30, metavar="N", help="for each store (default: 30)")
    parser.add_argument("--database-kills", type=int, default=10, metavar="N", help="for each database (default: 10)")
    parser.add_argument("--rows", type=int, default=5000, metavar="N", help="of each day (default: 5000)")
    parser.add_argument("--seed", type=int, metavar="N", help="draws the same moments again (default: other ones)")
    parser.add_argument("--loader", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.loader:
        return be_loader()
    # A loader has a process group of its own, and the servers have sessions: they would outlive this process.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    work = Path(tempfile.mkdtemp(prefix="load-faults-"))
    names = list(dict.fromkeys(options.store or STORES))
    packages = sorted({package for name in names for package in STORES[name].packages})
    settings = spark_options(work)
    spark = session.start("load_faults", settings, run_id="trial", log=work / "spark.log", packages=packages)
    failed = True
    try:
        with running_servers(work / "servers", names) as servers:
            outcomes: list[Outcome] = []
            for name in names:
                trial = Trial(name, work / name, spark=spark, servers=servers, options=settings, rows=options.rows)
                outcomes += run_aloud(trial, options.loader_kills, options.database_kills, seed)
        failed = any(outcome.failures for outcome in outcomes)
    finally:
        if failed:
            print(f"the logs are kept in {work}")
        else:
            spark.stop()
            shutil.rmtree(work, ignore_errors=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
