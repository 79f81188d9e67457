"""What one series of demand is forecast by: numbers in, numbers out, one value per period.

The models are those of statsforecast (Nixtla), whose core is compiled: no Python loop over a series, and nothing to be
compiled when a worker starts. Every figure is rounded, so that two machines agree on all of its digits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Figures = tuple[float, float, float, float, float]
"""Of one period: quantity, low_80, high_80, low_95, high_95."""

SEASONAL_NAIVE, MEAN, ZERO = "seasonal_naive", "mean", "zero"
THETA, ETS, ARIMA, MEDIAN, ETS_YEAR = "theta", "ets", "arima", "median", "ets_year"
REGULAR = (SEASONAL_NAIVE, MEAN, THETA, ETS, ARIMA, MEDIAN, ETS_YEAR)
INTERMITTENT = (SEASONAL_NAIVE, MEAN, "croston", "tsb")
"""What is tried on a series, the simplest first: of two that are as good, the first is taken."""

Kind = Literal["regular", "intermittent", "constant", "short", "new", "dead", "never_sold"]
CANDIDATES: Mapping[Kind, tuple[str, ...]] = {
    "regular": REGULAR,
    "intermittent": INTERMITTENT,
    "constant": (SEASONAL_NAIVE,),
    "short": (MEAN,),
    "new": (MEAN,),
    "dead": (ZERO,),
    "never_sold": (ZERO,),
}

ORDINARY = ("regular", "constant")
"""Kinds of series that are no reason to look twice."""

OFTEN = 1.32
"""Periods from one demand to the next, on average, from which on demand is intermittent (Syntetos and Boylan, 2005)."""
LEVELS = (80, 95)
DIGITS = 6
YEAR = 364
"""Days: as long ago it was the same day of the week."""
MOST = 2.0
"""How many times as much as before a year's shape may foretell, or as little."""


@dataclass(frozen=True)
class Settings:
    """Of all series: periods that are forecast, of a season, and without demand after which a series is dead; those
    that a series needs so as not to be new."""

    horizon: int
    season: int
    dead_after: int
    new_until: int


@dataclass(frozen=True)
class Prediction:
    """One value per period: what is expected, and between which bounds it is in 80 and in 95 of 100 cases."""

    quantity: Floats
    low_80: Floats
    high_80: Floats
    low_95: Floats
    high_95: Floats

    @classmethod
    def flat(cls, value: float, periods: int) -> Prediction:
        """The same in each of the periods, and certain."""
        return cls(*(np.full(periods, value) for _ in fields(cls)))

    @property
    def rows(self) -> Iterator[Figures]:
        """One of each period."""
        columns = (self.quantity, self.low_80, self.high_80, self.low_95, self.high_95)
        return zip(*(column.tolist() for column in columns), strict=True)

    def map(self, change: Callable[[Floats], Floats]) -> Prediction:
        return Prediction(*(change(getattr(self, one.name)) for one in fields(self)))


def kind_of(values: Floats, settings: Settings) -> Kind:
    """What a series is, by its values from its first demand on; no values are those of one that never had any."""
    demands = np.flatnonzero(values > 0)
    if not demands.size:
        return "never_sold"
    if values.size - 1 - demands[-1] >= settings.dead_after:
        return "dead"
    if values.size < settings.new_until:
        return "new"
    if values.size < 2 * settings.season + 2:
        return "short"
    if np.all(values == values[0]):
        return "constant"
    return "intermittent" if values.size / demands.size >= OFTEN else "regular"


def predictions(kind: Kind, values: Floats, settings: Settings) -> dict[str, Prediction]:
    """By the name of each model that has enough to go by, in the order of CANDIDATES: the mean always has."""
    made: dict[str, Prediction] = {}
    for model in CANDIDATES[kind]:
        if model == MEDIAN:
            found = _median([made[one] for one in (THETA, ETS, ARIMA) if one in made])
        elif model == ETS_YEAR:
            found = _shaped(made.get(ETS), values, settings)
        else:
            found = _MODELS[model](values, settings)
        if found:
            # Demand is never below 0.
            made[model] = found.map(lambda figures: np.round(np.maximum(figures, 0.0), DIGITS))
    return made or predictions("short", values, settings)


def without_closed(values: Floats, closed: npt.NDArray[np.bool_], season: int) -> Floats:
    """`values` in which one of a closed day is that of the same day of the seasons about it, so far as they are there.

    That nothing was sold on it tells nothing about what was asked for.
    """
    filled = values.copy()
    for place in np.flatnonzero(closed):
        about = [at for at in (place - season, place + season) if 0 <= at < values.size and not closed[at]]
        if about:
            filled[place] = float(np.mean(values[about]))
    return filled


def _median(made: Sequence[Prediction]) -> Prediction | None:
    """Of three models, period by period, which is seldom far wrong; none of fewer."""
    if len(made) < 3:
        return None
    return Prediction(*(np.median([getattr(one, each.name) for one in made], axis=0) for each in fields(Prediction)))


def _shaped(made: Prediction | None, values: Floats, settings: Settings) -> Prediction | None:
    """As much more or less than `made` as demand was a year ago after that day than before it."""
    now, horizon = values.size - YEAR, settings.horizon
    if not made or settings.season != 7 or now < horizon:
        return None
    before, after = (float(np.mean(values[part])) for part in (slice(now - horizon, now), slice(now, now + horizon)))
    if before <= 0:
        return None
    ratio = min(MOST, max(1 / MOST, after / before))
    return made.map(lambda figures: figures * ratio)


def _zero(values: Floats, settings: Settings) -> Prediction:
    return Prediction.flat(0.0, settings.horizon)


def _mean(values: Floats, settings: Settings) -> Prediction:
    """That of the last few seasons, weekday by weekday where there are as many; bounds by what they were apart."""
    recent = values[-_RECENT_SEASONS * settings.season :] if settings.season > 1 else values[-_RECENT_PERIODS:]
    center = float(np.mean(recent))
    low_95, low_80, high_80, high_95 = (float(one) for one in np.quantile(recent, (0.025, 0.1, 0.9, 0.975)))
    flat = (np.full(settings.horizon, one) for one in (center, low_80, high_80, low_95, high_95))
    return Prediction(*flat)


_RECENT_SEASONS, _RECENT_PERIODS = 8, 12


def _library(make: Callable[[Any, Settings], Any]) -> Callable[[Floats, Settings], Prediction | None]:
    """A model of statsforecast's, which is imported where it is used: a driver need not have it."""

    def model(values: Floats, settings: Settings) -> Prediction | None:
        made = make(_statsforecast(), settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = made.forecast(y=values, h=settings.horizon, level=list(LEVELS))
        names = ("mean", "lo-80", "hi-80", "lo-95", "hi-95")
        figures = [np.asarray(found[name], dtype=np.float64) for name in names]
        return Prediction(*figures) if all(np.isfinite(one).all() for one in figures) else None

    return model


@cache
def _statsforecast() -> Any:
    from statsforecast import models

    return models


def _conformal(make: Callable[[Any, Any], Any]) -> Callable[[Floats, Settings], Prediction | None]:
    """One that tells no bounds of its own: they are by its errors over windows of the horizon's length."""

    def model(values: Floats, settings: Settings) -> Prediction | None:
        windows = min(_MOST_WINDOWS, (values.size - 1) // settings.horizon - 1)
        if windows < 2:
            return None
        from statsforecast.utils import ConformalIntervals

        bounds = ConformalIntervals(h=settings.horizon, n_windows=windows)
        return _library(lambda models, _: make(models, bounds))(values, settings)

    return model


_MOST_WINDOWS = 10


_MODELS: Mapping[str, Callable[[Floats, Settings], Prediction | None]] = {
    ZERO: _zero,
    MEAN: _mean,
    SEASONAL_NAIVE: _library(lambda models, of: models.SeasonalNaive(season_length=of.season)),
    THETA: _library(lambda models, of: models.OptimizedTheta(season_length=of.season)),
    # Additive errors, as some values are 0; with a trend or without, as fits.
    ETS: _library(lambda models, of: models.AutoETS(season_length=of.season, model="AZA" if of.season > 1 else "AZN")),
    # The whole search takes ten times as long, for next to nothing.
    ARIMA: _library(
        lambda models, of: models.AutoARIMA(
            season_length=of.season, approximation=True, max_p=2, max_q=2, max_P=1, max_Q=1, nmodels=10
        )
    ),
    "croston": _conformal(lambda models, bounds: models.CrostonSBA(prediction_intervals=bounds)),
    "tsb": _conformal(lambda models, bounds: models.TSB(0.1, 0.1, prediction_intervals=bounds)),
}


def origins(periods: int, horizon: int, count: int) -> Sequence[int]:
    """How many of so many periods are known at each of `count` rolling origins, the horizon apart, the first first.

    At the last of them just the horizon is not known yet.
    """
    return [known for known in range(periods - count * horizon, periods, horizon) if known > 0]
