"""Extracts of a relational source as the source of a run: all of what it needs is read each time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import Any, Protocol

from pyspark.sql import DataFrame, SparkSession

from etl_spark.config import Credentials
from etl_spark.core.audit import AuditRow
from etl_spark.core.database import is_database, parse_database
from etl_spark.core.dates import DateRange
from etl_spark.core.days import SourceFile
from etl_spark.core.errors import InputError
from etl_spark.core.extract import Extract, ExtractFile
from etl_spark.core.flat import FlatSettings
from etl_spark.core.request import Request
from etl_spark.core.settings import ExtractSettings
from etl_spark.core.step import Extracts, Input, Part
from etl_spark.sources.csv_extracts import CsvExtracts
from etl_spark.sources.flat_file import FlatFile
from etl_spark.sources.jdbc_extracts import JdbcExtracts


class ExtractSource:
    """The extracts of one run."""

    known = ()
    audited_days = ()

    def __init__(
        self,
        spark: SparkSession,
        source: Extracts,
        settings: ExtractSettings,
        request: Request,
        *,
        login: Callable[[], Credentials],
    ) -> None:
        self._request = request
        self._until = request.extract_date or date.max
        self._reader = _reader(spark, source, settings, self._until, login)
        self.place = self._reader.place
        self._extracts = {extract.name: extract for extract in source.tables}
        self._files: dict[str, tuple[ExtractFile, ...]] = {}

    @property
    def coverage(self) -> dict[str, Any]:
        """What the run's record says of its extracts."""
        return {
            "extract_dates": self.extract_dates,
            "files_read": {name: len(files) for name, files in self._files.items()},
        }

    @property
    def in_words(self) -> dict[str, str]:
        """What the run's summary says of its extracts."""
        dates = self.extract_dates
        when = str(dates[0]) if len(dates) == 1 else f"{len(dates)} days, {dates[0]} to {dates[-1]}"
        return {"extracts": f"{', '.join(self._files)}, as of {when}"}

    @property
    def values(self) -> Mapping[str, Any]:
        return {"extract_dates": self.extract_dates}

    @property
    def extract_dates(self) -> tuple[date, ...]:
        """The days as of which the extracts that are read were made."""
        return tuple(sorted({self._date(file) for files in self._files.values() for file in files}))

    @property
    def files_to_read(self) -> tuple[SourceFile, ...]:
        return tuple(one.file for files in self._files.values() for one in files)

    @property
    def to_replace(self) -> tuple[date, ...]:
        return self._request.asked.days

    def has(self, one: Input) -> bool:
        return one.of in self._extracts

    def days(self, part: Part) -> tuple[date, ...]:
        return self._request.asked.days

    def plan(self, known: Sequence[AuditRow]) -> str:
        """Finds the files of each table. Raises InputError for a table without one."""
        self._files = self._find()
        return "; ".join(self.in_words.values())

    def read(self, one: Input) -> DataFrame:
        files = [(found.file, self._date(found)) for found in self._files[one.of]]
        return self._reader.read(self._extracts[one.of], files, self._request.asked)

    def readable(self) -> AbstractContextManager[None]:
        return self._reader.readable(self.files_to_read)

    def verify_unchanged(self) -> None:
        """Raises InputError where other files stand at the source now than before they were read."""
        if self._find() != self._files:
            raise InputError(f"files at {self.place} changed while they were read: run again")

    def _find(self) -> dict[str, tuple[ExtractFile, ...]]:
        asked = self._request.asked
        return {name: self._wanted(one, self._reader.find(one, asked)) for name, one in self._extracts.items()}

    def _wanted(self, extract: Extract, found: Iterable[ExtractFile]) -> tuple[ExtractFile, ...]:
        """Of a table that is read whole, the latest extract, and of one that has days, all: a row may come late."""
        files = tuple(one for one in found if one.extract_date is None or one.extract_date <= self._until)
        if not files:
            raise InputError(f"{self.place} has no extract of {extract.name} up to {self._until}")
        latest = max((one.extract_date for one in files if one.extract_date), default=None)
        return tuple(one for one in files if one.extract_date == latest) if extract.is_whole else files

    def _date(self, file: ExtractFile) -> date:
        return file.extract_date or self._request.extract_date or self._request.asked.end


class _Reader(Protocol):
    """A place with the tables of a source: files of CSV, one flat file, or a database."""

    place: str

    def find(self, extract: Extract, asked: DateRange) -> tuple[ExtractFile, ...]:
        """What is there of the table. Raises InputError for one that is missing."""

    def read(self, extract: Extract, files: Sequence[tuple[SourceFile, date]], asked: DateRange) -> DataFrame:
        """One row per row of the table, as extracts.clean() takes them; those of other days may be left out."""

    def readable(self, files: Sequence[SourceFile]) -> AbstractContextManager[None]:
        """Raises InputError for what goes wrong when the rows are read."""


def _reader(
    spark: SparkSession, source: Extracts, settings: ExtractSettings, until: date, login: Callable[[], Credentials]
) -> _Reader:
    if is_database(settings.source):
        database = parse_database(settings.source)
        return JdbcExtracts(spark, database, login(), source.tables, settings.jdbc)
    if isinstance(settings, FlatSettings) and settings.mapping:
        return FlatFile(spark, settings.source, settings.mapping, until)
    return CsvExtracts(spark, settings.source, settings.csv)
