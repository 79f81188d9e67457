"""Lines of text into JSON objects, as strictly as JSON is: every source of JSON lines tells a sound line by this."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

WHITE_SPACE = " \t\n\r\f\x0b"

# Spark's parser is lenient where JSON is not; these are the lenient ways that are on by default.
_STRICT = {"allowSingleQuotes": "false", "allowNonNumericNumbers": "false"}


def not_blank(line: Column) -> Column:
    """Whether there is more than white space on a line."""
    return line.rlike(r"[^ \t\r\f\x0B]")


def is_text(line: Column, max_bytes: int) -> Column:
    """Whether a line's bytes are UTF-8, and not too many: Java decodes any other byte to U+FFFD, which then differs."""
    return (F.octet_length(line) <= max_bytes) & (F.regexp_replace(line, "\ufffd", "\ufffd") == line)


def parse(elements: Column, fields: str) -> Column:
    """The elements, JSON text without the brackets around it, as an array of structs; null where any does not fit."""
    return F.from_json(F.concat(F.lit("["), elements, F.lit("]")), f"ARRAY<STRUCT<{fields}>>", _STRICT)


def with_object(lines: DataFrame, name: str, fields: str, *, max_bytes: int) -> DataFrame:
    """`lines`, each with the one object that stands in `line` as the struct `name`; null for everything else.

    Spark's parser stops at the end of the first value, and would take `{...} {...}` for one object. So a line is parsed
    as the first of two elements of an array, the second a hash of the line: only one whole value fits before that, and
    no line can bring its own hash. A value of another type fails the whole line (session.py turns partial results off).
    """
    proof = F.xxhash64("line")
    both = parse(F.concat("line", F.lit(',{"proof":'), proof.cast("string"), F.lit("}")), f"proof: BIGINT, {fields}")
    is_one = (F.size(name) == 2) & (F.col(name)[1]["proof"] == proof)
    return lines.withColumn(name, F.when(is_text(F.col("line"), max_bytes), both)).withColumn(
        name, F.when(is_one, F.col(name)[0])
    )


def object_text(line: Column) -> Column:
    """The line as JSON text where it is one object, whatever the types within; null for everything else."""
    proof = F.xxhash64(line).cast("string")
    parsed = F.from_json(F.concat(F.lit("["), line, F.lit(',"'), proof, F.lit('"]')), "ARRAY<STRING>", _STRICT)
    is_one = (F.size(parsed) == 2) & (parsed[1] == proof)
    return F.when(is_one & F.btrim(line, F.lit(WHITE_SPACE)).startswith("{"), parsed[0])
