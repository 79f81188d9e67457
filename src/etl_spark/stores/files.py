"""Exports: folders of Parquet or CSV that any reader opens as one table, under `<output>/parquet` and `<output>/csv`.

Each partition is one folder, named column=value as Hive does, with one file of one name in it: a new version takes the
old one's place in one step. The partition columns stand in the folder's name only.
"""

from __future__ import annotations

from dataclasses import replace

import pyspark.sql.functions as F
from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.filesystem import FileSystem
from etl_spark.core.local import local_frame
from etl_spark.core.table import Partition, Scope, Table, condition

FORMATS = ("parquet", "csv")

CSV_OPTIONS = {
    "header": "true",
    # A quote within a value is doubled, as every other reader expects, and \ is a character like any other.
    "escape": '"',
    "ignoreLeadingWhiteSpace": "false",
    "ignoreTrailingWhiteSpace": "false",
    # NULL is an empty field. Text is never empty in a published table, so neither can be taken for the other.
    "nullValue": "",
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
}


STAGING = "_staging"


class Exports:
    """A store of one of FORMATS. `run_id` names the folder in which a run prepares its files."""

    tables_at_once = 4
    """A small one leaves the cores idle."""

    def __init__(self, output: FileSystem, file_format: str, run_id: str) -> None:
        self._output = output
        self._format = file_format
        self._staging = output.path(STAGING, run_id, file_format)
        self.place = output.shown(file_format)

    def verify(self) -> None:
        """Nothing to ask: the output is where the lake is."""

    def path(self, table: Table) -> str:
        return self._output.path(self._format, table.name)

    def read(self, spark: SparkSession, table: Table) -> DataFrame:
        """All rows that stand there, of whatever runs."""
        if self._output.entry(self.path(table)) is None:
            return local_frame(spark, [], table.schema)
        as_base64 = self._as_base64(table)
        texts = [replace(one, type="VARCHAR(1)") if one.name in as_base64 else one for one in table.columns]
        schema = replace(table, columns=tuple(texts)).schema
        options = {**CSV_OPTIONS, "multiLine": "true", "mode": "FAILFAST"} if self._format == "csv" else {}
        rows = spark.read.schema(schema).options(**options).format(self._format).load(self.path(table))
        return rows.select(*table.column_names).withColumns({name: F.unbase64(name) for name in as_base64})

    def write(self, df: DataFrame, table: Table, scope: Scope) -> None:
        """Replaces the rows of `scope` by `df`; a partition without a row has no file."""
        staging, partitions = f"{self._staging}/{table.name}", table.partitions_of(scope)
        if table.partitions != table.replaces:
            stay = f"({condition(partitions)}) AND NOT ({condition(scope)})"
            df = df.unionByName(self.read(df.sparkSession, table).where(stay))
        options = CSV_OPTIONS if self._format == "csv" else {}
        (
            table.in_files(df)
            # CSV is text: bytes that may be none stand in it as base64.
            .withColumns({name: F.base64(name) for name in self._as_base64(table)})
            .write.partitionBy(*table.partitions)
            .options(**options)
            .format(self._format)
            .save(staging)
        )
        for partition in partitions:
            folder = _folder(partition)
            self._publish(f"{staging}{folder}", f"{self.path(table)}{folder}")
        self._output.remove(staging)

    def _as_base64(self, table: Table) -> list[str]:
        """The columns that are bytes, which CSV has as text."""
        return [column.name for column in table.columns if column.type == "BINARY" and self._format == "csv"]

    def _publish(self, staged: str, folder: str) -> None:
        match self._output.paths(staged):
            case [path]:
                self._output.publish(path, f"{folder}/data.{self._format}")
            case []:
                self._output.remove(folder)
            case files:
                raise AssertionError(f"{len(files)} files were written for {folder}, where one was asked for")


def _folder(partition: Partition) -> str:
    return "".join(f"/{name}={value}" for name, value in partition.items())


def sweep_staging(output: FileSystem) -> None:
    """Removes what runs that died left behind. Only one run at a time may write to an output."""
    output.remove(output.path(STAGING))
