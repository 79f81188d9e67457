"""DynamoDB's exports to S3, or copies of them: which there are, whether they are whole, their items as text.

An export is a folder AWSDynamoDB/<export id> of two manifests, each with its MD5 beside it, and data files: gzip, one
item a line as {"Item": {...}}. The summary says what was exported, and as of when; the other names the data files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.days import SourceFile
from etl_spark.core.errors import InputError
from etl_spark.core.filesystem import Entry, FileSystem
from etl_spark.sources.csv_extracts import DATED
from etl_spark.sources.dated_files import as_source_file, read_lines, readable

Parsed = TypeVar("Parsed")

FOLDER = "AWSDynamoDB"
"""What DynamoDB puts its exports into, below the prefix that it was given."""

_AT_ONCE = 8
"""Small files read, or large ones proved, at the same time."""


@dataclass(frozen=True)
class DataFile:
    """A data file that stands there, and what the manifest says of it."""

    file: SourceFile
    md5: str
    items: int


@dataclass(frozen=True)
class Export:
    """An export whose manifests are sound and whose data files are there. `made_at` is the moment it is as of."""

    day: date
    place: str
    made_at: datetime
    table: str
    files: tuple[DataFile, ...]


class Exports:
    """The exports below a folder, up to the day `until`.

    In a folder dt=YYYY-MM-DD, an export is as of that day; without one, of the UTC day of its exportTime. Of a day's
    exports, the latest counts.
    """

    is_live = False

    def __init__(self, spark: SparkSession, root: str, source_table: str, until: date) -> None:
        self._spark, self._source_table, self._until = spark, source_table, until
        self._fs = FileSystem(spark, root)
        self.place = self._fs.root
        self._described: dict[SourceFile, DataFile] = {}

    def find(self) -> Mapping[date, tuple[SourceFile, ...]]:
        """The data files of each day's export. Raises InputError, naming it, for one that is not whole or not ours."""
        if self._fs.entry(self._fs.root) is None:
            raise InputError(f"there is no source at {self._fs.root}")
        folders = tuple(self._folders())
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            read = pool.map(lambda one: read_export(self._fs, *one, source_table=self._source_table), folders)
            exports = [one for one in read if one.day <= self._until]
        if not exports:
            there = ", ".join(entry.name for entry in self._fs.entries(self._fs.root)[:20]) or "nothing"
            raise InputError(f"{self.place} has no export up to {self._until}, it holds {there}")
        _require_one_table(exports)
        by_day = _latest_of_day(exports)
        self._described = {one.file: one for export in by_day.values() for one in export.files}
        return {day: tuple(one.file for one in export.files) for day, export in by_day.items()}

    def verify(self, files: Sequence[SourceFile]) -> None:
        """Raises InputError, naming it, for a file that does not have the bytes and the items of its manifest."""
        described = [self._described[file] for file in files]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for one, md5 in zip(described, pool.map(lambda one: self._fs.md5(one.file.path), described), strict=True):
                if one.md5 != _base64(md5):
                    raise InputError(f"{one.file.path} is damaged: its MD5 is not that of the manifest")
        with self.readable(files):
            rows = read_lines(self._spark, files).groupBy("file").count().collect()
        counted = {row["file"]: row["count"] for row in rows}
        for one in described:
            found = counted.get(one.file.name, 0)
            if found != one.items:
                raise InputError(f"{one.file.path} holds {found} items, and the manifest says {one.items}")

    def read(self, files: Sequence[SourceFile]) -> DataFrame:
        return read_lines(self._spark, files).withColumnRenamed("date", "extract_date")

    @contextmanager
    def readable(self, files: Sequence[SourceFile]) -> Iterator[None]:
        with readable(self._spark, files):
            yield

    def _folders(self) -> Iterator[tuple[Entry, date | None]]:
        """The folder of each export, and the day that it stands under, where that is not after the last."""
        for entry in self._fs.entries(self._fs.root):
            match = DATED.fullmatch(entry.name)
            if entry.name == FOLDER and entry.is_folder:
                yield from ((one, None) for one in self._inside(entry.path))
            elif match and entry.is_folder and date.fromisoformat(match.group(1)) <= self._until:
                inside = self._inside(f"{entry.path}/{FOLDER}")
                if not inside:
                    raise InputError(f"{entry.path} holds no export, which would be a folder {FOLDER}/<export id>")
                yield from ((one, date.fromisoformat(match.group(1))) for one in inside)

    def _inside(self, folder: str) -> list[Entry]:
        if self._fs.entry(folder) is None:
            return []
        return [one for one in self._fs.entries(folder) if one.is_folder and not one.is_hidden]


def read_export(fs: FileSystem, folder: Entry, dated: date | None, *, source_table: str) -> Export:
    """The export in `folder`, as of the day `dated`. Raises InputError, naming it, for one that is not whole or ours.

    Its data files are found by what follows the export's id in their keys, so that a copy is as good.
    """
    entries = {entry.name: entry for entry in fs.entries(folder.path)}
    summary = _parse(folder, lambda: json.loads(_manifest(fs, folder, entries, "manifest-summary")))
    text = _manifest(fs, folder, entries, "manifest-files")
    named = _parse(folder, lambda: [json.loads(line) for line in text.splitlines() if line.strip()])
    return _parse(folder, lambda: _checked(fs, folder, dated, summary, named, source_table=source_table))


def _parse(folder: Entry, manifest: Callable[[], Parsed]) -> Parsed:
    try:
        return manifest()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the export {folder.path} is damaged: its manifests are not as DynamoDB's: {error}") from None


def _manifest(fs: FileSystem, folder: Entry, entries: Mapping[str, Entry], name: str) -> str:
    """The text of a manifest, which must have the MD5 that stands beside it."""
    if f"{name}.json" not in entries:
        raise InputError(
            f"the export {folder.path} is incomplete: it has no {name}.json, which is written when all else is there"
        )
    text = fs.read_text(entries[f"{name}.json"].path)
    # It is written as .md5, and documented as .checksum.
    for beside in (f"{name}.md5", f"{name}.checksum"):
        found = _base64(hashlib.md5(text.encode(), usedforsecurity=False).digest())
        if beside in entries and fs.read_text(entries[beside].path).strip() != found:
            raise InputError(f"the export {folder.path} is damaged: {name}.json does not have the MD5 of {beside}")
    return text


def _checked(
    fs: FileSystem,
    folder: Entry,
    dated: date | None,
    summary: Mapping[str, Any],
    named: Sequence[Mapping[str, Any]],
    *,
    source_table: str,
) -> Export:
    if summary["outputFormat"] != "DYNAMODB_JSON" or summary.get("exportType", "FULL_EXPORT") != "FULL_EXPORT":
        kind = f"{summary.get('exportType', 'FULL_EXPORT')} in {summary['outputFormat']}"
        raise InputError(f"the export {folder.path} is {kind}: only FULL_EXPORT in DYNAMODB_JSON is read")
    if not str(summary["exportArn"]).endswith(f"/export/{folder.name}"):
        raise InputError(f"the export {folder.path} is foreign: its manifest is of {summary['exportArn']}")
    made_at = datetime.fromisoformat(summary["exportTime"]).astimezone(UTC)
    # Made at midnight, it is of the day that has just ended; a pipeline that is late makes it some hours after.
    if dated and made_at.date() > dated + timedelta(days=1):
        raise InputError(f"the export {folder.path} is of {made_at:%Y-%m-%d %H:%M}, and not as of {dated}")
    day = dated or made_at.date()
    standing = fs.entries(f"{folder.path}/data") if fs.entry(f"{folder.path}/data") else []
    there = {f"data/{entry.name}": entry for entry in standing}
    names = [_below(folder, str(one["dataFileS3Key"])) for one in named]
    missing = sorted(set(names) - set(there))
    if missing:
        raise InputError(
            f"the export {folder.path} is incomplete: {len(missing)} of {len(names)} data files are not there, "
            f"such as {missing[0]}"
        )
    files = tuple(
        DataFile(as_source_file(fs, day, there[name], source_table), str(one["md5Checksum"]), int(one["itemCount"]))
        for name, one in sorted(zip(names, named, strict=True), key=lambda pair: pair[0])
    )
    total = sum(one.items for one in files)
    if not files or len(set(names)) != len(names) or total != int(summary["itemCount"]):
        raise InputError(
            f"the export {folder.path} is damaged: its files hold {total} items, and the export {summary['itemCount']}"
        )
    return Export(day, folder.path, made_at, _table(summary["tableArn"]), files)


def _below(folder: Entry, key: str) -> str:
    """The name of a data file below the export's folder, told from its key in the bucket that it was exported to."""
    match = re.fullmatch(rf"(?:.*/)?{FOLDER}/{re.escape(folder.name)}/(data/[^/]+)", key)
    if match is None:
        raise InputError(f"the export {folder.path} is foreign: its manifest names {key}")
    return match.group(1)


def _table(arn: str) -> str:
    """The name of the table; its region and account may have been others once."""
    return arn.rpartition(":table/")[2]


def _require_one_table(exports: Sequence[Export]) -> None:
    first = exports[0]
    for one in exports[1:]:
        if one.table != first.table:
            raise InputError(f"{one.place} is of the table {one.table}, and {first.place} of {first.table}: keep one")


def _latest_of_day(exports: Iterable[Export]) -> dict[date, Export]:
    latest: dict[date, Export] = {}
    for one in sorted(exports, key=lambda one: (one.day, one.made_at)):
        other = latest.get(one.day)
        if other and other.made_at == one.made_at:
            raise InputError(f"{one.day} has two exports of the same moment, keep one: {other.place} and {one.place}")
        latest[one.day] = one
    return latest


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
