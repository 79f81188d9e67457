"""Orders, items, customers and products become a star: every item counts once, on the day of its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.keys import UNKNOWN, UNKNOWN_KEY
from etl_spark.core.local import local_frame
from etl_spark.core.table import Table
from etl_spark.pipelines.sales.checks import balance
from etl_spark.pipelines.sales.dimensions import build_dim_customer, build_dim_product
from etl_spark.pipelines.sales.extracts import RAW_CUSTOMERS, RAW_ORDER_ITEMS, RAW_ORDERS, RAW_PRODUCTS
from etl_spark.pipelines.sales.facts import build_fact_sales
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, DIM_PRODUCT, FACT_SALES

D1, D2 = date(2024, 1, 1), date(2024, 1, 2)
BOUNDS = {"extract_date": D2, "start_date": D1, "end_date": D2}


def frame(spark: SparkSession, table: Table, *rows: Mapping[str, Any]) -> DataFrame:
    """Rows of `table`; what a dict leaves out is null, but for the bounds of an extract."""
    full = [tuple({**BOUNDS, **row}.get(name) for name in table.column_names) for row in rows]
    return local_frame(spark, full, table.schema)


def customers(spark: SparkSession, *ids: str) -> DataFrame:
    raw = frame(spark, RAW_CUSTOMERS, *({"customer_id": one, "name": one.lower()} for one in ids))
    return DIM_CUSTOMER.conform(build_dim_customer(raw))


def products(spark: SparkSession, *ids: str) -> DataFrame:
    raw = frame(spark, RAW_PRODUCTS, *({"product_id": one, "price": Decimal("2.5")} for one in ids))
    return DIM_PRODUCT.conform(build_dim_product(raw))


def facts(spark: SparkSession, orders: Sequence[Mapping[str, Any]], items: Sequence[Mapping[str, Any]]) -> list[Row]:
    at = {"order_date": datetime.fromisoformat("2024-01-02T23:59:59+00:00")}
    item = {"product_id": "P1", "quantity": 2, "price_per_item": Decimal("2.5")}
    star = build_fact_sales(
        frame(spark, RAW_ORDERS, *({**at, **order} for order in orders)),
        frame(spark, RAW_ORDER_ITEMS, *({**item, **one} for one in items)),
        customers(spark, "C1"),
        products(spark, "P1"),
    )
    return FACT_SALES.conform(star).orderBy("order_item_id").collect()


def test_an_item_has_the_keys_and_the_day_of_its_order(spark: SparkSession) -> None:
    (fact,) = facts(spark, [{"order_id": "O1", "customer_id": "C1"}], [{"order_item_id": "I1", "order_id": "O1"}])
    (customer,) = customers(spark, "C1").where("customer_id = 'C1'").collect()
    (product,) = products(spark, "P1").where("product_id = 'P1'").collect()
    assert (fact.customer_key, fact.product_key) == (customer.customer_key, product.product_key)
    assert (fact.order_date, fact.date_key) == (D2, 20240102)
    assert (fact.quantity_sold, fact.price_per_item, fact.line_item_total) == (2, Decimal("2.5"), Decimal("5"))
    assert fact.is_return is False


def test_a_return_is_negative_and_kept(spark: SparkSession) -> None:
    (fact,) = facts(spark, [{"order_id": "O1"}], [{"order_item_id": "I1", "order_id": "O1", "quantity": -3}])
    assert (fact.quantity_sold, fact.line_item_total, fact.is_return) == (-3, Decimal("-7.5"), True)


def test_what_is_not_known_has_the_unknown_key(spark: SparkSession) -> None:
    orders: list[dict[str, Any]] = [{"order_id": "O1", "customer_id": "C9"}, {"order_id": "O2", "customer_id": None}]
    items: list[dict[str, Any]] = [
        {"order_item_id": "I1", "order_id": "O1", "product_id": "P9"},
        {"order_item_id": "I2", "order_id": "O2", "product_id": None},
    ]
    assert [(fact.customer_key, fact.product_key) for fact in facts(spark, orders, items)] == [(UNKNOWN_KEY,) * 2] * 2


def test_the_latest_version_of_an_order_and_of_an_item_count(spark: SparkSession) -> None:
    orders = [
        {"order_id": "O1", "customer_id": "C9", "extract_date": D1},
        {"order_id": "O1", "customer_id": "C1", "extract_date": D2},
    ]
    items = [
        {"order_item_id": "I1", "order_id": "O1", "quantity": 4, "extract_date": D2},
        {"order_item_id": "I1", "order_id": "O1", "quantity": 1, "extract_date": D1},
    ]
    (fact,) = facts(spark, orders, items)
    assert fact.quantity_sold == 4
    assert fact.customer_key != UNKNOWN_KEY


def test_a_dimension_has_each_member_once_as_the_latest_extract_has_it(spark: SparkSession) -> None:
    raw = frame(
        spark,
        RAW_CUSTOMERS,
        {"customer_id": "C1", "name": "old", "extract_date": D1},
        {"customer_id": "C1", "name": "new", "extract_date": D2},
        {"customer_id": "C2", "name": "gone", "extract_date": D1},
    )
    rows = DIM_CUSTOMER.conform(build_dim_customer(raw)).collect()
    assert {(row.customer_id, row["name"], row.extract_date) for row in rows} == {
        ("C1", "new", D2),
        ("C2", "gone", D1),
        (UNKNOWN, None, None),
    }
    assert len({row.customer_key for row in rows}) == 3


def test_a_dimension_of_nobody_has_the_unknown(spark: SparkSession) -> None:
    (row,) = customers(spark).collect()
    assert (row.customer_key, row.customer_id) == (UNKNOWN_KEY, UNKNOWN)


def test_a_lost_or_changed_item_is_found(spark: SparkSession) -> None:
    counted = {"source_table": "order_items", "reason": "All", "date": D2, "rows_accepted": 2}
    audit = frame(
        spark,
        LOAD_AUDIT,
        counted | {"file": "a", "money_accepted": Decimal("5")},
        counted | {"file": "b", "money_accepted": Decimal("1.25"), "rows_accepted": 1},
        counted | {"file": "a", "reason": "key_repeated", "rows_accepted": None, "money_accepted": None},
        counted | {"file": "c", "source_table": "orders", "money_accepted": Decimal(0)},
    )

    item = {"quantity": 1, "order_id": "O1", "price_per_item": Decimal("1.25")}
    raw = frame(
        spark,
        RAW_ORDER_ITEMS,
        {**item, "order_item_id": "I1", "extract_date": D1},
        {**item, "order_item_id": "I1", "quantity": 2, "extract_date": D2},
        {**item, "order_item_id": "I2", "quantity": 2},
    )

    def off(*totals: str, items: DataFrame = raw) -> list[tuple[object, ...]]:
        booked = ({"order_date": D2, "line_item_total": Decimal(total)} for total in totals)
        return [tuple(row) for row in balance(audit, items, frame(spark, FACT_SALES, *booked)).collect()]

    assert off("2.5", "2.5") == []
    assert off("5") == [(0, 0, 1, 0)]
    assert off("2.5", "2.4999") == [(0, 0, 0, Decimal("0.0001"))]
    assert off("2.5", items=raw.where("order_item_id = 'I2'")) == [(2, Decimal("3.75"), 0, 0)]
