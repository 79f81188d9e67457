"""Calendar days and inclusive ranges of them; no clock and no time zone is ever asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from etl_spark.core.errors import UsageError

_DAY = timedelta(days=1)


@dataclass(frozen=True, order=True)
class DateRange:
    """The days from `start` to `end`, both included. Raises UsageError where they are the wrong way round."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise UsageError(f"the start date {self.start} is after the end date {self.end}")

    def __len__(self) -> int:
        return (self.end - self.start).days + 1

    def __str__(self) -> str:
        return f"{self.start} to {self.end}"

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(self.start + n * _DAY for n in range(len(self)))

    def closed(self, start: date, end: date) -> DateRange:
        """This range, with `start` or `end` where it goes back or on as EVER does."""
        return DateRange(start if self.start == EVER.start else self.start, end if self.end == EVER.end else self.end)

    def previous(self) -> DateRange:
        """The range of equal length that ends the day before this one starts."""
        try:
            return DateRange(self.start - len(self) * _DAY, self.start - _DAY)
        except OverflowError:
            raise UsageError(f"there is no range of {len(self)} days before {self.start}") from None


EVER = DateRange(date.min, date.max)
"""All days that there are."""


def parse_date(text: str) -> date:
    """A day from `YYYY-MM-DD` or `YYYYMMDD`, digits only; raises UsageError for anything else."""
    parts = re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})|([0-9]{4})([0-9]{2})([0-9]{2})", text)
    try:
        if parts is None:
            raise ValueError
        year, month, day = (int(part) for part in parts.groups() if part)
        return date(year, month, day)
    except ValueError:
        raise UsageError(f"'{text}' is not a date: write it as YYYY-MM-DD or YYYYMMDD") from None
