"""What a table is: its columns, its grain, and which of its rows a write replaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import pyspark.sql.functions as F
import pyspark.sql.types as T
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import SchemaError

Partition = Mapping[str, date | str]
"""The values of a table's `replaces` columns, in their order: one unit of replacement."""

Scope = tuple[Partition, ...]
"""All that one write replaces. `({},)` is the whole table, `()` is nothing."""

Forgets = Literal["", "row", "customer", "line"]
"""What goes of a row that names a customer: all of it, the customer, who becomes unknown, or the bytes of its line."""

MONEY = "DECIMAL(18,4)"
"""The type of an amount of money."""

_TYPES: Mapping[str, T.DataType] = {
    "BIGINT": T.LongType(),
    "BINARY": T.BinaryType(),
    "BOOLEAN": T.BooleanType(),
    "DATE": T.DateType(),
    "DOUBLE": T.DoubleType(),
    "INT": T.IntegerType(),
    "TIMESTAMP": T.TimestampType(),
}


@dataclass(frozen=True)
class Column:
    """One column: its Spark DDL type, `VARCHAR(n)` for text, and what it means.

    One that `needs_name` counts what only somebody known can have: it is 0 for the unknown.
    """

    name: str
    type: str
    doc: str
    nullable: bool = False
    needs_name: bool = False

    @property
    def length(self) -> int | None:
        """The most characters a VARCHAR may hold, None for every other type."""
        match = re.fullmatch(r"VARCHAR\((\d+)\)", self.type)
        return int(match.group(1)) if match else None

    @property
    def data_type(self) -> T.DataType:
        decimal = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", self.type)
        if decimal:
            return T.DecimalType(int(decimal.group(1)), int(decimal.group(2)))
        return T.StringType() if self.length else _TYPES[self.type]


START_DATE = Column("start_date", "DATE", "first day of the asked range")
END_DATE = Column("end_date", "DATE", "last day of the asked range")


@dataclass(frozen=True)
class Table:
    """A table's definition. `doc` says one row per what; `grain` are its key columns.

    `replaces` names the columns whose values bound a write: `("log_date",)` replaces days, `("start_date",
    "end_date")` a range, `()` everything. Wherever the table is stored as files it is partitioned by them, or by the
    first few of them alone, `partitioned_by`, where a part would be a handful of rows.
    `exported` tables go to the sinks, files and warehouses alike. `distributed_by` is the column that large joins are
    on, by which a warehouse of many machines spreads the rows. `forgets` is what goes of a row that names a customer of
    the shop, by customer_id, customer_key or its line, who is to be forgotten; nothing of a table that names none.
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    grain: tuple[str, ...]
    replaces: tuple[str, ...]
    exported: bool = True
    distributed_by: str = ""
    forgets: Forgets = ""
    partitioned_by: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        placed = (self.distributed_by,) if self.distributed_by else ()
        strangers = [name for name in self.grain + self.replaces + placed if name not in self.column_names]
        if strangers or not set(self.replaces) <= set(self.grain):
            raise SchemaError(f"{self.name}: grain and replaces must be columns, and replaces within the grain")
        if self.partitions != self.replaces[: len(self.partitions)]:
            raise SchemaError(f"{self.name}: partitioned_by must be the first of what it replaces")

    @classmethod
    def of_range(
        cls,
        name: str,
        doc: str,
        keys: tuple[Column, ...],
        measures: tuple[Column, ...],
        forgets: Forgets = "",
    ) -> Table:
        """One of results over the asked range, which are what a run replaces; `keys` tell its rows apart."""
        return cls(
            name=name,
            doc=doc,
            columns=(START_DATE, END_DATE, *keys, *measures),
            grain=("start_date", "end_date", *(key.name for key in keys)),
            replaces=("start_date", "end_date"),
            forgets=forgets,
        )

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def schema(self) -> T.StructType:
        return T.StructType([T.StructField(column.name, column.data_type) for column in self.columns])

    @property
    def partitions(self) -> tuple[str, ...]:
        """The columns that a store of files has a folder for."""
        return self.replaces if self.partitioned_by is None else self.partitioned_by

    def partitions_of(self, scope: Scope) -> Scope:
        """The partitions of files that hold rows of `scope`, each once."""
        first = dict.fromkeys(tuple(one.items())[: len(self.partitions)] for one in scope)
        return tuple(dict(one) for one in first)

    def scope(
        self, *, pipeline: str, asked: DateRange, days: Iterable[date], extract_dates: Iterable[date] = ()
    ) -> Scope:
        """The part of this table that a run of `pipeline` over `asked`, working on `days`, replaces.

        `extract_dates` are the days as of which its extracts were made.
        """
        of_range: Partition = {"start_date": asked.start, "end_date": asked.end}
        match self.replaces:
            case ():
                return ({},)
            case ("start_date", "end_date"):
                return (of_range,)
            case ("extract_date",):
                return tuple({"extract_date": day} for day in extract_dates)
            case ("extract_date", "start_date", "end_date"):
                return tuple({"extract_date": day, **of_range} for day in extract_dates)
            case ("pipeline", day_column):
                return tuple({"pipeline": pipeline, day_column: day} for day in days)
            case (day_column,):
                return tuple({day_column: day} for day in days)
        raise SchemaError(f"{self.name}: nothing is known of a write that replaces {self.replaces}")

    def over(self, asked: DateRange, df: DataFrame) -> DataFrame:
        """The rows of `df` as results over the asked range: start_date and end_date, and this table's other columns."""
        of_range = {START_DATE.name: F.lit(asked.start), END_DATE.name: F.lit(asked.end)}
        return df.withColumns(of_range).select(*self.column_names)

    def in_files(self, df: DataFrame) -> DataFrame:
        """The same rows as a store of files writes them: each partition by one task, sorted by the key."""
        rows = df.repartition(*self.partitions) if self.partitions else df.coalesce(1)
        return rows.sortWithinPartitions(*self.grain)

    def conform(self, df: DataFrame) -> DataFrame:
        """The same rows with exactly this table's columns, in order and cast.

        Raises SchemaError at once for a missing or surplus column or a type that only a guess would convert; a value
        that does not fit (null where none may be, text too long, a number out of bounds) fails the job that reads it.
        """
        found, wanted = set(df.columns), set(self.column_names)
        if found != wanted or len(df.columns) != len(found):
            raise SchemaError(
                f"{self.name}: missing columns {sorted(wanted - found)}, surplus columns {sorted(found - wanted)}"
            )
        for column in self.columns:
            if not _converts(df.schema[column.name].dataType, column.data_type):
                raise SchemaError(
                    f"{self.name}.{column.name}: {df.schema[column.name].dataType.simpleString()} is not {column.type}"
                )
        return df.select(*(self._conformed(column) for column in self.columns))

    def _conformed(self, column: Column) -> SparkColumn:
        value = F.col(column.name).cast(column.data_type)
        if column.length:
            long = F.length(column.name) > column.length
            value = F.when(long, self._refuse(column, f"is longer than {column.length} characters")).otherwise(value)
        if not column.nullable:
            value = F.coalesce(value, self._refuse(column, "is null"))
        return value.alias(column.name)

    def _refuse(self, column: Column, why: str) -> SparkColumn:
        return F.raise_error(F.lit(f"{self.name}.{column.name} {why}")).cast(column.data_type)


def date_pattern(column: Column) -> str:
    """How the value of a DATE or a TIMESTAMP column is written as text, as Spark's patterns have it."""
    return "yyyy-MM-dd" + (" HH:mm:ss.SSSSSS" if column.type == "TIMESTAMP" else "")


def condition(scope: Scope) -> str:
    """An SQL condition that holds for the rows of `scope`.

    One IN list for all partitions that differ in their last column only: a year of days is one flat condition.
    """
    last_values: dict[tuple[str, ...], list[str]] = {}
    for partition in scope:
        if not partition:
            return "true"
        *leading, (last, value) = partition.items()
        alike = (*(f"{name} = {_literal(constant)}" for name, constant in leading), f"{last} IN")
        last_values.setdefault(alike, []).append(_literal(value))
    groups = (f"({' AND '.join(alike)} ({', '.join(values)}))" for alike, values in last_values.items())
    return " OR ".join(groups) or "false"


def _literal(value: date | str) -> str:
    if isinstance(value, date):
        return f"DATE'{value}'"
    if not re.fullmatch(r"[\w.-]+", value):
        raise SchemaError(f"'{value}' cannot be a partition's name")
    return f"'{value}'"


def _converts(found: T.DataType, wanted: T.DataType) -> bool:
    exact = (T.IntegralType, T.DecimalType)
    return (
        found == wanted
        or isinstance(found, T.NullType)
        or (isinstance(found, exact) and isinstance(wanted, exact))
        or (isinstance(found, T.NumericType) and isinstance(wanted, T.DoubleType))
    )
