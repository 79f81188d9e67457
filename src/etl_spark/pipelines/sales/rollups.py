"""What the lines of the asked days come to: sales_by_day, by category, by country, by product, and sales_summary."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import DataFrame

from etl_spark.core.dates import DateRange
from etl_spark.core.keys import UNKNOWN, UNKNOWN_KEY
from etl_spark.pipelines.sales.co_purchase import order_sizes
from etl_spark.pipelines.sales.cohort import cohort_months
from etl_spark.pipelines.sales.measures import money, order_count, sum_up
from etl_spark.pipelines.sales.settings import Baskets, CohortBy
from etl_spark.pipelines.sales.tables import (
    SALES_BY_CATEGORY,
    SALES_BY_COUNTRY,
    SALES_BY_DAY,
    SALES_BY_PRODUCT,
    SALES_SUMMARY,
)


def build_sales_by_day(fact_sales: DataFrame, dim_date: DataFrame, *, asked: DateRange) -> DataFrame:
    """sales_by_day, of every asked day."""
    days = dim_date.where(F.col("date").between(F.lit(asked.start), F.lit(asked.end)))
    lines = days.select(F.col("date").alias("order_date")).join(fact_sales, on="order_date", how="left")
    return SALES_BY_DAY.over(asked, sum_up(lines, "order_date"))


def build_sales_by_category(fact_sales: DataFrame, dim_product: DataFrame, *, asked: DateRange) -> DataFrame:
    """sales_by_category; each line has one product, and each product one category or none."""
    categories = dim_product.select("product_key", F.coalesce("category", F.lit(UNKNOWN)).alias("category"))
    lines = fact_sales.join(categories, on="product_key", how="inner")
    return SALES_BY_CATEGORY.over(asked, sum_up(lines, "category"))


def build_sales_by_country(fact_sales: DataFrame, dim_customer: DataFrame, *, asked: DateRange) -> DataFrame:
    """sales_by_country; each line has one customer, and each customer one country or none."""
    countries = dim_customer.select("customer_key", F.coalesce("country", F.lit(UNKNOWN)).alias("country"))
    lines = fact_sales.join(countries, on="customer_key", how="inner")
    return SALES_BY_COUNTRY.over(asked, sum_up(lines, "country"))


def build_sales_by_product(fact_sales: DataFrame, *, asked: DateRange) -> DataFrame:
    """sales_by_product."""
    return SALES_BY_PRODUCT.over(asked, sum_up(fact_sales, "product_key"))


def build_sales_summary(
    fact_sales: DataFrame, dim_customer: DataFrame, *, asked: DateRange, cohort_by: CohortBy, co_purchase: Baskets
) -> DataFrame:
    """sales_summary: one row, also where nothing was sold."""
    of_unknown = fact_sales.where(F.col("customer_key") == UNKNOWN_KEY).agg(
        order_count().alias("unknown_customer_order_count"),
        F.count(F.lit(1)).alias("unknown_customer_item_count"),
        money(F.col("line_item_total")).alias("unknown_customer_sales"),
    )
    of_no_cohort = (
        fact_sales.where(F.col("customer_key") != UNKNOWN_KEY)
        .join(cohort_months(fact_sales, dim_customer, cohort_by), on="customer_key", how="left_anti")
        .agg(
            F.count_distinct("customer_key").alias("no_cohort_customer_count"),
            money(F.col("line_item_total")).alias("no_cohort_sales"),
        )
    )
    large = F.col("product_count") > co_purchase.max_products
    of_orders = order_sizes(fact_sales).agg(
        F.count_if(~large).alias("basket_count"),
        F.count_if(large).alias("large_order_count"),
    )
    totals = sum_up(fact_sales).crossJoin(of_unknown).crossJoin(of_no_cohort).crossJoin(of_orders)
    return SALES_SUMMARY.over(asked, totals)
