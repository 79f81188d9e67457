"""Pairs are counted by order, each once, whatever the lines are."""

from __future__ import annotations

from decimal import Decimal

from pyspark.sql import DataFrame, SparkSession

from etl_spark.pipelines.sales.co_purchase import build_co_purchase, order_sizes
from etl_spark.pipelines.sales.settings import Baskets
from etl_spark.pipelines.sales.tables import CO_PURCHASE
from tests.pipelines.sales.lines import JANUARY, sold

ALL = Baskets(min_orders=1, min_support=0, max_products=100)


def pairs(facts: DataFrame, baskets: Baskets = ALL) -> dict[tuple[int, int], int]:
    table = CO_PURCHASE.conform(build_co_purchase(facts, asked=JANUARY, co_purchase=baskets))
    return {(row.product_key_1, row.product_key_2): row.order_count for row in table.collect()}


def orders(spark: SparkSession, *baskets: tuple[int, ...]) -> DataFrame:
    """One order of each, of one piece of each product."""
    return sold(
        spark,
        *(
            {"order_id": f"O{number}", "product_key": product}
            for number, basket in enumerate(baskets)
            for product in basket
        ),
    )


def test_support_confidence_and_lift(spark: SparkSession) -> None:
    facts = orders(spark, (1, 2), (1, 2, 3), (1,), (3,))
    table = CO_PURCHASE.conform(build_co_purchase(facts, asked=JANUARY, co_purchase=ALL))
    (row,) = table.where("product_key_1 = 1 AND product_key_2 = 2").collect()
    assert (row.order_count, row.support) == (2, Decimal("0.5"))
    assert (row.confidence_1_to_2, row.confidence_2_to_1) == (Decimal("0.66666667"), Decimal(1))
    # 2 of 4 orders have both, where 3/4 x 2/4 of them would by chance.
    assert row.lift == Decimal("1.333333")
    assert pairs(facts) == {(1, 2): 2, (1, 3): 1, (2, 3): 1}


def test_a_pair_counts_once_an_order_and_only_if_it_was_kept(spark: SparkSession) -> None:
    facts = sold(
        spark,
        {"order_id": "O1", "product_key": 1},
        {"order_id": "O1", "product_key": 1},
        {"order_id": "O1", "product_key": 2},
        {"order_id": "O1", "product_key": 2, "quantity_sold": 3},
        {"order_id": "O1", "product_key": 3},
        {"order_id": "O1", "product_key": 3, "quantity_sold": -1},
        {"order_id": "O1", "product_key": -1},
        {"order_id": "O2", "product_key": 1, "quantity_sold": -1},
        {"order_id": "O2", "product_key": 2, "quantity_sold": -1},
    )
    assert pairs(facts) == {(1, 2): 1}


def test_rare_pairs_are_left_out_by_number_and_by_share(spark: SparkSession) -> None:
    facts = orders(spark, *[(1, 2)] * 3, *[(1, 3)] * 2, (2, 3), *[(4,)] * 4)
    assert pairs(facts, Baskets(2, 0, 100)) == {(1, 2): 3, (1, 3): 2}
    # A share of 0.3 of 10 orders is 3 of them, and no more for the way that a computer writes 0.3.
    assert pairs(facts, Baskets(1, 0.3, 100)) == {(1, 2): 3}
    assert pairs(facts, Baskets(1, 0.31, 100)) == {}


def test_an_order_of_500_products_is_left_out_of_every_count(spark: SparkSession) -> None:
    facts = orders(spark, tuple(range(1, 501)), (1, 2), (1, 3))
    table = CO_PURCHASE.conform(build_co_purchase(facts, asked=JANUARY, co_purchase=ALL))
    assert [
        (row.product_key_1, row.product_key_2, row.support) for row in table.orderBy("product_key_2").collect()
    ] == [
        (1, 2, Decimal("0.5")),
        (1, 3, Decimal("0.5")),
    ]
    sizes = {row.order_id: row.product_count for row in order_sizes(facts).collect()}
    assert sizes == {"O0": 500, "O1": 2, "O2": 2}


def test_no_order_makes_no_pair(spark: SparkSession) -> None:
    assert pairs(orders(spark)) == {}
    assert pairs(orders(spark, (1,))) == {}
