"""A live table of DynamoDB, scanned in segments by Spark's workers. One row per item.

A worker needs this module and boto3, and credentials that AWS's usual chain finds on its machine: none are sent there.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import boto3
import pyspark.sql.functions as F
import pyspark.sql.types as T
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from py4j.protocol import Py4JJavaError
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.days import SourceFile
from etl_spark.core.dynamodb import LiveTable
from etl_spark.core.errors import InputError, UsageError
from etl_spark.core.local import local_frame
from etl_spark.core.settings import ItemReading
from etl_spark.core.step import Items

THROTTLED = (
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingError",
    "ThrottlingException",
)
_LONGEST_PAUSE = 20.0
_ATTEMPTS = 3
"""How often botocore itself asks, slowing down as it is throttled."""

_SCHEMA = T.StructType([T.StructField("file", T.StringType()), T.StructField("line", T.StringType())])


@dataclass(frozen=True)
class Scan:
    """What a worker is told: what to ask for, of which table, where, and how fast.

    `units` are those of capacity a second that one segment may consume, None for any number. A page is asked for
    again, while the table throttles, for `patience` seconds.
    """

    table: str
    region: str
    endpoint: str
    attributes: tuple[str, ...]
    segments: int
    units: float | None
    patience: float

    def name(self, segment: int) -> str:
        return f"{self.table}/segment-{segment:04}"

    @property
    def request(self) -> dict[str, Any]:
        # By placeholders: DynamoDB reserves 573 words, `plan` among them.
        names = {f"#a{place}": name for place, name in enumerate(self.attributes)}
        return {
            "TableName": self.table,
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
            "ConsistentRead": True,
            "ReturnConsumedCapacity": "TOTAL",
        }


class ScanError(Exception):
    """What a worker could not read, in one line; the driver finds it in what Spark tells of a failed task."""


class LiveItems:
    """A table as it is now, as of `day`: the segments are its files."""

    is_live = True

    def __init__(self, spark: SparkSession, table: LiveTable, source: Items, reading: ItemReading, day: date) -> None:
        self._spark, self._source_table, self._day = spark, source.name, day
        try:
            self._client = client(table.region, None)
        except NoRegionError:
            raise UsageError(
                f"no region is known of the table {table.name}: name it dynamodb://{table.name}?region=REGION"
            ) from None
        meta = self._client.meta
        self.place = f"dynamodb://{table.name}?region={meta.region_name}"
        self._scan = Scan(
            table=table.name,
            region=meta.region_name,
            # Resolved once, so that all workers ask where the driver has asked.
            endpoint=meta.endpoint_url,
            attributes=source.attributes,
            segments=reading.segments,
            units=reading.capacity / reading.segments if reading.capacity else None,
            patience=reading.patience,
        )

    def find(self) -> Mapping[date, tuple[SourceFile, ...]]:
        names = (self._scan.name(segment) for segment in range(self._scan.segments))
        return {self._day: tuple(SourceFile(self._day, name, name, name, self._source_table) for name in names)}

    def verify(self, files: Sequence[SourceFile]) -> None:
        """Asks for an item, as the workers will. Raises InputError where the table is not there, or not for us."""
        if not files:
            return
        try:
            self._client.scan(**self._scan.request, Limit=1)
        except NoCredentialsError:
            raise UsageError(f"{self.place} needs credentials of AWS, and its usual chain has none") from None
        except (BotoCoreError, ClientError) as error:
            raise InputError(self._in_words(_why(error))) from None

    def read(self, files: Sequence[SourceFile]) -> DataFrame:
        """The items, each once: extract_date, file (TABLE/segment-0003), line.

        They are kept on disk until the session's cache is cleared: a second scan would cost as much, and find others.
        """
        if not files:
            return local_frame(self._spark, [], _SCHEMA).select(self._extract_date(), *_SCHEMA.names)
        segments = range(self._scan.segments)
        rows = self._spark.sparkContext.parallelize(segments, len(segments)).flatMap(partial(scan_segment, self._scan))
        items = self._spark.createDataFrame(rows, _SCHEMA, verifySchema=False)
        return items.select(self._extract_date(), *_SCHEMA.names).persist(StorageLevel.DISK_ONLY)

    @contextmanager
    def readable(self, files: Sequence[SourceFile]) -> Iterator[None]:
        """Raises InputError for what AWS, or the way there, told a worker."""
        try:
            yield
        except (Py4JJavaError, PySparkException) as error:
            told = re.search(rf"{ScanError.__name__}: (.+)", str(error))
            if told is None:
                raise
            raise InputError(self._in_words(told.group(1))) from None

    def _in_words(self, why: str) -> str:
        return f"cannot scan {self.place}: {why}"

    def _extract_date(self) -> Any:
        return F.lit(self._day).alias("extract_date")


def client(region: str | None, endpoint: str | None) -> Any:
    retries = {"mode": "adaptive", "total_max_attempts": _ATTEMPTS}
    config = Config(retries=retries, connect_timeout=10, read_timeout=60)
    # A session of its own: boto3's shared one is for one thread, and keeps the credentials that it found first.
    return boto3.session.Session().client("dynamodb", region_name=region, endpoint_url=endpoint, config=config)


def scan_segment(scan: Scan, segment: int) -> Iterator[tuple[str, str]]:
    """The items of one segment, as rows of `file` and `line`. Runs in a worker. Raises ScanError."""
    try:
        dynamodb = client(scan.region, scan.endpoint)
        request = {**scan.request, "Segment": segment, "TotalSegments": scan.segments}
        for items in pages(dynamodb, request, scan.units, scan.patience):
            for item in items:
                yield scan.name(segment), as_exported(item)
    except (BotoCoreError, ClientError) as error:
        raise ScanError(_why(error)) from None


def pages(
    dynamodb: Any, request: Mapping[str, Any], units: float | None, patience: float
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The items of each page, of which so many `units` of capacity are consumed a second.

    A page is to take a second's units at most: one of 1 MB, as DynamoDB makes them, would take 256 at once.
    """
    limit = {"Limit": max(int(units), 1)} if units else {}
    start: dict[str, Any] = {}
    while True:
        page = patiently(dynamodb, {**request, **limit, **start}, patience)
        answered_at = time.monotonic()
        yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        if units:
            consumed = float(page["ConsumedCapacity"]["CapacityUnits"])
            if consumed:
                limit = {"Limit": max(int(units * page["ScannedCount"] / consumed), 1)}
            time.sleep(max(answered_at + consumed / units - time.monotonic(), 0.0))


def patiently(dynamodb: Any, request: Mapping[str, Any], patience: float) -> Mapping[str, Any]:
    """The page that `request` asks for, however often it is throttled within so many seconds."""
    deadline, pause = time.monotonic() + patience, 1.0
    while True:
        try:
            found: Mapping[str, Any] = dynamodb.scan(**request)
            return found
        except ClientError as error:
            if error.response["Error"]["Code"] not in THROTTLED or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def as_exported(item: Mapping[str, Any]) -> str:
    """The item as an export has it: numbers as text, bytes in base64. The same for the same item."""
    return json.dumps({"Item": item}, sort_keys=True, separators=(",", ":"), default=_base64)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _why(error: Exception) -> str:
    """The failure in one line."""
    if isinstance(error, ClientError):
        told = error.response.get("Error", {})
        if told.get("Code") == "ResourceNotFoundException":
            return "there is no such table"
        return " ".join(f"{told.get('Code', 'refused')}: {told.get('Message', '')}".split())
    return " ".join(str(error).split())
