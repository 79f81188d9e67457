"""customer_activity_daily: what became known when, of whom; and that its rows add up to what there is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_spark.pipelines.churn.activity import build_activity, daily_posts, daily_visits
from etl_spark.pipelines.churn.purchases import read_purchases
from etl_spark.pipelines.churn.settings import WebRules
from etl_spark.pipelines.churn.tables import (
    CUSTOMER_ACTIVITY_DAILY,
    CUSTOMER_CATEGORY_DAILY,
    KINDS,
    SOCIAL_EVENT,
    WEB_EVENT,
)
from etl_spark.pipelines.sales.extracts import RAW_ORDER_ITEMS
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, DIM_PRODUCT, FACT_SALES
from tests.pipelines.churn.rows import DAY, rows

RULES = WebRules(max_line_bytes=1000, late_days=3, kinds={kind: (kind,) for kind in KINDS})


def day(number: int) -> date:
    return DAY + timedelta(number)


def event(number: int, kind: str = "view", *, log: int = 0, on: int = 0, who: str | None = None, of: str = "S1") -> Any:
    """Event `number` of day `on`, at that minute of it, in the log of day `log`."""
    at = datetime(2024, 4, 1, 12, number, tzinfo=UTC) + timedelta(on)
    return {
        "event_id": f"E{number}",
        "log_date": day(log),
        "event_at": at,
        "kind": kind,
        "customer_id": who,
        "session_id": of,
    }


def found(df: DataFrame, *names: str) -> set[tuple[Any, ...]]:
    """What is not 0 of `names`, by days since DAY of arrival and of activity, and customer."""
    return {
        ((row.arrival_date - DAY).days, (row.activity_date - DAY).days, row.customer_id, *(row[name] for name in names))
        for row in df.collect()
        if any(row[name] for name in names)
    }


def test_what_a_visitor_did_before_logging_in_is_the_customers(spark: SparkSession) -> None:
    events = rows(spark, WEB_EVENT, event(1), event(2, who="C1"), event(3, "search", of="S2"))

    visits = daily_visits(events, 3)

    assert found(visits, "event_count", "view_count", "search_count") == {
        (0, 0, "C1", 2, 2, 0),
        (0, 0, "(unknown)", 1, 0, 1),
    }
    assert found(visits, "session_count") == {(0, 0, "C1", 1)}


def test_who_it_was_is_known_on_the_day_of_the_login(spark: SparkSession) -> None:
    events = rows(spark, WEB_EVENT, event(1), event(2, log=1, on=1, who="C1"))

    visits = daily_visits(events, 3)

    assert found(visits, "event_count") == {
        (0, 0, "(unknown)", 1),
        (1, 0, "(unknown)", -1),
        (1, 0, "C1", 1),
        (1, 1, "C1", 1),
    }
    assert found(visits, "session_count") == {(1, 0, "C1", 1), (1, 1, "C1", 1)}


def test_a_login_too_far_away_tells_nothing_and_the_first_one_counts(spark: SparkSession) -> None:
    events = rows(
        spark,
        WEB_EVENT,
        event(1),
        event(2, log=4, on=4, who="C9"),
        event(3, of="S2"),
        event(4, of="S2", who="C2"),
        event(5, of="S2", who="C1"),
    )
    assert found(daily_visits(events, 3), "event_count") == {
        (0, 0, "(unknown)", 1),
        (4, 4, "C9", 1),
        (0, 0, "C2", 2),
        (0, 0, "C1", 1),
    }


def test_a_visit_is_counted_when_it_becomes_known_and_a_cart_when_that_does(spark: SparkSession) -> None:
    events = rows(
        spark,
        WEB_EVENT,
        event(1, who="C1"),
        event(2, "add_to_cart", log=1, who="C1"),
        event(3, "checkout", log=2, who="C1"),
        event(4, "add_to_cart", log=2, who="C1"),
        event(5, "checkout", of="S2", who="C1"),
    )
    assert found(daily_visits(events, 3), "session_count", "cart_session_count", "checkout_session_count") == {
        (0, 0, "C1", 2, 0, 0),
        (1, 0, "C1", 0, 1, 0),
        (2, 0, "C1", 0, 0, 1),
    }


def test_posts_and_their_sentiment(spark: SparkSession) -> None:
    posts = rows(
        spark,
        SOCIAL_EVENT,
        {"sentiment": Decimal("-0.5"), "customer_id": "C1"},
        {"sentiment": Decimal("0.25"), "customer_id": "C1", "kind": "reply"},
        {"customer_id": "C1"},
        {},
    )
    names = ("mention_count", "reply_count", "sentiment_count", "sentiment_sum")
    assert found(daily_posts(posts), *names) == {
        (0, 0, "C1", 2, 1, 2, Decimal("-0.2500")),
        (0, 0, "(unknown)", 1, 0, 0, Decimal(0)),
    }


@pytest.mark.parametrize(
    ("extracts", "arrives"),
    [
        # (extract_date, whether it has the line), in days since the order's
        ([(30, True)], 0),
        ([(0, True), (30, True)], 0),
        ([(30, False), (60, True)], 60),
        ([(0, False), (1, False), (3, True)], 3),
        ([(-1, False), (0, True)], 0),
        ([], 0),
    ],
)
def test_a_purchase_is_known_from_its_day_unless_an_extract_went_without_it(
    spark: SparkSession, extracts: list[tuple[int, bool]], arrives: int
) -> None:
    raw = rows(
        spark,
        RAW_ORDER_ITEMS,
        *({"extract_date": day(made), "order_item_id": "I1" if has else "I2"} for made, has in extracts),
    )
    found = read_purchases(
        rows(spark, FACT_SALES, {}), raw, rows(spark, DIM_CUSTOMER, {}), rows(spark, DIM_PRODUCT, {})
    )
    assert [row.arrival_date for row in found.collect()] == [day(arrives)]


def activity(spark: SparkSession, *lines: dict[str, Any], web: DataFrame | None = None) -> tuple[DataFrame, DataFrame]:
    made = build_activity(
        rows(spark, WEB_EVENT) if web is None else web,
        rows(spark, SOCIAL_EVENT),
        rows(spark, FACT_SALES, *({"order_item_id": f"I{place}", **line} for place, line in enumerate(lines))),
        rows(spark, RAW_ORDER_ITEMS),
        rows(spark, DIM_CUSTOMER, {}, {"customer_key": -1, "customer_id": "-1"}),
        rows(spark, DIM_PRODUCT, {}, {"product_key": 2, "category": None}),
        changed_days=(DAY,),
        rules=RULES,
    )
    return CUSTOMER_ACTIVITY_DAILY.conform(made[0]), CUSTOMER_CATEGORY_DAILY.conform(made[1])


def test_purchases_count_orders_lines_and_returns(spark: SparkSession) -> None:
    made, categories = activity(
        spark,
        {"line_item_total": 10},
        {"line_item_total": 5, "product_key": 2},
        {"order_id": "O2", "quantity_sold": -1, "line_item_total": -3, "is_return": True},
        {"order_id": "O3", "customer_key": -1},
        {"order_id": "O4", "order_date": day(1)},
        web=rows(spark, WEB_EVENT, event(1, "checkout", who="C1")),
    )
    names = ("order_count", "item_count", "spend", "return_count", "returned", "checkout_count")
    assert found(made, *names) == {
        (0, 0, "C1", 1, 2, Decimal(15), 1, Decimal(-3), 1),
        (0, 0, "(unknown)", 1, 1, Decimal(10), 0, Decimal(0), 0),
    }
    assert found(categories, "category", "item_count") == {
        (0, 0, "C1", "Toys", 1),
        (0, 0, "C1", "(unknown)", 1),
        (0, 0, "(unknown)", "Toys", 1),
    }


def test_days_without_anything_have_no_row(spark: SparkSession) -> None:
    made, categories = activity(spark)
    assert made.collect() == categories.collect() == []
