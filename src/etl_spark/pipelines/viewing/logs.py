"""Log lines to viewing_daily, viewing_rejected and load_audit: each line is accepted, or rejected for one reason.

A record has the customer in `_source`: Contract, Mac, TotalDuration (seconds), AppName; the rest is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyspark.sql.functions as F
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window

from etl_spark.json_lines import WHITE_SPACE, is_text, not_blank, object_text, parse, with_object
from etl_spark.pipelines.viewing.settings import LogRules
from etl_spark.pipelines.viewing.tables import CATEGORIES, SECONDS_COLUMNS, seconds_column
from etl_spark.quality import Rule, first_reason

REASONS = (
    "not_json_object",
    "contract_missing",
    "contract_not_a_code",
    "duration_not_integer",
    "duration_not_positive",
    "duration_too_long",
    "app_unknown",
    "id_repeated",
)
"""Why a line is rejected, in the order they are asked: a line has the first that fits it."""

FLAG = "mac_malformed"
"""A fault of an accepted line, which is counted and nothing more."""

_TYPED = "_id: STRING, _source: STRUCT<Contract: STRING, Mac: STRING, TotalDuration: BIGINT, AppName: STRING>"
_TEXTUAL = "_id: STRING, _source: STRUCT<Contract: STRING, Mac: STRING, TotalDuration: STRING, AppName: STRING>"
_NUMERIC = "_source: STRUCT<TotalDuration: DOUBLE>"


def read_days(files: DataFrame, lines: DataFrame, *, rules: LogRules) -> tuple[DataFrame, DataFrame, DataFrame]:
    """viewing_daily, viewing_rejected, and the counts for load_audit, of `files` (one row a file) and their `lines`.

    The one seam to the logs: all that follows reads viewing_daily, so a faster reader replaces this function; it may
    open `files` itself. The lines are read once: what is kept is a row per contract and file, and per rejected line.
    """
    counted = count_lines(judge_lines(lines, rules)).persist(StorageLevel.DISK_ONLY)
    return build_daily(counted), build_rejected(counted), build_counts(counted)


def judge_lines(lines: DataFrame, rules: LogRules) -> DataFrame:
    """One row per line that is not white space, with its `reason`, null where it is accepted.

    Columns: date, file, line (BINARY); record_id, contract, category, seconds and digits as far as the line tells
    them; is_flagged; reason.
    """
    judged = (
        with_record(lines.where(not_blank(F.col("line"))), rules.max_line_bytes)
        .withColumn("contract", F.upper(F.btrim("contract", F.lit(WHITE_SPACE))))
        .withColumn("category", category(rules.categories))
        .withColumn("is_flagged", F.coalesce(~F.col("mac").rlike(_whole(rules.mac_pattern)), F.lit(False)))
        .withColumn("reason", first_reason(line_rules(rules)))
        .drop("is_object", "mac", "app_name")
    )
    return with_repeated_ids(judged) if rules.reject_repeated_ids else judged


def line_rules(rules: LogRules) -> tuple[Rule, ...]:
    """The rules that a line meets alone, in the order of REASONS."""
    return (
        Rule("not_json_object", ~F.col("is_object")),
        Rule("contract_missing", F.col("contract").isNull()),
        Rule("contract_not_a_code", ~F.col("contract").rlike(_whole(rules.contract_pattern))),
        Rule("duration_not_integer", F.col("seconds").isNull() & F.col("digits").isNull()),
        Rule("duration_not_positive", F.coalesce(F.col("seconds") <= 0, F.col("digits").startswith("-"))),
        Rule("duration_too_long", F.coalesce(F.col("seconds") > rules.max_seconds, F.lit(True))),
        Rule("app_unknown", F.col("category").isNull()),
    )


def category(apps: Mapping[str, Sequence[str]]) -> Column:
    """The category that lists the line's AppName, null where none does."""
    return F.coalesce(*(F.when(F.col("app_name").isin(*apps[name]), F.lit(name)) for name in CATEGORIES))


def with_record(lines: DataFrame, max_line_bytes: int) -> DataFrame:
    """date, file, line (BINARY), is_object, and record_id, contract, mac, app_name, seconds, digits of each line.

    seconds is TotalDuration where it is a JSON integer of 64 bits, digits its text where it is a longer one.

    The few lines that fail as they should be typed are parsed once more as text, to tell which rule they break.
    """
    told = with_object(lines, "typed", _TYPED, max_bytes=max_line_bytes)
    text = F.when(F.col("typed").isNull() & is_text(F.col("line"), max_line_bytes), object_text(F.col("line")))
    is_long = F.col("number").isNotNull() & F.col("textual._source.TotalDuration").rlike("^-?[0-9]+$")
    return (
        told.withColumn("object", text)
        .withColumn("textual", parse(F.col("object"), _TEXTUAL)[0])
        .withColumn("number", parse(F.col("object"), _NUMERIC)[0]["_source"]["TotalDuration"])
        .select(
            "date",
            "file",
            F.col("line").cast("binary").alias("line"),
            (F.col("typed").isNotNull() | F.col("object").isNotNull()).alias("is_object"),
            F.coalesce("typed._id", "textual._id").alias("record_id"),
            F.coalesce("typed._source.Contract", "textual._source.Contract").alias("contract"),
            F.coalesce("typed._source.Mac", "textual._source.Mac").alias("mac"),
            F.coalesce("typed._source.AppName", "textual._source.AppName").alias("app_name"),
            F.col("typed._source.TotalDuration").alias("seconds"),
            F.when(is_long, F.col("textual._source.TotalDuration")).alias("digits"),
        )
    )


def _whole(pattern: str) -> str:
    r"""The pattern for a whole value: Java's $ also matches before a newline at the end, \z does not."""
    return rf"\A(?:{pattern})\z"


def with_repeated_ids(judged: DataFrame) -> DataFrame:
    """Of the accepted lines of a day that have one `_id`, all but the first, by file and bytes, are rejected."""
    can_repeat = F.col("reason").isNull() & F.col("record_id").isNotNull()
    # Lines that cannot repeat are spread by their bytes: millions without an _id must not end up in one partition.
    same_id = Window.partitionBy(
        "date", F.when(can_repeat, F.col("record_id")), F.when(~can_repeat, F.xxhash64("line"))
    ).orderBy("file", "line")
    repeated = can_repeat & (F.col("place") > 1)
    return (
        judged.withColumn("place", F.row_number().over(same_id))
        .withColumn("reason", F.when(repeated, F.lit("id_repeated")).otherwise(F.col("reason")))
        .drop("place")
    )


def count_lines(judged: DataFrame) -> DataFrame:
    """One row per date, file and contract of the accepted lines, and one per date, file, reason and rejected line.

    Columns besides: the five sums of accepted seconds; seconds, the sum of all that is an integer (of up to 28
    digits: no file can make that overflow); line_count and flagged_count.
    """
    accepted = F.col("reason").isNull()
    rejected_seconds = F.coalesce(F.col("seconds").cast("decimal(38,0)"), F.expr("try_cast(digits AS DECIMAL(28,0))"))
    sums = (
        F.sum(F.when(accepted & (F.col("category") == name), F.col("seconds")).otherwise(0)).alias(seconds_column(name))
        for name in CATEGORIES
    )
    return (
        judged.groupBy(
            "date",
            "file",
            "reason",
            F.when(accepted, F.col("contract")).alias("contract"),
            F.when(~accepted, F.col("line")).alias("line"),
        )
        .agg(
            *sums,
            F.sum(F.when(accepted, F.col("seconds"))).alias("accepted_seconds"),
            # Equal lines have equal seconds: one of them times their number is their sum.
            F.max(F.when(~accepted, rejected_seconds)).alias("rejected_seconds"),
            F.count(F.lit(1)).alias("line_count"),
            F.count(F.when(accepted & F.col("is_flagged"), True)).alias("flagged_count"),
        )
        .withColumn(
            "seconds",
            F.coalesce(
                F.col("accepted_seconds").cast("decimal(38,0)"),
                (F.col("rejected_seconds") * F.col("line_count")).cast("decimal(38,0)"),
                F.lit(0).cast("decimal(38,0)"),
            ),
        )
        .drop("accepted_seconds", "rejected_seconds")
    )


def build_daily(counted: DataFrame) -> DataFrame:
    """viewing_daily: the accepted lines of count_lines, all files of a day together."""
    return (
        counted.where(F.col("reason").isNull())
        .groupBy(F.col("date").alias("log_date"), "contract")
        .agg(
            *(F.sum(name).alias(name) for name in SECONDS_COLUMNS),
            F.sum("line_count").alias("record_count"),
        )
    )


def build_rejected(counted: DataFrame) -> DataFrame:
    """viewing_rejected: the rejected lines of count_lines."""
    rejected = counted.where(F.col("reason").isNotNull())
    return rejected.select(F.col("date").alias("log_date"), "file", "reason", "line", "line_count")


def build_counts(counted: DataFrame) -> DataFrame:
    """What core/audit.py makes load_audit of, one row per date, file and reason; the amount is of seconds.

    The accepted lines have the reason null; those of them with a malformed Mac are counted once more, as flagged.
    """
    by_reason = counted.groupBy("date", "file", "reason").agg(
        F.sum("line_count").alias("rows"), F.sum("flagged_count").alias("flagged"), F.sum("seconds").alias("amount")
    )
    none = F.lit(0).cast("bigint")
    whole = F.struct("reason", "rows", none.alias("rows_flagged"), none.alias("rows_outside"), "amount")
    flagged = F.struct(
        F.lit(FLAG).alias("reason"),
        none.alias("rows"),
        F.col("flagged").alias("rows_flagged"),
        none.alias("rows_outside"),
        none.cast("decimal(38,0)").alias("amount"),
    )
    both = by_reason.select("date", "file", F.inline(F.array(whole, flagged)))
    return both.where("rows > 0 OR rows_flagged > 0")
