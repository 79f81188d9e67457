"""The lake: one Delta table per table, under `<output>/lake`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.errors import EtlError, SchemaError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.local import local_frame
from etl_spark.core.table import Scope, Table, condition


@dataclass(frozen=True)
class Batch:
    """What a stream writes at a time: `number`, which rises, of the `stream` that it names for all times."""

    stream: str
    number: int


class Lake:
    """A store: every write is one Delta commit, so a reader sees a table before it or after it."""

    def __init__(self, spark: SparkSession, output: FileSystem) -> None:
        self._spark = spark
        self._output = output

    def path(self, table: Table) -> str:
        return self._output.path("lake", table.name)

    def read(self, table: Table, scope: Scope) -> DataFrame:
        """The rows of `scope`; none where the table was never written.

        Raises SchemaError where the stored table has other columns than this version's.
        """
        if not self._exists(table):
            return local_frame(self._spark, [], table.schema)
        stored = self._spark.read.format("delta").load(self.path(table))
        columns = {(field.name, field.dataType) for field in stored.schema}
        differences = columns ^ {(field.name, field.dataType) for field in table.schema}
        if differences:
            names = ", ".join(sorted({name for name, _ in differences}))
            raise SchemaError(
                f"{self.path(table)} was made by another version, it differs in {names}: move it away and run again"
            )
        return stored.select(*table.column_names).where(condition(scope))

    def write(self, df: DataFrame, table: Table, scope: Scope) -> None:
        """Replaces the rows of `scope` by `df`. A row of `df` outside of `scope` fails the write."""
        self._replace(df, table, scope, condition(scope), {})

    def write_files(self, df: DataFrame, table: Table, scope: Scope, files: Iterable[str], batch: Batch) -> None:
        """Replaces those rows of `scope` that are of `files` by `df`, unless this very batch was written before."""
        of_files = f"({condition(scope)}) AND file IN ({', '.join(map(_text, files))})"
        self._replace(df, table, scope, of_files, {"txnAppId": batch.stream, "txnVersion": str(batch.number)})

    def _replace(self, df: DataFrame, table: Table, scope: Scope, replaced: str, options: Mapping[str, str]) -> None:
        if not scope:
            return
        with _plain_conflicts(table):
            (
                table.in_files(df)
                .write.format("delta")
                .mode("overwrite")
                .partitionBy(*table.partitions)
                .options(replaceWhere=replaced, **options)
                .save(self.path(table))
            )

    def clear(self, table: Table, scope: Scope) -> None:
        """Removes the rows of `scope`."""
        if scope and self._exists(table):
            with _plain_conflicts(table):
                self._spark.sql(f"DELETE FROM delta.`{self.path(table).replace('`', '``')}` WHERE {condition(scope)}")

    def drop_history(self, table: Table) -> None:
        """Removes the files of all versions of `table` but the last, and what its log tells of them.

        The log has the least and the greatest value of each column of each file. A checkpoint of the last version
        takes the place of all that came before, as Delta's own clean-up does it a month later. A reader that is still
        at an earlier version fails. Delta must let files go that are younger than a week: see HISTORY_OPTIONS.
        """
        if not self._exists(table) or not self._has_history(table):
            return
        delta = f"delta.`{self.path(table).replace('`', '``')}`"
        self._spark.sql(f"VACUUM {delta} RETAIN 0 HOURS")
        # A commit of its own, which tells of no file; the one that takes it back has no checkpoint.
        self._spark.sql(f"ALTER TABLE {delta} SET TBLPROPERTIES ('delta.checkpointInterval' = '1')")
        self._spark.sql(f"ALTER TABLE {delta} UNSET TBLPROPERTIES ('delta.checkpointInterval')")
        entries = [one for one in self._output.entries(f"{self.path(table)}/_delta_log") if not one.is_folder]
        newest = max(_version(one.name) for one in entries if one.name.endswith(".json"))
        kept = max(_version(one.name) for one in entries if ".checkpoint." in one.name)
        # Delta goes on where it could not write a checkpoint.
        if kept < newest - 1:
            raise EtlError(f"the log of {table.name} could not be cleared: run again")
        for entry in entries:
            # What begins with a dot is the draft of a write that died.
            if entry.name.startswith(".") or _version(entry.name) < kept:
                self._output.remove(entry.path)

    def _has_history(self, table: Table) -> bool:
        """Whether there is a file, or anything in the log about one, that is not of the last version."""
        files = self._spark.read.format("delta").load(self.path(table)).inputFiles()
        last = {_name(file) for file in files}
        log = self._output.entries(f"{self.path(table)}/_delta_log")
        commits = [one for one in log if one.name.endswith(".json") and not one.is_hidden]
        drafts = [one for one in log if one.name.startswith(".")]
        if drafts or len(commits) > _FEW or any(one.name not in last for one in self._output.files(self.path(table))):
            return True
        told = (
            re.findall(r'^{"(?:add|remove)":{"path":"([^"]+)"', self._output.read_text(one.path), re.M)
            for one in commits
        )
        return any(_name(path) not in last for paths in told for path in paths)

    def _exists(self, table: Table) -> bool:
        # A first write that died leaves files, and perhaps a log without a commit: no table yet.
        log = f"{self.path(table)}/_delta_log"
        return self._output.entry(log) is not None and any(
            entry.name.endswith(".json") and not entry.is_hidden for entry in self._output.entries(log)
        )


HISTORY_OPTIONS = {
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
    # Files are listed by as many tasks, however few there are; it is 10,000 if not said otherwise.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
    # Two commits more for each table.
    "spark.databricks.delta.vacuum.logging.enabled": "false",
}
"""What Spark must be told for drop_history()."""


_FEW = 10
"""Commits that are read to see whether there is anything to clear. Delta makes a checkpoint after as many."""


def _name(path: str) -> str:
    """Of a data file, in which Delta writes nothing that a URI would escape."""
    return path.rpartition("/")[2]


def _version(name: str) -> float:
    """Of a file of Delta's log; infinite where it is of all."""
    match = re.match(r"(\d{20})\.", name)
    return int(match.group(1)) if match else math.inf


def _text(value: str) -> str:
    """`value` as SQL has it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@contextmanager
def _plain_conflicts(table: Table) -> Iterator[None]:
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        if "DELTA_CONCURRENT" in str(error):
            raise EtlError(f"another run changed {table.name} at the same time: run again") from error
        raise
