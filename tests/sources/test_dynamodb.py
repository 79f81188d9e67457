"""Items of DynamoDB: exports that are whole and those that are not, and a live table scanned by other processes."""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from etl_spark.core.audit import AuditRow, Reading
from etl_spark.core.dates import DateRange
from etl_spark.core.dynamodb import LiveTable, parse_live_table
from etl_spark.core.errors import EtlError, InputError, UsageError
from etl_spark.core.request import Request
from etl_spark.core.settings import ItemReading
from etl_spark.core.step import Items, items
from etl_spark.sources.dynamodb import ItemSource
from etl_spark.sources.dynamodb_scan import as_exported
from tests.databases import Server, s3_client
from tests.dynamodb import ITEMS_A_UNIT, Door, door, fill_table, md5, write_export, write_manifest

PROFILES = Items("profiles", "", attributes=("customer_id", "plan", "address", "opt_ins", "loyalty_points", "photo"))
D30, D31, D1 = date(2024, 1, 30), date(2024, 1, 31), date(2024, 2, 1)
REQUEST = Request("run", DateRange(date(2024, 1, 1), D31), "out", ())
ANN, BOB, EVE = ({"customer_id": {"S": name}} for name in ("Ann", "Bob", "Eve"))


def how(place: object, segments: int = 1, capacity: int = 0, patience: int = 0) -> ItemReading:
    return ItemReading(str(place), segments, capacity, patience)


def open_source(spark: SparkSession, reading: ItemReading | Path, **request: Any) -> ItemSource:
    reading = how(reading) if isinstance(reading, Path) else reading
    return ItemSource(spark, PROFILES, reading, replace(REQUEST, **request), rules="r1")


def audit(spark: SparkSession, source: ItemSource, rules: str = "r1") -> list[AuditRow]:
    """What a run leaves that has read what `source` had to read."""
    reading = Reading("churn", source.place, rules, "run", "money")
    return reading.audit(source.files_to_read, spark.range(0))


def read(source: ItemSource) -> list[Row]:
    with source.readable():
        return sorted(source.read(items(PROFILES)).collect())


def names(rows: Sequence[Row]) -> list[tuple[date, str]]:
    return [(row.extract_date, json.loads(row.line)["Item"]["customer_id"]["S"]) for row in rows]


# Exports


def test_each_export_up_to_the_last_asked_day_is_read_as_of_its_day(spark: SparkSession, tmp_path: Path) -> None:
    write_export(tmp_path / "dt=2024-01-30", [[ANN], [BOB, EVE], []], made_at="2024-01-31T00:10:00Z")
    write_export(tmp_path, [[EVE]], made_at="2024-01-31T22:00:00+00:00")
    write_export(tmp_path, [[ANN]], made_at="2024-01-31T23:00:00+00:00", export_id="0170-later")
    write_export(tmp_path, [[BOB]], made_at="2024-01-31T23:30:00-01:00", export_id="0170-of-february")
    (tmp_path / "dt=2024-02-01" / "AWSDynamoDB" / "still-being-made").mkdir(parents=True)
    (tmp_path / "README").write_text("not an export")
    # A file that no manifest names, and one that DynamoDB leaves.
    (next((tmp_path / "dt=2024-01-30").rglob("data")) / "other.json.gz").write_bytes(gzip.compress(b"x\n"))
    source = open_source(spark, tmp_path)
    assert source.audited_days == (D30, D31)
    assert source.plan([]) == "2 extracts, 2024-01-30 to 2024-01-31: 2 to read, 0 known"
    rows = read(source)
    assert names(rows) == [(D30, "Ann"), (D30, "Bob"), (D30, "Eve"), (D31, "Ann")]
    assert rows[0].file == f"dt=2024-01-30/AWSDynamoDB/01706742000000-a1b2c3d4/data/{0:026}.json.gz"
    assert rows[0].line == '{"Item":{"customer_id":{"S":"Ann"}}}'
    assert source.to_replace == source.extract_dates == source.days("asked") == (D30, D31)
    assert [file.size_bytes for file in source.files_to_read][2] == 0
    assert source.coverage == {
        "extract_dates": (D30, D31),
        "extracts_read": (D30, D31),
        "files_read": {"profiles": 4},
    }
    source.verify_unchanged()
    write_export(tmp_path, [[EVE]], made_at="2024-01-31T23:30:00Z", export_id="0170-latest")
    with pytest.raises(InputError, match="changed while they were read"):
        source.verify_unchanged()


def test_an_export_that_is_known_is_not_read_again(spark: SparkSession, tmp_path: Path) -> None:
    write_export(tmp_path / "dt=2024-01-30", [[ANN], [BOB]])
    write_export(tmp_path / "dt=2024-01-31", [[EVE]])
    first = open_source(spark, tmp_path)
    first.plan([])
    known = audit(spark, first)
    second = open_source(spark, tmp_path)
    assert second.plan(known) == "2 extracts, 2024-01-30 to 2024-01-31: 0 to read, 2 known"
    assert (second.known, second.to_replace, second.files_to_read) == ((D30, D31), (), ())
    assert second.days("asked") == (D30, D31)
    assert read(second) == []
    for changed in (known[1:], audit(spark, first, "r2")[:2] + known[2:]):
        again = open_source(spark, tmp_path)
        again.plan(changed)
        assert (again.to_replace, again.known) == ((D30,), (D31,))
        assert names(read(again)) == [(D30, "Ann"), (D30, "Bob")]
    refreshed = open_source(spark, tmp_path, refresh=True)
    refreshed.plan(known)
    assert refreshed.to_replace == (D30, D31)


def of_summary(**told: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        summary = json.loads((folder / "manifest-summary.json").read_text())
        write_manifest(folder, "manifest-summary", json.dumps(summary | told))

    return change


def of_files(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        named = [json.loads(line) for line in (folder / "manifest-files.json").read_text().splitlines()]
        change(named)
        write_manifest(folder, "manifest-files", "\n".join(map(json.dumps, named)))

    return changed


def first_file(folder: Path) -> Path:
    return min((folder / "data").iterdir())


def of_data(content: bytes, **told: Any) -> Callable[[Path], None]:
    """The first data file is `content`, which its manifest tells the MD5 of, and `told`."""

    def change(folder: Path) -> None:
        first_file(folder).write_bytes(content)
        of_files(lambda named: named[0].update({"md5Checksum": md5(content), **told}))(folder)

    return change


FAULTS: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "no summary": (lambda folder: (folder / "manifest-summary.json").unlink(), "incomplete: it has no manifest-summ"),
    "no list": (lambda folder: (folder / "manifest-files.json").unlink(), "incomplete: it has no manifest-files.json"),
    "nothing at all": (shutil.rmtree, "holds no export"),
    "no file": (lambda folder: first_file(folder).unlink(), "incomplete: 1 of 2 data files are not"),
    "no data": (lambda folder: shutil.rmtree(folder / "data"), "incomplete: 2 of 2 data files are not there"),
    "another summary": (
        lambda folder: (folder / "manifest-summary.json").write_text("{}"),
        r"damaged: manifest-summary\.json does not have the MD5 of manifest-summary\.md5",
    ),
    "another list": (
        lambda folder: (folder / "manifest-files.md5").rename(folder / "manifest-files.checksum").write_text("x"),
        r"damaged: manifest-files\.json does not have the MD5 of manifest-files\.checksum",
    ),
    "no JSON": (lambda folder: write_manifest(folder, "manifest-files", "{\n}"), "manifests are not as DynamoDB's"),
    "no object": (lambda folder: write_manifest(folder, "manifest-files", "12"), "manifests are not as DynamoDB's"),
    "no field": (lambda folder: write_manifest(folder, "manifest-summary", "{}"), "not as DynamoDB's: 'outputFormat'"),
    "no time": (of_summary(exportTime="soon"), "not as DynamoDB's: Invalid isoformat"),
    "Ion": (of_summary(outputFormat="ION"), "is FULL_EXPORT in ION: only"),
    "increments": (of_summary(exportType="INCREMENTAL_EXPORT"), "is INCREMENTAL_EXPORT in DYNAMODB_JSON: only"),
    "another export's summary": (of_summary(exportArn="arn:x/export/01-b"), "foreign: its manifest is of arn:x/export"),
    "another export's file": (
        of_files(lambda named: named[0].update(dataFileS3Key="AWSDynamoDB/01-b/data/x.json.gz")),
        "foreign: its manifest names AWSDynamoDB/01-b/data/x",
    ),
    "a file elsewhere": (
        of_files(lambda named: named[0].update(dataFileS3Key="AWSDynamoDB/01706742000000-a1b2c3d4/data/../x")),
        "foreign: its manifest names",
    ),
    "a file twice": (of_files(lambda named: named.append({**named[0], "itemCount": 0})), "damaged: its files hold 3"),
    "other items": (of_summary(itemCount=4), "damaged: its files hold 3 items, and the export 4"),
    "no items": (of_files(lambda named: named.clear()), "damaged: its files hold 0 items, and the export 3"),
    "other bytes": (
        lambda folder: first_file(folder).write_bytes(gzip.compress(b"{}\n")),
        r"data/0+\.json\.gz is damaged: its MD5 is not that of the manifest",
    ),
    "fewer items": (of_data(gzip.compress(b"")), r"0\.json\.gz holds 0 items, and the manifest says 1"),
    "a cut file": (of_data(gzip.compress(b"{}\n" * 99)[:-9]), r"cannot read .*0\.json\.gz to its end, it is truncated"),
    "of a later day": (of_summary(exportTime="2024-02-02T00:00:00Z"), "of 2024-02-02 00:00, and not as of 2024-01-31"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_export_that_is_not_whole_or_not_ours_is_refused(spark: SparkSession, tmp_path: Path, fault: str) -> None:
    spoil, complaint = FAULTS[fault]
    folder = write_export(tmp_path / "dt=2024-01-31", [[ANN], [BOB, EVE]])
    spoil(folder)
    source = open_source(spark, tmp_path)
    with pytest.raises(InputError, match=complaint) as raised:
        source.plan([])
    assert "dt=2024-01-31" in str(raised.value)


def test_exports_that_do_not_go_together_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no source at"):
        open_source(spark, tmp_path / "nowhere").plan([])
    with pytest.raises(InputError, match="has no export up to 2024-01-31, it holds nothing"):
        open_source(spark, tmp_path).plan([])
    write_export(tmp_path / "dt=2024-01-30", [[ANN]])
    copied = tmp_path / "copied"
    shutil.copytree(tmp_path / "dt=2024-01-30", copied / "dt=2024-01-31")
    write_export(copied, [[BOB]], export_id="0170-other", made_at="2024-01-31T23:00:00Z")
    with pytest.raises(InputError, match=r"2024-01-31 has two exports of the same moment, keep one: .*0170"):
        open_source(spark, copied).plan([])
    write_export(tmp_path / "dt=2024-01-31", [[ANN]], table="orders")
    with pytest.raises(InputError, match=r"is of the table orders, and .*dt=2024-01-30.* of profiles"):
        open_source(spark, tmp_path).plan([])


@pytest.mark.default_spark
def test_exports_in_s3(spark: SparkSession, databases: Mapping[str, Server], bucket: str, tmp_path: Path) -> None:
    write_export(tmp_path, [[ANN, BOB], [EVE]])
    client = s3_client(databases["s3"])
    for file in tmp_path.rglob("*"):
        if file.is_file():
            client.upload_file(str(file), bucket.removeprefix("s3a://"), f"exports/{file.relative_to(tmp_path)}")
    source = open_source(spark, how(f"{bucket}/exports"))
    source.plan([])
    assert names(read(source)) == [(D31, "Ann"), (D31, "Bob"), (D31, "Eve")]
    assert all(file.checksum for file in source.files_to_read)
    again = open_source(spark, how(f"{bucket}/exports"))
    again.plan(audit(spark, source))
    assert again.known == (D31,)


# A live table

BIG = "12345678901234567890123456789012345678"


def profile(number: int) -> dict[str, Any]:
    return {
        "customer_id": {"S": f"C{number:06}"},
        "email": {"S": f"c{number}@example.org"},
        "plan": {"S": "basic"},
        "address": {"M": {"country": {"S": "Poland"}, "city": {"S": "Łódź"}}},
        "opt_ins": {"SS": ["email", "sms"]},
        "loyalty_points": {"N": BIG},
        "photo": {"B": b"\x00\xff"},
    }


COUNT = 2000


@pytest.fixture(scope="module")
def table(databases: Mapping[str, Server]) -> Server:
    fill_table(databases["s3"], "profiles", [profile(number) for number in range(COUNT)])
    return databases["s3"]


@pytest.fixture
def live(spark: SparkSession, table: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """The way to the table, for this process and for those of Spark's workers."""
    login = {"AWS_ACCESS_KEY_ID": table.user, "AWS_SECRET_ACCESS_KEY": table.password}
    with door(table) as opened:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{opened.port}")
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name, value in login.items():
            monkeypatch.setenv(name, value)
            monkeypatch.setitem(spark.sparkContext.environment, name, value)
        yield opened


PLACE = "dynamodb://profiles?region=eu-west-1"


def test_a_live_table_is_scanned_once_in_segments(spark: SparkSession, live: Door) -> None:
    source = open_source(spark, how(PLACE, segments=4))
    assert source.plan([]) == "as of 2024-01-31: 1 to read, 0 known"
    assert len(source.files_to_read) == 4
    with source.readable():
        scanned = source.read(items(PROFILES))
        rows = scanned.collect()
        assert scanned.where("line LIKE '%Poland%'").count() == COUNT
    spark.catalog.clearCache()
    assert sorted(json.loads(row.line)["Item"]["customer_id"]["S"] for row in rows) == [
        profile(number)["customer_id"]["S"] for number in range(COUNT)
    ]
    by_file = Counter(row.file for row in rows)
    assert sorted(by_file) == [f"profiles/segment-000{segment}" for segment in range(4)]
    (item,) = (json.loads(row.line)["Item"] for row in rows if "C000007" in row.line)
    wanted = {name: value for name, value in profile(7).items() if name in PROFILES.attributes}
    assert item == {**wanted, "photo": {"B": "AP8="}, "opt_ins": {"SS": item["opt_ins"]["SS"]}}
    assert sorted(item["opt_ins"]["SS"]) == ["email", "sms"]
    assert {row.extract_date for row in rows} == {D31}
    # One item for the driver, then each segment once.
    first, *scans = live.asked
    assert (first.request["Limit"], first.segment) == (1, None)
    assert sorted(one.segment for one in scans if one.segment is not None) == [0, 1, 2, 3]
    assert all(one.request["ConsistentRead"] and one.request["ReturnConsumedCapacity"] == "TOTAL" for one in scans)


def test_what_is_known_of_a_live_table_is_kept_until_it_is_refreshed(spark: SparkSession, live: Door) -> None:
    first = open_source(spark, how(PLACE, segments=3))
    first.plan([])
    known = audit(spark, first, "other rules")
    again = open_source(spark, how(PLACE, segments=2))
    again.plan(known)
    assert (again.known, again.to_replace, again.read(items(PROFILES)).count()) == ((D31,), (), 0)
    assert len(live.asked) == 1
    refreshed = open_source(spark, how(PLACE, segments=2), refresh=True)
    refreshed.plan(known)
    assert (refreshed.known, refreshed.to_replace, len(live.asked)) == ((), (D31,), 2)
    refreshed.verify_unchanged()


def test_a_scan_is_as_of_the_day_that_is_asked_for(spark: SparkSession, live: Door) -> None:
    source = open_source(spark, how(PLACE), extract_date=D1)
    assert (source.audited_days, source.place) == ((D1,), PLACE)


def test_a_table_that_throttles_is_read_to_its_end(spark: SparkSession, live: Door) -> None:
    live.turns_away = lambda request, number: (
        "ProvisionedThroughputExceededException" if "Segment" in request and number % 3 == 1 else ""
    )
    source = open_source(spark, how(PLACE, segments=2, capacity=1000, patience=60))
    source.plan([])
    assert len({row.line for row in read(source)}) == COUNT
    spark.catalog.clearCache()
    assert sum(bool(one.error) for one in live.asked) >= 2


def test_a_table_that_throttles_for_too_long_is_said(spark: SparkSession, live: Door) -> None:
    live.turns_away = lambda request, number: "ThrottlingException" if request.get("Segment") == 1 else ""
    source = open_source(spark, how(PLACE, segments=2))
    source.plan([])
    with pytest.raises(InputError, match=r"^cannot scan dynamodb://profiles\?region=eu-west-1: ThrottlingException: "):
        read(source)
    spark.catalog.clearCache()
    # botocore's own attempts, and no more without patience.
    assert sum(bool(one.error) for one in live.asked) == 3


def test_segments_together_consume_no_more_than_the_capacity(spark: SparkSession, live: Door) -> None:
    capacity, segments = 300, 2
    source = open_source(spark, how(PLACE, segments, capacity))
    source.plan([])
    assert len(read(source)) == COUNT
    spark.catalog.clearCache()
    for segment in range(segments):
        pages = [one for one in live.asked if one.segment == segment]
        assert len(pages) > 2
        # Each waits for what the one before has consumed: a share of a second's capacity, at most.
        share = capacity / segments
        assert all(one.units <= share for one in pages)
        for before, after in pairwise(pages):
            assert after.at - before.at >= before.units / share
    assert sum(one.units for one in live.asked if one.segment is not None) == COUNT / ITEMS_A_UNIT


@pytest.mark.parametrize(
    ("place", "error", "complaint"),
    [
        ("dynamodb://nowhere?region=eu-west-1", "", InputError("nowhere.region=eu-west-1: there is no such table")),
        ("dynamodb://profiles?region=eu-west-1", "AccessDeniedException", InputError("AccessDeniedException: not now")),
        ("dynamodb://profiles", "", UsageError("no region is known of the table profiles: name it dynamodb:")),
    ],
)
def test_a_table_that_cannot_be_read_is_said_in_a_sentence(
    spark: SparkSession, live: Door, place: str, error: str, complaint: EtlError
) -> None:
    live.turns_away = lambda request, number: error
    with pytest.raises(type(complaint), match=str(complaint)) as raised:
        open_source(spark, how(place)).plan([])
    assert "\n" not in str(raised.value)


def test_a_run_without_credentials_is_told_so(
    spark: SparkSession, live: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(UsageError, match="needs credentials of AWS"):
        open_source(spark, how(PLACE)).plan([])


def test_what_is_scanned_is_written_as_an_export_writes_it() -> None:
    item = {"n": {"N": "1E+2"}, "b": {"B": b"\x00"}, "bs": {"BS": [b"\xff"]}, "a": {"S": "Łódź"}}
    text = '{"Item":{"a":{"S":"\\u0141\\u00f3d\\u017a"},"b":{"B":"AA=="},"bs":{"BS":["/w=="]},"n":{"N":"1E+2"}}}'
    assert as_exported(item) == text


@pytest.mark.parametrize("place", ["dynamodb://ab", "dynamodb://a/b", "dynamodb:x", "dynamodb://abc?endpoint=x"])
def test_another_form_of_a_table_is_refused(place: str) -> None:
    assert parse_live_table("dynamodb://a.b-C_1?region=eu-west-1") == LiveTable("a.b-C_1", "eu-west-1")
    assert parse_live_table("dynamodb://abc") == LiveTable("abc", None)
    with pytest.raises(UsageError, match="is named dynamodb://TABLE"):
        how(place)


@pytest.mark.parametrize("wrong", [(0, 0, 0), (1_000_001, 0, 0), (1, -1, 0), (1, 0, -1)])
def test_settings_that_cannot_work_are_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError):
        how("exports", *wrong)
