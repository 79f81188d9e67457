"""co_purchase: one row per pair of products that enough orders of the asked range have both of."""

from __future__ import annotations

from decimal import Decimal

import pyspark.sql.functions as F
from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window

from etl_spark.core.dates import DateRange
from etl_spark.core.keys import UNKNOWN_KEY
from etl_spark.pipelines.sales.measures import ratio
from etl_spark.pipelines.sales.settings import Baskets
from etl_spark.pipelines.sales.tables import CO_PURCHASE


def build_co_purchase(fact_sales: DataFrame, *, asked: DateRange, co_purchase: Baskets) -> DataFrame:
    """co_purchase, of known products, of which an order has more bought than returned.

    A pair is in no more orders than each of its products: those of too few orders are left out before any pair is made
    (Agrawal and Srikant, Fast Algorithms for Mining Association Rules, 1994). An order of more products than
    `co_purchase` allows is left out of every count.
    """
    in_order = Window.partitionBy("order_id")
    baskets = (
        _products_of_orders(fact_sales)
        .withColumn("product_count", F.count(F.lit(1)).over(in_order))
        .where(F.col("product_count") <= co_purchase.max_products)
        .persist(StorageLevel.DISK_ONLY)
    )
    basket_count = baskets.agg(F.count_distinct("order_id").alias("basket_count"))
    enough = F.greatest(
        F.lit(co_purchase.min_orders),
        F.ceil(F.col("basket_count") * F.lit(Decimal(str(co_purchase.min_support)))),
    )
    of_product = (
        baskets.groupBy("product_key")
        .agg(F.count(F.lit(1)).alias("orders"))
        .crossJoin(basket_count)
        .where(F.col("orders") >= enough)
    )
    # Products are few beside orders, which Spark cannot know.
    pairs = (
        baskets.join(F.broadcast(of_product.select("product_key")), on="product_key", how="left_semi")
        .groupBy("order_id")
        .agg(F.sort_array(F.collect_list("product_key")).alias("products"))
        .select("products", F.posexplode("products").alias("place", "product_key_1"))
        .select("product_key_1", F.explode(F.expr("slice(products, place + 2, size(products))")).alias("product_key_2"))
        .groupBy("product_key_1", "product_key_2")
        .agg(F.count(F.lit(1)).alias("order_count"))
    )
    first = of_product.select(F.col("product_key").alias("product_key_1"), F.col("orders").alias("orders_1"))
    second = of_product.select(
        F.col("product_key").alias("product_key_2"), F.col("orders").alias("orders_2"), "basket_count"
    )
    both, one, other = F.col("order_count"), F.col("orders_1"), F.col("orders_2")
    table = (
        pairs.join(F.broadcast(second), on="product_key_2", how="inner")
        .where(both >= enough)
        .join(F.broadcast(first), on="product_key_1", how="inner")
        .withColumn("support", ratio(both, F.col("basket_count")))
        .withColumn("confidence_1_to_2", ratio(both, one))
        .withColumn("confidence_2_to_1", ratio(both, other))
        .withColumn("lift", ratio(both * F.col("basket_count"), one * other))
    )
    return CO_PURCHASE.over(asked, table)


def order_sizes(fact_sales: DataFrame) -> DataFrame:
    """One row per order with a known product, of which it has more bought than returned: order_id, product_count."""
    return _products_of_orders(fact_sales).groupBy("order_id").agg(F.count(F.lit(1)).alias("product_count"))


def _products_of_orders(fact_sales: DataFrame) -> DataFrame:
    """One row per order_id and such a product_key. By order at once, so that nothing else moves rows again."""
    return (
        fact_sales.where(F.col("product_key") != UNKNOWN_KEY)
        .repartition("order_id")
        .groupBy("order_id", "product_key")
        .agg(F.sum("quantity_sold").alias("quantity"))
        .where("quantity > 0")
        .select("order_id", "product_key")
    )
