"""What a page or a report is made of (figures, charts, sheets), and how numbers are written for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

import plotly.graph_objects as go

from etl_spark.dashboard.results import Query, Rows

Read = Callable[[Query], Rows]
"""What returns the rows of a query."""

Number = int | float | Decimal

NOTHING = "–"  # noqa: RUF001
"""What stands for a figure that there is none of."""


@dataclass(frozen=True)
class Figure:
    """One number with its unit in `name`. `exact` is all of its digits, `means` how it is defined.

    `change` is how it differs from the range before, such as "+4.2 %"; empty where that is not known.
    """

    name: str
    value: str
    means: str = ""
    exact: str = ""
    change: str = ""

    @property
    def explained(self) -> str:
        """What it means, and all of its digits."""
        return ". ".join(one for one in (self.means, self.exact and f"Exactly {self.exact}") if one)


@dataclass(frozen=True)
class Chart:
    """`plot` has axes with titles and units, and no title: that is `title`. `alt` says it to who cannot see it."""

    title: str
    plot: go.Figure
    note: str = ""

    @property
    def alt(self) -> str:
        return f"{self.title}. {self.note}".strip()


Kind = Literal["text", "count", "money", "hours", "percent", "day", "decimal", "pieces", "number"]
"""How a column is written. A `number` is written already, to its last digit, and stands to the right."""


@dataclass(frozen=True)
class Sheet:
    """A small table: its `columns`, name in the rows to heading and kind, and the rows."""

    title: str
    columns: Mapping[str, tuple[str, Kind]]
    rows: Rows
    note: str = ""


@dataclass(frozen=True)
class Section:
    """What belongs together, under a heading."""

    title: str
    figures: Sequence[Figure] = ()
    charts: Sequence[Chart] = ()
    sheets: Sequence[Sheet] = ()
    note: str = ""


def count(value: Number | None) -> str:
    """1,069; a million and more 1.92 M."""
    if value is None:
        return NOTHING
    return _large(value) or f"{round(value):,}"


def decimal(value: Number | None, digits: int = 1) -> str:
    """304.4; a million and more 1.92 M."""
    if value is None:
        return NOTHING
    return _large(value) or f"{_rounded(value, digits):,}"


def money(value: Number | None) -> str:
    """12,345.60, in the currency of the source, which tells none; a million and more 1.48 M."""
    return decimal(value, 2)


def hours(seconds: Number | None) -> str:
    """Seconds as hours: 84.6."""
    return NOTHING if seconds is None else decimal(in_hours(seconds))


def percent(share: Number | None, digits: int = 1) -> str:
    """A part of 1 as 12.3 %."""
    return NOTHING if share is None else f"{_rounded(Decimal(str(share)) * 100, digits):,} %"


def exactly(value: Number | None) -> str:
    """All digits: 1,920,546 or 553,792.7200."""
    return NOTHING if value is None else f"{value:,}"


def day(value: date | None) -> str:
    return NOTHING if value is None else f"{value:%Y-%m-%d}"


def in_hours(seconds: Number) -> Decimal:
    return Decimal(str(seconds)) / 3_600


def ratio(part: Number | None, whole: Number | None) -> Decimal | None:
    """part / whole; None where either is, or the whole is 0."""
    return Decimal(str(part)) / Decimal(str(whole)) if part is not None and whole else None


def change(now: Number | None, before: Number | None) -> str:
    """How much more than before, in percent: +4.2 %; empty where there is nothing to compare with."""
    if now is None or not before:
        return ""
    share = (Decimal(str(now)) / Decimal(str(before)) - 1) * 100
    return f"{_rounded(share, 1):+,} %"


def sentence(words: str) -> str:
    """`words` with a capital letter and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."


def written(value: object, kind: Kind) -> str:
    """`value` as a sheet shows it."""
    if value is None:
        return NOTHING
    if isinstance(value, date):
        return day(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        match kind:
            case "count":
                # Beside one that is not known, a whole number is no int any more.
                return f"{round(value):,}"
            case "money":
                return f"{_rounded(value, 2):,}"
            case "hours":
                return f"{_rounded(in_hours(value), 1):,}"
            case "percent":
                return percent(value)
            case "decimal":
                return f"{_rounded(value, 3):,}"
            case "pieces":
                return f"{_rounded(value, 1):,}"
    return str(value)


def listed(days: Sequence[date], most: int = 6) -> str:
    """Days in words, runs of them as one: 2022-04-03, 2022-04-07 to 2022-04-09, and 3 more."""
    runs: list[list[date]] = []
    for one in days:
        if runs and (one - runs[-1][-1]).days == 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    said = [day(run[0]) if len(run) == 1 else f"{day(run[0])} to {day(run[-1])}" for run in runs]
    more = len(said) - most
    return ", ".join(said[:most]) + (f", and {more} more" if more > 0 else "")


def _large(value: Number) -> str:
    size = abs(Decimal(str(value)))
    for least, unit in ((Decimal(10**9), "bn"), (Decimal(10**6), "M")):
        if size >= least:
            return f"{_rounded(Decimal(str(value)) / least, 2):,} {unit}"
    return ""


def _rounded(value: Number, digits: int) -> Decimal:
    """Half up, as people do."""
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
