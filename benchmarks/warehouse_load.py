"""A month's profiles into MariaDB: a load of this project, LOAD DATA LOCAL INFILE, and appends by Spark's JDBC.

    python benchmarks/warehouse_load.py

Each way loads the same rows into an empty table of the same definition, its primary key included, in turn, three times;
the append that sends row by row, once. What comes before is not timed: making the rows and the file, the start of Spark
and of the server, a first small load. After each load the table must hold every row, byte by byte.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path

import duckdb
import pymysql
import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame, SparkSession

# A script has its own folder on its path, and not the one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import machine, quoted
from etl_spark import config, session
from etl_spark.config import Credentials, conf_file
from etl_spark.core.dates import DateRange
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.sinks import MYSQL_DRIVERS, MySqlSink
from etl_spark.core.table import Scope
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.viewing.profile import activeness, most_watch, segment, taste, total_seconds
from etl_spark.pipelines.viewing.settings import ViewingSettings
from etl_spark.pipelines.viewing.tables import SECONDS_COLUMNS, VIEWING_PROFILE
from etl_spark.stores.ddl import MySqlDdl
from etl_spark.stores.lake import Lake
from etl_spark.stores.mysql import MySql
from tests.databases import Server, exported_variables

ROOT = Path(__file__).resolve().parents[1]
APRIL = DateRange(date(2022, 4, 1), date(2022, 4, 30))
SCOPE: Scope = ({"start_date": APRIL.start, "end_date": APRIL.end},)
PREFIXES = ("HNH", "SGH", "DNH", "HPH")
MOST_ROWS = 1_000_000 * len(PREFIXES)
WARM_UP = 20_000
LIMIT = 3.0
"""Times the seconds of LOAD DATA that a load may take."""
OURS, INFILE = "etl-spark", "LOAD DATA LOCAL INFILE"
PLAIN_APPEND, BULK_APPEND = "Spark's JDBC append", "Spark's JDBC append, MariaDB's driver"
"""The first is what Spark does with a jdbc:mysql URL if nothing else is said: MySQL's own driver sends row by row. The
driver of the second has to be named, and told that such a URL is meant for it; it sends a batch at a time."""

Load = Callable[[str], None]
"""Loads the rows into the table in the database of this name."""
NUMBERS = count()


@dataclass(frozen=True)
class Rows:
    """The rows, as a run leaves them in the lake, and as a file of lines with tabs between the values."""

    lake: Lake
    file: Path
    total: tuple[int, int]
    """How many there are, and the sum of the CRC of each one's line."""

    @property
    def df(self) -> DataFrame:
        return self.lake.read(VIEWING_PROFILE, SCOPE)


def profiles(spark: SparkSession, rows: int) -> DataFrame:
    """A viewing_profile of `rows` contracts: most of them watch TV, some a few other things, on some days of the month.

    The same rows each time, in no order.
    """
    settings = config.load("viewing", ViewingSettings, pipelines=PIPELINES).settings
    number = F.lpad((F.floor(F.col("id") / len(PREFIXES)) * 700_001 % 1_000_000).cast("string"), 6, "0")
    prefix = F.element_at(F.array(*map(F.lit, PREFIXES)), (F.col("id") % len(PREFIXES) + 1).cast("int"))
    watched = {
        name: F.when(drawn(name, 100) < share, 1 + drawn(f"{name}?", 40_000) * F.col("active_days"))
        for name, share in zip(SECONDS_COLUMNS, (92, 25, 12, 14, 4), strict=True)
    }
    seconds = {name: F.coalesce(value, F.lit(0)) for name, value in watched.items()}
    return (
        spark.range(rows)
        .withColumns({"start_date": F.lit(APRIL.start), "end_date": F.lit(APRIL.end)})
        .withColumns({"contract": F.concat(prefix, number), "active_days": (1 + drawn("days", 30)).cast("int")})
        .withColumns(seconds)
        # Who watches nothing has no row.
        .withColumn("tv_seconds", F.greatest("tv_seconds", F.lit(1)))
        .withColumns({"total_seconds": total_seconds(), "most_watch": most_watch(), "taste": taste()})
        .withColumns({"activeness": activeness(len(APRIL)), "segment": segment(len(APRIL), settings.segments)})
        .drop("id")
    )


def drawn(what: str, below: int) -> Column:
    """A number from 0 that is the same for a contract each time."""
    return F.pmod(F.xxhash64("id", F.lit(what)), F.lit(below))


def make_rows(spark: SparkSession, rows: int, folder: Path) -> Rows:
    lake = Lake(spark, FileSystem(spark, str(folder)))
    lake.write(VIEWING_PROFILE.conform(profiles(spark, rows)), VIEWING_PROFILE, SCOPE)
    file = folder / "rows.tsv"
    names = ", ".join(VIEWING_PROFILE.column_names)
    files = quoted(folder / "lake" / VIEWING_PROFILE.name)
    with duckdb.connect() as db:
        db.execute(
            f"COPY (SELECT {names} FROM read_parquet('{files}/**/*.parquet', hive_partitioning = true)) "
            f"TO '{quoted(file)}' (FORMAT csv, DELIMITER '\t', HEADER false, QUOTE '')"
        )
    with file.open("rb") as lines:
        crcs = [zlib.crc32(line.rstrip(b"\n")) for line in lines]
    return Rows(lake, file, (len(crcs), sum(crcs)))


@dataclass(frozen=True)
class Warehouse:
    """The MariaDB that is loaded, and the three ways to do it."""

    server: Server

    def ways(self, rows: Rows) -> Mapping[str, Load]:
        return {
            INFILE: lambda database: self.load_infile(rows, database),
            BULK_APPEND: lambda database: self.append(rows, database, "mariadb"),
            PLAIN_APPEND: lambda database: self.append(rows, database, "mysql"),
            OURS: lambda database: self.load(rows, database),
        }

    def load(self, rows: Rows, database: str) -> None:
        credentials = Credentials(self.server.user, self.server.password)
        MySql(MySqlSink(self.server.url(database)), credentials, "benchmark").write(rows.df, VIEWING_PROFILE, SCOPE)

    def append(self, rows: Rows, database: str, driver: str) -> None:
        drivers = {"mariadb": "org.mariadb.jdbc.Driver", "mysql": "com.mysql.cj.jdbc.Driver"}
        # By mysql Spark knows how names are quoted, and by the option MariaDB's driver knows that it is meant.
        option = "?permitMysqlScheme=true" if driver == "mariadb" else ""
        options = {
            "url": f"jdbc:mysql://{self.server.host}:{self.server.port}/{database}{option}",
            "driver": drivers[driver],
            "user": self.server.user,
            "password": self.server.password,
            "dbtable": VIEWING_PROFILE.name,
        }
        rows.df.write.format("jdbc").mode("append").options(**options).save()

    def load_infile(self, rows: Rows, database: str) -> None:
        server = self.server
        with pymysql.connect(
            host=server.host,
            port=int(server.port),
            user=server.user,
            password=server.password,
            database=database,
            autocommit=True,
            local_infile=True,
        ) as connection:
            connection.cursor().execute(
                f"LOAD DATA LOCAL INFILE '{quoted(rows.file)}' INTO TABLE {VIEWING_PROFILE.name} "
                f"CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\\t' ESCAPED BY ''"
            )

    def make(self, database: str) -> None:
        self.server.create(database)
        for statement in MySqlDdl().create(VIEWING_PROFILE):
            self.server.run(statement, database)

    def drop(self, database: str) -> None:
        self.server.run(f"DROP DATABASE {database}")

    def verify(self, rows: Rows, database: str) -> None:
        """Raises RuntimeError where the table does not hold exactly the rows."""
        line = f"CONCAT_WS('\t', {', '.join(VIEWING_PROFILE.column_names)})"
        ((found, crc),) = self.server.rows(f"SELECT COUNT(*), SUM(CRC32({line})) FROM {VIEWING_PROFILE.name}", database)
        if (found, int(crc or 0)) != rows.total:
            raise RuntimeError(f"{database} holds {(found, crc)} and not {rows.total}: rows, sum of their CRC")


@contextmanager
def mariadb(folder: Path) -> Iterator[Server]:
    """A server of this benchmark alone."""
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    services = folder / "scripts" / "services.sh"
    try:
        subprocess.run([services, "up", "mariadb"], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        yield Server.of("mariadb", exported_variables(folder / ".services" / "env"))
    finally:
        subprocess.run([services, "down", "--purge"], check=True, stdout=subprocess.DEVNULL)


def start_spark(driver_memory: str, folder: Path) -> SparkSession:
    options = tomllib.loads(conf_file("local.toml").read_text(encoding="utf-8"))["spark"]
    options = {**options, "spark.driver.memory": driver_memory}
    packages = sorted(MYSQL_DRIVERS.values())
    return session.start("benchmark", options, run_id="benchmark", log=folder / "spark.log", packages=packages)


def measure(warehouse: Warehouse, rows: Rows, times: int, left_out: Set[str]) -> dict[str, list[float]]:
    """The seconds that each way took, each time, and those of a load over rows that are there."""
    taken: dict[str, list[float]] = {}
    for number in range(times):
        for name, load in warehouse.ways(rows).items():
            if name in left_out or (name == PLAIN_APPEND and number):
                continue
            database = f"load_{next(NUMBERS)}"
            warehouse.make(database)
            for case in (name, f"{name}, over the same rows") if name == OURS else (name,):
                started = time.monotonic()
                load(database)
                taken.setdefault(case, []).append(time.monotonic() - started)
                warehouse.verify(rows, database)
                print(f"{number + 1} of {times}: {case}: {taken[case][-1]:.1f} s", flush=True)
            warehouse.drop(database)
    return taken


def table(taken: Mapping[str, Sequence[float]], rows: int) -> str:
    peer = statistics.median(taken[INFILE])
    lines = ["| way | median s | ratio to LOAD DATA | rows/s | each s |", "|---|---:|---:|---:|---|"]
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        each = ", ".join(f"{one:.1f}" for one in seconds)
        lines.append(f"| {name} | {median:.1f} | {median / peer:.2f} | {rows / median:,.0f} | {each} |")
    return "\n".join(lines)


def failures(taken: Mapping[str, Sequence[float]]) -> list[str]:
    """What is slower than it may be."""
    ours, infile = (statistics.median(taken[name]) for name in (OURS, INFILE))
    said = []
    if ours > LIMIT * infile:
        said.append(f"a load took {ours / infile:.2f} times as long as LOAD DATA, more than {LIMIT}")
    plain = taken.get(PLAIN_APPEND)
    if plain and ours >= statistics.median(plain):
        said.append(f"a load took {ours / statistics.median(plain):.2f} times as long as Spark's append")
    return said


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; 1 where a load is too slow, or rows are not what they must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_900_000, metavar="N", help="rows (default: 1,900,000)")
    parser.add_argument("--times", type=int, default=3, metavar="N", help="loads in each way (default: 3)")
    parser.add_argument("--no-slow-append", action="store_true", help="leave out the append row by row, of minutes")
    parser.add_argument("--driver-memory", default="2g", metavar="SIZE", help="spark.driver.memory (default: 2g)")
    options = parser.parse_args(argv)
    if not 1 <= options.rows <= MOST_ROWS:
        parser.error(f"--rows is a number up to {MOST_ROWS:,}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="warehouse_load-") as folder, mariadb(Path(folder)) as server:
        spark = start_spark(options.driver_memory, Path(folder))
        warehouse = Warehouse(server)
        for rows in (WARM_UP, options.rows):
            made = make_rows(spark, rows, Path(folder) / f"rows_{rows}")
            times = 1 if rows == WARM_UP else options.times
            left_out = {PLAIN_APPEND} if options.no_slow_append else set()
            taken = measure(warehouse, made, times, left_out)
        spark.stop()
    print(f"\n{table(taken, options.rows)}\n")
    # The rest is of memory, which is not measured here.
    print(f"{machine().partition(chr(10))[0]}; driver memory {options.driver_memory}")
    slow = failures(taken)
    print("".join(f"FAILED: {one}\n" for one in slow), end="", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
