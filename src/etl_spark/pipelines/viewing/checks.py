"""What must add up in every run of the viewing job: the audit against what the tables really hold."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.audit import ALL
from etl_spark.pipelines.viewing.profile import total_seconds
from etl_spark.quality import entry, unbalanced

ACCOUNTS = ("rows", "accepted_rows", "seconds", "statistics_seconds", "summary_seconds")


def balance(
    audit: DataFrame, daily: DataFrame, rejected: DataFrame, statistics: DataFrame, summary: DataFrame
) -> DataFrame:
    """One row per log_date whose accounts do not come to 0: what the audit has, less what the tables hold.

    Every line of the files stands in viewing_daily or viewing_rejected; every accepted second in viewing_daily, in
    viewing_statistics and in viewing_summary. The summary is of the whole range: its account has no log_date.
    """
    whole = audit.where(F.col("reason") == ALL).withColumnRenamed("date", "log_date")
    of_range = F.lit(None).cast("date")
    entries = (
        _entry(
            whole,
            F.col("log_date"),
            rows=F.col("rows_in"),
            accepted_rows=F.col("rows_accepted"),
            seconds=F.col("seconds_accepted"),
            statistics_seconds=F.col("seconds_accepted"),
        ),
        _entry(whole, of_range, summary_seconds=F.col("seconds_accepted")),
        _entry(
            daily,
            F.col("log_date"),
            rows=-F.col("record_count"),
            accepted_rows=-F.col("record_count"),
            seconds=-total_seconds(),
        ),
        _entry(rejected, F.col("log_date"), rows=-F.col("line_count")),
        _entry(
            statistics.where(F.col("category") == ALL), F.col("log_date"), statistics_seconds=-F.col("total_seconds")
        ),
        _entry(summary.where(F.col("segment") == ALL), of_range, summary_seconds=-F.col("total_seconds")),
    )
    return unbalanced(entries, ACCOUNTS, "log_date")


def _entry(df: DataFrame, log_date: Column, **amounts: Column) -> DataFrame:
    """One row per row of `df`: log_date and what it adds to each of ACCOUNTS."""
    return entry(df, ACCOUNTS, "decimal(28,0)", log_date.alias("log_date"), **amounts)
