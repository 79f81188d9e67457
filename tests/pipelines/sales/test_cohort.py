"""A cohort is there in every month of its life that is in the range; nobody is in it before it began."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from etl_spark.pipelines.sales.cohort import build_cohort
from etl_spark.pipelines.sales.settings import CohortBy
from etl_spark.pipelines.sales.tables import COHORT
from tests.pipelines.sales.lines import JANUARY, QUARTER, customers, day, sold

Cell = tuple[Any, ...]


def cells(facts: DataFrame, people: DataFrame, cohort_by: CohortBy = "registration") -> dict[tuple[str, int], Cell]:
    """customers, active_customers, total_spending, cumulative_spending_per_customer by month and index."""
    table = COHORT.conform(build_cohort(facts, people, asked=QUARTER, cohort_by=cohort_by))
    return {
        (f"{row.cohort_month:%Y-%m}", row.month_index): (
            row.customers,
            row.active_customers,
            float(row.total_spending),
            float(row.cumulative_spending_per_customer),
        )
        for row in table.collect()
    }


def registered(spark: SparkSession, days: Mapping[int, date | None]) -> DataFrame:
    return customers(spark, *({"customer_key": key, "registration_date": day} for key, day in days.items()))


def test_months_without_an_order_are_there_and_spending_adds_up(spark: SparkSession) -> None:
    people = registered(spark, {1: day("01-31"), 2: day("01-01"), 3: date(2023, 11, 5), 4: None})
    facts = sold(
        spark,
        {"order_id": "O1", "order_date": day("01-31")},
        {"order_id": "O2", "order_date": day("03-01"), "quantity_sold": 2},
        {"order_id": "O3", "order_date": day("03-02"), "customer_key": 4},
        {"order_id": "O4", "order_date": day("03-02"), "customer_key": -1},
    )
    found = cells(facts, people)
    assert found == {
        ("2024-01", 0): (2, 1, 10, 5),
        ("2024-01", 1): (2, 0, 0, 5),
        ("2024-01", 2): (2, 1, 20, 15),
        ("2023-11", 2): (1, 0, 0, 0),
        ("2023-11", 3): (1, 0, 0, 0),
        ("2023-11", 4): (1, 0, 0, 0),
    }


def test_orders_before_the_registration_are_of_month_0(spark: SparkSession) -> None:
    people = registered(spark, {1: day("02-10"), 2: day("05-01"), 3: day("06-01")})
    facts = sold(
        spark,
        {"order_id": "O1", "order_date": day("01-31")},
        {"order_id": "O2", "order_date": day("02-11")},
        {"order_id": "O3", "order_date": day("03-11"), "customer_key": 2},
    )
    found = cells(facts, people)
    # A customer of both months counts once, and a cohort after the range is there for its orders alone.
    assert found == {("2024-02", 0): (1, 1, 20, 20), ("2024-02", 1): (1, 0, 0, 20), ("2024-05", 0): (1, 1, 10, 10)}


def test_a_return_is_no_activity_but_is_money(spark: SparkSession) -> None:
    people = registered(spark, {1: day("01-10")})
    facts = sold(
        spark,
        {"order_id": "O1", "order_date": day("01-31")},
        {"order_id": "O2", "order_date": day("02-11"), "quantity_sold": -1},
    )
    found = cells(facts, people)
    assert found["2024-01", 0] == (1, 1, 10, 10)
    assert found["2024-01", 1] == (1, 0, -10, 0)


def test_a_cohort_of_first_purchases_leaves_out_who_returned_only(spark: SparkSession) -> None:
    facts = sold(
        spark,
        {"order_id": "O1", "order_date": day("01-31"), "quantity_sold": -1},
        {"order_id": "O2", "order_date": day("02-11")},
        {"order_id": "O3", "order_date": day("02-11"), "quantity_sold": -1, "customer_key": 2},
    )
    found = cells(facts, customers(spark), "first_purchase")
    # What comes back before the first purchase of the range is of month 0.
    assert found == {("2024-02", 0): (1, 1, 0, 0), ("2024-02", 1): (1, 0, 0, 0)}


def test_a_range_without_an_order_has_the_cohorts_that_there_are(spark: SparkSession) -> None:
    nothing = sold(spark)
    assert cells(nothing, registered(spark, {1: day("02-10")})) == {
        ("2024-02", 0): (1, 0, 0, 0),
        ("2024-02", 1): (1, 0, 0, 0),
    }
    assert cells(nothing, customers(spark), "first_purchase") == {}


def test_retention_is_exact(spark: SparkSession) -> None:
    people = registered(spark, {key: day("01-10") for key in (1, 2, 3)})
    (row,) = COHORT.conform(build_cohort(sold(spark, {}), people, asked=JANUARY, cohort_by="registration")).collect()
    assert (row.retention, row.cumulative_spending_per_customer) == (Decimal("0.33333333"), Decimal("3.3333"))
