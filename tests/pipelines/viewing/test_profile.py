"""The profile's columns: happy, tie, edge and empty cases."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.viewing.profile import build_profile
from etl_spark.pipelines.viewing.settings import ViewingSettings
from etl_spark.pipelines.viewing.tables import VIEWING_PROFILE
from tests.conftest import Daily

APRIL = DateRange(date(2022, 4, 1), date(2022, 4, 30))


def test_sums_days_and_names_what_was_watched(daily: Daily, settings: ViewingSettings) -> None:
    rows = daily(
        {"log_date": date(2022, 4, 1), "tv_seconds": 100, "sport_seconds": 30},
        {"log_date": date(2022, 4, 2), "sport_seconds": 90, "record_count": 3},
        {"contract": "B2", "child_seconds": 7},
    )
    profile = VIEWING_PROFILE.conform(build_profile(rows, asked=APRIL, segments=settings.segments))
    assert {tuple(row)[2:] for row in profile.collect()} == {
        ("A1", 100, 0, 0, 0, 120, 220, "Sport", "TV-Sport", 2, Decimal("6.67"), "At Risk"),
        ("B2", 0, 0, 7, 0, 0, 7, "Child", "Child", 1, Decimal("3.33"), "At Risk"),
    }
    assert {tuple(row)[:2] for row in profile.collect()} == {(APRIL.start, APRIL.end)}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({"sport_seconds": 5, "tv_seconds": 5}, "TV"),
        ({"sport_seconds": 5, "relax_seconds": 5, "child_seconds": 5, "movie_seconds": 5}, "Movie"),
        ({"relax_seconds": 5, "child_seconds": 5}, "Child"),
        ({"sport_seconds": 6, "relax_seconds": 6}, "Relax"),
        ({"sport_seconds": 6, "tv_seconds": 5}, "Sport"),
    ],
)
def test_ties_go_by_the_order_of_categories(
    daily: Daily, settings: ViewingSettings, seconds: dict[str, int], expected: str
) -> None:
    profile = build_profile(daily(seconds), asked=APRIL, segments=settings.segments)
    assert [row.most_watch for row in profile.collect()] == [expected]


@pytest.mark.parametrize(
    ("days_asked", "active_days", "activeness", "segment"),
    [
        (30, 6, "20.00", "At Risk"),
        (30, 7, "23.33", "Need Attention"),
        (30, 13, "43.33", "Need Attention"),
        (30, 14, "46.67", "Valuable"),
        (30, 20, "66.67", "Valuable"),
        (30, 21, "70.00", "Loyal"),
        (30, 30, "100.00", "Loyal"),
        (31, 31, "100.00", "Loyal"),
        (31, 7, "22.58", "At Risk"),
        (31, 8, "25.81", "Need Attention"),
        (1, 1, "100.00", "Loyal"),
        (2, 1, "50.00", "Valuable"),
        (7, 1, "14.29", "At Risk"),
        (10, 7, "70.00", "Loyal"),
    ],
)
def test_activeness_and_segment_are_shares_of_the_asked_days(
    daily: Daily,
    settings: ViewingSettings,
    *,
    days_asked: int,
    active_days: int,
    activeness: str,
    segment: str,
) -> None:
    days = DateRange(date(2022, 4, 1), date.fromordinal(date(2022, 4, 1).toordinal() + days_asked - 1))
    rows = daily(*({"log_date": day, "tv_seconds": 1} for day in days.days[:active_days]))
    (row,) = build_profile(rows, asked=days, segments=settings.segments).collect()
    assert (row.active_days, str(row.activeness), row.segment) == (active_days, activeness, segment)


def test_nobody_watching_makes_no_profile(daily: Daily, settings: ViewingSettings) -> None:
    assert VIEWING_PROFILE.conform(build_profile(daily(), asked=APRIL, segments=settings.segments)).count() == 0


def test_sums_are_as_wide_as_they_must_be(daily: Daily, settings: ViewingSettings) -> None:
    rows = daily(*({"log_date": day, "tv_seconds": 2**57} for day in APRIL.days))
    (row,) = build_profile(rows, asked=APRIL, segments=settings.segments).collect()
    assert row.total_seconds == 30 * 2**57
