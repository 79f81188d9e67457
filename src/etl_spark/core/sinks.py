"""The warehouses that a run can load, as [sinks.NAME] of a configuration file has them. Told from the text alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from etl_spark.core.database import DIALECTS, parse_database
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
    def package(self) -> str:
        """The Maven coordinates of the driver."""
        return MYSQL_DRIVERS[self.driver]

    def __post_init__(self) -> None:
        if parse_database(self.url).dialect.scheme != "mysql":
            raise UsageError("the url of mysql is jdbc:mysql://HOST:PORT/DATABASE, or jdbc:mariadb://...")
        if self.driver == "mysql" and "serverSslCert" in dict(parse_database(self.url).options):
            raise UsageError("serverSslCert is for MariaDB's driver: Connector/J trusts what the JVM does")
        if min(self.connections, self.batch_size, self.lock_seconds) < 1:
            raise UsageError("connections, batch_size and lock_seconds must be at least 1")


WAREHOUSES = {"mysql": MySqlSink}
"""What a configuration says of each warehouse, by the name of its sink."""
