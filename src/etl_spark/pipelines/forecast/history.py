"""demand_history: one row per series and period, of what was sold, or taken, on each day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce

import pyspark.sql.functions as F
from pyspark.sql import DataFrame, Window

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import InputError
from etl_spark.core.keys import UNKNOWN
from etl_spark.pipelines.forecast.settings import Every, SeriesOf
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

    @property
    def anchor(self) -> str:
        """The level whose forecasts the others are made to add up to: not so fine that chance rules, nor the sum."""
        return self.group or self.item or TOTAL


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
    if series == "film_category":
        demand, members = demand_of_rentals(*rented)
    else:
        demand, members = demand_of_sales(sales, products, customers, series)
    levels = LEVELS[series]
    period = F.to_date(F.date_trunc(every, "day"))
    in_periods = (
        demand.withColumn("period_date", period)
        .where(F.col("period_date").between(periods[0], periods[-1]))
        .groupBy("item", "group", "period_date")
        .agg(F.sum("quantity").alias("quantity"), F.sum("returned").alias("returned"))
    )
    keys = {TOTAL: (F.lit(ALL), F.lit(None)), levels.group: (F.col("group"), F.lit(ALL))}
    keys[levels.item] = (F.col("item"), F.col("group") if levels.group else F.lit(ALL))
    calendar = F.explode(F.array(*map(F.lit, periods))).alias("period_date")

    def of_level(rows: DataFrame, level: str) -> DataFrame:
        name, parent = keys[level]
        return rows.withColumns({"level": F.lit(level), "series": name, "parent": parent.cast("string")})

    one_each = ("level", "series", "parent")
    sums = reduce(DataFrame.unionByName, (of_level(in_periods, level) for level in levels.names))
    sums = sums.groupBy(*one_each, "period_date").agg(
        F.sum("quantity").alias("quantity"), F.sum("returned").alias("returned")
    )
    there = reduce(DataFrame.unionByName, (of_level(members, level).select(*one_each) for level in levels.names))
    grid = there.distinct().select(*one_each, calendar)
    last_sale = F.max(F.when(F.col("quantity") > 0, F.col("period_date"))).over(Window.partitionBy("level", "series"))
    open_periods = in_periods.where("quantity > 0").select("period_date").distinct().withColumn("is_open", F.lit(True))
    rows = (
        grid.join(sums.drop("parent"), on=["level", "series", "period_date"], how="left")
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


def _without_stock(products: DataFrame) -> DataFrame:
    """The series of products that there is nothing of."""
    return products.where("stock_quantity <= 0").select(
        F.lit("product").alias("level"), F.col("product_id").alias("series"), F.lit(True).alias("has_no_stock")
    )


def demand_of_sales(
    sales: DataFrame, products: DataFrame, customers: DataFrame, series: SeriesOf
) -> tuple[DataFrame, DataFrame]:
    """One row per line: day, item, group, quantity, returned; and one per item, sold or not: item, group."""
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
    demand = named.select(
        F.col("order_date").alias("day"),
        item.alias("item"),
        group.alias("group"),
        F.greatest(pieces, F.lit(0)).alias("quantity"),
        F.greatest(-pieces, F.lit(0)).alias("returned"),
    )
    if series != "product":
        return demand, demand.select("item", "group").distinct()
    sold = demand.select("item", "group")
    known = products.where("product_key <> -1").select(
        F.col("product_id").alias("item"), F.coalesce("category", F.lit(UNKNOWN)).alias("group")
    )
    return demand, sold.unionByName(known).distinct()


def demand_of_rentals(rentals: DataFrame, categories: DataFrame, stores: DataFrame) -> tuple[DataFrame, DataFrame]:
    """As demand_of_sales(): a film that was taken is one piece, of its categories by their weights, in its store."""
    store = F.concat(F.lit("store "), F.coalesce("store_id", F.lit(UNKNOWN)))
    named = (
        rentals.join(categories, on="film_key", how="left")
        .join(stores.select("store_key", "store_id"), on="store_key", how="left")
        .select(
            F.col("rental_date").alias("day"),
            F.concat(store, F.lit(": "), F.coalesce("category", F.lit(UNKNOWN))).alias("item"),
            store.alias("group"),
            F.coalesce("weight", F.lit(1)).cast(PIECES).alias("quantity"),
            F.lit(0).cast(PIECES).alias("returned"),
        )
    )
    return named, named.select("item", "group").distinct()


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
    length = 1 if every == "day" else 7
    return tuple(last + timedelta(length * step) for step in range(1, horizon + 1))
