"""What is foretold of one series, and that nothing is seen of what comes later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl_spark.pipelines.forecast.models import CANDIDATES, REGULAR, SEASONAL_NAIVE, Settings, kind_of, origins
from etl_spark.pipelines.forecast.series import Point
from tests.pipelines.forecast.demand import START, foretold, last, seasonal, series

pytestmark = pytest.mark.default_spark
"""Without Spark."""


@pytest.mark.parametrize(
    ("values", "kind", "model", "quantity"),
    [
        (np.zeros(200), "never_sold", "zero", 0),
        (np.concatenate([np.full(100, 5.0), np.zeros(180)]), "dead", "zero", 0),
        (np.concatenate([np.zeros(200), np.full(55, 4.0)]), "new", "mean", 4),
        (np.full(200, 3.0), "constant", SEASONAL_NAIVE, 3),
        (np.tile([0.0, 0.0, 6.0], 100), "intermittent", None, None),
        (seasonal(200, 9), "regular", None, None),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_a_series_is_decides_what_is_tried(
    values: np.ndarray, kind: str, model: str | None, quantity: float | None
) -> None:
    rows = last(foretold(series(values)))
    assert {row.kind for row in rows} == {kind}
    assert [row.step for row in rows] == list(range(1, 29))
    (chosen,) = {row.model for row in rows}
    assert chosen in CANDIDATES[rows[0].kind]  # type: ignore[index]
    assert model in (None, chosen)
    if quantity is not None:
        assert {row.quantity for row in rows} == {quantity}


def test_a_few_days_are_short_or_new_and_have_a_mean() -> None:
    weekly = Settings(horizon=4, season=52, dead_after=26, new_until=8)
    assert kind_of(np.array([2.0, 4.0]), weekly) == "new"
    assert kind_of(np.full(20, 2.0), weekly) == "short"
    rows = last(foretold(series([2.0, 4.0]), weekly))
    assert {row.quantity for row in rows} == {3}


def test_what_is_tried_at_each_origin_is_compared_with_what_came() -> None:
    demand = series(seasonal(300, 20))
    rows = foretold(demand)
    by_origin = {row.origin_date: {one.model for one in rows if one.origin_date == row.origin_date} for row in rows}
    ends = [300 - 28 * count for count in range(6, -1, -1)]
    assert list(by_origin) == [START + timedelta(end - 1) for end in ends]
    assert all(models == set(REGULAR) - {"ets_year"} for models in by_origin.values())
    actual = dict(zip(demand.starts, demand.values.tolist(), strict=True))
    assert all(row.actual == actual.get(row.period_date) for row in rows)
    assert all(0 <= row.low_95 <= row.low_80 <= row.quantity <= row.high_80 <= row.high_95 for row in rows)


def test_the_choice_is_by_earlier_origins_alone() -> None:
    rows = foretold(series(seasonal(300, 20)))
    found = sorted({row.origin_date for row in rows})
    for place, origin in enumerate(found):
        (chosen,) = {row.model for row in rows if row.origin_date == origin and row.is_choice}
        earlier = [row for row in rows if row.origin_date in found[:place]]
        errors = {
            model: np.mean([abs(row.quantity - (row.actual or 0)) for row in earlier if row.model == model])
            for model in {row.model for row in earlier}
        }
        assert chosen == (min(errors, key=lambda model: errors[model]) if errors else SEASONAL_NAIVE)


@settings(max_examples=4, deadline=None)
@given(
    later=st.lists(st.integers(0, 500), min_size=28, max_size=28),
    closed=st.sets(st.integers(0, 27), max_size=4),
    seed=st.integers(0, 100),
)
def test_later_days_change_no_earlier_row(later: list[int], closed: set[int], seed: int) -> None:
    """Nothing of what was foretold at an origin, and chosen there, depends on what came after it."""
    known = seasonal(28 * 5, 6, seed)
    ends_then = series(known)
    goes_on = series([*known, *later], [28 * 5 + place for place in closed])

    def blind(rows: Iterable[Point]) -> set[Point]:
        return {replace(row, actual=None) for row in rows}

    before, after = foretold(ends_then, count=2), foretold(goes_on, count=3)
    assert blind(before) <= blind(after)
    # What is known at both is the same in both, and is compared.
    compared = {row for row in before if row.actual is not None}
    assert compared
    assert compared <= set(after)


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.sampled_from([0.0, 0.0, 1.0, 1.0, 2.0, 7.0, 1e6]), max_size=60),
    repeated=st.integers(1, 4),
    weekly=st.booleans(),
)
def test_any_values_have_forecasts_that_are_numbers(values: list[float], repeated: int, weekly: bool) -> None:
    short = Settings(horizon=3, season=52 if weekly else 7, dead_after=20, new_until=4)
    demand = series(values * repeated or [0.0])
    rows = foretold(demand, short, count=4)
    assert len(last(rows)) == 3
    for row in rows:
        assert 0 <= row.low_95 <= row.low_80 <= row.quantity <= row.high_80 <= row.high_95 < 1e12


def test_nothing_is_expected_on_days_that_are_closed_every_year() -> None:
    first = date(2023, 12, 1)
    values = np.full(380, 10.0) + np.tile(np.arange(7.0), 55)[:380]
    holidays = [day for day in range(380) if (first + timedelta(day)).strftime("%m-%d") in ("12-25", "01-01")]
    values[holidays] = 0
    moved = series(values, holidays, first=first)
    made = foretold(moved)
    closed = {row.period_date for row in last(made) if row.is_closed}
    assert closed == {date(2024, 12, 25), date(2025, 1, 1)} & {row.period_date for row in last(made)}
    assert closed
    assert all(row.quantity == row.high_95 == 0 for row in last(made) if row.is_closed)
    # A closed day is no day without demand: the season goes through it.
    assert all(row.quantity > 5 for row in last(made) if not row.is_closed)
    assert all(row.actual is None for row in made if row.period_date in {moved.starts[place] for place in holidays})


def test_origins_are_a_horizon_apart_and_none_is_before_all() -> None:
    assert origins(100, 10, 4) == [60, 70, 80, 90]
    assert origins(25, 10, 4) == [5, 15]
    assert origins(10, 10, 4) == []


def test_bounds_hold_as_often_as_they_say() -> None:
    """Of many series, at the origins whose bounds earlier ones have corrected."""
    rows = [row for seed in range(6) for row in foretold(series(seasonal(300, 15, seed)))]
    corrected = [row for row in rows if row.is_choice and row.origin_date > START + timedelta(170)]
    within = np.mean([row.low_80 <= row.actual <= row.high_80 for row in corrected if row.actual is not None])
    assert 0.74 <= within <= 0.86


def test_what_was_sold_out_at_the_end_is_expected_as_before() -> None:
    before, days_without = seasonal(200, 20), 40
    values = np.concatenate([before, np.zeros(days_without)])
    gone = series(values, sold_out=range(200, 240))
    found = last(foretold(gone))
    assert {row.is_sold_out for row in found} == {True}
    assert np.mean([row.quantity for row in found]) == pytest.approx(20, rel=0.1)
    # As nobody knew then that the stock was gone, what was foretold before is as it is without knowing.
    unknown = foretold(series(values))
    assert np.mean([row.quantity for row in last(unknown)]) < 10
    at_end = unknown[-1].origin_date
    assert [row for row in foretold(gone) if row.origin_date < at_end] == [
        row for row in unknown if row.origin_date < at_end
    ]


def test_air_passengers_are_foretold_better_than_by_the_year_before() -> None:
    """The months of 1949 to 1960 (Box and Jenkins), six origins a year apart, in errors of the seasonal naive model."""
    from statsforecast.utils import AirPassengers

    monthly = Settings(horizon=12, season=12, dead_after=24, new_until=12)
    rows = [row for row in foretold(series(AirPassengers), monthly, count=6) if row.actual is not None]

    def mase(picked: Iterable[Point]) -> float:
        return float(np.mean([abs(row.quantity - (row.actual or 0)) / (row.naive_error or 1) for row in picked]))

    chosen, naive = mase(row for row in rows if row.is_choice), mase(row for row in rows if row.model == SEASONAL_NAIVE)
    # The README has these two.
    assert (round(chosen, 2), round(naive, 2)) == (0.87, 1.44)
