"""Items of DynamoDB to customer_profile, profile_rejected and load_audit: each item is accepted, or has one reason.

An attribute is a value under the name of its type: {"S": "basic"}, {"N": "12.50"}, {"NULL": true}. One that is missing
and one that is NULL are the same. Name, e-mail and city are never taken out of an item, not even of a rejected one.
"""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window

from etl_spark.core.step import Items
from etl_spark.extracts import date_of, trimmed
from etl_spark.pipelines.churn.tables import CUSTOMER_PROFILE
from etl_spark.quality import Rule, first_reason

_SCALAR = "STRUCT<S: STRING, N: STRING, BOOL: BOOLEAN, NULL: BOOLEAN>"
_ATTRIBUTES = {
    "customer_id": _SCALAR,
    "created_at": _SCALAR,
    "plan": _SCALAR,
    # As S or L, an address could be told whole.
    "address": f"STRUCT<M: STRUCT<country: {_SCALAR}>, NULL: BOOLEAN>",
    "opt_ins": "STRUCT<SS: ARRAY<STRING>, L: ARRAY<STRUCT<S: STRING>>, NULL: BOOLEAN>",
    "loyalty_points": _SCALAR,
}
"""What is taken out of an item, and the types that it is looked for under."""

PROFILES = Items(name="profiles", doc="customers' profiles in DynamoDB", attributes=tuple(_ATTRIBUTES))

REASONS = (
    "not_json_object",
    "customer_id_not_a_string",
    "customer_id_missing",
    "customer_id_too_long",
    "created_at_not_a_string",
    "created_at_not_a_time",
    "created_at_after_extract",
    "plan_not_a_string",
    "plan_too_long",
    "address_not_a_map",
    "country_not_a_string",
    "country_too_long",
    "opt_ins_not_a_set",
    "loyalty_points_not_a_number",
    "loyalty_points_too_long",
    "customer_id_repeated",
)
"""Why an item is rejected, in the order they are asked: an item has the first that fits it."""

_POINTS = "DECIMAL(38,6)"
_DECIMALS = 6
_NUMBER = r"\A[+-]?(?=\.?[0-9])([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]{1,3}))?\z"
_STRICT_JSON = {"allowSingleQuotes": "false", "allowNonNumericNumbers": "false"}


def read_profiles(items: DataFrame) -> tuple[DataFrame, DataFrame, DataFrame]:
    """customer_profile, profile_rejected, and the counts for load_audit, of `items`: extract_date, file, line.

    The items are judged once: they are kept on disk until the session's cache is cleared.
    """
    judged = judge_items(items).persist(StorageLevel.DISK_ONLY)
    return build_profiles(judged), build_rejected(judged), build_counts(judged)


def judge_items(items: DataFrame) -> DataFrame:
    """One row per item, with its `reason`, null where it is accepted.

    Columns: file, those of customer_profile as far as the item tells them, `line` of a rejected item (BINARY: what is
    taken out of it, as JSON) and reason.
    """
    attributes = with_attributes(items).withColumns(
        {"created_at": _text("created_at"), "points": F.col("typed.loyalty_points.N")}
    )
    typed = attributes.select(
        "extract_date",
        "file",
        "line",
        "is_item",
        "found",
        "typed",
        "created_at",
        "points",
        trimmed(_text("customer_id")).alias("customer_id"),
        date_of("created_at", ()).alias("registered_at"),
        trimmed(F.col("typed.address.M.country.S")).alias("country"),
        trimmed(_text("plan")).alias("plan"),
        _opt_ins().alias("opt_ins"),
        F.expr(f"try_cast(points AS {_POINTS})").alias("loyalty_points"),
    )
    judged = typed.withColumn("reason", first_reason(item_rules())).select(
        "file",
        *(name for name in CUSTOMER_PROFILE.column_names if not name.startswith("is_")),
        *(_wants(channel).alias(f"is_{channel}_opt_in") for channel in ("email", "sms", "push")),
        "line",
        "reason",
    )
    return with_repeated_ids(judged)


def with_attributes(items: DataFrame) -> DataFrame:
    """extract_date, file, is_item, the attributes' JSON text `found`, the same as `typed`, and `line`, of each item.

    A line is parsed as the first of two elements of an array, the second a hash of it, so that only one whole value
    passes for an item. Its attributes are parsed each by itself: one of a type that is not looked for is null in
    `typed`, and spoils no other. `line` is made anew of these: an item holds what is not to be kept.
    """
    proof = F.xxhash64("line")
    fields = ", ".join(f"{name}: STRING" for name in _ATTRIBUTES)
    parsed = F.from_json(
        F.concat(F.lit("["), "line", F.lit(',{"proof":'), proof.cast("string"), F.lit("}]")),
        f"ARRAY<STRUCT<proof: BIGINT, Item: STRUCT<{fields}>>>",
        _STRICT_JSON,
    )
    is_whole = (F.size("parsed") == 2) & (F.col("parsed")[1]["proof"] == proof)
    is_item = F.coalesce(is_whole & F.col("parsed")[0]["Item"].isNotNull(), F.lit(False))
    typed = (F.from_json(F.col(f"found.{name}"), kind).alias(name) for name, kind in _ATTRIBUTES.items())
    hidden = F.concat(
        F.lit("no item, and not shown: "), F.octet_length("line"), F.lit(" bytes, MD5 "), F.md5(F.col("line"))
    )
    shown = F.to_json(F.struct(F.col("typed").alias("Item")))
    return (
        items.withColumn("parsed", F.when(_is_utf8(F.col("line")), parsed))
        .withColumn("is_item", is_item)
        .withColumn("found", F.when(F.col("is_item"), F.col("parsed")[0]["Item"]))
        .withColumn("typed", F.struct(*typed))
        .withColumn("line", F.when(F.col("is_item"), shown).otherwise(hidden).cast("binary"))
        .drop("parsed")
    )


def _is_utf8(text: Column) -> Column:
    """Java decodes any other byte to U+FFFD, which then differs from it."""
    return F.regexp_replace(text, "\ufffd", "\ufffd") == text


def _text(name: str) -> Column:
    return F.col(f"typed.{name}.S")


def _opt_ins() -> Column:
    return F.coalesce("typed.opt_ins.SS", F.transform("typed.opt_ins.L", lambda one: one["S"]))


def _wants(channel: str) -> Column:
    return F.coalesce(F.array_contains("opt_ins", channel), F.lit(False))


def item_rules() -> tuple[Rule, ...]:
    """The rules that an item meets alone, in the order of REASONS."""
    day = F.to_date("registered_at")
    return (
        Rule("not_json_object", ~F.col("is_item")),
        Rule("customer_id_not_a_string", _is_told("customer_id") & _text("customer_id").isNull()),
        Rule("customer_id_missing", F.col("customer_id").isNull()),
        _too_long("customer_id"),
        Rule("created_at_not_a_string", _is_told("created_at") & F.col("created_at").isNull()),
        Rule("created_at_not_a_time", F.col("created_at").isNotNull() & F.col("registered_at").isNull()),
        Rule("created_at_after_extract", day > F.col("extract_date")),
        Rule("plan_not_a_string", _is_told("plan") & _text("plan").isNull()),
        _too_long("plan"),
        Rule("address_not_a_map", _is_told("address") & F.col("typed.address.M").isNull()),
        Rule("country_not_a_string", _is_country_told() & F.col("typed.address.M.country.S").isNull()),
        _too_long("country"),
        Rule("opt_ins_not_a_set", _is_told("opt_ins") & ~_is_of_strings(F.col("opt_ins"))),
        Rule("loyalty_points_not_a_number", _is_told("loyalty_points") & ~_is_number()),
        Rule("loyalty_points_too_long", F.col("points").isNotNull() & ~_fits()),
    )


def _is_told(name: str) -> Column:
    """Whether an item has the attribute, and not as NULL."""
    return F.col(f"found.{name}").isNotNull() & ~F.coalesce(f"typed.{name}.NULL", F.lit(False))


def _is_country_told() -> Column:
    country = F.col("typed.address.M.country")
    return country.isNotNull() & ~F.coalesce(country["NULL"], F.lit(False))


def _is_of_strings(values: Column) -> Column:
    return values.isNotNull() & F.forall(values, lambda one: one.isNotNull())


def _too_long(name: str) -> Rule:
    lengths = {column.name: column.length for column in CUSTOMER_PROFILE.columns}
    return Rule(f"{name}_too_long", F.length(name) > F.lit(lengths[name]))


def _is_number() -> Column:
    return F.coalesce(F.col("points").rlike(_NUMBER), F.lit(False))


def _fits() -> Column:
    """Whether the cast has rounded nothing: DynamoDB's numbers have 38 digits anywhere from 1e-130 to 1e125."""
    whole, fraction, exponent = (F.regexp_extract("points", _NUMBER, group) for group in (1, 2, 3))
    digits = F.concat(whole, fraction)
    significant = F.regexp_replace(digits, "0+$", "")
    shift = F.when(exponent != "", exponent.cast("int")).otherwise(0)
    decimals = F.length(fraction) - shift - (F.length(digits) - F.length(significant))
    return F.col("loyalty_points").isNotNull() & ((significant == "") | (decimals <= _DECIMALS))


def with_repeated_ids(judged: DataFrame) -> DataFrame:
    """Of the accepted items of an extract that have one customer_id, all but always the same are rejected.

    A table has an item once, but a scan may come upon it twice while it changes.
    """
    accepted = F.col("reason").isNull()
    # Rejected items are spread by their bytes: those without an id must not end up in one partition.
    same_id = Window.partitionBy(
        "extract_date", F.when(accepted, F.col("customer_id")), F.when(~accepted, F.xxhash64("line"))
    ).orderBy("line", "file")
    repeated = accepted & (F.col("place") > 1)
    return (
        judged.withColumn("place", F.row_number().over(same_id))
        .withColumn("reason", F.when(repeated, F.lit("customer_id_repeated")).otherwise(F.col("reason")))
        .withColumn("line", F.when(F.col("reason").isNotNull(), F.col("line")))
        .drop("place")
    )


def build_profiles(judged: DataFrame) -> DataFrame:
    """customer_profile: the accepted items of judge_items."""
    return judged.where(F.col("reason").isNull()).select(*CUSTOMER_PROFILE.column_names)


def build_rejected(judged: DataFrame) -> DataFrame:
    """profile_rejected: the rejected items of judge_items."""
    return (
        judged.where(F.col("reason").isNotNull())
        .groupBy("extract_date", "file", "reason", "line")
        .agg(F.count(F.lit(1)).alias("line_count"))
    )


def build_counts(judged: DataFrame) -> DataFrame:
    """What core/audit.py makes load_audit of, one row per date, file and reason; profiles tell no money."""
    none = F.lit(0).cast("bigint")
    return (
        judged.groupBy(F.col("extract_date").alias("date"), "file", "reason")
        .agg(F.count(F.lit(1)).alias("rows"))
        .withColumns({"rows_flagged": none, "rows_outside": none, "amount": F.lit(0).cast("decimal(38,4)")})
    )
