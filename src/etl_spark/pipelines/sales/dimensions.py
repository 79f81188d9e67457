"""dim_customer and dim_product: one row per customer, or product, of any extract so far, as the latest has it."""

from __future__ import annotations

from pyspark.sql import DataFrame

from etl_spark.core.keys import with_unknown
from etl_spark.extracts import newest
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, DIM_PRODUCT


def build_dim_customer(raw_customers: DataFrame) -> DataFrame:
    """dim_customer, from the customers of all extracts."""
    return with_unknown(newest(raw_customers, "customer_id"), DIM_CUSTOMER, "customer_key", "customer_id")


def build_dim_product(raw_products: DataFrame) -> DataFrame:
    """dim_product, from the products of all extracts."""
    return with_unknown(newest(raw_products, "product_id"), DIM_PRODUCT, "product_key", "product_id")
