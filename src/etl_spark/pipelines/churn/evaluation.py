"""churn_evaluation: one row per evaluated range, split and model. churn_calibration: per range, model and bin of test.

Models learn from the rows to train on, are chosen by those of validation, and meet those to test once. Of each split
no more rows are looked at than the settings say, those of the customers with the lowest hashes. Figures are of
probabilities of six digits, and of exact sums: no order of rows changes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from itertools import pairwise

import pyspark.sql.functions as F
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Row, Window

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import InputError
from etl_spark.pipelines.churn.features import RATIO
from etl_spark.pipelines.churn.settings import ModelTrial
from etl_spark.pipelines.churn.snapshots import FINGERPRINT
from etl_spark.pipelines.churn.tables import CHURN_CALIBRATION, CHURN_EVALUATION

SPLITS = ("train", "validation", "test")
BINS = 10
EXACT = "decimal(38,12)"
"""Of a term of a sum, which is then the same in whatever order the terms come."""


def evaluate(
    training: DataFrame, *, asked: DateRange, label_days: int, evaluation: ModelTrial
) -> tuple[DataFrame, DataFrame]:
    """churn_evaluation and churn_calibration, of rows of churn_training. The models are fitted here, to a sample.

    Raises InputError where the rows cannot tell how good a model is.
    """
    # It needs numpy, and no other part of the job does.
    from etl_spark.pipelines.churn.models import MODELS, scores, with_vectors

    rows = sample(training, evaluation).persist(StorageLevel.DISK_ONLY)
    parts = {row.split: row for row in parts_of(rows).collect()}
    require_parts(parts, label_days, evaluation.min_rows)
    vectors = with_vectors(rows).persist(StorageLevel.MEMORY_AND_DISK)
    seen = []
    for model, fits in MODELS.items():
        tried = [(fitted, scores(vectors, fitted)) for fitted in fits(vectors, evaluation)]
        fitted, found = min(tried, key=lambda one: validation_error(one[1]))
        seen.append(found.withColumns({"model": F.lit(model), "parameters": F.lit(fitted.parameters).cast("string")}))
    told = reduce(DataFrame.unionByName, seen).where(F.col("split") != "train")
    bins = binned(told).persist(StorageLevel.DISK_ONLY)
    of_fit = {"train_row_count": F.lit(parts["train"].row_count), "schema_fingerprint": F.lit(FINGERPRINT)}
    return (
        CHURN_EVALUATION.over(asked, build_evaluation(bins).withColumns(of_fit)),
        CHURN_CALIBRATION.over(asked, build_calibration(bins)),
    )


def sample(training: DataFrame, evaluation: ModelTrial) -> DataFrame:
    """The rows of each split that are looked at, in one partition and in one order."""
    order = (F.xxhash64(F.lit(evaluation.seed), "customer_id"), "customer_id", "snapshot_date")
    return (
        training.where(F.col("split").isin(*SPLITS))
        .withColumn("place", F.row_number().over(Window.partitionBy("split").orderBy(*order)))
        .where(F.col("place") <= evaluation.max_rows)
        .drop("place")
        .repartition(1)
        .sortWithinPartitions("snapshot_date", "customer_id")
    )


def parts_of(rows: DataFrame) -> DataFrame:
    """One row per split: its first and last snapshot, its rows, and how many of these left."""
    return rows.groupBy("split").agg(
        F.min("snapshot_date").alias("start"),
        F.max("snapshot_date").alias("end"),
        F.count(F.lit(1)).alias("row_count"),
        F.count_if("is_churned").alias("churned"),
    )


def require_parts(parts: Mapping[str, Row], label_days: int, min_rows: int) -> None:
    """Raises InputError where a split is missing, too small or all alike, or begins before the one before it is over.

    The last is so where runs over several ranges have split their snapshots each for itself.
    """
    longer = f"run churn over a longer range: between its parts, {label_days} days are left out"
    for split in SPLITS:
        part = parts.get(split)
        if part is None or part.row_count < min_rows:
            count = part.row_count if part else 0
            raise InputError(f"churn_training has {count} rows of {split}, {min_rows} is the least: {longer}")
        if part.churned in (0, part.row_count):
            which = "none" if part.churned == 0 else "all"
            raise InputError(f"of the customers of {split}, {which} left, and nothing tells who does: {longer}")
    for early, late in pairwise(SPLITS):
        end, start = parts[early].end, parts[late].start
        if (start - end).days < label_days:
            raise InputError(
                f"{early} goes on to {end}, and {late} begins on {start}: the snapshots are of several runs, name the "
                "range of one by --start-date and --end-date"
            )


def squared_error() -> Column:
    """Of a probability: what the Brier score is the mean of."""
    miss = F.when(F.col("is_churned"), 1 - F.col("score")).otherwise(F.col("score"))
    return (miss * miss).cast(EXACT)


def validation_error(scores: DataFrame) -> float:
    """The Brier score of validation: the lower, the better are order and height of the probabilities."""
    (row,) = scores.where(F.col("split") == "validation").agg(F.avg(squared_error()).cast("double")).collect()
    return float(row[0])


def binned(scores: DataFrame) -> DataFrame:
    """One row per model, split and bin, 1 to 10 of equal size by falling score: what both tables are made of.

    Rows with one score stay together, in the bin that the middle of them is in. The sums: rows, churned and score; of
    squares what the Brier score, of pairs what AUC, of precision what average precision, and of top what the lift of
    the top tenth is made of. total and total_churned are those of the split.
    """
    part = ("model", "parameters", "split")
    alike = scores.groupBy(*part, "score").agg(
        F.count(F.lit(1)).alias("rows"),
        F.count_if("is_churned").alias("churned"),
        F.sum(squared_error()).alias("squares"),
    )
    whole = Window.partitionBy(*part)
    down = whole.orderBy(F.desc("score")).rowsBetween(Window.unboundedPreceding, Window.currentRow)
    ranked = alike.withColumns(
        {
            "total": F.sum("rows").over(whole),
            "total_churned": F.sum("churned").over(whole),
            "upto": F.sum("rows").over(down),
            "churned_upto": F.sum("churned").over(down),
        }
    ).withColumns({"above": F.col("upto") - F.col("rows"), "top": F.ceil(F.col("total") / 10)})
    stayed = F.col("total") - F.col("total_churned")
    stayed_upto = F.col("upto") - F.col("churned_upto")
    stayed_alike = F.col("rows") - F.col("churned")
    in_top = F.greatest(F.lit(0), F.least("rows", F.col("top") - F.col("above")))
    return ranked.groupBy(
        *part,
        "total",
        "total_churned",
        F.expr(f"cast({BINS} * (above + upto) div (2 * total) + 1 as int)").alias("bin"),
    ).agg(
        *(F.sum(name).alias(name) for name in ("rows", "churned", "squares")),
        F.sum(F.col("score") * F.col("rows").cast("decimal(10,0)")).alias("score"),
        # Twice, since half of those alike are taken to be below.
        F.sum(F.col("churned") * (2 * (stayed - stayed_upto) + stayed_alike)).alias("pairs"),
        F.sum((F.col("churned") * F.col("churned_upto") / F.col("upto")).cast(EXACT)).alias("precision"),
        F.sum((F.col("churned") * in_top / F.col("rows")).cast(EXACT)).alias("top"),
    )


def build_evaluation(bins: DataFrame) -> DataFrame:
    """churn_evaluation, but for what is alike in all of its rows.

    AUC is the chance that one who left has a higher score than one who stayed, half of it where they are alike. Average
    precision is the mean, over those who left, of the share who left among all with no lower score.
    """
    total, churned = (F.col(name).cast("double") for name in ("total", "total_churned"))
    off = F.abs(F.col("score") - F.col("churned"))
    figures = {
        "row_count": F.col("total"),
        "churn_rate": churned / total,
        "auc": F.col("pairs") / (2 * churned * (total - churned)),
        "average_precision": F.col("precision").cast("double") / churned,
        "brier": F.col("squares").cast("double") / total,
        "calibration_error": F.col("off").cast("double") / total,
        "top_tenth_lift": F.col("top").cast("double") / F.ceil(total / 10) / (churned / total),
    }
    return (
        bins.groupBy("model", "parameters", "split", "total", "total_churned")
        .agg(
            *(F.sum(name).alias(name) for name in ("squares", "pairs", "precision", "top")),
            F.sum(off).alias("off"),
        )
        .select(
            "model",
            "parameters",
            "split",
            *(value.cast("bigint" if name == "row_count" else RATIO).alias(name) for name, value in figures.items()),
        )
    )


def build_calibration(bins: DataFrame) -> DataFrame:
    """churn_calibration, of the bins of the split to test."""
    rate = F.col("churned") / F.col("rows")
    return bins.where(F.col("split") == "test").select(
        "model",
        "bin",
        F.col("rows").alias("row_count"),
        (F.col("score").cast("double") / F.col("rows")).cast(RATIO).alias("mean_predicted"),
        rate.cast(RATIO).alias("observed_rate"),
        (rate / (F.col("total_churned") / F.col("total"))).cast(RATIO).alias("lift"),
    )
