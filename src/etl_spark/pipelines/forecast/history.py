"""demand_history: one row per series and period, of what was sold, or taken, on each day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame, Window

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import InputError
from etl_spark.core.keys import UNKNOWN
from etl_spark.pipelines.forecast.settings import DAYS, Every, SeriesOf
from etl_spark.pipelines.forecast.tables import DEMAND_HISTORY, PIECES

ALL = "(all)"
TOTAL = "total"


@dataclass(frozen=True)
class Levels:
    """The names of the levels of a hierarchy below the total: `group`, where there is one, has several of `item`."""

    item: str | None
    group: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """From the total down."""
        return (TOTAL, *(name for name in (self.group, self.item) if name))


LEVELS: Mapping[SeriesOf, Levels] = {
    "product": Levels("product", "category"),
    "category": Levels("category"),
    "country": Levels("country"),
    "total": Levels(None),
    "film_category": Levels("film_category", "store"),
}


def build_history(
    sales: DataFrame,
    products: DataFrame,
    customers: DataFrame,
    *rented: DataFrame,
    asked: DateRange,
    series: SeriesOf,
    every: Every,
) -> DataFrame:
    """demand_history of fact_sales, dim_product and dim_customer, or of what was `rented`.

    That is fact_rental, bridge_film_category and dim_store. Raises InputError where the range has no whole period.
    """
    periods = whole_periods(asked, every)
    is_rented = series == "film_category"
    demand = demand_of_rentals(*rented) if is_rented else demand_of_sales(sales, products, customers, series)
    pieces = (F.sum("quantity").alias("quantity"), F.sum("returned").alias("returned"))
    in_periods = (
        demand.withColumn("period_date", F.to_date(F.date_trunc(every, "day")))
        .where(F.col("period_date").between(periods[0], periods[-1]))
        .groupBy("item", "group", "period_date")
        .agg(*pieces)
        .persist()
    )
    items = in_periods.select("item", "group")
    if series == "product":
        items = items.unionByName(items_of(products))
    of_levels = F.inline(_series_of(LEVELS[series]))
    step = F.expr(f"INTERVAL {DAYS[every]} DAYS")
    calendar = F.explode(F.sequence(F.lit(periods[0]), F.lit(periods[-1]), step)).alias("period_date")
    grid = items.distinct().select(of_levels).distinct().select("*", calendar)
    sums = in_periods.select("*", of_levels).groupBy("level", "series", "period_date").agg(*pieces)
    open_periods = in_periods.where("quantity > 0").select("period_date", F.lit(True).alias("is_open")).distinct()
    last_sale = F.max(F.when(F.col("quantity") > 0, F.col("period_date"))).over(Window.partitionBy("level", "series"))
    rows = (
        grid.join(sums, on=["level", "series", "period_date"], how="left")
        .join(F.broadcast(open_periods), on="period_date", how="left")
        .join(F.broadcast(_without_stock(products)), on=["level", "series"], how="left")
        .withColumns(
            {
                "quantity": F.coalesce("quantity", F.lit(0)).cast(PIECES),
                "returned": F.coalesce("returned", F.lit(0)).cast(PIECES),
                "is_closed": F.col("is_open").isNull(),
                "is_sold_out": F.col("has_no_stock").isNotNull() & (F.col("period_date") > last_sale),
            }
        )
    )
    return DEMAND_HISTORY.over(asked, rows)


def _series_of(levels: Levels) -> Column:
    """An array of the series that an `item` of a `group` is a part of: level, series, parent."""
    everything, of_all = F.lit(ALL), F.lit(None).cast("string")
    found = {TOTAL: (everything, of_all), levels.group: (F.col("group"), everything)}
    found[levels.item] = (F.col("item"), F.col("group") if levels.group else everything)
    columns = ((F.lit(level), *found[level]) for level in levels.names)
    names = ("level", "series", "parent")
    return F.array(*(F.struct(*(one.alias(name) for one, name in zip(of, names, strict=True))) for of in columns))


def _without_stock(products: DataFrame) -> DataFrame:
    """The series of products that there is nothing of."""
    return products.where("stock_quantity <= 0").select(
        F.lit("product").alias("level"), F.col("product_id").alias("series"), F.lit(True).alias("has_no_stock")
    )


def demand_of_sales(sales: DataFrame, products: DataFrame, customers: DataFrame, series: SeriesOf) -> DataFrame:
    """One row per line: day, item, group, quantity, returned."""
    named = sales.join(
        products.select("product_key", "product_id", F.coalesce("category", F.lit(UNKNOWN)).alias("category")),
        on="product_key",
        how="left",
    ).join(
        customers.select("customer_key", F.coalesce("country", F.lit(UNKNOWN)).alias("country")),
        on="customer_key",
        how="left",
    )
    match series:
        case "product":
            item, group = F.col("product_id"), F.col("category")
        case "category" | "country":
            item, group = F.col(series), F.lit(ALL)
        case _:
            item, group = F.lit(ALL), F.lit(ALL)
    pieces = F.col("quantity_sold").cast(PIECES)
    return named.select(
        F.col("order_date").alias("day"),
        item.alias("item"),
        group.alias("group"),
        F.greatest(pieces, F.lit(0)).alias("quantity"),
        F.greatest(-pieces, F.lit(0)).alias("returned"),
    )


def items_of(products: DataFrame) -> DataFrame:
    """One row per known product, sold or not: item, group."""
    return products.where("product_key <> -1").select(
        F.col("product_id").alias("item"), F.coalesce("category", F.lit(UNKNOWN)).alias("group")
    )


def demand_of_rentals(rentals: DataFrame, categories: DataFrame, stores: DataFrame) -> DataFrame:
    """As demand_of_sales(): a film that was taken is one piece, of its categories by their weights, in its store."""
    store = F.concat(F.lit("store "), F.coalesce("store_id", F.lit(UNKNOWN)))
    return (
        rentals.join(categories, on="film_key", how="left")
        .join(stores.select("store_key", "store_id"), on="store_key", how="left")
        .select(
            F.col("rental_date").alias("day"),
            F.concat(store, F.lit(": "), F.coalesce("category", F.lit(UNKNOWN))).alias("item"),
            store.alias("group"),
            # With all digits of the weights: those of a film are a whole piece.
            F.coalesce("weight", F.lit(1)).cast("DECIMAL(18,9)").alias("quantity"),
            F.lit(0).cast(PIECES).alias("returned"),
        )
    )


def whole_periods(asked: DateRange, every: Every) -> tuple[date, ...]:
    """The first days of the periods that lie in the range from their first day to their last."""
    if every == "day":
        return asked.days
    found = tuple(day for day in asked.days if day.weekday() == 0 and day + timedelta(6) <= asked.end)
    if not found:
        raise InputError(f"there is no whole week, Monday to Sunday, in {asked}")
    return found


def periods_ahead(asked: DateRange, every: Every, horizon: int) -> tuple[date, ...]:
    """The first days of the periods that follow the last whole one."""
    last = whole_periods(asked, every)[-1]
    return tuple(last + timedelta(DAYS[every] * step) for step in range(1, horizon + 1))
