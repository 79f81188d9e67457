"""The customers' profiles in a key-value store: full exports of the table, as DynamoDB writes them to S3.

An export has the customers who are registered by the end of its day, as they are then; an item in a line.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from etl_spark.pipelines.churn.generate_habits import CHANNELS, PLANS, Habits
from etl_spark.pipelines.sales.generate import Shop, below, customer_rows, shuffled

BUCKET, ACCOUNT, TABLE = "shop-exports", "123456789012", "profiles"
TABLE_ARN = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/{TABLE}"
ITEMS_OF_FILE = 50_000
"""At the most; an export has two files at the least."""
NO_POINTS_SHARE, BIG_SHARE = 0.05, 0.004
BIG = 4 * (2**53 + 1)
"""In quarters of a point, as all: more than a double holds exactly."""
as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
PLACES = ("", ".25", ".5", ".75")

# A fault makes another text of a sound item's.
FAULTS: tuple[Callable[[str], str], ...] = (
    lambda item: item.replace('"created_at"', '"created"'),
    lambda item: item.replace('"created_at":{"S":"', '"created_at":{"S":"on '),
    lambda item: item.replace('"customer_id"', '"id"'),
    lambda item: item.replace('"loyalty_points":{"N":"', '"loyalty_points":{"N":"about '),
    lambda item: item.replace('"plan":{"S":', '"plan":{"N":'),
    lambda item: item.replace('"loyalty_points":{"N":', '"loyalty_points":{"S":'),
    lambda item: item[:-25],
)
FAULT_SHARE, MOST_FAULTY = 0.0005, 0.008
"""Share of the items that each fault has, but one at the least as long as they all are no more than MOST_FAULTY."""


@dataclass(frozen=True)
class DataFile:
    name: str
    content: bytes
    item_count: int
    unzipped_bytes: int

    def manifest(self, folder: str) -> dict[str, object]:
        return {
            "itemCount": self.item_count,
            "md5Checksum": _md5(self.content),
            "etag": f"{hashlib.md5(self.content, usedforsecurity=False).hexdigest()}-1",
            "dataFileS3Key": f"{folder}/data/{self.name}",
        }


def write_export(day: date, output: Path, shop: Shop, habits: Habits) -> list[Path]:
    """Writes the export of the end of `day` below `output`/dt=YYYY-MM-DD; the manifest's summary comes last."""
    exported_at = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)
    export = f"0{int(exported_at.timestamp())}000-{_letters(f'{shop.seed} {day}', 8)}"
    place = f"dt={day}/AWSDynamoDB/{export}"
    files = list(_data_files(day, shop, habits))
    listed = "".join(f"{as_json(file.manifest(f'{TABLE}/{place}'))}\n" for file in files).encode()
    summary = as_json(_summary(f"{TABLE}/{place}", day, exported_at, files)).encode()
    contents = {f"data/{file.name}": file.content for file in files}
    for name, content in (("manifest-files", listed), ("manifest-summary", summary)):
        contents |= {f"{name}.md5": _md5(content).encode(), f"{name}.json": content}
    return [_write(output / place / name, content) for name, content in contents.items()]


def _summary(folder: str, day: date, exported_at: datetime, files: list[DataFile]) -> dict[str, object]:
    moment = f"{exported_at:%Y-%m-%dT%H:%M:%S}.000Z"
    return {
        "version": "2020-06-30",
        "exportArn": f"{TABLE_ARN}/export/{folder.rpartition('/')[2]}",
        "startTime": moment,
        "endTime": moment,
        "tableArn": TABLE_ARN,
        "tableId": "00000000-0000-4000-8000-000000000001",
        "exportTime": moment,
        "s3Bucket": BUCKET,
        "s3Prefix": f"{TABLE}/dt={day}",
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{folder}/manifest-files.json",
        "billedSizeBytes": sum(file.unzipped_bytes for file in files),
        "itemCount": sum(file.item_count for file in files),
        "outputFormat": "DYNAMODB_JSON",
        "exportType": "FULL_EXPORT",
    }


def _data_files(day: date, shop: Shop, habits: Habits) -> Iterator[DataFile]:
    today = day.toordinal()
    everybody = shuffled(np.random.default_rng([shop.seed, 6]), np.arange(habits.end.size))
    there = everybody[shop.customers.registered[everybody] <= today]
    items = _items(today, shop, habits)
    texts = [items[number] for number in there.tolist()]
    faults = _faults_of(today, len(texts))
    whole = np.array([place for place, text in enumerate(texts) if "loyalty_points" in text], np.int64)
    places = shuffled(np.random.default_rng([shop.seed, today, 4]), whole)
    for place, fault in zip(places.tolist(), faults, strict=False):
        texts[place] = fault(texts[place])
    for number, part in enumerate(np.array_split(np.arange(len(texts)), max(2, -(-len(texts) // ITEMS_OF_FILE)))):
        content = "".join(f"{texts[place]}\n" for place in part.tolist()).encode()
        name = f"{_letters(f'{shop.seed} {day} {number}', 26)}.json.gz"
        yield DataFile(name, zipped(content), part.size, len(content))


def _items(today: int, shop: Shop, habits: Habits) -> dict[int, str]:
    """The item of each customer who is registered, by number."""
    count = habits.end.size
    random = np.random.default_rng([shop.seed, 7])
    second, quarters, growth = below(random, 86_400, count), below(random, 20_000, count), below(random, 40, count)
    registered = shop.customers.registered
    points = quarters + growth * (today - registered) + np.where(random.random(count) < BIG_SHARE, BIG, 0)
    has_points = random.random(count) >= NO_POINTS_SHARE
    opt_ins = habits.opt_ins(today).T
    columns = (opt_ins, registered, second, habits.plans(today), points, has_points)
    rows = zip(customer_rows(shop.seed, registered), *(column.tolist() for column in columns), strict=True)
    return {
        number: _item(row, f"{date.fromordinal(on)}T{_clock(at)}Z", PLANS[plan], wanted, points if has else None)
        for number, (row, wanted, on, at, plan, points, has) in enumerate(rows)
        if on <= today
    }


def _item(row: dict[str, str], created_at: str, plan: str, wanted: list[bool], quarters: int | None) -> str:
    name, email, country, city = (as_json(row[key]) for key in ("name", "email", "country", "city"))
    chosen = [channel for channel, is_wanted in zip(CHANNELS, wanted, strict=True) if is_wanted]
    opt_ins = f',"opt_ins":{{"SS":{as_json(chosen)}}}' if chosen else ""
    points = "" if quarters is None else f',"loyalty_points":{{"N":"{quarters // 4}{PLACES[quarters % 4]}"}}'
    return (
        f'{{"Item":{{"customer_id":{{"S":"{row["customer_id"]}"}},"name":{{"S":{name}}},"email":{{"S":{email}}},'
        f'"created_at":{{"S":"{created_at}"}},"plan":{{"S":"{plan}"}},'
        f'"address":{{"M":{{"country":{{"S":{country}}},"city":{{"S":{city}}}}}}}{opt_ins}{points}}}}}'
    )


def _faults_of(today: int, count: int) -> list[Callable[[str], str]]:
    """Another one first each day, where there is no room for all."""
    first = today % len(FAULTS)
    faults = (FAULTS[first:] + FAULTS[:first]) * max(1, int(count * FAULT_SHARE))
    return list(faults[: int(count * MOST_FAULTY)])


def zipped(content: bytes) -> bytes:
    """Alike on every day and of every Python, whose gzip.compress has other headers in each."""
    stream = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as file:
        file.write(content)
    return stream.getvalue()


def _write(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.draft")
    draft.write_bytes(content)
    return draft.rename(file)


def _clock(second: int) -> str:
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


def _letters(of: str, count: int) -> str:
    return hashlib.sha256(of.encode()).hexdigest()[:count]


def _md5(content: bytes) -> str:
    return b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
