"""What must add up in every run of the viewing job: the audit against what the tables really hold."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import DataFrame

from etl_spark.core.audit import ALL
from etl_spark.pipelines.viewing.profile import total_seconds


def days_against_audit(audit: DataFrame, daily: DataFrame, rejected: DataFrame, statistics: DataFrame) -> DataFrame:
    """One row per day whose tables do not hold what its files did: the audited figures beside the stored ones.

    Every line of the files must stand in viewing_daily or viewing_rejected, every accepted second in viewing_daily
    and viewing_statistics.
    """
    names = ("rows_in", "rows_accepted", "rows_rejected", "seconds_accepted")
    audited = (
        audit.where(F.col("reason") == ALL)
        .groupBy(F.col("date").alias("log_date"))
        .agg(*(F.sum(name).alias(name) for name in names))
    )
    in_daily = daily.groupBy("log_date").agg(
        F.sum("record_count").alias("rows_in_daily"), F.sum(total_seconds()).alias("seconds_in_daily")
    )
    in_rejected = rejected.groupBy("log_date").agg(F.sum("line_count").alias("rows_in_rejected"))
    in_statistics = statistics.where(F.col("category") == ALL).select(
        "log_date", F.col("total_seconds").alias("seconds_in_statistics")
    )
    both = audited
    for stored in (in_daily, in_rejected, in_statistics):
        both = both.join(F.broadcast(stored), on="log_date", how="left")
    both = both.na.fill(0)
    return both.where(
        (F.col("rows_in") != F.col("rows_in_daily") + F.col("rows_in_rejected"))
        | (F.col("rows_accepted") != F.col("rows_in_daily"))
        | (F.col("rows_rejected") != F.col("rows_in_rejected"))
        | (F.col("seconds_accepted") != F.col("seconds_in_daily"))
        | (F.col("seconds_accepted") != F.col("seconds_in_statistics"))
    )


def range_against_audit(audit: DataFrame, summary: DataFrame) -> DataFrame:
    """One row where the range's total seconds are not those of its days' audit: audited, stored."""
    audited = audit.where(F.col("reason") == ALL).agg(F.coalesce(F.sum("seconds_accepted"), F.lit(0)).alias("audited"))
    stored = summary.where(F.col("segment") == ALL).select(F.col("total_seconds").alias("stored"))
    return audited.join(stored, on=F.col("audited") != F.col("stored"), how="inner")
