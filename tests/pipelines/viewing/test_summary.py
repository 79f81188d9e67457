"""The roll-ups: by day and category, and by segment."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.viewing.profile import build_profile
from etl_spark.pipelines.viewing.settings import ViewingSettings
from etl_spark.pipelines.viewing.summary import build_statistics, build_summary
from etl_spark.pipelines.viewing.tables import VIEWING_STATISTICS, VIEWING_SUMMARY
from tests.conftest import Daily

ASKED = DateRange(date(2022, 4, 1), date(2022, 4, 3))


def test_every_category_of_a_day_has_a_row(daily: Daily) -> None:
    rows = daily(
        {"contract": "A1", "tv_seconds": 10, "child_seconds": 5},
        {"contract": "B1", "tv_seconds": 1},
        {"contract": "A1", "log_date": date(2022, 4, 2), "sport_seconds": 7},
    )
    found = {tuple(row) for row in VIEWING_STATISTICS.conform(build_statistics(rows)).collect()}
    one, two = date(2022, 4, 1), date(2022, 4, 2)
    assert found == {
        (one, "TV", 2, 11), (one, "Movie", 0, 0), (one, "Child", 1, 5), (one, "Relax", 0, 0), (one, "Sport", 0, 0),
        (one, "All", 2, 16),
        (two, "TV", 0, 0), (two, "Movie", 0, 0), (two, "Child", 0, 0), (two, "Relax", 0, 0), (two, "Sport", 1, 7),
        (two, "All", 1, 7),
    }  # fmt: skip


def test_averages_are_the_sources_and_are_rounded_once(daily: Daily, settings: ViewingSettings) -> None:
    rows = daily(
        *({"contract": "A1", "log_date": day, "tv_seconds": 100} for day in ASKED.days),
        {"contract": "B1", "tv_seconds": 1},
        {"contract": "C1", "tv_seconds": 4},
    )
    profile = build_profile(rows, asked=ASKED, segments=settings.segments)
    summary = VIEWING_SUMMARY.conform(build_summary(profile, asked=ASKED, days_found=2))
    found = {row.segment: tuple(row)[3:] for row in summary.collect()}
    month, week, day = (Decimal(text) for text in ("101.67", "25.42", "3.63"))
    assert found["All"] == (3, 305, month, week, day, Decimal("61.00"), 3, 2)
    assert found["Loyal"] == (1, 300, Decimal("300.00"), Decimal("75.00"), Decimal("10.71"), Decimal("100.00"), 3, 2)
    assert found["Need Attention"][:3] == (2, 5, Decimal("2.50"))
    assert len(found) == 3


def test_nobody_is_summed_up_too(daily: Daily, settings: ViewingSettings) -> None:
    profile = build_profile(daily(), asked=ASKED, segments=settings.segments)
    summary = VIEWING_SUMMARY.conform(build_summary(profile, asked=ASKED, days_found=3))
    assert [tuple(row)[2:] for row in summary.collect()] == [("All", 0, 0, None, None, None, None, 3, 3)]
    assert VIEWING_STATISTICS.conform(build_statistics(daily())).count() == 0
