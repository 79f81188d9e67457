"""clv: one row per customer with a line in the asked range. clv_model: one row, what its expectations are made of.

A purchase is a day with an order: two orders of one day are one decision to buy. Its value is what was bought, times
the share of all that the customer bought that was not returned, since no return says what it is of. A history is what
a customer did in a period: in the whole range, or in the days before those that are held out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pyspark.sql.functions as F
import pyspark.sql.types as T
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Row, SparkSession, Window

from etl_spark.core.dates import DateRange
from etl_spark.core.keys import UNKNOWN_KEY
from etl_spark.core.local import local_frame
from etl_spark.core.table import MONEY
from etl_spark.pipelines.sales.measures import is_bought, money, not_zero, order_count
from etl_spark.pipelines.sales.settings import LifetimeFit
from etl_spark.pipelines.sales.tables import CLV, CLV_MODEL, SHARE

if TYPE_CHECKING:
    from etl_spark.pipelines.sales.lifetime import Fit

DAYS_AHEAD = 365
"""Days that the expectations of clv are of."""
PURCHASES = "decimal(18,6)"
_MODEL = T.StructType([T.StructField(name, T.DoubleType()) for name in ("r", "alpha", "a", "b", "p", "q", "v")])
_FITTED = T.StructType().add("status", "string").add("fitted_customer_count", "long")
_IF_ALIVE = (
    T.StructType()
    .add("period", "string")
    .add("repeat_purchases", "integer")
    .add("age_days", "integer")
    .add("if_alive", "double")
)


@dataclass(frozen=True)
class Period:
    """The days up to `end`, and how many days after it are to be told of."""

    name: str
    end: date
    days_after: int


def build_clv(fact_sales: DataFrame, *, asked: DateRange, clv: LifetimeFit) -> tuple[DataFrame, DataFrame]:
    """clv and clv_model. The models are fitted on the driver, to no more customers than `clv` says."""
    held_out = max(1, round(len(asked) * clv.holdout_share))
    whole = Period("whole", asked.end, DAYS_AHEAD)
    early = Period("early", asked.end - timedelta(days=held_out), held_out)
    days = days_of_customers(fact_sales).persist(StorageLevel.DISK_ONLY)
    histories = histories_of(days, whole).unionByName(histories_of(days, early)).persist(StorageLevel.DISK_ONLY)
    fits = fits_of(histories, (whole, early), clv)
    expected = with_expectations(histories, (whole, early), fits)
    later = days.where(F.col("order_date") > F.lit(early.end))
    counts = histories.where(_is_of(whole)).agg(
        F.count("repeat_purchases").alias("customer_count"),
        F.count_if(F.col("repeat_purchases") > 0).alias("repeat_customer_count"),
    )
    model = counts.crossJoin(_fit_row(histories.sparkSession, fits[whole.name])).crossJoin(
        _holdout(expected.where(_is_of(early)), later, early, fits[early.name])
    )
    return CLV.over(asked, expected.where(_is_of(whole))), CLV_MODEL.over(asked, model)


def _is_of(period: Period) -> Column:
    return F.col("period") == period.name


def days_of_customers(fact_sales: DataFrame) -> DataFrame:
    """One row per known customer and day with a line: order_count, net and gross spending, and whether one bought."""
    return (
        fact_sales.where(F.col("customer_key") != UNKNOWN_KEY)
        .groupBy("customer_key", "order_date")
        .agg(
            order_count(),
            money(F.col("line_item_total")).alias("net"),
            money(F.when(is_bought(), F.col("line_item_total"))).alias("gross"),
            F.max(is_bought()).alias("is_purchase"),
        )
    )


def histories_of(days: DataFrame, period: Period) -> DataFrame:
    """One row per customer with a line in the period: what clv has of the past, and what its model is fitted to.

    age_days and last_days are those from the first purchase to the end of the period, and to the last purchase;
    purchase_value is the mean of the purchases after the first. They are null for a customer who bought on no day.
    """
    bought_on = F.when(F.col("is_purchase"), F.col("order_date"))
    history = (
        days.where(F.col("order_date") <= F.lit(period.end))
        .groupBy("customer_key")
        .agg(
            F.sum("order_count").alias("order_count"),
            money(F.col("net")).alias("total_spending"),
            F.sum("gross").alias("gross"),
            F.min(bought_on).alias("first_order_date"),
            F.max(bought_on).alias("last_order_date"),
            F.min_by("gross", bought_on).alias("first_gross"),
            not_zero(F.count(bought_on)).alias("purchases"),
        )
        .withColumn("age_days", F.datediff(F.lit(period.end), "first_order_date"))
        .withColumn("last_days", F.datediff("last_order_date", "first_order_date"))
        .withColumn("repeat_purchases", (F.col("purchases") - 1).cast("int"))
    )
    net, gross, first_gross, again = (
        F.col(name).cast("double") for name in ("total_spending", "gross", "first_gross", "repeat_purchases")
    )
    kept = F.greatest(net / not_zero(gross), F.lit(0.0))
    year, lifespan = F.lit(Decimal("365.25")), F.col("last_days").cast("decimal(10,0)")
    return history.select(
        F.lit(period.name).alias("period"),
        "customer_key",
        "order_count",
        "total_spending",
        "first_order_date",
        "last_order_date",
        (lifespan / year).alias("lifespan_years"),
        (F.col("total_spending") / not_zero(F.col("order_count"))).alias("average_purchase_value"),
        (F.col("order_count") * year / not_zero(lifespan)).alias("orders_per_year"),
        "repeat_purchases",
        "age_days",
        "last_days",
        ((gross - first_gross) / not_zero(again) * kept).alias("purchase_value"),
    )


def fits_of(histories: DataFrame, periods: Sequence[Period], clv: LifetimeFit) -> Mapping[str, Fit]:
    """The fit of each period, to the customers who bought: to all, or to those with the lowest hashes of their keys."""
    # scipy takes a while to load, and no other job needs it.
    from etl_spark.pipelines.sales.lifetime import fit

    value = F.coalesce("purchase_value", F.lit(0.0))
    by_hash = Window.partitionBy("period").orderBy(F.xxhash64("customer_key"), "customer_key")
    sample = (
        histories.where("repeat_purchases IS NOT NULL")
        .withColumn("place", F.row_number().over(by_hash))
        .where(F.col("place") <= clv.max_customers)
        .orderBy("period", "place")
        .select("period", "repeat_purchases", *(F.col(days) / 7 for days in ("last_days", "age_days")), value)
        .collect()
    )
    fits = {}
    for period in periods:
        customers = [tuple(row[1:]) for row in sample if row.period == period.name]
        fits[period.name] = fit(customers, fewest=clv.min_repeat_customers)
    return fits


def with_expectations(histories: DataFrame, periods: Sequence[Period], fits: Mapping[str, Fit]) -> DataFrame:
    """`histories` with what clv has of the days after each period, null where its period has no model.

    Equation 10 of Fader, Hardie and Lee (2005), and equation 5 of Fader and Hardie (2013).
    """
    bought = F.col("repeat_purchases").isNotNull()
    known = histories.where(bought).select("period", "repeat_purchases", "age_days").distinct().collect()
    spark = histories.sparkSession
    of_periods = T.StructType([T.StructField("period", T.StringType()), *_MODEL])
    models = local_frame(spark, [(one.name, *_parameters(fits[one.name])) for one in periods], of_periods)
    if_alive = local_frame(spark, list(_purchases_if_alive(known, periods, fits)), _IF_ALIVE)
    x, age, last = F.col("repeat_purchases"), F.col("age_days") / 7, F.col("last_days") / 7
    since = (F.col("alpha") + age) / (F.col("alpha") + last)
    odds_of_having_left = F.col("a") / (F.col("b") + x - 1) * F.pow(since, F.col("r") + x)
    # Who never came again is taken to be there.
    still_there = 1 / (1 + F.when(x > 0, odds_of_having_left).otherwise(0.0))
    alive = F.when(F.col("if_alive").isNotNull(), still_there)
    spent = x * F.coalesce("purchase_value", F.lit(0.0))
    value = F.col("p") * (F.col("v") + spent) / (F.col("p") * x + F.col("q") - 1)
    purchases = F.col("if_alive") * alive
    return (
        histories.join(F.broadcast(models), on="period", how="left")
        .join(F.broadcast(if_alive), on=["period", "repeat_purchases", "age_days"], how="left")
        .withColumn("probability_alive", alive.cast(SHARE))
        .withColumn("expected_purchases", purchases.cast(PURCHASES))
        .withColumn("expected_purchase_value", value.cast(MONEY))
        .withColumn("expected_value", (purchases * value).cast(MONEY))
    )


def _purchases_if_alive(
    known: Sequence[Row], periods: Sequence[Period], fits: Mapping[str, Fit]
) -> Iterator[tuple[str, int, int, float]]:
    """The part of an expectation that no function of Spark has, by the values that it depends on.

    No more than there are days in the period times purchases of a customer, however many customers there are.
    """
    for period in periods:
        of_period = sorted((row.repeat_purchases, row.age_days) for row in known if row.period == period.name)
        model = fits[period.name].model
        if model:
            customers = [(repeats, days / 7) for repeats, days in of_period]
            purchases = model.purchases.purchases_if_alive(customers, period.days_after / 7)
            for (repeats, days), expected in zip(of_period, purchases, strict=True):
                yield period.name, repeats, days, expected


def _parameters(found: Fit) -> tuple[float | None, ...]:
    model = found.model
    return (*astuple(model.purchases), *astuple(model.values)) if model else (None,) * len(_MODEL)


def _fit_row(spark: SparkSession, found: Fit) -> DataFrame:
    """One row: what clv_model has of the fit to the whole range."""
    row = (found.status, found.customers, *_parameters(found))
    return local_frame(spark, [row], T.StructType([*_FITTED, *_MODEL]))


def _holdout(expected: DataFrame, later: DataFrame, early: Period, found: Fit) -> DataFrame:
    """One row: how the expectations of the early days' model compare with what its customers did in the days after."""
    did = later.groupBy("customer_key").agg(
        F.count_if("is_purchase").alias("later_purchases"), money(F.col("net")).alias("later_value")
    )
    purchases, value = (F.coalesce(name, F.lit(0)) for name in ("later_purchases", "later_value"))
    # As often in a day as in those from the first purchase on.
    naive = F.col("repeat_purchases") / F.greatest("age_days", F.lit(1)) * early.days_after
    return (
        expected.where("expected_purchases IS NOT NULL")
        .join(did, on="customer_key", how="left")
        .agg(
            not_zero(F.count(F.lit(1))).alias("holdout_customer_count"),
            F.sum(purchases).alias("holdout_purchases"),
            F.sum("expected_purchases").alias("holdout_expected_purchases"),
            F.avg(F.abs(purchases - F.col("expected_purchases"))).alias("holdout_purchases_error"),
            F.avg(F.abs(purchases - naive.cast(PURCHASES))).alias("holdout_naive_error"),
            F.sum(value).alias("holdout_value"),
            F.sum("expected_value").alias("holdout_expected_value"),
            F.avg(F.abs(value - F.col("expected_value"))).alias("holdout_value_error"),
        )
        .withColumn("holdout_status", F.lit(found.status))
        .withColumn(
            "holdout_start_date", F.when(F.col("holdout_customer_count") > 0, F.lit(early.end + timedelta(days=1)))
        )
    )
