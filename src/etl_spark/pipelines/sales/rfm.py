"""rfm: one row per customer with a line in the asked range: how recently, how often, for how much."""

from __future__ import annotations

from collections.abc import Sequence

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame, Window

from etl_spark.core.dates import DateRange
from etl_spark.core.keys import UNKNOWN_KEY
from etl_spark.pipelines.sales.measures import is_bought, money, order_count
from etl_spark.pipelines.sales.settings import SCORES, RfmSegment
from etl_spark.pipelines.sales.tables import RFM


def build_rfm(fact_sales: DataFrame, *, asked: DateRange, rfm_segments: Sequence[RfmSegment]) -> DataFrame:
    """rfm; who has returns alone bought on no day, and is the last by recency."""
    table = (
        fact_sales.where(F.col("customer_key") != UNKNOWN_KEY)
        .groupBy("customer_key")
        .agg(
            F.max(F.when(is_bought(), F.col("order_date"))).alias("last_order_date"),
            order_count().alias("frequency"),
            money(F.col("line_item_total")).alias("monetary"),
        )
        .withColumn("recency_days", F.datediff(F.lit(asked.end), "last_order_date"))
        .withColumn("r_score", _score(F.desc_nulls_first("recency_days")))
        .withColumn("f_score", _score(F.asc("frequency")))
        .withColumn("m_score", _score(F.asc("monetary")))
        .withColumn("rfm_segment", F.concat(*(F.col(f"{one}_score").cast("string") for one in "rfm")))
        .withColumn("segment", _segment(rfm_segments))
    )
    return RFM.over(asked, table)


def _score(worst_first: Column) -> Column:
    """1 + the fifths of the customers that are worse; so equal values get equal scores, and nothing is up to chance."""
    worse = F.rank().over(Window.orderBy(worst_first)) - 1
    everyone = F.count(F.lit(1)).over(Window.partitionBy())
    return (1 + F.floor(worse * len(SCORES) / everyone)).cast("int")


def _segment(segments: Sequence[RfmSegment]) -> Column:
    return F.coalesce(*(F.when(_fits(one), F.lit(one.name)) for one in segments))


def _fits(segment: RfmSegment) -> Column:
    r, f, m = F.col("r_score"), F.col("f_score"), F.col("m_score")
    return r.isin(*segment.r) & f.isin(*segment.f) & m.isin(*segment.m)
