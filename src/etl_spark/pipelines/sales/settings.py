"""What can be configured of the sales job (conf/sales.toml)."""

from __future__ import annotations

from dataclasses import dataclass

from etl_spark.core.settings import ExtractSettings


@dataclass(frozen=True, kw_only=True)
class SalesSettings(ExtractSettings):
    """All that extracts have."""
