"""What must add up in every run of the forecast job: each series' forecast, of those of its parts."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import DataFrame


def sums_up(forecast: DataFrame) -> DataFrame:
    """One row per series and period whose forecast is not the sum of those of the series that name it as parent."""
    parts = (
        forecast.where(F.col("parent").isNotNull())
        .groupBy(F.col("parent").alias("series"), "period_date")
        .agg(F.sum("quantity").alias("of_parts"))
    )
    return (
        forecast.join(parts, on=["series", "period_date"], how="inner")
        .where("quantity <> of_parts")
        .select("level", "series", "period_date", "quantity", "of_parts")
    )
