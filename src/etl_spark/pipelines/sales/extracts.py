"""The four extracts of the sales job: their raw tables, what is turned away, and the counts for load_audit."""

from __future__ import annotations

from datetime import date

import pyspark.sql.functions as F
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame

from etl_spark.core.dates import DateRange
from etl_spark.core.extract import Extract, Through, rejected_table
from etl_spark.core.flat import FlatMapping
from etl_spark.core.table import MONEY, Column
from etl_spark.extracts import (
    Judged,
    clean,
    is_accepted,
    negative,
    newest,
    reject,
    split,
    with_latest_day,
    with_orphans,
    without_day,
)
from etl_spark.pipelines.calendar.dim_date import in_calendar
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, DIM_PRODUCT
from etl_spark.quality import Rule

PIPELINE = "sales"


def _attributes(*names: str, of: tuple[Column, ...]) -> tuple[Column, ...]:
    return tuple(column for column in of if column.name in names)


CUSTOMERS = Extract(
    "customers",
    "the customers",
    columns=_attributes(
        "customer_id", "name", "email", "address", "city", "country", "registration_date", of=DIM_CUSTOMER.columns
    ),
    key=("customer_id",),
    forgets="row",
)
PRODUCTS = Extract(
    "products",
    "the products",
    columns=_attributes("product_id", "product_name", "category", "price", "stock_quantity", of=DIM_PRODUCT.columns),
    key=("product_id",),
)
ORDERS = Extract(
    "orders",
    "the orders",
    columns=(
        Column("order_id", "VARCHAR(64)", "the order's id"),
        Column("customer_id", "VARCHAR(64)", "who ordered; null where that is not known", nullable=True),
        Column("order_date", "TIMESTAMP", "when it was ordered, UTC"),
    ),
    key=("order_id",),
    day="order_date",
    forgets="customer",
)
ORDER_ITEMS = Extract(
    "order_items",
    "the items of the orders",
    columns=(
        Column("order_item_id", "VARCHAR(64)", "the item's id"),
        Column("order_id", "VARCHAR(64)", "the order it is of"),
        Column("product_id", "VARCHAR(64)", "what was ordered; null where that is not known", nullable=True),
        Column("quantity", "INT", "pieces; negative for a return"),
        Column("price_per_item", MONEY, "price of one piece; null where the total alone is known", nullable=True),
        Column("line_item_total", MONEY, "what it costs in all, where the source says so", nullable=True),
        Column("order_date", "TIMESTAMP", "date of the item's own line in a flat file, UTC", nullable=True),
        Column("line_repeated", "BOOLEAN", "of a flat file, whether an equal line counts before it", nullable=True),
    ),
    key=("order_item_id",),
    through=(Through("orders", "order_id"),),
    optional=("line_item_total", "order_date", "line_repeated"),
)
EXTRACTS = (CUSTOMERS, PRODUCTS, ORDERS, ORDER_ITEMS)

CUSTOMER_NOT_FOUND, PRODUCT_NOT_FOUND = "customer_not_found", "product_not_found"
"""Flags: a reference to what the source does not have; the fact has the unknown member."""
LINE_REPEATED = "line_repeated"
"""A flag, or else a reason: a line of a flat file that is equal to another. Null where the source has no lines."""

RAW_CUSTOMERS, RAW_PRODUCTS, RAW_ORDERS, RAW_ORDER_ITEMS = (extract.raw_table(PIPELINE) for extract in EXTRACTS)
SALES_REJECTED = rejected_table(PIPELINE, forgets="line")


def read_extracts(
    customers: DataFrame,
    products: DataFrame,
    orders: DataFrame,
    order_items: DataFrame,
    *,
    asked: DateRange,
    extract_dates: tuple[date, ...],
    date_formats: tuple[str, ...],
    mapping: FlatMapping | None,
) -> tuple[DataFrame, ...]:
    """The raw tables of customers, products, orders and order items, sales_rejected, and the counts for load_audit.

    An item is of the day of its order, and is turned away without a sound one. Orders of other days than the asked,
    and their items, are counted and left out. The money of an item is the total that the source tells, or else its
    quantity times its price. `mapping` says whether repeated lines of a flat file are turned away.
    """
    judged_customers = without_day(clean(customers, CUSTOMERS, date_formats=date_formats))
    judged_products = without_day(clean(products, PRODUCTS, rules=(negative("price"),)))
    judged_orders = clean_orders(orders, judged_customers, extract_dates=extract_dates, date_formats=date_formats)
    judged_items = clean_order_items(
        order_items,
        judged_orders,
        judged_products,
        extract_dates=extract_dates,
        date_formats=date_formats,
        drop_repeated=mapping is not None and mapping.repeated_lines == "drop",
    )
    parts = (
        Judged(CUSTOMERS, judged_customers),
        Judged(PRODUCTS, judged_products),
        Judged(ORDERS, judged_orders, flags=(CUSTOMER_NOT_FOUND,)),
        Judged(ORDER_ITEMS, judged_items, flags=(PRODUCT_NOT_FOUND, LINE_REPEATED)),
    )
    return split(parts, asked)


def clean_orders(
    orders: DataFrame, judged_customers: DataFrame, *, extract_dates: tuple[date, ...], date_formats: tuple[str, ...]
) -> DataFrame:
    """The orders judged, of the days that they were made on, and whether their customer is not there."""
    rules = (Rule("order_date_not_in_calendar", ~in_calendar("order_date")),)
    judged = clean(orders, ORDERS, rules=rules, date_formats=date_formats)
    with_day = judged.withColumns({"day": F.to_date("order_date"), "amount": F.lit(None).cast(MONEY)})
    latest = with_latest_day(with_day, ORDERS, extract_dates)
    return with_orphans(latest, judged_customers, "customer_id", CUSTOMER_NOT_FOUND)


def clean_order_items(
    order_items: DataFrame,
    judged_orders: DataFrame,
    judged_products: DataFrame,
    *,
    extract_dates: tuple[date, ...],
    date_formats: tuple[str, ...],
    drop_repeated: bool,
) -> DataFrame:
    """The items judged, each of the day of its order, and whether their product is not there."""
    sound_orders = judged_orders.where(is_accepted())
    days = newest(sound_orders, "order_id", extract_dates=extract_dates).select("order_id", "day")
    repeated = (Rule(LINE_REPEATED, F.col(LINE_REPEATED)),) if drop_repeated else ()
    judged = clean(order_items, ORDER_ITEMS, rules=(*item_rules(), *repeated), date_formats=date_formats)
    with_day = judged.withColumn("amount", line_item_total()).join(days, on="order_id", how="left")
    sound = reject(with_day, ORDER_ITEMS, Rule("order_not_found", F.col("day").isNull()))
    latest = with_latest_day(sound, ORDER_ITEMS, extract_dates)
    return with_orphans(latest, judged_products, "product_id", PRODUCT_NOT_FOUND)


def item_rules() -> tuple[Rule, ...]:
    """What an item must be like beyond its columns: money that its quantity can have, and a date of its line if any."""
    quantity, price, total = (F.col(name) for name in ("quantity", "price_per_item", "line_item_total"))
    return (
        negative("price_per_item"),
        Rule("line_item_total_without_quantity", (quantity == 0) & (total != 0)),
        Rule("line_item_total_of_other_sign", F.signum(quantity) * F.signum(total) < 0),
        Rule("price_per_item_missing", price.isNull() & (total.isNull() | (quantity == 0))),
        Rule("order_date_missing", F.col("order_date").isNull() & F.col(LINE_REPEATED).isNotNull()),
        Rule("order_date_not_in_calendar", ~in_calendar("order_date")),
    )


def line_item_total() -> SparkColumn:
    """What an item costs, or gives back: as the source tells it, to the last digit, or else by its price."""
    return F.coalesce("line_item_total", F.col("quantity") * F.col("price_per_item"))
