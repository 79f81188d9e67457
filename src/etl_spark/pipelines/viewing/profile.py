"""viewing_profile: one row per asked range and contract that watched anything in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.viewing.settings import Segment
from etl_spark.pipelines.viewing.tables import CATEGORIES, SECONDS_COLUMNS, VIEWING_PROFILE, seconds_column


def build_profile(daily: DataFrame, *, asked: DateRange, segments: Sequence[Segment]) -> DataFrame:
    """viewing_profile from the asked days of viewing_daily; days without a log count as days without viewing."""
    profile = (
        sum_by_contract(daily)
        .withColumn("taste", taste())
        .withColumn("activeness", activeness(len(asked)))
        .withColumn("segment", segment(len(asked), segments))
    )
    return VIEWING_PROFILE.over(asked, profile)


def sum_by_contract(daily: DataFrame) -> DataFrame:
    """One row per contract: the five sums, total_seconds, most_watch and active_days of the given days."""
    return (
        daily.groupBy("contract")
        .agg(*(F.sum(name).alias(name) for name in SECONDS_COLUMNS), F.count("log_date").alias("active_days"))
        .withColumn("total_seconds", total_seconds())
        .withColumn("most_watch", most_watch())
    )


def total_seconds() -> Column:
    return reduce(add, (F.col(name) for name in SECONDS_COLUMNS))


def most_watch() -> Column:
    """The category with the most seconds; of equal ones the first in the order of CATEGORIES."""
    most = F.greatest(*SECONDS_COLUMNS)
    return F.coalesce(*(F.when(F.col(seconds_column(name)) == most, F.lit(name)) for name in CATEGORIES))


def taste() -> Column:
    """The categories with any seconds, in the order of CATEGORIES, joined by '-'."""
    return F.concat_ws("-", *(F.when(F.col(seconds_column(name)) > 0, F.lit(name)) for name in CATEGORIES))


def activeness(days_asked: int) -> Column:
    """Active days in percent of the asked days; the source always divides by 30, which is the same for 30 days."""
    return (F.col("active_days") * 100 / F.lit(days_asked).cast("decimal(10,0)")).cast("decimal(5,2)")


def segment(days_asked: int, segments: Sequence[Segment]) -> Column:
    """The first segment whose bound, given for 30 days, lies above the active days scaled to 30."""
    *bounded, last = segments
    return F.coalesce(
        *(F.when(F.col("active_days") * 30 < F.lit(one.below_days) * days_asked, F.lit(one.name)) for one in bounded),
        F.lit(last.name),
    )
