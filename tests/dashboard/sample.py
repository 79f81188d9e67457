"""The committed results of the sample, as runs export them and load them into a warehouse, without a run of Spark.

The viewing job has three ranges here: April, and its two halves, of which the second has a whole range before it. The
halves are worked out of the logs by DuckDB.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.table import Table
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.churn.tables import CHURN_CALIBRATION, CHURN_EVALUATION
from etl_spark.pipelines.viewing.tables import (
    VIEWING_DAILY,
    VIEWING_PROFILE,
)
from etl_spark.stores.ddl import MySqlDdl, RedshiftDdl
from etl_spark.stores.warehouse import LEDGER
from tests.committed import EXPORTED, golden
from tests.dashboard.demand import MADE_UP
from tests.databases import Server
from tests.places import ROOT

LOGS = ROOT / "data" / "sample" / "viewing"
FIRST_HALF, SECOND_HALF = (date(2022, 4, 1), date(2022, 4, 15)), (date(2022, 4, 16), date(2022, 4, 30))

_RUN = "'-20220501T020304Z-0a1b2c'"

_LINES = """\
SELECT strptime(parse_filename(filename, true), '%Y%m%d')::DATE AS log_date,
    upper(trim(line ->> '$._source.Contract')) AS contract, (line ->> '$._source.TotalDuration')::BIGINT AS seconds,
    CASE WHEN app IN ('CHANNEL', 'KPLUS') THEN 'tv' WHEN app IN ('MOVIE', 'VOD', 'FIMS', 'BHD') THEN 'movie'
        WHEN app IN ('CHILD', 'RELAX', 'SPORT') THEN lower(app) END AS category
FROM (SELECT *, line ->> '$._source.AppName' AS app FROM (
    SELECT filename, CASE WHEN json_valid(line) THEN line END AS line FROM read_csv(
        $logs, columns = {'line': 'VARCHAR'}, delim = '\\0', quote = '', escape = '', header = false,
        auto_detect = false, filename = true, ignore_errors = true, strict_mode = false)))
WHERE json_type(line) = 'OBJECT' AND regexp_full_match(contract, '[A-Z]{2,6}[0-9]{4,8}')
    AND json_type(line -> '$._source.TotalDuration') IN ('UBIGINT', 'BIGINT')
    AND seconds BETWEEN 1 AND 86400 AND category IS NOT NULL"""

_SUMMARY = """\
SELECT start_date, end_date, segment, count(*) AS contract_count, sum(total_seconds)::BIGINT AS total_seconds,
    round(sum(total_seconds)::DECIMAL(38,6) / count(*), 2), round(sum(total_seconds)::DECIMAL(38,6) / count(*) / 4, 2),
    round(sum(total_seconds)::DECIMAL(38,6) / count(*) / 28, 2),
    round(sum(total_seconds)::DECIMAL(38,6) / sum(active_days), 2), 15, 15
FROM (SELECT * FROM profile UNION ALL SELECT * REPLACE ('All' AS segment) FROM profile)
WHERE start_date = $start GROUP BY ALL"""

_TREND = """\
SELECT $start, $end, coalesce(a.contract, b.contract), a.most_watch, a.total_seconds, b.most_watch, b.total_seconds,
    $found, CASE WHEN $found = 0 THEN NULL WHEN b.contract IS NULL THEN 'New' WHEN a.contract IS NULL THEN 'Lost'
        WHEN a.most_watch = b.most_watch THEN 'Unchanged' ELSE 'Changed' END
FROM (SELECT * FROM profile WHERE start_date = $start) a
FULL JOIN (SELECT * FROM profile WHERE start_date = $before) b ON a.contract = b.contract"""


@dataclass(frozen=True)
class Sample:
    """`folder` is an output, as runs leave it; of each table in it, `tables` has the definition."""

    folder: Path
    tables: Mapping[str, Table]

    def place(self, table: str) -> Path:
        return self.folder / "parquet" / table

    def rows(self, table: Table) -> Iterator[list[tuple[Any, ...]]]:
        """All rows, as Python has them, some thousands at a time."""
        files = f"{_as_pattern(self.place(table.name))}/**/data.parquet"
        with duckdb.connect() as sql:
            names = ", ".join(f'"{name}"' for name in table.column_names)
            sql.execute(f"SELECT {names} FROM read_parquet('{files}', hive_partitioning = true)")
            while rows := sql.fetchmany(2_000):
                yield rows


def make_sample(folder: Path) -> Sample:
    """Writes the exports of all jobs below `folder`."""
    tables: dict[str, Table] = {}
    with duckdb.connect() as sql:
        for job in PIPELINES:
            for name, table in EXPORTED.get(job, {}).items():
                csv = golden(job) / f"{name}.csv"
                if csv.is_file():
                    _read(sql, csv, table, job)
                    tables[name] = table
        _halves(sql)
        tables["viewing_daily"] = VIEWING_DAILY
        for table, row in ((CHURN_EVALUATION, _EVALUATED), (CHURN_CALIBRATION, _CALIBRATED)):
            sql.execute(f"CREATE TABLE {table.name} ({columns_of(table)})")
            sql.executemany(f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(table.columns))})", row)
            tables[table.name] = table
        for table, rows in MADE_UP.items():
            fill(sql, table, rows)
            tables[table.name] = table
        for table in tables.values():
            write(sql, table, folder)
    return Sample(folder, tables)


_TESTED = ("2024-04-01", "2024-06-30", "test")
_EVALUATED = [
    (*_TESTED, "gradient_boosted_trees", 380, 0.47, 0.81, 0.78, 0.17, 0.04, 1.9, "depth 3", 1_100, "aeacd5ec685f558b"),
    (*_TESTED, "logistic_regression", 380, 0.47, 0.83, 0.8, 0.16, 0.03, 2.0, "penalty 0.1", 1_100, "aeacd5ec685f558b"),
    (*_TESTED, "recency", 380, 0.47, 0.74, 0.7, 0.19, 0.05, 1.7, None, 1_100, "aeacd5ec685f558b"),
]
_CALIBRATED = [
    (*_TESTED[:2], model, tenth, 38, round(0.95 - tenth / 11, 6), round(0.97 - tenth / 11, 6), round(2 - tenth / 8, 6))
    for model in ("logistic_regression", "recency")
    for tenth in range(1, 11)
]


def fill(sql: duckdb.DuckDBPyConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Makes `table`, where it is not there yet, and puts `rows` into it; what one does not name is null."""
    sql.execute(f"CREATE TABLE IF NOT EXISTS {table.name} ({columns_of(table)})")
    names = table.column_names
    # As text, all at once: a statement for each row takes seconds.
    texts = [[None if row.get(name) is None else str(row[name]) for name in names] for row in rows]
    sql.register("given", pd.DataFrame(texts, columns=pd.Index(names), dtype=object))
    sql.execute(f"INSERT INTO {table.name} FROM given")


def _read(sql: duckdb.DuckDBPyConnection, csv: Path, table: Table, job: str) -> None:
    """The committed rows, with the types of the table; of load_audit, with what is not compared."""
    sql.execute(f"CREATE TABLE IF NOT EXISTS {table.name} ({columns_of(table)})")
    found = sql.execute(f"DESCRIBE FROM read_csv('{csv}', header = true, all_varchar = true)").fetchall()
    names = [name for name, *_ in found]
    values = [f'"{name}"' for name in names]
    if table == LOAD_AUDIT:
        names += ["source_uri", "run_id", "modified_at"]
        values += ["'file:/sample'", f"split_part(pipeline, '.', 1) || {_RUN}", "'2022-05-01 01:00:00'"]
    columns = ", ".join(f'"{name}"' for name in names)
    sql.execute(
        f"INSERT INTO {table.name} ({columns}) SELECT {', '.join(values)} "
        f"FROM read_csv('{csv}', header = true, all_varchar = true)"
    )


def write_made_up(folder: Path, tables: Collection[Table] = tuple(MADE_UP), change: str = "") -> None:
    """Exports the made-up rows of `tables`, after the SQL of `change`, below `folder`."""
    with duckdb.connect() as sql:
        for table in tables:
            fill(sql, table, MADE_UP[table])
        sql.execute(change)
        for table in tables:
            write(sql, table, folder)


def _halves(sql: duckdb.DuckDBPyConnection) -> None:
    """viewing_daily, and the profiles, trends and summaries of the halves of April."""
    logs = [str(file) for file in sorted(LOGS.glob("*.json"))]
    sums = ", ".join(
        f"coalesce(sum(seconds) FILTER (category = '{one}'), 0)" for one in ("tv", "movie", "child", "relax", "sport")
    )
    sql.execute(f"CREATE TABLE viewing_daily ({columns_of(VIEWING_DAILY)})")
    sql.execute(
        f"INSERT INTO viewing_daily SELECT log_date, contract, {sums}, count(*) FROM ({_LINES}) GROUP BY ALL",
        {"logs": logs},
    )
    profile = (golden("viewing") / "viewing_profile.sql").read_text()
    sql.execute(f"CREATE TABLE profile ({columns_of(VIEWING_PROFILE)})")
    for start, end in (FIRST_HALF, SECOND_HALF):
        half = [file for file in logs if f"{start:%Y%m%d}" <= Path(file).stem <= f"{end:%Y%m%d}"]
        given = {"logs": half, "days_asked": 15, "start": start, "end": end}
        sql.execute(f"INSERT INTO profile SELECT $start::DATE, $end::DATE, * FROM ({profile})", given)
    sql.execute("INSERT INTO viewing_profile FROM profile")
    for start, end in (FIRST_HALF, SECOND_HALF):
        sql.execute(f"INSERT INTO viewing_summary {_SUMMARY}", {"start": start})
        given = {"start": start, "end": end, "found": 0 if start == FIRST_HALF[0] else 15}
        before = FIRST_HALF[0] if start == SECOND_HALF[0] else date(1999, 1, 1)
        sql.execute(f"INSERT INTO viewing_trend {_TREND}", {**given, "before": before})


def write(sql: duckdb.DuckDBPyConnection, table: Table, folder: Path, *, where: str = "true") -> None:
    """Exports the rows of `table` for which `where` holds, in place of what is there: a folder for each partition."""
    place = folder / "parquet" / table.name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    order = ", ".join(f'"{name}"' for name in table.grain)
    rows = f"(SELECT * FROM {table.name} WHERE {where} ORDER BY {order})"
    if not table.partitions:
        sql.execute(f"COPY {rows} TO '{_quoted(place)}/data.parquet' (FORMAT parquet)")
        return
    by = ", ".join(f'"{name}"' for name in table.partitions)
    sql.execute(f"COPY {rows} TO '{_quoted(place)}' (FORMAT parquet, PARTITION_BY ({by}), OVERWRITE_OR_IGNORE)")
    for file in place.rglob("data_0.parquet"):
        file.rename(file.with_name("data.parquet"))


def columns_of(table: Table) -> str:
    """The columns of `table`, with their types, in DuckDB's DDL."""
    types = {"BINARY": "BLOB"}
    return ", ".join(f'"{column.name}" {types.get(column.type, column.type)}' for column in table.columns)


def _as_pattern(path: Path) -> str:
    return re.sub(r"([\[*?])", r"[\1]", _quoted(path))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def load(sample: Sample, server: Server, database: str, filled: Collection[str]) -> None:
    """Makes the database with all tables of the sample, the rows of those `filled`, and a ledger of their loads."""
    ddl = MySqlDdl() if server.kind == "mariadb" else RedshiftDdl()
    server.create(database)
    with closing(server.connect(database)) as connection, connection.cursor() as cursor:
        for table in (LEDGER, *sample.tables.values()):
            for statement in ddl.create(table):
                cursor.execute(statement)
            if table.name not in filled:
                continue
            many = ", ".join(["%s"] * len(table.columns))
            into = f"INSERT INTO {ddl.quoted(table.name)} VALUES"
            for rows in sample.rows(table):
                if server.kind == "mariadb":
                    cursor.executemany(f"{into} ({many})", rows)
                else:
                    # Each statement costs the stand-in the same, whatever it brings.
                    for first in range(0, len(rows), 200):
                        some = rows[first : first + 200]
                        values = ", ".join([f"({many})"] * len(some))
                        cursor.execute(f"{into} {values}", [value for row in some for value in row])
            count = sum(len(rows) for rows in sample.rows(table))
            cursor.execute(
                "INSERT INTO etl_load VALUES (%s, 'run', %s, 'all', %s, '2022-05-01 02:10:00')",
                (f"load-{table.name}"[:32], table.name, count),
            )
