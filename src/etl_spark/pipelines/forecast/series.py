"""One series of demand: what each model foretells at each rolling origin, and which of them the past would have chosen.

The origins lie the horizon apart, and the last is the end of what is known: its rows are the forecast. At an origin
nothing of later periods is seen, neither in the values nor in the choice of the model, nor in the width of its bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import date

import numpy as np
import numpy.typing as npt

from etl_spark.pipelines.forecast.models import (
    DIGITS,
    SHARES,
    Figures,
    Floats,
    Forms,
    Prediction,
    Settings,
    kind_of,
    origins,
    predictions,
    without,
)

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Series:
    """The demand of the periods that begin on `starts`, and which of them were closed for all series.

    It is `sold_out` in its last periods: that is known at the end, and was not at any origin before.
    """

    starts: Sequence[date]
    values: Floats
    closed: Bools
    sold_out: Bools

    def __getitem__(self, part: slice) -> Series:
        return Series(self.starts[part], self.values[part], self.closed[part], self.sold_out[part])

    def until(self, known: int) -> Series:
        """What is known of it after so many periods, from its first demand on."""
        demands = np.flatnonzero(self.values[:known] > 0)
        return self[int(demands[0]) if demands.size else known : known]


@dataclass(frozen=True)
class Point:
    """What a model foretells at an origin of a period, `step` periods on; one row each.

    `is_sold_out` is of the end alone. `actual` is null where the period is not known, or was closed: what would have
    been asked for then, nobody knows. `naive_error` is what the seasonal naive model is wrong by in the periods before
    the origin, on average.
    """

    origin_date: date
    period_date: date
    step: int
    kind: str
    model: str
    is_choice: bool
    is_closed: bool
    is_sold_out: bool
    quantity: float
    low_80: float
    high_80: float
    low_95: float
    high_95: float
    actual: float | None
    naive_error: float | None


@dataclass
class Tried:
    """How wrong a model was at earlier origins, period by period; and in halves of its bounds' width, by share."""

    errors: list[float] = field(default_factory=list)
    widths: dict[int, list[float]] = field(default_factory=lambda: {share: [] for share in SHARES})

    def add(self, made: Prediction, actual: Series) -> None:
        """What `actual` tells of `made`, of as many periods."""
        told = ~actual.closed
        errors = np.abs(made.quantity - actual.values)[told]
        self.errors += errors.tolist()
        for share, (low, high) in made.bounds.items():
            widths = (high - low)[told] / 2
            self.widths[share] += (errors[widths > 0] / widths[widths > 0]).tolist()

    @property
    def error(self) -> float:
        """On average; infinite where the model was not tried yet: any other is taken before it."""
        return round(float(np.mean(self.errors)), DIGITS) if self.errors else float("inf")

    def widened(self, made: Prediction) -> Prediction:
        """`made` with bounds as wide as would have held as often as they say: a model knows only its own errors.

        This is split conformal prediction with scaled errors (Lei and others, 2018). A model that was not tried often
        enough keeps its own bounds.
        """

        def moved(share: int, figures: Floats) -> Floats:
            widths = self.widths[share]
            by = float(np.quantile(widths, share / 100)) if len(widths) >= FEWEST else 1.0
            return made.quantity + (figures - made.quantity) * min(WIDEST, max(1 / WIDEST, by))

        bounds = (moved(share, figures) for share, both in made.bounds.items() for figures in both)
        return Prediction(made.quantity, *bounds).sound()


NOTHING: Figures = (0.0, 0.0, 0.0, 0.0, 0.0)
"""What is foretold of a closed day."""
FEWEST, WIDEST = 20, 4.0
"""Periods a model was tried on before its bounds are corrected, and how many times as wide, or narrow, they become."""


def points(series: Series, ahead: Sequence[date], settings: Settings, count: int) -> Iterator[Point]:
    """Of every model that is tried at each of `count` origins, and at the end, after which come the periods `ahead`.

    A series that had no demand before an origin has no row of it, but for the end.
    """
    tried: dict[str, Tried] = {}
    forms: Forms = {}
    periods = len(series.starts)
    for known in (*origins(periods, settings.horizon, count), periods):
        past = series.until(known)
        if not past.starts and known < periods:
            continue
        actual = series[known : known + settings.horizon]
        coming = actual.starts or ahead
        closed = closed_then(coming, series[:known])
        kind, scale = kind_of(past.values, settings), naive_error(past, settings)
        untold = past.closed if known < periods else past.closed | past.sold_out
        made = predictions(kind, without(untold, past.values, settings.season), settings, forms)
        before = {model: tried.setdefault(model, Tried()) for model in made}
        choice = min(made, key=lambda model: (before[model].error, list(made).index(model)))
        for model, prediction in made.items():
            rows = zip(coming, closed.tolist(), before[model].widened(prediction).rows, strict=True)
            for step, (day, is_closed, figures) in enumerate(rows):
                is_known = step < actual.values.size and not actual.closed[step]
                yield Point(
                    series.starts[known - 1],
                    day,
                    step + 1,
                    kind,
                    model,
                    model == choice,
                    is_closed,
                    known == periods and bool(past.sold_out.any()),
                    *(NOTHING if is_closed else figures),
                    float(actual.values[step]) if is_known else None,
                    scale,
                )
            if actual.starts:
                before[model].add(prediction, actual)


def closed_then(coming: Sequence[date], past: Series) -> Bools:
    """Which of the days to come are expected to be closed: those that were so on every such day of a year before."""
    seen: dict[tuple[int, int], bool] = {}
    for day, is_closed in zip(past.starts, past.closed.tolist(), strict=True):
        place = (day.month, day.day)
        seen[place] = seen.get(place, True) and is_closed
    return np.array([seen.get((day.month, day.day), False) for day in coming], dtype=np.bool_)


def naive_error(past: Series, settings: Settings) -> float | None:
    """The scale of MASE (Hyndman and Koehler, 2006); none where there is no season to look back, or nothing changes."""
    season, values = settings.season, past.values
    if values.size <= season:
        return None
    apart = np.abs(values[season:] - values[:-season])
    is_open = ~(past.closed[season:] | past.closed[:-season])
    scale = round(float(np.mean(apart[is_open])), DIGITS) if is_open.any() else 0.0
    return scale or None


COLUMNS = tuple(one.name for one in fields(Point))
