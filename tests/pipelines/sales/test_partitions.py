"""The analytics are the same for any partitioning and any order of the lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pyspark.sql.functions as F
import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_spark import config
from etl_spark.core.step import Step
from etl_spark.core.table import Table
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.calendar.dim_date import DIM_DATE, build_dim_date
from etl_spark.pipelines.sales.pipeline import SALES
from etl_spark.pipelines.sales.settings import SalesSettings
from etl_spark.pipelines.sales.tables import CLV, CLV_MODEL, DIM_CUSTOMER, DIM_PRODUCT, FACT_SALES
from tests.pipelines.sales.lines import QUARTER, customers, day, products, sold

pytestmark = pytest.mark.default_spark

ANALYTICS = [step for step in SALES.steps if FACT_SALES.name in {one.of for one in step.inputs}]


@pytest.fixture(scope="module")
def star(spark: SparkSession) -> Mapping[str, DataFrame]:
    """Few customers, who buy and return alike, so that much is equal; one of the lines is of nobody that is known."""
    random = np.random.default_rng(9)

    def lines() -> Iterator[dict[str, Any]]:
        for order in range(400):
            of_order = {
                "order_id": f"O{order}",
                "customer_key": int(random.integers(-1, 150)),
                "order_date": QUARTER.start + timedelta(int(random.integers(0, len(QUARTER)))),
            }
            for product in random.choice(12, size=int(random.integers(1, 5)), replace=False):
                pieces = -1 if random.random() < 0.1 else int(random.integers(1, 3))
                price = f"{10 + int(product)}.25"
                yield of_order | {"product_key": int(product) - 1, "quantity_sold": pieces, "price_per_item": price}

    months = [day("01-05"), day("02-05"), None]
    people = [
        {"customer_key": key, "registration_date": months[key % 3], "country": f"{key % 4}"} for key in range(150)
    ]
    return {
        FACT_SALES.name: sold(spark, *lines()).localCheckpoint(),
        DIM_CUSTOMER.name: customers(spark, *people).localCheckpoint(),
        DIM_PRODUCT.name: products(spark, *({"product_key": key, "category": f"{key % 3}"} for key in range(12))),
        DIM_DATE.name: build_dim_date(spark.range(1).select()),
    }


@pytest.fixture(scope="module")
def parameters() -> Mapping[str, Any]:
    settings = config.load("sales", SalesSettings, pipelines=PIPELINES).settings
    return {"asked": QUARTER, **vars(settings)}


def made(step: Step, star: Mapping[str, DataFrame], parameters: Mapping[str, Any]) -> dict[Table, list[str]]:
    inputs = [star[one.of] for one in step.inputs]
    tables = step.transform(*inputs, **{name: parameters[name] for name in step.parameters})
    frames = tables if isinstance(tables, tuple) else (tables,)
    return {
        table: sorted(map(str, table.conform(df).collect())) for table, df in zip(step.outputs, frames, strict=True)
    }


@pytest.mark.parametrize("step", ANALYTICS, ids=lambda step: step.outputs[0].name)
def test_partitions_and_order_change_nothing(
    spark: SparkSession, star: Mapping[str, DataFrame], parameters: Mapping[str, Any], step: Step
) -> None:
    lines = star[FACT_SALES.name]
    found = {}
    for partitions in (1, 2, 8):
        shuffled = lines.repartition(partitions, F.rand(partitions)).sortWithinPartitions(F.rand(partitions + 1))
        spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
        try:
            found[partitions] = made(step, {**star, FACT_SALES.name: shuffled}, parameters)
        finally:
            spark.conf.set("spark.sql.shuffle.partitions", "2")
    assert all(found[1].values())
    assert step.outputs != (CLV, CLV_MODEL) or "status='fitted" in found[1][CLV_MODEL][0]
    assert found[1] == found[2] == found[8]
