"""Tables of a database, as text. One row per row of a table, of the asked days where it has days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any

import pyspark.sql.functions as F
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from etl_spark.config import Credentials
from etl_spark.core.database import Database
from etl_spark.core.dates import DateRange
from etl_spark.core.days import SourceFile
from etl_spark.core.errors import EngineError, InputError
from etl_spark.core.extract import MALFORMED, Extract, ExtractFile, Through
from etl_spark.core.settings import JdbcReading

_NUMERIC = {"bigint", "int", "integer", "mediumint", "smallint", "tinyint"}


class JdbcExtracts:
    """The tables of `extracts` in one database. Every value comes as the text that the database has for it.

    So a date that is none (MariaDB's 0000-00-00), or a number too large for Spark, is judged as what it is, where a
    driver would make something else of it.
    """

    def __init__(
        self,
        spark: SparkSession,
        database: Database,
        credentials: Credentials,
        extracts: Sequence[Extract],
        how: JdbcReading,
    ) -> None:
        self._spark, self._database, self._how = spark, database, how
        self.place = database.place
        self._extracts = {extract.name: extract for extract in extracts}
        self._properties = {
            "driver": database.dialect.driver,
            "user": credentials.user,
            "password": credentials.password,
            "sessionInitStatement": database.dialect.session,
            "fetchsize": str(how.fetch_size),
        }

    def find(self, extract: Extract, asked: DateRange) -> tuple[ExtractFile, ...]:
        """The table. Raises InputError, naming table and column, for what is not there."""
        name, types = extract.name, self._types
        if name not in types:
            there = ", ".join(sorted(types)) or "no table"
            raise InputError(f"{self.place} has no table {name}, it has {there}")
        missing = extract.missing_in(tuple(types[name]))
        if missing:
            there = ", ".join(sorted(types[name]))
            raise InputError(f"{self.place}: {name} has no column {', '.join(missing)}, it has {there}")
        return (ExtractFile(SourceFile(asked.end, name, path=name, uri=name, source_table=name)),)

    @cached_property
    def _types(self) -> dict[str, dict[str, str]]:
        """The type of each column of each table in the schema."""
        text = self._database.dialect.text
        found = self._query(
            f"SELECT CAST(table_name AS {text}) AS table_name, CAST(column_name AS {text}) AS column_name, "
            f"CAST(data_type AS {text}) AS data_type FROM information_schema.columns "
            f"WHERE table_schema = {self._database.dialect.schema}"
        )
        types: dict[str, dict[str, str]] = {}
        with self.readable(()):
            for row in found.collect():
                types.setdefault(row.table_name, {})[row.column_name] = row.data_type.lower()
        return types

    def read(self, extract: Extract, files: Sequence[tuple[SourceFile, date]], asked: DateRange) -> DataFrame:
        """The rows of the table: extract_date, file (its name), malformed (null), and its columns as text.

        Rows that tell no day come too: they are judged, and not lost.
        """
        ((table, extract_date),) = files
        quoted, text = self._database.quoted, self._database.dialect.text
        there = self._types[extract.name]
        columns = [
            f"CAST({f't.{quoted(column)}' if column in there else 'NULL'} AS {text}) AS {quoted(column)}"
            for column in extract.column_names
        ]
        stride = self._stride(extract)
        if stride:
            columns.append(f"t.{quoted(stride)} AS stride")
        sql = f"SELECT {', '.join(columns)} FROM {quoted(extract.name)} t WHERE {self._wanted(extract, asked)}"
        rows = self._query(sql, self._slices(extract, stride, asked)) if stride else self._query(sql)
        return rows.select(
            F.lit(extract_date).alias("extract_date"),
            F.lit(table.name).alias("file"),
            F.lit(None).cast("string").alias(MALFORMED),
            *extract.column_names,
        )

    @contextmanager
    def readable(self, files: Sequence[SourceFile]) -> Iterator[None]:
        """Raises InputError for what the database, or the way to it, says; the message has no password."""
        try:
            yield
        except (Py4JJavaError, PySparkException) as error:
            marks = ("java.sql.", "SQLException", self._database.dialect.driver)
            if not any(mark in str(error) for mark in marks):
                raise
            raise jdbc_error(error, self._database, self._properties["password"]) from None

    def _wanted(self, extract: Extract, asked: DateRange) -> str:
        """An SQL condition that holds for the rows `t` of the asked days, of no day, and of those they go with."""
        if extract.is_whole:
            return "1 = 1"
        conditions = []
        if extract.day:
            day = f"t.{self._database.quoted(extract.day)}"
            # MariaDB's 0000-00-00 is before every date.
            conditions.append(f"{self._in_range(day, asked)} OR {day} IS NULL OR {day} < '1000-01-01'")
        for through in extract.through:
            conditions.append(f"EXISTS ({self._related(through, asked)})")
            if not extract.day:
                conditions.append(f"NOT EXISTS ({self._related(through, None)})")
        return " OR ".join(conditions)

    def _related(self, through: Through, asked: DateRange | None) -> str:
        """A query for the rows `p` of another table that `t` goes with, of all days where `asked` is None."""
        parent, quoted = self._extracts[through.extract], self._database.quoted
        column = quoted(through.column)
        is_asked = f" AND {self._in_range(f'p.{quoted(str(parent.day))}', asked)}" if asked else ""
        return f"SELECT 1 FROM {quoted(parent.name)} p WHERE p.{column} = t.{column}{is_asked}"

    def _in_range(self, column: str, days: DateRange) -> str:
        # With a time, or a zone in PostgreSQL, the last day ends where the next one starts; sessions are in UTC.
        return f"({column} >= '{days.start}' AND {column} < '{days.end + timedelta(days=1)}')"

    def _stride(self, extract: Extract) -> str | None:
        """The column along which the table is read in parallel: its key, if that is a number, or its day."""
        if self._how.partitions == 1:
            return None
        (first, *others), types = extract.key, self._types[extract.name]
        if not others and types[first] in _NUMERIC:
            return first
        return extract.day

    def _slices(self, extract: Extract, stride: str, asked: DateRange) -> list[str]:
        """SQL conditions on `stride`, of which one, and only one, holds for each row."""
        if stride == extract.day:
            bounds = [f"'{day}'" for day in asked.days[:: -(-len(asked) // self._how.partitions)][1:]]
        else:
            bounds = self._number_bounds(extract, stride)
        edges = [None, *bounds, None]
        slices = []
        for low, high in pairwise(edges):
            inside = [f"stride >= {low}" if low else "", f"stride < {high}" if high else ""]
            condition = " AND ".join(part for part in inside if part) or "1 = 1"
            slices.append(f"({condition})" if low else f"({condition} OR stride IS NULL)")
        return slices

    def _number_bounds(self, extract: Extract, stride: str) -> list[str]:
        column, table = self._database.quoted(stride), self._database.quoted(extract.name)
        sql = f"SELECT min({column}) AS low, max({column}) AS high, count(*) AS n FROM {table}"
        with self.readable(()):
            bounds: Any = self._query(sql).first()
        if bounds.n <= self._how.fetch_size or bounds.low is None:
            return []
        low, high = int(bounds.low), int(bounds.high)
        step = max((high - low + 1) // self._how.partitions, 1)
        return [str(bound) for bound in range(low + step, high + 1, step)][: self._how.partitions - 1]

    def _query(self, sql: str, slices: Sequence[str] = ("1 = 1",)) -> DataFrame:
        with self.readable(()):
            return self._spark.read.jdbc(
                self._database.url, f"({sql}) q", predicates=list(slices), properties=self._properties
            )


def jdbc_error(error: Exception, database: Database, password: str) -> InputError | EngineError:
    text = str(error.java_exception.getMessage() if isinstance(error, Py4JJavaError) else error)
    if "ClassNotFoundException" in str(error) and database.dialect.driver in str(error):
        return EngineError(f"the driver is not on Spark's class path: add --packages {database.dialect.package}")
    first = text.strip().splitlines()[0]
    if password:
        first = first.replace(password, "***")
    return InputError(f"cannot read from {database.place}: {first}")
