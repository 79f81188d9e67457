"""Jobs away from this process: on a real standalone cluster, and with source, lake and exports in S3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main
from etl_spark.core.dates import DateRange
from etl_spark.core.table import Table
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.sales.generate import generate as generate_shop
from etl_spark.pipelines.viewing.generate import generate as generate_logs
from tests.databases import Server, s3_client
from tests.standalone import Cluster, standalone_cluster

pytestmark = pytest.mark.default_spark

DAYS = DateRange(date(2024, 1, 1), date(2024, 1, 2))
RANGE = ("--start-date", str(DAYS.start), "--end-date", str(DAYS.end))
NOT_COMPARED = {"run_id", "modified_at", "source_uri", "checksum"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of each job, in a folder whose name is not easy."""
    place = tmp_path_factory.mktemp("sour ce's")
    generate_logs(DAYS, place / "viewing", seed=7, contracts=60, rows_per_day=200)
    generate_shop(DAYS, place / "sales", seed=7, customers=30, products=15, orders_per_day=5)
    return place


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with standalone_cluster(tmp_path_factory.mktemp("cluster") / "machines") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, sources: Path, cluster: Cluster) -> Path:
    """The file of the cluster's place, with little for each executor."""
    file = tmp_path_factory.mktemp("place") / "cluster.toml"
    jobs = "".join(f'[{job}]\nsource = "{sources / job}"\nmax_rejected_share = 1.0\n' for job in PIPELINES)
    file.write_text(
        f'{jobs}[submit]\nmaster = "{cluster.master}"\n[spark]\n"spark.executor.memory" = "600m"\n'
        '"spark.driver.memory" = "1g"\n"spark.sql.shuffle.partitions" = "2"\n"spark.ui.enabled" = "false"\n'
        '"spark.databricks.delta.snapshotPartitions" = "1"\n"spark.driver.host" = "localhost"\n'
        '"spark.driver.extraJavaOptions" = "-XX:TieredStopAtLevel=1"\n'
        '"spark.executor.extraJavaOptions" = "-XX:TieredStopAtLevel=1"\n'
    )
    return file


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


@pytest.mark.parametrize("job", ["viewing", "sales"])
def test_a_cluster_makes_the_same_tables(
    spark: SparkSession, cluster: Cluster, place: Path, tmp_path: Path, job: str
) -> None:
    here, there = tmp_path / "here", tmp_path / "the re"
    running = submit(job, *RANGE, "--config", str(place), "--output", str(there), "--sink", "csv")
    assert main([job, *RANGE, "--config", str(place), "--output", str(here), "--sink", "csv"]) == 0
    stdout, stderr = running.communicate(timeout=900)
    assert running.returncode == 0, stderr[-3000:]
    # As on this machine: what Spark says is in the run's log.
    assert stdout.startswith(f"done: {DAYS}\n")
    assert {json.loads(line)["level"] for line in stderr.splitlines()} == {"INFO"}
    tables = PIPELINES[job].tables
    assert stored(spark, str(there), tables) == stored(spark, str(here), tables)
    assert files(there) == files(here)
    # By the cluster's executors, and not by threads of the driver.
    assert list((cluster.folder / "work0").glob("app-*/*/stderr"))


def test_a_job_that_fails_there_ends_with_its_own_code(place: Path, tmp_path: Path) -> None:
    days = ("--start-date", "2024-01-01", "--end-date", "2024-02-01")
    running = submit("viewing", *days, "--config", str(place), "--output", str(tmp_path / "out"))
    stdout, stderr = running.communicate(timeout=600)
    assert (running.returncode, stdout) == (3, ""), stderr[-3000:]
    assert stderr.splitlines()[-1].startswith("etl-spark: ")


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
