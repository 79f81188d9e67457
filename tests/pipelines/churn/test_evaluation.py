"""Models on trial: figures that are worked out otherwise too, and what a planted signal, or none, leads to."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import InputError, UsageError
from etl_spark.core.local import local_frame
from etl_spark.pipelines.churn.evaluation import (
    binned,
    build_calibration,
    build_evaluation,
    evaluate,
    parts_of,
    require_parts,
    sample,
)
from etl_spark.pipelines.churn.settings import ModelTrial
from etl_spark.pipelines.churn.tables import CHURN_CALIBRATION, CHURN_EVALUATION, CHURN_TRAINING

TRIAL = ModelTrial(min_rows=50, max_rows=1000, max_trees=3, seed=1)
ASKED = DateRange(date(2024, 4, 1), date(2024, 6, 30))
SNAPSHOTS = {
    "train": date(2024, 4, 1),
    "gap": date(2024, 4, 22),
    "validation": date(2024, 5, 6),
    "test": date(2024, 6, 10),
}
NAMELESS = {"plan": None, "top_category_90d": "__unknown"}
"""What an encoder of names could stumble over."""


def customers(draw: random.Random, count: int) -> list[dict[str, Any]]:
    """So many rows of each split: those leave who have not bought, and still more those who do not visit."""
    made = []
    for split, day in SNAPSHOTS.items():
        for number in range(count):
            recency, visits = draw.randint(1, 90), draw.choice((0, 0, 1, 2, 5))
            odds = math.exp((recency - 45) / 40 + 1.5 * (1 - visits))
            made.append(
                {name: 0 for name in CHURN_TRAINING.column_names if not name.startswith("is_")}
                | {"is_email_opt_in": draw.choice((True, False, None)), "sentiment_mean_90d": None}
                | {"country": draw.choice(("DE", "FR", "only in test" if split == "test" else "")), **NAMELESS}
                | {"snapshot_date": day, "customer_id": f"C{number}", "split": split}
                | {"days_since_last_order": recency, "session_count_30d": visits}
                | {"is_churned": draw.random() < odds / (1 + odds)}
            )
    return made


def table(spark: SparkSession, rows: Sequence[dict[str, Any]]) -> DataFrame:
    full = [[row.get(name) for name in CHURN_TRAINING.column_names] for row in rows]
    return local_frame(spark, full, CHURN_TRAINING.schema)


def trial(training: DataFrame, **given: Any) -> tuple[list[Row], list[Row]]:
    made = evaluate(training, asked=ASKED, label_days=30, evaluation=replace(TRIAL, **given))
    evaluation, calibration = (
        one.conform(df).orderBy(*one.grain).collect()
        for one, df in zip((CHURN_EVALUATION, CHURN_CALIBRATION), made, strict=True)
    )
    training.sparkSession.catalog.clearCache()
    return evaluation, calibration


@pytest.fixture(scope="module")
def training(spark: SparkSession) -> DataFrame:
    return table(spark, customers(random.Random(1), 300))


@pytest.fixture(scope="module")
def tried(training: DataFrame) -> tuple[list[Row], list[Row]]:
    return trial(training)


def test_models_find_what_recency_does_not_tell(tried: tuple[list[Row], list[Row]]) -> None:
    evaluation, calibration = tried
    found = {(row.split, row.model): row for row in evaluation}
    assert len(found) == len(evaluation) == 6
    test = {model: row for (split, model), row in found.items() if split == "test"}
    for model in ("logistic_regression", "gradient_boosted_trees"):
        assert test[model].auc > test["recency"].auc + Decimal("0.1")
        assert test[model].average_precision > test["recency"].average_precision
        assert test[model].brier < test["recency"].brier
        assert test[model].parameters
    assert test["recency"].parameters is None
    assert {(row.row_count, row.train_row_count, row.start_date) for row in evaluation} == {(300, 300, ASKED.start)}
    for model, row in test.items():
        bins = [one for one in calibration if one.model == model]
        assert sum(one.row_count for one in bins) == 300
        left = sum(one.row_count * one.observed_rate for one in bins)
        assert abs(left / 300 - row.churn_rate) < Decimal("0.00001")


@pytest.mark.default_spark
def test_order_and_partitions_change_nothing(
    spark: SparkSession, training: DataFrame, tried: tuple[list[Row], list[Row]]
) -> None:
    rows = [row.asDict() for row in training.collect()]
    random.Random(2).shuffle(rows)
    assert trial(table(spark, rows).repartition(7)) == tried


@pytest.mark.default_spark
def test_shuffled_labels_leave_nothing_to_find(spark: SparkSession, training: DataFrame) -> None:
    rows = [row.asDict() for row in training.collect()]
    labels = [row["is_churned"] for row in rows]
    random.Random(3).shuffle(labels)
    evaluation, _ = trial(table(spark, [row | {"is_churned": one} for row, one in zip(rows, labels, strict=True)]))
    for row in evaluation:
        left = float(row.churn_rate) * row.row_count
        stayed = row.row_count - left
        # Four standard deviations of the AUC of scores that tell nothing.
        assert abs(float(row.auc) - 0.5) < 4 * math.sqrt((row.row_count + 1) / (12 * left * stayed)) < 0.15


def figures(spark: SparkSession, scores: Sequence[tuple[str, bool]]) -> tuple[Row, list[Row]]:
    """churn_evaluation's row, and churn_calibration's, of the scores of one model, and whether each left."""
    rows = local_frame(
        spark,
        [("m", None, "test", left, score) for score, left in scores],
        spark.sql("SELECT '' AS model, '' AS parameters, '' AS split, true AS is_churned, 0.5BD AS score")
        .selectExpr("model", "parameters", "split", "is_churned", "CAST(score AS decimal(7,6)) AS score")
        .schema,
    )
    bins = binned(rows)
    (row,) = build_evaluation(bins).collect()
    return row, build_calibration(bins).orderBy("bin").collect()


def test_figures_by_hand(spark: SparkSession) -> None:
    row, _ = figures(spark, [("0.9", True), ("0.5", True), ("0.5", False), ("0.5", True), ("0.1", False)])
    # Of six pairs, 0.9 is above in two, and each 0.5 in one, and alike in one.
    assert row.auc == Decimal("0.833333")
    # One of one; then three of four, twice.
    assert row.average_precision == Decimal("0.833333")
    # Squares of 0.1, 0.5 three times, 0.1; and the tenth of five rows is one.
    assert (row.brier, row.top_tenth_lift) == (Decimal("0.154000"), Decimal("1.666667"))
    assert (row.row_count, row.churn_rate) == (5, Decimal("0.600000"))


def test_like_scores_share_a_bin_and_the_top(spark: SparkSession) -> None:
    row, bins = figures(spark, [("0.4", number < 5) for number in range(20)])
    assert (row.auc, row.average_precision, row.top_tenth_lift) == (Decimal("0.5"), Decimal("0.25"), 1)
    assert [tuple(one[1:]) for one in bins] == [(6, 20, Decimal("0.4"), Decimal("0.25"), 1)]
    assert row.calibration_error == Decimal("0.15")


@pytest.mark.parametrize("digits", [1, 6])
def test_figures_are_those_of_all_pairs(spark: SparkSession, digits: int) -> None:
    draw = np.random.default_rng(digits)
    score = draw.random(203).round(digits)
    left = draw.random(203) < score
    row, bins = figures(spark, [(f"{one:.6f}", bool(gone)) for one, gone in zip(score, left, strict=True)])

    pairs = np.sign(score[left][:, None] - score[~left][None, :])
    at_least = score[None, :] >= score[left][:, None]
    assert float(row.auc) == pytest.approx((pairs.mean() + 1) / 2, abs=1e-6)
    assert float(row.average_precision) == pytest.approx(
        ((at_least * left).sum(axis=1) / at_least.sum(axis=1)).mean(), abs=1e-6
    )
    assert float(row.brier) == pytest.approx(((score - left) ** 2).mean(), abs=1e-6)
    weights = np.clip(21 - np.array([(score > one).sum() for one in score]), 0, None)
    alike = np.array([(score == one).sum() for one in score])
    top = (np.minimum(weights, alike) / alike * left).sum() / 21
    assert float(row.top_tenth_lift) == pytest.approx(top / left.mean(), abs=1e-6)

    sizes = [one.row_count for one in bins]
    assert sum(sizes) == 203
    if digits == 6:
        assert set(sizes) <= {20, 21}
        down = np.argsort(-score)
        first = down[: sizes[0]]
        assert float(bins[0].mean_predicted) == pytest.approx(score[first].mean(), abs=1e-6)
        assert float(bins[0].observed_rate) == pytest.approx(left[first].mean(), abs=1e-6)
        assert float(bins[0].lift) == pytest.approx(left[first].mean() / left.mean(), abs=1e-6)


def test_of_many_rows_those_of_some_customers_are_taken(training: DataFrame) -> None:
    some = sample(training, replace(TRIAL, max_rows=60))
    assert some.rdd.getNumPartitions() == 1
    by_split: dict[str, set[str]] = {}
    for row in some.collect():
        by_split.setdefault(row.split, set()).add(row.customer_id)
    assert set(by_split) == {"train", "validation", "test"}
    assert by_split["train"] == by_split["test"]
    assert len(by_split["train"]) == 60


@pytest.mark.parametrize(
    ("where", "complaint"),
    [
        ("split <> 'train'", "churn_training has 0 rows of train, 50 is the least: run churn over a longer range"),
        ("split <> 'test' OR customer_id < 'C12'", "churn_training has 24 rows of test, 50 is the least"),
        ("split <> 'train' OR is_churned", "of the customers of train, all left"),
        ("split <> 'validation' OR NOT is_churned", "of the customers of validation, none left"),
    ],
)
def test_what_cannot_tell_is_refused(training: DataFrame, where: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        evaluate(training.where(where), asked=ASKED, label_days=30, evaluation=TRIAL)
    training.sparkSession.catalog.clearCache()


def test_splits_of_several_runs_are_refused(training: DataFrame) -> None:
    parts = {row.split: row for row in parts_of(training).collect()}
    require_parts(parts, label_days=35, min_rows=50)
    with pytest.raises(InputError, match=r"train goes on to 2024-04-01, and validation begins on 2024-05-06.* range"):
        require_parts(parts, label_days=36, min_rows=50)


def test_a_trial_needs_rows_and_trees() -> None:
    for wrong, complaint in (({"max_rows": 49}, "max_rows no less"), ({"max_trees": 0}, "at least 1, not 0")):
        with pytest.raises(UsageError, match=complaint):
            replace(TRIAL, **wrong)
