"""DataFrames of a few rows that the driver has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyspark.sql.functions as F
import pyspark.sql.types as T
from pyspark.sql import DataFrame, SparkSession


def local_frame(spark: SparkSession, rows: Sequence[Sequence[Any]], schema: T.StructType) -> DataFrame:
    """One row per row of `rows`, its values in the order of `schema`; times must know their time zone.

    The rows travel as one literal within the plan. createDataFrame would start a Python process on an executor, which
    takes seconds, and hide from the optimizer that a frame is empty or small.
    """
    names = schema.fieldNames()
    text = json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=_text)
    parsed = F.from_json(F.lit(text), T.ArrayType(schema), {"mode": "FAILFAST"})
    return spark.range(1).select(F.inline(parsed)).where(F.lit(bool(rows)))


def _text(value: object) -> str:
    match value:
        case date() | datetime():
            return value.isoformat()
        case Decimal():
            return str(value)
    raise TypeError(f"{type(value).__name__} is not for a local frame")
