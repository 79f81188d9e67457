"""The calendar, against Python's own."""

from datetime import date

from pyspark.sql import SparkSession

from etl_spark.pipelines.calendar.dim_date import CALENDAR, DIM_DATE, build_dim_date

Day = tuple[int, date, int, int, int, str, int, int, bool]


def python_days() -> list[Day]:
    """The rows of dim_date, as Python's calendar has them."""
    return [
        (
            day.year * 10_000 + day.month * 100 + day.day,
            day,
            day.day,
            day.month,
            day.year,
            day.strftime("%A"),
            day.isocalendar().week,
            (day.month + 2) // 3,
            day.isoweekday() > 5,
        )
        for day in CALENDAR.days
    ]


def test_every_day_is_what_python_says(spark: SparkSession) -> None:
    rows = DIM_DATE.conform(build_dim_date(spark.range(1).select())).orderBy("date").collect()
    expected = python_days()
    assert [tuple(row) for row in rows] == expected
    assert (expected[0][1], expected[-1][1]) == (date(1990, 1, 1), date(2050, 12, 31))
