"""What must add up in every run of the sales job: the audit, the raw items, fact_sales, and all that sums it up."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.pipelines.sales.extracts import ORDER_ITEMS, line_item_total
from etl_spark.pipelines.sales.tables import (
    CLV,
    COHORT,
    RFM,
    SALES_BY_CATEGORY,
    SALES_BY_COUNTRY,
    SALES_BY_DAY,
    SALES_BY_PRODUCT,
    SALES_SUMMARY,
)
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


SUMMED = {
    SALES_BY_DAY: "net_sales",
    SALES_BY_CATEGORY: "net_sales",
    SALES_BY_COUNTRY: "net_sales",
    SALES_BY_PRODUCT: "net_sales",
    COHORT: "total_spending",
    RFM: "monetary",
    CLV: "total_spending",
}
"""The tables that have all of fact_sales, or all but what sales_summary says, and their column of it."""


def totals_balance(fact_sales: DataFrame, sales_summary: DataFrame, *tables: DataFrame) -> DataFrame:
    """One row, of the whole range, if a table does not come to the money of fact_sales."""
    accounts = (SALES_SUMMARY.name, *(table.name for table in SUMMED))
    unknown, no_cohort = F.col("unknown_customer_sales"), F.col("no_cohort_sales")
    beside = {RFM.name: -unknown, CLV.name: -unknown, COHORT.name: -unknown - no_cohort}
    everywhere = {account: F.col("line_item_total") for account in accounts}
    return unbalanced(
        (
            entry(fact_sales, accounts, "decimal(28,4)", **everywhere),
            entry(sales_summary, accounts, "decimal(28,4)", sales_summary=-F.col("net_sales"), **beside),
            *(
                entry(df, accounts, "decimal(28,4)", **{table.name: -F.col(column)})
                for df, (table, column) in zip(tables, SUMMED.items(), strict=True)
            ),
        ),
        accounts,
    )


def _entry(df: DataFrame, **amounts: Column) -> DataFrame:
    """One row per row of `df`: what it adds to each of ACCOUNTS."""
    return entry(df, ACCOUNTS, "decimal(28,4)", **amounts)
