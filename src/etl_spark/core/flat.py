"""How the lines of one flat file, an order item each, tell the tables of a source: the mapping of its columns."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from etl_spark.core.database import is_database
from etl_spark.core.dates import DateRange
from etl_spark.core.errors import UsageError
from etl_spark.core.extract import Extract
from etl_spark.core.settings import CsvFormat, ExtractSettings, check_date_formats


@dataclass(frozen=True)
class Told:
    """What tells a logical column: a `column` of the file, several `columns` joined by "-", or a fixed `value`.

    What the regular expression `remove` matches is taken away. With `shorten`, a text that is too long for the logical
    column is cut, and ends in a hash of the whole.
    """

    column: str | None = None
    columns: tuple[str, ...] = ()
    value: str | None = None
    remove: str | None = None
    shorten: bool = False

    @property
    def headers(self) -> tuple[str, ...]:
        """The columns of the file, as csv_extracts has the names of a header."""
        names = self.columns or ((self.column,) if self.column is not None else ())
        return tuple(name.strip().lower() for name in names)

    @property
    def problem(self) -> str | None:
        """What is wrong with it, if anything is."""
        if (self.column is not None) + bool(self.columns) + (self.value is not None) != 1:
            return "is told by one of column, columns and value"
        if not all(self.headers) and self.value is None:
            return "the name of a column is missing"
        if self.value is not None and (self.remove is not None or self.shorten):
            return "a fixed value is taken as it is, without remove and shorten"
        try:
            re.compile(self.remove or "")
        except re.error as error:
            return f"'{self.remove}' is not a regular expression: {error}"
        return None


@dataclass(frozen=True)
class Numbers:
    """How numbers are written. `currencies` may stand before or after one; a thousands sign of " " is any space."""

    decimal_sign: str = "."
    thousands_sign: str = ""
    currencies: tuple[str, ...] = ()
    brackets_are_negative: bool = False

    def __post_init__(self) -> None:
        if self.decimal_sign not in (".", ","):
            raise UsageError(f"numbers.decimal_sign is '.' or ',', not '{self.decimal_sign}'")
        if len(self.thousands_sign) > 1 or re.fullmatch(r"[0-9A-Za-z+()-]", self.thousands_sign):
            raise UsageError(f"numbers.thousands_sign is one sign, or none, and not '{self.thousands_sign}'")
        if self.thousands_sign == self.decimal_sign:
            raise UsageError("numbers: the thousands sign is the decimal sign")
        strange = [text for text in self.currencies if not text.strip() or re.search(r"[0-9+()-]", text)]
        if strange:
            raise UsageError(f"numbers.currencies are signs or names without digits and + - ( ), not '{strange[0]}'")


@dataclass(frozen=True, kw_only=True)
class FlatMapping:
    """What a line says of each logical column: those of `tables`, where shared names mean the same.

    Every line is a row of `lines`, of the order that the first of its `through` names; the other tables are told by
    what lines have in common. `days` are those that a line can be of. Of lines that are `repeated`, a column of
    `lines` that none of a file can be, all but the first are marked. Raises UsageError for what cannot work.
    """

    tables: ClassVar[tuple[Extract, ...]]
    lines: ClassVar[Extract]
    repeated: ClassVar[str]
    days: ClassVar[DateRange]

    columns: Mapping[str, Told]
    date_formats: tuple[str, ...]
    csv: CsvFormat
    numbers: Numbers = Numbers()
    repeated_lines: Literal["keep", "drop"] = "keep"

    def __post_init__(self) -> None:
        check_date_formats(self.date_formats)
        strangers = sorted(set(self.columns) - set(self.logical_columns))
        if strangers:
            known = ", ".join(self.logical_columns)
            raise UsageError(f"columns.{strangers[0]}: there is no such logical column, there are {known}")
        for name, told in self.columns.items():
            if told.problem:
                raise UsageError(f"columns.{name}: {told.problem}")
        columns = (column for table in (self.dated, self.lines) for column in table.columns)
        required = {column.name for column in columns if not column.nullable} - set(self.lines.key)
        missing = sorted(required - set(self.columns))
        if missing:
            raise UsageError(f"columns.{missing[0]} is missing: name the column, or the columns, that tell it")
        for table in self.tables:
            (key,) = table.key
            attributes = sorted(set(self.columns) & set(table.column_names) - {key})
            if table not in (self.lines, self.dated) and attributes and key not in self.columns:
                raise UsageError(
                    f"columns.{attributes[0]}: says nothing without a {key}; the column of a name can be one"
                )

    @property
    def dated(self) -> Extract:
        """The table that says of which day a line is."""
        return next(table for table in self.tables if table.name == self.lines.through[0].extract)

    @property
    def group(self) -> str:
        """The logical column that lines of one row of `dated` share."""
        return self.lines.through[0].column

    @property
    def day(self) -> str:
        """The logical column of a line's date."""
        return str(self.dated.day)

    @property
    def logical_columns(self) -> tuple[str, ...]:
        names = dict.fromkeys(name for table in self.tables for name in table.column_names)
        return tuple(name for name in names if name != self.repeated)


@dataclass(frozen=True, kw_only=True)
class FlatSettings(ExtractSettings):
    """Of a pipeline whose source may be one flat file: with a `mapping`, it is."""

    mapping_type: ClassVar[type[FlatMapping]]

    mapping: FlatMapping | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mapping and is_database(self.source):
            raise UsageError("mapping is for a flat file, and the source is a database")

    def _deciding(self) -> tuple[Any, ...]:
        return (*super()._deciding(), *((dataclasses.asdict(self.mapping),) if self.mapping else ()))
