"""The committed results of data/sample, in tests/golden, and the run of a job that is held against them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyspark
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from etl_spark.cli import main
from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.table import Table
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.calendar.dim_date import DIM_DATE
from tests.standalone import Finished, Meanwhile, run_on_cluster, sample_elsewhere

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


@dataclass(frozen=True)
class SampleRun:
    """Of `job` over the sample, into `output`; `finished` if it was on a cluster."""

    job: str
    output: Path
    finished: Finished | None

    def assert_by_cluster(self) -> None:
        """Done by the executors of both workers, and not by threads of the driver; all else is as on this machine."""
        assert self.finished
        assert all(self.finished.tasks)
        assert self.finished.stdout.startswith(f"done: {' to '.join(DAYS[self.job])}\n")
        # What Spark says is in the run's log.
        assert {json.loads(line)["level"] for line in self.finished.stderr.splitlines()} == {"INFO"}


def run_sample(job: str, folder: Path, meanwhile: Meanwhile | None = None) -> SampleRun:
    """A run of `job` over the sample, in a folder whose name is not easy, into its folder `out put`."""
    return run_again(job, folder, sample_elsewhere(folder), folder / "out put", meanwhile)


def run_again(job: str, folder: Path, sources: Path, output: Path, meanwhile: Meanwhile | None = None) -> SampleRun:
    """A run into an `output` that may have been written before: by a real cluster, or in this process on Spark 3.5."""
    arguments = (job, *RANGE[job], "--output", str(output))
    if pyspark.__version__ >= "4":
        return SampleRun(job, output, run_on_cluster(folder, sources, *arguments, meanwhile=meanwhile))
    # What there is to tell of CSV is told on the default line.
    assert main([*arguments, "--source", str(sources / job), "--sink", "parquet"]) == 0
    return SampleRun(job, output, None)


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


def assert_rejected(spark: SparkSession, job: str, output: str, *, where: str = "true") -> None:
    """That the lake keeps what the committed audit counts, by reason, of the rows for which `where` holds."""
    (intake,) = PIPELINES[job].intakes
    assert intake.quarantine
    with duckdb.connect() as sql:
        expected = sql.execute(
            f"SELECT reason, sum(rows_rejected)::INT FROM '{golden(job)}/load_audit.csv' "
            f"WHERE reason <> 'All' AND rows_rejected > 0 AND {where} GROUP BY ALL"
        ).fetchall()
    rejected = spark.read.format("delta").load(f"{output}/lake/{intake.quarantine.name}")
    found = rejected.groupBy("reason").agg(F.sum("line_count").alias("count")).collect()
    assert {row["reason"]: row["count"] for row in found} == dict(expected)
    assert expected


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
