"""Where results are read: a folder of Parquet exports, by DuckDB, or a warehouse, by SQLAlchemy. Nothing is written.

One text of SQL goes to all of them: what DuckDB, MySQL, MariaDB and Redshift all know. Values are parameters with names
(`:start_date`), and never part of the text.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import duckdb
import sqlalchemy
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from etl_spark.config import Config
from etl_spark.core.database import Database, parse_database, pymysql_tls
from etl_spark.core.errors import EtlError, InputError, UsageError
from etl_spark.core.uri import refuse_credentials
from etl_spark.dashboard.catalog import COMMANDS, MADE_BY

Value = str | int | date
Row = Mapping[str, Any]
Rows = Sequence[Row]

RESULTS_VARIABLE, URL_VARIABLE = "ETL_SPARK_DASHBOARD_RESULTS", "ETL_SPARK_DASHBOARD_URL"
"""How `etl-spark dashboard` tells the pages, which Streamlit runs, where the results are."""

_LIVES_SECONDS = 2.0
"""How long what is known of a table's version counts: a page asks for it once for each of its queries."""

_PARAMETER = re.compile(r"(?<!:):([a-z][a-z0-9_]*)")
_TABLE = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_]+)")


class MissingTableError(InputError):
    """A table that a page reads is not there; says which job makes it."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.command = COMMANDS[MADE_BY[table]]
        super().__init__(f"there is no {table} yet: {MADE_BY[table]} makes it, as in: {self.command}")


@dataclass(frozen=True)
class Query:
    """One SELECT, and its parameters by name: text, whole numbers and days. Raises UsageError for another statement."""

    sql: str
    parameters: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sql.startswith(("SELECT ", "WITH ")) or ";" in self.sql:
            raise UsageError("the dashboard reads: a query is one SELECT")

    @property
    def tables(self) -> tuple[str, ...]:
        """The stored tables that it reads."""
        return tuple(sorted({name for name in _TABLE.findall(self.sql) if name in MADE_BY}))


class Results(Protocol):
    """`place` names them, without a secret."""

    place: str

    def has(self, table: str) -> bool:
        """Whether `table` is there, with or without a row."""

    def version(self, tables: Sequence[str]) -> str:
        """Another text as soon as one of `tables` is another; what was read before is as good until then."""

    def rows(self, query: Query) -> Rows:
        """What `query` returns, a mapping of its columns each row; sums of whole numbers are int, of money Decimal.

        Raises MissingTableError, and EtlError in one sentence for whatever else is wrong.
        """


@dataclass(frozen=True)
class Place:
    """Where results are: the folder `folder` of this machine, as runs have written it, or the warehouse at `url`."""

    folder: Path | None = None
    url: str = ""

    def open(self) -> Results:
        """Raises UsageError for a URL that is none, or without a login; whether anybody answers there shows later."""
        return SqlResults(parse_url(self.url)) if self.url else ParquetResults(self.folder or Path("output"))


def parse_url(url: str) -> Database:
    """The warehouse at mysql+pymysql://HOST:PORT/DATABASE or redshift://..., or as a configuration has it (jdbc:...).

    Raises UsageError, without showing it, for another form and for a URL with a user or a password.
    """
    refuse_credentials(url)
    if re.search(r"//[^/]*@", url):
        raise UsageError("a URL with a user in it is refused: give credentials in the environment")
    kind, _, rest = url.removeprefix("jdbc:").partition("://")
    kinds = {"mysql+pymysql": "mysql", "mariadb+pymysql": "mysql", "redshift+psycopg": "redshift"}
    jdbc = f"jdbc:{kinds.get(kind, kind)}://{rest}"
    try:
        return parse_database(jdbc, ("mysql", "mariadb", "redshift"))
    except UsageError as error:
        if "not allowed" in str(error):
            raise
        raise UsageError("a warehouse is mysql+pymysql://HOST:PORT/DATABASE or redshift://HOST:PORT/DATABASE") from None


class ParquetResults:
    """The exports below `<folder>/parquet`, by DuckDB in memory: a table is a folder of files, all of them read only.

    DuckDB is let into that folder and nowhere else, and its settings are locked.
    """

    def __init__(self, folder: Path) -> None:
        self._root = (folder / "parquet").absolute()
        self.place = str(folder)
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, str]] = {}
        self._viewed: dict[str, str] = {}
        self._connection = duckdb.connect(config={"allow_community_extensions": False})
        self._connection.execute("SET timezone = 'UTC'")
        self._connection.execute("SET parquet_metadata_cache = true")
        self._connection.execute("SET temp_directory = ''")
        # As a pattern too: that is what DuckDB looks at first.
        allowed = ", ".join(map(_literal, dict.fromkeys((str(self._root), _as_pattern(str(self._root))))))
        self._connection.execute(f"SET allowed_directories = [{allowed}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def has(self, table: str) -> bool:
        return bool(self._version(table))

    def version(self, tables: Sequence[str]) -> str:
        return "-".join(self._version(table) for table in tables)

    def rows(self, query: Query) -> Rows:
        try:
            return self._rows(query)
        except (duckdb.IOException, duckdb.InvalidInputException):
            # A run has put a new file in the place of one that was being read: what stands there now is whole.
            self._known.clear()
            return self._rows(query)

    def _rows(self, query: Query) -> Rows:
        try:
            with self._connection.cursor() as cursor:
                self._view(cursor, query.tables)
                cursor.execute(_PARAMETER.sub(r"$\1", query.sql), dict(query.parameters))
                names = [column[0] for column in cursor.description or ()]
                return _mappings(names, cursor.fetchall())
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            if self._changed(query.tables):
                raise
            raise EtlError(f"the results in {self.place} cannot be read: {_first_line(error)}") from None
        except duckdb.Error as error:
            raise EtlError(f"the results in {self.place} cannot be read: {_first_line(error)}") from None

    def _changed(self, tables: Sequence[str]) -> bool:
        before = {table: self._known.get(table) for table in tables}
        self._known.clear()
        return any(told is not None and told[1] != self._version(table) for table, told in before.items())

    def _view(self, cursor: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> None:
        """Makes the views of `tables` of the files that are there now."""
        for table in tables:
            version = self._version(table)
            if not version:
                raise MissingTableError(table)
            with self._lock:
                if self._viewed.get(table) != version:
                    files = _literal(f"{_as_pattern(str(self._root / table))}/**/data.parquet")
                    cursor.execute(
                        f"CREATE OR REPLACE VIEW {table} AS FROM read_parquet({files}, hive_partitioning = true)"
                    )
                    self._viewed[table] = version

    def _version(self, table: str) -> str:
        """Made of the names, sizes and times of the table's files; empty where there is none."""
        known = self._known.get(table)
        now = time.monotonic()
        if known and now - known[0] < _LIVES_SECONDS:
            return known[1]
        digest, found = hashlib.sha256(), False
        for path, size, changed in _files(str(self._root / table)):
            digest.update(f"{path}\0{size}\0{changed}\n".encode("utf-8", "surrogateescape"))
            found = True
        version = digest.hexdigest()[:16] if found else ""
        self._known[table] = (now, version)
        return version


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    """Path, bytes and time of change, in nanoseconds, of each exported file below `folder`, in order."""
    # What is gone since it was listed is no file of the table any more.
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.is_dir():
                yield from _files(entry.path)
            elif entry.name == "data.parquet":
                status = entry.stat()
                yield entry.path, status.st_size, status.st_mtime_ns


class SqlResults:
    """A MySQL, a MariaDB or a Redshift, as who is named in the environment (ETL_SPARK_MYSQL_USER and so on).

    Every session is read only, whatever that user may do. Raises UsageError where there is no login.
    """

    def __init__(self, database: Database) -> None:
        self._is_mysql = database.dialect.scheme == "mysql"
        name = "mysql" if self._is_mysql else "redshift"
        credentials = Config(None, {}, {}).credentials(name)
        self.place = database.place.removeprefix("jdbc:")
        url = sqlalchemy.URL.create(
            "mysql+pymysql" if self._is_mysql else "redshift+psycopg",
            credentials.user,
            credentials.password,
            database.host.strip("[]"),
            database.port,
            database.name,
        )
        self._engine = sqlalchemy.create_engine(
            url,
            execution_options={} if self._is_mysql else {"postgresql_readonly": True},
            pool_pre_ping=True,
            pool_recycle=1_800,
            hide_parameters=True,
            connect_args=_mysql_arguments(database) if self._is_mysql else _redshift_arguments(database),
        )
        if self._is_mysql:
            sqlalchemy.event.listen(self._engine, "connect", _read_only_mysql)
        self._known: tuple[float, Mapping[str, str]] = (-_LIVES_SECONDS, {})

    def has(self, table: str) -> bool:
        return table in self._versions()

    def version(self, tables: Sequence[str]) -> str:
        versions = self._versions()
        return "-".join(versions.get(table, "") for table in tables)

    def rows(self, query: Query) -> Rows:
        absent = [table for table in query.tables if not self.has(table)]
        if absent:
            raise MissingTableError(absent[0])
        return self._rows(query.sql, query.parameters)

    def _rows(self, sql: str, parameters: Mapping[str, Value]) -> Rows:
        try:
            with self._engine.connect() as connection:
                result = connection.execute(sqlalchemy.text(sql), dict(parameters))
                return _mappings(list(result.keys()), [tuple(row) for row in result])
        except DBAPIError as error:
            raise EtlError(f"{self.place} does not answer: {_said(error)}") from None
        except SQLAlchemyError as error:
            raise EtlError(f"{self.place} cannot be read: {type(error).__name__}") from None

    def _versions(self) -> Mapping[str, str]:
        """Of the tables that are there, their loads as the ledger has them; of what was never loaded, the minute."""
        read_at, known = self._known
        if time.monotonic() - read_at < _LIVES_SECONDS:
            return known
        schema = "DATABASE()" if self._is_mysql else "current_schema()"
        found = self._rows(
            # MySQL 8 has the names of these columns in capitals.
            f"SELECT t.table_name AS table_name FROM information_schema.tables t WHERE t.table_schema = {schema}",
            {},
        )
        names = {str(row["table_name"]) for row in found}
        versions = dict.fromkeys(names & set(MADE_BY), f"{datetime.now():%H:%M}")
        if "etl_load" in names:
            # Who may not see the ledger sees what is a minute old at the most.
            with suppress(EtlError):
                loads = self._rows(
                    "SELECT l.table_name AS table_name, COUNT(*) AS loads, MAX(l.loaded_at) AS loaded_at "
                    "FROM etl_load l GROUP BY l.table_name",
                    {},
                )
                versions |= {
                    row["table_name"]: f"{row['loads']}@{row['loaded_at']}"
                    for row in loads
                    if row["table_name"] in versions
                }
        self._known = (time.monotonic(), versions)
        return versions


class _RedshiftDialect(PGDialect_psycopg):
    """PostgreSQL's, without two questions at the start that Redshift has no answer to."""

    driver = "psycopg"
    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(use_native_hstore=False, **options)  # type: ignore[no-untyped-call]

    def _set_backslash_escapes(self, connection: Any) -> None:
        self._backslash_escapes = True


registry.register("redshift.psycopg", __name__, "_RedshiftDialect")


def _mysql_arguments(database: Database) -> dict[str, Any]:
    return {**pymysql_tls(database), "charset": "utf8mb4", "connect_timeout": 10, "read_timeout": 300}


def _redshift_arguments(database: Database) -> dict[str, Any]:
    options = dict(database.options)
    mode = options.get("sslmode", "disable" if database.is_local else "verify-full")
    # Redshift calls its encoding UNICODE, which Python does not know by that name.
    arguments = {"sslmode": mode, "client_encoding": "utf8", "connect_timeout": 10, "application_name": "etl-spark"}
    if mode.startswith("verify"):
        arguments["sslrootcert"] = options.get("sslrootcert", "system")
    return arguments


def _read_only_mysql(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("SET time_zone = '+00:00'")
    # The transaction that is open already began before.
    connection.rollback()


def _mappings(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Rows:
    return [dict(zip(names, (_plain(value) for value in row), strict=True)) for row in rows]


def _plain(value: Any) -> Any:
    """Sums of whole numbers are int, as DuckDB has them; in MySQL and Redshift they are decimals without a fraction."""
    is_whole = isinstance(value, Decimal) and value.is_finite() and value.as_tuple().exponent == 0
    return int(value) if is_whole else value


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _as_pattern(path: str) -> str:
    """The pattern that fits `path` alone: DuckDB takes [, * and ? in a path for those of one."""
    return re.sub(r"([\[*?])", r"[\1]", path)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _said(error: DBAPIError) -> str:
    """What the server or the driver said, without the statement and its parameters."""
    arguments = error.orig.args if error.orig else ()
    said = str(arguments[1] if len(arguments) > 1 else error.orig).strip()
    return " ".join(said.split())[:300] or type(error).__name__
