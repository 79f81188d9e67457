"""What all tests share: one Spark session for the whole run, in UTC, and short ways to make rows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

import pyspark
import pytest
from moto import mock_aws
from pyspark.sql import DataFrame, SparkSession

from etl_spark import config, session
from etl_spark.core.database import DIALECTS
from etl_spark.core.sinks import MYSQL_DRIVERS
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.viewing.settings import LogRules, ViewingSettings
from etl_spark.pipelines.viewing.tables import VIEWING_DAILY
from tests.databases import Server, exported_variables, s3a_settings
from tests.places import ROOT
from tests.published import Published
from tests.stores.shop import ROLE

Daily = Callable[..., DataFrame]

LONG = (
    "test_golden_churn.py",
    "stores/test_warehouses.py",
    "test_golden_rental.py",
    "test_runs.py",
    "test_forget.py",
    "test_golden_sales.py",
    "test_load_faults.py",
    "test_faults.py",
    "test_sales_runs.py",
    "test_rental_runs.py",
    "dashboard/test_browser.py",
    "test_golden.py",
    "test_canary.py",
    "test_forecast_runs.py",
    "stores/test_stores.py",
    "test_clusters.py",
    "pipelines/churn/test_evaluation.py",
    "test_stream.py",
    "pipelines/churn/test_snapshots.py",
    "pipelines/forecast/test_forecasts.py",
    "test_churn_from_aws.py",
    "test_flat_runs.py",
    "test_stream_faults.py",
)
"""The files that take minutes, the longest first, by what they took on two shared cores."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: workers that share the files in this order end at about the same time."""
    places = {ROOT / "tests" / name: place for place, name in enumerate(LONG)}
    assert all(file.is_file() for file in places), "there is no such file any more"
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    local = tomllib.loads((ROOT / "conf" / "local.toml").read_text())["spark"]
    options = {
        **local,
        "spark.sql.shuffle.partitions": "2",
        # A test run is too short for the best compiler to pay: this halves its time. All that Spark generates has to
        # have room, or the JVM sweeps it away again and again.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m",
    }
    log = tmp_path_factory.mktemp("spark") / "spark.log"
    packages = {dialect.package for dialect in DIALECTS.values()} | set(MYSQL_DRIVERS.values())
    # What loads by way of S3 is tested on the default line: the other line's client would be 300 MB more.
    s3 = session.s3_packages() if pyspark.__version__ >= "4" else []
    yield session.start("tests", options, run_id="tests", log=log, packages=sorted({*packages, *s3}))


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Server]]:
    """The servers of this test run alone, by kind: postgresql, mariadb, redshift, s3."""
    folder = tmp_path_factory.mktemp("databases")
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    services = folder / "scripts" / "services.sh"
    environment = {**os.environ, "SERVICES_PYTHON": sys.executable}
    subprocess.run([services, "up"], env=environment, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    variables = exported_variables(folder / ".services" / "env")
    yield {kind: Server.of(kind, variables) for kind in ("postgresql", "mariadb", "redshift", "s3")}
    subprocess.run([services, "down", "--purge"], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def bucket(spark: SparkSession, databases: Mapping[str, Server]) -> str:
    """A bucket in the S3 of this test run, as Spark names it."""
    bucket = "etl-spark"
    for name, value in s3a_settings(databases["s3"], bucket).items():
        spark._jsc.hadoopConfiguration().set(name, value)
    return f"s3a://{bucket}"


@contextmanager
def aws() -> Iterator[None]:
    """An empty account at AWS, which is moto's, in this process; there is no other that could be reached."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        with mock_aws():
            yield


@pytest.fixture
def aws_account() -> Iterator[None]:
    with aws():
        yield


@pytest.fixture(scope="session")
def published(databases: Mapping[str, Server], bucket: str) -> Mapping[str, Published]:
    """How to load what a run has left into a warehouse, by the name of its sink."""
    copy = f'temporary = "{bucket}/published"\niam_role = "{ROLE}"\n'
    return {
        "mysql": Published("mysql", databases["mariadb"]),
        "redshift": Published("redshift", databases["redshift"], copy),
    }


@pytest.fixture(scope="session")
def settings() -> ViewingSettings:
    """The viewing job's settings as shipped."""
    loaded = config.load("viewing", ViewingSettings, pipelines=PIPELINES).settings
    assert isinstance(loaded, ViewingSettings)
    return loaded


@pytest.fixture(scope="session")
def rules(settings: ViewingSettings) -> LogRules:
    return settings.rules


@pytest.fixture
def daily(spark: SparkSession) -> Daily:
    """Makes viewing_daily of dicts; what a dict leaves out is 2022-04-01, A1, no seconds, one line."""

    def make(*rows: dict[str, Any]) -> DataFrame:
        default = dict.fromkeys(VIEWING_DAILY.column_names, 0) | {
            "log_date": date(2022, 4, 1),
            "contract": "A1",
            "record_count": 1,
        }
        full = [tuple((default | row)[name] for name in VIEWING_DAILY.column_names) for row in rows]
        return spark.createDataFrame(full, VIEWING_DAILY.schema)

    return make
