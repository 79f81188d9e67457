"""Results to look at, made once for all tests of the dashboard. No test here starts Spark."""

from __future__ import annotations

from collections.abc import Mapping

import pyspark
import pytest

from etl_spark.dashboard.results import ParquetResults, Results
from tests.dashboard.sample import Sample, load, make_sample
from tests.databases import Server

# The dashboard's packages are installed beside one Spark: it starts none, and they are the same beside the other.
collect_ignore_glob = [] if pyspark.__version__ >= "4" else ["test_*.py"]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """In a folder whose name is not easy."""
    return make_sample(tmp_path_factory.mktemp("dash") / "it's [1] out*put")


@pytest.fixture(scope="session")
def parquet(sample: Sample) -> Results:
    return ParquetResults(sample.folder)


@pytest.fixture(scope="session")
def mariadb(sample: Sample, databases: Mapping[str, Server]) -> str:
    """The URL of a MariaDB that has all tables of the sample."""
    load(sample, databases["mariadb"], "dashboard", sample.tables)
    return databases["mariadb"].url("dashboard").replace("jdbc:mariadb", "mysql+pymysql")


IN_REDSHIFT = (
    "churn_calibration",
    "churn_evaluation",
    "clv",
    "clv_model",
    "cohort",
    "demand_forecast",
    "film_utilisation",
    "forecast_backtest",
    "open_rental",
    "rental_revenue",
    "replenishment",
    "sales_by_category",
    "sales_by_country",
    "sales_by_day",
    "sales_summary",
    "viewing_statistics",
    "viewing_summary",
)
"""The tables that have rows there: a statement costs the stand-in much, and a load of all of them minutes."""


@pytest.fixture(scope="session")
def redshift(sample: Sample, databases: Mapping[str, Server]) -> str:
    """The URL of a stand-in for Redshift that has all tables of the sample, most of them empty."""
    load(sample, databases["redshift"], "dashboard", IN_REDSHIFT)
    return databases["redshift"].url("dashboard").removeprefix("jdbc:")


@pytest.fixture
def login(databases: Mapping[str, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who logs in to the warehouses, in the environment."""
    for kind, name in (("mariadb", "mysql"), ("redshift", "redshift")):
        for variable, value in databases[kind].login(name).items():
            monkeypatch.setenv(variable, value)
