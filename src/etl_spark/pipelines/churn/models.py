"""Models of who leaves, of Spark ML: the probability that each gives to each row.

What they are given is bounded (settings.ModelTrial), and in one partition: sums over rows are then made in one order,
and a fit is the same whatever the partitions of the table were. No Python runs on executors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyspark.sql.functions as F
from pyspark.ml import Model, Pipeline
from pyspark.ml.classification import GBTClassifier, LogisticRegression
from pyspark.ml.feature import OneHotEncoder, StringIndexer, VectorAssembler
from pyspark.sql import Column, DataFrame

from etl_spark.pipelines.churn.features import FEATURES
from etl_spark.pipelines.churn.settings import ModelTrial

RECENCY, LOGISTIC_REGRESSION, GRADIENT_BOOSTED_TREES = "recency", "logistic_regression", "gradient_boosted_trees"

PENALTIES = (1.0, 0.1, 0.01)
"""Strengths of the squared penalty on coefficients, the most cautious first."""
DEPTHS = (2, 3)
"""Of trees: how many features may act together."""
SCORE = "decimal(7,6)"
"""A probability: far fewer digits than two machines have in common."""


@dataclass(frozen=True)
class Fitted:
    """A model, and what was chosen to make it by, None where there is no choice."""

    parameters: str | None
    model: Model


def with_vectors(rows: DataFrame) -> DataFrame:
    """`rows` of churn_training as models read them: snapshot_date, split, is_churned, label, and vectors.

    `recency` has days_since_last_order, `features` all of FEATURES: a number that is missing is 0, with a flag that it
    is, and a name is one of those that the rows to train on have, or none.
    """
    names = [feature.name for feature in FEATURES if feature.column.length]
    numbers = {feature.name: _number(feature.name) for feature in FEATURES if not feature.column.length}
    nullable = [feature.name for feature in FEATURES if feature.name in numbers and feature.column.nullable]
    flags = {f"{name}_missing": F.col(name).isNull().cast("double") for name in nullable}
    indexed, encoded = ([f"{name}_{what}" for name in names] for what in ("index", "vector"))
    stages = (
        StringIndexer(inputCols=names, outputCols=indexed, handleInvalid="keep"),
        OneHotEncoder(inputCols=indexed, outputCols=encoded),
        VectorAssembler(inputCols=[*numbers, *flags, *encoded], outputCol="features"),
        VectorAssembler(inputCols=["days_since_last_order"], outputCol=RECENCY),
    )
    plain = rows.select(
        "snapshot_date",
        "customer_id",
        "split",
        "is_churned",
        F.col("is_churned").cast("double").alias("label"),
        *(value.alias(name) for name, value in (numbers | flags).items()),
        # No name is empty to the encoder then, and none is what it calls those that it does not know.
        *(F.concat(F.lit("="), F.coalesce(name, F.lit(""))).alias(name) for name in names),
    )
    learned = Pipeline(stages=list(stages)).fit(plain.where(F.col("split") == "train"))
    kept = ("snapshot_date", "customer_id", "split", "is_churned", "label", "features", RECENCY)
    return learned.transform(plain).select(*kept)


def _number(name: str) -> Column:
    return F.coalesce(F.col(name).cast("double"), F.lit(0.0))


def recency(vectors: DataFrame, trial: ModelTrial) -> Iterator[Fitted]:
    """days_since_last_order alone: a probability rises with it, or falls, and tells no more."""
    yield Fitted(None, LogisticRegression(featuresCol=RECENCY).fit(_of(vectors, "train")))


def logistic_regressions(vectors: DataFrame, trial: ModelTrial) -> Iterator[Fitted]:
    """One for each of PENALTIES, which is of features in units of their deviations."""
    train = _of(vectors, "train")
    for penalty in PENALTIES:
        yield Fitted(f"penalty {penalty:g}", LogisticRegression(regParam=penalty, standardization=True).fit(train))


def gradient_boosted_trees(vectors: DataFrame, trial: ModelTrial) -> Iterator[Fitted]:
    """One for each of DEPTHS, with as many of max_trees, the first, as foretell validation best.

    Spark can stop by itself, but does at the first tree that makes validation worse; often, later ones mend that.
    """
    train, validation = _of(vectors, "train"), _of(vectors, "validation")
    for depth in DEPTHS:
        trees = GBTClassifier(maxDepth=depth, maxIter=trial.max_trees, minInstancesPerNode=10, seed=trial.seed)
        losses = [round(loss, 6) for loss in trees.fit(train).evaluateEachIteration(validation)]
        best = losses.index(min(losses)) + 1
        # A tree depends on those before it alone.
        yield Fitted(f"depth {depth}, {best} trees", trees.setMaxIter(best).fit(train))


MODELS = {
    RECENCY: recency,
    LOGISTIC_REGRESSION: logistic_regressions,
    GRADIENT_BOOSTED_TREES: gradient_boosted_trees,
}
"""How each is fitted: once for each choice there is, the simplest first. None ever sees what is to test."""


def scores(vectors: DataFrame, fitted: Fitted) -> DataFrame:
    """One row per row of `vectors`: its split, whether the customer left, and the probability of that."""
    # pyspark has vector_to_array, which needs pandas on Spark 3.5; JSON has all digits of a double.
    told = F.get_json_object(F.to_json(F.struct("probability")), "$.probability.values[1]")
    score = told.cast("double").cast(SCORE)
    return fitted.model.transform(vectors).select("split", "is_churned", score.alias("score"))


def _of(vectors: DataFrame, split: str) -> DataFrame:
    return vectors.where(F.col("split") == split)
