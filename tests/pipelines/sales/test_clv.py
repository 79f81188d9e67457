"""What a customer was worth, as far as there is an answer; what is expected, where there are enough of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.sales.clv import Period, build_clv, days_of_customers, histories_of, with_expectations
from etl_spark.pipelines.sales.lifetime import BgNbd, Fit, GammaGamma, Model
from etl_spark.pipelines.sales.settings import LifetimeFit
from etl_spark.pipelines.sales.tables import CLV, CLV_MODEL
from tests.pipelines.sales.lines import JANUARY, QUARTER, day, sold

TWENTY = LifetimeFit(min_repeat_customers=20, max_customers=1_000, holdout_share=0.25)
EXPECTED = ("probability_alive", "expected_purchases", "expected_purchase_value", "expected_value")


def made(facts: DataFrame, asked: DateRange, clv: LifetimeFit = TWENTY) -> tuple[dict[int, Row], Row]:
    customers, model = build_clv(facts, asked=asked, clv=clv)
    (row,) = CLV_MODEL.conform(model).collect()
    return {row.customer_key: row for row in CLV.conform(customers).collect()}, row


@pytest.fixture(scope="module")
def shop(spark: SparkSession) -> DataFrame:
    """200 customers over a quarter: most come again now and then, and some no more after a while."""
    random = np.random.default_rng(5)

    def lines() -> Iterator[dict[str, Any]]:
        for key in range(200):
            on, rate = int(random.integers(0, 60)), random.gamma(2, 1 / 20)
            while on < len(QUARTER):
                line = {"customer_key": key, "order_id": f"O{key}-{on}", "order_date": QUARTER.start + timedelta(on)}
                yield line | {"price_per_item": f"{random.gamma(6, 3):.2f}"}
                if random.random() < 0.2:
                    break
                on += 1 + int(random.exponential(1 / rate))

    return sold(spark, *lines()).localCheckpoint()


def test_a_customer_of_two_days_and_one_of_one(spark: SparkSession) -> None:
    facts = sold(
        spark,
        {"order_id": "O1", "customer_key": 1},
        {"order_id": "O2", "customer_key": 1},
        {"order_id": "O3", "customer_key": 1, "order_date": day("01-25"), "quantity_sold": 2},
        {"order_id": "O4", "customer_key": 1, "order_date": day("01-30"), "quantity_sold": -1},
        {"order_id": "O5", "customer_key": 2},
        {"order_id": "O6", "customer_key": 3, "quantity_sold": -1},
        {"order_id": "O7", "customer_key": -1},
    )
    customers, _ = made(facts, JANUARY)
    assert set(customers) == {1, 2, 3}
    one, two, three = (customers[key] for key in (1, 2, 3))
    assert (one.order_count, one.total_spending, one.repeat_purchases) == (3, 30, 1)
    assert (one.first_order_date, one.last_order_date) == (day("01-01"), day("01-25"))
    assert one.lifespan_years == Decimal("0.065708")
    assert (one.average_purchase_value, one.orders_per_year) == (10, Decimal("45.65625"))
    assert (two.lifespan_years, two.orders_per_year, two.average_purchase_value) == (0, None, 10)
    assert (three.order_count, three.total_spending) == (0, -10)
    of_purchases = set(CLV.column_names[5:])
    assert {name for name, value in three.asDict().items() if value is None} == of_purchases - {"total_spending"}


def test_the_value_of_a_purchase_is_what_was_kept_of_it(spark: SparkSession) -> None:
    facts = sold(
        spark,
        {"order_id": "O1", "customer_key": 1, "quantity_sold": 4},
        {"order_id": "O2", "customer_key": 1, "order_date": day("01-05"), "quantity_sold": 4},
        {"order_id": "O3", "customer_key": 1, "order_date": day("01-09"), "quantity_sold": 2},
        {"order_id": "O4", "customer_key": 1, "order_date": day("01-10"), "quantity_sold": -5},
        {"order_id": "O5", "customer_key": 2},
        {"order_id": "O6", "customer_key": 2, "order_date": day("01-09")},
        {"order_id": "O7", "customer_key": 2, "order_date": day("01-09"), "quantity_sold": -3},
    )
    histories = histories_of(days_of_customers(facts), Period("whole", JANUARY.end, 365)).collect()
    found = {
        row.customer_key: (row.repeat_purchases, row.last_days, row.age_days, row.purchase_value) for row in histories
    }
    # Of 100 bought 50 came back, so 40 and 20 are worth half; more that comes back than was bought makes it 0.
    assert found == {1: (2, 8, 30, 15.0), 2: (1, 8, 30, 0.0)}


def test_too_few_customers_have_no_expectation(spark: SparkSession) -> None:
    lines = [{"customer_key": key, "order_id": f"O{key}"} for key in range(30)]
    customers, model = made(sold(spark, *lines), JANUARY)
    assert model.status == "fewer than 20 customers who came again and kept something"
    assert (model.customer_count, model.repeat_customer_count, model.fitted_customer_count) == (30, 0, 0)
    unknown = {name for name, value in model.asDict().items() if value is None}
    assert unknown == {column.name for column in CLV_MODEL.columns if column.nullable}
    assert {row[name] for row in customers.values() for name in EXPECTED} == {None}


@pytest.mark.parametrize("lines", [[], [{}], [{"quantity_sold": -1}]])
def test_hardly_a_line_and_a_range_of_one_day_are_no_trouble(spark: SparkSession, lines: list[dict[str, Any]]) -> None:
    one_day = DateRange(JANUARY.start, JANUARY.start)
    customers, model = made(sold(spark, *lines), one_day)
    assert len(customers) == len(lines)
    assert model.customer_count == sum("quantity_sold" not in line for line in lines)


def test_enough_customers_have_one_that_holds_in_the_days_after(shop: DataFrame) -> None:
    customers, model = made(shop, QUARTER)
    assert model.status == "fitted"
    assert model.customer_count == model.fitted_customer_count == len(customers) == 200
    assert model.holdout_start_date == date(2024, 3, 9)
    assert 0 < model.holdout_customer_count <= 200
    assert float(model.holdout_expected_purchases) == pytest.approx(float(model.holdout_purchases), rel=0.3)
    assert model.holdout_purchases_error < model.holdout_naive_error
    for row in customers.values():
        assert 0 < row.probability_alive <= 1
        assert row.expected_purchases > 0
        product = row.expected_purchases * row.expected_purchase_value
        assert float(row.expected_value) == pytest.approx(float(product), abs=0.01)
    once = [row for row in customers.values() if row.repeat_purchases == 0]
    assert {row.probability_alive for row in once} == {1}


def test_of_more_customers_a_part_is_drawn_by_their_keys(shop: DataFrame) -> None:
    _, model = made(shop, QUARTER, replace(TWENTY, max_customers=150))
    assert (model.customer_count, model.fitted_customer_count) == (200, 150)


def test_the_published_example(spark: SparkSession) -> None:
    # Fader, Hardie and Lee (2005), of CDNOW: 1.226 purchases in 39 weeks, of a customer with 2 more up to week 30.43.
    facts = sold(
        spark,
        *(
            {"customer_key": 1, "order_id": f"O{on}", "order_date": JANUARY.start + timedelta(on)}
            for on in (0, 100, 213)
        ),
    )
    period = Period("whole", JANUARY.start + timedelta(272), 273)
    model = Model(BgNbd(0.243, 4.414, 0.793, 2.426), GammaGamma(6.25, 3.74, 15.44))
    histories = histories_of(days_of_customers(facts), period)
    (row,) = with_expectations(histories, [period], {"whole": Fit(model, "fitted", 1)}).collect()
    assert float(row.expected_purchases) == pytest.approx(1.226, abs=0.001)
    assert float(row.expected_purchase_value) == pytest.approx(6.25 * (15.44 + 20) / (6.25 * 2 + 2.74), abs=0.0001)
