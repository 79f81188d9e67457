"""Surrogate keys: the same in every run and in every order, with nothing to look up."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column

UNKNOWN_KEY = -1
"""The member of a dimension that facts have whose own member is not there."""

UNKNOWN = "(unknown)"
"""The natural key of that member, and whatever else of it may not be null."""


def surrogate_key(*natural_key: str) -> Column:
    """A BIGINT made of the columns `natural_key`; each run checks that no two are alike."""
    return F.xxhash64(*natural_key)
