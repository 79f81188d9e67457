"""churn_training, churn_scoring and what describes them: one row per snapshot and customer, per feature, and per both.

A snapshot is taken when its day begins. A feature looks at the 7, 30 or 90 days before, and sees only what had arrived
by then. The customers of a snapshot are those who bought in the 90 days before it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pyspark.sql.functions as F
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.churn.features import FEATURES, HISTORY_DAYS, PARTS, RATIO, SUMS, WINDOWS, Feature
from etl_spark.pipelines.churn.settings import SplitShares, snapshots
from etl_spark.pipelines.churn.tables import UNKNOWN_CUSTOMER

SCORING = "scoring"
"""The split of a snapshot whose label is not known yet."""

FINGERPRINT = hashlib.sha256(
    "; ".join(f"{feature.name} {feature.column.type}" for feature in FEATURES).encode()
).hexdigest()[:16]
"""Of what churn_training and churn_scoring are made of: it changes with a feature's name, place or type."""


def build_datasets(
    activity: DataFrame,
    categories: DataFrame,
    profiles: DataFrame,
    *,
    asked: DateRange,
    snapshot_every: str,
    label_days: int,
    split: SplitShares,
    sales_days: frozenset[date],
    profiles_days: tuple[date, ...],
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """churn_training, churn_scoring and churn_dataset, of the snapshots of the asked range.

    `activity`, `categories` and `profiles` are customer_activity_daily, customer_category_daily and customer_profile of
    the days that these look at, `sales_days` the days whose purchases are known, and `profiles_days` the days as of
    which profiles are there.
    """
    found = snapshots(asked, snapshot_every)
    labelled = tuple(day for day in found if label_window(day, label_days) <= sales_days)
    features = build_features(
        activity, categories, profiles, snapshot_dates=found, profile_dates=latest_before(found, profiles_days)
    )
    with_labels = (
        features.join(buyers_after(activity, labelled, label_days), on=["snapshot_date", "customer_id"], how="left")
        .withColumn("is_churned", F.when(F.col("snapshot_date").isin(*labelled), F.col("bought").isNull()))
        .withColumn("split", split_of(splits(labelled, label_days, split)))
        .drop("bought")
        .persist(StorageLevel.DISK_ONLY)
    )
    training = with_labels.where(F.col("split") != SCORING)
    scoring = with_labels.where(F.col("snapshot_date") == max(found)).drop("is_churned", "split")
    return training, scoring, describe(with_labels)


def label_window(snapshot: date, days: int) -> frozenset[date]:
    return frozenset(snapshot + timedelta(n) for n in range(days))


def latest_before(snapshot_dates: Sequence[date], profile_dates: Sequence[date]) -> dict[date, date]:
    """The last extract before each snapshot, which is complete when the snapshot is taken; none for an early one."""
    earlier = {snapshot: [day for day in profile_dates if day < snapshot] for snapshot in snapshot_dates}
    return {snapshot: max(days) for snapshot, days in earlier.items() if days}


def splits(labelled: Sequence[date], gap_days: int, shares: SplitShares) -> dict[date, str]:
    """What each of the snapshots `labelled`, in their order, is for.

    The last are the test, the last that are gap_days or more before these the validation, and what is as far before
    that is to train on. What lies between is the gap: a label there is of days that the next part's features look at.
    """
    found: dict[date, str] = {}
    left = list(labelled)
    for part, share in (("test", shares.test), ("validation", shares.validation), ("train", 1.0)):
        chosen = left[-math.ceil(share * len(labelled)) :]
        found |= dict.fromkeys(chosen, part)
        end = min(chosen, default=date.min)
        left = [day for day in left if (end - day).days >= gap_days]
    return {day: found.get(day, "gap") for day in labelled}


def split_of(found: Mapping[date, str]) -> Column:
    """The split of a row's snapshot, SCORING for one without a label."""
    return F.coalesce(*(F.when(F.col("snapshot_date") == day, part) for day, part in found.items()), F.lit(SCORING))


def buyers_after(activity: DataFrame, snapshot_dates: Sequence[date], days: int) -> DataFrame:
    """One row per snapshot and customer with an order in the `days` from it on, that had arrived when these ended."""

    def is_label_of(snapshot: Column) -> Column:
        after = F.date_diff("activity_date", snapshot)
        return after.between(0, days - 1) & (F.date_diff("arrival_date", snapshot) < days)

    all_dates = F.array(*(F.lit(day) for day in snapshot_dates)).cast("array<date>")
    orders = activity.where(F.col("order_count") > 0)
    return (
        orders.select("customer_id", F.explode(F.filter(all_dates, is_label_of)).alias("snapshot_date"))
        .distinct()
        .withColumn("bought", F.lit(True))
    )


def describe(with_labels: DataFrame) -> DataFrame:
    """churn_dataset of the rows of churn_training, and of other snapshots, whose label is null."""
    rows = (
        with_labels.groupBy("snapshot_date", "split")
        .agg(
            F.count(F.lit(1)).alias("row_count"),
            F.avg(F.col("is_churned").cast("int")).cast(RATIO).alias("churn_rate"),
            F.array(*map(_measures, FEATURES)).alias("measures"),
        )
        .select("snapshot_date", "split", "row_count", "churn_rate", F.inline("measures"))
        .withColumn("null_share", ((F.col("row_count") - F.col("values")) / F.col("row_count")).cast(RATIO))
        .withColumn("mean", F.round(F.col("sum") / _some("values"), 9))
        .withColumn(
            "deviation",
            F.round(F.sqrt(F.greatest(F.lit(0.0), F.col("squares") / _some("values") - F.col("mean") ** 2)), 9),
        )
        .drop("values", "sum", "squares")
    )
    before = Window.partitionBy("feature").orderBy("snapshot_date")
    change = F.col("mean") - F.lag("mean").over(before)
    spread = F.lag("deviation").over(before)
    return rows.withColumns(
        {"drift": F.round(change / F.when(spread > 0, spread), 9), "schema_fingerprint": F.lit(FINGERPRINT)}
    )


def _some(name: str) -> Column:
    return F.when(F.col(name) > 0, F.col(name))


def _measures(feature: Feature) -> Column:
    """How many values a feature has, their sum and that of their squares, null for a name; yes counts as 1.

    Exact sums, so that a mean is the same in whatever order the rows come.
    """
    whole = f"CAST({feature.name} AS INT)" if feature.column.type == "BOOLEAN" else feature.name
    number = f"TRY_CAST({whole} AS DECIMAL(24,6))"
    sums = {"sum": f"TRY_SUM({number})", "squares": f"TRY_SUM(TRY_MULTIPLY({number}, {number}))"}
    return F.struct(
        F.lit(feature.name).alias("feature"),
        F.count(feature.name).alias("values"),
        *(
            (F.lit(None) if feature.column.length else F.expr(sql)).cast("double").alias(name)
            for name, sql in sums.items()
        ),
    )


def build_dictionary(nothing: DataFrame) -> DataFrame:
    """churn_feature."""
    rows = (
        F.struct(
            F.lit(one.name).alias("feature"),
            F.lit(one.column.doc).alias("meaning"),
            F.lit(one.source).alias("source"),
            F.lit(one.window_days).cast("int").alias("window_days"),
            F.lit(one.unit).alias("unit"),
            F.lit(one.column.type).alias("type"),
        )
        for one in FEATURES
    )
    return nothing.select(F.inline(F.array(*rows)))


def build_features(
    activity: DataFrame,
    categories: DataFrame,
    profiles: DataFrame,
    *,
    snapshot_dates: Sequence[date],
    profile_dates: Mapping[date, date],
) -> DataFrame:
    """One row per snapshot and customer who bought in the 90 days before it: FEATURES.

    `activity` is customer_activity_daily, `categories` customer_category_daily, `profiles` customer_profile;
    `profile_dates` tells which extract of the profiles each snapshot sees, if any.
    """
    totals = (
        with_totals(known_at(activity, snapshot_dates))
        .join(category_totals(known_at(categories, snapshot_dates)), on=["snapshot_date", "customer_id"], how="inner")
        .join(profiles_at(profiles, profile_dates), on=["snapshot_date", "customer_id"], how="left")
    )
    features = (F.expr(one.value).cast(one.column.data_type).alias(one.name) for one in FEATURES)
    return totals.select("snapshot_date", "customer_id", *features)


def known_at(daily: DataFrame, snapshot_dates: Sequence[date]) -> DataFrame:
    """One row per row of `daily` and snapshot that sees it: `snapshot_date`, and `age`, how many days before it is.

    It happened in the HISTORY_DAYS before the day of the snapshot, and had arrived when that day began.
    """

    def sees(snapshot: Column) -> Column:
        age = F.date_diff(snapshot, "activity_date")
        return age.between(1, HISTORY_DAYS) & (F.col("arrival_date") < snapshot)

    all_dates = F.array(*(F.lit(day) for day in snapshot_dates))
    return (
        daily.where(F.col("customer_id") != UNKNOWN_CUSTOMER)
        .withColumn("snapshot_date", F.explode(F.filter(all_dates, sees)))
        .withColumn("age", F.date_diff("snapshot_date", "activity_date"))
    )


def with_totals(seen: DataFrame) -> DataFrame:
    """One row per snapshot and customer with an order among `seen` rows of customer_activity_daily: their totals.

    Each of the sums over 7, 30 and 90 days, such as spend_30d; first_order, last_order, last_visit and last_post;
    order_days, the number of days with an order, and gaps, the days from each to the next.
    """

    def day_with(name: str) -> Column:
        return F.when(F.col(name) > 0, F.col("activity_date"))

    sums = (
        F.sum(F.when(F.col("age") <= days, F.col(name)).otherwise(0)).alias(f"{name}_{days}d")
        for name in (*SUMS, *PARTS)
        for days in WINDOWS
    )
    posts = F.when(F.col("mention_count") + F.col("reply_count") > 0, F.col("activity_date"))
    days = F.col("days_with_order")
    return (
        seen.groupBy("snapshot_date", "customer_id")
        .agg(
            *sums,
            F.array_sort(F.collect_set(day_with("order_count"))).alias("days_with_order"),
            F.max(day_with("session_count")).alias("last_visit"),
            F.max(posts).alias("last_post"),
        )
        .where(F.size(days) > 0)
        .withColumns(
            {
                "first_order": F.element_at(days, 1),
                "last_order": F.element_at(days, -1),
                "order_days": F.size(days),
                "gaps": F.expr(
                    "transform(slice(days_with_order, 2, size(days_with_order)),"
                    " (day, place) -> datediff(day, days_with_order[place]))"
                ),
            }
        )
    )


def category_totals(seen: DataFrame) -> DataFrame:
    """One row per snapshot and customer among `seen` rows of customer_category_daily: category_count, top_category."""
    by_category = seen.groupBy("snapshot_date", "customer_id", "category").agg(F.sum("item_count").alias("item_count"))
    most_first = F.struct(-F.col("item_count"), "category")
    return by_category.groupBy("snapshot_date", "customer_id").agg(
        F.count(F.lit(1)).alias("category_count"), F.min_by("category", most_first).alias("top_category")
    )


def profiles_at(profiles: DataFrame, profile_dates: Mapping[date, date]) -> DataFrame:
    """One row per snapshot and customer with a profile in the extract that the snapshot sees."""
    seen_by: dict[date, list[date]] = {}
    for snapshot, extract_date in sorted(profile_dates.items()):
        seen_by.setdefault(extract_date, []).append(snapshot)
    dates = F.coalesce(
        *(F.when(F.col("extract_date") == day, F.array(*map(F.lit, found))) for day, found in seen_by.items()),
        F.array().cast("array<date>"),
    )
    return (
        profiles.where(F.col("extract_date").isin(*seen_by))
        .withColumn("snapshot_date", F.explode(dates))
        .drop("extract_date")
    )
