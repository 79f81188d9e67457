"""UCI Online Retail through its mapping: rows, money, returns and repeated lines as DuckDB finds them in the files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from etl_spark.cli import main
from tests.places import ROOT

LINES = """
CREATE TABLE lines AS SELECT
    InvoiceNo AS order_id, nullif(trim(StockCode), '') AS product_id, nullif(trim(Description), '') AS product_name,
    Quantity::INTEGER AS quantity, InvoiceDate::TIMESTAMP AS billed_at, UnitPrice::DECIMAL(18, 4) AS price,
    split_part(CustomerID, '.', 1) AS customer_id, nullif(trim(Country), '') AS country,
    (Quantity::INTEGER * UnitPrice::DECIMAL(18, 4))::DECIMAL(18, 4) AS total,
    min(InvoiceDate::TIMESTAMP) OVER (PARTITION BY InvoiceNo)::DATE AS order_date,
    row_number() OVER (
        PARTITION BY InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country
    ) > 1 AS is_repeated
FROM read_csv($source || '/*.csv', all_varchar = true, header = true)
"""
LINES_BOOKED = """
SELECT order_date, order_id, coalesce(nullif(customer_id, ''), '(unknown)'), product_id, quantity, price, total,
    quantity < 0
FROM lines ORDER BY ALL
"""
FACTS = """
CREATE VIEW facts AS SELECT f.*, c.customer_id, p.product_id
FROM read_parquet('{output}/parquet/fact_sales/**/*.parquet', hive_partitioning = true) f
JOIN '{output}/parquet/dim_customer/data.parquet' c USING (customer_key)
JOIN '{output}/parquet/dim_product/data.parquet' p USING (product_key)
"""
FACTS_BOOKED = """
SELECT order_date, order_id, customer_id, product_id, quantity_sold, price_per_item, line_item_total, is_return
FROM facts ORDER BY ALL
"""


@pytest.fixture(scope="module")
def sql(real_data: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The lines of the files, as DuckDB reads them."""
    with duckdb.connect() as connection:
        connection.execute(LINES, {"source": str(real_data / "online_retail")})
        yield connection


@pytest.fixture(scope="module")
def output(sql: duckdb.DuckDBPyConnection, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run over all days of the files."""
    place = tmp_path_factory.mktemp("online_retail")
    first, last = one(sql, "SELECT min(order_date), max(order_date) FROM lines")
    sell(real_data, place, str(first), str(last), "online_retail")
    sql.execute(FACTS.format(output=place))
    return place


def sell(real_data: Path, output: Path, first: str, last: str, mapping: str) -> None:
    source = ["--source", str(real_data / "online_retail"), "--mapping", mapping]
    days = ["--start-date", first, "--end-date", last]
    assert main(["sales", *source, *days, "--output", str(output), "--sink", "parquet"]) == 0


def one(sql: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = sql.execute(query).fetchone()
    assert row is not None
    return row


def total_of(output: Path) -> dict[str, Any]:
    """The account of the run, as its record has it."""
    (record,) = (output / "_runs").glob("sales-*.json")
    found = json.loads(record.read_text())["total"]
    assert isinstance(found, dict)
    return found


def audit(output: Path) -> str:
    return f"read_parquet('{output}/parquet/load_audit/**/*.parquet', hive_partitioning = true)"


def test_every_line_is_booked_once_and_as_it_stands(
    sql: duckdb.DuckDBPyConnection, output: Path, figures: list[str]
) -> None:
    booked = sql.execute(FACTS_BOOKED).fetchall()
    assert booked == sql.execute(LINES_BOOKED).fetchall()
    keys = "SELECT count(*), count(DISTINCT order_item_id), count(DISTINCT sales_key) FROM facts"
    assert one(sql, keys) == (len(booked),) * 3
    figures.append(f"online_retail: {len(booked):,} lines in the files, {len(booked):,} in fact_sales, all alike")


def test_rows_and_money_add_up_to_the_cent_every_day(
    sql: duckdb.DuckDBPyConnection, output: Path, figures: list[str]
) -> None:
    expected = sql.execute("SELECT order_date, count(*), sum(total) FROM lines GROUP BY ALL ORDER BY ALL").fetchall()
    found = sql.execute(
        f"""
        SELECT date, sum(rows_in), sum(money_in) FROM {audit(output)}
        WHERE source_table = 'order_items' AND reason = 'All' AND rows_in > 0 GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    assert found == expected
    facts = "SELECT order_date, count(*), sum(line_item_total) FROM facts GROUP BY ALL ORDER BY ALL"
    assert sql.execute(facts).fetchall() == expected
    money = sum(row[2] for row in expected)
    figures.append(f"online_retail: {money:,} in the files, {sum(row[2] for row in found):,} in load_audit, as booked")


def test_returns_are_kept(sql: duckdb.DuckDBPyConnection, output: Path, figures: list[str]) -> None:
    expected = one(sql, "SELECT count(*), sum(total) FROM lines WHERE quantity < 0")
    assert one(sql, "SELECT count(*), sum(line_item_total) FROM facts WHERE is_return") == expected
    cancelled = one(sql, "SELECT count(*) FROM lines WHERE order_id LIKE 'C%' AND quantity < 0")
    assert expected[0] >= cancelled[0] > 0
    figures.append(f"online_retail: {expected[0]:,} returns of {expected[1]:,}, {cancelled[0]:,} of them cancellations")


def test_customers_have_spent_what_their_lines_say(
    sql: duckdb.DuckDBPyConnection, output: Path, figures: list[str]
) -> None:
    expected = """
        SELECT customer_id, max(order_date) FILTER (quantity >= 0), count(DISTINCT order_id) FILTER (quantity >= 0),
            sum(total)
        FROM lines WHERE customer_id <> '' GROUP BY customer_id ORDER BY ALL
    """
    found = f"""
        SELECT customer_id, last_order_date, frequency, monetary
        FROM read_parquet('{output}/parquet/rfm/**/data.parquet')
        JOIN '{output}/parquet/dim_customer/data.parquet' USING (customer_key) ORDER BY ALL
    """
    rows = sql.execute(found).fetchall()
    assert rows == sql.execute(expected).fetchall()
    summary = f"FROM read_parquet('{output}/parquet/sales_summary/**/data.parquet')"
    of_nobody = "SELECT count(*), sum(total) FROM lines WHERE customer_id IS NULL OR customer_id = ''"
    assert one(sql, f"SELECT unknown_customer_item_count, unknown_customer_sales {summary}") == one(sql, of_nobody)
    best = max(rows, key=lambda row: row[3])
    money, large = one(sql, f"SELECT unknown_customer_sales, large_order_count {summary}")
    figures.append(
        f"Online Retail: {len(rows):,} customers, the best worth {best[3]:,.2f}, nobody {money:,.2f}; "
        f"{large} orders are too large for co_purchase"
    )


def test_repeated_lines_are_kept_and_counted(sql: duckdb.DuckDBPyConnection, output: Path, figures: list[str]) -> None:
    (repeated,) = one(sql, "SELECT count(*) FROM lines WHERE is_repeated")
    assert total_of(output)["flagged"] == {"line_repeated": repeated}
    assert total_of(output)["rejected"] == {}
    figures.append(f"online_retail: {repeated:,} repeated lines, kept")


def test_customers_and_products_are_as_their_latest_lines_say(sql: duckdb.DuckDBPyConnection, output: Path) -> None:
    for table, key, attribute in (("customer", "customer_id", "country"), ("product", "product_id", "product_name")):
        members = f"'{output}/parquet/dim_{table}/data.parquet' WHERE {table}_key <> -1"
        found = sql.execute(f"SELECT {key}, {attribute} FROM {members} ORDER BY 1").fetchall()
        expected = sql.execute(
            f"""
            SELECT {key}, last({attribute} ORDER BY billed_at, {attribute}) FILTER ({attribute} IS NOT NULL)
            FROM lines WHERE {key} <> '' GROUP BY 1 ORDER BY 1
            """
        ).fetchall()
        assert found == expected
        assert len(found) > 1_000


def test_repeated_lines_of_a_day_can_be_dropped_and_days_left_out(
    sql: duckdb.DuckDBPyConnection, real_data: Path, tmp_path: Path, figures: list[str]
) -> None:
    shipped = (ROOT / "conf" / "flat" / "online_retail.toml").read_text(encoding="utf-8")
    assert 'repeated_lines = "keep"' in shipped
    mapping = tmp_path / "drop.toml"
    mapping.write_text(shipped.replace('repeated_lines = "keep"', 'repeated_lines = "drop"'), encoding="utf-8")
    (day,) = one(sql, "SELECT order_date FROM lines GROUP BY 1 ORDER BY count_if(is_repeated) DESC, 1 LIMIT 1")
    sell(real_data, tmp_path / "output", str(day), str(day), str(mapping))
    expected = one(
        sql,
        f"""
        SELECT count_if(is_of_day), count_if(is_of_day AND is_repeated), count_if(NOT is_of_day),
            sum(total) FILTER (is_of_day), sum(total) FILTER (is_of_day AND is_repeated)
        FROM (SELECT *, order_date = '{day}' AS is_of_day FROM lines)
        """,
    )
    found = one(
        sql,
        f"""
        SELECT sum(rows_in), sum(rows_rejected), sum(rows_outside), sum(money_in), sum(money_rejected)
        FROM {audit(tmp_path / "output")} WHERE source_table = 'order_items' AND reason = 'All'
        """,
    )
    assert found == expected
    assert total_of(tmp_path / "output")["rejected"] == {"line_repeated": expected[1]}
    facts = f"read_parquet('{tmp_path}/output/parquet/fact_sales/**/*.parquet', hive_partitioning = true)"
    assert one(sql, f"SELECT count(*), sum(line_item_total) FROM {facts}") == (
        expected[0] - expected[1],
        expected[3] - expected[4],
    )
    figures.append(
        f"online_retail on {day}: {expected[0]:,} lines of {expected[3]:,}, {expected[1]:,} repeated ones of "
        f"{expected[4]:,} dropped, {expected[2]:,} lines of other days"
    )


def test_two_months_by_week_have_forecasts_that_say_what_they_are(
    sql: duckdb.DuckDBPyConnection, output: Path, tmp_path: Path, figures: list[str]
) -> None:
    """Weeks are as DuckDB adds them up. No season of a year can be seen, so nothing is called better than naive."""
    first, last = one(sql, "SELECT min(order_date), max(order_date) FROM lines")
    place = tmp_path / "weeks.toml"
    place.write_text('[forecast]\nevery = "week"\norigins = 4\nhorizon = 1\n', encoding="utf-8")
    days = ["--start-date", str(first), "--end-date", str(last)]
    to = ["--output", str(output), "--sink", "parquet", "--config", str(place)]
    assert main(["forecast", *days, *to]) == 0

    def table(name: str) -> str:
        return f"read_parquet('{output}/parquet/{name}/**/*.parquet', hive_partitioning = true)"

    expected = (
        "SELECT product_id, monday, sum(greatest(quantity, 0))::DOUBLE AS pieces "
        "FROM (SELECT *, date_trunc('week', order_date)::DATE AS monday FROM lines WHERE product_id IS NOT NULL) "
        f"WHERE monday >= DATE '{first}' AND monday + 6 <= DATE '{last}' GROUP BY ALL HAVING pieces > 0"
    )
    found = f"SELECT series, period_date, quantity::DOUBLE FROM {table('demand_history')} "
    found += "WHERE level = 'product' AND quantity > 0 AND series <> '(unknown)'"
    assert one(sql, f"SELECT count(*) FROM (({expected}) EXCEPT ({found}))") == (0,)
    assert one(sql, f"SELECT count(*) FROM (({found}) EXCEPT ({expected}))") == (0,)
    series, reasons, orders = one(
        sql,
        f"SELECT count(DISTINCT (level, series)), list_sort(list(DISTINCT coalesce(reason, ''))), "
        f"(SELECT count(suggested_order) FROM {table('replenishment')}) FROM {table('demand_forecast')}",
    )
    assert set(reasons) <= {"new", "short", "never_sold"}
    assert orders == 0
    assert one(sql, f"SELECT count(mase) FROM {table('forecast_backtest')}") == (0,)
    figures.append(f"online_retail by week: {series:,} series from {first} to {last}, all {' or '.join(reasons)}")
