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
    forgets="row",
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
    forgets="customer",
)


SHARE = "DECIMAL(9,8)"
"""The type of a part of 1."""

_CUSTOMER = Column("customer_key", "BIGINT", "of dim_customer; the unknown (-1) is in sales_summary")
_SOLD = (
    Column("order_count", "BIGINT", "orders with a line of a piece or more"),
    Column("customer_count", "BIGINT", "customers with such an order, without the unknown"),
    Column("item_count", "BIGINT", "lines, returns among them"),
    Column("quantity_sold", "BIGINT", "pieces sold less pieces returned"),
    Column("gross_sales", MONEY, "of lines that are no return"),
    Column("returns", MONEY, "of returns, 0 or less"),
    Column("net_sales", MONEY, "gross_sales + returns"),
)

SALES_BY_DAY = Table.of_range(
    "sales_by_day",
    "One row per day of the asked range, 0 where nothing was sold.",
    (Column("order_date", "DATE", "day of the orders"),),
    _SOLD,
)
SALES_BY_CATEGORY = Table.of_range(
    "sales_by_category",
    "One row per asked range and category of products.",
    (Column("category", "VARCHAR(100)", "of dim_product; (unknown) where that has none"),),
    _SOLD,
)
SALES_BY_COUNTRY = Table.of_range(
    "sales_by_country",
    "One row per asked range and country of customers.",
    (Column("country", "VARCHAR(100)", "of dim_customer; (unknown) where that has none"),),
    _SOLD,
)
SALES_BY_PRODUCT = Table.of_range(
    "sales_by_product",
    "One row per asked range and product that has a line, also for the unknown (-1).",
    (Column("product_key", "BIGINT", "of dim_product"),),
    _SOLD,
)

COHORT = Table.of_range(
    "cohort",
    "One row per asked range, cohort of customers and month of its life that is in the range, 0 where nobody bought.",
    (
        Column("cohort_month", "DATE", "first day of the month in which its customers registered, or bought first"),
        Column("month_index", "INT", "months since then; 0 for orders before it too"),
    ),
    (
        Column("customers", "BIGINT", "customers of the cohort"),
        Column("active_customers", "BIGINT", "those who bought in this month"),
        Column("retention", SHARE, "active_customers / customers"),
        Column("total_spending", MONEY, "of this month, less returns"),
        Column("cumulative_spending_per_customer", MONEY, "total_spending up to this month / customers"),
    ),
)

CO_PURCHASE = Table.of_range(
    "co_purchase",
    "One row per asked range and pair of products that enough orders have both of.",
    (
        Column("product_key_1", "BIGINT", "of dim_product"),
        Column("product_key_2", "BIGINT", "of dim_product, greater than product_key_1"),
    ),
    (
        Column("order_count", "BIGINT", "orders with both"),
        Column("support", SHARE, "order_count / all orders that are looked at"),
        Column("confidence_1_to_2", SHARE, "order_count / orders with product 1"),
        Column("confidence_2_to_1", SHARE, "order_count / orders with product 2"),
        Column("lift", "DECIMAL(18,6)", "how many times as often as if the two had nothing to do with each other"),
    ),
)

RFM = Table.of_range(
    "rfm",
    "One row per asked range and customer with a line in it.",
    (_CUSTOMER,),
    (
        Column("last_order_date", "DATE", "day of the last order; null where all are returns", nullable=True),
        Column("recency_days", "INT", "days from then to the end of the range", nullable=True),
        Column("frequency", "BIGINT", "orders with a line of a piece or more"),
        Column("monetary", MONEY, "spending, less returns"),
        Column("r_score", "INT", "1 to 5 by recency: 5 if at least four fifths of the customers bought less recently"),
        Column("f_score", "INT", "1 to 5 by frequency: 5 if at least four fifths bought less often"),
        Column("m_score", "INT", "1 to 5 by monetary: 5 if at least four fifths spent less"),
        Column("rfm_segment", "VARCHAR(3)", "the three scores"),
        Column("segment", "VARCHAR(50)", "the name that conf/sales.toml gives to these scores"),
    ),
    forgets="row",
)

CLV = Table.of_range(
    "clv",
    "One row per asked range and customer with a line in it: what the customer was worth, and is expected to be.",
    (_CUSTOMER,),
    (
        Column("order_count", "BIGINT", "orders with a line of a piece or more"),
        Column("total_spending", MONEY, "less returns"),
        Column("first_order_date", "DATE", "day of the first order; null where all are returns", nullable=True),
        Column("last_order_date", "DATE", "day of the last order; null where all are returns", nullable=True),
        Column("lifespan_years", "DECIMAL(9,6)", "days between the two / 365.25", nullable=True),
        Column("average_purchase_value", MONEY, "total_spending / order_count", nullable=True),
        Column("orders_per_year", "DECIMAL(18,6)", "order_count / lifespan_years; null for one day", nullable=True),
        Column("repeat_purchases", "INT", "days with an order after the first such day", nullable=True),
        Column("probability_alive", SHARE, "that the customer still buys, at the end of the range", nullable=True),
        Column("expected_purchases", "DECIMAL(18,6)", "days with an order in the next 365 days", nullable=True),
        Column("expected_purchase_value", MONEY, "of each, less returns", nullable=True),
        Column("expected_value", MONEY, "of the next 365 days: the product of the two", nullable=True),
    ),
    forgets="row",
)


def _parameter(name: str, doc: str) -> Column:
    return Column(name, "DOUBLE", doc, nullable=True)


def _holdout(name: str, doc: str) -> Column:
    return Column(f"holdout_{name}", "DECIMAL(18,6)", doc, nullable=True)


CLV_MODEL = Table.of_range(
    "clv_model",
    "One row per asked range: what clv's expectations are made of, and how far off they would have been.",
    (),
    (
        Column("status", "VARCHAR(100)", "fitted, or why there is no expectation"),
        Column("customer_count", "BIGINT", "customers with an order"),
        Column("repeat_customer_count", "BIGINT", "those with orders on more than one day"),
        Column("fitted_customer_count", "BIGINT", "customers that the parameters were fitted to"),
        _parameter("r", "BG/NBD: shape of the rates of purchases a week"),
        _parameter("alpha", "BG/NBD: scale of these rates, weeks"),
        _parameter("a", "BG/NBD: of the chances to leave after a purchase"),
        _parameter("b", "BG/NBD: of the chances to leave after a purchase"),
        _parameter("p", "Gamma-Gamma: shape of the values of a customer's purchases"),
        _parameter("q", "Gamma-Gamma: shape of how their means differ"),
        _parameter("v", "Gamma-Gamma: scale of how their means differ"),
        Column("holdout_start_date", "DATE", "fitted once more without the days from here on", nullable=True),
        Column("holdout_status", "VARCHAR(100)", "fitted to the days before, or why not"),
        Column("holdout_customer_count", "BIGINT", "customers with an order before", nullable=True),
        _holdout("purchases", "days with an order that they had from there on"),
        _holdout("expected_purchases", "those that were expected"),
        _holdout("purchases_error", "mean absolute difference of the two, a customer"),
        _holdout("naive_error", "the same if each had gone on at the rate of before"),
        Column("holdout_value", MONEY, "what they spent from there on, less returns", nullable=True),
        Column("holdout_expected_value", MONEY, "what was expected", nullable=True),
        Column("holdout_value_error", MONEY, "mean absolute difference of the two, a customer", nullable=True),
    ),
)

SALES_SUMMARY = Table.of_range(
    "sales_summary",
    "One row per asked range: its totals, and what the tables of customers and of pairs leave out.",
    (),
    (
        *_SOLD,
        Column("unknown_customer_order_count", "BIGINT", "orders of nobody that is known"),
        Column("unknown_customer_item_count", "BIGINT", "lines of nobody that is known"),
        Column("unknown_customer_sales", MONEY, "net_sales of nobody that is known"),
        Column("no_cohort_customer_count", "BIGINT", "known customers with a line, but with no month of a cohort"),
        Column("no_cohort_sales", MONEY, "net_sales of these"),
        Column("basket_count", "BIGINT", "orders that co_purchase looks at"),
        Column("large_order_count", "BIGINT", "orders of too many products, which it leaves out"),
    ),
)
