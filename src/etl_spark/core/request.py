"""What the user asks a run for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from etl_spark.core.dates import DateRange


@dataclass(frozen=True)
class Request:
    """`extract_date` is the day as of which a source without dated extracts is; None for the last day of `asked`."""

    run_id: str
    asked: DateRange
    output: str
    sinks: tuple[str, ...]
    allow_missing_days: bool = False
    refresh: bool = False
    extract_date: date | None = None


@dataclass(frozen=True)
class StreamRequest:
    """What is asked of a stream: to look for more `every` so many seconds; None: to take in what is there, and end."""

    run_id: str
    output: str
    every: int | None


@dataclass(frozen=True)
class ForgetRequest:
    """To forget one customer of the shop. `sinks` are warehouses: lake and exports are looked through in any case."""

    customer_id: str
    run_id: str
    output: str
    sinks: tuple[str, ...]
