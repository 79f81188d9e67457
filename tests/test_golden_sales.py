"""The sales sample end to end: committed results on both Spark lines, and the same worked out by DuckDB."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main
from etl_spark.core.table import Table
from etl_spark.pipelines.calendar.dim_date import DIM_DATE
from etl_spark.pipelines.sales.generate import FAULTS
from etl_spark.pipelines.sales.pipeline import SALES
from tests import committed
from tests.committed import (
    DAYS,
    SampleRun,
    assert_committed,
    assert_csv_holds_the_same,
    assert_rejected,
    exported,
    golden,
    run_sample,
)
from tests.pipelines.calendar.test_dim_date import python_days
from tests.places import ROOT, SAMPLE
from tests.published import SINKS, Published
from tests.sales_analytics import SOLD, TABLES, statement

GOLDEN = golden("sales")
EXPORTED = committed.EXPORTED["sales"]
OF_RANGES = [table for table in EXPORTED.values() if table.replaces == ("start_date", "end_date")]


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    return run_sample("sales", tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def output(run: SampleRun) -> Path:
    return run.output


@pytest.mark.default_spark
def test_a_cluster_makes_it(run: SampleRun) -> None:
    run.assert_by_cluster()


@pytest.mark.parametrize("table", EXPORTED.values(), ids=EXPORTED)
def test_the_exports_are_the_committed_ones(output: Path, table: Table) -> None:
    assert_committed(output, "sales", table)


@pytest.mark.default_spark
@pytest.mark.parametrize("sink", SINKS)
def test_a_warehouse_holds_the_same(
    sink: str, output: Path, published: Mapping[str, Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Once: twice is shown by the viewing job in a fraction of the time.
    published[sink].assert_holds_the_same(SALES, DAYS["sales"], output, monkeypatch, times=1)


@pytest.mark.default_spark
@pytest.mark.parametrize("table", EXPORTED.values(), ids=EXPORTED)
def test_csv_and_parquet_hold_the_same(output: Path, table: Table) -> None:
    assert_csv_holds_the_same(output, "sales", table)


def test_what_is_rejected_is_kept(spark: SparkSession, output: Path) -> None:
    assert_rejected(spark, "sales", str(output))


def test_the_calendar_is_exported(output: Path) -> None:
    with duckdb.connect() as sql:
        assert sorted(sql.execute(exported(output, DIM_DATE, "parquet")).fetchall()) == python_days()


def test_the_star_is_what_duckdb_works_out(output: Path) -> None:
    with duckdb.connect() as sql:
        own = (GOLDEN / "fact_sales.sql").read_text()
        expected = sql.execute(own, {"source": str(SAMPLE / "sales")}).fetchall()
        found = sql.execute(
            f"""
            SELECT order_date, order_item_id, order_id, c.customer_id, p.product_id, quantity_sold, price_per_item,
                   line_item_total, is_return, date_key
            FROM ({exported(output, EXPORTED["fact_sales"], "parquet")})
            JOIN '{output}/parquet/dim_customer/data.parquet' c USING (customer_key)
            JOIN '{output}/parquet/dim_product/data.parquet' p USING (product_key)
            ORDER BY ALL
            """
        ).fetchall()
    assert len(found) > 4_000
    assert found == expected


@pytest.fixture(scope="module")
def star(output: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The exports, and `sold`: the lines of fact_sales with what their customers and products are."""
    with duckdb.connect() as sql:
        for table in EXPORTED.values():
            sql.execute(f"CREATE VIEW {table.name} AS {exported(output, table, 'parquet')}")
        sql.execute(SOLD)
        yield sql


@pytest.mark.parametrize("table", TABLES)
def test_the_analytics_are_what_duckdb_works_out(star: duckdb.DuckDBPyConnection, table: str) -> None:
    expected = star.execute(statement(table, "2024-01-01", "2024-03-31"))
    columns = ", ".join(str(column[0]) for column in expected.description or ())
    rows = sorted(expected.fetchall(), key=str)
    assert len(rows) > 7
    assert sorted(star.execute(f"SELECT {columns} FROM {table}").fetchall(), key=str) == rows


def test_the_statements_of_the_source_differ_where_the_docs_say(star: duckdb.DuckDBPyConnection) -> None:
    """docs/sales.md lists the differences, and here is each of them, and nothing else."""
    star.execute("CREATE VIEW DimCustomer AS FROM dim_customer")
    star.execute("CREATE VIEW DimProduct AS FROM dim_product")
    star.execute("CREATE VIEW DimTime AS SELECT DISTINCT date_key AS time_key, order_date AS date FROM fact_sales")
    star.execute("CREATE VIEW FactSales AS SELECT *, date_key AS time_key FROM fact_sales")
    for view in (GOLDEN / "source.sql").read_text().split(";\n\n"):
        star.execute(view)

    def rows(query: str) -> list[tuple[Any, ...]]:
        return star.execute(query).fetchall()

    # Cohorts: orders before the registration are of month 0, and those of nobody are not there.
    assert rows("SELECT count(*) FROM source_cohort WHERE month_index < 0") > [(0,)]
    assert rows("SELECT count(*) FROM source_cohort WHERE cohort_month IS NULL") > [(0,)]
    assert (
        rows("""
        (SELECT strptime(cohort_month, '%Y-%m')::DATE, greatest(month_index, 0), sum(total_spending) AS spent
         FROM source_cohort WHERE cohort_month IS NOT NULL GROUP BY ALL)
        EXCEPT SELECT cohort_month, month_index, total_spending FROM cohort
    """)
        == []
    )
    # Pairs: returns, what is not known and rare pairs count there.
    assert (
        rows("""
        SELECT product1, product2, co_purchase_count, order_count
        FROM source_co_purchase
        LEFT JOIN (
            SELECT one.product_name AS product1, other.product_name AS product2, sum(order_count) AS order_count
            FROM co_purchase
            JOIN dim_product one ON one.product_key = product_key_1
            JOIN dim_product other ON other.product_key = product_key_2
            GROUP BY ALL
        ) USING (product1, product2)
        WHERE product1 IS NOT NULL AND product2 IS NOT NULL AND co_purchase_count >= 2
            AND co_purchase_count IS DISTINCT FROM order_count
            AND (product1, product2) NOT IN (
                SELECT (one.product_name, other.product_name)
                FROM sold back
                JOIN fact_sales USING (order_id)
                JOIN dim_product one ON one.product_key = least(back.product_key, fact_sales.product_key)
                JOIN dim_product other ON other.product_key = greatest(back.product_key, fact_sales.product_key)
                WHERE back.is_return
            )
    """)
        == []
    )
    # RFM: 1 is the most recent there; returns are orders; equal values get scores by chance; nobody is a customer.
    alike = "FROM rfm JOIN source_rfm AS s USING (customer_key) JOIN without_returns USING (customer_key)"
    star.execute(
        "CREATE VIEW without_returns AS SELECT customer_key FROM sold GROUP BY ALL HAVING NOT bool_or(is_return)"
    )
    assert (
        rows(f"""
        SELECT * {alike} WHERE rfm.last_order_date <> s.last_order_date OR rfm.frequency <> s.frequency
    """)
        == []
    )
    assert rows("SELECT * FROM rfm JOIN source_rfm AS s USING (customer_key) WHERE monetary <> monetary_value") == []
    assert rows("SELECT customer_key FROM source_rfm EXCEPT SELECT customer_key FROM rfm") == [(-1,)]
    assert rows("SELECT avg(s.r_score) FROM source_rfm AS s JOIN rfm USING (customer_key) WHERE rfm.r_score = 5") < [
        (2,)
    ]
    assert rows(f"SELECT max(abs(rfm.m_score - s.m_score)) {alike}") <= [(1,)]
    split = "FROM source_rfm GROUP BY frequency HAVING count(DISTINCT f_score) > 1"
    assert rows(f"SELECT count(*) FROM (SELECT frequency {split})") > [(0,)]
    # Lifetime value: a customer of one day has no frequency a year, where there it is 0.
    assert (
        rows("""
        SELECT * FROM clv JOIN source_clv AS s USING (customer_key) JOIN without_returns USING (customer_key)
        WHERE clv.total_spending <> s.total_spending OR clv.order_count <> s.total_orders
            OR abs(lifespan_years - customer_lifespan_years) > 1e-6
            OR abs(clv.average_purchase_value - s.average_purchase_value) > 1e-4
            OR abs(coalesce(orders_per_year, 0) - purchase_frequency_per_year) > 1e-6 * greatest(orders_per_year, 1)
    """)
        == []
    )
    assert rows("""
        SELECT DISTINCT purchase_frequency_per_year
        FROM clv JOIN source_clv USING (customer_key) JOIN without_returns USING (customer_key)
        WHERE orders_per_year IS NULL
    """) == [(0,)]


@pytest.mark.parametrize("table", OF_RANGES, ids=lambda table: table.name)
def test_the_docs_say_of_each_column_what_the_table_says(table: Table) -> None:
    text = (ROOT / "docs" / "sales.md").read_text(encoding="utf-8")
    keys = {"order_date", "category", "country", "product_key"} if table.name.startswith("sales_by_") else set()
    for column in table.columns:
        if column.name not in {"start_date", "end_date"} | keys:
            kind = column.type + (" or null" if column.nullable else "")
            assert f"| {column.name} | {kind} | {column.doc} | " in text


@pytest.mark.default_spark
def test_a_day_without_an_order_has_its_tables(spark: SparkSession, tmp_path: Path) -> None:
    # Orders without a sound date are read whatever is asked for, and here are all that is.
    (tmp_path / "any_share.toml").write_text("[sales]\nmax_rejected_share = 1.0\n")
    place = ["--source", str(SAMPLE / "sales"), "--config", str(tmp_path / "any_share.toml"), "--sink", "parquet"]
    days = ["--start-date", "2024-08-01", "--end-date", "2024-08-01"]
    assert main(["sales", *days, *place, "--output", str(tmp_path)]) == 0
    with duckdb.connect() as sql:
        counts = {}
        for table in OF_RANGES:
            if list((tmp_path / "parquet" / table.name).rglob("data.parquet")):
                (counts[table.name],) = (
                    sql.execute(f"SELECT count(*) FROM ({exported(tmp_path, table, 'parquet')})").fetchone() or ()
                )
        ((orders, sales),) = sql.execute(
            f"SELECT order_count, net_sales FROM read_parquet('{tmp_path}/parquet/sales_summary/**/data.parquet')"
        ).fetchall()
    assert (orders, sales) == (0, 0)
    cohorts = counts.pop("cohort")
    assert cohorts > 12
    assert {name: count for name, count in counts.items() if count} == {
        "sales_by_day": 1,
        "sales_summary": 1,
        "clv_model": 1,
    }


def test_the_analytics_come_to_the_money_of_the_star(star: duckdb.DuckDBPyConnection) -> None:
    tables = {"net_sales": [*TABLES[:4], "sales_summary"], "monetary": ["rfm"], "total_spending": ["clv", "cohort"]}
    sums = {
        table: star.execute(f"SELECT sum({column}) FROM {table}").fetchone()
        for column, names in tables.items()
        for table in names
    }
    summary = "SELECT net_sales, net_sales - unknown_customer_sales, no_cohort_sales FROM sales_summary"
    ((total, of_customers, without_cohort),) = star.execute(summary).fetchall()
    assert star.execute("SELECT sum(line_item_total) FROM fact_sales").fetchone() == (total,)
    assert total > of_customers > 0
    assert {sums.pop(table) for table in ("rfm", "clv")} == {(of_customers,)}
    assert sums.pop("cohort") == (of_customers - without_cohort,)
    assert set(sums.values()) == {(total,)}


def test_every_row_and_cent_is_accounted_for(output: Path) -> None:
    (file,) = (output / "_runs").glob("sales-*.json")
    total = json.loads(file.read_text())["total"]
    with duckdb.connect() as sql:
        tables = ("customers", "products", "orders", "order_items")
        lines = [sql.execute(f"SELECT count(*) FROM '{SAMPLE}/sales/{name}.csv'").fetchone() for name in tables]
        booked = sql.execute(f"SELECT sum(line_item_total) FROM '{output}/parquet/fact_sales/**/*.parquet'").fetchone()
    assert total["rows_in"] + total["rows_outside"] == sum(count for line in lines if line for count in line)
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
