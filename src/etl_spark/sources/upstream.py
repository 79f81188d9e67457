"""Tables of another job in the same lake as a source of a run: which days were made since they were last taken over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyspark.sql.types as T
from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.audit import ALL, AuditRow, exact_sum
from etl_spark.core.dates import DateRange
from etl_spark.core.days import DayPlan, Fingerprint, SourceFile, plan_days
from etl_spark.core.errors import InputError
from etl_spark.core.local import local_frame
from etl_spark.core.request import Request
from etl_spark.core.step import Input, Part, Upstream

_COUNTS = T.StructType(
    [
        T.StructField("date", T.DateType()),
        T.StructField("file", T.StringType()),
        T.StructField("reason", T.StringType()),
        T.StructField("rows", T.LongType()),
        T.StructField("rows_flagged", T.LongType()),
        T.StructField("rows_outside", T.LongType()),
        T.StructField("amount", T.DecimalType(38, 4)),
    ]
)


@dataclass(frozen=True)
class Made:
    """What the lake has of another job: its rows of load_audit, and each extract's day and range.

    `complete` are the days that it has completed; None where a day needs no completing.
    """

    audit: Sequence[AuditRow]
    extracts: Sequence[tuple[date, DateRange]]
    complete: frozenset[date] | None


class UpstreamSource:
    """The days of another job that a run takes over. Raises InputError where one of `needed` is not there."""

    extract_dates = ()
    place = "lake"
    """Of the same output: its days stay known where that is moved to."""

    def __init__(
        self, spark: SparkSession, source: Upstream, request: Request, *, needed: DateRange, made: Made, rules: str
    ) -> None:
        self._spark, self._source, self._request, self._needed, self._made = spark, source, request, needed, made
        self._rules = rules
        self._by_day: dict[date, list[AuditRow]] = {}
        for row in made.audit:
            self._by_day.setdefault(row.date, []).append(row)

    @property
    def audited_days(self) -> tuple[date, ...]:
        return self._request.asked.days

    def plan(self, known: Sequence[AuditRow]) -> str:
        """Looks which days are there, beside what is `known` of them. Returns that in words."""
        asked, name = self._request.asked, self._source.pipeline
        accounted: dict[date, set[Fingerprint]] = {}
        for row in known:
            accounted.setdefault(row.date, set()).add(row.fingerprint)
        there = self._by_day if self._made.complete is None else self._made.complete
        self._plan: DayPlan = plan_days(
            asked,
            (self._file(day) for day in asked.days if day in there),
            accounted,
            source=self.place,
            rules=self._rules,
            refresh=self._request.refresh,
        )
        self._gone = tuple(day for day in self._plan.missing if day in accounted)
        missing = [day for day in self._needed.days if day in self._plan.missing]
        if self._source.by_runs and missing and not (self._request.allow_missing_days and self._plan.found):
            raise InputError(
                f"the lake has no completed run of {name} over {len(missing)} of the {len(self._needed)} days"
                f" {self._needed}, such as {missing[0]}: run {name} first"
            )
        return f"{name}: {len(self._plan.found)} of {len(asked)} days made, {len(self.to_replace)} of them new"

    def _file(self, day: date) -> SourceFile:
        return SourceFile(
            day=day,
            name=f"{self._source.pipeline}/{day}",
            path=self.place,
            uri=self.place,
            source_table=self._source.counted,
            checksum=self._fingerprint(day),
        )

    def _fingerprint(self, day: date) -> str:
        """What changes with any run that made rows of `day`, or rows that were extracted on it."""
        rows = {(row.source_table, row.file, row.run_id) for row in self._by_day.get(day, ())}
        for extracted, of_days in self._made.extracts:
            if extracted == day:
                rows |= {("", "", row.run_id) for row in self._made.audit if of_days.start <= row.date <= of_days.end}
        return hashlib.sha256(repr(sorted(rows)).encode()).hexdigest()[:32]

    @property
    def coverage(self) -> dict[str, Any]:
        return {f"{self._source.name}_days_found": len(self._plan.found)}

    @property
    def in_words(self) -> dict[str, str]:
        found, asked = self._plan.found, self._request.asked
        return {self._source.name: f"{len(found)} of {len(asked)} days, {len(self.to_replace)} new in this run"}

    @property
    def values(self) -> Mapping[str, Any]:
        return {f"{self._source.name}_days": frozenset(self._plan.found)}

    @property
    def files_to_read(self) -> tuple[SourceFile, ...]:
        return self._plan.files_to_read

    @property
    def to_replace(self) -> tuple[date, ...]:
        return tuple(sorted((*self._plan.to_read, *self._gone)))

    @property
    def known(self) -> tuple[date, ...]:
        return self._plan.known

    def has(self, one: Input) -> bool:
        return one.of == self._source.name

    def days(self, part: Part) -> tuple[date, ...]:
        return self._plan.found

    def read(self, one: Input) -> DataFrame:
        """The counts for load_audit: what was accepted of each day to take over."""
        counted = self._source.counted
        entries = []
        for file in self.files_to_read:
            rows = [row for row in self._by_day.get(file.day, ()) if row.source_table == counted and row.reason == ALL]
            amount = exact_sum(row.amount_accepted for row in rows if row.amount_accepted is not None)
            entries.append((file.day, file.name, None, sum(row.rows_accepted or 0 for row in rows), 0, 0, amount))
        return local_frame(self._spark, entries, _COUNTS)

    def readable(self) -> AbstractContextManager[None]:
        return nullcontext()

    def verify_unchanged(self) -> None:
        """Nobody else writes to a lake while a run does."""
