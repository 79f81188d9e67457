"""Surrogate keys: the same in every run and in every order, with nothing to look up."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.table import Table

UNKNOWN_KEY = -1
"""The member of a dimension that facts have whose own member is not there."""

UNKNOWN = "(unknown)"
"""The natural key of that member, and whatever else of it may not be null."""


def surrogate_key(*natural_key: str) -> Column:
    """A BIGINT made of the columns `natural_key`; each run checks that no two are alike."""
    return F.xxhash64(*natural_key)


def or_unknown(key: str) -> Column:
    """The column `key` of a dimension joined to a fact, that of the unknown member where there is none."""
    return F.coalesce(key, F.lit(UNKNOWN_KEY).cast("bigint")).alias(key)


def with_unknown(members: DataFrame, dimension: Table, key: str, natural_key: str) -> DataFrame:
    """`members` with their surrogate key, and the member of `dimension` that stands for all that are not known."""
    unknown = members.sparkSession.range(1).select(
        *(
            F.lit({key: UNKNOWN_KEY, natural_key: UNKNOWN}.get(column.name)).cast(column.data_type).alias(column.name)
            for column in dimension.columns
        )
    )
    return members.withColumn(key, surrogate_key(natural_key)).unionByName(unknown)
