"""The tables of the sales job, each with one row per what."""

from __future__ import annotations

from etl_spark.core.extract import AS_OF
from etl_spark.core.table import MONEY, Column, Table

DIM_CUSTOMER = Table(
    name="dim_customer",
    doc="One row per customer of any extract, as the latest has it, and one for the unknown (-1).",
    columns=(
        Column("customer_key", "BIGINT", "made of customer_id; -1 for the unknown"),
        Column("customer_id", "VARCHAR(64)", "the customer's id at the source"),
        Column("name", "VARCHAR(200)", "name", nullable=True),
        Column("email", "VARCHAR(320)", "e-mail address", nullable=True),
        Column("address", "VARCHAR(500)", "postal address", nullable=True),
        Column("city", "VARCHAR(100)", "city", nullable=True),
        Column("country", "VARCHAR(100)", "country", nullable=True),
        Column("registration_date", "DATE", "day of the registration", nullable=True),
        AS_OF,
    ),
    grain=("customer_key",),
    replaces=(),
    distributed_by="customer_key",
)

DIM_PRODUCT = Table(
    name="dim_product",
    doc="One row per product of any extract, as the latest has it, and one for the unknown (-1).",
    columns=(
        Column("product_key", "BIGINT", "made of product_id; -1 for the unknown"),
        Column("product_id", "VARCHAR(64)", "the product's id at the source"),
        Column("product_name", "VARCHAR(200)", "name", nullable=True),
        Column("category", "VARCHAR(100)", "category", nullable=True),
        Column("price", MONEY, "price now; what it was sold for is in fact_sales", nullable=True),
        Column("stock_quantity", "INT", "pieces in stock", nullable=True),
        AS_OF,
    ),
    grain=("product_key",),
    replaces=(),
)

FACT_SALES = Table(
    name="fact_sales",
    doc="One row per order item of the asked days; returns and cancellations are negative.",
    columns=(
        Column("order_date", "DATE", "day of the order, UTC"),
        Column("sales_key", "BIGINT", "made of order_item_id"),
        Column("order_item_id", "VARCHAR(64)", "the item's id at the source"),
        Column("order_id", "VARCHAR(64)", "the order's id at the source"),
        Column("customer_key", "BIGINT", "of dim_customer; -1 where that has no such customer"),
        Column("product_key", "BIGINT", "of dim_product; -1 where that has no such product"),
        Column("date_key", "INT", "of dim_date: the day of the order"),
        Column("quantity_sold", "INT", "pieces; negative for a return"),
        Column("price_per_item", MONEY, "price of one piece in this order; total / quantity where only that is known"),
        Column("line_item_total", MONEY, "the total that the source tells, or else quantity_sold x price_per_item"),
        Column("is_return", "BOOLEAN", "whether the quantity is negative"),
    ),
    grain=("order_date", "order_item_id"),
    replaces=("order_date",),
    distributed_by="customer_key",
)
