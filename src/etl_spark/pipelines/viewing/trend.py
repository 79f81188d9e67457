"""viewing_trend: one row per contract of the asked range or of the range of equal length just before it."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.viewing.profile import sum_by_contract
from etl_spark.pipelines.viewing.tables import VIEWING_TREND


def build_trend(
    profile: DataFrame, previous_daily: DataFrame, *, asked: DateRange, previous_days_found: int
) -> DataFrame:
    """viewing_trend from the asked range's profile and the earlier days of viewing_daily."""
    now = profile.select("contract", "most_watch", "total_seconds")
    before = sum_by_contract(previous_daily).select(
        "contract",
        F.col("most_watch").alias("previous_most_watch"),
        F.col("total_seconds").alias("previous_total_seconds"),
    )
    trend = (
        now.join(before, on="contract", how="full")
        .withColumn("previous_days_found", F.lit(previous_days_found))
        .withColumn("change", F.when(F.lit(previous_days_found == len(asked)), change()))
    )
    return VIEWING_TREND.over(asked, trend)


def change() -> Column:
    """What became of a contract's most watched category; New and Lost are contracts found on one side only."""
    return (
        F.when(F.col("previous_most_watch").isNull(), F.lit("New"))
        .when(F.col("most_watch").isNull(), F.lit("Lost"))
        .when(F.col("most_watch") == F.col("previous_most_watch"), F.lit("Unchanged"))
        .otherwise(F.lit("Changed"))
    )
