"""Forgets one customer of the shop, wherever this application keeps anything: lake, exports, records, warehouses.

Each place is asked by itself what it has of the customer, so that a run that dies anywhere is just run again. What
tells the customer's e-mail address, which lines that were turned away are found by, goes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pyspark.sql.functions as F
from pyspark.sql import SparkSession

from etl_spark.config import Config
from etl_spark.core.errors import EtlError, InputError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.forget import Customer, forgotten, touched, whole_word
from etl_spark.core.keys import surrogate_key
from etl_spark.core.request import ForgetRequest
from etl_spark.core.table import Table, condition
from etl_spark.stores.files import FORMATS, Exports, sweep_staging
from etl_spark.stores.lake import HISTORY_OPTIONS, Lake
from etl_spark.stores.records import forget_in_records
from etl_spark.stores.sinks import open_warehouse

_AT_ONCE = 4


@dataclass(frozen=True)
class Found:
    """How many rows of a table, in one place, named the customer, and whether they are `kept` without the name."""

    place: str
    what: str
    rows: int
    kept: bool


class Forgetting:
    """What is done to forget a customer in those of `tables` that name any; `say` is told how far it is."""

    def __init__(
        self,
        tables: Iterable[Table],
        request: ForgetRequest,
        config: Config,
        spark: SparkSession,
        *,
        say: Callable[[str], None],
    ) -> None:
        self.customer_id, self.spark, self.say = request.customer_id, spark, say
        self.tables = [table for table in tables if table.forgets]
        self.output = FileSystem(spark, request.output, EtlError)
        self.lake = Lake(spark, self.output)
        self.exports = [Exports(self.output, file_format, request.run_id) for file_format in FORMATS]
        self.warehouses = [open_warehouse(name, request.run_id, config, spark) for name in request.sinks]

    def go(self) -> list[Found]:
        """Forgets the customer. Raises EtlError for what a user can act on."""
        if self.output.entry(self.output.path("lake")) is None:
            raise InputError(f"{self.output.root} has no lake")
        for warehouse in self.warehouses:
            warehouse.verify_forgetful(self.tables)
        sweep_staging(self.output)
        customer = self._customer()
        telling = [table for table in self.tables if _tells_email(table)]
        others = [table for table in self.tables if table not in telling]
        try:
            with _options(self.spark, HISTORY_OPTIONS), ThreadPoolExecutor(_AT_ONCE) as pool:
                found = [*pool.map(lambda table: self._forget(table, customer), others)]
                lines = forget_in_records(self.output, whole_word(customer.words))
                found += pool.map(lambda table: self._forget(table, customer), telling)
                self.say("clearing the history of the lake")
                list(pool.map(self.lake.drop_history, self.tables))
        finally:
            sweep_staging(self.output)
        records = Found(self.output.shown("_runs"), "lines", lines, kept=False)
        return [one for each in (*found, [records]) for one in each if one.rows]

    def _customer(self) -> Customer:
        ((key,),) = (
            self.spark.range(1).select(F.lit(self.customer_id).alias("id")).select(surrogate_key("id")).collect()
        )
        emails: set[str] = set()
        for table in self.tables:
            if _tells_email(table):
                own = self.lake.read(table, ({},)).where(F.col("customer_id") == self.customer_id)
                emails |= {row.email for row in own.select("email").distinct().collect() if row.email}
        return Customer(self.customer_id, key, tuple(sorted(emails)))

    def _forget(self, table: Table, customer: Customer) -> list[Found]:
        """The lake comes last: it tells the addresses, and the others are what people look at."""
        kept, found = table.forgets != "row", []
        for export in self.exports:
            rows = export.read(self.spark, table)
            partitions = touched(rows, table, customer)
            if partitions:
                scope = tuple(partition for partition, _ in partitions)
                export.write(forgotten(rows.where(condition(scope)), table, customer), table, scope)
            found.append(Found(export.place, table.name, sum(count for _, count in partitions), kept))
        for warehouse in self.warehouses:
            found.append(Found(warehouse.place, table.name, warehouse.forget(table, customer), kept))
        partitions = touched(self.lake.read(table, ({},)), table, customer)
        if partitions:
            scope = tuple(partition for partition, _ in partitions)
            self.lake.write(forgotten(self.lake.read(table, scope), table, customer), table, scope)
        found.append(Found(self.output.shown("lake"), table.name, sum(count for _, count in partitions), kept))
        self.say(f"{table.name}: done")
        return found


def _tells_email(table: Table) -> bool:
    return table.forgets == "row" and "email" in table.column_names


@contextmanager
def _options(spark: SparkSession, options: Mapping[str, str]) -> Iterator[None]:
    """Spark's `options` for as long as this lasts."""
    before = {name: spark.conf.get(name, None) for name in options}
    try:
        for name, value in options.items():
            spark.conf.set(name, value)
        yield
    finally:
        for name, old in before.items():
            if old is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, old)
