"""What changed since the range before."""

from __future__ import annotations

from datetime import date

import pytest
from pyspark.sql import DataFrame

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.viewing.profile import build_profile
from etl_spark.pipelines.viewing.settings import ViewingSettings
from etl_spark.pipelines.viewing.tables import VIEWING_TREND
from etl_spark.pipelines.viewing.trend import build_trend
from tests.conftest import Daily

ASKED = DateRange(date(2022, 4, 3), date(2022, 4, 4))
NOW, BEFORE = date(2022, 4, 3), date(2022, 4, 1)


@pytest.fixture
def profile(daily: Daily, settings: ViewingSettings) -> DataFrame:
    rows = daily(
        {"log_date": NOW, "contract": "NEW1", "tv_seconds": 1},
        {"log_date": NOW, "contract": "SAME1", "tv_seconds": 9, "child_seconds": 8},
        {"log_date": NOW, "contract": "OTHER1", "sport_seconds": 3},
    )
    return build_profile(rows, asked=ASKED, segments=settings.segments)


@pytest.fixture
def before(daily: Daily) -> DataFrame:
    return daily(
        {"log_date": BEFORE, "contract": "SAME1", "tv_seconds": 5},
        {"log_date": BEFORE, "contract": "OTHER1", "tv_seconds": 5},
        {"log_date": BEFORE, "contract": "LOST1", "relax_seconds": 4},
    )


def rows(trend: DataFrame) -> set[tuple[object, ...]]:
    return {tuple(row)[2:] for row in VIEWING_TREND.conform(trend).collect()}


def test_each_contract_of_either_range_has_its_change(profile: DataFrame, before: DataFrame) -> None:
    assert rows(build_trend(profile, before, asked=ASKED, previous_days_found=2)) == {
        ("NEW1", "TV", 1, None, None, 2, "New"),
        ("SAME1", "TV", 17, "TV", 5, 2, "Unchanged"),
        ("OTHER1", "Sport", 3, "TV", 5, 2, "Changed"),
        ("LOST1", None, None, "Relax", 4, 2, "Lost"),
    }


def test_without_all_of_the_range_before_nothing_is_said_of_change(profile: DataFrame, before: DataFrame) -> None:
    found = rows(build_trend(profile, before, asked=ASKED, previous_days_found=1))
    assert len(found) == 4
    assert {row[-2:] for row in found} == {(1, None)}


def test_nothing_before_and_nothing_now(daily: Daily, settings: ViewingSettings, profile: DataFrame) -> None:
    nobody = build_profile(daily(), asked=ASKED, segments=settings.segments)
    assert rows(build_trend(nobody, daily(), asked=ASKED, previous_days_found=0)) == set()
    found = rows(build_trend(profile, daily(), asked=ASKED, previous_days_found=2))
    assert {row[-1] for row in found} == {"New"}
