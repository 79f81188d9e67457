"""Lines of the website's logs: which are accepted, and why the others are not."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_spark import config
from etl_spark.core.local import local_frame
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.churn.settings import ChurnSettings, WebRules
from etl_spark.pipelines.churn.tables import WEB_EVENT, WEB_REJECTED
from etl_spark.pipelines.churn.web import REASONS, read_web
from etl_spark.sources.dated_files import _LINE_SCHEMA
from tests.pipelines.churn.rows import DAY, rows

SOUND = {
    "event_id": "E1",
    "event_time": "2024-04-01T08:15:30.250Z",
    "session_id": "S1",
    "customer_id": "C1",
    "kind": "view",
}


@pytest.fixture(scope="module")
def rules() -> WebRules:
    loaded = config.load("churn", ChurnSettings, pipelines=PIPELINES, reads=False).settings
    assert isinstance(loaded, ChurnSettings)
    return loaded.rules


def lines(spark: SparkSession, *texts: str, day: date = DAY) -> DataFrame:
    return local_frame(spark, [(day, f"{day}.json", text) for text in texts], _LINE_SCHEMA)


def line(**changes: Any) -> str:
    """A sound line, but for `changes`; None leaves a field out."""
    return json.dumps({name: value for name, value in (SOUND | changes).items() if value is not None})


def test_a_line_is_accepted_or_has_the_first_reason_that_fits(spark: SparkSession, rules: WebRules) -> None:
    wrong = {
        "not_json_object": [line()[:-3], f"{line()} {line()}", f"[{line()}]", '"view"', "x" * 70_000],
        "event_id_missing": [line(event_id=None), line(event_id="  "), line(event_id=None, kind=None)],
        "event_id_too_long": [line(event_id="E" * 65)],
        "event_time_missing": [line(event_time=None), line(event_time="")],
        "event_time_not_a_time": [
            line(event_time=text) for text in ("yesterday", "2024-04-01", "2024-02-30T10:00:00Z")
        ],
        "event_after_its_log": [line(event_time="2024-04-02T00:00:00Z"), line(event_time="2024-04-01T22:00:00-05:00")],
        "event_too_late": [line(event_time="2024-03-28T23:59:59Z")],
        "session_id_missing": [line(session_id=None)],
        "session_id_too_long": [line(session_id="S" * 65)],
        "customer_id_too_long": [line(customer_id="C" * 65)],
        "kind_missing": [line(kind=None)],
        "kind_unknown": [line(kind="hover"), line(kind="View")],
        "event_repeated": [line(event_id="E0"), line(event_id=" E0 ", kind="search")],
    }
    assert tuple(wrong) == REASONS
    sound = [
        line(event_id="E0"),
        line(customer_id=None),
        line(event_id="E2", customer_id=" ", event_time="2024-03-29T00:00:00", kind="login"),
    ]
    found = read_web(
        lines(spark),
        lines(spark, *sound, " \t", *(text for texts in wrong.values() for text in texts)),
        rows(spark, WEB_EVENT),
        rules=rules,
    )
    events = WEB_EVENT.conform(found[0]).orderBy("event_id").collect()
    reasons: dict[str, int] = {}
    for row in WEB_REJECTED.conform(found[1]).collect():
        reasons[row.reason] = reasons.get(row.reason, 0) + row.line_count

    assert [(row.event_id, row.customer_id, row.kind) for row in events] == [
        ("E0", "C1", "search"),
        ("E1", None, "view"),
        ("E2", None, "other"),
    ]
    assert reasons == {reason: len(texts) for reason, texts in wrong.items()}
    assert {str(row.reason): row.rows for row in found[2].collect()} == reasons | {"None": 3}


def test_an_event_is_taken_in_once_over_logs_and_runs(spark: SparkSession, rules: WebRules) -> None:
    next_day = date(2024, 4, 2)
    logs = lines(spark, line(event_id="E9"), line(event_id="E1")).unionAll(
        lines(spark, line(event_id="E9", kind="search"), line(event_id="E5"), day=next_day)
    )
    known = rows(spark, WEB_EVENT, {"event_id": "E1", "log_date": date(2024, 3, 31)})

    events, rejected, _ = read_web(logs, logs, known, rules=rules)

    assert {(row.event_id, row.log_date, row.kind) for row in events.collect()} == {
        ("E9", DAY, "view"),
        ("E5", next_day, "view"),
    }
    assert {(row.log_date, row.reason) for row in rejected.collect()} == {
        (DAY, "event_repeated"),
        (next_day, "event_repeated"),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-04-01T08:15:30Z", datetime(2024, 4, 1, 8, 15, 30, tzinfo=UTC)),
        ("2024-04-01 08:15", datetime(2024, 4, 1, 8, 15, tzinfo=UTC)),
        ("2024-04-01T08:15:30.123456+07:00", datetime(2024, 4, 1, 1, 15, 30, 123456, tzinfo=UTC)),
    ],
)
def test_a_time_is_in_utc_unless_it_says_otherwise(
    spark: SparkSession, rules: WebRules, text: str, expected: datetime
) -> None:
    events, _, _ = read_web(lines(spark), lines(spark, line(event_time=text)), rows(spark, WEB_EVENT), rules=rules)
    assert events.selectExpr("unix_micros(event_at)").head() == (expected.timestamp() * 1_000_000,)
