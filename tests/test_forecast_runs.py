"""The forecast job over its sample, from the extracts on; what it says is worked out once more by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main
from tests.places import SAMPLE
from tests.short_jobs import star_alone

pytestmark = pytest.mark.default_spark

DAYS = ("--start-date", "2023-01-01", "--end-date", "2024-06-30")
PERFUMERY = SAMPLE / "perfumery"
TABLES = ("demand_history", "demand_forecast", "forecast_backtest", "replenishment")


@pytest.fixture(scope="module")
def output(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forecast") / "out put"
    to = ("--output", str(folder), "--sink", "parquet")
    with star_alone():
        assert main(["sales", *DAYS, "--source", str(PERFUMERY), *to]) == 0
    assert main(["forecast", *DAYS, "--horizon", "28", *to]) == 0
    return folder


@pytest.fixture(scope="module")
def db(output: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables, and the demand as the extracts have it: day, product, category, quantity."""
    with duckdb.connect() as found:
        for name in TABLES:
            files = str(output / "parquet" / name / "**" / "*.parquet").replace("'", "''")
            found.execute(f"CREATE VIEW {name} AS FROM read_parquet('{files}', hive_partitioning = true)")
        for name in ("orders", "order_items", "products"):
            found.execute(f"CREATE VIEW {name} AS FROM read_csv('{PERFUMERY / name}.csv')")
        found.execute(
            "CREATE VIEW demand AS SELECT o.order_date::DATE AS day, p.product_id, p.category, "
            "sum(greatest(i.quantity, 0)) AS quantity, sum(greatest(-i.quantity, 0)) AS returned FROM order_items i "
            "JOIN orders o USING (order_id) JOIN products p USING (product_id) GROUP BY ALL"
        )
        yield found


def rows(db: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    return db.execute(query).fetchall()


def one(db: duckdb.DuckDBPyConnection, query: str) -> Decimal:
    ((value,),) = rows(db, query)
    assert value is not None
    return Decimal(str(value))


def test_the_history_is_the_demand_of_every_series_and_day(db: duckdb.DuckDBPyConnection) -> None:
    assert rows(db, "SELECT level, count(DISTINCT series), count(*) FROM demand_history GROUP BY ALL ORDER BY ALL") == [
        ("category", 5, 5 * 547),
        ("product", 30, 30 * 547),
        ("total", 1, 547),
    ]
    for level, series in (("product", "product_id"), ("category", "category"), ("total", "'(all)'")):
        expected = f"SELECT {series}, day, sum(quantity)::DOUBLE, sum(returned)::DOUBLE FROM demand GROUP BY ALL"
        found = "SELECT series, period_date, quantity::DOUBLE, returned::DOUBLE FROM demand_history "
        found += f"WHERE level = '{level}' AND (quantity > 0 OR returned > 0)"
        assert rows(db, f"({expected}) EXCEPT ({found})") == []
        assert rows(db, f"({found}) EXCEPT ({expected})") == []


def test_the_shop_was_closed_and_is_expected_to_be(db: duckdb.DuckDBPyConnection) -> None:
    closed = rows(db, "SELECT DISTINCT period_date::VARCHAR FROM demand_history WHERE is_closed ORDER BY ALL")
    assert closed == [("2023-01-01",), ("2023-12-25",), ("2024-01-01",)]


def test_the_seasonal_naive_model_errs_as_last_week_does(db: duckdb.DuckDBPyConnection) -> None:
    """For each origin the last week before it, again and again; no closed day is near one."""
    expected = (
        "SELECT o.origin_date, h.series, sum(abs(h.quantity - w.quantity))::DECIMAL(18,6) "
        "FROM (SELECT DISTINCT origin_date FROM forecast_backtest) o JOIN demand_history h "
        "ON h.level = 'product' AND h.period_date BETWEEN o.origin_date + 1 AND o.origin_date + 28 "
        "JOIN demand_history w ON w.level = 'product' AND w.series = h.series "
        "AND w.period_date = o.origin_date - 6 + (h.period_date - o.origin_date - 1)::INT % 7 GROUP BY ALL"
    )
    found = "SELECT origin_date, series, absolute_error FROM forecast_backtest "
    found += "WHERE level = 'product' AND model = 'seasonal_naive'"
    assert len(rows(db, found)) > 6 * 25
    assert rows(db, f"({found}) EXCEPT ({expected})") == []


def test_it_beats_the_seasonal_naive_model_in_all_and_nowhere_is_it_worse(db: duckdb.DuckDBPyConnection) -> None:
    """Of the same series and origins, by what runs would have forecast then; a category as the sum of its products."""
    compared = (
        "SELECT h.parent, m.absolute_error AS made, n.absolute_error AS naive, m.actual FROM forecast_backtest m "
        "JOIN forecast_backtest n USING (level, series, origin_date) JOIN (SELECT DISTINCT level, series, parent FROM "
        "demand_history) h USING (level, series) WHERE m.model = 'reconciled' AND n.model = 'seasonal_naive' AND level "
    )
    products = f"{compared} = 'product'"
    assert one(db, f"SELECT 1 - sum(made) / sum(naive) FROM ({products})") > Decimal("0.10")
    for of_level in (products, f"{compared} = 'category'"):
        worst = f"SELECT max(error) FROM (SELECT sum(made) / sum(naive) AS error FROM ({of_level}) GROUP BY parent)"
        assert one(db, worst) < Decimal("1.02")
    categories = "SELECT series, sum(absolute_error) FILTER (model = 'reconciled') / "
    categories += "sum(absolute_error) FILTER (model = 'seasonal_naive') AS error FROM forecast_backtest "
    categories += "WHERE level = 'category' GROUP BY series"
    assert one(db, f"SELECT max(error) FROM ({categories})") < Decimal("1.02")


def test_bounds_hold_as_often_as_they_say(db: duckdb.DuckDBPyConnection) -> None:
    of_80 = (
        "SELECT sum(coverage_80 * period_count) / sum(period_count) FROM forecast_backtest WHERE model = 'reconciled'"
    )
    assert Decimal("0.74") < one(db, of_80) < Decimal("0.86")
    assert Decimal("0.74") < one(db, f"{of_80} AND level = 'product'") < Decimal("0.86")


def test_every_level_is_the_sum_of_its_parts(db: duckdb.DuckDBPyConnection) -> None:
    differing = (
        "SELECT u.series, u.period_date FROM demand_forecast u JOIN demand_forecast p ON p.parent = u.series "
        "AND p.period_date = u.period_date GROUP BY u.series, u.period_date, u.quantity "
        "HAVING sum(p.quantity) <> u.quantity"
    )
    assert rows(db, differing) == []
    assert rows(db, "SELECT count(*), min(period_date)::VARCHAR, max(period_date)::VARCHAR FROM demand_forecast") == [
        (36 * 28, "2024-07-01", "2024-07-28")
    ]


def test_what_is_special_has_its_reason(db: duckdb.DuckDBPyConnection) -> None:
    reasons = set(rows(db, "SELECT reason, count(DISTINCT series) FROM demand_forecast GROUP BY reason"))
    assert reasons == {(None, 27), ("intermittent", 6), ("dead", 1), ("new", 1), ("never_sold", 1)}
    nothing = "SELECT sum(quantity) FROM demand_forecast WHERE reason IN ('dead', 'never_sold')"
    assert one(db, nothing) == 0


def test_orders_are_of_what_is_expected_of_the_stock(db: duckdb.DuckDBPyConnection) -> None:
    differing = (
        "SELECT r.product_id FROM replenishment r JOIN products p USING (product_id) JOIN (SELECT series, "
        "sum(quantity) AS expected FROM demand_forecast WHERE level = 'product' AND step <= 7 GROUP BY series) f "
        "ON f.series = r.product_id WHERE r.expected_demand <> f.expected OR r.stock_quantity <> p.stock_quantity "
        "OR r.suggested_order <> greatest(ceil(f.expected + r.safety_stock - p.stock_quantity), 0)"
    )
    assert rows(db, differing) == []
    assert rows(db, "SELECT count(*), count(suggested_order > 0 OR NULL) > 5 FROM replenishment") == [(30, True)]
    assert one(db, "SELECT sum(reached_level * span_count) / sum(span_count) FROM replenishment") > Decimal("0.8")


def test_its_report_is_written(output: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    assert main(["report", "forecast", "--results", str(output), "--output", str(report)]) == 0
    assert "2023-01-01 to 2024-06-30" in report.read_text(encoding="utf-8")


def test_a_horizon_of_nothing_and_a_range_without_sales_are_told(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["forecast", *DAYS, "--horizon", "367", "--output", str(output)]) == 2
    assert "horizon is 1 to 366 periods, not 367" in capsys.readouterr().err
    later = ("--start-date", "2024-06-01", "--end-date", "2024-07-31")
    assert main(["forecast", *later, "--output", str(output)]) == 3
    assert "2024-07-01" in capsys.readouterr().err
