"""fact_sales: one row per order item of the asked days."""

from __future__ import annotations

from datetime import date

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.keys import or_unknown, surrogate_key
from etl_spark.extracts import newest
from etl_spark.pipelines.calendar.dim_date import date_key
from etl_spark.pipelines.sales.extracts import line_item_total


def build_fact_sales(
    raw_orders: DataFrame,
    raw_order_items: DataFrame,
    dim_customer: DataFrame,
    dim_product: DataFrame,
    *,
    extract_dates: tuple[date, ...] = (),
) -> DataFrame:
    """fact_sales, from the orders and items of the asked days and all members of the dimensions.

    An item whose customer or product is not known has the key of the unknown one. `extract_dates` are those of the
    orders and items, as newest() takes them.
    """
    orders = newest(raw_orders, "order_id", extract_dates=extract_dates).select(
        "order_id", "customer_id", F.to_date("order_date").alias("order_date")
    )
    items = newest(raw_order_items, "order_item_id", extract_dates=extract_dates).drop(
        "extract_date", "start_date", "end_date", "order_date"
    )
    return (
        items.join(orders, on="order_id", how="inner")
        .join(dim_customer.select("customer_id", "customer_key"), on="customer_id", how="left")
        .join(dim_product.select("product_id", "product_key"), on="product_id", how="left")
        .select(
            "order_date",
            surrogate_key("order_item_id").alias("sales_key"),
            "order_item_id",
            "order_id",
            or_unknown("customer_key"),
            or_unknown("product_key"),
            date_key("order_date").alias("date_key"),
            F.col("quantity").alias("quantity_sold"),
            price_per_item().alias("price_per_item"),
            line_item_total().alias("line_item_total"),
            (F.col("quantity") < 0).alias("is_return"),
        )
    )


def price_per_item() -> Column:
    """The price of one piece; where the source tells the total alone, its share of that, to 4 decimals, half up."""
    pieces = F.when(F.col("quantity") != 0, F.col("quantity"))
    return F.coalesce("price_per_item", F.round(F.col("line_item_total") / pieces, 4))
