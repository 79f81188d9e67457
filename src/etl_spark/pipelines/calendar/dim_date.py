"""dim_date: one row per day from 1990 to 2050."""

from __future__ import annotations

from datetime import date

import pyspark.sql.functions as F
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame

from etl_spark.core.dates import DateRange
from etl_spark.core.table import Column, Table

CALENDAR = DateRange(date(1990, 1, 1), date(2050, 12, 31))

DIM_DATE = Table(
    name="dim_date",
    doc=f"One row per day, {CALENDAR}.",
    columns=(
        Column("date_key", "INT", "the day as a number, YYYYMMDD"),
        Column("date", "DATE", "the day"),
        Column("day", "INT", "day of the month"),
        Column("month", "INT", "1 to 12"),
        Column("year", "INT", "calendar year"),
        Column("day_of_week", "VARCHAR(9)", "Monday to Sunday"),
        Column("week_of_year", "INT", "ISO week, 1 to 53: the one of a year's first Thursday is week 1"),
        Column("quarter", "INT", "1 to 4"),
        Column("is_weekend", "BOOLEAN", "whether it is a Saturday or a Sunday"),
    ),
    grain=("date_key",),
    replaces=(),
)


def build_dim_date(nothing: DataFrame) -> DataFrame:
    """dim_date, of one row without a column."""
    days = F.sequence(F.lit(CALENDAR.start), F.lit(CALENDAR.end))
    return nothing.select(F.explode(days).alias("date")).select(
        date_key("date").alias("date_key"),
        "date",
        F.dayofmonth("date").alias("day"),
        F.month("date").alias("month"),
        F.year("date").alias("year"),
        F.date_format("date", "EEEE").alias("day_of_week"),
        F.weekofyear("date").alias("week_of_year"),
        F.quarter("date").alias("quarter"),
        (F.weekday("date") >= 5).alias("is_weekend"),
    )


def date_key(day: str) -> SparkColumn:
    """The key of the day in the column `day`, YYYYMMDD."""
    return (F.year(day) * 10_000 + F.month(day) * 100 + F.dayofmonth(day)).cast("int")


def in_calendar(day: str) -> SparkColumn:
    """Whether dim_date has the day of the DATE or TIMESTAMP column `day`."""
    return F.to_date(day).between(F.lit(CALENDAR.start), F.lit(CALENDAR.end))
