"""replenishment: one row per product: what is expected until the next delivery, and what to order.

What there shall be is the expected demand of the lead time and a safety stock of some standard deviations of it. A
day's deviation is told by the upper of its bounds of 80, and days are added up as if they were independent. They are
not, and errors are not normal: so how many deviations it takes to have enough, at the service level, is counted over
the spans of all products at earlier origins of the back-test. Where there are too few of these, it is the quantile of
the normal distribution (Silver, Pyke and Thomas, 2017).
"""

from __future__ import annotations

from statistics import NormalDist

import pyspark.sql.functions as F
from pyspark.sql import DataFrame

from etl_spark.core.dates import DateRange
from etl_spark.core.keys import UNKNOWN
from etl_spark.pipelines.forecast.settings import DAYS, Every, SeriesOf, Stocking
from etl_spark.pipelines.forecast.tables import PIECES, RATIO, REPLENISHMENT

_UPPER = NormalDist().inv_cdf(0.9)
"""Standard deviations from the middle to the upper of the bounds of 80."""
_FEWEST_SPANS = 100
"""Spans that a service level is counted over."""


def replenish(
    chosen: DataFrame,
    products: DataFrame,
    *,
    asked: DateRange,
    series: SeriesOf,
    every: Every,
    stocking: Stocking,
) -> DataFrame:
    """replenishment of what was chosen at each origin, levels reconciled, and dim_product.

    Of other series than products there is none.
    """
    periods = -(-stocking.lead_days // DAYS[every])
    deviation = (F.col("high_80") - F.col("quantity")).cast("double") / _UPPER
    spans = (
        chosen.where((F.col("level") == "product") & (F.col("step") <= periods) & F.lit(series == "product"))
        .groupBy("series", "origin_date", "is_last", "special")
        .agg(
            F.sum("quantity").alias("expected_demand"),
            # Of decimals, whose sum is the same in any order.
            F.sqrt(F.sum((deviation * deviation).cast("DECIMAL(30,12)")).cast("double")).alias("deviation"),
            F.coalesce(F.sum("actual"), F.lit(0)).alias("actual"),
        )
    )
    spans = (
        spans.join(deviations_needed(spans, stocking.service_level), on="origin_date", how="left")
        .withColumn("safety_stock", F.round(F.col("deviations") * F.col("deviation"), 6).cast(PIECES))
        .withColumn("there", F.col("expected_demand") + F.col("safety_stock"))
    )
    tried = (
        spans.where("NOT is_last")
        .groupBy("series")
        .agg(
            F.count(F.lit(1)).alias("span_count"),
            F.avg((F.col("actual") <= F.col("there")).cast("int")).cast(RATIO).alias("reached_level"),
        )
    )
    known = products.select(
        F.col("product_id").alias("series"),
        "product_name",
        F.coalesce("category", F.lit(UNKNOWN)).alias("category"),
        "stock_quantity",
    )
    wanted = F.ceil(F.col("there") - F.col("stock_quantity"))
    rows = (
        spans.where("is_last")
        .join(tried, on="series", how="left")
        .join(known, on="series", how="left")
        .select(
            F.col("series").alias("product_id"),
            "product_name",
            "category",
            F.lit(stocking.lead_days).alias("lead_days"),
            F.lit(stocking.service_level).cast(RATIO).alias("service_level"),
            "expected_demand",
            "safety_stock",
            "stock_quantity",
            F.when(F.col("stock_quantity").isNotNull(), F.greatest(wanted, F.lit(0)))
            .cast("bigint")
            .alias("suggested_order"),
            F.coalesce("span_count", F.lit(0)).alias("span_count"),
            "reached_level",
            F.col("special").alias("reason"),
        )
    )
    return REPLENISHMENT.over(asked, rows)


def deviations_needed(spans: DataFrame, service_level: float) -> DataFrame:
    """One row per origin_date: `deviations` of safety stock that would have been enough at the origins before it."""
    lacked = (F.col("actual") - F.col("expected_demand")).cast("double")
    before = spans.where("NOT is_last AND deviation > 0").select(
        F.col("origin_date").alias("before"), (lacked / F.col("deviation")).alias("needed")
    )
    counted = F.expr(f"percentile(needed, {service_level}D)")
    return (
        spans.select("origin_date")
        .distinct()
        .join(F.broadcast(before), on=F.col("before") < F.col("origin_date"), how="left")
        .groupBy("origin_date")
        .agg(
            F.when(F.count("needed") < _FEWEST_SPANS, F.lit(NormalDist().inv_cdf(service_level)))
            .otherwise(F.greatest(counted, F.lit(0.0)))
            .alias("deviations")
        )
    )
