"""Jobs away from this process: on a real standalone cluster, and with source, lake and exports in S3.

They run over the sample and must come to its committed results, which tests/test_golden*.py compare with those of runs
on this machine.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from etl_spark.cli import main
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.calendar.dim_date import DIM_DATE
from tests.committed import (
    DAYS,
    EXPORTED,
    RANGE,
    assert_committed,
    assert_csv_holds_the_same,
    committed_tables,
    exported,
    golden,
)
from tests.conftest import SAMPLE
from tests.databases import Server, s3_client
from tests.pipelines.calendar.test_dim_date import python_days
from tests.standalone import WORKERS, Cluster, standalone_cluster, submit

pytestmark = pytest.mark.default_spark

ON_OTHERS = {"churn"}
"""Takes in what other jobs have made: tests/test_golden_churn.py has it, and runs the job on a cluster."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, in a folder whose name is not easy."""
    return shutil.copytree(SAMPLE, tmp_path_factory.mktemp("sour ce's") / "sample")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with standalone_cluster(tmp_path_factory.mktemp("cluster") / "machines") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, sources: Path, cluster: Cluster) -> Path:
    file = tmp_path_factory.mktemp("place") / "cluster.toml"
    cluster.write_place(file, sources)
    return file


@pytest.fixture(scope="module", autouse=True)
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A job for a cluster that is not there: Spark looks for it for a minute, in which other tests run."""
    running = submit(
        "--master", "spark://127.0.0.1:9", "viewing", *RANGE["viewing"], "--output", str(tmp_path_factory.mktemp("out"))
    )
    yield running
    running.terminate()
    running.wait()


def assert_made(spark: SparkSession, job: str, output: Path) -> None:
    """All that a job exports of the sample, and what it rejects, which is in the lake alone."""
    for table in committed_tables(job):
        assert_committed(output, job, table)
    if DIM_DATE in PIPELINES[job].tables:
        with duckdb.connect() as sql:
            assert sorted(sql.execute(exported(output, DIM_DATE, "parquet")).fetchall()) == python_days()
    assert_rejected(spark, job, str(output))


def assert_rejected(spark: SparkSession, job: str, output: str, where: str = "true") -> None:
    """As the committed audit counts it, by reason, of the rows for which `where` holds."""
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


@pytest.mark.parametrize("job", [job for job in PIPELINES if job not in ON_OTHERS])
def test_a_cluster_makes_the_same_tables(
    spark: SparkSession, cluster: Cluster, place: Path, tmp_path: Path, *, job: str
) -> None:
    there = tmp_path / "the re"
    running = submit(job, *RANGE[job], "--config", str(place), "--output", str(there), "--sink", "parquet")
    stdout, stderr = running.communicate(timeout=900)
    assert running.returncode == 0, stderr[-3000:]
    assert_made(spark, job, there)
    # By the executors of both workers, and not by threads of the driver.
    assert all(cluster.tasks_done(worker) for worker in WORKERS)
    # As on this machine: what Spark says is in the run's log.
    assert stdout.startswith(f"done: {' to '.join(DAYS[job])}\n")
    assert {json.loads(line)["level"] for line in stderr.splitlines()} == {"INFO"}


def test_a_worker_that_is_killed_changes_no_table(
    spark: SparkSession, cluster: Cluster, place: Path, tmp_path: Path
) -> None:
    lost, days = WORKERS[0], RANGE["viewing"]
    running = submit("viewing", *days, "--config", str(place), "--output", str(tmp_path), "--sink", "parquet")
    while running.poll() is None and not list((tmp_path / "lake").glob("*/_delta_log/*.json")):
        time.sleep(0.05)
    assert cluster.tasks_done(lost)
    cluster.kill(lost)
    try:
        # The audit is written last.
        assert not (tmp_path / "lake" / "load_audit").exists()
        _, stderr = running.communicate(timeout=900)
    finally:
        cluster.start_worker(lost)
    assert running.returncode == 0, stderr[-3000:]
    (log,) = (tmp_path / "_runs").glob("*.log")
    assert "Lost executor" in log.read_text()
    assert_made(spark, "viewing", tmp_path)


def test_a_job_that_fails_there_ends_with_its_own_code(place: Path, tmp_path: Path) -> None:
    days = ("--start-date", "2022-04-01", "--end-date", "2022-05-01")
    running = submit("viewing", *days, "--config", str(place), "--output", str(tmp_path / "out"))
    stdout, stderr = running.communicate(timeout=600)
    assert (running.returncode, stdout) == (3, ""), stderr[-3000:]
    assert stderr.splitlines()[-1].startswith("etl-spark: ")


def test_a_cluster_that_is_not_there_is_said(nowhere: subprocess.Popen[str]) -> None:
    stdout, stderr = nowhere.communicate(timeout=600)
    assert (nowhere.returncode, stdout) == (1, ""), stderr[-3000:]
    assert "etl-spark: no standalone cluster answers there: is that its master? See " in stderr.splitlines()[-1]


def test_source_lake_and_exports_may_be_in_s3(
    spark: SparkSession, databases: Mapping[str, Server], bucket: str, tmp_path: Path
) -> None:
    """Of two days only, as each of their files is many requests."""
    days, client = ("2022-04-01", "2022-04-02"), s3_client(databases["s3"])
    logs = [SAMPLE / "viewing" / f"{day.replace('-', '')}.json" for day in days]
    for file in logs:
        client.upload_file(str(file), "etl-spark", f"clusters/logs/{file.name}")
    place = f"{bucket}/clusters/output"
    given = ["--start-date", days[0], "--end-date", days[1], "--source", f"{bucket}/clusters/logs", "--output", place]
    assert main(["viewing", *given]) == 0
    keys = [one["Key"] for one in client.list_objects_v2(Bucket="etl-spark", Prefix="clusters/output/")["Contents"]]
    for key in keys:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        client.download_file("etl-spark", key, str(tmp_path / key))
    output, tables = tmp_path / "clusters" / "output", EXPORTED["viewing"]
    for name, day in {"viewing_statistics": "log_date", "load_audit": "date"}.items():
        assert_committed(output, "viewing", tables[name], where=f"{day} IN {days}")
    assert_rejected(spark, "viewing", place, where=f"date::VARCHAR IN {days}")
    with duckdb.connect() as sql:
        statement = (golden("viewing") / "viewing_profile.sql").read_text()
        expected = sql.execute(statement, {"logs": [str(file) for file in logs], "days_asked": len(days)}).fetchall()
        found = sql.execute(exported(output, tables["viewing_profile"], "parquet")).fetchall()
    assert [row[2:] for row in found] == expected
    for table in tables.values():
        assert_csv_holds_the_same(output, "viewing", table)
    assert len([key for key in keys if "/output/csv/viewing_profile/" in key]) == 1
    assert len([key for key in keys if "/output/_runs/" in key]) == 1
