"""What must add up in every run of the sales job: the audit, the raw items and fact_sales."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.pipelines.sales.extracts import ORDER_ITEMS, line_item_total
from etl_spark.quality import accepted, entry, unbalanced

ACCOUNTS = ("rows", "money", "items", "booked_money")


def balance(audit: DataFrame, raw_order_items: DataFrame, fact_sales: DataFrame) -> DataFrame:
    """One row, of the whole range, if an account does not come to 0.

    Every accepted row of order_items, and its money, is in the raw table; every item there, as the latest extract has
    it, is in fact_sales.
    """
    raw = raw_order_items.withColumn("total", line_item_total())
    items = raw.groupBy(*ORDER_ITEMS.key).agg(F.max_by("total", "extract_date").alias("total"))
    one = F.lit(1)
    entries = (
        _entry(accepted(audit, ORDER_ITEMS.name), rows=F.col("rows_accepted"), money=F.col("money_accepted")),
        _entry(raw, rows=-one, money=-F.col("total")),
        _entry(items, items=one, booked_money=F.col("total")),
        _entry(fact_sales, items=-one, booked_money=-F.col("line_item_total")),
    )
    return unbalanced(entries, ACCOUNTS)


def _entry(df: DataFrame, **amounts: Column) -> DataFrame:
    """One row per row of `df`: what it adds to each of ACCOUNTS."""
    return entry(df, ACCOUNTS, "decimal(28,4)", **amounts)
