"""What must add up in every run of the churn job: the audit, what was taken in, and what became known by it."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.audit import ALL
from etl_spark.pipelines.churn.purchases import read_purchases
from etl_spark.quality import entry, unbalanced

ACCOUNTS = ("events", "kept_events", "posts", "money")


def balance(audit: DataFrame, activity: DataFrame, web_event: DataFrame, *sales: DataFrame) -> DataFrame:
    """One row per day whose accounts do not come to 0.

    Every accepted event of a day's log is in web_event and became known on that day, as did every post of the day. The
    purchases that became known on a day, worked out once more of all that is in the lake, have its money. `sales` are
    what read_purchases() takes.
    """
    whole = audit.where(F.col("reason") == ALL)
    web, posts, bought = (whole.where(F.col("pipeline").endswith(f".{name}")) for name in ("web", "social", "sales"))
    fact_sales, *others = sales
    purchases = read_purchases(_of(bought, fact_sales, "order_date"), *others)
    arrival = F.col("arrival_date")
    entries = (
        _entry(web, F.col("date"), events=F.col("rows_accepted"), kept_events=F.col("rows_accepted")),
        _entry(_of(web, web_event, "log_date"), F.col("log_date"), kept_events=F.lit(-1)),
        _entry(_of(web, activity, "arrival_date"), arrival, events=-F.col("event_count")),
        _entry(posts, F.col("date"), posts=F.col("rows_accepted")),
        _entry(_of(posts, activity, "arrival_date"), arrival, posts=-F.col("mention_count") - F.col("reply_count")),
        _entry(_of(bought, purchases, "arrival_date"), arrival, money=F.col("line_item_total")),
        _entry(
            _of(bought, activity, "arrival_date", "activity_date"), arrival, money=-F.col("spend") - F.col("returned")
        ),
    )
    return unbalanced(entries, ACCOUNTS, "day")


def _of(audit: DataFrame, rows: DataFrame, *names: str) -> DataFrame:
    """Of `rows`, those whose `names` are all days of `audit`: an earlier run may have gone further."""
    for name in names:
        rows = rows.join(audit.select(F.col("date").alias(name)).distinct(), on=name, how="left_semi")
    return rows


def _entry(df: DataFrame, day: Column, **amounts: Column) -> DataFrame:
    """One row per row of `df`: the day and what it adds to each of ACCOUNTS."""
    return entry(df, ACCOUNTS, "decimal(28,4)", day.alias("day"), **amounts)
