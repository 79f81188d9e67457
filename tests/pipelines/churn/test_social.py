"""Records of social activity: why each is accepted or rejected, what is kept of it, and which of two alike counts."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_spark import config
from etl_spark.core.errors import UsageError
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.churn.social import (
    REASONS,
    RECORD,
    build_counts,
    build_events,
    build_rejected,
    judge_records,
    read_records,
    sentiment,
    with_repeated,
)
from etl_spark.pipelines.churn.social_settings import SocialSettings
from etl_spark.pipelines.churn.tables import SOCIAL_EVENT, SOCIAL_REJECTED
from tests.pipelines.churn.activity import record

EIGHT, NINE = "2024/04/01/08/one", "2024/04/01/09/one"

# What it is rejected for, by what is changed.
FAULTS: tuple[tuple[str | None, dict[str, Any]], ...] = (
    (None, {}),
    (None, {"customer_id": None, "platform": ..., "text": ..., "author": 7, "more": [1]}),
    (None, {"customer_id": ..., "text": None, "kind": "reply"}),
    (None, {"event_time": "2024-04-01T10:14:59.999+01:00"}),
    (None, {"event_time": "1999-12-31T23:59:59.123456789Z"}),
    (None, {"event_id": "x" * 64, "customer_id": "ż"}),
    ("event_id_missing", {"event_id": ...}),
    ("event_id_missing", {"event_id": None, "event_time": None}),
    ("event_id_malformed", {"event_id": 12}),
    ("event_id_malformed", {"event_id": " \t"}),
    ("event_id_malformed", {"event_id": "x" * 65}),
    ("event_id_malformed", {"event_id": "half \ud83d"}),
    ("event_time_missing", {"event_time": None}),
    ("event_time_not_a_time", {"event_time": 1711959330}),
    ("event_time_not_a_time", {"event_time": "2024-04-01"}),
    ("event_time_not_a_time", {"event_time": "2024-04-01T08:15:30"}),
    ("event_time_not_a_time", {"event_time": "2024-02-30T08:15:30Z"}),
    ("event_time_not_a_time", {"event_time": "2024-04-01T08:15:60Z"}),
    ("event_time_not_a_time", {"event_time": "2024-04-01T08:15:30Z\n"}),
    ("event_time_after_arrival", {"event_time": "2024-04-01T09:15:00Z"}),
    ("event_time_after_arrival", {"event_time": "9999-12-31T23:59:59Z", "kind": "other"}),
    ("platform_malformed", {"platform": {"name": "chirp"}}),
    ("platform_malformed", {"platform": "x" * 33}),
    ("kind_unknown", {"kind": ...}),
    ("kind_unknown", {"kind": True}),
    ("kind_unknown", {"kind": "Mention", "customer_id": 5}),
    ("customer_id_malformed", {"customer_id": 123}),
    ("customer_id_malformed", {"customer_id": ""}),
    ("text_malformed", {"text": ["a", "b"]}),
)


@pytest.fixture(scope="module")
def rules() -> SocialSettings:
    """As shipped."""
    loaded = config.load("social", SocialSettings, pipelines=PIPELINES, source="x").settings
    assert isinstance(loaded, SocialSettings)
    return loaded


def judged(spark: SparkSession, rules: SocialSettings, objects: Iterable[tuple[str, bytes]]) -> DataFrame:
    records = [one for name, content in objects for one in read_records(name, content)]
    return judge_records(spark.createDataFrame(records, RECORD), rules)


def test_a_record_is_rejected_for_the_first_rule_it_fails(spark: SparkSession, rules: SocialSettings) -> None:
    lines = [record(place, **changes) for place, (_, changes) in enumerate(FAULTS)]
    odd = [b"[1]", b"{}", b"nothing"]
    cut = gzip.compress(record(99))[:-1]
    objects = [(EIGHT, b"".join(lines) + b"\n".join(odd)), ("2024/04/01/08/two", cut)]

    rows = judged(spark, rules, objects).orderBy("file", "place").collect()

    reasons = [
        *(reason for reason, _ in FAULTS),
        "not_json_object",
        "event_id_missing",
        "not_json_object",
        "gzip_damaged",
    ]
    assert [row.reason for row in rows] == reasons
    assert [bytes(row.line) for row in rows] == [*lines, *odd, cut]
    assert set(reasons) == {None, *REASONS} - {"event_repeated"}


def test_what_is_kept(spark: SparkSession, rules: SocialSettings) -> None:
    content = (
        record(0) + record(1, customer_id=None, text=..., event_time="2024-03-31T22:00:00+02:00") + record(2, kind=1)
    )
    found = judged(spark, rules, [(NINE, gzip.compress(content))])
    first, second = SOCIAL_EVENT.conform(build_events(found)).orderBy("place").collect()
    (rejected,) = SOCIAL_REJECTED.conform(build_rejected(found)).collect()
    counts = {row.reason: row for row in build_counts(found).collect()}

    assert "somebody" not in str(first)
    assert "good shop" not in str(first)
    assert (str(first.arrival_date), str(first.arrived_at)) == ("2024-04-01", "2024-04-01 09:00:00")
    assert (str(first.event_at), str(second.event_at)) == ("2024-04-01 08:15:30.123000", "2024-03-31 20:00:00")
    assert (first.platform, first.kind, first.customer_id) == ("chirp", "mention", "C000000")
    assert (first.sentiment, second.sentiment, second.customer_id) == (Decimal("0.7000"), None, None)
    assert (first.file, first.place, second.place) == (NINE, 0, 1)
    assert (rejected.file, rejected.reason, rejected.line_count) == (NINE, "kind_unknown", 1)
    assert bytes(rejected.line) == record(2, kind=1)
    assert (counts[None].rows, counts[None].late_rows, counts[None].latest_seconds) == (2, 2, 13 * 3_600)
    assert (counts["kind_unknown"].rows, counts["kind_unknown"].late_rows) == (1, 0)


def test_of_equal_ids_the_first_counts(spark: SparkSession, rules: SocialSettings) -> None:
    objects = [
        (NINE, record(1) + record(2) + record(1, kind="other")),
        (EIGHT, record(1, kind="other") + record(3) + record(1, text="again") + record(1)),
        ("2024/04/01/08/two", record(1) + record(4) + b"broken" + b"\nbroken"),
    ]
    stored = spark.createDataFrame([("T2024040100000004",), ("T2024040100000009",)], "event_id STRING")

    rows = with_repeated(judged(spark, rules, objects), stored).collect()

    assert len(rows) == 11
    assert sorted((row.file, row.place) for row in rows if row.reason is None) == [(EIGHT, 1), (EIGHT, 2), (NINE, 1)]
    assert sorted((row.file, row.place) for row in rows if row.reason == "event_repeated") == [
        (EIGHT, 3),
        ("2024/04/01/08/two", 0),
        ("2024/04/01/08/two", 1),
        (NINE, 0),
    ]


def test_how_a_text_sounds() -> None:
    scores = [sentiment(text) for text in ("", " \n", "the parcel", "a good shop", "not good", "the worst ever!")]
    assert scores[:3] == [None, None, 0]
    assert [score is not None and -1 <= score <= 1 for score in scores[3:]] == [True] * 3
    assert (scores[3] or 0) > 0 > (scores[4] or 0) > (scores[5] or 0)


def test_an_equal_time_in_any_zone_is_one_time(spark: SparkSession, rules: SocialSettings) -> None:
    times = ("2024-04-01T08:15:30Z", "2024-04-01T13:45:30+05:30", "2024-04-01T00:15:30.000-08:00")
    content = b"".join(record(place, event_time=time) for place, time in enumerate(times))
    rows = judged(spark, rules, [(EIGHT, content)]).selectExpr("unix_millis(event_at) AS at").collect()
    moment = datetime(2024, 4, 1, 8, 15, 30, tzinfo=UTC)
    assert [row.at for row in rows] == [moment.timestamp() * 1_000] * 3


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"kinds": ("like",)}, "one or more of mention, reply"),
        ({"max_objects": 0}, "max_objects must be at least 1"),
        ({"max_ahead_seconds": -1}, "max_ahead_seconds at least 0"),
        ({"max_rejected_share": 2.0}, "is a share of 1"),
        ({"source": "s3a://key:secret@bucket/x"}, "is refused"),
    ],
)
def test_settings_that_cannot_work(rules: SocialSettings, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        SocialSettings(**{**vars(rules), **changes})
