"""The dashboard over results of real size: how long a first view and each change of a filter take, in a real Chromium.

    python benchmarks/dashboard.py

Makes the exports of two months of 1,900,000 viewing profiles and of a year of 10,000,000 order items, by DuckDB and
from a fixed seed. Then starts `etl-spark dashboard` on them, opens each page once in a browser that has nothing yet,
and changes one filter after the other. Prints, of each, the seconds until the page stood still, those that the server
was at work in all its threads (CPU), and the bytes that came to the browser. Every total that is shown is compared with
that of the generated rows, by SQL; if one differs, nothing is printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

import duckdb
import psutil

# A script has its own folder on its path, and not the one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.dashboard.browser import Browser, chromium, number, serving

CATEGORIES = ("TV", "Movie", "Child", "Relax", "Sport")
MARCH, APRIL, YEAR = (
    (date(2022, 3, 2), date(2022, 3, 31)),
    (date(2022, 4, 1), date(2022, 4, 30)),
    (date(2023, 1, 1), date(2023, 12, 31)),
)


@dataclass(frozen=True)
class Made:
    """Writes results below `folder`, as runs export them. Everything is drawn by a hash of `seed` and a number."""

    sql: duckdb.DuckDBPyConnection
    folder: Path
    seed: int

    def export(self, table: str, rows: str, by: Sequence[str] = ()) -> None:
        """The rows of a SELECT: one file, or one in a folder for each value of the columns `by`."""
        place = self.folder / "parquet" / table
        place.mkdir(parents=True)
        if not by:
            self.sql.execute(f"COPY ({rows}) TO '{place}/data.parquet' (FORMAT parquet, COMPRESSION snappy)")
            return
        self.sql.execute(
            f"COPY ({rows}) TO '{place}' (FORMAT parquet, COMPRESSION snappy, PARTITION_BY ({', '.join(by)}))"
        )
        for partition in {file.parent for file in place.rglob("*.parquet")}:
            files = sorted(partition.iterdir())
            if len(files) > 1:
                listed = ", ".join(f"'{file}'" for file in files)
                self.sql.execute(
                    f"COPY (FROM read_parquet([{listed}], hive_partitioning = false)) TO '{partition}/one' "
                    "(FORMAT parquet, COMPRESSION snappy)"
                )
                for file in files:
                    file.unlink()
                files = [partition / "one"]
            files[0].rename(partition / "data.parquet")

    def draw(self, number: str, what: int, below: int) -> str:
        """A whole number from 0 to below - 1, for the row `number`."""
        return f"(hash({number}, {what}, {self.seed}) % {below})::BIGINT"

    def viewing(self, contracts: int) -> None:
        """Profiles and trend of two months, with their statistics, summary and audit."""
        for place, (start, end) in enumerate((MARCH, APRIL)):
            some = [self.draw("i", 10 * place + one, 100) for one in range(6)]
            parts = ", ".join(
                f"CASE WHEN {some[one]} < {share} THEN {self.draw('i', 50 + 10 * place + one, most)} ELSE 0 END "
                f"AS {name.lower()}_seconds"
                for one, (name, share, most) in enumerate(
                    zip(CATEGORIES, (95, 25, 8, 3, 2), (900_000, 90_000, 60_000, 20_000, 9_000), strict=True)
                )
            )
            self.sql.execute(
                f"CREATE TABLE profile_{place} AS SELECT DATE '{start}' AS start_date, DATE '{end}' AS end_date, "
                f"printf('HNH%07d', i) AS contract, {parts}, 1 + {self.draw('i', 90 + place, 30)} AS active_days "
                f"FROM range({contracts}) r(i) WHERE {self.draw('i', 95 + place, 100)} < 96"
            )
            sums = [f"{name.lower()}_seconds" for name in CATEGORIES]
            names = ", ".join(f"'{name}'" for name in CATEGORIES)
            self.sql.execute(
                f"CREATE TABLE shown_{place} AS SELECT *, {' + '.join(sums)} AS total_seconds, "
                f"[{names}][list_position([{', '.join(sums)}], greatest({', '.join(sums)}))] AS most_watch, "
                "array_to_string(list_filter(["
                + ", ".join(
                    f"CASE WHEN {column} > 0 THEN '{name}' END" for name, column in zip(CATEGORIES, sums, strict=True)
                )
                + "], lambda one: one IS NOT NULL), '-') AS taste, "
                "round(active_days * 100.0 / 30, 2)::DECIMAL(5,2) AS activeness, "
                "CASE WHEN active_days < 7 THEN 'At Risk' WHEN active_days < 14 THEN 'Need Attention' "
                "WHEN active_days < 21 THEN 'Valuable' ELSE 'Loyal' END AS segment "
                f"FROM profile_{place} WHERE {' + '.join(sums)} > 0"
            )
        self.export("viewing_profile", "FROM shown_0 UNION ALL FROM shown_1", ("start_date", "end_date"))
        self.export(
            "viewing_trend",
            f"SELECT DATE '{APRIL[0]}' AS start_date, DATE '{APRIL[1]}' AS end_date, "
            "coalesce(a.contract, b.contract) AS contract, a.most_watch, a.total_seconds, "
            "b.most_watch AS previous_most_watch, b.total_seconds AS previous_total_seconds, "
            "30 AS previous_days_found, CASE WHEN b.contract IS NULL THEN 'New' WHEN a.contract IS NULL THEN 'Lost' "
            "WHEN a.most_watch = b.most_watch THEN 'Unchanged' ELSE 'Changed' END AS change "
            "FROM shown_1 a FULL JOIN shown_0 b ON a.contract = b.contract",
            ("start_date", "end_date"),
        )
        averages = "SELECT start_date, end_date, segment, count(*) AS contract_count, sum(total_seconds)::BIGINT "
        averages += "AS total_seconds, " + ", ".join(
            f"round(sum(total_seconds) / {by}, 2)::DECIMAL(18,2) AS avg_seconds_per_{name}"
            for name, by in (
                ("person_month", "count(*)"),
                ("person_week", "(count(*) * 4)"),
                ("person_day", "(count(*) * 28)"),
                ("active_day", "sum(active_days)"),
            )
        )
        self.export(
            "viewing_summary",
            f"{averages}, 30 AS days_asked, 30 AS days_found FROM (FROM shown_1 UNION ALL "
            "SELECT * REPLACE ('All' AS segment) FROM shown_1) GROUP BY ALL",
            ("start_date", "end_date"),
        )
        days = f"(SELECT DATE '{APRIL[0]}' + n::INT AS day, n FROM range(30) r(n))"
        kinds = ", ".join(f"('{name}', {10**6 // 10**place})" for place, name in enumerate(("All", *CATEGORIES)))
        self.export(
            "viewing_statistics",
            f"SELECT day AS log_date, k AS category, v + {self.draw('n', 7, 1000)} AS viewer_count, "
            f"((v + 1000)::BIGINT * 14000) AS total_seconds FROM {days}, (VALUES {kinds}) c(k, v)",
            ("log_date",),
        )
        self.export("load_audit", f"{_audited('viewing', 'viewing_logs', days)}", ("pipeline",))

    def sales(self, items: int) -> None:
        """The star of a year, its roll-ups and its tables of customers."""
        customers, products, orders = max(items // 50, 100), 2_000, max(items // 3, 100)
        self.export(
            "dim_product",
            f"SELECT i AS product_key, printf('P%05d', i) AS product_id, printf('Product %d', i) AS product_name, "
            f"['Electronics', 'Kitchen', 'Outdoor', 'Garden', 'Sport', 'Home', 'Toys', 'Books'][1 + i % 8] AS category "
            f"FROM range({products}) r(i)",
        )
        self.export(
            "dim_customer",
            "SELECT i AS customer_key, printf('C%06d', i) AS customer_id, printf('Customer %d', i) AS name, "
            "['United States', 'Germany', 'Poland', 'Japan', 'Brazil', 'Spain', 'France', 'Greece', 'Vietnam', "
            "'United Kingdom', 'Italy', 'India', 'Kenya', 'Chile', 'Canada', 'Norway', 'Turkey', 'Egypt', 'Peru', "
            f"'Cuba'][1 + i % 20] AS country FROM range({customers}) r(i)",
        )
        order = f"(i // 3 % {orders})"
        self.sql.execute(
            f"CREATE TABLE lines AS SELECT DATE '{YEAR[0]}' + ({order} * 365 // {orders})::INT AS order_date, "
            f"i AS sales_key, printf('O%09d-%d', {order}, i % 3) AS order_item_id, "
            f"printf('O%09d', {order}) AS order_id, "
            f"{self.draw(order, 1, customers)} AS customer_key, "
            f"{self.draw('i', 2, products)} AS product_key, "
            f"(CASE WHEN {self.draw('i', 3, 100)} < 2 THEN -1 ELSE 1 + {self.draw('i', 4, 4)} END)::INT "
            "AS quantity_sold, "
            f"(5 + {self.draw('i', 5, 20_000)} / 100)::DECIMAL(18,4) AS price_per_item FROM range({items}) r(i)"
        )
        self.sql.execute(
            "CREATE TABLE fact AS SELECT *, (quantity_sold * price_per_item)::DECIMAL(18,4) AS line_item_total, "
            "quantity_sold < 0 AS is_return FROM lines"
        )
        self.sql.execute("DROP TABLE lines")
        self.export("fact_sales", "FROM fact ORDER BY order_date, order_item_id", ("order_date",))
        sold = (
            "count(DISTINCT order_id) FILTER (quantity_sold > 0) AS order_count, "
            "count(DISTINCT customer_key) FILTER (quantity_sold > 0) AS customer_count, count(*) AS item_count, "
            "sum(quantity_sold)::BIGINT AS quantity_sold, "
            "sum(CASE WHEN is_return THEN 0 ELSE line_item_total END)::DECIMAL(18,4) AS gross_sales, "
            "sum(CASE WHEN is_return THEN line_item_total ELSE 0 END)::DECIMAL(18,4) AS returns, "
            "sum(line_item_total)::DECIMAL(18,4) AS net_sales"
        )
        of_year = f"SELECT DATE '{YEAR[0]}' AS start_date, DATE '{YEAR[1]}' AS end_date"
        star = "fact JOIN (FROM '{0}/dim_product/data.parquet') USING (product_key) JOIN (FROM "
        star += "'{0}/dim_customer/data.parquet') USING (customer_key)"
        star = star.format(self.folder / "parquet")
        for table, column in (
            ("sales_by_day", "order_date"),
            ("sales_by_category", "category"),
            ("sales_by_country", "country"),
            ("sales_by_product", "product_key"),
        ):
            self.export(table, f"{of_year}, {column}, {sold} FROM {star} GROUP BY ALL", ("start_date", "end_date"))
        self.export("sales_summary", f"{of_year}, {sold} FROM fact", ("start_date", "end_date"))
        self.sql.execute(
            "CREATE TABLE customer AS SELECT customer_key, count(DISTINCT order_id) AS orders, "
            "sum(line_item_total) AS spent, max(order_date) AS last_day FROM fact GROUP BY ALL"
        )
        scores = ", ".join(
            f"1 + {self.draw('customer_key', 20 + one, 5)} AS {name}_score" for one, name in enumerate("rfm")
        )
        self.export(
            "rfm",
            f"{of_year}, customer_key, last_day AS last_order_date, spent::DECIMAL(18,4) AS monetary, {scores}, "
            f"['Loyal', 'At Risk', 'Champions', 'Hibernating'][1 + {self.draw('customer_key', 20, 4)}] AS segment "
            "FROM customer",
            ("start_date", "end_date"),
        )
        self.export(
            "clv",
            f"{of_year}, customer_key, orders AS order_count, spent::DECIMAL(18,4) AS total_spending, "
            "0.9::DECIMAL(9,8) AS probability_alive, orders::DECIMAL(18,6) AS expected_purchases, "
            f"(spent * (50 + {self.draw('customer_key', 30, 100)}) / 100)::DECIMAL(18,4) AS expected_value "
            "FROM customer",
            ("start_date", "end_date"),
        )
        self.export(
            "clv_model",
            f"{of_year}, 'fitted' AS status, NULL::DATE AS holdout_start_date, 1.0 AS holdout_purchases, "
            "1.0 AS holdout_expected_purchases, 1.0 AS holdout_value, 1.0 AS holdout_expected_value",
            ("start_date", "end_date"),
        )
        self.export(
            "cohort",
            f"{of_year}, DATE '2022-01-01' + INTERVAL (c) MONTH AS cohort_month, m - c + 12 AS month_index, "
            f"5000 AS customers, {self.draw('c * 40 + m', 40, 5000)} AS active_customers, "
            f"({self.draw('c * 40 + m', 40, 5000)} / 5000)::DECIMAL(9,8) AS retention, "
            "1000.0::DECIMAL(18,4) AS total_spending, 1.0::DECIMAL(18,4) AS cumulative_spending_per_customer "
            "FROM range(24) a(c), range(12) b(m) WHERE m - c + 12 >= 0",
            ("start_date", "end_date"),
        )
        self.export(
            "co_purchase",
            f"{of_year}, i AS product_key_1, i + 1 AS product_key_2, {self.draw('i', 60, 9000)} AS order_count, "
            "0.1::DECIMAL(9,8) AS support, 0.2::DECIMAL(9,8) AS confidence_1_to_2, "
            f"0.2::DECIMAL(9,8) AS confidence_2_to_1, 2.0::DECIMAL(18,6) AS lift FROM range({products - 1}) r(i)",
            ("start_date", "end_date"),
        )


def _audited(pipeline: str, table: str, days: str) -> str:
    return (
        f"SELECT '{pipeline}' AS pipeline, '{table}' AS source_table, day AS date, strftime(day, '%Y%m%d') AS file, "
        "'All' AS reason, now()::TIMESTAMP AS modified_at, 1600000 AS rows_in, 1500000 AS rows_accepted, "
        "100000 AS rows_rejected, 0 AS rows_flagged, 0 AS rows_outside, 3 AS seconds_in, 2 AS seconds_accepted, "
        "1 AS seconds_rejected, NULL::INT AS money_in, NULL::INT AS money_accepted, NULL::INT AS money_rejected, "
        f"'{pipeline}-20220501T020304Z-0a1b2c' AS run_id FROM {days}"
    )


@dataclass(frozen=True)
class Timed:
    """What was done, seconds until the page stood still, CPU seconds of the server, bytes to the browser."""

    page: str
    what: str
    wall: float
    cpu: float
    sent: int


class Visit:
    """Looks at the pages, and notes what each step took."""

    def __init__(self, browser: Browser, server: psutil.Process) -> None:
        self.browser, self._server = browser, server
        self.timed: list[Timed] = []

    def step(self, page: str, what: str, act: Callable[[], float]) -> None:
        self.browser.received()
        before = self._server.cpu_times()
        wall = act()
        after = self._server.cpu_times()
        cpu = after.user + after.system - before.user - before.system
        self.timed.append(Timed(page, what, wall, cpu, self.browser.received()))

    def choose(self, page: str, key: str, option: str) -> None:
        self.browser.find_option(key, option)
        self.step(page, f"{key}: {option}", lambda: self.browser.choose(key, option))


def visit(visit: Visit, sql: duckdb.DuckDBPyConnection) -> None:
    """Each page, and each of its filters, all for the first time. Fails where a total is not that of the rows."""
    browser = visit.browser

    def is_shown(card: str, query: str) -> None:
        (expected,) = sql.execute(query).fetchone() or (None,)
        found = browser.metrics()[card]
        assert expected is not None
        shown = number(found) * (10**6 if found.endswith("M") else 10**9 if found.endswith("bn") else 1)
        assert abs(shown - float(expected)) <= abs(float(expected)) * 0.005 + 1, (card, found, expected)

    visit.step("Viewing overview", "first view, the first of all", lambda: browser.open("viewing"))
    is_shown("Users", "SELECT count(*) FROM shown_1")
    visit.choose("Viewing overview", "by_day", "Movie")
    visit.step("Viewing detail", "first view", lambda: browser.go("viewing_detail"))
    is_shown("Users", "SELECT count(*) FROM shown_1")
    visit.choose("Viewing detail", "segment", "Loyal")
    is_shown("Users", "SELECT count(*) FROM shown_1 WHERE segment = 'Loyal'")
    visit.choose("Viewing detail", "category", "Movie")
    is_shown("Users", "SELECT count(*) FROM shown_1 WHERE segment = 'Loyal' AND most_watch = 'Movie'")
    visit.choose("Viewing detail", "taste", "TV-Movie")
    contract = sql.execute("SELECT max(contract) FROM shown_1").fetchone()
    visit.step("Viewing detail", "one contract", lambda: browser.type("contract", str(contract and contract[0])))
    visit.step("Sales", "first view", lambda: browser.go("sales"))
    is_shown("Net sales", "SELECT sum(line_item_total) FROM fact")
    visit.step("Sales", "days from 1 March", lambda: browser.set_day("days", "start", {"month": "03"}))
    is_shown("Net sales", "SELECT sum(line_item_total) FROM fact WHERE order_date >= '2023-03-01'")
    is_shown(
        "Orders", "SELECT count(DISTINCT order_id) FROM fact WHERE order_date >= '2023-03-01' AND quantity_sold > 0"
    )
    visit.choose("Sales", "category", "Kitchen")
    is_shown(
        "Net sales", "SELECT sum(line_item_total) FROM fact WHERE order_date >= '2023-03-01' AND product_key % 8 = 1"
    )
    visit.choose("Sales", "country", "Japan")
    is_shown(
        "Net sales",
        "SELECT sum(line_item_total) FROM fact WHERE order_date >= '2023-03-01' "
        "AND product_key % 8 = 1 AND customer_key % 20 = 3",
    )
    visit.step("Sales", "top N: 12", lambda: browser.slide("top", 2))
    visit.step(
        "Customers and baskets",
        "first view",
        lambda: browser.go("customers"),
    )
    for tab in ("RFM", "Lifetime value", "Bought together"):
        visit.step("Customers and baskets", f"tab: {tab}", lambda tab=tab: browser.press("[role=tab]", tab))  # type: ignore[misc]
    visit.step("Data quality", "first view", lambda: browser.go("quality"))
    visit.step("Viewing overview", "opened again, of known results", lambda: browser.open("viewing"))
    assert not browser.complaints()


def rows_of(timed: Sequence[Timed]) -> Iterator[str]:
    yield "| page | step | s | server CPU s | kB to the browser |"
    yield "|---|---|---:|---:|---:|"
    for one in timed:
        yield f"| {one.page} | {one.what} | {one.wall:.2f} | {one.cpu:.2f} | {one.sent / 1_000:,.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contracts", type=int, default=1_980_000, help="of which 96 %% watched in a month")
    parser.add_argument("--items", type=int, default=10_000_000, help="order items of the year")
    parser.add_argument("--seed", type=int, default=2022)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="etl_spark-dashboard-") as work, duckdb.connect() as sql:
        folder = Path(work)
        made = Made(sql, folder / "output", options.seed)
        sql.execute("SET threads = 2")
        began = time.monotonic()
        made.viewing(options.contracts)
        made.sales(options.items)
        size = sum(file.stat().st_size for file in (folder / "output").rglob("*.parquet"))
        print(f"made {size / 10**6:,.0f} MB in {time.monotonic() - began:,.0f} s", file=sys.stderr)
        with (
            serving(["--results", str(folder / "output")], folder / "log") as served,
            chromium(folder, performance=True) as driver,
        ):
            one = Visit(Browser(driver, served.address), psutil.Process(served.process_id))
            visit(one, sql)
        packages = ", ".join(f"{name} {version(name)}" for name in ("streamlit", "plotly", "duckdb"))
        print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {packages}\n")
        print("\n".join(rows_of(one.timed)))


if __name__ == "__main__":
    main()
