"""The committed results of data/sample, in tests/golden, and what a run has exported beside them."""

from __future__ import annotations

from pathlib import Path

import duckdb

from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.table import Table
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.calendar.dim_date import DIM_DATE

DAYS = {
    "viewing": ("2022-04-01", "2022-04-30"),
    "sales": ("2024-01-01", "2024-03-31"),
    "rental": ("2022-01-01", "2022-12-31"),
    "churn": ("2024-04-01", "2024-06-30"),
}
"""The first and the last day that a job's committed results are of."""

RANGE = {job: ("--start-date", start, "--end-date", end) for job, (start, end) in DAYS.items()}

EXPORTED = {
    job: {table.name: table for table in pipeline.tables if table.exported and table != DIM_DATE}
    for job, pipeline in PIPELINES.items()
}
"""By job and name. dim_date is compared with Python's calendar, in tests/pipelines/calendar."""

_NOT_COMPARED = {"run_id", "source_uri", "modified_at", "checksum"}
"""Of load_audit: they differ from run to run, from checkout to checkout, from store to store."""


def golden(job: str) -> Path:
    return Path(__file__).parent / "golden" / job


def committed_tables(job: str) -> list[Table]:
    """Those with a committed result: all but the wide tables of churn, which DuckDB works out from their sources."""
    return [table for name, table in EXPORTED[job].items() if (golden(job) / f"{name}.csv").is_file()]


def of_job(job: str, table: Table) -> str:
    """SQL of which rows of `table` are of `job`: load_audit has those of others that were in the same lake before."""
    return f"split_part(pipeline, '.', 1) = '{job}'" if table == LOAD_AUDIT else "true"


def exported(output: Path, table: Table, file_format: str) -> str:
    """SQL of the table's compared columns, in order."""
    columns = ", ".join(f'"{name}"' for name in table.column_names if name not in _NOT_COMPARED)
    place = f"{output}/{file_format}/{table.name}/**/data.{file_format}"
    # A quote in a path is doubled, as SQL has it.
    literal = "'" + place.replace("'", "''") + "'"
    return f"SELECT {columns} FROM read_{file_format}({literal}, hive_partitioning = true) ORDER BY ALL"


def assert_committed(output: Path, job: str, table: Table, *, where: str = "true") -> None:
    """That `table`, as a run of `job` over the sample exported it to `output`, is the committed one.

    As far as its rows are those for which `where` holds, SQL of columns that are all text.
    """
    columns = "COLUMNS(*)::VARCHAR"
    csv = f"read_csv('{golden(job)}/{table.name}.csv', header = true, all_varchar = true)"
    with duckdb.connect() as sql:
        found, expected = (
            sql.execute(f"FROM (SELECT {columns} FROM {rows}) WHERE {where} AND {of_job(job, table)}").fetchall()
            for rows in (f"({exported(output, table, 'parquet')})", csv)
        )
    assert sorted(found, key=str) == sorted(expected, key=str), table.name
    assert found, table.name


def plain(value: object) -> object:
    try:
        return float(str(value))
    except ValueError:
        return str(value)


def assert_csv_holds_the_same(output: Path, job: str, table: Table) -> None:
    """As the Parquet export of the same run of `job`."""
    with duckdb.connect() as sql:
        parquet, csv = (
            [
                [plain(value) for value in row]
                for row in sql.execute(f"FROM ({exported(output, table, one)}) WHERE {of_job(job, table)}").fetchall()
            ]
            for one in ("parquet", "csv")
        )
    assert sorted(parquet, key=str) == sorted(csv, key=str), table.name
