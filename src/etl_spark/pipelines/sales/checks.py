"""What must add up in every run of the sales job: the audit against what the tables really hold."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import DataFrame

from etl_spark.core.audit import ALL
from etl_spark.pipelines.sales.extracts import ORDER_ITEMS


def balance(audit: DataFrame, fact_sales: DataFrame) -> DataFrame:
    """One row per day of which the items accepted, or their money, are others than those of fact_sales."""
    accepted = audit.where((F.col("source_table") == ORDER_ITEMS.name) & (F.col("reason") == ALL)).select(
        "date", F.col("rows_accepted").alias("rows"), F.col("money_accepted").alias("money")
    )
    booked = fact_sales.select(
        F.col("order_date").alias("date"),
        F.lit(-1).cast("bigint").alias("rows"),
        (-F.col("line_item_total")).alias("money"),
    )
    return (
        accepted.unionByName(booked)
        .groupBy("date")
        .agg(F.sum("rows").alias("rows"), F.sum(F.col("money").cast("decimal(34,4)")).alias("money"))
        .where("rows != 0 OR money != 0")
    )
