"""cohort: one row per cohort of customers and month of its life that is in the asked range."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame, Window

from etl_spark.core.dates import DateRange
from etl_spark.core.keys import UNKNOWN_KEY
from etl_spark.core.table import MONEY
from etl_spark.pipelines.sales.measures import is_bought, money, ratio
from etl_spark.pipelines.sales.settings import CohortBy
from etl_spark.pipelines.sales.tables import COHORT


def build_cohort(fact_sales: DataFrame, dim_customer: DataFrame, *, asked: DateRange, cohort_by: CohortBy) -> DataFrame:
    """cohort, of all customers of a month, whether they ever bought or not.

    A later cohort than the range's last month is there only if its customers had orders before.
    """
    members = cohort_months(fact_sales, dim_customer, cohort_by)
    index = F.greatest(_months_from("cohort_month", F.col("order_date")), F.lit(0)).alias("month_index")
    of_customer = (
        fact_sales.join(members, on="customer_key", how="inner")
        .groupBy("cohort_month", index, "customer_key")
        .agg(money(F.col("line_item_total")).alias("spending"), F.max(is_bought()).alias("is_active"))
    )
    lived = of_customer.groupBy("cohort_month", "month_index").agg(
        F.count_if("is_active").alias("active_customers"), money(F.col("spending")).alias("total_spending")
    )
    first, last = (F.greatest(_months_from("cohort_month", F.lit(day)), F.lit(0)) for day in (asked.start, asked.end))
    months = members.groupBy("cohort_month").agg(F.count(F.lit(1)).alias("customers"))
    cells = months.withColumn("month_index", F.explode(F.sequence(first, last)))
    so_far = Window.partitionBy("cohort_month").orderBy("month_index").rowsBetween(Window.unboundedPreceding, 0)
    table = (
        cells.join(lived, on=["cohort_month", "month_index"], how="left")
        .where((F.col("cohort_month") <= F.lit(asked.end)) | F.col("total_spending").isNotNull())
        .withColumn("active_customers", F.coalesce("active_customers", F.lit(0)))
        .withColumn("total_spending", F.coalesce("total_spending", F.lit(0).cast(MONEY)))
        .withColumn("retention", ratio(F.col("active_customers"), F.col("customers")))
        .withColumn("cumulative_spending_per_customer", F.sum("total_spending").over(so_far) / F.col("customers"))
    )
    return COHORT.over(asked, table)


def cohort_months(fact_sales: DataFrame, dim_customer: DataFrame, cohort_by: CohortBy) -> DataFrame:
    """One row per customer who has one: customer_key, and cohort_month, its first day.

    By registration, a customer without a date has none; by first purchase, one without an order in the range.
    """
    if cohort_by == "registration":
        days = dim_customer.select("customer_key", F.col("registration_date").alias("day"))
    else:
        days = fact_sales.where(is_bought()).groupBy("customer_key").agg(F.min("order_date").alias("day"))
    return days.where((F.col("customer_key") != UNKNOWN_KEY) & F.col("day").isNotNull()).select(
        "customer_key", F.trunc("day", "month").alias("cohort_month")
    )


def _months_from(month: str, day: Column) -> Column:
    """Calendar months from the column `month` to that of `day`."""
    return (F.year(day) - F.year(month)) * 12 + F.month(day) - F.month(month)
