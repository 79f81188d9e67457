"""viewing_statistics: one row per log_date and category. viewing_summary: one row per asked range and segment."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.audit import ALL
from etl_spark.core.dates import DateRange
from etl_spark.pipelines.viewing.profile import total_seconds
from etl_spark.pipelines.viewing.tables import CATEGORIES, seconds_column


def build_statistics(daily: DataFrame) -> DataFrame:
    """viewing_statistics: every category of every day with a row in viewing_daily, 0 where nobody watched it."""
    seconds = {**{name: F.col(seconds_column(name)) for name in CATEGORIES}, ALL: total_seconds()}
    by_day = daily.groupBy("log_date").agg(
        *(F.count(F.when(value > 0, True)).alias(f"{name}_viewers") for name, value in seconds.items()),
        *(F.sum(value).alias(f"{name}_seconds") for name, value in seconds.items()),
    )
    rows = F.array(
        *(
            F.struct(
                F.lit(name).alias("category"),
                F.col(f"{name}_viewers").alias("viewer_count"),
                F.col(f"{name}_seconds").alias("total_seconds"),
            )
            for name in seconds
        )
    )
    return by_day.select("log_date", F.inline(rows))


def build_summary(profile: DataFrame, *, asked: DateRange, days_found: int) -> DataFrame:
    """viewing_summary from the asked range's profile. All is there even where no contract is."""
    measures = (
        F.count(F.lit(1)).alias("contract_count"),
        F.coalesce(F.sum("total_seconds"), F.lit(0)).alias("total_seconds"),
        F.sum("active_days").alias("active_days"),
    )
    everyone = profile.agg(*measures).withColumn("segment", F.lit(ALL))
    return (
        profile.groupBy("segment")
        .agg(*measures)
        .unionByName(everyone)
        .select(
            F.lit(asked.start).alias("start_date"),
            F.lit(asked.end).alias("end_date"),
            "segment",
            "contract_count",
            "total_seconds",
            _average(F.col("contract_count")).alias("avg_seconds_per_person_month"),
            _average(F.col("contract_count") * 4).alias("avg_seconds_per_person_week"),
            _average(F.col("contract_count") * 4 * 7).alias("avg_seconds_per_person_day"),
            _average(F.col("active_days")).alias("avg_seconds_per_active_day"),
            F.lit(len(asked)).alias("days_asked"),
            F.lit(days_found).alias("days_found"),
        )
    )


def _average(divisor: Column) -> Column:
    """Seconds per `divisor`, null for none. Division of these types keeps 13 decimals, enough to round right."""
    exact = F.col("total_seconds").cast("decimal(20,0)") / F.when(divisor > 0, divisor).cast("decimal(12,0)")
    return exact.cast("decimal(18,2)")
