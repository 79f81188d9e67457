"""From demand_history to forecasts: what adds up, what the back-test counts, and what is to be ordered."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.forecast.forecasts import RECONCILED, build_forecasts
from etl_spark.pipelines.forecast.history import ALL
from etl_spark.pipelines.forecast.replenishment import deviations_needed
from etl_spark.pipelines.forecast.settings import Stocking
from etl_spark.pipelines.forecast.tables import DEMAND_FORECAST, DEMAND_HISTORY, FORECAST_BACKTEST, REPLENISHMENT
from etl_spark.pipelines.sales.tables import DIM_PRODUCT
from tests.pipelines.forecast.demand import START, days, seasonal

RANGE = DateRange(START, START + timedelta(139))
HORIZON = 14
STOCK = {"P1": 10, "P2": 1_000, "P3": None, "P4": 5}
CATEGORY = {"P1": "Toys", "P2": "Toys", "P3": "Home", "P4": "Home"}
DEMAND = {
    "P1": seasonal(140, 6, 1),
    "P2": seasonal(140, 3, 2),
    "P3": seasonal(140, 8, 3),
    "P4": seasonal(140, 0.0, 4),
}
"""Pieces a day; of the last product nothing was ever sold."""


def history(spark: SparkSession, count: int = len(RANGE)) -> DataFrame:
    """Of the first `count` days."""
    total: dict[tuple[str, str, str | None, date], Decimal] = defaultdict(Decimal)
    for product, values in DEMAND.items():
        for day, value in zip(days(count), values.tolist(), strict=False):
            quantity = Decimal(str(value))
            total["product", product, CATEGORY[product], day] += quantity
            total["category", CATEGORY[product], ALL, day] += quantity
            total["total", ALL, None, day] += quantity
    rows = [
        (RANGE.start, RANGE.end, level, series, day, parent, quantity, Decimal(0), False, False)
        for (level, series, parent, day), quantity in total.items()
    ]
    random.Random(3).shuffle(rows)
    return spark.createDataFrame(rows, DEMAND_HISTORY.schema)


def products(spark: SparkSession) -> DataFrame:
    rows = [
        (number, product, f"thing {number}", CATEGORY[product], Decimal(1), stock, RANGE.end)
        for number, (product, stock) in enumerate(STOCK.items())
    ]
    return spark.createDataFrame(rows, DIM_PRODUCT.schema)


def built(
    spark: SparkSession, rows: DataFrame, asked: DateRange = RANGE, origins: int = 4
) -> tuple[list[Row], list[Row], list[Row]]:
    frames = build_forecasts(
        rows,
        products(spark),
        asked=asked,
        series="product",
        every="day",
        horizon=HORIZON,
        origins=origins,
        dead_days=90,
        new_days=28,
        stocking=Stocking(lead_days=7, service_level=0.9),
    )
    tables = (DEMAND_FORECAST, FORECAST_BACKTEST, REPLENISHMENT)
    found = [table.conform(df).orderBy(*table.grain).collect() for table, df in zip(tables, frames, strict=True)]
    spark.catalog.clearCache()
    return found[0], found[1], found[2]


@pytest.fixture(scope="module")
def made(spark: SparkSession) -> tuple[list[Row], list[Row], list[Row]]:
    return built(spark, history(spark))


def by(rows: Iterable[Row], *names: str) -> Mapping[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(row[name] for name in names)].append(row)
    return found


def test_every_level_is_the_sum_of_the_one_below(made: tuple[list[Row], list[Row], list[Row]]) -> None:
    forecast, _, _ = made
    assert {row.period_date for row in forecast} == set(days(HORIZON, RANGE.end + timedelta(1)))
    sums = {key: sum(row.quantity for row in rows) for key, rows in by(forecast, "parent", "period_date").items()}
    upper = [row for row in forecast if row.level != "product"]
    assert len(upper) == 3 * HORIZON
    assert all(row.quantity == sums[row.series, row.period_date] for row in upper)
    assert all(row.quantity == row.own_quantity for row in forecast if row.level == "product")
    # Bounds move with what they are about, and are as wide as the level's own model has them.
    assert all(0 <= row.low_95 <= row.low_80 <= row.quantity <= row.high_80 <= row.high_95 for row in forecast)
    assert any(row.quantity != row.own_quantity for row in upper)


def test_what_was_never_sold_is_not_expected(made: tuple[list[Row], list[Row], list[Row]]) -> None:
    forecast, _, _ = made
    rows = [row for row in forecast if row.series == "P4"]
    assert {(row.quantity, row.high_95, row.model, row.reason) for row in rows} == {(0, 0, "zero", "never_sold")}
    assert {row.reason for row in forecast if row.series in ("P1", "P2", "P3", ALL)} == {None}


def test_the_back_test_is_of_what_came(made: tuple[list[Row], list[Row], list[Row]]) -> None:
    _, backtest, _ = made
    origins = {RANGE.end - timedelta(HORIZON * count) for count in range(1, 5)}
    assert {row.origin_date for row in backtest} == origins
    for row in backtest:
        known = days(HORIZON, row.origin_date + timedelta(1))
        places = [(day - START).days for day in known]
        members = {
            "total": DEMAND,
            "category": {p for p in DEMAND if CATEGORY[p] == row.series},
            "product": {row.series},
        }
        assert row.actual == sum(int(DEMAND[product][place]) for product in members[row.level] for place in places)
        assert row.period_count == HORIZON
        assert row.wape is None or abs(row.wape - row.absolute_error / row.actual) < Decimal("0.000001")
        assert abs(row.error) <= row.absolute_error
        assert 0 <= row.coverage_80 <= row.coverage_95 <= 1
    for rows in by(backtest, "level", "series", "origin_date").values():
        assert sum(row.is_choice for row in rows if row.model != RECONCILED) == 1
        assert sum(row.model == RECONCILED for row in rows) == 1


def test_an_order_is_what_is_expected_and_safe_less_what_is_there(made: tuple[list[Row], list[Row], list[Row]]) -> None:
    forecast, _, orders = made
    by_product = {row.product_id: row for row in orders}
    assert by_product.keys() == STOCK.keys()
    for product, row in by_product.items():
        week = [one for one in forecast if one.series == product and one.step <= 7]
        assert row.expected_demand == sum(one.quantity for one in week)
        deviations = [float(one.high_80 - one.quantity) / 1.2815515655446004 for one in week]
        safety = 1.2815515655446004 * sum(one * one for one in deviations) ** 0.5
        assert abs(float(row.safety_stock) - safety) < 1e-5
        there = row.expected_demand + row.safety_stock
        stock = STOCK[product]
        wanted = None if stock is None else max(0, -int((Decimal(stock) - there).__floor__()))
        assert row.suggested_order == wanted
    assert by_product["P2"].suggested_order == 0
    assert by_product["P1"].suggested_order > 0
    assert (by_product["P4"].span_count, by_product["P4"].reached_level) == (0, None)
    assert by_product["P1"].span_count == 4


@pytest.mark.default_spark
def test_partitions_and_order_change_nothing(spark: SparkSession, made: tuple[list[Row], list[Row], list[Row]]) -> None:
    assert built(spark, history(spark).repartition(5, "period_date")) == made


@pytest.mark.default_spark
def test_later_days_change_no_row_of_an_earlier_origin(
    spark: SparkSession, made: tuple[list[Row], list[Row], list[Row]]
) -> None:
    """A horizon less of days: what it says of the origins that both have is the same, choice and bounds included."""
    shorter = DateRange(START, RANGE.end - timedelta(HORIZON))
    _, before, _ = built(spark, history(spark, len(shorter)), shorter, origins=3)
    _, after, _ = made

    def of_origins(rows: list[Row]) -> set[tuple[Any, ...]]:
        return {tuple(row)[2:] for row in rows if row.origin_date < shorter.end}

    assert len({row.origin_date for row in before}) == 3
    assert of_origins(before) == of_origins(after)


def test_the_deviations_needed_are_those_of_all_spans_before(spark: SparkSession) -> None:
    """Of the first origin nothing is before it; of the second there are 120 spans, that lacked 1 to 120 hundredths."""
    spans = [(day, number / 100, 1.0, 0.0, False) for day in days(2) for number in range(1, 121)]
    spans += [(START + timedelta(2), 0.0, 1.0, 0.0, True), (START + timedelta(1), 9.0, 0.0, 9.0, False)]
    columns = "origin_date DATE, actual DOUBLE, deviation DOUBLE, expected_demand DOUBLE, is_last BOOLEAN"
    found = deviations_needed(spark.createDataFrame(spans, columns), 0.95).orderBy("origin_date").collect()
    normal, second, third = (row.deviations for row in found)
    assert normal == pytest.approx(1.644854, abs=1e-6)
    assert second == pytest.approx(np.quantile(np.arange(1, 121) / 100, 0.95))
    assert third == pytest.approx(np.quantile(np.repeat(np.arange(1, 121) / 100, 2), 0.95))
