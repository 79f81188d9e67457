"""top_co_purchase, one row per pair of products of co_purchase: their names, and the pair's place in its range."""

from __future__ import annotations

from etl_spark.core.mart import Mart
from etl_spark.pipelines.sales.tables import CO_PURCHASE, DIM_PRODUCT

SALES_MART = Mart(
    sources=(CO_PURCHASE, DIM_PRODUCT),
    views={
        "top_co_purchase": (
            "SELECT p.start_date, p.end_date, ROW_NUMBER() OVER (PARTITION BY p.start_date, p.end_date "
            "ORDER BY p.order_count DESC, p.lift DESC, p.product_key_1, p.product_key_2) AS place, "
            "a.product_name AS product_1, b.product_name AS product_2, p.order_count, p.support, "
            "p.confidence_1_to_2, p.confidence_2_to_1, p.lift FROM co_purchase p "
            "JOIN dim_product a ON a.product_key = p.product_key_1 "
            "JOIN dim_product b ON b.product_key = p.product_key_2"
        ),
    },
)
