"""What a table accepts, and which of its rows a write replaces."""

from datetime import date
from typing import Any

import pyspark.sql.functions as F
import pytest
from chispa import assert_df_equality
from pyspark.sql import SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import SchemaError
from etl_spark.core.table import Column, Scope, Table, condition

TABLE = Table(
    name="t",
    doc="One row per day and code.",
    columns=(
        Column("day", "DATE", ""),
        Column("code", "VARCHAR(3)", ""),
        Column("count", "INT", ""),
        Column("share", "DECIMAL(5,2)", "", nullable=True),
    ),
    grain=("day", "code"),
    replaces=("day",),
)
DAY = date(2022, 4, 1)
ASKED = DateRange(DAY, date(2022, 4, 2))


def test_conform_selects_in_order_and_casts(spark: SparkSession) -> None:
    df = spark.sql("SELECT 7L AS count, 'abc' AS code, DATE'2022-04-01' AS day, 1.5 AS share")
    expected = spark.createDataFrame([(DAY, "abc", 7)], "day DATE, code STRING, count INT").withColumn(
        "share", F.lit("1.50").cast("decimal(5,2)")
    )
    assert_df_equality(TABLE.conform(df), expected, ignore_nullable=True)


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("SELECT 7 AS count, 'abc' AS code, DATE'2022-04-01' AS day", "missing columns.*share"),
        ("SELECT 1 AS x, 7 AS count, 'a' AS code, DATE'2022-04-01' AS day, 1.5 AS share", "surplus columns.*x"),
        ("SELECT '7' AS count, 'abc' AS code, DATE'2022-04-01' AS day, 1.5 AS share", "count: string is not INT"),
        ("SELECT 7 AS count, 'abc' AS code, '2022-04-01' AS day, 1.5 AS share", "day: string is not DATE"),
        ("SELECT 7 AS count, 'abc' AS code, DATE'2022-04-01' AS day, 1.5D AS share", "share: double is not DECIMAL"),
    ],
)
def test_conform_refuses_what_only_a_guess_would_convert(spark: SparkSession, query: str, complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        TABLE.conform(spark.sql(query))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ("NULL, 'abc', 7", "t.day is null"),
        ("DATE'2022-04-01', NULL, 7", "t.code is null"),
        ("DATE'2022-04-01', 'abcd', 7", "t.code is longer than 3 characters"),
        ("DATE'2022-04-01', 'abc', 3000000000L", "(?i)overflow"),
    ],
)
def test_a_value_that_does_not_fit_fails_the_job(spark: SparkSession, values: str, complaint: str) -> None:
    df = spark.sql(f"SELECT *, NULL AS share FROM VALUES ({values}) AS t(day, code, count)")
    df = df.withColumn("day", F.col("day").cast("date")).withColumn("code", F.col("code").cast("string"))
    with pytest.raises(Exception, match=complaint):
        TABLE.conform(df).collect()


def test_length_counts_characters_not_bytes(spark: SparkSession) -> None:
    df = spark.sql("SELECT DATE'2022-04-01' AS day, 'äß😀' AS code, 1 AS count, NULL AS share")
    assert TABLE.conform(df).first()["code"] == "äß😀"  # type: ignore[index]


def with_columns(**replaces: Any) -> Table:
    columns = tuple(Column(name, "DATE", "") for name in replaces["replaces"])
    return Table(name="x", doc="", columns=columns, grain=replaces["replaces"], **replaces)


def test_the_scope_of_a_write() -> None:
    days: dict[str, Any] = {"pipeline": "p", "asked": ASKED, "days": ASKED.days}
    assert with_columns(replaces=("day",)).scope(**days) == tuple({"day": day} for day in ASKED.days)
    assert with_columns(replaces=("start_date", "end_date")).scope(**days) == (
        {"start_date": ASKED.start, "end_date": ASKED.end},
    )
    assert with_columns(replaces=("pipeline", "date")).scope(**days)[0] == {"pipeline": "p", "date": DAY}
    assert with_columns(replaces=()).scope(**days) == ({},)


def test_the_partitions_of_a_scope() -> None:
    table = with_columns(replaces=("pipeline", "date"))
    scope: Scope = tuple({"pipeline": name, "date": day} for name in "ab" for day in (DAY, DAY))
    assert table.partitions_of(scope[:1]) == scope[:1]
    assert with_columns(replaces=("pipeline", "date"), partitioned_by=("pipeline",)).partitions_of(scope) == (
        {"pipeline": "a"},
        {"pipeline": "b"},
    )
    assert with_columns(replaces=()).partitions_of(({},)) == ({},)
    with pytest.raises(SchemaError, match="partitioned_by"):
        with_columns(replaces=("pipeline", "date"), partitioned_by=("date",))


def test_a_scope_as_a_condition(spark: SparkSession) -> None:
    rows = spark.sql("SELECT * FROM VALUES ('p', DATE'2022-04-01'), ('p', DATE'2022-04-02'), ('q', DATE'2022-04-01')")
    rows = rows.toDF("pipeline", "date")
    one, other = date(2022, 4, 1), date(2022, 4, 2)
    cases: tuple[tuple[Scope, int], ...] = (
        ((), 0),
        (({},), 3),
        (({"date": one},), 2),
        (({"date": one}, {"date": other}), 3),
        (({"pipeline": "p", "date": one}, {"pipeline": "p", "date": other}), 2),
        (({"pipeline": "p", "date": other}, {"pipeline": "q", "date": one}), 2),
    )
    for scope, count in cases:
        assert rows.where(condition(scope)).count() == count, scope


def test_a_year_of_days_is_one_flat_condition() -> None:
    year = DateRange(date(2022, 1, 1), date(2022, 12, 31))
    text = condition(tuple({"pipeline": "p", "date": day} for day in year.days))
    assert text.count("DATE'") == 365
    assert " OR " not in text


def test_a_partition_name_cannot_carry_sql() -> None:
    with pytest.raises(SchemaError, match="cannot be a partition's name"):
        condition(({"pipeline": "p' OR true --"},))


def test_a_table_whose_keys_are_not_columns_is_refused() -> None:
    with pytest.raises(SchemaError):
        Table("t", "", (Column("a", "INT", ""),), grain=("b",), replaces=())
    with pytest.raises(SchemaError):
        Table("t", "", (Column("a", "INT", ""), Column("b", "INT", "")), grain=("a",), replaces=("b",))
