"""Purchases as the lake has them of the sales job: one row per line of an order, and when it became known."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import DataFrame

from etl_spark.pipelines.churn.tables import UNKNOWN_CUSTOMER


def read_purchases(
    fact_sales: DataFrame, raw_order_items: DataFrame, dim_customer: DataFrame, dim_product: DataFrame
) -> DataFrame:
    """One row per line of an order in `fact_sales`, and when it became known.

    Columns: arrival_date, activity_date, customer_id, category, order_id, is_return, quantity_sold, line_item_total.

    A shop's database has an order from its day on. But where an extract of that day or later did not have the line yet
    and a later one does, it became known on the day of that later one.
    """
    extracts = F.broadcast(
        raw_order_items.select(F.col("extract_date").alias("earlier_extract"), "start_date", "end_date").distinct()
    )
    lines = fact_sales.join(first_extracts(raw_order_items), on="order_item_id", how="left")
    without = (
        (F.col("earlier_extract") >= F.col("order_date"))
        & (F.col("earlier_extract") < F.col("first_extract"))
        & F.col("order_date").between(F.col("start_date"), F.col("end_date"))
    )
    # Of each day and first extract once: few, while lines are many.
    late = (
        lines.select("order_date", "first_extract")
        .distinct()
        .join(extracts, on=without, how="left_semi")
        .withColumn("is_late", F.lit(True))
    )
    unknown = F.lit(UNKNOWN_CUSTOMER)
    known = F.col("customer_key") != -1
    return (
        lines.join(F.broadcast(late), on=["order_date", "first_extract"], how="left")
        .join(dim_customer.select("customer_key", "customer_id"), on="customer_key", how="left")
        .join(F.broadcast(dim_product.select("product_key", "category")), on="product_key", how="left")
        .select(
            F.when(F.col("is_late"), F.col("first_extract")).otherwise(F.col("order_date")).alias("arrival_date"),
            F.col("order_date").alias("activity_date"),
            F.when(known, F.coalesce("customer_id", unknown)).otherwise(unknown).alias("customer_id"),
            F.coalesce("category", F.lit("(unknown)")).alias("category"),
            "order_id",
            "is_return",
            "quantity_sold",
            "line_item_total",
        )
    )


def first_extracts(raw_order_items: DataFrame) -> DataFrame:
    """One row per line of an order: the first extract that has it."""
    return raw_order_items.groupBy("order_item_id").agg(F.min("extract_date").alias("first_extract"))


def daily_purchases(purchases: DataFrame) -> DataFrame:
    """One row per arrival_date, activity_date and customer of read_purchases(): the columns PURCHASES.

    An order counts when it first becomes known with a piece: a line of it that comes later is no further order.
    """
    is_sold = F.col("quantity_sold") > 0
    orders = (
        purchases.where(is_sold)
        .groupBy("activity_date", "customer_id", "order_id")
        .agg(F.min("arrival_date").alias("arrival_date"))
        .groupBy("arrival_date", "activity_date", "customer_id")
        .agg(F.count(F.lit(1)).alias("order_count"))
    )
    lines = purchases.groupBy("arrival_date", "activity_date", "customer_id").agg(
        F.count_if(is_sold).alias("item_count"),
        F.sum(F.when(~F.col("is_return"), F.col("line_item_total")).otherwise(0)).alias("spend"),
        F.count_if("is_return").alias("return_count"),
        F.sum(F.when(F.col("is_return"), F.col("line_item_total")).otherwise(0)).alias("returned"),
    )
    both = lines.join(orders, on=["arrival_date", "activity_date", "customer_id"], how="left")
    return both.withColumn("order_count", F.coalesce("order_count", F.lit(0)))


def daily_categories(purchases: DataFrame) -> DataFrame:
    """customer_category_daily of read_purchases()."""
    keys = ("arrival_date", "activity_date", "customer_id", "category")
    return purchases.where("quantity_sold > 0").groupBy(*keys).agg(F.count(F.lit(1)).alias("item_count"))
