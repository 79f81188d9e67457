"""Text of a relational source becomes a value or a reason, and each row is accounted for once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyspark.sql.functions as F
import pyspark.sql.types as T
import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.core.extract import MALFORMED, Extract
from etl_spark.core.local import local_frame
from etl_spark.core.table import Column
from etl_spark.extracts import Judged, clean, newest, reject, split, with_latest_day, with_orphans, with_related
from etl_spark.quality import Rule

THINGS = Extract(
    "things",
    "things of every type",
    columns=(
        Column("id", "VARCHAR(4)", ""),
        Column("count", "INT", "", nullable=True),
        Column("price", "DECIMAL(6,2)", "", nullable=True),
        Column("day", "DATE", "", nullable=True),
        Column("at", "TIMESTAMP", "", nullable=True),
        Column("is_new", "BOOLEAN", "", nullable=True),
    ),
    key=("id",),
)
D1, D2 = date(2024, 1, 1), date(2024, 1, 2)
JANUARY = DateRange(D1, date(2024, 1, 31))


def rows(spark: SparkSession, *texts: Mapping[str, str | None], extract_date: date = D1) -> DataFrame:
    """Rows of THINGS as a source hands them over; what a dict leaves out is null, and the id its number."""
    names = ("extract_date", "file", MALFORMED, *THINGS.column_names)
    default: dict[str, Any] = dict.fromkeys(names) | {"extract_date": extract_date, "file": "things.csv"}
    full = [default | {"id": str(number)} | dict(text) for number, text in enumerate(texts)]
    types = {name: T.DateType() if name == "extract_date" else T.StringType() for name in names}
    schema = T.StructType([T.StructField(name, of_type) for name, of_type in types.items()])
    return local_frame(spark, [tuple(row[name] for name in names) for row in full], schema)


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        ("id", "  a b\t\u00a0", "a b"),
        ("id", "😀äß1", "😀äß1"),
        ("count", " -12 ", -12),
        ("count", "+0012", 12),
        ("price", "12.5", Decimal("12.50")),
        ("price", "-.5", Decimal("-0.50")),
        ("price", "7.", Decimal("7.00")),
        ("price", "3.3900000000000001", Decimal("3.39")),
        ("day", "2024-02-29", date(2024, 2, 29)),
        ("day", "2024-02-29 23:59:59", date(2024, 2, 29)),
        ("day", "29/02/2024", date(2024, 2, 29)),
        ("at", "2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("at", "2024-02-29T23:59:59.123456Z", datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)),
        ("at", "2024-02-29 23:59:59+02", datetime(2024, 2, 29, 21, 59, 59, tzinfo=UTC)),
        ("is_new", "T", True),
        ("is_new", "0", False),
    ],
)
def test_a_sound_text_is_its_value(spark: SparkSession, column: str, text: str, expected: object) -> None:
    judged = clean(rows(spark, {column: text}), THINGS, date_formats=("dd/MM/yyyy",))
    value = F.unix_micros(column) if column == "at" else F.col(column)
    (row,) = judged.select("reason", "line", value.alias("value")).collect()
    wanted = int(expected.timestamp() * 1_000_000) if isinstance(expected, datetime) else expected
    assert (row.reason, row.line, row.value) == (None, None, wanted)


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("id", None, "id_missing"),
        ("id", " \u00a0", "id_missing"),
        ("id", "abcde", "id_too_long"),
        ("count", "two", "count_not_a_whole_number"),
        ("count", "1.0", "count_not_a_whole_number"),
        ("count", "1e3", "count_not_a_whole_number"),
        ("count", "3000000000", "count_not_a_whole_number"),
        ("price", "12.5O", "price_not_a_number"),
        ("price", "1,234.50", "price_not_a_number"),
        ("price", "NaN", "price_not_a_number"),
        ("price", "0.001", "price_not_a_number"),
        ("price", "12345.00", "price_not_a_number"),
        ("day", "2024-02-30", "day_not_a_date"),
        ("day", "0000-00-00", "day_not_a_date"),
        ("day", "2024-2-3", "day_not_a_date"),
        ("day", "2024", "day_not_a_date"),
        ("at", "T12:30", "at_not_a_date"),
        ("at", "2024-01-01 25:00:00", "at_not_a_date"),
        ("is_new", "2", "is_new_not_a_boolean"),
        (MALFORMED, "a,b,c", "row_malformed"),
    ],
)
def test_an_unsound_text_is_a_reason_and_kept(spark: SparkSession, column: str, text: str | None, reason: str) -> None:
    (row,) = clean(rows(spark, {column: text}), THINGS, date_formats=("dd/MM/yyyy",)).collect()
    assert row.reason == reason
    line = bytes(row.line).decode()
    assert (
        line == text if column == MALFORMED else json.loads(line).get(column) == ((text or "").strip("\u00a0 ") or None)
    )


def test_a_row_has_the_first_reason_in_order(spark: SparkSession) -> None:
    texts = {"id": "abcde", "count": "x", "price": "x"}
    rules = (Rule("too_many", F.col("count") > 5),)
    (first,) = clean(rows(spark, texts), THINGS, rules=rules).collect()
    (second,) = clean(rows(spark, texts | {"id": "1"}), THINGS, rules=rules).collect()
    (last,) = clean(rows(spark, {"count": "6"}), THINGS, rules=rules).collect()
    assert (first.reason, second.reason, last.reason) == ("id_too_long", "count_not_a_whole_number", "too_many")


def test_of_a_repeated_key_the_same_sound_row_is_kept_whatever_the_order(spark: SparkSession) -> None:
    texts = [{"id": "7", "count": count} for count in ("x", "2", "1", "1")]
    for order in (texts, texts[::-1]):
        judged = clean(rows(spark, *order), THINGS).select("reason", "count").collect()
        assert sorted(map(str, judged)) == [
            "Row(reason='count_not_a_whole_number', count=None)",
            "Row(reason='key_repeated', count=1)",
            "Row(reason='key_repeated', count=2)",
            "Row(reason=None, count=1)",
        ]


def test_a_key_may_stand_in_every_extract_and_the_newest_counts(spark: SparkSession) -> None:
    both = clean(
        rows(spark, {"id": "7", "count": "1"}).union(rows(spark, {"id": "7", "count": "2"}, extract_date=D2)), THINGS
    )
    assert both.where("reason IS NULL").count() == 2
    first = both.where(F.col("extract_date") == F.lit(D1))
    found = [
        [(row.extract_date, row["count"]) for row in newest(rows_of, "id", extract_dates=dates).collect()]
        for rows_of, dates in ((both, ()), (both, (D1, D2)), (first, (D1,)))
    ]
    assert found == [[(D2, 2)], [(D2, 2)], [(D1, 1)]]


def test_a_row_that_moved_is_of_its_latest_day_alone(spark: SparkSession) -> None:
    moved = rows(spark, {"id": "7", "day": "2024-01-05"}).union(
        rows(spark, {"id": "7", "day": "2024-02-05"}, {"id": "7", "day": "x"}, extract_date=D2)
    )
    judged = with_latest_day(clean(moved, THINGS), THINGS, (D1, D2))
    assert {(row.extract_date, row.reason, row.day) for row in judged.collect()} == {
        (D1, None, date(2024, 2, 5)),
        (D2, None, date(2024, 2, 5)),
        (D2, "day_not_a_date", None),
    }


def test_every_row_and_every_cent_is_in_one_account(spark: SparkSession) -> None:
    texts: list[dict[str, str | None]] = [
        {"day": "2024-01-05", "price": "1.10"},
        {"day": "2024-01-05", "price": "2.20", "count": "x"},
        {"day": "2024-02-05", "price": "4.40"},
        {"day": "2024-02-05", "price": "4.40", "count": "x"},
        {"day": "2024-13-05", "price": "8.80"},
        {"day": "2024-01-31", "price": "9.90", "count": "13"},
    ]
    judged = reject(clean(rows(spark, *texts), THINGS), THINGS, Rule("unlucky", F.col("count") == 13))
    extract = Extract("things", "", THINGS.columns, key=("id",), day="day")
    raw, rejected, counts = split((Judged(extract, judged.withColumn("amount", F.col("price"))),), JANUARY)
    assert [(row.id, row.start_date, row.end_date) for row in raw.collect()] == [("0", JANUARY.start, JANUARY.end)]
    assert {(row.source_table, row.reason, row.line_count) for row in rejected.collect()} == {
        ("things", "count_not_a_whole_number", 1),
        ("things", "day_not_a_date", 1),
        ("things", "unlucky", 1),
    }
    found = {(row.date, row.reason): (row.rows, row.rows_outside, row.amount) for row in counts.collect()}
    assert found == {
        (date(2024, 1, 5), None): (1, 0, Decimal("1.10")),
        (date(2024, 1, 5), "count_not_a_whole_number"): (1, 0, Decimal("2.20")),
        (date(2024, 1, 31), None): (0, 2, Decimal(0)),
        (date(2024, 1, 31), "day_not_a_date"): (1, 0, Decimal("8.80")),
        (date(2024, 1, 31), "unlucky"): (1, 0, Decimal("9.90")),
    }
    spark.catalog.clearCache()


OWNERS = Extract("owners", "who has things", columns=(Column("owner_id", "VARCHAR(4)", ""),), key=("owner_id",))
OWNED = Extract(
    "owned",
    "things that have an owner, and belong to another thing",
    columns=(
        *THINGS.columns,
        Column("owner_id", "VARCHAR(4)", "", nullable=True),
        Column("changed", "DATE", "", nullable=True),
        Column("colour", "VARCHAR(9)", "", nullable=True),
    ),
    key=("id",),
    day="day",
    optional=("colour",),
    updated="changed",
)


def owned(spark: SparkSession, *texts: Mapping[str, str], extract_date: date = D1) -> DataFrame:
    """Accepted and rejected rows of OWNED; what a dict leaves out is null."""
    names = (MALFORMED, *OWNED.column_names)
    schema = T.StructType([T.StructField(name, T.StringType()) for name in names])
    rows = local_frame(spark, [tuple(text.get(name) for name in names) for text in texts], schema)
    return clean(rows.withColumns({"extract_date": F.lit(extract_date), "file": F.lit("owned.csv")}), OWNED)


def test_an_orphan_is_accepted_and_counted_and_a_null_is_none(spark: SparkSession) -> None:
    texts = (
        {"id": "1", "owner_id": "a", "day": "2024-01-05"},
        {"id": "2", "owner_id": "b", "day": "2024-01-05"},
        {"id": "3", "day": "2024-01-05"},
        {"id": "4", "owner_id": "b", "day": "2024-02-05"},
        {"id": "5", "owner_id": "b", "day": "2024-01-05", "count": "x"},
    )
    owners = spark.createDataFrame([("a", None), ("b", "rejected")], "owner_id string, reason string")
    marked = with_orphans(owned(spark, *texts).withColumn("amount", F.lit(1)), owners, "owner_id", "owner_not_found")
    raw, _, counts = split((Judged(OWNED, marked, flags=("owner_not_found",)),), JANUARY)
    assert sorted(row.id for row in raw.collect()) == ["1", "2", "3"]
    found = {(row.date, row.reason): (row.rows, row.rows_flagged, row.amount) for row in counts.collect()}
    assert found == {
        (date(2024, 1, 5), None): (3, 0, Decimal(3)),
        (date(2024, 1, 5), "owner_not_found"): (0, 1, Decimal(0)),
        (date(2024, 1, 5), "count_not_a_whole_number"): (1, 0, Decimal(1)),
        (date(2024, 1, 31), None): (0, 0, Decimal(0)),
    }
    spark.catalog.clearCache()


def test_what_an_asked_row_refers_to_is_kept_in_all_its_versions_and_counts_as_outside(spark: SparkSession) -> None:
    old = owned(spark, {"id": "1", "owner_id": "a", "day": "2024-02-05"}, {"id": "2", "owner_id": "b"})
    new = owned(spark, {"id": "1", "owner_id": "c", "day": "2024-02-05"}, extract_date=D2)
    rows = old.union(new).withColumns({"day": F.lit(date(2024, 2, 5)), "amount": F.lit(1)})
    asked_rows = spark.createDataFrame([("a",), (None,)], "owner_id string")
    related = with_related(rows, OWNED, asked_rows, "owner_id")
    raw, _, counts = split((Judged(OWNED, related, related="is_related"),), JANUARY)
    assert sorted((row.extract_date, row.id) for row in raw.collect()) == [(D1, "1"), (D2, "1")]
    assert [(row.rows, row.rows_outside) for row in counts.collect()] == [(0, 3)]
    spark.catalog.clearCache()


def test_of_a_repeated_key_the_latest_change_counts(spark: SparkSession) -> None:
    texts = [{"id": "1", "changed": "2024-01-02", "count": "2"}, {"id": "1", "changed": "1999-12-31", "count": "1"}]
    for order in (texts, texts[::-1]):
        judged = {
            row["count"]: row.reason
            for row in owned(spark, *({**text, "day": "2024-01-01"} for text in order)).collect()
        }
        assert judged == {2: None, 1: "key_repeated"}
