"""Daily text files: which files a day has, and their lines. One row per file, and one row per line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date

import pyspark.sql.functions as F
import pyspark.sql.types as T
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession

from etl_spark.core.audit import from_milliseconds
from etl_spark.core.days import SourceFile
from etl_spark.core.errors import InputError
from etl_spark.core.filesystem import Entry, FileSystem
from etl_spark.core.local import local_frame
from etl_spark.core.uri import as_pattern

_LINE_SCHEMA = T.StructType(
    [T.StructField("date", T.DateType()), T.StructField("file", T.StringType()), T.StructField("line", T.StringType())]
)
_FILE_SCHEMA = T.StructType(
    [
        T.StructField("date", T.DateType()),
        T.StructField("file", T.StringType()),
        T.StructField("uri", T.StringType()),
        T.StructField("size_bytes", T.LongType()),
        T.StructField("modified_at", T.TimestampType()),
        T.StructField("checksum", T.StringType()),
    ]
)


def find_files(fs: FileSystem, layout: str, days: Iterable[date], *, source_table: str) -> tuple[SourceFile, ...]:
    """The files of each day. `layout` is a strftime pattern below the source's root, of a file or of a folder.

    At a day's name may stand a file, the same name with `.gz`, or a folder of files. Names are made from the days,
    never found by a pattern, so that a missing day is seen. Raises InputError where the root is missing, where a day
    stands there both plain and compressed, and for a `.gz` of no bytes, which no gzip ever wrote.
    """
    if fs.entry(fs.root) is None:
        raise InputError(f"there is no source at {fs.root}")
    return tuple(file for day in days for file in _day_files(fs, layout, day, source_table))


def _day_files(fs: FileSystem, layout: str, day: date, source_table: str) -> Iterator[SourceFile]:
    place = fs.path(day.strftime(layout).strip("/"))
    found = [entry for entry in (fs.entry(place), fs.entry(place + ".gz")) if entry]
    if len(found) > 1:
        raise InputError(f"{day} stands at the source twice, keep one: {found[0].path} and {found[1].path}")
    for entry in found:
        inside = fs.files(entry.path) if entry.is_folder else (entry,)
        for file in inside:
            yield source_file(fs, day, file, source_table)


def source_file(fs: FileSystem, day: date, entry: Entry, source_table: str) -> SourceFile:
    """`entry` of `fs` as a file of `day`. Raises InputError for a `.gz` of no bytes, which no gzip ever wrote."""
    if entry.name.endswith(".gz") and entry.size_bytes == 0:
        raise InputError(f"{entry.path} is not a gzip file: it has no bytes (an empty day is a gzip of nothing)")
    return as_source_file(fs, day, entry, source_table)


def as_source_file(fs: FileSystem, day: date, entry: Entry, source_table: str) -> SourceFile:
    """`entry` of `fs` as a file of `day`, whatever it holds."""
    return SourceFile(
        day=day,
        name=entry.path.removeprefix(fs.path("")),
        path=entry.path,
        uri=entry.uri,
        source_table=source_table,
        size_bytes=entry.size_bytes,
        modified_ms=entry.modified_ms,
        checksum=entry.checksum,
    )


def read_lines(spark: SparkSession, files: Sequence[SourceFile]) -> DataFrame:
    r"""The lines of `files`: date, file, line. One row per line, whatever its bytes.

    A line ends at `\n`, and one `\r` before that is no part of it. Hadoop's reader drops a UTF-8 byte order mark at
    the very start of a file.
    """
    if not files:
        return local_frame(spark, [], _LINE_SCHEMA)
    lines = _read_text(spark, files).select(_without_carriage_return().alias("line"), F.input_file_name().alias("uri"))
    names = F.broadcast(read_files(spark, files).select("date", "file", "uri"))
    # A left join: a line whose file is not known by its uri must fail the run (date is a key), not vanish.
    return lines.join(names, on="uri", how="left").select("date", "file", "line")


def _read_text(spark: SparkSession, files: Sequence[SourceFile]) -> DataFrame:
    # Without lineSep a bare \r ends a line too.
    return spark.read.option("lineSep", "\n").text([as_pattern(file.path) for file in files])


def _without_carriage_return() -> Column:
    # Cut as bytes: characters cannot be counted in what may not be text.
    cut = F.expr("CAST(substring(CAST(value AS BINARY), 1, octet_length(value) - 1) AS STRING)")
    return F.when(F.col("value").endswith("\r"), cut).otherwise(F.col("value"))


def read_files(spark: SparkSession, files: Sequence[SourceFile]) -> DataFrame:
    """One row per file: date, file (its name below the root), uri, size_bytes, modified_at (UTC), checksum."""
    rows = [
        (
            file.day,
            file.name,
            file.uri,
            file.size_bytes,
            None if file.modified_ms is None else from_milliseconds(file.modified_ms),
            file.checksum or None,
        )
        for file in files
    ]
    return local_frame(spark, rows, _FILE_SCHEMA)


@contextmanager
def readable(spark: SparkSession, files: Sequence[SourceFile]) -> Iterator[None]:
    """Turns Spark's failure to read one of `files` (a truncated gzip, a lost file) into an InputError that names it."""
    try:
        yield
    except (Py4JJavaError, PySparkException) as error:
        cause = re.search(r"java\.(?:io|util\.zip)\.\w+: (.+)", str(error))
        broken = _broken_file(spark, files, str(error)) if cause else None
        if cause is None or broken is None:
            raise
        raise InputError(
            f"cannot read {broken.path} to its end, it is truncated or damaged ({cause.group(1)})"
        ) from error


def _broken_file(spark: SparkSession, files: Sequence[SourceFile], error: str) -> SourceFile | None:
    """The file that Spark failed at. Spark 3.5 does not say which where it fails within a file: then each is tried."""
    for file in files:
        if f"while reading file {file.uri}." in error:
            return file
    for file in files:
        try:
            _read_text(spark, [file]).count()
        except (Py4JJavaError, PySparkException):
            return file
    return None
