"""The balance finds what is missing, wherever it is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.audit import to_table
from etl_spark.core.dates import DateRange
from etl_spark.pipelines.viewing.checks import balance
from etl_spark.pipelines.viewing.profile import build_profile
from etl_spark.pipelines.viewing.settings import ViewingSettings
from etl_spark.pipelines.viewing.summary import build_statistics, build_summary
from etl_spark.pipelines.viewing.tables import VIEWING_REJECTED
from tests.conftest import Daily
from tests.test_quality import PART, WHOLE

DAY = date(2022, 4, 1)
ASKED = DateRange(DAY, DAY)


@pytest.fixture
def tables(spark: SparkSession, daily: Daily, settings: ViewingSettings) -> dict[str, DataFrame]:
    rows = daily({"tv_seconds": 90, "record_count": 8}, {"contract": "B1", "child_seconds": 5})
    profile = build_profile(rows, asked=ASKED, segments=settings.segments)
    return {
        "audit": to_table(spark, [WHOLE, PART]),
        "daily": rows,
        "rejected": spark.createDataFrame([(DAY, "f", "bad", bytearray(b"x"), 1)], VIEWING_REJECTED.schema),
        "statistics": build_statistics(rows),
        "summary": build_summary(profile, asked=ASKED, days_found=1),
    }


def test_sound_tables_balance(tables: dict[str, DataFrame]) -> None:
    assert balance(**tables).collect() == []


@pytest.mark.parametrize(
    ("table", "damage", "expected"),
    [
        ("daily", "record_count = 1", {"rows": 1, "accepted_rows": 1, "seconds": 5}),
        ("rejected", "false", {"rows": 1}),
        ("statistics", "category != 'All'", {"statistics_seconds": 95}),
        ("summary", "segment != 'All'", {"summary_seconds": 95}),
    ],
)
def test_a_lost_row_is_found(tables: dict[str, DataFrame], table: str, damage: str, expected: dict[str, int]) -> None:
    kept = damage if damage == "false" or "!=" in damage else f"NOT ({damage})"
    found = balance(**{**tables, table: tables[table].where(kept)}).collect()
    differences = [
        {name: int(value) for name, value in row.asDict().items() if name != "log_date" and value} for row in found
    ]
    assert differences == [expected]


def test_a_wrong_count_in_the_audit_is_found(spark: SparkSession, tables: dict[str, DataFrame]) -> None:
    wrong = to_table(spark, [replace(WHOLE, rows_in=11, rows_rejected=2), PART])
    (row,) = balance(**{**tables, "audit": wrong}).collect()
    assert (row.log_date, row.rows) == (DAY, 1)
