"""Warehouses: tables in a database that analysts query. What stands here is alike in all of them.

Rows go into a staging table of this load alone, are counted and summed there, and then take the place of the scope in
one transaction, which also writes a row to the ledger. A reader finds what was there before, or all of this load.
"""

from __future__ import annotations

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any, Protocol

import pyspark.sql.functions as F
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame

from etl_spark.config import Credentials
from etl_spark.core.errors import EtlError, SchemaError, UsageError
from etl_spark.core.forget import Customer, is_merged, named_by, unknown_in
from etl_spark.core.sinks import MySqlSink, RedshiftSink
from etl_spark.core.table import Column, Scope, Table, condition, date_pattern
from etl_spark.stores.ddl import Ddl, Found, literal
from etl_spark.stores.jdbc import dates_as_text, failure

LEDGER = Table(
    name="etl_load",
    doc="One row per load of a table that was completed.",
    columns=(
        Column("load_id", "VARCHAR(32)", "the load: it stands here if, and only if, its rows are in the table"),
        Column("run_id", "VARCHAR(64)", "the run whose rows they are"),
        Column("table_name", "VARCHAR(64)", "the table that was loaded"),
        Column("replaced", "VARCHAR(1000)", "which of its rows the load replaced, as a condition; cut where long"),
        Column("row_count", "BIGINT", "rows that the load brought"),
        Column("loaded_at", "TIMESTAMP", "when the load was completed, in UTC, by the warehouse's clock"),
    ),
    grain=("load_id",),
    replaces=(),
)

STAGING = "etl_staging_"
"""What the names of staging tables begin with."""

_ATTEMPTS = 3
_SWAPS = 6
"""Attempts at a swap, over half a minute: a server that is started again is back by then."""


class ConnectionLostError(Exception):
    """The database went away, or gave up in favour of another transaction: nobody knows yet what it still did."""


class UnreachableError(EtlError):
    """There is no connection to be had."""


class Session(Protocol):
    """A connection. Each statement is a transaction of its own, but between `begin` and `commit`."""

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows that `sql` returns, if any. Raises ConnectionLostError."""

    def begin(self) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None:
        """Ends it; what was not committed is as if it had not been."""


@dataclass(frozen=True, eq=False)
class Figure:
    """Something that must be the same in the lake and in staging; both as text, or as numbers."""

    name: str
    in_spark: SparkColumn
    in_sql: str


@dataclass(frozen=True)
class Load:
    """One load of one table: the rows that take the place of `scope`, and the figures that staging must have."""

    id: str
    df: DataFrame
    table: Table
    scope: Scope
    expected: Mapping[Figure, Any]

    @property
    def staging(self) -> str:
        return f"{STAGING}{self.id}"

    @property
    def row_count(self) -> int:
        return next(int(value) for figure, value in self.expected.items() if figure.name == "rows")


class Warehouse(ABC):
    """A store. `run_id` names the run in the ledger."""

    ddl: Ddl
    now: str
    """The clock, in UTC, as an SQL expression."""
    tables_at_once = 1
    """Dimensions come before the facts that refer to them."""

    def __init__(self, sink: MySqlSink | RedshiftSink, credentials: Credentials, run_id: str) -> None:
        self._sink, self._credentials, self._run_id = sink, credentials, run_id
        self._database = sink.database
        self.place = self._database.place

    # What the warehouses do in ways of their own.

    @abstractmethod
    def connect(self) -> Session:
        """A new connection. Raises UnreachableError, without a secret."""

    @abstractmethod
    def found(self, session: Session, table: str) -> tuple[Sequence[Found], Sequence[str]] | None:
        """The columns and the primary key of a table that is there, None where it is not."""

    @abstractmethod
    def stage(self, df: DataFrame, table: Table, staging: str) -> None:
        """Appends `df` to the table `staging`. May fail, and may leave rows there then."""

    @abstractmethod
    def begin_alone(self, session: Session, table: Table) -> None:
        """Begins a transaction, once no other load is replacing rows of `table`; none will until the session ends."""

    @abstractmethod
    def staging_tables(self, session: Session) -> list[str]:
        """The names of all staging tables."""

    @abstractmethod
    def wait_at_most(self, session: Session, seconds: int) -> None:
        """From here on, a statement that waits longer for another transaction raises ConnectionLostError."""

    @abstractmethod
    def verify_references(self, session: Session, table: Table) -> None:
        """Raises EtlError where a foreign key, which users may have added, would not hold; asked before the commit."""

    @abstractmethod
    def text_bytes(self, sql: str) -> str:
        """An SQL expression for the number of bytes of a text, in UTF-8."""

    @abstractmethod
    def as_text(self, sql: str, type_name: str) -> str:
        """An SQL expression for the text of a DATE or a TIMESTAMP, as date_pattern() has it."""

    # What they may do in ways of their own.

    def unsuitable(self, column: Column) -> Mapping[str, SparkColumn]:
        """Conditions that hold for values which this warehouse cannot hold, by words for what is wrong with them."""
        unsuitable = {}
        if column.type == "DOUBLE":
            infinite = F.col(column.name).isin(float("inf"), float("-inf"))
            unsuitable[f"{column.name} cannot hold"] = F.isnan(column.name) | infinite
        if column.length:
            long = F.length(column.name) > column.length
            unsuitable[f"{column.name} holds {column.length} characters, not"] = long
        return unsuitable

    def in_staging(self, column: Column) -> Column:
        """`column` as staging tables have it; rows are cast on their way into the table."""
        return column

    def discard(self, session: Session, staging: str) -> None:
        """Drops the table `staging`, with what else there is of its load."""
        session.run(f"DROP TABLE IF EXISTS {self.ddl.quoted(staging)}")

    # What is alike.

    def append(self, df: DataFrame, table: Table, staging: str, options: Mapping[str, str]) -> None:
        """Appends `df` to `staging` by Spark's JDBC writer, each of its partitions in a transaction of its own."""
        rows = dates_as_text(self.in_order(df, table), table)
        target = {"dbtable": self.ddl.quoted(staging), "batchsize": str(self._sink.batch_size)}
        try:
            rows.write.format("jdbc").mode("append").options(**options, **target).save()
        except (Py4JJavaError, PySparkException) as error:
            raise self.failure(error, table) from None

    def in_order(self, df: DataFrame, table: Table) -> DataFrame:
        """`df` in a part for each connection, in the order of the key.

        In that order rows go on from staging into the table, where a page that was written is not read again then: in
        any other, a table larger than the server's memory takes ten times as long.
        """
        return df.repartitionByRange(self._sink.connections, *table.grain).sortWithinPartitions(*table.grain)

    def failure(self, error: Py4JJavaError | PySparkException, table: Table) -> EtlError:
        """What is to be said of an `error` of Spark's while `table` was staged."""
        return failure(
            error, f"{self.place}: {table.name} was not loaded", self._sink.package, self._credentials.password
        )

    def verify(self) -> None:
        """Raises EtlError where a load could not even begin."""
        self.connect().close()

    def write(self, df: DataFrame, table: Table, scope: Scope) -> None:
        """Replaces the rows of `scope` by `df`. Raises EtlError, naming table and column, for what does not fit."""
        if not scope:
            return
        load = self._load(df.select(*table.column_names), table, scope)
        try:
            with self.session() as session:
                self.prepare(session, table)
                self.prepare(session, LEDGER)
                self._sweep(session)
                with self._staged(session, load):
                    self._swap(load)
        except ConnectionLostError as lost:
            raise EtlError(f"{self.place}: {table.name} was not loaded: {lost}: run again") from lost

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A connection that ends when this does."""
        session = self.connect()
        try:
            yield session
        finally:
            session.close()

    def prepare(self, session: Session, table: Table) -> None:
        """Makes a missing table. One that is there is left as it is: a difference is for its owner to mend."""
        found = self.found(session, table.name)
        if found is None:
            for statement in self.ddl.create(table):
                session.run(statement)
            return
        differences = self.ddl.differences(table, *found)
        if differences:
            said = "; ".join(f"{table.name} {one.what}: {one.mend}" for one in differences)
            raise SchemaError(f"{self.place} is not as this version defines it, nothing was loaded: {said}")

    def verify_forgetful(self, tables: Iterable[Table]) -> None:
        """Raises UsageError where forget() could not do with one of `tables` what it must."""
        with self.session() as session:
            for table in tables:
                if is_merged(table) and self.found(session, table.name):
                    raise UsageError(
                        f"{self.place} has {table.name}, of which a customer is forgotten in the lake and in files "
                        "alone: drop it there first, and publish it again afterwards"
                    )

    def forget(self, table: Table, customer: Customer) -> int:
        """Removes what `table` forgets of the customer, in one transaction. Returns how many rows named the customer.

        A table that is not there has none.
        """
        values = {name: _sql(value) for name, value in named_by(table, customer).items()}
        is_named = " OR ".join(f"{self.ddl.quoted(name)} = {value}" for name, value in values.items())
        target = self.ddl.quoted(table.name)
        change = f"DELETE FROM {target}"
        if table.forgets == "customer":
            column, unknown = unknown_in(table)
            change = f"UPDATE {target} SET {self.ddl.quoted(column)} = {_sql(unknown)}"
        try:
            with self.session() as session:
                if self.found(session, table.name) is None:
                    return 0
                self.prepare(session, LEDGER)
                self.begin_alone(session, table)
                ((count,),) = session.run(f"SELECT COUNT(*) FROM {target} WHERE {is_named}")
                if count:
                    session.run(f"{change} WHERE {is_named}")
                    self.verify_references(session, table)
                session.commit()
        except ConnectionLostError as lost:
            raise EtlError(f"{self.place}: whether {table.name} was changed is not known: {lost}: run again") from lost
        return int(count)

    def _sweep(self, session: Session) -> None:
        """Drops staging of loads that are dead: a live one holds its own by a transaction that has read from it."""
        for staging in self.staging_tables(session):
            with suppress(ConnectionLostError), self.session() as own:
                self.wait_at_most(own, 1)
                self.discard(own, staging)

    def _figures(self, table: Table) -> tuple[Figure, ...]:
        """The number of rows, and for each column of its values, and of what they add up to or lie between."""
        figures = [Figure("rows", F.count(F.lit(1)), "COUNT(*)")]
        for column in table.columns:
            spark, sql = F.col(column.name), self._from_staging(column)
            figures.append(Figure(f"count of {column.name}", F.count(spark), f"COUNT({sql})"))
            match column.type:
                case "DATE" | "TIMESTAMP":
                    # Text of the two values alone, and not of each row's.
                    for which, end, function in (("first", F.min(spark), "MIN"), ("last", F.max(spark), "MAX")):
                        text = self.as_text(f"{function}({sql})", column.type)
                        figures.append(Figure(f"{which} {column.name}", F.date_format(end, date_pattern(column)), text))
                case "BOOLEAN":
                    figures.append(
                        Figure(f"true {column.name}", F.count(F.when(spark, 1)), f"COUNT(CASE WHEN {sql} THEN 1 END)")
                    )
                case "DOUBLE" | "BINARY":
                    pass
                case _ if column.length:
                    size = F.sum(F.octet_length(spark))
                    figures.append(Figure(f"bytes of {column.name}", size, f"SUM({self.text_bytes(sql)})"))
                case _:
                    exact = spark.cast("decimal(38,0)") if column.type in ("INT", "BIGINT") else spark
                    figures.append(Figure(f"sum of {column.name}", F.sum(exact), f"SUM({sql})"))
        return tuple(figures)

    def _from_staging(self, column: Column) -> str:
        """An SQL expression for the value that a row of a staging table has for `column`."""
        name = self.ddl.quoted(column.name)
        return name if self.in_staging(column) == column else f"CAST({name} AS {self.ddl.type_of(column)})"

    def _load(self, df: DataFrame, table: Table, scope: Scope) -> Load:
        """What is to be loaded, counted. Raises SchemaError, with an example, for a row that cannot be loaded."""
        refused = {"a row outside of what is to be replaced,": (~F.expr(condition(scope)), table.grain[0])}
        for column in table.columns:
            # The first characters of an example are enough.
            shown = f"left({column.name}, 60)" if column.length else column.name
            refused |= {what: (bad, shown) for what, bad in self.unsuitable(column).items()}
        figures = self._figures(table)
        is_bad = reduce(or_, (bad for bad, _ in refused.values()))
        (row,) = df.agg(*(figure.in_spark for figure in figures), F.max(is_bad)).collect()
        if row[-1]:
            # Asked for only where there is one: an example of each kind takes as long as all figures.
            examples = [F.max(F.when(bad, F.expr(shown).cast("string"))) for bad, shown in refused.values()]
            (found,) = df.agg(*examples).collect()
            what, example = next(pair for pair in zip(refused, found, strict=True) if pair[1] is not None)
            raise SchemaError(f"{self.place}: {table.name} was not loaded: {what} {example!r}")
        return Load(uuid.uuid4().hex, df, table, scope, dict(zip(figures, row[:-1], strict=True)))

    @contextmanager
    def _staged(self, session: Session, load: Load) -> Iterator[None]:
        """While this lasts, the staging table holds the rows of the load, each once; afterwards it is gone."""
        try:
            self._make_staging(session, load)
            if load.row_count:
                self.stage(load.df, load.table, load.staging)
            with self.session() as other:
                self._compare(other, load)
            yield
        finally:
            session.close()
            # What cannot be dropped now is dropped by the next load.
            with suppress(ConnectionLostError, EtlError), self.session() as other:
                self.discard(other, load.staging)

    def _make_staging(self, session: Session, load: Load) -> None:
        """Makes the staging table, and holds it: while the transaction is open, no other load can drop it."""
        for attempt in range(1, _ATTEMPTS + 1):
            columns = tuple(map(self.in_staging, load.table.columns))
            session.run(self.ddl.create_staging(replace(load.table, columns=columns), load.staging))
            session.begin()
            try:
                session.run(f"SELECT 1 FROM {self.ddl.quoted(load.staging)} WHERE 1 = 0")
                return
            except EtlError:
                # Another load came in between, found a table that nobody held, and dropped it.
                if attempt == _ATTEMPTS:
                    raise
                session.rollback()

    def _compare(self, session: Session, load: Load) -> None:
        """Raises EtlError where staging holds anything but what was sent: a task that was tried twice, a lost batch."""
        asked = ", ".join(figure.in_sql for figure in load.expected)
        (found,) = session.run(f"SELECT {asked} FROM {self.ddl.quoted(load.staging)}")
        for (figure, expected), value in zip(load.expected.items(), found, strict=True):
            if _plain(value) != _plain(expected):
                raise EtlError(
                    f"{self.place}: {load.table.name} was not loaded, its staging table has other {figure.name} than "
                    f"the lake, {value} and not {expected}: run again"
                )

    def _swap(self, load: Load) -> None:
        for attempt in range(1, _SWAPS + 1):
            try:
                with self.session() as session:
                    self._replace(session, load)
                return
            except (ConnectionLostError, UnreachableError) as lost:
                # The answer to COMMIT may be what was lost: the next attempt asks the ledger.
                if attempt == _SWAPS:
                    what = f"{self.place}: whether {load.table.name} was loaded is not known"
                    raise EtlError(f"{what}: {lost}: run again") from lost
                time.sleep(2 ** (attempt - 1))

    def _replace(self, session: Session, load: Load) -> None:
        target, ledger, columns = (
            self.ddl.quoted(load.table.name),
            self.ddl.quoted(LEDGER.name),
            self.ddl.listed(load.table.column_names),
        )
        self.begin_alone(session, load.table)
        if session.run(f"SELECT 1 FROM {ledger} WHERE load_id = '{load.id}'"):
            return
        replaced, staged = condition(load.scope), ", ".join(map(self._from_staging, load.table.columns))
        session.run(f"DELETE FROM {target} WHERE {replaced}")
        session.run(f"INSERT INTO {target} ({columns}) SELECT {staged} FROM {self.ddl.quoted(load.staging)}")
        self.verify_references(session, load.table)
        shown = replaced[:1000].replace("'", "''")
        session.run(
            f"INSERT INTO {ledger} ({self.ddl.listed(LEDGER.column_names)}) VALUES "
            f"('{load.id}', '{self._run_id}', '{load.table.name}', '{shown}', {load.row_count}, {self.now})"
        )
        session.commit()


def _sql(value: str | int | None) -> str:
    return "NULL" if value is None else literal(value) if isinstance(value, str) else str(value)


def _plain(value: Any) -> Any:
    """Numbers of all kinds by their value, nothing and zero alike: what adds up to nothing is null in SQL."""
    if value is None:
        return Decimal(0)
    return value if isinstance(value, str) else Decimal(str(value))
