"""What demand is: of which series, in which periods; what came back, was closed, or had no stock."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal

import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import InputError
from etl_spark.pipelines.forecast.history import build_history, periods_ahead, whole_periods
from etl_spark.pipelines.forecast.settings import Every, SeriesOf
from etl_spark.pipelines.forecast.tables import DEMAND_HISTORY

RANGE = DateRange(date(2024, 1, 1), date(2024, 1, 16))
"""A Monday to a Tuesday."""
SALES = (
    (1, 1, 1, 3),
    (1, 1, 2, 2),
    (1, 2, 1, 1),
    (2, 1, 1, -2),
    (3, 1, 1, 5),
    (3, -1, -1, 4),
    (8, 2, 2, 6),
    (16, 2, 2, 7),
)
"""Day, product, customer, pieces; on 2 January something came back, and nothing was sold."""
Found = dict[tuple[str, str], dict[int, tuple[float, float]]]
"""By level and series, and day of the month: pieces asked for, and those that came back, where there are any."""


def day(of_month: int) -> date:
    return date(2024, 1, of_month)


@pytest.fixture(scope="module")
def inputs(spark: SparkSession) -> tuple[DataFrame, ...]:
    """The columns that are read: of sales, products, customers, rentals, categories of films, stores."""
    sales = [(day(of_month), product, customer, pieces) for of_month, product, customer, pieces in SALES]
    products = [(-1, "(unknown)", None, None), (1, "P1", "Toys", 0), (2, "P2", None, 0), (3, "P3", "Toys", 4)]
    taken = [(day(1), 7, 1), (day(1), 8, 1), (day(2), 7, 2)]
    of_films = ((7, "Drama", "0.666666667"), (7, "Horror", "0.333333333"), (8, "Drama", "1"))
    categories = [(film, name, Decimal(weight)) for film, name, weight in of_films]
    return (
        spark.createDataFrame(sales, "order_date DATE, product_key INT, customer_key INT, quantity_sold INT"),
        spark.createDataFrame(products, "product_key INT, product_id STRING, category STRING, stock_quantity INT"),
        spark.createDataFrame([(-1, None), (1, "Peru"), (2, "Kenya")], "customer_key INT, country STRING"),
        spark.createDataFrame(taken, "rental_date DATE, film_key INT, store_key INT"),
        spark.createDataFrame(categories, "film_key INT, category STRING, weight DECIMAL(10,9)"),
        spark.createDataFrame([(1, "1"), (2, "2")], "store_key INT, store_id STRING"),
    )


def history(inputs: tuple[DataFrame, ...], series: SeriesOf, every: Every = "day") -> DataFrame:
    return DEMAND_HISTORY.conform(build_history(*inputs, asked=RANGE, series=series, every=every))


def found(rows: DataFrame) -> Found:
    sums: Found = defaultdict(dict)
    for row in rows.collect():
        figures = (float(row.quantity), float(row.returned))
        sums[row.level, row.series] |= {row.period_date.day: figures} if any(figures) else {}
    return dict(sums)


def test_products_are_series_sold_or_not_and_add_up(inputs: tuple[DataFrame, ...]) -> None:
    rows = history(inputs, "product").cache()
    assert found(rows) == {
        ("product", "P1"): {1: (5, 0), 2: (0, 2), 3: (5, 0)},
        ("product", "P2"): {1: (1, 0), 8: (6, 0), 16: (7, 0)},
        ("product", "P3"): {},
        ("product", "(unknown)"): {3: (4, 0)},
        ("category", "Toys"): {1: (5, 0), 2: (0, 2), 3: (5, 0)},
        ("category", "(unknown)"): {1: (1, 0), 3: (4, 0), 8: (6, 0), 16: (7, 0)},
        ("total", "(all)"): {1: (6, 0), 2: (0, 2), 3: (9, 0), 8: (6, 0), 16: (7, 0)},
    }
    assert rows.count() == 7 * len(RANGE)
    parents = {(row.level, row.series, row.parent) for row in rows.collect()}
    assert ("product", "P1", "Toys") in parents
    assert ("category", "Toys", "(all)") in parents
    assert ("total", "(all)", None) in parents
    assert len(parents) == 7
    rows.unpersist()


def test_a_day_is_closed_when_nothing_is_sold_whatever_comes_back(inputs: tuple[DataFrame, ...]) -> None:
    rows = history(inputs, "total").collect()
    assert {row.period_date.day for row in rows if not row.is_closed} == {1, 3, 8, 16}


def test_days_after_the_last_sale_of_a_product_without_stock_are_sold_out(inputs: tuple[DataFrame, ...]) -> None:
    """P3 has stock, P2 was sold on the last day."""
    rows = history(inputs, "product").where("is_sold_out").collect()
    assert {(row.level, row.series) for row in rows} == {("product", "P1")}
    assert {row.period_date.day for row in rows} == set(range(4, 17))


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ("country", {"Peru": {1: (4, 0), 2: (0, 2), 3: (5, 0)}, "Kenya": {1: (2, 0), 8: (6, 0), 16: (7, 0)}}),
        ("category", {"Toys": {1: (5, 0), 2: (0, 2), 3: (5, 0)}}),
    ],
)
def test_other_series_of_sales(
    inputs: tuple[DataFrame, ...], series: SeriesOf, expected: dict[str, dict[int, tuple[float, float]]]
) -> None:
    sums = found(history(inputs, series))
    assert {level for level, _ in sums} == {series, "total"}
    for name, figures in expected.items():
        assert sums[series, name] == figures


def test_a_film_is_one_piece_of_its_categories_in_its_store(inputs: tuple[DataFrame, ...]) -> None:
    assert found(history(inputs, "film_category")) == {
        ("film_category", "store 1: Drama"): {1: (1.666667, 0)},
        ("film_category", "store 1: Horror"): {1: (0.333333, 0)},
        ("film_category", "store 2: Drama"): {2: (0.666667, 0)},
        ("film_category", "store 2: Horror"): {2: (0.333333, 0)},
        ("store", "store 1"): {1: (2, 0)},
        ("store", "store 2"): {2: (1, 0)},
        ("total", "(all)"): {1: (2, 0), 2: (1, 0)},
    }


def test_weeks_are_whole(inputs: tuple[DataFrame, ...]) -> None:
    """Of the third, two days are asked for."""
    assert found(history(inputs, "total", "week")) == {("total", "(all)"): {1: (15, 2), 8: (6, 0)}}
    assert whole_periods(RANGE, "week") == (day(1), day(8))
    assert periods_ahead(RANGE, "week", 2) == (day(15), day(22))
    with pytest.raises(InputError, match="no whole week"):
        whole_periods(DateRange(day(2), day(8)), "week")
