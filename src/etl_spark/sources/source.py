"""What a run needs of its source, of whatever kind that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import Any, Protocol

from pyspark.sql import DataFrame

from etl_spark.core.audit import AuditRow
from etl_spark.core.days import SourceFile
from etl_spark.core.step import Input, Part


class Source(Protocol):
    """The rows of one run. `plan` comes first; after it the run knows what it reads and which days that is of."""

    @property
    def place(self) -> str:
        """Where the source is, as load_audit names it."""

    @property
    def files_to_read(self) -> Sequence[SourceFile]:
        """The files, or a database's tables, that are read."""

    @property
    def audited_days(self) -> tuple[date, ...]:
        """The days whose audit the run must know."""

    @property
    def coverage(self) -> dict[str, Any]:
        """What was asked for and found, as the run's record has it."""

    @property
    def in_words(self) -> dict[str, str]:
        """The same for a person, by what it is of."""

    @property
    def values(self) -> Mapping[str, Any]:
        """What a step may take as a parameter."""

    @property
    def extract_dates(self) -> tuple[date, ...]:
        """The days as of which the extracts that are read were made; none for daily files."""

    @property
    def to_replace(self) -> tuple[date, ...]:
        """The days of which the run leaves no earlier row; where there are none, nothing is read."""

    @property
    def known(self) -> tuple[date, ...]:
        """The days that stand in the lake as the source has them."""

    def plan(self, known: Sequence[AuditRow]) -> str:
        """Looks what stands at the source, beside what is `known` of it; says so. Raises InputError."""

    def has(self, one: Input) -> bool:
        """Whether `one` is of this source."""

    def days(self, part: Part) -> tuple[date, ...]:
        """The days of a table that `part` stands for."""

    def read(self, one: Input) -> DataFrame:
        """The rows of the source that `one` stands for."""

    def readable(self) -> AbstractContextManager[None]:
        """Raises InputError, naming what it is, for what goes wrong when the rows are read."""

    def verify_unchanged(self) -> None:
        """Raises InputError where the source has changed since `plan`."""
