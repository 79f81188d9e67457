"""One flat file, or a folder of them, as the tables that its lines tell. One row per row of such a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date

import pyspark.sql.functions as F
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession, Window

from etl_spark.core.dates import DateRange
from etl_spark.core.days import SourceFile
from etl_spark.core.errors import InputError
from etl_spark.core.extract import MALFORMED, Extract, ExtractFile
from etl_spark.core.filesystem import Entry, FileSystem
from etl_spark.core.flat import FlatMapping, Numbers, Told
from etl_spark.core.table import Column as TableColumn
from etl_spark.extracts import date_of, trimmed
from etl_spark.sources.csv_extracts import DATED, read_columns
from etl_spark.sources.dated_files import readable, source_file

LINE_AT = "line_at"
"""The column, beside the logical ones, of when a line is dated; null where that cannot be read."""
_NUMERIC = ("BIGINT", "DECIMAL", "INT")
_SPACES = " \u00a0\u2009\u202f"


class FlatFile:
    """The tables that one flat file tells, of its extracts up to the day `until`."""

    def __init__(self, spark: SparkSession, root: str, mapping: FlatMapping, until: date) -> None:
        self._spark, self._mapping, self._until = spark, mapping, until
        self._fs = FileSystem(spark, root)
        self.place = self._fs.root
        self._files: tuple[ExtractFile, ...] = ()
        self._lines: DataFrame | None = None

    def find(self, extract: Extract, asked: DateRange) -> tuple[ExtractFile, ...]:
        """The files, of the table of the lines; any other table is told by all of them, and is one file of no size."""
        found = find_flat_files(self._fs, self._mapping.lines.name, asked.end)
        self._files = tuple(one for one in found if one.extract_date is None or one.extract_date <= self._until)
        if extract.name == self._mapping.lines.name:
            return self._files
        latest = max((one.extract_date for one in self._files if one.extract_date), default=None)
        name = told_by_lines(extract)
        return (ExtractFile(SourceFile(asked.end, name, path=name, uri=name, source_table=extract.name), latest),)

    def read(self, extract: Extract, files: Sequence[tuple[SourceFile, date]], asked: DateRange) -> DataFrame:
        """The rows of the table, of all days. The file is read once for all of its tables, and kept on disk."""
        if self._lines is None:
            _, undated = files[0]
            each = [(one.file, one.extract_date or undated) for one in self._files]
            self._lines = read_lines(self._spark, each, self._mapping).persist(StorageLevel.DISK_ONLY)
        if extract.name == self._mapping.lines.name:
            return build_items(self._lines, self._mapping)
        if extract.name == self._mapping.dated.name:
            return build_orders(self._lines, self._mapping)
        return build_members(self._lines, extract, self._mapping)

    @contextmanager
    def readable(self, files: Sequence[SourceFile]) -> Iterator[None]:
        with readable(self._spark, [one.file for one in self._files]):
            yield


def told_by_lines(extract: Extract) -> str:
    """What stands for a file where a table is told by the lines of all of them."""
    return f"({extract.name})"


def find_flat_files(fs: FileSystem, table: str, day: date) -> tuple[ExtractFile, ...]:
    """The file at the source's root, or all `*.csv` and `*.csv.gz` below it, in folders `dt=YYYY-MM-DD` there or not.

    Raises InputError where there is none, and where some stand in such folders and others do not.
    """
    root = fs.entry(fs.root)
    if root is None:
        raise InputError(f"there is no source at {fs.root}")
    if not root.is_folder:
        return (ExtractFile(replace(source_file(fs, day, root, table), name=root.name)),)
    entries = [entry for entry in fs.files(fs.root) if entry.name.lower().endswith((".csv", ".csv.gz"))]
    if not entries:
        there = ", ".join(entry.name for entry in fs.entries(fs.root)[:20]) or "nothing"
        raise InputError(f"there is no *.csv or *.csv.gz at {fs.root}, which holds {there}")
    found = tuple(ExtractFile(source_file(fs, day, entry, table), _dated(fs, entry)) for entry in entries)
    if len({one.extract_date is None for one in found}) > 1:
        raise InputError(f"files stand at {fs.root} both in folders dt=... and outside of them: keep one")
    return found


def _dated(fs: FileSystem, entry: Entry) -> date | None:
    folder, _, inside = entry.path.removeprefix(fs.path("")).partition("/")
    match = DATED.fullmatch(folder)
    return date.fromisoformat(match.group(1)) if match and inside else None


def read_lines(spark: SparkSession, files: Sequence[tuple[SourceFile, date]], mapping: FlatMapping) -> DataFrame:
    """One row per line: extract_date, file, malformed, every logical column of `mapping` as text, and line_at.

    A logical column that is not mapped is null, and so are all of a malformed line.
    """
    headers = dict.fromkeys(header for told in mapping.columns.values() for header in told.headers)
    places = {header: f"h{place}" for place, header in enumerate(headers)}
    rows = read_columns(spark, files, "the mapping", {place: header for header, place in places.items()}, mapping.csv)
    types = {column.name: column for table in mapping.tables for column in table.columns}
    texts = (
        F.when(F.col(MALFORMED).isNull(), _text(mapping.columns[name], types[name], places, mapping.numbers))
        if name in mapping.columns
        else F.lit(None).cast("string")
        for name in mapping.logical_columns
    )
    named = (text.alias(name) for name, text in zip(mapping.logical_columns, texts, strict=True))
    lines = rows.select("extract_date", "file", MALFORMED, *named)
    return lines.withColumn(LINE_AT, date_of(mapping.day, mapping.date_formats))


def _text(told: Told, column: TableColumn, places: dict[str, str], numbers: Numbers) -> Column:
    """The text of the logical `column`; of several columns that tell it, each must have one."""
    if told.value is not None:
        return F.lit(told.value)
    first, *others = (trimmed(F.col(places[header])) for header in told.headers)
    text = F.concat(first, *(part for other in others for part in (F.lit("-"), other)))
    if told.remove is not None:
        text = trimmed(F.regexp_replace(text, told.remove, ""))
    if told.shorten and column.length:
        cut = F.concat(F.substring(text, 1, column.length - 33), F.lit("-"), F.md5(text))
        text = F.when(F.length(text) > column.length, cut).otherwise(text)
    return plain_number(text, numbers) if column.type.partition("(")[0] in _NUMERIC else text


def plain_number(text: Column, numbers: Numbers) -> Column:
    """`text` as a plain decimal number if it is written just as `numbers` says, else as it is.

    Where it would then be taken for another number than was meant, such as 1.50 where the decimal sign is a comma, it
    stands in quotes.
    """
    point = re.escape(numbers.decimal_sign)
    thousands = f"[{_SPACES}]" if numbers.thousands_sign == " " else re.escape(numbers.thousands_sign)
    whole = f"[0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|[0-9]+" if thousands else "[0-9]+"
    digits = f"(?:(?:{whole})(?:{point}[0-9]+)?|{point}[0-9]+)"
    forms = [f"[+-]?{digits}"]
    unsigned = [digits]
    currency = "|".join(re.escape(name.strip()) for name in numbers.currencies)
    if currency:
        lead, trail = f"(?:{currency})[{_SPACES}]?", f"[{_SPACES}]?(?:{currency})"
        forms += [f"[+-]?{digits}{trail}", f"[+-]?{lead}{digits}", f"{lead}[+-]{digits}"]
        unsigned += [f"{digits}{trail}", f"{lead}{digits}"]
    bracketed = rf"\((?:{'|'.join(unsigned)})\)"
    if numbers.brackets_are_negative:
        forms.append(bracketed)
    # A currency goes first: it may have a point of its own, as in Rs.
    surplus = f"{currency}|[^0-9{point}+-]" if currency else f"[^0-9{point}+-]"
    bare = F.translate(F.regexp_replace(text, surplus, ""), numbers.decimal_sign, ".")
    is_negative = text.startswith("(")
    plain = F.when(is_negative, F.concat(F.lit("-"), bare)).otherwise(bare)
    other = text.rlike(r"^[+-]?[0-9.]+$") if numbers.decimal_sign != "." else F.lit(False)
    meant = F.when(text.rlike(r"^[+-]?[0-9]+$"), text).when(text.rlike(f"^(?:{'|'.join(forms)})$"), plain)
    return meant.when(other, F.concat(F.lit('"'), text, F.lit('"'))).otherwise(text)


def build_items(lines: DataFrame, mapping: FlatMapping) -> DataFrame:
    """One row per line. Its key, where none is mapped, is that of its order and the number of the line there.

    Lines are numbered in the order of their texts, wherever they stand. Of equal lines of an extract all but the first,
    by the name of the file, are marked as repeated; where these are dropped they have the number of the first.
    """
    table = mapping.lines
    (key,) = table.key
    texts = [MALFORMED, *(name for name in mapping.logical_columns if name in mapping.columns)]
    same_order = Window.partitionBy("extract_date", mapping.group).orderBy(*texts, "file")
    line = F.struct(*texts)
    marked = lines.withColumn(mapping.repeated, line.eqNullSafe(F.lag(line).over(same_order)))
    if key not in mapping.columns:
        is_new = F.lit(1) if mapping.repeated_lines == "keep" else F.when(F.col(mapping.repeated), 0).otherwise(1)
        number = F.sum(is_new).over(same_order.rowsBetween(Window.unboundedPreceding, Window.currentRow))
        # Never null, so that a line without an order is told by that.
        made = F.concat(F.coalesce(mapping.group, F.lit("")), F.lit("-"), number.cast("string"))
        marked = marked.withColumn(key, made)
    columns = (F.col(name).cast("string").alias(name) for name in table.column_names)
    return marked.select("extract_date", "file", MALFORMED, *columns)


def build_orders(lines: DataFrame, mapping: FlatMapping) -> DataFrame:
    """One row per extract and order: the earliest date of its lines, and the greatest of any other text.

    Of lines without a date that can be read, and one of the days that there are, nothing is told.
    """
    table = mapping.dated
    earliest = F.min(F.struct(LINE_AT, mapping.day)).getField(mapping.day)
    others = (F.max(name).alias(name) for name in table.column_names if name not in (mapping.day, mapping.group))
    rows = (
        _dated_lines(lines, mapping, mapping.group)
        .groupBy("extract_date", mapping.group)
        .agg(earliest.alias(mapping.day), *others)
    )
    return _as_extract(rows, table)


def build_members(lines: DataFrame, table: Extract, mapping: FlatMapping) -> DataFrame:
    """One row per key of `table`, as of its latest extract: each attribute as the latest line has it that has one.

    Of lines of the same date, that of the latest extract and then the greatest text counts.
    """
    (key,) = table.key
    attributes = [name for name in table.column_names if name != key]

    def latest(name: str) -> Column:
        told = F.when(F.col(name).isNotNull(), F.struct(LINE_AT, "extract_date", name))
        return F.max(told).getField(name).alias(name)

    rows = (
        _dated_lines(lines, mapping, key)
        .groupBy(key)
        .agg(F.max("extract_date").alias("extract_date"), *(latest(name) for name in attributes))
    )
    return _as_extract(rows, table)


def _dated_lines(lines: DataFrame, mapping: FlatMapping, key: str) -> DataFrame:
    is_of_a_day = F.to_date(LINE_AT).between(F.lit(mapping.days.start), F.lit(mapping.days.end))
    return lines.where(F.col(key).isNotNull() & is_of_a_day)


def _as_extract(rows: DataFrame, table: Extract) -> DataFrame:
    """`rows`, as extracts.clean() takes those of `table`."""
    return rows.select(
        "extract_date",
        F.lit(told_by_lines(table)).alias("file"),
        F.lit(None).cast("string").alias(MALFORMED),
        *table.column_names,
    )
