"""dim_customer and dim_product: one row per customer, or product, of any extract so far, as the latest has it."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import DataFrame

from etl_spark.core.keys import UNKNOWN, UNKNOWN_KEY, surrogate_key
from etl_spark.core.table import Table
from etl_spark.extracts import newest
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, DIM_PRODUCT


def build_dim_customer(raw_customers: DataFrame) -> DataFrame:
    """dim_customer, from the customers of all extracts."""
    return with_unknown(newest(raw_customers, "customer_id"), DIM_CUSTOMER, "customer_key", "customer_id")


def build_dim_product(raw_products: DataFrame) -> DataFrame:
    """dim_product, from the products of all extracts."""
    return with_unknown(newest(raw_products, "product_id"), DIM_PRODUCT, "product_key", "product_id")


def with_unknown(members: DataFrame, dimension: Table, key: str, natural_key: str) -> DataFrame:
    """`members` with their surrogate key, and the member that stands for all that are not known."""
    unknown = members.sparkSession.range(1).select(
        *(
            F.lit({key: UNKNOWN_KEY, natural_key: UNKNOWN}.get(column.name)).cast(column.data_type).alias(column.name)
            for column in dimension.columns
        )
    )
    return members.withColumn(key, surrogate_key(natural_key)).unionByName(unknown)
