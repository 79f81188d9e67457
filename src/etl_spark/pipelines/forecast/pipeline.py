"""The data flow of the forecast job, from top to bottom."""

from __future__ import annotations

from typing import Any

from etl_spark.core.audit import LOAD_AUDIT, take_over
from etl_spark.core.step import Check, Generator, Intake, Option, Pipeline, Size, Step, Upstream, asked, counts, whole
from etl_spark.pipelines.forecast.checks import sums_up
from etl_spark.pipelines.forecast.forecasts import build_forecasts
from etl_spark.pipelines.forecast.history import build_history
from etl_spark.pipelines.forecast.settings import ForecastSettings
from etl_spark.pipelines.forecast.tables import DEMAND_FORECAST, DEMAND_HISTORY, FORECAST_BACKTEST, REPLENISHMENT
from etl_spark.pipelines.rental.tables import BRIDGE_FILM_CATEGORY, DIM_STORE, FACT_RENTAL
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, DIM_PRODUCT, FACT_SALES
from etl_spark.quality import unique

SALES = Upstream(
    "sales",
    "the sales job's tables in the lake",
    pipeline="sales",
    counted="order_items",
    tables=(FACT_SALES, DIM_PRODUCT, DIM_CUSTOMER),
    by_runs=True,
)
RENTALS = Upstream(
    "rentals",
    "the rental job's tables in the lake",
    pipeline="rental",
    counted="rental",
    tables=(FACT_RENTAL, BRIDGE_FILM_CATEGORY, DIM_STORE),
    by_runs=True,
)


def of_sales(settings: Any) -> bool:
    return not settings.is_of_rentals


def of_rentals(settings: Any) -> bool:
    return bool(settings.is_of_rentals)


FORECAST = Pipeline(
    name="forecast",
    doc="demand forecasts with a back-test of each model, and what to reorder, from sales or rentals",
    settings=ForecastSettings,
    intakes=tuple(
        Intake(source, Step(take_over, inputs=(counts(source),), outputs=(LOAD_AUDIT,)), used=used)
        for source, used in ((SALES, of_sales), (RENTALS, of_rentals))
    ),
    steps=(
        Step(
            build_history,
            inputs=(
                asked(FACT_SALES),
                whole(DIM_PRODUCT),
                whole(DIM_CUSTOMER),
                asked(FACT_RENTAL),
                whole(BRIDGE_FILM_CATEGORY),
                whole(DIM_STORE),
            ),
            outputs=(DEMAND_HISTORY,),
            parameters=("asked", "series", "every"),
        ),
        Step(
            build_forecasts,
            inputs=(asked(DEMAND_HISTORY), whole(DIM_PRODUCT)),
            outputs=(DEMAND_FORECAST, FORECAST_BACKTEST, REPLENISHMENT),
            parameters=("asked", "series", "every", "horizon", "origins", "dead_days", "new_days", "stocking"),
        ),
    ),
    checks=(
        unique(DEMAND_FORECAST),
        unique(FORECAST_BACKTEST),
        Check(
            "a forecast is the sum of those of its parts",
            sums_up,
            inputs=(asked(DEMAND_FORECAST),),
        ),
    ),
    generator=Generator(
        "etl_spark.pipelines.forecast.generate",
        sizes=(
            Size("customers", 200, "customers there are"),
            Size("products", 30, "products there are"),
            Size("pieces_per_day", 225, "pieces sold a day, on average"),
        ),
    ),
    options=(Option("horizon", "days, or weeks, that are forecast"),),
    requires=("pandas", "pyarrow", "statsforecast"),
)
