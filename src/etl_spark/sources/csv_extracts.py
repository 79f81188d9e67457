"""CSV extracts: which files a table has, and their rows as text. One row per row of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import reduce

import pyspark.sql.functions as F
import pyspark.sql.types as T
from pyspark.sql import Column, DataFrame, SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.core.days import SourceFile
from etl_spark.core.errors import InputError
from etl_spark.core.extract import MALFORMED, Extract, ExtractFile, missing
from etl_spark.core.filesystem import Entry, FileSystem
from etl_spark.core.local import local_frame
from etl_spark.core.settings import CsvFormat
from etl_spark.core.uri import as_pattern
from etl_spark.sources.dated_files import readable, source_file

DATED = re.compile(r"dt=([0-9]{4}-[0-9]{2}-[0-9]{2})")
"""The name of a folder that says as of which day what it holds is."""


class CsvExtracts:
    """The tables of a folder of CSV extracts."""

    def __init__(self, spark: SparkSession, root: str, csv: CsvFormat) -> None:
        self._spark, self._csv = spark, csv
        self._fs = FileSystem(spark, root)
        self.place = self._fs.root

    def find(self, extract: Extract, asked: DateRange) -> tuple[ExtractFile, ...]:
        return find_extracts(self._fs, extract.name, asked.end)

    def read(self, extract: Extract, files: Sequence[tuple[SourceFile, date]], asked: DateRange) -> DataFrame:
        return read_extract(self._spark, files, extract, self._csv)

    @contextmanager
    def readable(self, files: Sequence[SourceFile]) -> Iterator[None]:
        with readable(self._spark, files):
            yield


def find_extracts(fs: FileSystem, name: str, day: date) -> tuple[ExtractFile, ...]:
    """The files of the table `name`, each as of `day`.

    At the source's root, or in folders `dt=YYYY-MM-DD` there, stands `<name>.csv`, the same with `.gz`, or a folder
    `<name>` of files, which may be in folders `dt=YYYY-MM-DD` too. Raises InputError where there is none, or where a
    table stands there in more than one of these ways.
    """
    if fs.entry(fs.root) is None:
        raise InputError(f"there is no source at {fs.root}")
    places: list[tuple[str, date | None]] = [(fs.root, None)]
    places += [(entry.path, dated) for entry, dated in _dated_folders(fs, fs.root)]
    found = [one for folder, dated in places for one in _in_folder(fs, folder, name, dated)]
    if not found:
        there = ", ".join(entry.name for entry in fs.entries(fs.root)[:20]) or "nothing"
        raise InputError(f"there is no {name}.csv, {name}.csv.gz or {name}/ at {fs.root}, which holds {there}")
    if len({dated is None for _, dated in found}) > 1:
        raise InputError(f"{name} stands at {fs.root} both in folders dt=... and outside of them: keep one")
    return tuple(ExtractFile(source_file(fs, day, entry, name), dated) for entry, dated in found)


def _in_folder(fs: FileSystem, folder: str, name: str, dated: date | None) -> Iterator[tuple[Entry, date | None]]:
    candidates = (f"{folder}/{name}.csv", f"{folder}/{name}.csv.gz", f"{folder}/{name}")
    standing = [entry for entry in map(fs.entry, candidates) if entry]
    if len(standing) > 1:
        raise InputError(f"{name} stands at the source twice, keep one: {', '.join(one.path for one in standing)}")
    for entry in standing:
        if not entry.is_folder:
            yield entry, dated
            continue
        inside = [] if dated else _dated_folders(fs, entry.path)
        if not inside:
            yield from ((file, dated) for file in fs.files(entry.path))
        for inner, inner_date in inside:
            yield from ((file, inner_date) for file in fs.files(inner.path))


def _dated_folders(fs: FileSystem, folder: str) -> list[tuple[Entry, date]]:
    entries = [(entry, DATED.fullmatch(entry.name)) for entry in fs.entries(folder) if entry.is_folder]
    return [(entry, date.fromisoformat(match.group(1))) for entry, match in entries if match]


def read_extract(
    spark: SparkSession, files: Sequence[tuple[SourceFile, date]], extract: Extract, csv: CsvFormat
) -> DataFrame:
    """The rows of `files`, each as of its day: extract_date, file, malformed, and the columns of `extract` as text."""
    columns = {name: name for name in extract.column_names}
    return read_columns(spark, files, extract.name, columns, csv, optional=extract.optional)


def read_columns(
    spark: SparkSession,
    files: Sequence[tuple[SourceFile, date]],
    table: str,
    columns: Mapping[str, str],
    csv: CsvFormat,
    *,
    optional: Sequence[str] = (),
) -> DataFrame:
    """The rows of `files`, each as of its day: extract_date, file, malformed, and `columns` as text.

    `columns` has, by the name to give it, each column's name in the header, in lower case. One row per row of a file.
    `malformed` is the text of a row with more or fewer values than its file's header, null for every other. Columns are
    found by their name in the header, whatever its case and order; other columns are not read, and those of `optional`
    that a file does not have are null. A line end within quotes comes as a newline character. Raises InputError, naming
    file and column, where a column of `table` is missing.
    """
    by_header: dict[tuple[str, ...], list[SourceFile]] = {}
    for file, _ in files:
        header = _header(spark, file, csv)
        _require(table, list(columns.values()), optional, header, file)
        by_header.setdefault(header, []).append(file)
    rows = reduce(
        DataFrame.unionAll,
        (_read(spark, same, header, table=table, columns=columns, csv=csv) for header, same in by_header.items()),
    )
    names = local_frame(spark, [(file.uri, file.name, day) for file, day in files], _FILE_SCHEMA)
    # A left join: a row whose file is not known by its uri must fail the run (extract_date is a key), not vanish.
    return rows.join(F.broadcast(names), on="uri", how="left").drop("uri")


_FILE_SCHEMA = T.StructType(
    [
        T.StructField("uri", T.StringType()),
        T.StructField("file", T.StringType()),
        T.StructField("extract_date", T.DateType()),
    ]
)


def _header(spark: SparkSession, file: SourceFile, csv: CsvFormat) -> tuple[str, ...]:
    """The names of the file's columns, as its first row has them."""
    found = spark.read.options(**_options(csv), header="false").csv(as_pattern(file.path)).limit(1).collect()
    return tuple((value or "").strip().lstrip("\ufeff").strip().lower() for value in found[0]) if found else ()


def _require(
    table: str, wanted: Sequence[str], optional: Sequence[str], header: Sequence[str], file: SourceFile
) -> None:
    lacking = missing(wanted, header, optional)
    if lacking:
        raise InputError(
            f"{file.path} must have each column of {table} once: {', '.join(lacking)} "
            f"{'is' if len(lacking) == 1 else 'are'} not there, or twice; found: {', '.join(header) or 'no header'}"
        )


def _read(
    spark: SparkSession,
    files: Sequence[SourceFile],
    header: tuple[str, ...],
    *,
    table: str,
    columns: Mapping[str, str],
    csv: CsvFormat,
) -> DataFrame:
    # By position: names are the header's, and a name that stands there twice is none of the wanted ones.
    places = [T.StructField(f"c{place}", T.StringType()) for place in range(len(header))]
    schema = T.StructType([*places, T.StructField(MALFORMED, T.StringType())])
    rows = (
        spark.read.options(**_options(csv), header="true", columnNameOfCorruptRecord=MALFORMED)
        .schema(schema)
        .csv([as_pattern(file.path) for file in files])
    )
    # What is not among the wanted columns may be a secret, and a malformed row does not say which part is which.
    hidden = F.lit(f"a row of {table} with a wrong number of values, not shown as not all columns are read")
    shown = F.col(MALFORMED) if set(header) <= set(columns.values()) else F.when(F.col(MALFORMED).isNotNull(), hidden)
    return rows.select(
        F.input_file_name().alias("uri"),
        shown.alias(MALFORMED),
        *(_text(header, name).alias(given) for given, name in columns.items()),
    )


def _text(header: tuple[str, ...], name: str) -> Column:
    """The value under `name`, null where the header does not have it."""
    return F.col(f"c{header.index(name)}") if name in header else F.lit(None).cast("string")


def _options(csv: CsvFormat) -> dict[str, str]:
    return {
        "sep": csv.delimiter,
        "encoding": csv.encoding,
        "multiLine": str(csv.quoted_newlines).lower(),
        "quote": '"',
        "escape": '"',
        "mode": "PERMISSIVE",
        "maxCharsPerColumn": "-1",
    }
