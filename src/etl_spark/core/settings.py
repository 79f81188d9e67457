"""The settings that every pipeline has, by the kind of its source."""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from etl_spark.core.database import is_database, parse_database
from etl_spark.core.dynamodb import is_live_table, parse_live_table
from etl_spark.core.errors import UsageError
from etl_spark.core.uri import refuse_credentials


def fingerprint(*deciding: Any) -> str:
    """The same for the same values, as JSON has them, on every machine."""
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """Where the input is, how much of it may be rejected, and which tables are exported beside those that always are.

    Raises UsageError for a value that cannot work.
    """

    reader_version: ClassVar[int] = 1
    """To be raised by a change of code that would judge the same row otherwise."""

    source: str
    max_rejected_share: float
    export_also: tuple[str, ...]

    def __post_init__(self) -> None:
        refuse_credentials(self.source)
        if not 0 <= self.max_rejected_share <= 1:
            raise UsageError(f"max_rejected_share is a share of 1, not {self.max_rejected_share}")

    @property
    def places(self) -> tuple[str, ...]:
        """Where anything is read."""
        return (self.source,)

    @property
    def rules_version(self) -> str:
        """A fingerprint of the rules and of the code that applies them: the same on every machine."""
        return fingerprint(self.reader_version, *self._deciding())

    def _deciding(self) -> tuple[Any, ...]:
        """What decides how a row is read and judged, as JSON has it."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class DailySettings(SourceSettings):
    """`rules` decides what becomes of a row: a day that was read by other rules is read again."""

    layout: str
    rules: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        directives = re.findall(r"%.?", self.layout)
        if sorted(set(directives)) != ["%Y", "%d", "%m"]:
            raise UsageError(f"layout '{self.layout}' must name the day by %Y, %m and %d, and by nothing else")

    def _deciding(self) -> tuple[Any, ...]:
        return (dataclasses.asdict(self.rules),)


@dataclass(frozen=True)
class CsvFormat:
    """How CSV extracts are written. `quoted_newlines` off lets a large file be read in parallel."""

    delimiter: str
    encoding: str
    quoted_newlines: bool

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise UsageError(f"csv.delimiter is one character, and no quote or newline, not '{self.delimiter}'")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise UsageError(f"csv.encoding: '{self.encoding}' is not the name of an encoding") from None


def check_date_formats(date_formats: Sequence[str]) -> None:
    """Raises UsageError for a pattern that cannot tell a day, by Spark's letters."""
    for pattern in date_formats:
        letters = {letter for letter in re.sub("'[^']*'", "", pattern) if letter.isalpha()}
        strangers = sorted(letters - set("GyMLdaHhKkmsSVzOXx"))
        if strangers or not ({"y", "d"} <= letters and {"M", "L"} & letters):
            raise UsageError(
                f"date_formats: '{pattern}' is no pattern of a day: yyyy is a year, MM or M a month, dd or d a day, "
                f"HH:mm:ss a time{f'; {strangers[0]} is nothing that is read' if strangers else ''}"
            )


@dataclass(frozen=True)
class JdbcReading:
    """How a database is read: rows fetched at a time, and queries that read a large table side by side."""

    fetch_size: int
    partitions: int

    def __post_init__(self) -> None:
        if self.fetch_size < 1 or self.partitions < 1:
            raise UsageError("jdbc.fetch_size and jdbc.partitions must be at least 1")


@dataclass(frozen=True)
class ItemReading:
    """Where the items of a key-value table are, and how a live table is scanned.

    `place` is a folder of exports, or dynamodb://TABLE?region=REGION. A live table is scanned in so many `segments`,
    side by side, which together consume no more than `capacity` units a second; 0 is for as much as the table gives.
    While the table throttles, a page is asked for again, for `patience` seconds.
    """

    place: str
    segments: int
    capacity: int
    patience: int

    def __post_init__(self) -> None:
        refuse_credentials(self.place)
        if is_live_table(self.place):
            parse_live_table(self.place)
        if not 1 <= self.segments <= 1_000_000:
            raise UsageError(f"segments is 1 to 1000000, as DynamoDB has it, not {self.segments}")
        if self.capacity < 0 or self.patience < 0:
            raise UsageError("capacity and patience are no less than 0")


@dataclass(frozen=True, kw_only=True)
class ItemSettings(SourceSettings):
    """Where `items` name no place, they are in the folder `profiles` of the source."""

    items: ItemReading

    @property
    def places(self) -> tuple[str, ...]:
        return (*super().places, self.item_reading.place)

    @property
    def item_reading(self) -> ItemReading:
        return dataclasses.replace(self.items, place=self.items.place or f"{self.source.rstrip('/')}/profiles")


@dataclass(frozen=True, kw_only=True)
class ExtractSettings(SourceSettings):
    """`date_formats` are Spark's patterns of dates that are not ISO, tried in their order."""

    date_formats: tuple[str, ...]
    csv: CsvFormat
    jdbc: JdbcReading

    def __post_init__(self) -> None:
        super().__post_init__()
        check_date_formats(self.date_formats)
        if is_database(self.source):
            parse_database(self.source)

    def _deciding(self) -> tuple[Any, ...]:
        return self.date_formats, dataclasses.asdict(self.csv)
