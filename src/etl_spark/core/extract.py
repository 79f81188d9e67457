"""A table of a relational source as a pipeline declares it, and the lake's raw table that keeps it as it came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from etl_spark.core.days import SourceFile
from etl_spark.core.table import END_DATE, START_DATE, Column, Forgets, Table

EXTRACT_DATE = Column("extract_date", "DATE", "day as of which the extract was made")
AS_OF = Column("extract_date", "DATE", "day of the latest extract that has it; null for the unknown", nullable=True)
"""Which extract a dimension's member is of."""

MALFORMED = "malformed"
"""The column, beside those of a table as text, of what could not be taken apart into them; else null."""


@dataclass(frozen=True)
class ExtractFile:
    """A file of an extract, and the day as of which it was made; None where its place does not say."""

    file: SourceFile
    extract_date: date | None = None


@dataclass(frozen=True)
class Through:
    """Rows are wanted, beside those of the asked days, that share `column` with an asked row of the table `extract`."""

    extract: str
    column: str


@dataclass(frozen=True)
class Extract:
    """A table of a relational source.

    Only `columns` are ever read; a row must have those that are not nullable, and a `key` of its own. `day` is the
    column that says which day a row is of; a table without one, and without `through`, is read whole. Those of
    `optional` are null where the source does not have them. Of rows with the same key, the one with the latest
    `updated` counts. `forgets` is the raw table's.
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    day: str | None = None
    through: tuple[Through, ...] = ()
    optional: tuple[str, ...] = ()
    updated: str | None = None
    forgets: Forgets = ""

    def missing_in(self, found: Sequence[str]) -> list[str]:
        """The columns that a table whose columns are `found` lacks, or has more than once."""
        return missing(self.column_names, found, self.optional)

    @property
    def is_whole(self) -> bool:
        return self.day is None and not self.through

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def raw_table(self, pipeline: str) -> Table:
        """The table of the lake that keeps the sound rows of each extract, of each asked range if it has days."""
        bounds = (EXTRACT_DATE,) if self.is_whole else (EXTRACT_DATE, START_DATE, END_DATE)
        names = tuple(column.name for column in bounds)
        return Table(
            name=f"raw_{pipeline}_{self.name}",
            doc=f"One row per extract and {' and '.join(self.key)}: {self.doc}, as they came.",
            columns=(*bounds, *self.columns),
            grain=(*names, *self.key),
            replaces=names,
            exported=False,
            forgets=self.forgets,
        )


def missing(wanted: Sequence[str], found: Sequence[str], optional: Sequence[str] = ()) -> list[str]:
    """Those of `wanted` that are not once in `found`; those of `optional` may be missing there, but not stand twice."""
    return [name for name in wanted if found.count(name) > 1 or not (name in found or name in optional)]


def rejected_table(pipeline: str, forgets: Forgets = "") -> Table:
    """The table of the lake that keeps the rows of all extracts of `pipeline` that were turned away."""
    bounds = (EXTRACT_DATE, START_DATE, END_DATE)
    names = tuple(column.name for column in bounds)
    return Table(
        name=f"{pipeline}_rejected",
        doc="One row per extract, source_table, file, reason and row of the source that was rejected.",
        columns=(
            *bounds,
            Column("source_table", "VARCHAR(64)", "table of the source"),
            Column("file", "VARCHAR(1024)", "file below the source, or table of a database"),
            Column("reason", "VARCHAR(64)", "the first rule that the row fails"),
            Column("line", "BINARY", "the row's columns as text, a JSON object"),
            Column("line_count", "BIGINT", "how often this row stands there"),
        ),
        grain=(*names, "source_table", "file", "reason", "line"),
        replaces=names,
        exported=False,
        forgets=forgets,
    )
