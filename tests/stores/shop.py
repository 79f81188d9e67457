"""A table of a shop in each kind of warehouse, for the tests of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from etl_spark.config import Credentials
from etl_spark.core.sinks import MySqlSink, RedshiftSink
from etl_spark.core.table import Column, Scope, Table
from etl_spark.stores.mysql import MySql
from etl_spark.stores.redshift import Redshift
from etl_spark.stores.warehouse import Warehouse
from tests.databases import Server

PRODUCT = Table(
    name="product",
    doc="One row per code; it's a test's.",
    columns=(
        Column("code", "VARCHAR(20)", "the seller's code"),
        Column("order", "INT", "a reserved word", nullable=True),
        Column("price", "DECIMAL(38,4)", "", nullable=True),
        Column("sold", "BIGINT", "", nullable=True),
        Column("share", "DOUBLE", "", nullable=True),
        Column("is_new", "BOOLEAN", "", nullable=True),
        Column("since", "DATE", "", nullable=True),
        Column("seen_at", "TIMESTAMP", "", nullable=True),
        Column("name", "VARCHAR(16000)", "", nullable=True),
    ),
    grain=("code",),
    replaces=(),
)
ALL: Scope = ({},)

Row = tuple[Any, ...]

EXTREMES: tuple[Row, ...] = (
    ("a", 1, Decimal("9" * 34 + ".9999"), 2**63 - 1, 1.5, True, date(1, 1, 1), datetime(1, 1, 1, tzinfo=UTC), "😀" * 9),
    ("A", -1, Decimal("-" + "9" * 34 + ".9999"), -(2**63), -0.1, False, date(9999, 12, 31), None, "\\N"),
    ("á", None, None, None, None, None, None, datetime(2022, 3, 27, 2, 30, 0, 1, tzinfo=UTC), "'\"\\`;--\n\t\r"),
    (
        "b",
        0,
        Decimal("0.0001"),
        0,
        1e300,
        None,
        date(1582, 10, 10),
        datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
        "NULL",
    ),
    ("c", None, None, None, None, None, date(1969, 12, 31), datetime(1969, 12, 31, 23, 59, 59, 1, UTC), "😀" * 16_000),
)

KINDS = ("mysql", "redshift_copy", "redshift_jdbc")
"""The ways into a warehouse."""

ROLE = "arn:aws:iam::123456789012:role/Reader"
_NUMBERS = count()


def own_name(prefix: str) -> str:
    """A name that no other database of this test run has."""
    return f"{prefix}{next(_NUMBERS)}"


def server_of(kind: str, databases: Mapping[str, Server]) -> Server:
    return databases["mariadb" if kind == "mysql" else "redshift"]


def open_store(kind: str, spark: SparkSession, url: str, user: Credentials, folder: str, **settings: Any) -> Warehouse:
    """A store of this `kind`; what it puts into S3 is below `folder`."""
    if kind == "mysql":
        return MySql(MySqlSink(url, **settings), user, "run-1")
    if kind == "redshift_jdbc":
        return Redshift(RedshiftSink(url, way="jdbc", **settings), user, "run-1", spark)
    return Redshift(RedshiftSink(url, temporary=folder, iam_role=ROLE, **settings), user, "run-1", spark)


@dataclass(frozen=True)
class Shop:
    """A database of its own on `server`, named `name`, and how to open stores on it."""

    kind: str
    spark: SparkSession
    server: Server
    name: str
    bucket: str
    behind: Server | None = None
    """What the stores connect to, where that is not the server itself."""

    def store(self, user: Credentials | None = None, **settings: Any) -> Warehouse:
        known = user or Credentials(self.server.user, self.server.password)
        url = (self.behind or self.server).url(self.name)
        return open_store(self.kind, self.spark, url, known, f"{self.bucket}/{self.name}", **settings)

    def write(self, *rows: Row, **settings: Any) -> None:
        self.store(**settings).write(self.frame(*rows), PRODUCT, ALL)

    def frame(self, *rows: Row, table: Table = PRODUCT) -> DataFrame:
        full = [row + (None,) * (len(table.columns) - len(row)) for row in rows]
        return self.spark.createDataFrame(full, table.schema)

    def rows(self, sql: str) -> list[Row]:
        return self.server.rows(sql, self.name)

    def run(self, sql: str) -> None:
        self.server.run(sql, self.name)

    def codes(self) -> list[str]:
        return sorted(code for (code,) in self.rows("SELECT code FROM product"))

    def loads(self) -> int:
        ((loads,),) = self.rows("SELECT count(*) FROM etl_load")
        return int(loads)

    def staging(self) -> list[str]:
        """The names of staging tables."""
        here = "DATABASE()" if self.kind == "mysql" else "current_schema()"
        names = self.rows(
            f"SELECT table_name FROM information_schema.tables WHERE table_schema = {here} "
            "AND table_name LIKE 'etl!_staging%' ESCAPE '!'"
        )
        return [str(name) for (name,) in names]

    def through(self, port: int) -> Shop:
        """The same shop for stores that connect to `port`."""
        return replace(self, behind=replace(self.server, port=str(port)))


def new_shop(kind: str, spark: SparkSession, databases: Mapping[str, Server], bucket: str) -> Shop:
    server, name = server_of(kind, databases), own_name("shop")
    server.create(name)
    return Shop(kind, spark, server, name, bucket)
