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
SHARES = (80, 95)
"""In percent: how many cases the bounds are to hold."""
DIGITS = 6
WEEK, YEAR = 7, 364
"""Days of a season of days, and of a year: as long ago it was the same day of the week."""
HALF_A_PIECE = 0.5
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
    def bounds(self) -> Mapping[int, tuple[Floats, Floats]]:
        """The lower and the upper one, by the share of cases that they are to hold, in percent."""
        return {80: (self.low_80, self.high_80), 95: (self.low_95, self.high_95)}

    @property
    def rows(self) -> Iterator[Figures]:
        """One of each period."""
        columns = (self.quantity, self.low_80, self.high_80, self.low_95, self.high_95)
        return zip(*(column.tolist() for column in columns), strict=True)

    def map(self, change: Callable[[Floats], Floats]) -> Prediction:
        return Prediction(*(change(getattr(self, one.name)) for one in fields(self)))

    def sound(self) -> Prediction:
        """Rounded, never below 0, and what is expected within its bounds, those of 80 within those of 95.

        Where the lower bound is less than half a piece, there may be none.
        """
        one = self.map(lambda figures: np.round(np.maximum(figures, 0.0), DIGITS))
        low_80, high_80 = np.minimum(one.low_80, one.quantity), np.maximum(one.high_80, one.quantity)
        low_95, high_95 = np.minimum(one.low_95, low_80), np.maximum(one.high_95, high_80)
        low_80, low_95 = (np.where(low < HALF_A_PIECE, 0.0, low) for low in (low_80, low_95))
        return Prediction(one.quantity, low_80, high_80, low_95, high_95)


Forms = dict[str, dict[str, Any]]
"""Which components ETS has, and which orders ARIMA, for one series: those of its first origin are kept, as the search
takes five times as long as fitting a known form, and what was tried is then what is used."""
Model = Callable[[Floats, Settings, Forms], Prediction | None]
"""Of the values so far, what is foretold; nothing where there is not enough to go by."""


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


def predictions(kind: Kind, values: Floats, settings: Settings, forms: Forms) -> dict[str, Prediction]:
    """By the name of each model that has enough to go by, in the order of CANDIDATES: the mean always has.

    `forms` are those of the same series at earlier origins, and get what is found here.
    """
    made: dict[str, Prediction] = {}
    with warnings.catch_warnings():
        # Of optimizers that came to a bound, or to no end: what comes of it is judged by the back-test.
        warnings.simplefilter("ignore")
        for model in CANDIDATES[kind]:
            if model == MEDIAN:
                found = _median([made[one] for one in (THETA, ETS, ARIMA) if one in made])
            elif model == ETS_YEAR:
                found = _shaped(made.get(ETS), values, settings)
            else:
                found = _tried(model, values, settings, forms)
            if found:
                made[model] = found.sound()
    return made or predictions("short", values, settings, forms)


def _tried(model: str, values: Floats, settings: Settings, forms: Forms) -> Prediction | None:
    """Nothing where the library cannot fit it: on values without any chance, say, and it raises what it likes.

    The back-test has no row of it then. A library that is not there is no such reason.
    """
    _statsforecast()
    try:
        return _MODELS[model](values, settings, forms)
    except Exception:
        return None


def without(untold: npt.NDArray[np.bool_], values: Floats, season: int) -> Floats:
    """`values` in which an untold one is that of the same day of the seasons about it, so far as they are there.

    That nothing was sold on a closed day, or while there was nothing to sell, tells nothing about what was asked for.
    """
    filled, is_told = values.copy(), ~untold
    for place in np.flatnonzero(untold):
        about = [at for at in (place - season, place + season) if 0 <= at < values.size and is_told[at]]
        if about:
            filled[place] = float(np.mean(filled[about]))
            is_told[place] = True
    return filled


def _median(made: Sequence[Prediction]) -> Prediction | None:
    """Of three models, period by period, which is seldom far wrong; none of fewer."""
    if len(made) < 3:
        return None
    return Prediction(*(np.median([getattr(one, each.name) for one in made], axis=0) for each in fields(Prediction)))


def _shaped(made: Prediction | None, values: Floats, settings: Settings) -> Prediction | None:
    """As much more or less than `made` as demand was a year ago after that day than before it."""
    now, horizon = values.size - YEAR, settings.horizon
    if not made or settings.season != WEEK or now < horizon:
        return None
    before, after = (float(np.mean(values[part])) for part in (slice(now - horizon, now), slice(now, now + horizon)))
    if before <= 0:
        return None
    ratio = min(MOST, max(1 / MOST, after / before))
    return made.map(lambda figures: figures * ratio)


def _zero(values: Floats, settings: Settings, forms: Forms) -> Prediction:
    return Prediction.flat(0.0, settings.horizon)


def _mean(values: Floats, settings: Settings, forms: Forms) -> Prediction:
    """That of the last few periods; bounds by what they were apart."""
    recent = values[-_RECENT_SEASONS * settings.season :] if settings.season == WEEK else values[-_RECENT_PERIODS:]
    center = float(np.mean(recent))
    low_95, low_80, high_80, high_95 = (float(one) for one in np.quantile(recent, (0.025, 0.1, 0.9, 0.975)))
    flat = (np.full(settings.horizon, one) for one in (center, low_80, high_80, low_95, high_95))
    return Prediction(*flat)


_RECENT_SEASONS, _RECENT_PERIODS = 8, 12


def _seasonal_naive(values: Floats, settings: Settings, forms: Forms) -> Prediction | None:
    return _predicted(_statsforecast().SeasonalNaive(season_length=settings.season).fit(values), settings)


def _theta(values: Floats, settings: Settings, forms: Forms) -> Prediction | None:
    return _predicted(_statsforecast().OptimizedTheta(season_length=settings.season).fit(values), settings)


def _ets(values: Floats, settings: Settings, forms: Forms) -> Prediction | None:
    """Errors are added, as some values are 0; with a trend or without, as fits."""
    form = forms.get(ETS) or {"model": "AZA" if settings.season > 1 else "AZN"}
    fitted = _statsforecast().AutoETS(season_length=settings.season, **form).fit(values)
    found = fitted.model_["components"]
    forms[ETS] = {"model": found[:3], "damped": found[3] == "D"}
    return _predicted(fitted, settings)


def _arima(values: Floats, settings: Settings, forms: Forms) -> Prediction | None:
    """Of few terms: the whole search takes ten times as long, for next to nothing."""
    models = _statsforecast()
    if ARIMA in forms:
        return _predicted(models.ARIMA(season_length=settings.season, **forms[ARIMA]).fit(values), settings)
    search = models.AutoARIMA(
        season_length=settings.season, approximation=True, max_p=2, max_q=2, max_P=1, max_Q=1, nmodels=10
    )
    fitted = search.fit(values)
    p, q, seasonal_p, seasonal_q, _, d, seasonal_d = fitted.model_["arma"]
    forms[ARIMA] = {
        "order": (p, d, q),
        "seasonal_order": (seasonal_p, seasonal_d, seasonal_q),
        "include_mean": "intercept" in fitted.model_["coef"],
        "include_drift": "drift" in fitted.model_["coef"],
    }
    return _predicted(fitted, settings)


def _predicted(fitted: Any, settings: Settings) -> Prediction | None:
    """What a fitted model of statsforecast's foretells; nothing where a figure is none."""
    found = fitted.predict(h=settings.horizon, level=list(SHARES))
    names = ("mean", "lo-80", "hi-80", "lo-95", "hi-95")
    figures = [np.asarray(found[name], dtype=np.float64) for name in names]
    return Prediction(*figures) if all(np.isfinite(one).all() for one in figures) else None


@cache
def _statsforecast() -> Any:
    """Imported where it is used: a driver need not have it."""
    from statsforecast import models

    return models


def _conformal(make: Callable[[Any], Any]) -> Model:
    """One that tells no bounds of its own: they are by its errors over windows of the horizon's length."""

    def model(values: Floats, settings: Settings, forms: Forms) -> Prediction | None:
        windows = min(_MOST_WINDOWS, (values.size - 1) // settings.horizon - 1)
        if windows < 2:
            return None
        from statsforecast.utils import ConformalIntervals

        return _predicted(make(ConformalIntervals(h=settings.horizon, n_windows=windows)).fit(values), settings)

    return model


_MOST_WINDOWS = 10


_MODELS: Mapping[str, Model] = {
    ZERO: _zero,
    MEAN: _mean,
    SEASONAL_NAIVE: _seasonal_naive,
    THETA: _theta,
    ETS: _ets,
    ARIMA: _arima,
    "croston": _conformal(lambda bounds: _statsforecast().CrostonSBA(prediction_intervals=bounds)),
    "tsb": _conformal(lambda bounds: _statsforecast().TSB(0.1, 0.1, prediction_intervals=bounds)),
}


def origins(periods: int, horizon: int, count: int) -> Sequence[int]:
    """How many of so many periods are known at each of `count` rolling origins, the horizon apart, the first first.

    At the last of them just the horizon is not known yet.
    """
    return [known for known in range(periods - count * horizon, periods, horizon) if known > 0]
