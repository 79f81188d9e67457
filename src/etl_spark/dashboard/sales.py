"""What is shown of the sales job: sales of chosen days, categories and countries; customers and baskets of a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from etl_spark.core.dates import DateRange
from etl_spark.dashboard import charts
from etl_spark.dashboard.queries import UNKNOWN, Condition, between, of_range, select, within
from etl_spark.dashboard.results import Query, Row, Rows
from etl_spark.dashboard.shown import (
    Chart,
    Figure,
    Read,
    Section,
    Sheet,
    count,
    decimal,
    exactly,
    money,
    percent,
    ratio,
    sentence,
)

DEFINITIONS: Mapping[str, str] = {
    "Net sales": "line totals less returns, in the currency of the source",
    "Gross sales": "line totals that are no return",
    "Returns": "line totals of negative quantities; the share is of gross sales",
    "Orders": "orders with a line of a piece or more",
    "Customers": "customers with such an order, without those nobody knows",
    "Net sales / order": "net sales / orders",
    "Pieces": "pieces sold less pieces returned",
    "Cohort": "the customers who registered, or bought first, in a month; retention is the share of them who bought",
    "RFM": "scores of 1 to 5, 5 is best: R by the days since the last order, F by the number of orders, M by spending; "
    "segments are named by R and F",
    "Lift": "how many times as often two products are bought together as if they had nothing to do with each other",
    "Expected value": "spending expected in the next 365 days (BG/NBD for the purchases, Gamma-Gamma for their value)",
}


@dataclass(frozen=True)
class Filters:
    """Which sales of the range `asked` are meant: of `days`, categories of products, countries of customers.

    Empty is any.
    """

    asked: DateRange
    days: DateRange
    categories: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is filtered: then the roll-ups of the run have it all."""
        return self.days == self.asked and not self.categories and not self.countries

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Of fact_sales, as f."""
        return (between("f.order_date", self.days), *_products(self.categories), *_customers(self.countries, "f"))


def _products(categories: Sequence[str]) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            f"f.product_key IN (SELECT p.product_key FROM dim_product p WHERE {one.sql})",
            one.parameters,
        )
        for one in within(f"COALESCE(p.category, '{UNKNOWN}')", "category", categories)
    )


def _customers(countries: Sequence[str], table: str) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            f"{table}.customer_key IN (SELECT c.customer_key FROM dim_customer c WHERE {one.sql})",
            one.parameters,
        )
        for one in within(f"COALESCE(c.country, '{UNKNOWN}')", "country", countries)
    )


def choices(table: str, column: str, asked: DateRange) -> Query:
    """The categories or countries that sold anything in the range, the best first."""
    assert (table, column) in (("sales_by_category", "category"), ("sales_by_country", "country"))
    return select(f"SELECT r.{column} AS choice FROM {table} r", [of_range(asked, "r")], "ORDER BY r.net_sales DESC")


_SUMS = (
    "SUM(f.line_item_total) AS net_sales, "
    "SUM(CASE WHEN f.is_return THEN 0 ELSE f.line_item_total END) AS gross_sales, "
    "SUM(CASE WHEN f.is_return THEN f.line_item_total ELSE 0 END) AS returns, "
    "SUM(f.quantity_sold) AS quantity_sold, COUNT(*) AS item_count"
)
MOST_PRODUCTS = 30


def by_day(filters: Filters) -> Query:
    """Sums, lines and orders of each day. An order is of one day, so that orders add up."""
    if not filters.categories and not filters.countries:
        return select(
            "SELECT r.order_date AS day, r.net_sales, r.gross_sales, r.returns, r.quantity_sold, r.item_count, "
            "r.order_count FROM sales_by_day r",
            [of_range(filters.asked, "r"), between("r.order_date", filters.days)],
            "ORDER BY r.order_date",
        )
    return select(
        f"SELECT f.order_date AS day, {_SUMS}, "
        "COUNT(DISTINCT CASE WHEN f.quantity_sold > 0 THEN f.order_id END) AS order_count FROM fact_sales f",
        filters.conditions,
        "GROUP BY f.order_date ORDER BY f.order_date",
    )


def by_country(filters: Filters) -> Query:
    """Net sales and customers by country, the most first. A customer is of one country, so that customers add up."""
    if filters.is_whole:
        return select(
            "SELECT r.country, r.net_sales, r.customer_count FROM sales_by_country r",
            [of_range(filters.asked, "r")],
            "ORDER BY r.net_sales DESC, r.country",
        )
    # Summed by key first: names are looked up for each customer, and not for each line.
    lines = select(
        "SELECT f.customer_key AS customer_key, SUM(f.line_item_total) AS net_sales, "
        "MAX(CASE WHEN f.quantity_sold > 0 AND f.customer_key <> -1 THEN 1 ELSE 0 END) AS has_bought FROM fact_sales f",
        filters.conditions,
        "GROUP BY f.customer_key",
    )
    return Query(
        f"SELECT COALESCE(d.country, '{UNKNOWN}') AS country, SUM(s.net_sales) AS net_sales, "
        f"SUM(s.has_bought) AS customer_count FROM ({lines.sql}) s "
        "LEFT JOIN dim_customer d ON d.customer_key = s.customer_key "
        f"GROUP BY COALESCE(d.country, '{UNKNOWN}') ORDER BY SUM(s.net_sales) DESC, country",
        lines.parameters,
    )


def by_product(filters: Filters) -> Query:
    """The best products, and of each category the best one at least, with the net sales of the whole category."""
    if filters.is_whole:
        lines = select(
            "SELECT r.product_key AS product_key, r.net_sales AS net_sales FROM sales_by_product r",
            [of_range(filters.asked, "r")],
        )
    else:
        lines = select(
            "SELECT f.product_key AS product_key, SUM(f.line_item_total) AS net_sales FROM fact_sales f",
            filters.conditions,
            "GROUP BY f.product_key",
        )
    category = f"COALESCE(d.category, '{UNKNOWN}')"
    return Query(
        "SELECT b.product, b.category, b.net_sales, b.category_sales, b.place, b.place_in_category FROM ("
        f"SELECT COALESCE(d.product_name, d.product_id, '{UNKNOWN}') AS product, {category} AS category, s.net_sales, "
        f"SUM(s.net_sales) OVER (PARTITION BY {category}) AS category_sales, "
        "ROW_NUMBER() OVER (ORDER BY s.net_sales DESC, s.product_key) AS place, "
        f"ROW_NUMBER() OVER (PARTITION BY {category} ORDER BY s.net_sales DESC, s.product_key) AS place_in_category "
        f"FROM ({lines.sql}) s LEFT JOIN dim_product d ON d.product_key = s.product_key) b "
        "WHERE b.place <= :most OR b.place_in_category = 1 ORDER BY b.place",
        {**lines.parameters, "most": MOST_PRODUCTS},
    )


def cohorts(asked: DateRange) -> Query:
    """The months of all cohorts."""
    return select(
        "SELECT h.cohort_month, h.month_index, h.customers, h.active_customers, h.retention, h.total_spending, "
        "h.cumulative_spending_per_customer FROM cohort h",
        [of_range(asked, "h")],
        "ORDER BY h.cohort_month, h.month_index",
    )


def rfm_map(asked: DateRange, countries: Sequence[str]) -> Query:
    """Customers and spending by the scores of recency and frequency, with the segment's name."""
    return select(
        "SELECT r.r_score, r.f_score, r.segment, COUNT(*) AS customers, SUM(r.monetary) AS monetary FROM rfm r",
        [of_range(asked, "r"), *_customers(countries, "r")],
        "GROUP BY r.r_score, r.f_score, r.segment ORDER BY r.r_score, r.f_score, r.segment",
    )


EDGES = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
"""The bounds of the bins of expected values."""
_BIN = "CASE " + " ".join(f"WHEN v.expected_value < {edge} THEN {place}" for place, edge in enumerate(EDGES))


def lifetime_bins(asked: DateRange, countries: Sequence[str]) -> Query:
    """Customers by the bin of their expected value; of those without one, the bin is null."""
    bin_sql = f"CASE WHEN v.expected_value IS NULL THEN NULL ELSE {_BIN} ELSE {len(EDGES)} END END"
    return select(
        f"SELECT {bin_sql} AS place, COUNT(*) AS customers, SUM(v.expected_value) AS expected_value, "
        "SUM(v.total_spending) AS total_spending FROM clv v",
        [of_range(asked, "v"), *_customers(countries, "v")],
        f"GROUP BY {bin_sql}",
    )


def lifetime_top(asked: DateRange, countries: Sequence[str], most: int) -> Query:
    """The customers of whom most is expected."""
    return select(
        "SELECT d.customer_id, d.name, d.country, v.order_count, v.total_spending, v.probability_alive, "
        "v.expected_purchases, v.expected_value FROM clv v JOIN dim_customer d ON d.customer_key = v.customer_key",
        [
            of_range(asked, "v"),
            Condition("v.expected_value IS NOT NULL"),
            *within(f"COALESCE(d.country, '{UNKNOWN}')", "country", countries),
        ],
        "ORDER BY v.expected_value DESC, d.customer_id LIMIT :most",
        most=most,
    )


def lifetime_model(asked: DateRange) -> Query:
    """How good the expectations are."""
    return select(
        "SELECT m.status, m.holdout_start_date, m.holdout_purchases, m.holdout_expected_purchases, m.holdout_value, "
        "m.holdout_expected_value FROM clv_model m",
        [of_range(asked, "m")],
    )


def pairs(asked: DateRange, categories: Sequence[str], most: int) -> Query:
    """The pairs of products that most orders have; of `categories`, those of which a product is of one of them."""
    one, other = (
        within(f"COALESCE({table}.category, '{UNKNOWN}')", f"category_{table}", categories) for table in ("a", "b")
    )
    either = (
        (Condition(f"({one[0].sql} OR {other[0].sql})", {**one[0].parameters, **other[0].parameters}),)
        if categories
        else ()
    )
    return select(
        f"SELECT COALESCE(a.product_name, a.product_id, '{UNKNOWN}') AS product_1, "
        f"COALESCE(b.product_name, b.product_id, '{UNKNOWN}') AS product_2, q.order_count, q.support, "
        "q.confidence_1_to_2, q.confidence_2_to_1, q.lift FROM co_purchase q "
        "JOIN dim_product a ON a.product_key = q.product_key_1 "
        "JOIN dim_product b ON b.product_key = q.product_key_2",
        [of_range(asked, "q"), *either],
        "ORDER BY q.order_count DESC, q.lift DESC, q.product_key_1, q.product_key_2 LIMIT :most",
        most=most,
    )


def figures(row: Row) -> tuple[Figure, ...]:
    """Of the totals of what was sold."""
    share = ratio(-row["returns"], row["gross_sales"])
    each = ratio(row["net_sales"], row["order_count"])
    return (
        Figure("Net sales", money(row["net_sales"]), DEFINITIONS["Net sales"], exactly(row["net_sales"])),
        Figure("Gross sales", money(row["gross_sales"]), DEFINITIONS["Gross sales"], exactly(row["gross_sales"])),
        Figure(
            "Returns",
            money(row["returns"]),
            DEFINITIONS["Returns"],
            f"{exactly(row['returns'])}, {percent(share)} of gross sales",
        ),
        Figure("Orders", count(row["order_count"]), DEFINITIONS["Orders"], exactly(row["order_count"])),
        Figure("Customers", count(row["customer_count"]), DEFINITIONS["Customers"], exactly(row["customer_count"])),
        Figure("Net sales / order", money(each), DEFINITIONS["Net sales / order"]),
        Figure("Pieces", count(row["quantity_sold"]), DEFINITIONS["Pieces"], exactly(row["quantity_sold"])),
    )


def shop(read: Read, filters: Filters, top: int) -> Section:
    """The sales that are meant: figures, over time, by category and country, and the best products (30 at most)."""
    days = read(by_day(filters))
    total: dict[str, Any] = {
        name: sum(row[name] for row in days)
        for name in ("net_sales", "gross_sales", "returns", "quantity_sold", "item_count", "order_count")
    }
    if not total["item_count"]:
        return Section("Sales")
    countries = read(by_country(filters))
    products = read(by_product(filters))
    categories = [
        {"category": row["category"], "net_sales": row["category_sales"]}
        for row in sorted(products, key=lambda row: (-row["category_sales"], row["category"]))
        if row["place_in_category"] == 1
    ]
    best = [row for row in products if row["place"] <= top]
    return Section(
        "Sales",
        figures(total | {"customer_count": sum(row["customer_count"] for row in countries)}),
        (
            Chart(
                "Net sales by day",
                charts.lines(
                    {"Net sales": charts.series(days, "day", "net_sales")},
                    x="Day",
                    y="Net sales",
                ),
            ),
            Chart(
                "Net sales by category",
                charts.bars(categories, "category", "net_sales", x="Net sales", y="Category"),
            ),
            Chart(
                "Net sales by country",
                charts.bars(countries[:25], "country", "net_sales", x="Net sales", y="Country of the customer"),
                f"The first 25 of {len(countries)}." if len(countries) > 25 else "",
            ),
            Chart(
                f"Top {len(best)} products",
                charts.bars(best, "product", "net_sales", x="Net sales", y="Product", one_colour=charts.GREEN),
            ),
        ),
    )


SPENDING = {
    "Retention": ("retention", "Customers who bought, %"),
    "Spending": ("total_spending", "Net sales"),
    "Spending per customer so far": ("cumulative_spending_per_customer", "Net sales per customer"),
}
"""What a cohort can be shaded by: the column, and the title of the scale."""
_MOST_COHORTS = 24


def cohort_chart(rows: Rows, measure: str) -> Chart:
    """The newest cohorts (down) in each month (across)."""
    column, scale = SPENDING[measure]
    months = sorted({row["cohort_month"] for row in rows})[-_MOST_COHORTS:]
    kept = [row for row in rows if row["cohort_month"] in set(months)]
    bought = sorted({_month_after(row["cohort_month"], row["month_index"]) for row in kept})
    values: dict[tuple[str, str], Any] = {}
    hover: dict[tuple[str, str], str] = {}
    shown: dict[tuple[str, str], str] = {}
    for row in kept:
        place = f"{row['cohort_month']:%Y-%m}", f"{_month_after(row['cohort_month'], row['month_index']):%Y-%m}"
        value = row[column] * 100 if column == "retention" else row[column]
        values[place] = value
        shown[place] = f"{value:.0f}" if column == "retention" else charts.short(float(value))
        hover[place] = (
            f"Cohort {place[0]} in {place[1]} (month {row['month_index']}): {row['active_customers']:,} of "
            f"{row['customers']:,} customers bought, {percent(row['retention'])}; {money(row['total_spending'])} spent"
        )
    return Chart(
        f"Cohorts: {measure.lower()}",
        charts.heat_map(
            [f"{one:%Y-%m}" for one in bought],
            [f"{one:%Y-%m}" for one in months],
            values,
            x="Month of the orders",
            y="Month of the cohort",
            scale=scale,
            shown=shown,
            hover=hover,
        ),
        f"{sentence(DEFINITIONS['Cohort'])} The newest {len(months)} cohorts of "
        f"{len({row['cohort_month'] for row in rows})}.",
    )


def _month_after(month: date, index: int) -> date:
    place = month.year * 12 + month.month - 1 + index
    return date(place // 12, place % 12 + 1, 1)


def rfm_chart(rows: Rows) -> tuple[Chart, Chart]:
    """The map of recency and frequency with its named fields, and the segments by size."""
    scores = ("5", "4", "3", "2", "1")
    customers: dict[tuple[str, str], int] = {}
    named: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        place = str(row["r_score"]), str(row["f_score"])
        customers[place] = customers.get(place, 0) + row["customers"]
        named.setdefault(place, []).append(row)
    hover = {
        place: "; ".join(f"{row['segment']}: {row['customers']:,} customers, {money(row['monetary'])}" for row in some)
        for place, some in named.items()
    }
    names = {place: max(some, key=lambda row: row["customers"])["segment"] for place, some in named.items()}
    sizes: dict[str, dict[str, Any]] = {}
    for row in rows:
        size = sizes.setdefault(row["segment"], {"segment": row["segment"], "customers": 0, "monetary": Decimal(0)})
        size["customers"] += row["customers"]
        size["monetary"] += row["monetary"]
    ordered = sorted(sizes.values(), key=lambda one: (-one["customers"], one["segment"]))
    return (
        Chart(
            "RFM map: customers by recency and frequency",
            charts.heat_map(
                ("1", "2", "3", "4", "5"),
                scores,
                customers,
                x="F: orders, 5 is the most",
                y="R: last order, 5 is the most recent",
                scale="Customers",
                shown={place: names[place].replace(" ", "\n") for place in names},
                hover=hover,
                height=400,
            ),
            sentence(DEFINITIONS["RFM"]),
        ),
        Chart(
            "Customers by RFM segment",
            charts.bars(ordered, "segment", "customers", x="Customers", y="Segment", unit="customers"),
        ),
    )


def lifetime(read: Read, asked: DateRange, countries: Sequence[str], top: int) -> Section:
    """What customers are expected to be worth in the next year."""
    rows = read(lifetime_bins(asked, countries))
    known = {row["place"]: row for row in rows if row["place"] is not None}
    (model,) = read(lifetime_model(asked)) or ({"status": "not fitted", "holdout_start_date": None},)
    customers = sum(row["customers"] for row in known.values())
    expected = sum((row["expected_value"] for row in known.values()), Decimal(0))
    spent = sum((row["total_spending"] for row in rows), Decimal(0))
    figures_ = (
        Figure("Spent so far", money(spent), "by these customers in the range, less returns", exactly(spent)),
        Figure("Expected in 365 days", money(expected), DEFINITIONS["Expected value"], exactly(expected)),
        Figure("Expected / customer", money(ratio(expected, customers)), "expected value / customers"),
        Figure("Customers", count(customers), "customers with an expectation", exactly(customers)),
    )
    if not known:
        note = f"Nothing is expected of anybody: {model['status']}."
        return Section("Lifetime value", figures_[:1], note=note)
    first, last = min(known), max(known)
    bins = [(_bin_label(place), known.get(place, {"customers": 0})["customers"]) for place in range(first, last + 1)]
    note = f"Model: {model['status']}."
    if model["holdout_start_date"]:
        note += (
            f" Fitted without the days from {model['holdout_start_date']} on, it expected "
            f"{decimal(model['holdout_expected_purchases'], 0)} purchases of them where there were "
            f"{decimal(model['holdout_purchases'], 0)}, and {money(model['holdout_expected_value'])} where "
            f"{money(model['holdout_value'])} were spent."
        )
    return Section(
        "Lifetime value",
        figures_,
        (
            Chart(
                "Customers by expected value",
                charts.histogram(bins, x="Expected spending in the next 365 days", y="Customers", unit="customers"),
            ),
        ),
        (
            Sheet(
                f"The {top} customers of whom most is expected",
                {
                    "customer_id": ("Customer", "text"),
                    "name": ("Name", "text"),
                    "country": ("Country", "text"),
                    "order_count": ("Orders", "count"),
                    "total_spending": ("Spent", "money"),
                    "probability_alive": ("Still buys", "percent"),
                    "expected_value": ("Expected", "money"),
                },
                read(lifetime_top(asked, countries, top)),
            ),
        ),
        note,
    )


def _bin_label(place: int) -> str:
    if place == 0:
        return f"below {EDGES[0]}"
    if place == len(EDGES):
        return f"{EDGES[-1]:,} and more"
    return f"{_thousands(EDGES[place - 1])} – {_thousands(EDGES[place])}"  # noqa: RUF001


def _thousands(number: int) -> str:
    return f"{number // 1_000}k" if number >= 1_000 else str(number)


def baskets(rows: Rows) -> Section:
    """What is bought together."""
    title = "Frequently bought together"
    if not rows:
        return Section(title, note="No pair of products is in enough orders.")
    told = [{**row, "pair": f"{row['product_1']} + {row['product_2']}"} for row in rows]
    return Section(
        title,
        charts=(
            Chart(
                "Orders with both products",
                charts.bars(told, "pair", "order_count", x="Orders", y="Pair of products", unit="orders", longest=48),
            ),
        ),
        sheets=(
            Sheet(
                "The pairs in numbers",
                {
                    "product_1": ("Product", "text"),
                    "product_2": ("Bought with", "text"),
                    "order_count": ("Orders", "count"),
                    "support": ("Of all orders", "percent"),
                    "confidence_1_to_2": ("Of orders with the first", "percent"),
                    "confidence_2_to_1": ("Of orders with the second", "percent"),
                    "lift": ("Lift", "decimal"),
                },
                rows,
            ),
        ),
        note=sentence(f"Lift is {DEFINITIONS['Lift']}"),
    )
