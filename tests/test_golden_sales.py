"""The sales sample end to end: committed results on both Spark lines, and the same worked out by DuckDB."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main
from etl_spark.core.table import Table
from etl_spark.pipelines.sales.generate import FAULTS
from etl_spark.pipelines.sales.pipeline import SALES
from tests.conftest import ROOT, SAMPLE
from tests.published import SINKS, Published
from tests.test_golden import exported, plain

GOLDEN = ROOT / "tests" / "golden" / "sales"
EXPORTED = [table for table in SALES.tables if table.exported and table.name != "dim_date"]
"""dim_date is compared with Python's calendar, in tests/pipelines/calendar."""


@pytest.fixture(scope="module")
def output(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("output")
    assert main(["sales", "--start-date", "2024-01-01", "--end-date", "2024-03-31", "--output", str(place)]) == 0
    return place


@pytest.mark.parametrize("table", EXPORTED, ids=lambda table: table.name)
def test_the_exports_are_the_committed_ones(output: Path, table: Table) -> None:
    with duckdb.connect() as sql:
        expected = sql.execute(f"FROM read_csv('{GOLDEN}/{table.name}.csv', all_varchar = true)").fetchall()
        found = sql.execute(f"SELECT COLUMNS(*)::VARCHAR FROM ({exported(output, table, 'parquet')})").fetchall()
    assert sorted(found, key=str) == sorted(expected, key=str)


@pytest.mark.default_spark
@pytest.mark.parametrize("sink", SINKS)
def test_a_warehouse_holds_the_same(
    sink: str, output: Path, published: Mapping[str, Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    published[sink].assert_holds_the_same(SALES, ("2024-01-01", "2024-03-31"), output, monkeypatch)


@pytest.mark.parametrize("table", EXPORTED, ids=lambda table: table.name)
def test_csv_and_parquet_hold_the_same(output: Path, table: Table) -> None:
    with duckdb.connect() as sql:
        parquet, csv = (sql.execute(exported(output, table, one)).fetchall() for one in ("parquet", "csv"))
    assert sorted([[plain(value) for value in row] for row in parquet], key=str) == sorted(
        [[plain(value) for value in row] for row in csv], key=str
    )


def test_the_star_is_what_duckdb_works_out(output: Path) -> None:
    table = next(table for table in EXPORTED if table.name == "fact_sales")
    with duckdb.connect() as sql:
        statement = (GOLDEN / "fact_sales.sql").read_text()
        expected = sql.execute(statement, {"source": str(SAMPLE / "sales")}).fetchall()
        found = sql.execute(
            f"""
            SELECT order_date, order_item_id, order_id, c.customer_id, p.product_id, quantity_sold, price_per_item,
                   line_item_total, is_return, date_key
            FROM ({exported(output, table, "parquet")})
            JOIN '{output}/parquet/dim_customer/data.parquet' c USING (customer_key)
            JOIN '{output}/parquet/dim_product/data.parquet' p USING (product_key)
            ORDER BY ALL
            """
        ).fetchall()
    assert len(found) > 4_000
    assert found == expected


def test_every_row_and_cent_is_accounted_for(output: Path) -> None:
    (file,) = (output / "_runs").glob("sales-*.json")
    total = json.loads(file.read_text())["total"]
    with duckdb.connect() as sql:
        tables = ("customers", "products", "orders", "order_items")
        lines = [sql.execute(f"SELECT count(*) FROM '{SAMPLE}/sales/{name}.csv'").fetchone() for name in tables]
        booked = sql.execute(f"SELECT sum(line_item_total) FROM '{output}/parquet/fact_sales/**/*.parquet'").fetchone()
    assert total["rows_in"] == sum(count for line in lines if line for count in line)
    assert total["rows_in"] == total["rows_accepted"] + total["rows_rejected"]
    assert Decimal(total["money_in"]) == Decimal(total["money_accepted"]) + Decimal(total["money_rejected"])
    assert (Decimal(total["money_accepted"]),) == booked


def test_the_sample_has_what_is_wrong_in_life(spark: SparkSession, output: Path) -> None:
    rejected = spark.read.format("delta").load(str(output / "lake" / "sales_rejected"))
    reasons = {(row.source_table, row.reason) for row in rejected.select("source_table", "reason").distinct().collect()}
    assert reasons >= {
        ("customers", "customer_id_missing"),
        ("customers", "registration_date_not_a_date"),
        ("products", "price_not_a_number"),
        ("products", "price_negative"),
        ("orders", "order_date_not_a_date"),
        ("order_items", "order_not_found"),
        ("order_items", "key_repeated"),
        ("order_items", "quantity_not_a_whole_number"),
    }
    assert {table for table, _ in reasons} == set(FAULTS)
