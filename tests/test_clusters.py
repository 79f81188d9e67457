"""What can befall a job on a real standalone cluster; and a job with source, lake and exports in S3.

That a cluster makes the committed results of every job, also where a worker dies, is shown by tests/test_golden*.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main
from tests.committed import (
    EXPORTED,
    RANGE,
    assert_committed,
    assert_csv_holds_the_same,
    assert_rejected,
    exported,
    golden,
)
from tests.databases import Server, s3_client
from tests.places import SAMPLE
from tests.standalone import Cluster, sample_elsewhere, standalone_cluster, submit

pytestmark = pytest.mark.default_spark


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with standalone_cluster(tmp_path_factory.mktemp("cluster") / "machines") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Path:
    folder = tmp_path_factory.mktemp("place")
    cluster.write_place(folder / "cluster.toml", sample_elsewhere(folder))
    return folder / "cluster.toml"


@pytest.fixture(scope="module", autouse=True)
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A job for a cluster that is not there: Spark looks for it for a minute, in which other tests run."""
    running = submit(
        "--master", "spark://127.0.0.1:9", "viewing", *RANGE["viewing"], "--output", str(tmp_path_factory.mktemp("out"))
    )
    yield running
    running.terminate()
    running.wait()


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
