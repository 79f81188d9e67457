"""Scores of 1 to 5, 5 the best in all three; equal customers get equal scores."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark import config
from etl_spark.core.errors import UsageError
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.sales.rfm import build_rfm
from etl_spark.pipelines.sales.settings import RfmSegment, SalesSettings
from etl_spark.pipelines.sales.tables import RFM
from tests.pipelines.sales.lines import JANUARY, day, sold


@pytest.fixture(scope="module")
def settings() -> SalesSettings:
    """As shipped."""
    loaded = config.load("sales", SalesSettings, pipelines=PIPELINES).settings
    assert isinstance(loaded, SalesSettings)
    return loaded


def customers_of(facts: DataFrame, settings: SalesSettings) -> dict[int, Row]:
    table = RFM.conform(build_rfm(facts, asked=JANUARY, rfm_segments=settings.rfm_segments))
    return {row.customer_key: row for row in table.collect()}


def test_the_best_of_ten_get_5_and_the_worst_1(spark: SparkSession, settings: SalesSettings) -> None:
    lines = [
        {"customer_key": key, "order_id": f"O{key}-{order}", "order_date": day(f"01-{10 + key}"), "price_per_item": key}
        for key in range(1, 11)
        for order in range(key)
    ]
    found = customers_of(sold(spark, *lines), settings)
    # Two customers a fifth: the last to buy is the one that bought most often, and for most.
    assert {key: row.rfm_segment for key, row in found.items()} == {
        key: str((key + 1) // 2) * 3 for key in range(1, 11)
    }
    assert (found[10].recency_days, found[10].frequency, found[10].monetary) == (11, 10, 100)
    assert (found[10].segment, found[1].segment) == ("Champions", "Hibernating")


def test_equal_values_get_equal_scores(spark: SparkSession, settings: SalesSettings) -> None:
    often = {"customer_key": 9, "order_id": "O9-2"}
    lines = [{"customer_key": key, "order_id": f"O{key}"} for key in range(1, 10)]
    found = customers_of(sold(spark, *lines, often), settings)
    assert {row.rfm_segment for key, row in found.items() if key != 9} == {"111"}
    # 8 of 9 customers are worse: 8 x 5 / 9 is 4 whole fifths. All bought on the same day.
    assert found[9].rfm_segment == "155"


def test_returns_are_money_and_neither_an_order_nor_a_day(spark: SparkSession, settings: SalesSettings) -> None:
    found = customers_of(
        sold(
            spark,
            {"customer_key": 1, "order_id": "O1"},
            {"customer_key": 1, "order_id": "O2", "quantity_sold": -1, "order_date": day("01-20")},
            {"customer_key": 2, "order_id": "O3", "quantity_sold": -1},
            {"customer_key": -1, "order_id": "O4"},
        ),
        settings,
    )
    assert set(found) == {1, 2}
    assert (found[1].last_order_date, found[1].frequency, found[1].monetary) == (day("01-01"), 1, 0)
    assert (found[2].last_order_date, found[2].recency_days, found[2].frequency) == (None, None, 0)
    assert (found[2].rfm_segment, found[1].rfm_segment) == ("111", "333")


def test_one_customer_and_nobody(spark: SparkSession, settings: SalesSettings) -> None:
    assert customers_of(sold(spark), settings) == {}
    assert [row.rfm_segment for row in customers_of(sold(spark, {}), settings).values()] == ["111"]


@pytest.mark.parametrize(
    ("segment", "complaint"),
    [
        ({"name": "", "r": (1,)}, "a name has 1 to 50 characters"),
        ({"name": "x" * 51}, "a name has 1 to 50 characters"),
        ({"name": "Best", "m": ()}, "Best needs scores"),
        ({"name": "Best", "r": (6,)}, "needs scores of 1 to 5"),
    ],
)
def test_a_segment_that_cannot_be_is_refused(segment: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        RfmSegment(**segment)  # type: ignore[arg-type]


def test_every_score_needs_a_segment(tmp_path, settings: SalesSettings) -> None:  # type: ignore[no-untyped-def]
    place = tmp_path / "place.toml"
    place.write_text('[[sales.rfm_segments]]\nname = "Few"\nf = [1, 2, 3]\n')
    with pytest.raises(UsageError, match="none for the scores r = 1, f = 4, m = 1"):
        config.load("sales", SalesSettings, pipelines=PIPELINES, file=place, source="x")
