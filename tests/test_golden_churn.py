"""The churn sample end to end: committed results on both Spark lines, and all features worked out by DuckDB."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from textblob.en import sentiment

from etl_spark.cli import main
from etl_spark.core.table import Table
from etl_spark.pipelines.churn.pipeline import CHURN
from etl_spark.pipelines.churn.tables import CHURN_DATASET, CHURN_FEATURE, CHURN_SCORING, CHURN_TRAINING
from tests.churn_sources import posts, profiles, web_events
from tests.conftest import ROOT, SAMPLE
from tests.published import SINKS, Published
from tests.star import star_alone
from tests.test_golden import exported, plain

GOLDEN = ROOT / "tests" / "golden" / "churn"
DAYS = ("2024-04-01", "2024-06-30")
EXPORTED = [table for table in CHURN.tables if table.exported]


def churn(output: Path, first: str, last: str, *options: str) -> dict[str, Any]:
    """The record of a run."""
    before = set((output / "_runs").glob("churn-*.json"))
    assert main(["churn", "--start-date", first, "--end-date", last, "--output", str(output), *options]) == 0
    (record,) = set((output / "_runs").glob("churn-*.json")) - before
    found = json.loads(record.read_text())
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def output(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shorter range before the whole one, so that most of that stands there already."""
    place = tmp_path_factory.mktemp("output")
    with star_alone():
        sales = ["--start-date", "2024-01-01", "--end-date", "2024-07-31", "--sink", "parquet"]
        assert main(["sales", *sales, "--output", str(place)]) == 0
    assert main(["stream", "social", "--once", "--output", str(place)]) == 0
    return place


@pytest.fixture(scope="module")
def records(output: Path) -> list[dict[str, Any]]:
    """Those of a run over the first weeks, and of one over the whole range."""
    return [churn(output, DAYS[0], "2024-06-10", "--sink", "parquet"), churn(output, *DAYS)]


@pytest.fixture(scope="module")
def sql(output: Path, records: object) -> Iterator[duckdb.DuckDBPyConnection]:
    """What the sources tell, and what was made of it."""
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        source = SAMPLE / "churn"
        post = posts(source / "social")
        post["sentiment"] = [None if text is None else round(sentiment(text)[0], 4) for text in post["text"]]
        for name, frame in (
            ("event", web_events(source / "web")),
            ("profile", profiles(source / "profiles")),
            ("post", post),
        ):
            times = [column for column in frame.columns if column.endswith("_at")]
            connection.register("frame", frame.assign(**{one: pd.to_datetime(frame[one], utc=True) for one in times}))
            days = ", ".join(f"{column}::DATE AS {column}" for column in frame.columns if column.endswith("_date"))
            stamps = ", ".join(f"{one} AT TIME ZONE 'UTC' AS {one}" for one in times)
            connection.execute(f"CREATE TABLE {name} AS SELECT * REPLACE ({days}, {stamps}) FROM frame")
        connection.execute(
            f"""
            CREATE TABLE line AS
            SELECT customer_id, order_id, order_date, coalesce(category, '(unknown)') AS category,
                quantity_sold AS quantity, line_item_total AS total
            FROM read_parquet('{output}/parquet/fact_sales/*/*.parquet', hive_partitioning = true)
            JOIN '{output}/parquet/dim_customer/data.parquet' USING (customer_key)
            JOIN '{output}/parquet/dim_product/data.parquet' USING (product_key)
            WHERE customer_key <> -1
            """
        )
        connection.execute(f"CREATE TABLE expected AS {(GOLDEN / 'features.sql').read_text()}")
        for table in EXPORTED:
            connection.execute(f"CREATE VIEW {table.name} AS {exported(output, table, 'parquet')}")
        yield connection


@pytest.mark.parametrize("table", [CHURN_TRAINING, CHURN_SCORING], ids=lambda table: table.name)
def test_every_feature_is_what_duckdb_works_out(sql: duckdb.DuckDBPyConnection, table: Table) -> None:
    names = [name for name in table.column_names if name != "split"]
    newest = "" if table is CHURN_TRAINING else "WHERE snapshot_date = DATE '2024-06-24'"

    def values(source: str) -> list[tuple[Any, ...]]:
        rows = sql.execute(f"SELECT {', '.join(names)} FROM {source} ORDER BY snapshot_date, customer_id").fetchall()
        return [tuple(map(rounded, row)) for row in rows]

    found = values(table.name)
    assert len(found) > 350
    assert found == values(f"(FROM expected {newest})")


def rounded(value: Any) -> Any:
    """A number as far as it is stored: a mean has six decimals."""
    is_number = isinstance(plain(value), float) and not isinstance(value, bool)
    return round(float(value), 5) if is_number else value


@pytest.mark.parametrize("table", [CHURN_DATASET, CHURN_FEATURE], ids=lambda table: table.name)
def test_the_exports_are_the_committed_ones(sql: duckdb.DuckDBPyConnection, table: Table) -> None:
    expected = sql.execute(f"FROM read_csv('{GOLDEN}/{table.name}.csv', all_varchar = true)").fetchall()
    found = sql.execute(f"SELECT COLUMNS(*)::VARCHAR FROM {table.name}").fetchall()
    assert sorted(found, key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("table", EXPORTED, ids=lambda table: table.name)
def test_csv_and_parquet_hold_the_same(sql: duckdb.DuckDBPyConnection, output: Path, table: Table) -> None:
    if table.name != "load_audit":
        parquet, csv = (sql.execute(exported(output, table, one)).fetchall() for one in ("parquet", "csv"))
        assert sorted([[plain(value) for value in row] for row in parquet], key=str) == sorted(
            [[plain(value) for value in row] for row in csv], key=str
        )


def test_a_longer_range_costs_only_new_days(records: list[dict[str, Any]], output: Path) -> None:
    first, second = records
    assert len(first["days_read"]) == first["days_found"] == 160
    assert (len(second["days_read"]), second["days_found"]) == (14, 174)
    assert (first["extracts_read"][-1], second["extracts_read"]) == ("2024-05-31", [])
    again = churn(output, *DAYS, "--sink", "parquet")
    assert (again["days_read"], again["extracts_read"]) == ([], [])
    assert not any("customer_activity_daily" in name for name in again["times"])


@pytest.mark.default_spark
@pytest.mark.parametrize("sink", SINKS)
def test_a_warehouse_holds_the_same(
    sink: str,
    output: Path,
    records: object,
    published: Mapping[str, Published],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published[sink].assert_holds_the_same(CHURN, DAYS, output, monkeypatch, times=1)
