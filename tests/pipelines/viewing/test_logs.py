"""Lines and what becomes of them: each rule, their order, and the edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark.pipelines.viewing.logs import REASONS, build_counts, build_daily, count_lines, judge_lines
from etl_spark.pipelines.viewing.settings import LogRules
from tests.pipelines.viewing.log_lines import line

DAY = date(2022, 4, 1)

Lines = Callable[[Sequence[bytes]], DataFrame]


@pytest.fixture
def lines(spark: SparkSession) -> Lines:
    def make(texts: Sequence[bytes]) -> DataFrame:
        rows = [(DAY, "f", bytearray(text)) for text in texts]
        made = spark.createDataFrame(rows, "date DATE, file STRING, line BINARY")
        return made.selectExpr("date", "file", "CAST(line AS STRING) AS line")

    return make


def judged(lines: DataFrame, rules: LogRules) -> dict[bytes, Row]:
    return {bytes(row.line): row for row in judge_lines(lines, rules).collect()}


GOOD = line()
VERDICTS: dict[bytes, str | None] = {
    GOOD: None,
    b" \t" + GOOD + b" ": None,
    GOOD + b"\r": None,
    line(contract=" qad014541 "): None,
    line(seconds=1): None,
    line(seconds=86_400): None,
    line(app="BHD"): None,
    line(Mac=None): None,
    GOOD.replace(b'"Mac"', b'"mac"'): None,
    b'{"_source":{"AppName":"VOD","TotalDuration":5,"Contract":"HNH579912"}}': None,
    b'{"_source":{"Contract":"x","Contract":"HNH579912","TotalDuration":5,"AppName":"VOD"}}': None,
    # Not one JSON object
    GOOD[:-1]: "not_json_object",
    GOOD + GOOD: "not_json_object",
    GOOD + b"," + GOOD: "not_json_object",
    GOOD + b" x": "not_json_object",
    GOOD + b"]": "not_json_object",
    GOOD + b'],[{"proof":1}': "not_json_object",
    b"[" + GOOD + b"]": "not_json_object",
    b"[]": "not_json_object",
    b"null": "not_json_object",
    b'"text"': "not_json_object",
    b"12": "not_json_object",
    GOOD.replace(b'"', b"'"): "not_json_object",
    GOOD.replace(b"254", b"NaN"): "not_json_object",
    GOOD.replace(b"254", b"0254"): "not_json_object",
    GOOD.replace(b"history", b"hist\xffory"): "not_json_object",
    GOOD.replace(b"history", b"hist\xed\xa0\x80ory"): "not_json_object",
    GOOD.replace(b"history", b"hist\x01ory"): "not_json_object",
    b"\xef\xbb\xbf" + GOOD: "not_json_object",
    b"\xc2\xa0": "not_json_object",
    GOOD.replace(b"history", b"h" * (1 << 20)): "not_json_object",
    # Contract
    b"{}": "contract_missing",
    b'{"_source":null}': "contract_missing",
    b'{"_source":7}': "contract_missing",
    b'{"_source":"{}"}': "contract_missing",
    b'{"_source":{},"_source":[]}': "contract_missing",
    line(contract=None): "contract_missing",
    line(contract=None, seconds="x", app="x"): "contract_missing",
    GOOD.replace(b'"Contract"', b'"contract"'): "contract_missing",
    line(contract="0"): "contract_not_a_code",
    line(contract=""): "contract_not_a_code",
    line(contract="PAYTV"): "contract_not_a_code",
    line(contract="NONFPT"): "contract_not_a_code",
    line(contract="10.0.0.7"): "contract_not_a_code",
    line(contract=579912): "contract_not_a_code",
    line(contract=["HNH579912"]): "contract_not_a_code",
    line(contract="HNH57 9912"): "contract_not_a_code",
    line(contract="0", seconds=-1): "contract_not_a_code",
    # Duration
    line(seconds=None): "duration_not_integer",
    line(seconds="254"): "duration_not_integer",
    line(seconds=254.0): "duration_not_integer",
    line(seconds=True): "duration_not_integer",
    line(seconds=[254]): "duration_not_integer",
    GOOD.replace(b"254", b"1e2"): "duration_not_integer",
    GOOD.replace(b"254", b"-1E400"): "duration_not_integer",
    line(seconds=0): "duration_not_positive",
    GOOD.replace(b"254", b"-0"): "duration_not_positive",
    line(seconds=-889_575_165, app="x"): "duration_not_positive",
    line(seconds=-(10**30)): "duration_not_positive",
    line(seconds=86_401): "duration_too_long",
    line(seconds=2**63): "duration_too_long",
    line(seconds=10**300): "duration_too_long",
    # App
    line(app="RADIO"): "app_unknown",
    line(app="channel"): "app_unknown",
    line(app=None): "app_unknown",
    line(app=["VOD"]): "app_unknown",
}


def test_each_line_has_its_verdict(lines: Lines, rules: LogRules) -> None:
    found = judged(lines(list(VERDICTS)), rules)
    assert {text: row.reason for text, row in found.items()} == VERDICTS
    assert set(REASONS) - {row.reason for row in found.values()} == {"id_repeated"}


def test_white_space_is_no_row(lines: Lines, rules: LogRules) -> None:
    assert judged(lines([b"", b" ", b"\t\r", b"\r", b" \x0b\x0c "]), rules) == {}


def test_a_code_is_trimmed_and_upper_cased(lines: Lines, rules: LogRules) -> None:
    found = judged(lines([line(contract="\tqad014541\n")]), rules)
    assert [row.contract for row in found.values()] == ["QAD014541"]


def test_sums_never_overflow(lines: Lines, rules: LogRules) -> None:
    huge = [line(seconds=2**63 - 1), line(seconds=2**63 - 1), line(seconds=10**27), line(seconds=-(10**27) - 5)]
    counts = build_counts(count_lines(judge_lines(lines(huge), rules))).collect()
    assert {row.reason: int(row.amount) for row in counts} == {
        "duration_too_long": 2 * (2**63 - 1) + 10**27,
        "duration_not_positive": -(10**27) - 5,
    }


def test_files_and_categories_of_a_day_come_together(lines: Lines, rules: LogRules) -> None:
    texts = [line(seconds=10), line(seconds=20), line(app="CHILD", seconds=5), line(contract="AB1234", app="VOD")]
    one = lines(texts)
    two = lines([line(seconds=100)]).selectExpr("date", "'g' AS file", "line")
    daily = build_daily(count_lines(judge_lines(one.unionByName(two), rules)))
    assert sorted(tuple(row) for row in daily.collect()) == [
        (DAY, "AB1234", 0, 254, 0, 0, 0, 1),
        (DAY, "HNH579912", 130, 0, 5, 0, 0, 4),
    ]


def test_a_malformed_mac_is_counted_among_the_accepted_only(lines: Lines, rules: LogRules) -> None:
    odd = "001C55007900/40"
    texts = [line(Mac=odd), line(Mac="0c96e62fc55c"), line(Mac=None), line(Mac=odd, contract="0"), line(Mac="")]
    counts = build_counts(count_lines(judge_lines(lines(texts), rules))).collect()
    assert {row.reason: (row.rows, row.rows_flagged) for row in counts} == {
        None: (4, 0),
        "contract_not_a_code": (1, 0),
        "mac_malformed": (0, 2),
    }


def test_repeated_ids_are_rejected_when_asked(lines: Lines, rules: LogRules) -> None:
    strict = replace(rules, reject_repeated_ids=True)
    first, second = line(seconds=10), line(seconds=20)
    no_id = first.replace(b'"_id"', b'"id"')
    texts = [second, first, first, no_id, no_id, line(contract="0")]
    rows = judge_lines(lines(texts), strict).collect()
    found = sorted((bytes(row.line), str(row.reason)) for row in rows)
    assert found == sorted(
        [
            (first, "None"),
            (first, "id_repeated"),
            (second, "id_repeated"),
            (no_id, "None"),
            (no_id, "None"),
            (line(contract="0"), "contract_not_a_code"),
        ]
    )


def test_no_lines_make_no_rows(lines: Lines, rules: LogRules) -> None:
    counted = count_lines(judge_lines(lines([]), rules))
    assert build_daily(counted).count() == build_counts(counted).count() == 0
