"""Series of demand as tests need them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np

from etl_spark.pipelines.forecast.models import Floats, Settings
from etl_spark.pipelines.forecast.series import Point, Series, points

START = date(2023, 1, 1)
DAILY = Settings(horizon=28, season=7, dead_after=180, new_until=56)
ORIGINS = 6
WEEK = np.array([0.9, 0.95, 1.0, 1.05, 1.2, 1.1, 0.8])


def days(count: int, first: date = START) -> tuple[date, ...]:
    return tuple(first + timedelta(number) for number in range(count))


def series(
    values: Iterable[float], closed: Iterable[int] = (), sold_out: Iterable[int] = (), first: date = START
) -> Series:
    """Daily values from `first` on; `closed` and `sold_out` are places of days."""
    found = np.array(list(values), dtype=np.float64)
    is_closed, is_sold_out = (np.isin(np.arange(found.size), list(places)) for places in (closed, sold_out))
    return Series(days(found.size, first), found, is_closed, is_sold_out)


def seasonal(count: int, mean: float, seed: int = 1) -> Floats:
    """Demand with a week's season, and chance."""
    random = np.random.default_rng(seed)
    return np.asarray(random.poisson(mean * WEEK[np.arange(count) % 7]), dtype=np.float64)


def foretold(one: Series, settings: Settings = DAILY, count: int = ORIGINS) -> list[Point]:
    ahead = days(settings.horizon, one.starts[-1] + timedelta(1))
    return list(points(one, ahead, settings, count))


def last(made: Iterable[Point]) -> list[Point]:
    """The forecast: what is chosen at the end."""
    rows = list(made)
    end = max(row.origin_date for row in rows)
    return [row for row in rows if row.is_choice and row.origin_date == end]
