"""Lines of fact_sales, and members of its dimensions, for tests that say only what matters to them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.core.local import local_frame
from etl_spark.core.table import Table
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, DIM_PRODUCT, FACT_SALES

JANUARY = DateRange(date(2024, 1, 1), date(2024, 1, 31))
QUARTER = DateRange(date(2024, 1, 1), date(2024, 3, 31))


def day(text: str) -> date:
    """A day of 2024, by MM-DD."""
    return date.fromisoformat(f"2024-{text}")


def sold(spark: SparkSession, *lines: Mapping[str, Any]) -> DataFrame:
    """fact_sales: what a line leaves out is one piece of product 1 for 10.00, bought by customer 1 on 01-01 in O1."""
    rows = []
    for number, line in enumerate(lines):
        pieces = line.get("quantity_sold", 1)
        price = Decimal(line.get("price_per_item", "10"))
        default = {
            "order_date": day("01-01"),
            "sales_key": number,
            "order_item_id": f"I{number}",
            "order_id": "O1",
            "customer_key": 1,
            "product_key": 1,
            "date_key": 20240101,
            "quantity_sold": pieces,
            "line_item_total": pieces * price,
            "is_return": pieces < 0,
        }
        rows.append(default | dict(line) | {"price_per_item": price})
    return _frame(spark, FACT_SALES, rows)


def customers(spark: SparkSession, *members: Mapping[str, Any]) -> DataFrame:
    """dim_customer, with the unknown."""
    return _frame(spark, DIM_CUSTOMER, [{"customer_key": -1}, *members])


def products(spark: SparkSession, *members: Mapping[str, Any]) -> DataFrame:
    """dim_product, with the unknown."""
    return _frame(spark, DIM_PRODUCT, [{"product_key": -1}, *members])


def _frame(spark: SparkSession, table: Table, rows: list[Mapping[str, Any]] | list[dict[str, Any]]) -> DataFrame:
    return local_frame(spark, [tuple(row.get(name) for name in table.column_names) for row in rows], table.schema)
