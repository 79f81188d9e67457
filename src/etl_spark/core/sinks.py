"""The warehouses that a run can load, as [sinks.NAME] of a configuration file has them. Told from the text alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from etl_spark.core.database import DIALECTS, Database, parse_database
from etl_spark.core.errors import UsageError

MYSQL_DRIVERS = {"mariadb": DIALECTS["mariadb"].package, "mysql": "com.mysql:mysql-connector-j:9.4.0"}
"""The Maven coordinates of the drivers: resolved when a run starts, never shipped."""


@dataclass(frozen=True)
class MySqlSink:
    """A MySQL or MariaDB. `connections` load side by side, `batch_size` rows at a time.

    A load waits `lock_seconds` for another load of the same table. `driver` is MariaDB's, or MySQL's Connector/J.
    """

    url: str
    driver: Literal["mariadb", "mysql"] = "mariadb"
    connections: int = 2
    batch_size: int = 10_000
    lock_seconds: int = 600

    @property
    def database(self) -> Database:
        return parse_database(self.url, ("mysql", "mariadb"))

    @property
    def package(self) -> str:
        """The Maven coordinates of the driver."""
        return MYSQL_DRIVERS[self.driver]

    @property
    def places(self) -> tuple[str, ...]:
        """The file systems that a load goes through."""
        return ()

    def __post_init__(self) -> None:
        options = dict(self.database.options)
        if self.driver == "mysql" and "serverSslCert" in options:
            raise UsageError("serverSslCert is for MariaDB's driver: Connector/J trusts what the JVM does")
        _require_positive(connections=self.connections, batch_size=self.batch_size, lock_seconds=self.lock_seconds)


@dataclass(frozen=True)
class RedshiftSink:
    """An Amazon Redshift, loaded by COPY or, for small tables and closed networks, through its JDBC driver.

    COPY reads files of `format` that a load puts below `temporary`, a place in S3, and takes away again. It reads them
    as `iam_role`, an ARN or `default`; `region` is the bucket's, where that is another than the warehouse's (csv).
    `connections` is how many files or connections a table is loaded by, `batch_size` the rows of a statement (jdbc). A
    load waits `lock_seconds` for another one.
    """

    url: str
    way: Literal["copy", "jdbc"] = "copy"
    temporary: str = ""
    iam_role: str = ""
    region: str = ""
    format: Literal["parquet", "csv"] = "parquet"
    connections: int = 4
    batch_size: int = 1_000
    lock_seconds: int = 600

    @property
    def database(self) -> Database:
        return parse_database(self.url, ("redshift",))

    @property
    def package(self) -> str:
        """The Maven coordinates of the driver."""
        return self.database.dialect.package

    @property
    def places(self) -> tuple[str, ...]:
        """The file systems that a load goes through."""
        return (self.temporary,) if self.way == "copy" else ()

    def __post_init__(self) -> None:
        if self.database and self.way == "copy":
            if not re.fullmatch(r"s3a?://[a-z0-9][a-z0-9.-]+(/[\w.=/-]*)?", self.temporary):
                raise UsageError('COPY reads from S3: temporary = "s3a://BUCKET/FOLDER", or way = "jdbc"')
            if not re.fullmatch(r"default|arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", self.iam_role):
                raise UsageError('COPY reads as a role: iam_role = "arn:aws:iam::ACCOUNT:role/NAME", or "default"')
            if not re.fullmatch(r"[a-z0-9-]*", self.region):
                raise UsageError(f"'{self.region}' is no region")
            if self.region and self.format == "parquet":
                raise UsageError('COPY reads Parquet in its own region only: leave region out, or format = "csv"')
        _require_positive(connections=self.connections, batch_size=self.batch_size, lock_seconds=self.lock_seconds)


def _require_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise UsageError(f"{name} must be at least 1")


WAREHOUSES = {"mysql": MySqlSink, "redshift": RedshiftSink}
"""What a configuration says of each warehouse, by the name of its sink."""
