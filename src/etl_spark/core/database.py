"""A database as users name it, jdbc:postgresql://HOST[:PORT]/DATABASE[?OPTION=VALUE&...], told from the text alone."""

from __future__ import annotations

import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from etl_spark.core.errors import UsageError


@dataclass(frozen=True)
class Dialect:
    """What differs from one kind of database to another.

    `text` is the type to cast to for a value's text; `session` the statement that makes this text the same wherever
    the server is; `schema` the expression for the schema whose tables are meant.
    """

    driver: str
    package: str
    scheme: str
    port: int
    quote: str
    text: str
    session: str
    schema: str
    always: Mapping[str, str]
    allowed: frozenset[str]


_MARIADB = Dialect(
    driver="org.mariadb.jdbc.Driver",
    package="org.mariadb.jdbc:mariadb-java-client:3.5.6",
    # Spark takes jdbc:mariadb for an unknown database, and quotes its names with ".
    scheme="mysql",
    port=3306,
    quote="`",
    text="CHAR",
    session="SET time_zone = '+00:00'",
    schema="database()",
    always={"permitMysqlScheme": "true", "tinyInt1isBit": "false"},
    allowed=frozenset({"connectTimeout", "socketTimeout", "sslMode", "serverSslCert"}),
)
DIALECTS: Mapping[str, Dialect] = {
    "postgresql": Dialect(
        driver="org.postgresql.Driver",
        package="org.postgresql:postgresql:42.7.8",
        scheme="postgresql",
        port=5432,
        quote='"',
        text="TEXT",
        session="SET TIME ZONE 'UTC'; SET DateStyle = 'ISO'; SET bytea_output = 'hex'",
        schema="current_schema()",
        always={},
        allowed=frozenset({"connectTimeout", "socketTimeout", "sslmode", "sslrootcert", "currentSchema"}),
    ),
    "mariadb": _MARIADB,
    "mysql": _MARIADB,
    "redshift": Dialect(
        driver="com.amazon.redshift.Driver",
        package="com.amazon.redshift:redshift-jdbc42:2.1.0.33",
        scheme="redshift",
        port=5439,
        quote='"',
        # TEXT is VARCHAR(256) there.
        text="VARCHAR(65535)",
        session="SET timezone TO 'UTC'",
        schema="current_schema()",
        always={},
        allowed=frozenset({"connectTimeout", "socketTimeout", "sslmode", "sslrootcert"}),
    ),
}
SOURCES = ("postgresql", "mariadb", "mysql")
"""The kinds of databases that a job reads."""


@dataclass(frozen=True)
class Database:
    """Where a database is. `url` is rebuilt of its parts, and holds no more than these and options known to be safe."""

    dialect: Dialect
    host: str
    port: int
    name: str
    options: tuple[tuple[str, str], ...]

    @property
    def url(self) -> str:
        options = urlencode({**dict(self.options), **self.dialect.always})
        return f"jdbc:{self.dialect.scheme}://{self.host}:{self.port}/{self.name}{'?' if options else ''}{options}"

    @property
    def place(self) -> str:
        """Which database it is, without the options."""
        return f"jdbc:{self.dialect.scheme}://{self.host}:{self.port}/{self.name}"

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, by its address."""
        return self.host in ("localhost", "127.0.0.1", "[::1]")

    def quoted(self, name: str) -> str:
        """`name` as an identifier. Raises UsageError for one that is none in any of the databases."""
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*", name):
            raise UsageError(f"'{name}' cannot be the name of a table or a column")
        return f"{self.dialect.quote}{name}{self.dialect.quote}"


def mysql_ssl_mode(database: Database) -> str:
    """What is asked of the server's certificate: all of it, unless the server is this machine, or the URL says less."""
    default = "disable" if database.is_local else "verify-full"
    return dict(database.options).get("sslMode", default)


def pymysql_tls(database: Database) -> dict[str, Any]:
    """The same, in the words of PyMySQL."""
    mode = mysql_ssl_mode(database)
    if mode == "disable":
        return {"ssl_disabled": True}
    context = ssl.create_default_context(cafile=dict(database.options).get("serverSslCert"))
    context.check_hostname = mode == "verify-full"
    if mode == "trust":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def is_database(source: str) -> bool:
    return source.startswith("jdbc:")


def parse_database(uri: str, kinds: Collection[str] = SOURCES) -> Database:
    """The parts of `uri`, one of `kinds`.

    Raises UsageError, without showing it, for another form, or an option that is not allowed.
    """
    parts = re.fullmatch(r"jdbc:([a-z]+)://([\w.-]+|\[[0-9a-fA-F:]+\])(?::([0-9]+))?/([\w$-]+)(?:\?(.*))?", uri)
    if parts is None or parts.group(1) not in kinds:
        raise UsageError(f"a database is named jdbc:KIND://HOST:PORT/DATABASE, KIND being {' or '.join(kinds)}")
    dialect = DIALECTS[parts.group(1)]
    options = parse_qsl(parts.group(5) or "", keep_blank_values=True)
    refused = sorted({name for name, _ in options} - dialect.allowed)
    if refused:
        raise UsageError(f"these options of the database are not allowed: {', '.join(refused)}")
    return Database(dialect, parts.group(2), int(parts.group(3) or dialect.port), parts.group(4), tuple(options))


def driver_packages(source: str) -> tuple[str, ...]:
    """The Maven coordinates of the driver that `source` needs; none if it is no database."""
    return (parse_database(source).dialect.package,) if is_database(source) else ()
