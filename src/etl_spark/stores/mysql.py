"""MySQL and MariaDB: tables of a run in one database, for analysts and for the data mart."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pyspark.sql.functions as F
import sqlalchemy
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, SparkSession
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from etl_spark.config import Credentials
from etl_spark.core.database import mysql_ssl_mode, pymysql_tls
from etl_spark.core.errors import EtlError
from etl_spark.core.sinks import MySqlSink
from etl_spark.core.table import Column, Table
from etl_spark.stores.ddl import Found, MySqlDdl
from etl_spark.stores.jdbc import connect_in_java, dates_as_text
from etl_spark.stores.warehouse import STAGING, ConnectionLostError, Session, UnreachableError, Warehouse

STRICT = "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
"""Without it MariaDB and MySQL store what fits of a value, and say nothing."""

LOADING_RIGHTS = ("SELECT", "INSERT", "DELETE", "CREATE", "DROP")
"""What the user must be granted on the database, to load tables."""

_LOST = frozenset({1053, 1205, 1213, 1317, 1927, 2002, 2003, 2006, 2013, 2055, 4031})
"""The numbers of errors that end a connection, or a transaction in favour of another."""

_ESCAPES = {"\t": "t", "\n": "n", "\r": "r", "\0": "0"}
"""What stands behind a backslash for a character, in a file for LOAD DATA."""

_SSL_MODES = {"disable": "DISABLED", "trust": "REQUIRED", "verify-ca": "VERIFY_CA", "verify-full": "VERIFY_IDENTITY"}
"""MariaDB's words for what to ask of a server's certificate, and MySQL's."""


class MySqlSession:
    """A connection of the process that runs the job."""

    def __init__(self, connection: sqlalchemy.Connection) -> None:
        self._connection = connection

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            result = self._connection.exec_driver_sql(sql)
            return [tuple(row) for row in result] if result.returns_rows else []
        except DBAPIError as error:
            raise _plain_error(error) from None

    def begin(self) -> None:
        self.run("START TRANSACTION")

    def commit(self) -> None:
        self.run("COMMIT")

    def rollback(self) -> None:
        self.run("ROLLBACK")

    def close(self) -> None:
        # Closed, not rolled back: a server that is gone would be asked for an answer, and the end of the connection
        # undoes what was not committed.
        if not self._connection.closed:
            self._connection.invalidate()
            self._connection.close()


class MySql(Warehouse):
    _sink: MySqlSink
    ddl = MySqlDdl()
    now = "UTC_TIMESTAMP(6)"

    def __init__(self, sink: MySqlSink, credentials: Credentials, run_id: str) -> None:
        super().__init__(sink, credentials, run_id)
        self._engine = sqlalchemy.create_engine(
            sqlalchemy.URL.create(
                "mysql+pymysql",
                credentials.user,
                credentials.password,
                self._database.host.strip("[]"),
                self._database.port,
                self._database.name,
                {"charset": "utf8mb4"},
            ),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
            connect_args={
                **pymysql_tls(self._database),
                "init_command": f"SET sql_mode = '{STRICT}', time_zone = '+00:00'",
                "connect_timeout": 10,
            },
        )

    def connect(self) -> Session:
        try:
            return MySqlSession(self._engine.connect().execution_options(no_parameters=True))
        except DBAPIError as error:
            raise UnreachableError(f"cannot connect to {self.place}: {_said(error)}") from None

    def found(self, session: Session, table: str) -> tuple[Sequence[Found], Sequence[str]] | None:
        columns = session.run(
            "SELECT column_name, column_type, collation_name, is_nullable FROM information_schema.columns "
            f"WHERE table_schema = DATABASE() AND table_name = '{table}' ORDER BY ordinal_position"
        )
        key = session.run(
            "SELECT column_name FROM information_schema.key_column_usage WHERE table_schema = DATABASE() "
            f"AND table_name = '{table}' AND constraint_name = 'PRIMARY' ORDER BY ordinal_position"
        )
        if not columns:
            return None
        return (
            [
                Found(name, self.ddl.found_type(_text(kind), collation), nullable == "YES")
                for name, kind, collation, nullable in columns
            ],
            [name for (name,) in key],
        )

    def stage(self, df: DataFrame, table: Table, staging: str) -> None:
        if self._takes_files(df.sparkSession):
            with tempfile.TemporaryDirectory(prefix="etl_spark-") as folder:
                self._load_files(df, table, staging, Path(folder) / "rows")
        else:
            self.append(df, table, staging, self._options())

    def _takes_files(self, spark: SparkSession) -> bool:
        """Whether rows can go there as files: half the time of the fastest INSERT.

        The files of executors on other machines are not here, and Connector/J would send the server any file. MariaDB's
        driver compares the path that the server asks for with the one in the statement, and knows no escapes in it.
        """
        is_local = str(spark.sparkContext.master).startswith("local[")
        if self._sink.driver != "mariadb" or not is_local or set("'\\") & set(tempfile.gettempdir()):
            return False
        with self.session() as session:
            ((allowed,),) = session.run("SELECT @@GLOBAL.local_infile")
        return bool(allowed)

    def _load_files(self, df: DataFrame, table: Table, staging: str, folder: Path) -> None:
        """Writes `df` into files in `folder`, as LOAD DATA reads them, and loads these side by side."""
        values = [_in_file(column) for column in table.columns]
        lines = dates_as_text(self.in_order(df, table), table).select(F.concat_ws("\t", *values))
        try:
            lines.write.text(folder.as_uri())
            with ThreadPoolExecutor(self._sink.connections) as pool:
                load = partial(self._load_file, df.sparkSession, table, staging)
                list(pool.map(load, sorted(folder.glob("part-*"))))
        except (Py4JJavaError, PySparkException) as error:
            raise self.failure(error, table) from None

    def _load_file(self, spark: SparkSession, table: Table, staging: str, file: Path) -> None:
        """By the driver of the JVM, which sends the server this file, and no other that it may ask for."""
        kept = {column.name for column in table.columns if column.type == "BINARY"}
        names = ", ".join(f"@{name}" if name in kept else self.ddl.quoted(name) for name in table.column_names)
        unhexed = ", ".join(f"{self.ddl.quoted(name)} = UNHEX(@{name})" for name in kept)
        connection = connect_in_java(spark, {**self._options(), "allowLocalInfile": "true"})
        try:
            statement = connection.createStatement()
            statement.execute(
                f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE {self.ddl.quoted(staging)} CHARACTER SET utf8mb4 "
                f"({names}){f' SET {unhexed}' if unhexed else ''}"
            )
            # With LOCAL, the server only warns of a value that it has changed.
            warning = statement.getWarnings()
            if warning is not None:
                raise EtlError(f"{self.place}: {table.name} was not loaded: {warning.getMessage()}")
        finally:
            connection.close()

    def _options(self) -> dict[str, str]:
        """Spark's options for the driver; Spark shows none that is named password."""
        session = f"sql_mode='{STRICT}',time_zone='+00:00',foreign_key_checks=0"
        given = dict(self._database.options)
        if self._sink.driver == "mariadb":
            driver, options = "org.mariadb.jdbc.Driver", {"useBulkStmts": "true"}
            options["sslMode"] = mysql_ssl_mode(self._database)
        else:
            driver, options = "com.mysql.cj.jdbc.Driver", {"rewriteBatchedStatements": "true"}
            options["sslMode"] = _SSL_MODES[mysql_ssl_mode(self._database)]
        return {
            **given,
            **options,
            "sessionVariables": session,
            # By the part behind the place MariaDB's driver knows that this kind of URL is its own.
            "url": f"{self._database.place}?permitMysqlScheme=true",
            "driver": driver,
            "user": self._credentials.user,
            "password": self._credentials.password,
        }

    def begin_alone(self, session: Session, table: Table) -> None:
        session.begin()
        # By the server, since a name is its own: a database of another name may have a table of the same.
        name = f"SHA2(CONCAT('etl_spark ', DATABASE(), ' {table.name}'), 224)"
        ((got,),) = session.run(f"SELECT GET_LOCK({name}, {self._sink.lock_seconds})")
        if got != 1:
            raise EtlError(f"{self.place}: another run is loading {table.name}: wait for it to end")
        # A row that is replaced is not deleted for those that refer to it: ON DELETE CASCADE must not take theirs away.
        # That all references hold is verified before the commit.
        session.run("SET SESSION foreign_key_checks = 0")

    def verify_references(self, session: Session, table: Table) -> None:
        keys: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        for *constraint, column, referenced in session.run(
            "SELECT constraint_schema, constraint_name, table_schema, table_name, referenced_table_schema, "
            "referenced_table_name, column_name, referenced_column_name FROM information_schema.key_column_usage "
            "WHERE referenced_table_name IS NOT NULL AND "
            f"((table_schema = DATABASE() AND table_name = '{table.name}') OR "
            f"(referenced_table_schema = DATABASE() AND referenced_table_name = '{table.name}')) "
            "ORDER BY constraint_schema, constraint_name, ordinal_position"
        ):
            keys.setdefault(tuple(constraint), []).append((column, referenced))
        for (_, name, schema, child, parent_schema, parent), columns in keys.items():
            on = " AND ".join(f"c.`{column}` = p.`{referenced}`" for column, referenced in columns)
            given = " AND ".join(f"c.`{column}` IS NOT NULL" for column, _ in columns)
            shown = ", ".join(f"c.`{column}`" for column, _ in columns)
            orphans = session.run(
                f"SELECT {shown} FROM `{schema}`.`{child}` c LEFT JOIN `{parent_schema}`.`{parent}` p ON {on} "
                f"WHERE {given} AND p.`{columns[0][1]}` IS NULL LIMIT 1"
            )
            if orphans:
                example = ", ".join(map(str, orphans[0]))
                raise EtlError(
                    f"{self.place}: {table.name} was not loaded, the foreign key {name} would not hold: {child} refers "
                    f"to {example}, which {parent} does not have"
                )

    def staging_tables(self, session: Session) -> list[str]:
        pattern = STAGING.replace("_", r"\_")
        return [
            name
            for (name,) in session.run(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() "
                f"AND table_name LIKE '{pattern}%'"
            )
        ]

    def wait_at_most(self, session: Session, seconds: int) -> None:
        session.run(f"SET SESSION lock_wait_timeout = {seconds}")

    def text_bytes(self, sql: str) -> str:
        return f"LENGTH({sql})"

    def as_text(self, sql: str, type_name: str) -> str:
        return f"DATE_FORMAT({sql}, '{'%Y-%m-%d' if type_name == 'DATE' else '%Y-%m-%d %H:%i:%s.%f'}')"


def _in_file(column: Column) -> SparkColumn:
    """The text of a value as LOAD DATA reads it: NULL is \\N, and what ends a value or a line has a backslash."""
    value = F.col(column.name)
    match column.type:
        case "BINARY":
            text = F.hex(value)
        case "BOOLEAN":
            text = value.cast("int").cast("string")
        case _ if column.length:
            text = value
            for meant in ("\\", "\t", "\n", "\r", "\0"):
                text = F.replace(text, F.lit(meant), F.lit(f"\\{_ESCAPES.get(meant, meant)}"))
        case _:
            text = value.cast("string")
    return F.coalesce(text, F.lit("\\N"))


def _plain_error(error: DBAPIError) -> Exception:
    number = error.orig.args[0] if error.orig and error.orig.args else None
    return ConnectionLostError(_said(error)) if number in _LOST else EtlError(_said(error))


def _said(error: DBAPIError) -> str:
    """What the server said, without the statement."""
    arguments: Mapping[int, Any] = dict(enumerate(error.orig.args if error.orig else ()))
    return str(arguments.get(1, error.orig)).splitlines()[0]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
