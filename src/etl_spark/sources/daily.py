"""Daily files as the source of a run: a day that is known and has not changed is not read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.audit import AuditRow
from etl_spark.core.days import Fingerprint, SourceFile, plan_days
from etl_spark.core.errors import InputError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.request import Request
from etl_spark.core.settings import DailySettings
from etl_spark.core.step import DailyFiles, Input, Part
from etl_spark.sources.dated_files import find_files, read_files, read_lines, readable


class DailySource:
    """The files of one run. `plan` comes first, and says which days are read."""

    extract_dates = ()

    def __init__(self, spark: SparkSession, source: DailyFiles, settings: DailySettings, request: Request) -> None:
        self._spark, self._source, self._settings, self._request = spark, source, settings, request
        self._fs = FileSystem(spark, settings.source)
        self.place = self._fs.root

    @property
    def audited_days(self) -> tuple[date, ...]:
        """The days that the run may use, asked for or, where the source looks back, as many before them."""
        asked = self._request.asked
        return (*asked.previous().days, *asked.days) if self._source.looks_back else asked.days

    def has(self, one: Input) -> bool:
        return one.of == self._source.name

    def plan(self, known: Sequence[AuditRow]) -> str:
        """Looks what stands at the source, beside what is `known` of it. Returns that in words.

        Raises InputError for a missing day, unless missing days are allowed and there are others.
        """
        asked, source = self._request.asked, self.place
        accounted: dict[date, set[Fingerprint]] = {}
        for row in known:
            accounted.setdefault(row.date, set()).add(row.fingerprint)
        self._plan = plan = plan_days(
            asked,
            self._find_files(),
            accounted,
            source=source,
            rules=self._settings.rules_version,
            refresh=self._request.refresh,
        )
        if plan.missing and not (self._request.allow_missing_days and plan.found):
            missing = ", ".join(str(day) for day in plan.missing)
            raise InputError(f"{len(plan.missing)} of {len(asked)} days have no file at {source}: {missing}")
        before = f", and {len(plan.previous_found)} of as many before" if self._source.looks_back else ""
        found = f"{len(plan.found)} of {len(asked)} days found{before}"
        return f"{found}: {len(plan.to_read)} to read, {len(plan.known)} known"

    @property
    def coverage(self) -> dict[str, Any]:
        """What the run's record says of its days."""
        plan = self._plan
        return {
            "days_asked": len(plan.asked),
            "days_found": len(plan.found),
            "days_missing": plan.missing,
            "days_read": plan.to_read,
            "previous_days_found": len(plan.previous_found),
        }

    @property
    def in_words(self) -> dict[str, str]:
        """What the run's summary says of its days."""
        plan = self._plan
        days = f"{len(plan.found)} of {len(plan.asked)} found, {len(plan.to_read)} read in this run"
        if plan.missing:
            days += f", missing: {', '.join(str(day) for day in plan.missing)}"
        if self._source.looks_back:
            days += f"; {len(plan.previous_found)} of the {len(plan.asked)} days before"
        return {"days": days}

    @property
    def values(self) -> Mapping[str, Any]:
        """What a step may take as a parameter."""
        return {"days_found": len(self._plan.found), "previous_days_found": len(self._plan.previous_found)}

    @property
    def files_to_read(self) -> tuple[SourceFile, ...]:
        return self._plan.files_to_read

    @property
    def to_replace(self) -> tuple[date, ...]:
        """The days of which the run leaves no earlier row."""
        return self._plan.to_replace

    @property
    def known(self) -> tuple[date, ...]:
        """The days that stand in the lake as the source has them."""
        return self._plan.known

    def days(self, part: Part) -> tuple[date, ...]:
        return self._plan.previous_found if part == "previous" else self._plan.found

    def read(self, one: Input) -> DataFrame:
        reader = read_files if one.part == "files" else read_lines
        return reader(self._spark, self.files_to_read)

    def readable(self) -> AbstractContextManager[None]:
        """Raises InputError where a file cannot be read to its end."""
        return readable(self._spark, self.files_to_read)

    def verify_unchanged(self) -> None:
        """Raises InputError where other files stand at the source now than when the days were planned."""
        if set(self._find_files()) != {file for files in self._plan.files.values() for file in files}:
            raise InputError(f"files at {self.place} changed while they were read: run again")

    def _find_files(self) -> tuple[SourceFile, ...]:
        return find_files(self._fs, self._settings.layout, self.audited_days, source_table=self._source.name)
