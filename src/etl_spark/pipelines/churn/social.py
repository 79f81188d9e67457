"""Social activity to social_event, social_rejected and load_audit: each record is accepted, or rejected for one reason.

A record has event_id, event_time, platform, kind, customer_id, author, text; the rest is ignored. `author` and `text`
are personal: of the text its sentiment is kept, of the author nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pyspark.sql.functions as F
import pyspark.sql.types as T
from pyspark.sql import Column, DataFrame, Window

from etl_spark.core.framing import frame, unpack
from etl_spark.core.step import Stream
from etl_spark.pipelines.churn.social_settings import SocialSettings
from etl_spark.pipelines.churn.tables import SOCIAL_EVENT, SOCIAL_REJECTED
from etl_spark.quality import Rule, first_reason

REASONS = (
    "gzip_damaged",
    "not_json_object",
    "event_id_missing",
    "event_id_malformed",
    "event_time_missing",
    "event_time_not_a_time",
    "event_time_after_arrival",
    "platform_malformed",
    "kind_unknown",
    "customer_id_malformed",
    "text_malformed",
    "event_repeated",
)
"""Why a record is rejected, in the order they are asked: a record has the first that fits it."""

SOCIAL = Stream(
    name="social",
    doc="what customers write about us, as Firehose delivers it",
    settings=SocialSettings,
    events=SOCIAL_EVENT,
    quarantine=SOCIAL_REJECTED,
)

FIELDS = ("event_id", "event_time", "platform", "kind", "customer_id", "text")

RECORD = T.StructType(
    [
        T.StructField("file", T.StringType()),
        T.StructField("place", T.IntegerType()),
        T.StructField("line", T.BinaryType()),
        T.StructField("broken", T.StringType()),
        *(T.StructField(name, T.StringType()) for name in FIELDS if name != "text"),
        T.StructField("malformed", T.ArrayType(T.StringType())),
        T.StructField("sentiment", T.DecimalType(5, 4)),
    ]
)
"""What read_records tells of each record."""

# With its zone. Spark would take a time without one as UTC, and a day as its midnight.
_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})\z"
_HOUR_SECONDS = 3_600


def read_records(file: str, content: bytes) -> Iterator[tuple[object, ...]]:
    """The records of an object's bytes, each as RECORD has it; a gzip that cannot be read is one record.

    `place` is which one it is, from 0, and `line` its bytes. `broken` is the reason of what is no JSON object. A field
    is null unless it is text, and then named in `malformed` unless it is null there too.
    """
    unpacked = unpack(content)
    if unpacked is None:
        yield (file, 0, content, "gzip_damaged", *[None] * (len(FIELDS) - 1), [], None)
        return
    for place, one in enumerate(frame(unpacked)):
        record = one.value or {}
        fields = {name: value for name in FIELDS if is_text(value := record.get(name))}
        malformed = [name for name in FIELDS if record.get(name) is not None and name not in fields]
        text = fields.pop("text", None)
        broken = "not_json_object" if one.value is None else None
        score = None if text is None else sentiment(text)
        yield (file, place, one.content, broken, *map(fields.get, FIELDS[:-1]), malformed, score)


def is_text(value: object) -> bool:
    r"""Whether it is text that can be stored: JSON can write half of a character, "\ud83d", which UTF-8 has not."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def sentiment(text: str) -> Decimal | None:
    """How `text` sounds, -1 (bad) to 1 (good), in English; 0 where no word of it tells, None where it has none.

    By TextBlob's lexicon of adjectives with intensifiers and negations, which ships within the package: nothing is
    fetched, and the same version gives the same number everywhere. Of the maintained lexicon libraries it is the one
    that needs no download; VADER, which was made for social media, had its last release in 2020, and NLTK's copy of it
    has to download its lexicon.
    """
    # A worker reads it when it meets the first text: it takes seconds.
    from textblob.en import sentiment as polarity_and_subjectivity

    if not text.strip():
        return None
    polarity, _ = polarity_and_subjectivity(text)
    return Decimal(f"{polarity:.4f}")


def judge_records(records: DataFrame, settings: SocialSettings) -> DataFrame:
    """The records with their `reason`, null where they are accepted, judged each alone.

    Columns: those of RECORD without `broken`, `malformed` and `event_time`; arrival_date, arrived_at, event_at, reason.
    """
    return (
        records.withColumn("arrived_at", F.to_timestamp(F.substring("file", 1, 13), "yyyy/MM/dd/HH"))
        .withColumn("arrival_date", F.to_date("arrived_at"))
        .withColumn("event_at", F.when(F.col("event_time").rlike(_TIME), F.expr("try_cast(event_time AS TIMESTAMP)")))
        .withColumn("reason", first_reason(record_rules(settings)))
        .drop("broken", "malformed", "event_time")
    )


def record_rules(settings: SocialSettings) -> tuple[Rule, ...]:
    """The rules that a record meets alone, in the order of REASONS."""
    latest = F.expr(f"arrived_at + INTERVAL {_HOUR_SECONDS + settings.max_ahead_seconds} SECONDS")
    return (
        Rule("gzip_damaged", F.col("broken") == "gzip_damaged"),
        Rule("not_json_object", F.col("broken").isNotNull()),
        Rule("event_id_missing", F.col("event_id").isNull() & ~_is_malformed("event_id")),
        Rule("event_id_malformed", _is_malformed("event_id") | ~_fits("event_id")),
        Rule("event_time_missing", F.col("event_time").isNull() & ~_is_malformed("event_time")),
        Rule("event_time_not_a_time", F.col("event_at").isNull()),
        Rule("event_time_after_arrival", F.col("event_at") >= latest),
        Rule("platform_malformed", _is_malformed("platform") | ~_fits("platform")),
        Rule("kind_unknown", F.coalesce(~F.col("kind").isin(*settings.kinds), F.lit(True))),
        Rule("customer_id_malformed", _is_malformed("customer_id") | ~_fits("customer_id")),
        Rule("text_malformed", _is_malformed("text")),
    )


def _is_malformed(name: str) -> Column:
    return F.array_contains("malformed", name)


def _fits(name: str) -> Column:
    """Whether the text is no blank and short enough for its column; null of none."""
    (length,) = (column.length for column in SOCIAL_EVENT.columns if column.name == name)
    return F.col(name).rlike(r"\S") & (F.length(name) <= F.lit(length))


def sound_ids(judged: DataFrame) -> DataFrame:
    """event_id of the accepted records."""
    return judged.where(F.col("reason").isNull()).select("event_id")


def with_repeated(judged: DataFrame, stored: DataFrame) -> DataFrame:
    """`judged` with the reason event_repeated where the id is one of `stored` (event_id), or of a sound record before.

    Before is by the hour of arrival, the object's name and the place within.
    """
    # What is rejected already repeats nothing, and its ids, which are often null, are no group.
    alone = F.when(F.col("reason").isNotNull(), F.struct("file", "place"))
    order = Window.partitionBy("event_id", alone).orderBy("arrived_at", "file", "place")
    known = stored.join(sound_ids(judged), on="event_id", how="left_semi").withColumn("is_stored", F.lit(True))
    is_repeated = F.col("reason").isNull() & (F.col("is_stored").isNotNull() | (F.col("number") > 1))
    return (
        judged.join(known, on="event_id", how="left")
        .withColumn("number", F.row_number().over(order))
        .withColumn("reason", F.when(is_repeated, "event_repeated").otherwise(F.col("reason")))
        .drop("is_stored", "number")
    )


def build_events(judged: DataFrame) -> DataFrame:
    """social_event: the accepted records."""
    return judged.where(F.col("reason").isNull()).select(*SOCIAL_EVENT.column_names)


def build_rejected(judged: DataFrame) -> DataFrame:
    """social_rejected: the rejected records, as they came."""
    return (
        judged.where(F.col("reason").isNotNull())
        .groupBy("arrival_date", "file", "reason", "line")
        .agg(F.count(F.lit(1)).alias("line_count"))
    )


def build_counts(judged: DataFrame) -> DataFrame:
    """What core/audit.py makes load_audit of, one row per date, file and reason, which is null of accepted records.

    And late_rows, those accepted that happened before the hour they came in, and latest_seconds, by how much at most.
    """
    none = F.lit(0).cast("bigint")
    late = F.when(F.col("reason").isNull(), F.unix_seconds("arrived_at") - F.unix_seconds("event_at"))
    return judged.groupBy(F.col("arrival_date").alias("date"), "file", "reason").agg(
        F.count(F.lit(1)).alias("rows"),
        F.first(none).alias("rows_flagged"),
        F.first(none).alias("rows_outside"),
        F.first(none.cast("decimal(38,0)")).alias("amount"),
        F.count(F.when(late > 0, True)).alias("late_rows"),
        F.max(late).alias("latest_seconds"),
    )
