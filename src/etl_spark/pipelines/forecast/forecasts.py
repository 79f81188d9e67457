"""demand_forecast and forecast_backtest: one row per series and coming period, and per series, origin and model.

What a run would have forecast at an origin of the back-test is made as the forecast itself is: by the models that the
origins before it would have chosen, the levels reconciled.
"""

from __future__ import annotations

from dataclasses import astuple
from datetime import date
from functools import reduce
from typing import Any

import pyspark.sql.functions as F
import pyspark.sql.types as T
from pyspark.sql import Column, DataFrame

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.forecast.history import LEVELS, Levels, periods_ahead
from etl_spark.pipelines.forecast.models import ORDINARY, Settings
from etl_spark.pipelines.forecast.replenishment import replenish
from etl_spark.pipelines.forecast.series import COLUMNS, Series, points
from etl_spark.pipelines.forecast.settings import Every, SeriesOf, Stocking, model_settings
from etl_spark.pipelines.forecast.tables import BOUNDS, DEMAND_FORECAST, FORECAST_BACKTEST, PIECES, RATIO

RECONCILED = "reconciled"
_TYPES: dict[str, T.DataType] = {
    "origin_date": T.DateType(),
    "period_date": T.DateType(),
    "step": T.IntegerType(),
    "kind": T.StringType(),
    "model": T.StringType(),
    "is_choice": T.BooleanType(),
    "is_closed": T.BooleanType(),
    "is_sold_out": T.BooleanType(),
}
_POINTS = T.StructType(
    [T.StructField(name, T.StringType()) for name in ("level", "series", "parent")]
    + [T.StructField(name, _TYPES.get(name, T.DoubleType())) for name in COLUMNS]
)
_SERIES = ("level", "series", "parent")
_FIGURES = ("quantity", *(bound.name for bound in BOUNDS))


def build_forecasts(
    history: DataFrame,
    products: DataFrame,
    *,
    asked: DateRange,
    series: SeriesOf,
    every: Every,
    horizon: int,
    origins: int,
    dead_days: int,
    new_days: int,
    stocking: Stocking,
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """demand_forecast, forecast_backtest and replenishment of demand_history and dim_product."""
    ahead = periods_ahead(asked, every, horizon)
    made = foretold(history, ahead, model_settings(every, horizon, dead_days, new_days), origins).persist()
    is_last = F.col("period_date") >= F.lit(ahead[0])
    special = F.when(F.col("is_sold_out"), F.lit("sold_out")).when(~F.col("kind").isin(*ORDINARY), F.col("kind"))
    chosen = reconciled(made.where("is_choice"), LEVELS[series])
    chosen = chosen.withColumns({"is_last": is_last, "special": special}).persist()
    combined = chosen.drop("own_quantity", "is_last", "special").withColumn("model", F.lit(RECONCILED))
    return (
        forecast_of(chosen.where("is_last"), asked),
        backtest_of(made.unionByName(combined).where(~is_last), asked),
        replenish(chosen, products, asked=asked, series=series, every=every, stocking=stocking),
    )


def foretold(history: DataFrame, ahead: tuple[date, ...], settings: Settings, origins: int) -> DataFrame:
    """One row per series, origin, model and period: what series.Point has, figures as decimals.

    One series is one group: it is on one core, and its result is that of its own rows in their order.
    """
    import numpy as np
    import pandas as pd

    def of_series(key: tuple[Any, ...], rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.sort_values("period_date")
        one = Series(
            tuple(rows["period_date"]),
            rows["quantity"].to_numpy(dtype=np.float64),
            rows["is_closed"].to_numpy(dtype=np.bool_),
            rows["is_sold_out"].to_numpy(dtype=np.bool_),
        )
        return pd.DataFrame(
            [(*key, *astuple(point)) for point in points(one, ahead, settings, origins)], columns=_POINTS.names
        )

    # By number, as else Spark puts so few bytes together in two or three parts: a series is few bytes and much work.
    parts = int(history.sparkSession.conf.get("spark.sql.shuffle.partitions") or "200")
    spread = history.withColumn("quantity", F.col("quantity").cast("double")).repartition(parts, *_SERIES)
    made = spread.groupBy(*_SERIES).applyInPandas(of_series, _POINTS)
    return made.withColumns({name: F.col(name).cast(PIECES) for name in (*_FIGURES, "actual", "naive_error")})


def reconciled(chosen: DataFrame, levels: Levels) -> DataFrame:
    """The forecasts of all series, one of each, every level the sum of the one below; own_quantity is as it was.

    From the bottom up: the lowest level keeps its own. The bounds of the others move along with what they are
    about; how wide they are is by the errors of the sum's own model.
    """
    at = ("origin_date", "period_date")
    rows = chosen.withColumn("own_quantity", F.col("quantity"))
    *upper, lowest = levels.names
    parts = [rows.where(F.col("level") == lowest)]
    for level in reversed(upper):
        sums = parts[-1].groupBy(F.col("parent").alias("series"), *at).agg(F.sum("quantity").alias("of_parts"))
        summed = rows.where(F.col("level") == level).join(sums, on=["series", *at], how="left")
        moved = F.coalesce("of_parts", F.lit(0)) - F.col("own_quantity")
        figures = {name: F.greatest(F.col(name) + moved, F.lit(0)).cast(PIECES) for name in _FIGURES}
        parts.append(summed.withColumns(figures).drop("of_parts"))
    return reduce(DataFrame.unionByName, parts)


def forecast_of(chosen: DataFrame, asked: DateRange) -> DataFrame:
    """demand_forecast of what was chosen of the coming periods."""
    reason = F.when(F.col("is_closed"), F.lit("closed")).otherwise(F.col("special"))
    return DEMAND_FORECAST.over(asked, chosen.withColumn("reason", reason))


def backtest_of(tried: DataFrame, asked: DateRange) -> DataFrame:
    """forecast_backtest of what was foretold of known periods."""
    apart = F.col("quantity") - F.col("actual")

    def within(share: int) -> Column:
        return F.avg(F.col("actual").between(F.col(f"low_{share}"), F.col(f"high_{share}")).cast("int")).cast(RATIO)

    def of_actual(name: str) -> Column:
        return F.when(F.col("actual") > 0, F.col(name) / F.col("actual")).cast(RATIO)

    measured = (
        tried.where(F.col("actual").isNotNull())
        .groupBy("level", "series", "origin_date", "model", "is_choice", "kind", "naive_error")
        .agg(
            F.count(F.lit(1)).alias("period_count"),
            F.sum("actual").cast(PIECES).alias("actual"),
            F.sum(F.abs(apart)).cast(PIECES).alias("absolute_error"),
            F.sum(apart).cast(PIECES).alias("error"),
            within(80).alias("coverage_80"),
            within(95).alias("coverage_95"),
        )
        .withColumns(
            {
                "mase": (F.col("absolute_error") / F.col("period_count") / F.col("naive_error")).cast(RATIO),
                "wape": of_actual("absolute_error"),
                "bias": of_actual("error"),
            }
        )
    )
    return FORECAST_BACKTEST.over(asked, measured)
