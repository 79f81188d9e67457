"""replenishment: one row per product: what is expected until the next delivery, and what to order.

What there shall be is the expected demand of the lead time and a safety stock of z standard deviations of it, z being
the quantile of the normal distribution at the service level (Silver, Pyke and Thomas, 2017). A day's deviation is told
by the upper of its bounds of 80, and days are taken as independent. That this is an assumption, the reached level
shows: it is of spans of the back-test, by what a run would have forecast then.
"""

from __future__ import annotations

from statistics import NormalDist

import pyspark.sql.functions as F
from pyspark.sql import DataFrame

from etl_spark.core.dates import DateRange
from etl_spark.core.keys import UNKNOWN
from etl_spark.pipelines.forecast.models import ORDINARY
from etl_spark.pipelines.forecast.settings import DAYS, Every, SeriesOf, Stocking
from etl_spark.pipelines.forecast.tables import PIECES, RATIO, REPLENISHMENT

_UPPER = NormalDist().inv_cdf(0.9)
"""Standard deviations from the middle to the upper of the bounds of 80."""


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
    quantile = NormalDist().inv_cdf(stocking.service_level)
    deviation = (F.col("high_80") - F.col("quantity")).cast("double") / _UPPER
    spans = (
        chosen.where((F.col("level") == "product") & (F.col("step") <= periods) & F.lit(series == "product"))
        .groupBy("series", "origin_date", "is_last", "kind", "is_sold_out")
        .agg(
            F.sum("quantity").alias("expected_demand"),
            F.round(quantile * F.sqrt(F.sum(deviation * deviation)), 6).cast(PIECES).alias("safety_stock"),
            F.coalesce(F.sum("actual"), F.lit(0)).alias("actual"),
        )
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
            F.when(F.col("is_sold_out"), F.lit("sold_out"))
            .when(~F.col("kind").isin(*ORDINARY), F.col("kind"))
            .alias("reason"),
        )
    )
    return REPLENISHMENT.over(asked, rows)
