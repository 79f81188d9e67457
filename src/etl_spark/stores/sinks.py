"""Where a run puts its tables beside the lake, by the names that --sink takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pyspark.sql import DataFrame, SparkSession

from etl_spark.config import Config
from etl_spark.core.errors import UsageError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.request import Request
from etl_spark.core.sinks import WAREHOUSES
from etl_spark.core.table import Scope, Table
from etl_spark.stores.ddl import Ddl, MySqlDdl, RedshiftDdl
from etl_spark.stores.files import FORMATS, Exports
from etl_spark.stores.redshift import Redshift
from etl_spark.stores.warehouse import Warehouse

SINKS = (*FORMATS, *WAREHOUSES)

DDL: Mapping[str, Ddl] = {"mysql": MySqlDdl(), "redshift": RedshiftDdl()}
"""How each warehouse defines a table."""


class Sink(Protocol):
    """A store that others read."""

    place: str
    """For a person: where to look."""
    tables_at_once: int

    def verify(self) -> None:
        """Raises EtlError where the sink cannot be reached: said before hours of work."""

    def write(self, df: DataFrame, table: Table, scope: Scope) -> None:
        """Replaces the rows of `scope` by `df`."""


def open_sinks(request: Request, config: Config, spark: SparkSession, output: FileSystem) -> list[Sink]:
    """The sinks asked for. Raises UsageError for one that is not configured, or has no credentials."""
    return [_open(name, request, config, spark, output) for name in request.sinks]


def _open(name: str, request: Request, config: Config, spark: SparkSession, output: FileSystem) -> Sink:
    if name in FORMATS:
        return Exports(output, name, request.run_id)
    return open_warehouse(name, request.run_id, config, spark)


def open_warehouse(name: str, run_id: str, config: Config, spark: SparkSession) -> Warehouse:
    """The warehouse `name`. Raises UsageError where it is not configured, or has no credentials."""
    sink, credentials = configured(name, config.sinks), config.credentials(name)
    if name == "redshift":
        return Redshift(sink, credentials, run_id, spark)
    # A cluster that does not load it need not have what that takes.
    from etl_spark.stores.mysql import MySql

    return MySql(sink, credentials, run_id)


def configured(name: str, sinks: Mapping[str, Any]) -> Any:
    """What the configuration says of the warehouse `name`. Raises UsageError where that is nothing."""
    if name not in sinks:
        raise UsageError(f'where {name} is, the configuration must say: [sinks.{name}] with url = "jdbc:..."')
    return sinks[name]
