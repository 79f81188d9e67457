"""What must add up in every run of the viewing job: the audit against what the tables really hold."""

from __future__ import annotations

from collections.abc import Mapping

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.audit import ALL
from etl_spark.pipelines.viewing.profile import total_seconds


def audit_against_tables(
    audit: DataFrame, daily: DataFrame, rejected: DataFrame, statistics: DataFrame, profile: DataFrame
) -> DataFrame:
    """One row per log_date and fact where the audit and the tables differ: log_date, fact, audited, stored.

    Every line the files hold must stand in viewing_daily or viewing_rejected, and every accepted second in
    viewing_daily, viewing_statistics and viewing_profile. The range's total has no log_date.
    """
    whole, by_reason = audit.where(F.col("reason") == ALL), audit.where(F.col("reason") != ALL)
    seconds = F.sum("seconds_accepted")
    audited = (
        _facts(
            whole.withColumnRenamed("date", "log_date"),
            {
                "rows accepted": F.sum("rows_accepted"),
                "rows rejected": F.sum("rows_rejected"),
                "rows rejected, by reason": F.sum("rows_rejected"),
                "rows in, less accepted and rejected": F.sum("rows_in") - F.sum("rows_accepted") - F.sum("rows_rejected"),
                "seconds in, less rejected": F.sum("seconds_in") - F.sum("seconds_rejected"),
                "seconds accepted": seconds,
                "seconds in viewing_statistics": seconds,
            },
        ),
        _facts(whole.withColumn("log_date", F.lit(None).cast("date")), {"seconds in viewing_profile": seconds}),
    )
    stored = (
        _facts(
            daily,
            {
                "rows accepted": F.sum("record_count"),
                "seconds in, less rejected": F.sum(total_seconds()),
                "seconds accepted": F.sum(total_seconds()),
            },
        ),
        _facts(rejected, {"rows rejected": F.sum("line_count")}),
        _facts(by_reason.withColumnRenamed("date", "log_date"), {"rows rejected, by reason": F.sum("rows_rejected")}),
        _facts(
            statistics.where(F.col("category") == ALL), {"seconds in viewing_statistics": F.sum("total_seconds")}
        ),
        _facts(
            profile.withColumn("log_date", F.lit(None).cast("date")),
            {"seconds in viewing_profile": F.sum("total_seconds")},
        ),
    )
    left, right = _union(audited, "audited"), _union(stored, "stored")
    same_fact = left["log_date"].eqNullSafe(right["log_date"]) & (left["fact"] == right["fact"])
    return (
        left.join(right, on=same_fact, how="full")
        .select(
            F.coalesce(left["log_date"], right["log_date"]).alias("log_date"),
            F.coalesce(left["fact"], right["fact"]).alias("fact"),
            F.coalesce("audited", F.lit(0)).alias("audited"),
            F.coalesce("stored", F.lit(0)).alias("stored"),
        )
        .where(F.col("audited") != F.col("stored"))
    )


def _facts(df: DataFrame, measures: Mapping[str, Column]) -> DataFrame:
    """One row per log_date and measure: log_date, fact, value."""
    values = (F.struct(F.lit(name).alias("fact"), F.col(name).cast("decimal(38,0)").alias("value")) for name in measures)
    by_date = df.groupBy("log_date").agg(*(measure.alias(name) for name, measure in measures.items()))
    return by_date.select("log_date", F.inline(F.array(*values)))


def _union(parts: tuple[DataFrame, ...], value: str) -> DataFrame:
    first, *others = parts
    for other in others:
        first = first.unionByName(other)
    return first.withColumnRenamed("value", value)
