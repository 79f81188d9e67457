"""Every line is in each roll-up once, and what analytics leave out is told beside them."""

from __future__ import annotations

from decimal import Decimal

import pyspark.sql.functions as F
from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.keys import UNKNOWN
from etl_spark.core.table import Table
from etl_spark.pipelines.calendar.dim_date import build_dim_date
from etl_spark.pipelines.sales.rollups import (
    build_sales_by_category,
    build_sales_by_country,
    build_sales_by_day,
    build_sales_by_product,
    build_sales_summary,
)
from etl_spark.pipelines.sales.settings import Baskets
from etl_spark.pipelines.sales.tables import (
    SALES_BY_CATEGORY,
    SALES_BY_COUNTRY,
    SALES_BY_DAY,
    SALES_BY_PRODUCT,
    SALES_SUMMARY,
)
from tests.pipelines.sales.lines import JANUARY, customers, day, products, sold

MEASURES = ("order_count", "customer_count", "item_count", "quantity_sold", "gross_sales", "returns", "net_sales")


def measures(df: DataFrame, table: Table, key: str) -> dict[object, tuple[object, ...]]:
    return {row[key]: tuple(row[name] for name in MEASURES) for row in table.conform(df).collect()}


def lines(spark: SparkSession) -> DataFrame:
    """An order of two lines, a return of one of them in an order of its own, and an order of nobody that is known."""
    return sold(
        spark,
        {"order_id": "O1", "customer_key": 7, "product_key": 1, "quantity_sold": 2},
        {"order_id": "O1", "customer_key": 7, "product_key": 2},
        {"order_id": "O2", "customer_key": 7, "product_key": 1, "quantity_sold": -2, "order_date": day("01-31")},
        {"order_id": "O3", "customer_key": -1, "product_key": -1, "price_per_item": "0.5", "order_date": day("01-31")},
    )


def test_a_line_of_no_pieces_makes_no_order(spark: SparkSession) -> None:
    nothing = sold(spark, {"quantity_sold": 0, "price_per_item": "0"}, {"order_id": "O2"})
    (row,) = build_sales_by_product(nothing, asked=JANUARY).collect()
    assert (row.order_count, row.item_count, row.net_sales) == (1, 2, Decimal(10))


SOLD = (1, 1, 2, 3, Decimal(30), Decimal(0), Decimal(30))
LAST_DAY = (1, 0, 2, -1, Decimal("0.5"), Decimal(-20), Decimal("-19.5"))
NOTHING = (0, 0, 0, 0, Decimal(0), Decimal(0), Decimal(0))


def test_a_day_without_an_order_is_there(spark: SparkSession) -> None:
    dates = build_dim_date(spark.range(1).select())
    found = measures(build_sales_by_day(lines(spark), dates, asked=JANUARY), SALES_BY_DAY, "order_date")
    assert set(found) == set(JANUARY.days)
    assert (found.pop(day("01-01")), found.pop(day("01-31"))) == (SOLD, LAST_DAY)
    assert set(found.values()) == {NOTHING}


def test_who_and_what_is_not_known_counts(spark: SparkSession) -> None:
    facts = lines(spark)
    shop = products(spark, {"product_key": 1, "category": "Tea"}, {"product_key": 2})
    by_category = measures(build_sales_by_category(facts, shop, asked=JANUARY), SALES_BY_CATEGORY, "category")
    unknown = (2, 1, 2, 2, Decimal("10.5"), Decimal(0), Decimal("10.5"))
    assert by_category == {"Tea": (1, 1, 2, 0, Decimal(20), Decimal(-20), Decimal(0)), UNKNOWN: unknown}
    people = customers(spark, {"customer_key": 7, "country": "Peru"})
    by_country = measures(build_sales_by_country(facts, people, asked=JANUARY), SALES_BY_COUNTRY, "country")
    assert by_country["Peru"] == (1, 1, 3, 1, Decimal(30), Decimal(-20), Decimal(10))
    assert by_country[UNKNOWN][0:3] == (1, 0, 1)
    by_product = measures(build_sales_by_product(facts, asked=JANUARY), SALES_BY_PRODUCT, "product_key")
    assert {key: row[-1] for key, row in by_product.items()} == {1: 0, 2: 10, -1: Decimal("0.5")}


def test_the_summary_tells_what_is_left_out(spark: SparkSession) -> None:
    facts = lines(spark)
    people = customers(spark, {"customer_key": 7, "registration_date": None})
    baskets = Baskets(min_orders=1, min_support=0, max_products=2)
    args = {"asked": JANUARY, "cohort_by": "registration", "co_purchase": baskets}
    summary = build_sales_summary(facts, people, **args)  # type: ignore[arg-type]
    (row,) = SALES_SUMMARY.conform(summary).collect()
    assert tuple(row[name] for name in MEASURES) == (2, 1, 4, 2, Decimal("30.5"), Decimal(-20), Decimal("10.5"))
    assert (row.unknown_customer_order_count, row.unknown_customer_item_count) == (1, 1)
    assert row.unknown_customer_sales == Decimal("0.5")
    assert (row.no_cohort_customer_count, row.no_cohort_sales) == (1, Decimal(10))
    assert (row.basket_count, row.large_order_count) == (1, 0)


def test_a_range_without_an_order_has_a_summary(spark: SparkSession) -> None:
    none = lines(spark).where(F.lit(False))
    baskets = Baskets(min_orders=1, min_support=0, max_products=2)
    summary = build_sales_summary(
        none, customers(spark), asked=JANUARY, cohort_by="first_purchase", co_purchase=baskets
    )
    (row,) = SALES_SUMMARY.conform(summary).collect()
    assert {value for name, value in row.asDict().items() if not name.endswith("_date")} == {0}
