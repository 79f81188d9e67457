"""Items of DynamoDB as the source of a run: a day whose extract is known is not read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import AbstractContextManager
from datetime import date
from functools import cached_property
from typing import Any, Protocol

from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.audit import AuditRow
from etl_spark.core.days import Fingerprint, SourceFile
from etl_spark.core.dynamodb import is_live_table, parse_live_table
from etl_spark.core.errors import InputError, UsageError
from etl_spark.core.request import Request
from etl_spark.core.settings import ItemReading
from etl_spark.core.step import Input, Items, Part
from etl_spark.sources.dynamodb_exports import Exports


class ItemSource:
    """The extracts of one run, each as of a day: exports up to the last asked day, or one scan of the live table.

    What is known of a live table is kept, by whatever rules it was judged, until a run is asked to refresh it: what the
    table holds now is not what it held then.
    """

    def __init__(
        self, spark: SparkSession, source: Items, reading: ItemReading, request: Request, *, rules: str
    ) -> None:
        self._source, self._request, self._rules = source, request, rules
        self._reader = _reader(spark, source, reading, request)
        self.place = self._reader.place
        self._to_read: tuple[date, ...] = ()

    @property
    def audited_days(self) -> tuple[date, ...]:
        """The days as of which there is an extract."""
        return tuple(self._found)

    def plan(self, known: Sequence[AuditRow]) -> str:
        """Looks which extracts are new, beside what is `known`, and whether they are whole. Returns that in words.

        Raises InputError for an extract that is not, and where there is none.
        """
        accounted: dict[date, set[Fingerprint]] = {}
        for row in known:
            accounted.setdefault(row.date, set()).add(row.fingerprint)
        self._to_read = tuple(day for day in self._found if not self._is_known(day, accounted.get(day, set())))
        self._reader.verify(self.files_to_read)
        return "; ".join(self.in_words.values())

    def _is_known(self, day: date, accounted: Set[Fingerprint]) -> bool:
        if self._request.refresh:
            return False
        if self._reader.is_live:
            return any(one.source == self.place for one in accounted)
        return accounted == {Fingerprint.of(file, self.place, self._rules) for file in self._found[day]}

    @property
    def coverage(self) -> dict[str, Any]:
        """What the run's record says of its extracts."""
        return {
            "extract_dates": tuple(self._found),
            "extracts_read": self._to_read,
            "files_read": {self._source.name: len(self.files_to_read)},
        }

    @property
    def in_words(self) -> dict[str, str]:
        """What the run's summary says of its extracts."""
        days = tuple(self._found)
        when = f"as of {days[0]}" if len(days) == 1 else f"{len(days)} extracts, {days[0]} to {days[-1]}"
        return {self._source.name: f"{when}: {len(self._to_read)} to read, {len(self.known)} known"}

    @property
    def values(self) -> Mapping[str, Any]:
        """What a step may take as a parameter."""
        return {f"{self._source.name}_days": tuple(self._found)}

    @property
    def extract_dates(self) -> tuple[date, ...]:
        """The days as of which the extracts that are read were made."""
        return self._to_read

    @property
    def files_to_read(self) -> tuple[SourceFile, ...]:
        return tuple(file for day in self._to_read for file in self._found[day])

    @property
    def to_replace(self) -> tuple[date, ...]:
        """The days of which the run leaves no earlier row. What is gone from the source stays in the lake."""
        return self._to_read

    @property
    def known(self) -> tuple[date, ...]:
        """The days that stand in the lake as the source has them."""
        return tuple(day for day in self._found if day not in self._to_read)

    def has(self, one: Input) -> bool:
        return one.of == self._source.name

    def days(self, part: Part) -> tuple[date, ...]:
        return tuple(self._found)

    def read(self, one: Input) -> DataFrame:
        """The items of the extracts to read: extract_date, file, line. One row per item.

        `line` is the item as DynamoDB's exports write it, {"Item": {...}}, of a live table too.
        """
        return self._reader.read(self.files_to_read)

    def readable(self) -> AbstractContextManager[None]:
        """Raises InputError for what goes wrong when the items are read."""
        return self._reader.readable(self.files_to_read)

    def verify_unchanged(self) -> None:
        """Raises InputError where other exports stand at the source now than before they were read."""
        if self._reader.find() != self._found:
            raise InputError(f"exports at {self.place} changed while they were read: run again")

    @cached_property
    def _found(self) -> Mapping[date, tuple[SourceFile, ...]]:
        return self._reader.find()


class _Reader(Protocol):
    """A place with the items of a table: exports of it, or the table itself."""

    place: str
    is_live: bool
    """Whether what it holds now is all that can be read of it."""

    def find(self) -> Mapping[date, tuple[SourceFile, ...]]:
        """What there is to read, by the day as of which it is, in order. Raises InputError where there is nothing."""

    def verify(self, files: Sequence[SourceFile]) -> None:
        """Raises InputError where `files` are not what they are said to be, or cannot be read at all."""

    def read(self, files: Sequence[SourceFile]) -> DataFrame:
        """One row per item of `files`: extract_date, file, line."""

    def readable(self, files: Sequence[SourceFile]) -> AbstractContextManager[None]:
        """Raises InputError for what goes wrong when the items are read."""


def _reader(spark: SparkSession, source: Items, reading: ItemReading, request: Request) -> _Reader:
    if not is_live_table(reading.place):
        return Exports(spark, reading.place, source.name, request.asked.end)
    try:
        # AWS's client is there only where it is needed.
        from etl_spark.sources.dynamodb_scan import LiveItems
    except ModuleNotFoundError:
        raise UsageError("a live table of DynamoDB is read by boto3: pip install 'etl_spark[aws]'") from None
    return LiveItems(spark, parse_live_table(reading.place), source, reading, request.extract_date or request.asked.end)
