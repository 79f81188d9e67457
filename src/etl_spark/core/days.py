"""Which days of a daily source a run must read: the files at the source against the files already accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date

from etl_spark.core.dates import DateRange


@dataclass(frozen=True, order=True)
class SourceFile:
    """One file of one day as the file system tells of it, before it is opened; or a table of a database.

    `name` is relative to the source's root; `path` is where to open it, `uri` the same escaped, as a scan reports it.
    `source_table` is what it holds. `size_bytes` as stored (compressed), `modified_ms` since 1970 in UTC, None for a
    database's table; `checksum` is the object store's ETag, empty where a file system has none.
    """

    day: date
    name: str
    path: str
    uri: str
    source_table: str
    size_bytes: int | None = None
    modified_ms: int | None = None
    checksum: str = ""


@dataclass(frozen=True, order=True)
class Fingerprint:
    """What tells that a file was read before, as it stands now and by the rules of now."""

    source: str
    name: str
    size_bytes: int | None
    modified_ms: int | None
    checksum: str
    rules: str

    @classmethod
    def of(cls, file: SourceFile, source: str, rules: str) -> Fingerprint:
        return cls(source, file.name, file.size_bytes, file.modified_ms, file.checksum, rules)


@dataclass(frozen=True)
class DayPlan:
    """What a run does with each day. `asked` is the user's range, `previous` the one of equal length before it.

    `missing` are asked days without a file; earlier days are optional. `to_read` are the days, asked or earlier,
    that are new or changed; `to_replace` are these and the missing ones, of which no row may stay.
    """

    asked: DateRange
    previous: DateRange
    files: Mapping[date, tuple[SourceFile, ...]]
    to_read: tuple[date, ...]

    @property
    def found(self) -> tuple[date, ...]:
        return tuple(day for day in self.asked.days if day in self.files)

    @property
    def missing(self) -> tuple[date, ...]:
        return tuple(day for day in self.asked.days if day not in self.files)

    @property
    def previous_found(self) -> tuple[date, ...]:
        return tuple(day for day in self.previous.days if day in self.files)

    @property
    def known(self) -> tuple[date, ...]:
        return tuple(day for day in self.files if day not in self.to_read)

    @property
    def to_replace(self) -> tuple[date, ...]:
        return tuple(sorted(self.to_read + self.missing))

    @property
    def files_to_read(self) -> tuple[SourceFile, ...]:
        return tuple(file for day in self.to_read for file in self.files[day])


def plan_days(
    asked: DateRange,
    files: Iterable[SourceFile],
    accounted: Mapping[date, Set[Fingerprint]],
    *,
    source: str,
    rules: str,
    refresh: bool = False,
) -> DayPlan:
    """A day is known, and not read again, when exactly the files that stand there now were accounted for."""
    by_day: dict[date, list[SourceFile]] = {}
    for file in files:
        by_day.setdefault(file.day, []).append(file)
    days = {day: tuple(sorted(found)) for day, found in sorted(by_day.items())}

    def is_known(day: date, found: Sequence[SourceFile]) -> bool:
        now = {Fingerprint.of(file, source, rules) for file in found}
        return not refresh and accounted.get(day) == now

    return DayPlan(
        asked=asked,
        previous=asked.previous(),
        files=days,
        to_read=tuple(day for day, found in days.items() if not is_known(day, found)),
    )
