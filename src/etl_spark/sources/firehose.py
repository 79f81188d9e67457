"""Objects as Firehose delivers them, YYYY/MM/DD/HH/NAME below a root: which are new, and their bytes. One row each.

The hour is that of the arrival, in UTC, of the oldest record within.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.days import SourceFile
from etl_spark.core.errors import InputError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.uri import as_pattern

_SCHEMA = "path STRING, modificationTime TIMESTAMP, length LONG, content BINARY"

_NEVER = "36500d"
"""Spark forgets, and leaves out, what is that much older than the newest object."""


def arrival(name: str) -> datetime | None:
    """The hour that the name of an object tells, None where it tells none."""
    if not re.fullmatch(r"\d{4}/\d{2}/\d{2}/\d{2}/[^/]+", name, re.DOTALL):
        return None
    try:
        return datetime.strptime(name[:13], "%Y/%m/%d/%H").replace(tzinfo=UTC)
    except ValueError:
        return None


def verify_root(fs: FileSystem) -> None:
    """Raises InputError where there is no such folder, or one that has other folders than those of years.

    Asked before an object is looked at: what a stream has seen once it does not look at again.
    """
    if fs.entry(fs.root) is None:
        raise InputError(f"there is no source at {fs.shown()}")
    found = [entry.name for entry in fs.entries(fs.root) if not entry.is_hidden]
    if found and not any(re.fullmatch(r"\d{4}", name) for name in found):
        raise InputError(
            f"{fs.shown()} has no folder YYYY/MM/DD/HH: the source is the folder that has those, and not {found[0]}"
        )


def new_objects(spark: SparkSession, fs: FileSystem, max_objects: int) -> DataFrame:
    """A stream of the objects below the root, at any depth: path, size_bytes, modified_ms. The content is not read.

    Those of no bytes, which hold no record, are left out by Spark, and so are hidden ones.
    """
    objects = (
        spark.readStream.format("binaryFile")
        .schema(_SCHEMA)
        .option("recursiveFileLookup", "true")
        .option("maxFilesPerTrigger", str(max_objects))
        .option("maxFileAge", _NEVER)
        # What has been removed since it was listed is looked for once more, in vain, and must not hold the stream up.
        .option("ignoreMissingFiles", "true")
        .load(as_pattern(fs.root))
    )
    return objects.selectExpr("path", "length AS size_bytes", "unix_millis(modificationTime) AS modified_ms")


def as_source_file(
    fs: FileSystem, path: str, size_bytes: int, modified_ms: int, source_table: str
) -> SourceFile | None:
    """An object as a file of the day on which it arrived; None for one that is not below YYYY/MM/DD/HH/."""
    name = path.removeprefix(fs.path(""))
    arrived_at = arrival(name)
    if arrived_at is None:
        return None
    # The path serves for the URI too: it is told only where the object cannot be read.
    return SourceFile(arrived_at.date(), name, path, path, source_table, size_bytes, modified_ms)


def read_objects(spark: SparkSession, objects: Sequence[SourceFile]) -> DataFrame:
    """path and content (BINARY) of `objects`."""
    paths = [as_pattern(one.path) for one in objects]
    return spark.read.format("binaryFile").schema(_SCHEMA).load(paths).select("path", "content")
