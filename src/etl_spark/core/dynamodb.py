"""A table of DynamoDB as users name it, dynamodb://TABLE[?region=REGION], told from the text alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from etl_spark.core.errors import UsageError


@dataclass(frozen=True)
class LiveTable:
    """`region` is None where the place does not name it: then it is that of AWS's usual chain."""

    name: str
    region: str | None


def is_live_table(place: str) -> bool:
    return place.startswith("dynamodb:")


def parse_live_table(place: str) -> LiveTable:
    """Raises UsageError for another form, or another option."""
    parts = re.fullmatch(r"dynamodb://([\w.-]{3,255})/?(?:\?region=([a-z0-9-]+))?", place, re.ASCII)
    if parts is None:
        raise UsageError(f"a table of DynamoDB is named dynamodb://TABLE?region=REGION, not '{place}'")
    return LiveTable(parts.group(1), parts.group(2))
