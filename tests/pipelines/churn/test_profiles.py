"""Items of profiles and what becomes of them: each rule, numbers to the last digit, and what is never kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark.core.audit import Reading
from etl_spark.core.days import SourceFile
from etl_spark.pipelines.churn.profiles import PROFILES, REASONS, judge_items, read_profiles
from etl_spark.pipelines.churn.tables import CUSTOMER_PROFILE, PROFILE_REJECTED

DAY = date(2024, 1, 31)

Items = Callable[..., DataFrame]


@pytest.fixture
def items(spark: SparkSession) -> Items:
    def make(lines: Sequence[bytes], *, day: date = DAY, file: str = "f") -> DataFrame:
        rows = [(day, file, bytearray(line)) for line in lines]
        made = spark.createDataFrame(rows, "extract_date DATE, file STRING, line BINARY")
        return made.selectExpr("extract_date", "file", "CAST(line AS STRING) AS line")

    return make


def item(**attributes: Any) -> bytes:
    """A profile in which all is told, but for what `attributes` say otherwise; one that is None is missing."""
    told = {
        "customer_id": {"S": "C000001"},
        "name": {"S": "Ann Example"},
        "email": {"S": "ann@example.org"},
        "created_at": {"S": "2023-05-01T08:00:00Z"},
        "plan": {"S": "basic"},
        "address": {"M": {"country": {"S": "Poland"}, "city": {"S": "Gdynia"}}},
        "opt_ins": {"SS": ["email", "push"]},
        "loyalty_points": {"N": "9007199254740993.25"},
    }
    kept = {name: value for name, value in (told | attributes).items() if value is not None}
    return json.dumps({"Item": kept}, separators=(",", ":")).encode()


def country(value: Any) -> bytes:
    return item(address={"M": {"country": value}})


def points(text: str) -> bytes:
    return item(loyalty_points={"N": text})


NULL = {"NULL": True}
GOOD = item()
VERDICTS: dict[bytes, str | None] = {
    GOOD: None,
    GOOD + b"\r": None,
    item(customer_id={"S": " C2 "}): None,
    item(created_at=None, plan=None, address=None, opt_ins=None, loyalty_points=None): None,
    item(created_at=NULL, plan=NULL, address=NULL, opt_ins=NULL, loyalty_points=NULL): None,
    item(created_at={"S": "2024-01-31T23:59:59.999999Z"}): None,
    item(created_at={"S": "2024-02-01T00:30:00+01:00"}): None,
    item(opt_ins={"L": [{"S": "sms"}]}): None,
    item(opt_ins={"L": []}): None,
    item(name={"B": "AAE="}, tags={"NS": ["1"]}, photo={"L": [{"M": {"x": {"BOOL": False}}}]}): None,
    country(NULL): None,
    item(address={"M": {}}): None,
    # Not one JSON object with an item
    GOOD[:-1]: "not_json_object",
    GOOD + GOOD: "not_json_object",
    GOOD + b" ann": "not_json_object",
    b"[" + GOOD + b"]": "not_json_object",
    b"": "not_json_object",
    b"12": "not_json_object",
    b"{}": "not_json_object",
    b'{"Item":null}': "not_json_object",
    b'{"Item":"C000001"}': "not_json_object",
    b'{"Keys":{"customer_id":{"S":"C1"}}}': "not_json_object",
    GOOD.replace(b'"', b"'"): "not_json_object",
    GOOD.replace(b"basic", b"bas\xffic"): "not_json_object",
    # The customer
    b'{"Item":{}}': "customer_id_missing",
    item(customer_id=None): "customer_id_missing",
    item(customer_id=NULL): "customer_id_missing",
    item(customer_id={"S": "  "}): "customer_id_missing",
    item(customer_id={"N": "17"}): "customer_id_not_a_string",
    item(customer_id="C000001"): "customer_id_not_a_string",
    item(customer_id={"S": "C" * 65}): "customer_id_too_long",
    # When
    item(created_at={"N": "1682928000"}): "created_at_not_a_string",
    item(created_at={"S": ""}): "created_at_not_a_time",
    item(created_at={"S": "yesterday"}): "created_at_not_a_time",
    item(created_at={"S": "2023-02-30T08:00:00Z"}): "created_at_not_a_time",
    item(created_at={"S": "2024-02-01T00:00:00Z"}): "created_at_after_extract",
    # Types
    item(plan={"M": {}}): "plan_not_a_string",
    item(plan={"BOOL": "true"}): "plan_not_a_string",
    item(plan={"S": "p" * 33}): "plan_too_long",
    item(address={"S": "1 Road, Gdynia"}): "address_not_a_map",
    item(address={"M": {"country": "Poland"}}): "address_not_a_map",
    country({"N": "48"}): "country_not_a_string",
    country({"S": "c" * 101}): "country_too_long",
    item(opt_ins={"S": "email"}): "opt_ins_not_a_set",
    item(opt_ins={"NS": ["1"]}): "opt_ins_not_a_set",
    item(opt_ins={"L": [{"S": "sms"}, {"N": "1"}]}): "opt_ins_not_a_set",
    item(loyalty_points={"S": "12"}): "loyalty_points_not_a_number",
    points("12,5"): "loyalty_points_not_a_number",
    points("NaN"): "loyalty_points_not_a_number",
    points("12\n"): "loyalty_points_not_a_number",
    points("."): "loyalty_points_not_a_number",
    # The first rule that fits
    item(customer_id=None, created_at={"N": "1"}): "customer_id_missing",
    item(plan={"N": "1"}, loyalty_points={"S": "x"}): "plan_not_a_string",
}

NUMBERS: dict[str, str | None] = {
    "0": "0",
    "-0.50": "-0.5",
    "+7.": "7",
    ".000001": "0.000001",
    "9007199254740993.25": "9007199254740993.25",
    "99999999999999999999999999999999.999999": "99999999999999999999999999999999.999999",
    "1.10000000000": "1.1",
    "1E+2": "100",
    "125e-2": "1.25",
    "100000E-11": "0.000001",
    "0.0000010E1": "0.00001",
    "0E-130": "0",
    # Rounded, or too large
    "0.0000001": None,
    "1.0000005": None,
    "1E-7": None,
    "1E-130": None,
    "100000000000000000000000000000000": None,
    "12345678901234567890123456789012345678": None,
    "9.9999999999999999999999999999999999999E+125": None,
}


def judged(items: DataFrame) -> list[Row]:
    return judge_items(items).collect()


def test_each_item_is_accepted_or_has_one_reason(items: Items, spark: SparkSession) -> None:
    lines = list(VERDICTS)
    # Each in a file of its own, by which it is told; most have the same customer.
    found: dict[str, str | None] = {}
    rows = [(DAY, str(place), bytearray(line)) for place, line in enumerate(lines)]
    made = spark.createDataFrame(rows, "extract_date DATE, file STRING, line BINARY")
    for row in judged(made.selectExpr("extract_date", "file", "CAST(line AS STRING) AS line")):
        found[row.file] = None if row.reason == "customer_id_repeated" else row.reason
    assert {line: found[str(place)] for place, line in enumerate(lines)} == VERDICTS
    assert {reason for reason in VERDICTS.values() if reason} | {
        "loyalty_points_too_long",
        "customer_id_repeated",
    } == set(REASONS)


def test_numbers_are_kept_to_the_last_digit_or_refused(items: Items) -> None:
    lines = [item(customer_id={"S": text}, loyalty_points={"N": text}) for text in NUMBERS]
    found = {row.customer_id: row for row in judged(items(lines))}
    for text, kept in NUMBERS.items():
        if kept is None:
            assert found[text].reason == "loyalty_points_too_long", text
        else:
            assert (found[text].reason, found[text].loyalty_points) == (None, Decimal(kept)), text


def test_a_profile_has_what_the_item_tells(items: Items) -> None:
    nothing = dict.fromkeys(("created_at", "plan", "address", "opt_ins", "loyalty_points"))
    profiles, rejected, _ = read_profiles(
        items(
            [
                item(customer_id={"S": " A "}, plan={"S": " pro "}),
                item(customer_id={"S": "B"}, **nothing),
                item(customer_id={"S": "C"}, opt_ins={"L": [{"S": "sms"}, {"S": "Email"}]}, plan={"S": " "}),
            ]
        )
    )
    told, silent, listed = CUSTOMER_PROFILE.conform(profiles).orderBy("customer_id").collect()
    assert told.asDict() == {
        "extract_date": DAY,
        "customer_id": "A",
        "registered_at": told.registered_at,
        "country": "Poland",
        "plan": "pro",
        "is_email_opt_in": True,
        "is_sms_opt_in": False,
        "is_push_opt_in": True,
        "loyalty_points": Decimal("9007199254740993.250000"),
    }
    assert told.registered_at.astimezone(UTC) == datetime(2023, 5, 1, 8, tzinfo=UTC)
    assert tuple(silent) == (DAY, "B", None, None, None, False, False, False, None)
    assert (listed.plan, listed.is_sms_opt_in, listed.is_email_opt_in) == (None, True, False)
    assert PROFILE_REJECTED.conform(rejected).count() == 0


def test_an_item_that_a_scan_came_upon_twice_counts_once_whatever_the_order(items: Items) -> None:
    old, new = item(plan={"S": "basic"}), item(plan={"S": "pro"})
    for lines in ([old, new, old], [new, old, old]):
        rows = judged(items(lines).repartition(3))
        assert sorted(str(row.reason) for row in rows) == ["None", "customer_id_repeated", "customer_id_repeated"]
        assert [row.plan for row in rows if row.reason is None] == ["basic"]
    again = judged(items([old]).unionAll(items([old], day=date(2024, 2, 1))))
    assert [row.reason for row in again] == [None, None]


def test_name_email_and_city_are_kept_nowhere(items: Items) -> None:
    lines = [*VERDICTS, GOOD]
    profiles, rejected, _ = read_profiles(items(lines))
    kept = str([row.asDict() for row in (*profiles.collect(), *rejected.collect())])
    for personal in ("Ann", "ann", "example.org", "Gdynia", "AAE="):
        assert personal not in kept
    told = {bytes(row.line).decode() for row in rejected.collect()}
    assert '{"Item":{"customer_id":{"N":"17"},"created_at":{"S":"2023-05-01T08:00:00Z"}' in "".join(told)
    assert any(line.startswith("no item, and not shown: 0 bytes, MD5 d41d8cd9") for line in told)


def test_all_items_are_accounted_for_by_file_and_reason(items: Items) -> None:
    rows = items([GOOD, GOOD, b"x", b"x", b"y"], file="a").unionAll(items([item(customer_id={"S": "Z"})], file="b"))
    profiles, rejected, counts = read_profiles(rows)
    reading = Reading(pipeline="churn", source_uri="p", rules_version="r", run_id="1", measure=PROFILES.measure)
    files = [SourceFile(DAY, name, name, name, "profiles") for name in ("a", "b", "c")]
    audit = reading.audit(files, counts)
    assert [(row.file, row.reason, row.rows_in, row.rows_accepted, row.rows_rejected) for row in audit] == [
        ("a", "All", 5, 1, 4),
        ("a", "customer_id_repeated", None, None, 1),
        ("a", "not_json_object", None, None, 3),
        ("b", "All", 1, 1, 0),
        ("c", "All", 0, 0, 0),
    ]
    assert {row.amount_in for row in audit if row.reason == "All"} == {Decimal(0)}
    assert profiles.count() == 2
    assert sorted((row.reason, row.line_count) for row in rejected.collect()) == [
        ("customer_id_repeated", 1),
        ("not_json_object", 1),
        ("not_json_object", 2),
    ]
