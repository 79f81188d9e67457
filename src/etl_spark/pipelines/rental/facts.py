"""fact_rental and fact_payment: one row per rental, and per payment, of the asked days."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.keys import or_unknown, surrogate_key
from etl_spark.core.table import MONEY
from etl_spark.extracts import newest
from etl_spark.pipelines.calendar.dim_date import date_key
from etl_spark.pipelines.rental.tables import (
    DIM_FILM,
    DIM_RENTAL_CUSTOMER,
    DIM_STAFF,
    DIM_STORE,
    FACT_PAYMENT,
    FACT_RENTAL,
)

DIMENSIONS = {
    "customer_key": DIM_RENTAL_CUSTOMER,
    "film_key": DIM_FILM,
    "store_key": DIM_STORE,
    "staff_key": DIM_STAFF,
}
"""What both facts have a key of."""


def build_fact_rental(
    raw_rental: DataFrame, raw_payment: DataFrame, raw_inventory: DataFrame, *dimensions: DataFrame
) -> DataFrame:
    """fact_rental, from the raw rentals of the asked days and all payments for them.

    `dimensions` are those of DIMENSIONS. Days are counted as the source's own balance of a customer does: by calendar
    days (UTC), hours do not matter.
    """
    dim_rental_customer, dim_film, dim_store, dim_staff = dimensions
    payments = (
        newest(raw_payment, "payment_id")
        .groupBy("rental_id")
        .agg(F.sum("amount").cast(MONEY).alias("amount_paid"), F.count(F.lit(1)).alias("payment_count"))
    )
    films = dim_film.select("film_id", "film_key", "rental_duration_days")
    return (
        of_asked_days(newest(raw_rental, "rental_id"), "rental_date")
        .withColumnsRenamed({"rental_date": "rented_at", "return_date": "returned_at"})
        .withColumn("rental_date", F.to_date("rented_at"))
        .join(copies(raw_inventory), on="inventory_id", how="left")
        .join(films, on="film_id", how="left")
        .join(dim_store.select("store_id", "store_key"), on="store_id", how="left")
        .join(dim_rental_customer.select("customer_id", "customer_key"), on="customer_id", how="left")
        .join(dim_staff.select("staff_id", "staff_key"), on="staff_id", how="left")
        .join(payments, on="rental_id", how="left")
        .withColumns(
            {
                "rental_key": surrogate_key("rental_id"),
                "date_key": date_key("rental_date"),
                "due_date": F.date_add("rental_date", F.col("rental_duration_days")),
                "is_returned": F.col("returned_at").isNotNull(),
                "days_out": F.datediff("returned_at", "rental_date"),
                "amount_paid": F.coalesce("amount_paid", F.lit(0).cast(MONEY)),
                "payment_count": F.coalesce("payment_count", F.lit(0).cast("bigint")),
                **{key: or_unknown(key) for key in DIMENSIONS},
            }
        )
        .withColumn("days_late", days_after("due_date", "returned_at"))
        .select(*FACT_RENTAL.column_names)
    )


def build_fact_payment(
    raw_payment: DataFrame, raw_rental: DataFrame, raw_inventory: DataFrame, *dimensions: DataFrame
) -> DataFrame:
    """fact_payment, from the raw payments of the asked days and the rentals that they are for, of any day.

    `dimensions` are those of DIMENSIONS. The customer is the one who paid, the staff the one who took the money; film
    and store are the rental's.
    """
    dim_rental_customer, dim_film, dim_store, dim_staff = dimensions
    rentals = (
        newest(raw_rental, "rental_id")
        .join(copies(raw_inventory), on="inventory_id", how="left")
        .join(dim_film.select("film_id", "film_key"), on="film_id", how="left")
        .join(dim_store.select("store_id", "store_key"), on="store_id", how="left")
        .select(
            "rental_id",
            "rental_date",
            F.col("customer_id").alias("rental_customer_id"),
            "film_key",
            "store_key",
            F.lit(True).alias("is_found"),
        )
    )
    no = F.lit(False)
    return (
        of_asked_days(newest(raw_payment, "payment_id"), "payment_date")
        .withColumnRenamed("payment_date", "paid_at")
        .withColumn("payment_date", F.to_date("paid_at"))
        .join(rentals, on="rental_id", how="left")
        .join(dim_rental_customer.select("customer_id", "customer_key"), on="customer_id", how="left")
        .join(dim_staff.select("staff_id", "staff_key"), on="staff_id", how="left")
        .withColumns(
            {
                "payment_key": surrogate_key("payment_id"),
                "date_key": date_key("payment_date"),
                "is_without_rental": F.col("is_found").isNull(),
                "is_before_rental": F.coalesce(F.col("paid_at") < F.col("rental_date"), no),
                "is_by_other_customer": F.coalesce(F.col("customer_id") != F.col("rental_customer_id"), no),
                **{key: or_unknown(key) for key in DIMENSIONS},
            }
        )
        .select(*FACT_PAYMENT.column_names)
    )


def of_asked_days(raw: DataFrame, time: str) -> DataFrame:
    """The rows of a raw table of which `time` is in the asked range, without those that these only refer to."""
    return raw.where(F.to_date(time).between(F.col("start_date"), F.col("end_date")))


def copies(raw_inventory: DataFrame) -> DataFrame:
    """One row per copy: inventory_id, film_id, store_id."""
    return newest(raw_inventory, "inventory_id").select("inventory_id", "film_id", "store_id")


def days_after(due: str, end: str) -> Column:
    """Calendar days from `due` to `end`, 0 if it is not later; null where one of the two is not known."""
    days = F.datediff(end, due)
    return F.when(days.isNotNull(), F.greatest(days, F.lit(0)))
