"""customer_activity_daily: one row per day on which something became known, day on which it happened, and customer.

Rows only add up: what a day changes of an earlier one is a row of its own, with that day as arrival_date, and takes
away what is no longer so. So the sum of the rows that arrived before a moment is what was known at it, for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import reduce

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.pipelines.churn.features import HISTORY_DAYS
from etl_spark.pipelines.churn.purchases import daily_categories, daily_purchases, read_purchases
from etl_spark.pipelines.churn.settings import ChurnSettings, WebRules
from etl_spark.pipelines.churn.tables import PURCHASES, SOCIAL, UNKNOWN_CUSTOMER, WEB

KEYS = ("arrival_date", "activity_date", "customer_id")
_EVENTS = {"view_count": "view", "search_count": "search", "cart_count": "add_to_cart", "checkout_count": "checkout"}
_EVENT_COUNTS = ("event_count", *_EVENTS)


def web_reach(settings: ChurnSettings) -> int:
    """Days of logs, before one, that what becomes known by it depends on.

    An event is in a log of up to late_days after its own, so is the login that tells whose it was, and a visit is
    counted by the first of its events.
    """
    return 3 * settings.rules.late_days


def build_activity(
    web_event: DataFrame,
    social_event: DataFrame,
    fact_sales: DataFrame,
    raw_order_items: DataFrame,
    *members: DataFrame,
    changed_days: Sequence[date],
    rules: WebRules,
) -> tuple[DataFrame, DataFrame]:
    """customer_activity_daily and customer_category_daily of what became known on `changed_days`.

    `web_event` has the logs of these days and of web_reach() days before each; `members` are dim_customer and
    dim_product. Of a purchase that became known so late that no feature looks at its day any more, nothing is kept.
    """
    start, end = F.lit(min(changed_days) - timedelta(HISTORY_DAYS)), F.lit(max(changed_days))
    purchases = read_purchases(
        fact_sales.where(F.col("order_date").between(start, end)),
        raw_order_items.where((F.col("end_date") >= start) & (F.col("start_date") <= end)),
        *members,
    )
    is_asked = F.col("arrival_date").isin(*changed_days)
    parts = (daily_purchases(purchases), daily_visits(web_event, rules.late_days), daily_posts(social_event))
    return add_up([part.where(is_asked) for part in parts]), daily_categories(purchases.where(is_asked))


def daily_visits(web_event: DataFrame, late_days: int) -> DataFrame:
    """One row per day of arrival, day and customer with an event: the columns WEB."""
    visits = with_customers(web_event, late_days)
    events = visits.groupBy(*KEYS).agg(*(F.sum(name).alias(name) for name in _EVENT_COUNTS))
    return add_up([events, count_sessions(visits)], WEB_COLUMNS)


def with_customers(web_event: DataFrame, late_days: int) -> DataFrame:
    """One row per log, day, session and customer: how many events of each kind, and when it was known whose they were.

    Columns: arrival_date, activity_date, customer_id, session_id and _EVENT_COUNTS. What a visitor did before logging
    in is the customer's; where the login is in a later log, it is the unknown customer's until then, and a negative row
    takes it away on that day.
    """
    rows = (
        web_event.withColumn("activity_date", F.to_date("event_at"))
        .groupBy("log_date", "activity_date", "session_id", "customer_id")
        .agg(
            F.count(F.lit(1)).alias("event_count"),
            *(F.count_if(F.col("kind") == kind).alias(name) for name, kind in _EVENTS.items()),
            F.min(F.struct("event_at", "event_id")).alias("first_event"),
        )
    )
    logins = (
        rows.where(F.col("customer_id").isNotNull())
        .groupBy("session_id", F.col("log_date").alias("login_date"))
        .agg(F.min(F.struct("first_event", "customer_id")).alias("login"))
        .select("session_id", F.struct("login_date", "login").alias("login"))
    )
    apart = F.date_diff(F.col("login.login_date"), "log_date")
    is_near = (F.col("anonymous.session_id") == F.col("logins.session_id")) & apart.between(-late_days, late_days)
    is_anonymous = F.col("customer_id").isNull()
    keys = ("log_date", "activity_date", "session_id")
    told = (
        rows.where(is_anonymous)
        .alias("anonymous")
        .join(logins.alias("logins"), on=is_near, how="left")
        .groupBy(*(F.col(f"anonymous.{name}").alias(name) for name in keys), *_EVENT_COUNTS)
        .agg(F.min("login").alias("login"))
    )
    known = F.struct(
        F.greatest("log_date", "login.login_date").alias("arrival_date"),
        F.coalesce("login.login.customer_id", F.lit(UNKNOWN_CUSTOMER)).alias("customer_id"),
        F.lit(1).alias("sign"),
    )
    until_then = [
        F.struct(day.alias("arrival_date"), F.lit(UNKNOWN_CUSTOMER).alias("customer_id"), F.lit(sign).alias("sign"))
        for day, sign in ((F.col("log_date"), 1), (F.col("login.login_date"), -1))
    ]
    is_later = F.col("login.login_date") > F.col("log_date")
    entries = F.when(is_later, F.array(known, *until_then)).otherwise(F.array(known))
    anonymous = told.select(*keys, *_EVENT_COUNTS, F.inline(entries))
    named = rows.where(~is_anonymous).select(
        *keys, *_EVENT_COUNTS, F.col("log_date").alias("arrival_date"), "customer_id", F.lit(1).alias("sign")
    )
    return named.unionByName(anonymous).select(
        *KEYS, "session_id", *((F.col(name) * F.col("sign")).alias(name) for name in _EVENT_COUNTS)
    )


def count_sessions(visits: DataFrame) -> DataFrame:
    """One row per day of arrival, day and customer: the visits, of with_customers(), that became such on that day.

    A visit of two days is one on each. One becomes a visit with a cart, or with a checkout, when that is known.
    """
    sessions = (
        visits.where(F.col("customer_id") != UNKNOWN_CUSTOMER)
        .groupBy("activity_date", "customer_id", "session_id")
        .agg(
            F.min("arrival_date").alias("session_count"),
            F.min(F.when(F.col("cart_count") > 0, F.col("arrival_date"))).alias("cart_session_count"),
            F.min(F.when(F.col("checkout_count") > 0, F.col("arrival_date"))).alias("bought"),
        )
        .withColumn(
            "checkout_session_count",
            F.when(
                F.col("cart_session_count").isNotNull() & F.col("bought").isNotNull(),
                F.greatest("cart_session_count", "bought"),
            ),
        )
    )
    names = ("session_count", "cart_session_count", "checkout_session_count")
    entries = F.array(*(F.struct(F.lit(name).alias("name"), F.col(name).alias("arrival_date")) for name in names))
    return (
        sessions.select("activity_date", "customer_id", F.inline(entries))
        .where(F.col("arrival_date").isNotNull())
        .groupBy(*KEYS)
        .agg(*(F.count_if(F.col("name") == name).alias(name) for name in names))
    )


def daily_posts(social_event: DataFrame) -> DataFrame:
    """One row per day of arrival, day and customer with a post: the columns SOCIAL."""
    return (
        social_event.withColumn("activity_date", F.to_date("event_at"))
        .withColumn("customer_id", F.coalesce("customer_id", F.lit(UNKNOWN_CUSTOMER)))
        .groupBy(*KEYS)
        .agg(
            F.count_if(F.col("kind") == "mention").alias("mention_count"),
            F.count_if(F.col("kind") == "reply").alias("reply_count"),
            F.count("sentiment").alias("sentiment_count"),
            F.coalesce(F.sum("sentiment"), F.lit(0)).cast("decimal(18,4)").alias("sentiment_sum"),
        )
    )


ACTIVITY_COLUMNS = tuple(column.name for column in (*PURCHASES, *WEB, *SOCIAL))
WEB_COLUMNS = tuple(column.name for column in WEB)


def add_up(parts: Sequence[DataFrame], names: Sequence[str] = ACTIVITY_COLUMNS) -> DataFrame:
    """The sums `names` of all `parts` by KEYS, 0 where a part has none; without the rows that come to nothing."""
    padded = (
        part.select(*KEYS, *(F.col(name) if name in part.columns else F.lit(0).alias(name) for name in names))
        for part in parts
    )
    sums = reduce(DataFrame.unionByName, padded).groupBy(*KEYS).agg(*(F.sum(name).alias(name) for name in names))
    return sums.where(reduce(Column.__or__, (F.col(name) != 0 for name in names)))
