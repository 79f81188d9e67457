"""Lines of the website's logs to web_event, web_rejected and load_audit: each is accepted, or rejected for one reason.

An event has event_id, event_time (ISO 8601, UTC where it names no zone), session_id, kind, and customer_id once its
visitor is logged in; the rest is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyspark.sql.functions as F
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window

from etl_spark.json_lines import WHITE_SPACE, not_blank, with_object
from etl_spark.pipelines.churn.settings import WebRules
from etl_spark.pipelines.churn.tables import KINDS, WEB_EVENT
from etl_spark.quality import Rule, first_reason

REASONS = (
    "not_json_object",
    "event_id_missing",
    "event_id_too_long",
    "event_time_missing",
    "event_time_not_a_time",
    "event_after_its_log",
    "event_too_late",
    "session_id_missing",
    "session_id_too_long",
    "customer_id_too_long",
    "kind_missing",
    "kind_unknown",
    "event_repeated",
)
"""Why a line is rejected, in the order they are asked: a line has the first that fits it."""

_FIELDS = ("event_id", "event_time", "session_id", "customer_id", "kind")
_ISO_TIME = r"\A\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?\z"


def read_web(
    files: DataFrame, lines: DataFrame, known: DataFrame, *, rules: WebRules
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """web_event, web_rejected, and the counts for load_audit, of `files` (one row a file) and their `lines`.

    `known` is what web_event has of other days around theirs: an event that stands there is not taken in once more.
    """
    judged = with_repeated(judge_lines(lines, rules), known).persist(StorageLevel.DISK_ONLY)
    events = judged.where(F.col("reason").isNull()).select(*WEB_EVENT.column_names)
    return events, build_rejected(judged), build_counts(judged)


def judge_lines(lines: DataFrame, rules: WebRules) -> DataFrame:
    """One row per line that is not white space: log_date, file, line, what it tells, and its `reason` by itself."""
    fields = ", ".join(f"{name}: STRING" for name in _FIELDS)
    told = with_object(lines.where(not_blank(F.col("line"))), "event", fields, max_bytes=rules.max_line_bytes)
    return (
        told.select(
            F.col("date").alias("log_date"),
            "file",
            F.col("line").cast("binary").alias("line"),
            F.col("event").isNotNull().alias("is_object"),
            *(_trimmed(f"event.{name}").alias(name) for name in _FIELDS if name != "kind"),
            F.col("event.kind").alias("name"),
        )
        .withColumn(
            "event_at", F.expr(f"CASE WHEN event_time RLIKE r'{_ISO_TIME}' THEN TRY_CAST(event_time AS TIMESTAMP) END")
        )
        .withColumn("kind", kind(rules.kinds))
        .withColumn("reason", first_reason(line_rules(rules)))
        .drop("is_object", "event_time", "name")
    )


def _trimmed(name: str) -> Column:
    bare = F.btrim(F.col(name), F.lit(WHITE_SPACE))
    return F.when(bare != "", bare)


def kind(names: Mapping[str, Sequence[str]]) -> Column:
    """The kind that lists the line's own `name` for it, null where none does."""
    return F.coalesce(*(F.when(F.col("name").isin(*names[one]), F.lit(one)) for one in KINDS))


def line_rules(rules: WebRules) -> tuple[Rule, ...]:
    """The rules that a line meets alone, in the order of REASONS."""
    day = F.to_date("event_at")
    return (
        Rule("not_json_object", ~F.col("is_object")),
        Rule("event_id_missing", F.col("event_id").isNull()),
        _too_long("event_id"),
        Rule("event_time_missing", F.col("event_time").isNull()),
        Rule("event_time_not_a_time", F.col("event_at").isNull()),
        Rule("event_after_its_log", day > F.col("log_date")),
        Rule("event_too_late", F.date_diff("log_date", day) > rules.late_days),
        Rule("session_id_missing", F.col("session_id").isNull()),
        _too_long("session_id"),
        _too_long("customer_id"),
        Rule("kind_missing", F.col("name").isNull()),
        Rule("kind_unknown", F.col("kind").isNull()),
    )


def _too_long(name: str) -> Rule:
    return Rule(f"{name}_too_long", F.length(name) > 64)


def with_repeated(judged: DataFrame, known: DataFrame) -> DataFrame:
    """`judged`, of which all accepted lines with one event_id but the first, by log, file and bytes, are rejected.

    All of them are where `known` has the event.
    """
    can_repeat = F.col("reason").isNull()
    # Lines that cannot repeat are spread by their bytes: millions without an event_id must not end up in one partition.
    same_id = Window.partitionBy(
        F.when(can_repeat, F.col("event_id")), F.when(~can_repeat, F.xxhash64("line"))
    ).orderBy("log_date", "file", "line")
    ids = known.select("event_id").distinct().withColumn("is_known", F.lit(True))
    repeated = can_repeat & ((F.col("place") > 1) | F.col("is_known"))
    return (
        judged.withColumn("place", F.row_number().over(same_id))
        .join(ids, on="event_id", how="left")
        .withColumn("reason", F.when(repeated, F.lit("event_repeated")).otherwise(F.col("reason")))
        .drop("place", "is_known")
    )


def build_rejected(judged: DataFrame) -> DataFrame:
    """web_rejected: the rejected lines."""
    rejected = judged.where(F.col("reason").isNotNull())
    return rejected.groupBy("log_date", "file", "reason", "line").agg(F.count(F.lit(1)).alias("line_count"))


def build_counts(judged: DataFrame) -> DataFrame:
    """What core/audit.py makes load_audit of, one row per date, file and reason; there is no amount."""
    none = F.lit(0).cast("bigint")
    return judged.groupBy(F.col("log_date").alias("date"), "file", "reason").agg(
        F.count(F.lit(1)).alias("rows"),
        none.alias("rows_flagged"),
        none.alias("rows_outside"),
        F.lit(0).cast("decimal(38,4)").alias("amount"),
    )
