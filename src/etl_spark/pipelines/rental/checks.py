"""What must add up in every run of the rental job: the audit, the raw rows, the facts, and revenue by category."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.extracts import newest
from etl_spark.pipelines.rental.extracts import PAYMENT, RENTAL
from etl_spark.pipelines.rental.facts import of_asked_days
from etl_spark.quality import accepted, entry, unbalanced

ACCOUNTS = ("rentals", "booked_rentals", "payments", "money", "booked_payments", "booked_money", "money_for_rentals")


def balance(
    audit: DataFrame, raw_rental: DataFrame, raw_payment: DataFrame, fact_rental: DataFrame, fact_payment: DataFrame
) -> DataFrame:
    """One row, of the whole range, if an account does not come to 0.

    Every accepted rental and payment, and its money, is in the raw table, in each extract that has it; every one there,
    as the latest extract has it, is in the fact; and a rental has been paid what all payments for it come to.
    """
    rentals, payments = of_asked_days(newest(raw_rental, "rental_id"), "rental_date"), newest(raw_payment, "payment_id")
    asked_payments = of_asked_days(payments, "payment_date")
    one, amount = F.lit(1), F.col("amount")
    entries = (
        _entry(accepted(audit, RENTAL.name), rentals=F.col("rows_accepted")),
        _entry(raw_rental.join(rentals, on="rental_id", how="left_semi"), rentals=-one),
        _entry(rentals, booked_rentals=one),
        _entry(fact_rental, booked_rentals=-one, money_for_rentals=-F.col("amount_paid")),
        _entry(payments.join(rentals, on="rental_id", how="left_semi"), money_for_rentals=amount),
        _entry(accepted(audit, PAYMENT.name), payments=F.col("rows_accepted"), money=F.col("money_accepted")),
        _entry(raw_payment.join(asked_payments, on="payment_id", how="left_semi"), payments=-one, money=-amount),
        _entry(asked_payments, booked_payments=one, booked_money=amount),
        _entry(fact_payment, booked_payments=-one, booked_money=-amount),
    )
    return unbalanced(entries, ACCOUNTS)


def revenue_balance(fact_payment: DataFrame, rental_revenue: DataFrame) -> DataFrame:
    """One row per month whose revenue, by store, category and country, is not its payments."""
    month = F.trunc("payment_date", "month").alias("month")
    entries = (
        entry(fact_payment, ("revenue",), "decimal(28,4)", month, revenue=F.col("amount")),
        entry(rental_revenue, ("revenue",), "decimal(28,4)", F.col("month"), revenue=-F.col("revenue")),
    )
    return unbalanced(entries, ("revenue",), "month")


def weight_balance(bridge_film_category: DataFrame) -> DataFrame:
    """One row per film whose weights do not sum to 1."""
    return bridge_film_category.groupBy("film_key").agg(F.sum("weight").alias("weight")).where("weight != 1")


def _entry(df: DataFrame, **amounts: Column) -> DataFrame:
    """One row per row of `df`: what it adds to each of ACCOUNTS."""
    return entry(df, ACCOUNTS, "decimal(28,4)", **amounts)
