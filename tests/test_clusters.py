"""Jobs away from this process: on a real standalone cluster, and with source, lake and exports in S3."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main
from etl_spark.core.dates import DateRange
from etl_spark.core.table import Table
from etl_spark.pipelines import PIPELINES
from tests.databases import Server, s3_client
from tests.standalone import WORKERS, Cluster, standalone_cluster

pytestmark = pytest.mark.default_spark

DAYS = DateRange(date(2024, 1, 1), date(2024, 1, 2))
RANGE = ("--start-date", str(DAYS.start), "--end-date", str(DAYS.end))
SIZE = 30
"""Of whatever a generator counts: customers, films, rows a day."""
NOT_COMPARED = {"run_id", "modified_at", "source_uri", "checksum"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of each job, in a folder whose name is not easy."""
    place = tmp_path_factory.mktemp("sour ce's")
    for name, pipeline in PIPELINES.items():
        assert pipeline.generator, f"{name} has no generator: it is not tried on a cluster"
        sizes = {size.name: SIZE for size in pipeline.generator.sizes}
        importlib.import_module(pipeline.generator.module).generate(DAYS, place / name, seed=7, **sizes)
    return place


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with standalone_cluster(tmp_path_factory.mktemp("cluster") / "machines") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, sources: Path, cluster: Cluster) -> Path:
    """The file of the cluster's place, with little for each executor; no job begins without both of them."""
    file = tmp_path_factory.mktemp("place") / "cluster.toml"
    jobs = "".join(f'[{job}]\nsource = "{sources / job}"\nmax_rejected_share = 1.0\n' for job in PIPELINES)
    file.write_text(
        f'{jobs}[submit]\nmaster = "{cluster.master}"\n[spark]\n"spark.executor.memory" = "600m"\n'
        '"spark.driver.memory" = "1g"\n"spark.sql.shuffle.partitions" = "2"\n"spark.ui.enabled" = "false"\n'
        '"spark.databricks.delta.snapshotPartitions" = "1"\n"spark.driver.host" = "localhost"\n'
        '"spark.driver.extraJavaOptions" = "-XX:TieredStopAtLevel=1"\n'
        '"spark.executor.extraJavaOptions" = "-XX:TieredStopAtLevel=1"\n'
        '"spark.cores.max" = "2"\n"spark.scheduler.minRegisteredResourcesRatio" = "1.0"\n'
        '"spark.scheduler.maxRegisteredResourcesWaitingTime" = "600s"\n'
    )
    return file


@pytest.fixture(scope="module", autouse=True)
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A job for a cluster that is not there: Spark looks for it for a minute, in which other tests run."""
    running = submit(
        "--master", "spark://127.0.0.1:9", "viewing", *RANGE, "--output", str(tmp_path_factory.mktemp("out"))
    )
    yield running
    running.terminate()
    running.wait()


@pytest.fixture(scope="module")
def here(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, place: Path) -> Callable[[str], Path]:
    """The output of a job on this machine, by its name."""

    @cache
    def run(job: str) -> Path:
        output = tmp_path_factory.mktemp(job)
        assert main([job, *RANGE, "--config", str(place), "--output", str(output), "--sink", "csv"]) == 0
        return output

    return run


def submit(*arguments: str) -> subprocess.Popen[str]:
    """As scripts/submit.sh does it."""
    return subprocess.Popen(
        [sys.executable, "-m", "etl_spark.submit", "--target", "standalone", *arguments],
        env={**os.environ, "PYTHONSAFEPATH": "1", "SPARK_LOCAL_IP": "127.0.0.1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stored(spark: SparkSession, output: str, tables: Sequence[Table]) -> Mapping[str, list[str]]:
    """All that the lake holds, as text."""
    found = {}
    for table in tables:
        names = [name for name in table.column_names if name not in NOT_COMPARED]
        rows = spark.read.format("delta").load(f"{output}/lake/{table.name}").select(*names).collect()
        found[table.name] = sorted(map(str, rows))
    return found


def files(output: Path) -> Mapping[str, bytes]:
    """The exports as CSV, by their paths; of load_audit, only that it is there."""
    return {
        str(file.relative_to(output)): b"" if "load_audit" in file.parts else file.read_bytes()
        for file in (output / "csv").rglob("*.csv")
    }


def assert_same(spark: SparkSession, job: str, there: Path, here: Path) -> None:
    tables = PIPELINES[job].tables
    assert stored(spark, str(there), tables) == stored(spark, str(here), tables)
    assert files(there) == files(here)


@pytest.mark.parametrize("job", PIPELINES)
def test_a_cluster_makes_the_same_tables(
    spark: SparkSession, cluster: Cluster, place: Path, here: Callable[[str], Path], tmp_path: Path, *, job: str
) -> None:
    there = tmp_path / "the re"
    running = submit(job, *RANGE, "--config", str(place), "--output", str(there), "--sink", "csv")
    expected = here(job)
    stdout, stderr = running.communicate(timeout=900)
    assert running.returncode == 0, stderr[-3000:]
    assert_same(spark, job, there, expected)
    # By the executors of both workers, and not by threads of the driver.
    assert all(cluster.tasks_done(worker) for worker in WORKERS)
    # As on this machine: what Spark says is in the run's log.
    assert stdout.startswith(f"done: {DAYS}\n")
    assert {json.loads(line)["level"] for line in stderr.splitlines()} == {"INFO"}


def test_a_worker_that_is_killed_changes_no_table(
    spark: SparkSession, cluster: Cluster, place: Path, here: Callable[[str], Path], tmp_path: Path
) -> None:
    expected, lost = here("viewing"), WORKERS[0]
    running = submit("viewing", *RANGE, "--config", str(place), "--output", str(tmp_path), "--sink", "csv")
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
    assert_same(spark, "viewing", tmp_path, expected)


def test_a_job_that_fails_there_ends_with_its_own_code(place: Path, tmp_path: Path) -> None:
    days = ("--start-date", "2024-01-01", "--end-date", "2024-02-01")
    running = submit("viewing", *days, "--config", str(place), "--output", str(tmp_path / "out"))
    stdout, stderr = running.communicate(timeout=600)
    assert (running.returncode, stdout) == (3, ""), stderr[-3000:]
    assert stderr.splitlines()[-1].startswith("etl-spark: ")


def test_a_cluster_that_is_not_there_is_said(nowhere: subprocess.Popen[str]) -> None:
    stdout, stderr = nowhere.communicate(timeout=600)
    assert (nowhere.returncode, stdout) == (1, ""), stderr[-3000:]
    assert "etl-spark: no standalone cluster answers there: is that its master? See " in stderr.splitlines()[-1]


def test_source_lake_and_exports_may_be_in_s3(
    spark: SparkSession, databases: Mapping[str, Server], bucket: str, sources: Path, tmp_path: Path
) -> None:
    client = s3_client(databases["s3"])
    for file in (sources / "viewing").iterdir():
        client.upload_file(str(file), "etl-spark", f"clusters/logs/{file.name}")
    there, here = f"{bucket}/clusters/output", tmp_path / "here"
    assert main(["viewing", *RANGE, "--source", f"{bucket}/clusters/logs", "--output", there]) == 0
    assert main(["viewing", *RANGE, "--source", str(sources / "viewing"), "--output", str(here)]) == 0
    tables = PIPELINES["viewing"].tables
    assert stored(spark, there, tables) == stored(spark, str(here), tables)
    known = client.list_objects_v2(Bucket="etl-spark", Prefix="clusters/output/csv/viewing_profile/")["Contents"]
    assert [one["Key"].rpartition("/")[2] for one in known] == ["data.csv"]
    body = client.get_object(Bucket="etl-spark", Key=known[0]["Key"])["Body"].read()
    assert body == next((here / "csv" / "viewing_profile").rglob("data.csv")).read_bytes()
    records = client.list_objects_v2(Bucket="etl-spark", Prefix="clusters/output/_runs/")["Contents"]
    assert len(records) == 1
