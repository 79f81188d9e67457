"""Rows of a relational source, as text, into typed rows: each is accepted, or rejected for one reason.

Every source hands its rows over as text, a database too, so that one set of rules tells a sound value from another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce

import pyspark.sql.functions as F
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window

from etl_spark.core.dates import DateRange
from etl_spark.core.extract import Extract
from etl_spark.core.table import MONEY
from etl_spark.core.table import Column as TableColumn
from etl_spark.quality import Rule, first_reason

WHITE_SPACE = " \t\n\r\f\x0b\u00a0"

_KINDS = {
    "BIGINT": "whole_number",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "DECIMAL": "number",
    "INT": "whole_number",
    "TIMESTAMP": "date",
}
_TRUE, _FALSE = ("t", "true", "1", "y", "yes"), ("f", "false", "0", "n", "no")
_WHOLE_NUMBER = r"^[+-]?[0-9]+$"
_NUMBER = r"^[+-]?([0-9]+\.?|[0-9]*\.[0-9]+)$"
_ISO_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9:.+Z-]*)?$"


def clean(
    rows: DataFrame, extract: Extract, *, rules: Sequence[Rule] = (), date_formats: Sequence[str] = ()
) -> DataFrame:
    """One row per row of `rows`, its columns typed as `extract` has them, and its `reason`, null where it is accepted.

    `rows` has extract_date, file, malformed (what could not be taken apart into columns, else null) and the columns of
    `extract` as text. In order, a row is rejected that is malformed; that lacks a value or has one of another type,
    column by column; that fails one of `rules`; and all but one, the latest or else always the same, of those that
    share a key in an extract. `line` (BINARY) is the rejected row as a JSON object. Text is trimmed, and null where
    nothing is left.
    """
    texts = [F.col(f"text.{name}").alias(name) for name in extract.column_names]
    typed = rows.select(
        "extract_date",
        "file",
        "malformed",
        F.struct(*(_trimmed(name) for name in extract.column_names)).alias("text"),
    ).select(
        "extract_date",
        "file",
        "malformed",
        "text",
        *(_typed(column, date_formats).alias(column.name) for column in extract.columns),
    )
    all_rules = [Rule("row_malformed", F.col("malformed").isNotNull())]
    for column in extract.columns:
        all_rules += _column_rules(column)
    judged = typed.withColumn("reason", first_reason([*all_rules, *rules]))
    latest_first = [F.desc_nulls_last(extract.updated)] if extract.updated else []
    same_key = Window.partitionBy("extract_date", *extract.key, F.col("reason").isNull())
    places = same_key.orderBy(*latest_first, *texts, "file")
    repeated = F.col("reason").isNull() & (F.row_number().over(places) > 1)
    row = F.coalesce("malformed", F.to_json(F.struct(*texts)))
    return (
        judged.withColumn("reason", F.when(repeated, F.lit("key_repeated")).otherwise(F.col("reason")))
        .withColumn("line", F.when(F.col("reason").isNotNull(), row.cast("binary")))
        .drop("text", "malformed")
    )


def _trimmed(name: str) -> Column:
    return trimmed(F.col(name)).alias(name)


def trimmed(text: Column) -> Column:
    """`text` without white space around it, null where nothing is left."""
    bare = F.btrim(text, F.lit(WHITE_SPACE))
    return F.when(bare != "", bare)


def _typed(column: TableColumn, date_formats: Sequence[str]) -> Column:
    """The text of `column` as its type, null where it is no such value. A time without a zone is in UTC.

    `date_formats` are tried, in their order, on a text that is not an ISO date.
    """
    text = F.col(f"text.{column.name}")
    kind = column.type.partition("(")[0]

    def cast_if(pattern: str, data_type: str = column.type) -> Column:
        # Spark's cast takes more than a plain value for one: "T12:30" for an hour of today, "1e5" for a number.
        return F.when(text.rlike(pattern), F.expr(f"try_cast(text.{column.name} AS {data_type})"))

    match kind:
        case "VARCHAR":
            return text
        case "INT" | "BIGINT":
            return cast_if(_WHOLE_NUMBER)
        case "DECIMAL":
            # More decimals than the column has are no noise of a float, if they are among the first twelve.
            exact = cast_if(_NUMBER, "DECIMAL(38,12)")
            return F.when(exact == cast_if(_NUMBER), cast_if(_NUMBER))
        case "DATE" | "TIMESTAMP":
            return date_of(f"text.{column.name}", date_formats, kind)
        case "BOOLEAN":
            lower = F.lower(text)
            return F.when(lower.isin(*_TRUE), F.lit(True)).when(lower.isin(*_FALSE), F.lit(False))
    raise TypeError(f"no text is a {column.type}")


def date_of(name: str, date_formats: Sequence[str], data_type: str = "TIMESTAMP") -> Column:
    """The text of the column `name` as DATE or TIMESTAMP, null where it is none: ISO, or else in one of the formats."""
    iso = F.when(F.col(name).rlike(_ISO_DATE), F.expr(f"try_cast({name} AS {data_type})"))
    return F.coalesce(iso, *(F.try_to_timestamp(F.col(name), F.lit(one)).cast(data_type) for one in date_formats))


def _column_rules(column: TableColumn) -> list[Rule]:
    text, value = F.col(f"text.{column.name}"), F.col(column.name)
    rules = [] if column.nullable else [Rule(f"{column.name}_missing", text.isNull())]
    if column.length:
        return [*rules, Rule(f"{column.name}_too_long", F.length(value) > column.length)]
    kind = _KINDS[column.type.partition("(")[0]]
    return [*rules, Rule(f"{column.name}_not_a_{kind}", text.isNotNull() & value.isNull())]


def negative(price: str) -> Rule:
    return Rule(f"{price}_negative", F.col(price) < 0)


def newest(rows: DataFrame, *key: str, extract_dates: Sequence[date] = ()) -> DataFrame:
    """Of each `key` in `rows`, the row of the latest extract that has it.

    `extract_dates` are the days of the extracts that `rows` are of, where they are known: a single one has each key
    once, and nothing is to be sorted.
    """
    if len(extract_dates) == 1:
        return rows
    latest = Window.partitionBy(*key).orderBy(F.desc("extract_date"))
    return rows.withColumn("place", F.row_number().over(latest)).where("place = 1").drop("place")


def with_latest_day(rows: DataFrame, extract: Extract, extract_dates: Sequence[date]) -> DataFrame:
    """`rows`, every accepted one of them on the `day` that the latest extract with its key gives it.

    So a row that moved to another day is counted on that one, and on no other.
    """
    if len(extract_dates) == 1:
        return rows
    same_key = Window.partitionBy(*extract.key, F.col("reason").isNull()).orderBy(F.desc("extract_date"))
    latest = F.first("day").over(same_key)
    return rows.withColumn("day", F.when(F.col("reason").isNull(), latest).otherwise(F.col("day")))


def without_day(rows: DataFrame) -> DataFrame:
    """`rows` of a table that is read whole and has no money of its own."""
    return rows.withColumns({"day": F.lit(None).cast("date"), "amount": F.lit(None).cast(MONEY)})


def with_related(rows: DataFrame, extract: Extract, asked_rows: DataFrame, key: str) -> DataFrame:
    """`rows`, with `is_related`: whether one of `asked_rows` has their `key`, or that of another version of them."""
    matched = with_match(rows, asked_rows, key, "is_related")
    versions = Window.partitionBy(*extract.key)
    return matched.withColumn("is_related", is_accepted() & F.max("is_related").over(versions))


def with_match(rows: DataFrame, others: DataFrame, key: str, name: str) -> DataFrame:
    """`rows`, with whether any of `others` has their `key` in the column `name`: never for a null."""
    found = others.groupBy(key).agg(F.lit(True).alias(name))
    return rows.join(found, on=key, how="left").withColumn(name, F.coalesce(name, F.lit(False)))


def with_orphans(rows: DataFrame, parents: DataFrame, key: str, flag: str) -> DataFrame:
    """`rows`, with `flag`: whether they name a `key` that no accepted one of `parents`, both after clean(), has."""
    matched = with_match(rows, parents.where(is_accepted()), key, flag)
    return matched.withColumn(flag, F.col(key).isNotNull() & ~F.col(flag))


def is_accepted() -> Column:
    return F.col("reason").isNull()


def is_of(asked: DateRange) -> Column:
    """Whether a row is of an asked day; so is one without a day."""
    return F.coalesce(F.col("day").between(F.lit(asked.start), F.lit(asked.end)), F.lit(True))


@dataclass(frozen=True)
class Judged:
    """The rows of an extract after clean(), with the `day` (DATE) they are of and the `amount` of money they tell.

    Both are null where a row has none. Rows without a day count for the last asked day. `flags` are BOOLEAN columns of
    `rows`: faults for which an accepted row is counted, not rejected. `related` is the one that says which accepted
    rows of other days the raw table keeps, beside those of the asked days.
    """

    extract: Extract
    rows: DataFrame
    flags: tuple[str, ...] = ()
    related: str | None = None


def reject(rows: DataFrame, extract: Extract, rule: Rule) -> DataFrame:
    """`rows` after clean(), of which those that were accepted until now and fail `rule` are rejected for it."""
    fails = F.col("reason").isNull() & F.coalesce(rule.fails, F.lit(False))
    line = F.to_json(F.struct(*extract.column_names)).cast("binary")
    return rows.withColumn("line", F.when(fails, line).otherwise(F.col("line"))).withColumn(
        "reason", F.when(fails, F.lit(rule.reason)).otherwise(F.col("reason"))
    )


def split(parts: Sequence[Judged], asked: DateRange) -> tuple[DataFrame, ...]:
    """The raw table of each of `parts`, in their order, the table of rejected rows, and the counts for load_audit.

    The rows are judged once: they are kept on disk until the session's cache is cleared.
    """
    parts = [replace(part, rows=part.rows.persist(StorageLevel.DISK_ONLY)) for part in parts]
    rejected = [build_rejected(part, asked) for part in parts]
    counts = [build_counts(part, asked) for part in parts]
    return (
        *(build_raw(part, asked) for part in parts),
        reduce(DataFrame.unionAll, rejected),
        reduce(DataFrame.unionAll, counts),
    )


def build_raw(part: Judged, asked: DateRange) -> DataFrame:
    """The raw table of an extract: its accepted rows of the asked days, and those that an asked row refers to."""
    bounds = {} if part.extract.is_whole else {"start_date": F.lit(asked.start), "end_date": F.lit(asked.end)}
    is_kept = is_of(asked) | F.col(part.related) if part.related else is_of(asked)
    return (
        part.rows.where(is_accepted() & is_kept).select("extract_date", *part.extract.column_names).withColumns(bounds)
    )


def build_rejected(part: Judged, asked: DateRange) -> DataFrame:
    """The table of rejected_table(), of one extract."""
    return (
        part.rows.where(~is_accepted() & is_of(asked))
        .groupBy("extract_date", "file", "reason", "line")
        .agg(F.count(F.lit(1)).alias("line_count"))
        .select(
            "extract_date",
            F.lit(asked.start).alias("start_date"),
            F.lit(asked.end).alias("end_date"),
            F.lit(part.extract.name).alias("source_table"),
            "file",
            "reason",
            "line",
            "line_count",
        )
    )


def build_counts(part: Judged, asked: DateRange) -> DataFrame:
    """What core/audit.py makes load_audit of, of one extract: one row per date, file and reason or flag."""
    is_asked = is_of(asked)
    last_day = F.lit(asked.end)
    amount = F.sum(F.when(is_asked, F.col("amount").cast("decimal(28,4)")))
    counts = part.rows.groupBy(
        F.when(is_asked, F.coalesce("day", last_day)).otherwise(last_day).alias("date"),
        "file",
        F.when(is_asked, F.col("reason")).alias("reason"),
    ).agg(
        F.count_if(is_asked).alias("rows"),
        F.count_if(~is_asked).alias("rows_outside"),
        F.coalesce(amount, F.lit(0)).cast("decimal(38,4)").alias("amount"),
        *(F.count_if(is_asked & is_accepted() & F.col(flag)).alias(flag) for flag in part.flags),
    )
    none = F.lit(0).cast("bigint")
    of_rows = F.struct("reason", "rows", none.alias("rows_flagged"), "rows_outside", "amount")
    of_flags = (
        F.struct(
            F.lit(flag).alias("reason"),
            none.alias("rows"),
            F.col(flag).alias("rows_flagged"),
            none.alias("rows_outside"),
            F.lit(0).cast("decimal(38,4)").alias("amount"),
        )
        for flag in part.flags
    )
    entries = counts.select("date", "file", F.explode(F.array(of_rows, *of_flags)).alias("entry"))
    is_told = F.col("reason").isNull() | (F.col("rows") + F.col("rows_flagged") > 0)
    return entries.select("date", "file", "entry.*").where(is_told)
