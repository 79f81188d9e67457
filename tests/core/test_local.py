"""Rows of the driver as a DataFrame."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pyspark.sql.types as T
import pytest
from pyspark.sql import SparkSession

from etl_spark.core.local import local_frame

SCHEMA = T.StructType(
    [
        T.StructField("day", T.DateType()),
        T.StructField("at", T.TimestampType()),
        T.StructField("text", T.StringType()),
        T.StructField("count", T.LongType()),
        T.StructField("amount", T.DecimalType(38, 0)),
    ]
)
AT = datetime(2022, 3, 27, 1, 30, 0, 123000, UTC)
ROWS = [
    (date(2022, 4, 1), AT, "a\"b\\N\n'ü😀", 2**63 - 1, Decimal(10**37)),
    (date(1, 1, 1), AT, "", -1, Decimal(-(10**37))),
    (None, None, None, None, None),
]


def test_values_come_back_as_they_went(spark: SparkSession) -> None:
    frame = local_frame(spark, ROWS, SCHEMA)
    assert frame.schema == SCHEMA
    found = frame.selectExpr("day", "unix_millis(at)", "text", "count", "amount").collect()
    expected = [(row[0], round(AT.timestamp() * 1000) if row[1] else None, *row[2:]) for row in ROWS]
    assert [tuple(row) for row in found] == expected


def test_no_rows(spark: SparkSession) -> None:
    assert local_frame(spark, [], SCHEMA).collect() == []
    assert local_frame(spark, [], SCHEMA).schema == SCHEMA


def test_what_json_cannot_carry_is_refused(spark: SparkSession) -> None:
    with pytest.raises(TypeError, match="bytes is not for a local frame"):
        local_frame(spark, [(None, None, b"x", None, None)], SCHEMA)
