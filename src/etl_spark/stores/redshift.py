"""Amazon Redshift: by COPY from S3, or through its JDBC driver. Statements go through the driver in Spark's JVM."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyspark.sql.functions as F
from py4j.java_gateway import is_instance_of
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, SparkSession

from etl_spark.config import Credentials
from etl_spark.core.errors import EngineError, EtlError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.sinks import RedshiftSink
from etl_spark.core.table import Column, Table
from etl_spark.stores.ddl import Found, RedshiftDdl
from etl_spark.stores.files import CSV_OPTIONS
from etl_spark.stores.jdbc import connect_in_java, dates_as_text
from etl_spark.stores.warehouse import LEDGER, STAGING, ConnectionLostError, Session, UnreachableError, Warehouse

_MOST_PARAMETERS = 32_767
"""The most values that one statement may have."""


class _WaitedTooLongError(ConnectionLostError):
    """The statement took longer than it was allowed to."""


class RedshiftSession:
    """A connection of the JVM that runs the job; `gateway` leads there."""

    def __init__(self, connection: Any, gateway: Any) -> None:
        self._connection, self._gateway = connection, gateway

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            statement = self._connection.createStatement()
            statement.setEscapeProcessing(False)
            rows = []
            if statement.execute(sql):
                found = statement.getResultSet()
                columns = range(1, found.getMetaData().getColumnCount() + 1)
                while found.next():
                    rows.append(tuple(found.getObject(column) for column in columns))
            statement.close()
        except Py4JJavaError as error:
            raise _plain_error(error, self._gateway) from None
        return rows

    def begin(self) -> None:
        self._connection.setAutoCommit(False)

    def commit(self) -> None:
        self._end(self._connection.commit)

    def rollback(self) -> None:
        self._end(self._connection.rollback)

    def _end(self, transaction: Callable[[], object]) -> None:
        try:
            transaction()
            self._connection.setAutoCommit(True)
        except Py4JJavaError as error:
            raise _plain_error(error, self._gateway) from None

    def close(self) -> None:
        # Of a server that is gone there is nothing to take leave of.
        with suppress(Py4JJavaError):
            self._connection.close()


class Redshift(Warehouse):
    _sink: RedshiftSink
    ddl = RedshiftDdl()
    now = "SYSDATE"

    def __init__(self, sink: RedshiftSink, credentials: Credentials, run_id: str, spark: SparkSession) -> None:
        super().__init__(sink, credentials, run_id)
        self._spark = spark
        self._temporary = FileSystem(spark, sink.temporary, EtlError) if sink.way == "copy" else None

    def connect(self) -> Session:
        gateway = self._spark.sparkContext._gateway
        try:
            session = RedshiftSession(connect_in_java(self._spark, self._options()), gateway)
        except Py4JJavaError as error:
            if is_instance_of(gateway, error.java_exception, "java.lang.ClassNotFoundException"):
                raise EngineError(f"Redshift's driver is missing: add --packages {self._sink.package}") from None
            raise UnreachableError(f"cannot connect to {self.place}: {_said(error)}") from None
        try:
            session.run("SET timezone TO 'UTC'")
        except ConnectionLostError as lost:
            raise UnreachableError(f"cannot connect to {self.place}: {lost}") from None
        return session

    def verify(self) -> None:
        super().verify()
        if self._temporary:
            trial = self._temporary.path(f"{STAGING}trial")
            self._temporary.write_text(trial, "")
            self._temporary.remove(trial)

    def _options(self) -> dict[str, str]:
        """Spark's options for the driver; Spark shows none that is named password."""
        given = dict(self._database.options)
        mode = given.pop("sslmode", "disable" if self._database.is_local else "verify-full")
        tls = {"ssl": "false"} if mode == "disable" else {"ssl": "true", "sslmode": mode}
        return {
            "connectTimeout": "10",
            # The driver would put the rows of a statement that fails into its message.
            "logServerErrorDetail": "false",
            # With it, closing a statement can cancel the one after it.
            "enableFetchRingBuffer": "false",
            **given,
            **tls,
            "url": self._database.place,
            "driver": self._database.dialect.driver,
            "user": self._credentials.user,
            "password": self._credentials.password,
        }

    def found(self, session: Session, table: str) -> tuple[Sequence[Found], Sequence[str]] | None:
        columns = session.run(
            "SELECT column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, is_nullable "
            "FROM information_schema.columns "
            f"WHERE table_schema = current_schema() AND table_name = '{table}' ORDER BY ordinal_position"
        )
        key = session.run(
            "SELECT k.column_name FROM information_schema.key_column_usage k "
            "JOIN information_schema.table_constraints c ON c.constraint_schema = k.constraint_schema "
            "AND c.constraint_name = k.constraint_name AND c.table_name = k.table_name "
            f"WHERE k.table_schema = current_schema() AND k.table_name = '{table}' "
            "AND c.constraint_type = 'PRIMARY KEY' ORDER BY k.ordinal_position"
        )
        if not columns:
            return None
        return (
            [Found(name, self.ddl.found_type(*parts), nullable == "YES") for name, *parts, nullable in columns],
            [name for (name,) in key],
        )

    def stage(self, df: DataFrame, table: Table, staging: str) -> None:
        if self._temporary:
            self._copy(self._upload(df, table, self._temporary, staging), staging)
        else:
            # A statement of many rows: each one costs Redshift the same, whatever it brings.
            rows = 1 << (min(_MOST_PARAMETERS // len(table.columns), self._sink.batch_size).bit_length() - 1)
            rewritten = {"reWriteBatchedInserts": "true", "reWriteBatchedInsertsSize": str(rows)}
            self.append(df, table, staging, self._options() | rewritten)

    def _upload(self, df: DataFrame, table: Table, temporary: FileSystem, staging: str) -> str:
        """Puts `df` into S3, and returns where the manifest is that names its files, each with its length."""
        folder = temporary.path(staging, "data")
        rows = df.repartition(self._sink.connections)
        try:
            if self._sink.format == "csv":
                texts = {one.name: F.hex(one.name) for one in table.columns if one.type == "BINARY"}
                dates_as_text(rows, table).withColumns(texts).write.options(**CSV_OPTIONS).option("header", False).csv(
                    folder
                )
            else:
                rows.write.parquet(folder)
        except (Py4JJavaError, PySparkException) as error:
            raise self.failure(error, table) from None
        entries = [
            {"url": _for_copy(file.path), "mandatory": True, "meta": {"content_length": file.size_bytes}}
            for file in temporary.files(folder)
            if file.size_bytes
        ]
        manifest = temporary.path(staging, "manifest")
        temporary.write_text(manifest, json.dumps({"entries": entries}))
        return manifest

    def _copy(self, manifest: str, staging: str) -> None:
        sink = self._sink
        role = "default" if sink.iam_role == "default" else f"'{sink.iam_role}'"
        region = f" REGION '{sink.region}'" if sink.region else ""
        form = "PARQUET" if sink.format == "parquet" else "CSV DELIMITER ',' NULL AS ''"
        with self.session() as session:
            session.run(
                f"COPY {self.ddl.quoted(staging)} FROM '{_for_copy(manifest)}' IAM_ROLE {role}{region} "
                f"FORMAT AS {form} MANIFEST"
            )

    def begin_alone(self, session: Session, table: Table) -> None:
        self.wait_at_most(session, self._sink.lock_seconds)
        session.begin()
        # The first statement, so that all others see what the load before has committed. Of the ledger, which every
        # load writes, and not of the table, which analysts go on reading.
        try:
            session.run(f"LOCK TABLE {self.ddl.quoted(LEDGER.name)}")
        except _WaitedTooLongError:
            raise EtlError(f"{self.place}: another run is loading, {table.name} has to wait for it to end") from None
        session.run("RESET statement_timeout")

    def wait_at_most(self, session: Session, seconds: int) -> None:
        session.run(f"SET statement_timeout TO {seconds * 1000}")

    def verify_references(self, session: Session, table: Table) -> None:
        """Redshift enforces no foreign key."""

    def staging_tables(self, session: Session) -> list[str]:
        pattern = STAGING.replace("_", "!_")
        return [
            name
            for (name,) in session.run(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() "
                f"AND table_name LIKE '{pattern}%' ESCAPE '!'"
            )
        ]

    def in_staging(self, column: Column) -> Column:
        # What comes through the driver comes as text, which Redshift does not take for a date by itself.
        is_text = self._sink.way == "jdbc" and column.type in ("DATE", "TIMESTAMP")
        return replace(column, type="VARCHAR(26)") if is_text else column

    def discard(self, session: Session, staging: str) -> None:
        # As long as the table is there, the next load knows that there may be objects.
        session.begin()
        super().discard(session, staging)
        if self._temporary:
            self._temporary.remove(self._temporary.path(staging))
        session.commit()

    def unsuitable(self, column: Column) -> Mapping[str, SparkColumn]:
        unsuitable = dict(super().unsuitable(column))
        if column.length:
            text, most = F.col(column.name), self.ddl.bytes_of(column)
            unsuitable[f"{column.name} holds {most} bytes, not"] = F.octet_length(text) > most
            refused = F.instr(text, "\0") > 0
            if self._sink.format == "csv":
                # An empty field is NULL there.
                refused = refused | (text == "")
            unsuitable[f"{column.name} cannot hold"] = refused
        return unsuitable

    def text_bytes(self, sql: str) -> str:
        return f"OCTET_LENGTH({sql})"

    def as_text(self, sql: str, type_name: str) -> str:
        return f"TO_CHAR({sql}, '{'YYYY-MM-DD' if type_name == 'DATE' else 'YYYY-MM-DD HH24:MI:SS.US'}')"


def _for_copy(path: str) -> str:
    """`path` with the scheme that Redshift knows S3 by."""
    return "s3://" + path.partition("://")[2]


def _plain_error(error: Py4JJavaError, gateway: Any) -> Exception:
    state = ""
    if is_instance_of(gateway, error.java_exception, "java.sql.SQLException"):
        state = error.java_exception.getSQLState() or ""
    said = _said(error)
    if state == "57014":
        return _WaitedTooLongError(said)
    # What ends a connection, and what gives up a transaction in favour of another.
    if state.startswith(("08", "57", "40")) or "Serializable isolation violation" in said:
        return ConnectionLostError(said)
    return EtlError(said)


def _said(error: Py4JJavaError) -> str:
    """What the server or the driver said, in a line."""
    said = str(error.java_exception.getMessage() or error.java_exception.toString())
    return " ".join(said.split())
