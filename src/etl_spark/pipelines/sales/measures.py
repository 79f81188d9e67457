"""What is counted of lines of fact_sales, the same in every table that sums them up."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.keys import UNKNOWN_KEY
from etl_spark.core.table import MONEY


def is_bought() -> Column:
    """Whether a line is of a piece or more: what makes an order of it, and its customer a buyer."""
    return F.col("quantity_sold") > 0


def money(value: Column) -> Column:
    """The sum of `value`, 0 of no rows."""
    return F.coalesce(F.sum(value), F.lit(0)).cast(MONEY)


def order_count() -> Column:
    """The number of orders, each once, that have a line of a piece or more."""
    return F.count_distinct(F.when(is_bought(), F.col("order_id"))).alias("order_count")


def sum_up(lines: DataFrame, *keys: str) -> DataFrame:
    """One row per value of `keys`, or one of all: the measures of every roll-up, of lines of fact_sales; 0 of none.

    By order first, which has one customer: to count orders and customers at once, each line would be there three times.
    """
    total = F.col("line_item_total")
    orders = lines.groupBy(*keys, "order_id", "customer_key").agg(
        F.max(is_bought()).alias("is_bought"),
        F.count("order_item_id").alias("item_count"),
        F.sum("quantity_sold").alias("quantity_sold"),
        F.sum(F.when(~F.col("is_return"), total)).alias("gross_sales"),
        F.sum(F.when(F.col("is_return"), total)).alias("returns"),
        F.sum(total).alias("net_sales"),
    )
    known_buyer = F.col("is_bought") & (F.col("customer_key") != UNKNOWN_KEY)
    return orders.groupBy(*keys).agg(
        F.count_if("is_bought").alias("order_count"),
        F.count_distinct(F.when(known_buyer, F.col("customer_key"))).alias("customer_count"),
        *(F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in ("item_count", "quantity_sold")),
        *(money(F.col(name)).alias(name) for name in ("gross_sales", "returns", "net_sales")),
    )


def ratio(part: Column, whole: Column) -> Column:
    """`part` / `whole` of two counts, exact to 18 decimals; null where `whole` is 0."""
    return part.cast("decimal(20,0)") / not_zero(whole).cast("decimal(20,0)")


def not_zero(value: Column) -> Column:
    """`value`, null where it is 0: what may be divided by. (Spark 3.5 has nullif for columns that it has seen only.)"""
    return F.when(value != 0, value)
