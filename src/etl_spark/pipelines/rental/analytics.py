"""What the rentals and payments of the asked days come to: revenue, films that are out, use of the copies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pyspark.sql.functions as F
from pyspark.sql import DataFrame, Window

from etl_spark.core.dates import DateRange
from etl_spark.core.keys import UNKNOWN
from etl_spark.core.table import MONEY
from etl_spark.pipelines.rental.dimensions import full_name, latest_of_film
from etl_spark.pipelines.rental.facts import days_after
from etl_spark.pipelines.rental.tables import FILM_UTILISATION, OPEN_RENTAL, RENTAL_REVENUE


def build_rental_revenue(
    fact_payment: DataFrame,
    bridge_film_category: DataFrame,
    dim_store: DataFrame,
    dim_rental_customer: DataFrame,
    *,
    asked: DateRange,
) -> DataFrame:
    """rental_revenue, of the payments of the asked days.

    A film's money is shared out to its categories by their weights. The parts of a month, store and country are rounded
    so that they add up to its payments: each is what the rounded running total, by category, grows by.
    """
    countries = dim_rental_customer.select("customer_key", F.coalesce("country", F.lit(UNKNOWN)).alias("country"))
    of_film = (
        fact_payment.join(dim_store.select("store_key", "store_id"), on="store_key", how="inner")
        .join(countries, on="customer_key", how="inner")
        .groupBy(F.trunc("payment_date", "month").alias("month"), "store_id", "country", "film_key")
        .agg(F.sum("amount").cast(MONEY).alias("amount"))
    )
    of_category = (
        of_film.join(bridge_film_category, on="film_key", how="inner")
        .groupBy("month", "store_id", "country", "category_id", "category")
        .agg(F.sum(F.col("amount") * F.col("weight")).alias("share"))
    )
    by_category = Window.partitionBy("month", "store_id", "country").orderBy("category_id")
    so_far = F.sum("share").over(by_category.rowsBetween(Window.unboundedPreceding, Window.currentRow)).cast(MONEY)
    revenue = (
        of_category.withColumn("so_far", so_far)
        .withColumn("before", F.lag("so_far", 1).over(by_category))
        .withColumn("revenue", F.col("so_far") - F.coalesce("before", F.lit(0).cast(MONEY)))
    )
    return RENTAL_REVENUE.over(asked, revenue)


def build_open_rental(
    fact_rental: DataFrame,
    dim_rental_customer: DataFrame,
    dim_film: DataFrame,
    dim_store: DataFrame,
    *,
    asked: DateRange,
    extract_dates: Sequence[date],
) -> DataFrame:
    """open_rental, of the rentals of the asked days, as of the latest extract."""
    customers = dim_rental_customer.withColumn("customer_name", full_name()).select(
        "customer_key", "customer_id", "customer_name", "email", "phone"
    )
    rentals = (
        fact_rental.where(~F.col("is_returned"))
        .join(customers, on="customer_key", how="inner")
        .join(dim_film.select("film_key", "film_id", "title", "replacement_cost"), on="film_key", how="inner")
        .join(dim_store.select("store_key", "store_id"), on="store_key", how="inner")
        .withColumn("as_of", F.lit(max(extract_dates)))
        .withColumn("days_overdue", days_after("due_date", "as_of"))
        .withColumn("is_overdue", F.coalesce(F.col("days_overdue") > 0, F.lit(False)))
    )
    return OPEN_RENTAL.over(asked, rentals)


def build_film_utilisation(
    fact_rental: DataFrame,
    raw_inventory: DataFrame,
    dim_film: DataFrame,
    *,
    asked: DateRange,
    extract_dates: Sequence[date],
) -> DataFrame:
    """film_utilisation, of the rentals of the asked days; a copy that is not back is out to the end of the range."""
    as_of = F.lit(max(extract_dates))
    in_stock = latest_of_film(raw_inventory.where(F.col("extract_date") <= as_of))
    stock = in_stock.groupBy("film_id").agg(F.count(F.lit(1)).alias("copy_count"))
    day_after = F.date_add(F.lit(asked.end), 1)
    until = F.least(F.coalesce(F.to_date("returned_at"), day_after), day_after)
    late = F.coalesce("days_late", days_after("due_date", "as_of")) > 0
    rentals = (
        fact_rental.withColumn("as_of", as_of)
        .groupBy("film_key")
        .agg(
            F.count(F.lit(1)).alias("rental_count"),
            F.count_if(late).alias("late_count"),
            F.sum(F.greatest(F.datediff(until, "rental_date"), F.lit(0))).alias("days_out"),
            F.sum("amount_paid").cast(MONEY).alias("amount_paid"),
        )
    )
    counts = ("copy_count", "rental_count", "late_count", "days_out")
    none = F.lit(0).cast("bigint")
    films = (
        dim_film.select("film_key", "film_id", "title")
        .join(stock, on="film_id", how="left")
        .join(rentals, on="film_key", how="left")
        .where("copy_count IS NOT NULL OR rental_count IS NOT NULL")
        .withColumns({name: F.coalesce(name, none) for name in counts})
        .withColumn("copy_days", F.col("copy_count") * len(asked))
        .withColumns(
            {
                "utilisation": F.try_divide(F.col("days_out"), F.col("copy_days")).cast("decimal(9,4)"),
                "amount_paid": F.coalesce("amount_paid", F.lit(0).cast(MONEY)),
            }
        )
    )
    return FILM_UTILISATION.over(asked, films)
