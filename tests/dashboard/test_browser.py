"""A real Chromium drives every page on the sample, over the files and over MariaDB: each filter, and what is shown.

What it shows is compared with SQL of the committed tables.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psutil
import pytest
from selenium import webdriver

from etl_spark.pipelines.forecast.tables import DEMAND_FORECAST, REPLENISHMENT
from tests.committed import golden
from tests.dashboard.browser import Browser, chromium, number, serving
from tests.dashboard.demand import MADE_UP, PRODUCTS
from tests.dashboard.sample import Sample
from tests.databases import Server

pytestmark = pytest.mark.default_spark

PAGES = ("viewing", "viewing_detail", "sales", "customers", "rental", "churn", "forecast", "quality", "definitions")


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def driver(downloads: Path) -> Iterator[webdriver.Chrome]:
    with chromium(downloads) as driver:
        yield driver


@pytest.fixture(scope="module")
def files(sample: Sample, driver: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    log = tmp_path_factory.mktemp("served") / "log"
    with serving(["--results", str(sample.folder)], log) as served:
        yield Browser(driver, served.address)
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def server(
    mariadb: str,
    databases: dict[str, Server],
    driver: webdriver.Chrome,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Browser]:
    log = tmp_path_factory.mktemp("served") / "log"
    with serving(["--url", mariadb], log, databases["mariadb"].login("mysql")) as served:
        yield Browser(driver, served.address)
    said = log.read_text()
    assert "Traceback" not in said
    assert databases["mariadb"].password not in said


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """Over the files, or what a test says. Whatever it does, nothing may be in the console and no box of a trace."""
    found: Browser = request.getfixturevalue(getattr(request, "param", "files"))
    found.complaints()
    yield found
    assert found.complaints() == []


over_both = pytest.mark.parametrize("browser", ["files", "server"], indirect=True)
"""What MariaDB answers to every question is compared in test_results: here the pages and the fact table are enough."""


def asked(sql: str) -> tuple[float, ...]:
    """The only row of what DuckDB says of the committed tables."""
    folders = {job: str(golden(job)) for job in ("viewing", "sales", "rental")}
    (row,) = duckdb.sql(sql.format(**folders)).fetchall()
    return tuple(float(value) for value in row)


FACTS = (
    "'{sales}/fact_sales.csv' JOIN '{sales}/dim_product.csv' p USING (product_key) "
    "JOIN '{sales}/dim_customer.csv' c USING (customer_key)"
)


@over_both
def test_every_page_is_shown_at_its_address(browser: Browser) -> None:
    browser.open("")
    assert browser.driver.current_url.startswith(f"{browser.address}/viewing"), "the first subject with results"
    for page in PAGES:
        browser.go(page)
        assert browser.driver.current_url.startswith(f"{browser.address}/{page}")
        assert "could not be shown" not in browser.text()
        assert browser.metrics() or page in ("customers", "definitions")
    assert browser.title() == "Definitions"
    browser.open("quality?job=rental")
    assert browser.metrics()["Rejected"] == "10"


def test_viewing_overview(browser: Browser) -> None:
    browser.open("viewing")
    users, seconds = asked("SELECT count(*), sum(total_seconds) FROM '{viewing}/viewing_profile.csv'")
    cards = browser.metrics()
    assert number(cards["Users"]) == users
    assert number(cards["Hours"]) == pytest.approx(seconds / 3600, abs=0.05)
    assert number(cards["Hours / person / week"]) == pytest.approx(seconds / 3600 / users / 4, abs=0.05)
    shown = browser.plots()
    assert sum(sum(trace["y"]) for trace in shown["Hours watched, by day and category"]) == pytest.approx(
        seconds / 3600
    )
    assert sum(browser.bars("Users by activeness").values()) == users
    browser.choose("by_day", "Movie")
    (movie,) = browser.plots()["Viewers, by day and category"]
    (expected,) = asked("SELECT sum(viewer_count) FROM '{viewing}/viewing_statistics.csv' WHERE category = 'Movie'")
    assert sum(movie["y"]) == expected
    browser.choose("range", "2022-04-16 to 2022-04-30")
    assert "range=2022-04-16" in browser.query()
    assert "by_day=Movie" in browser.query()
    (movie,) = browser.plots()["Viewers, by day and category"]
    assert len(movie["y"]) == 15
    assert "Changes are against the range before" in browser.text()


def test_viewing_detail(browser: Browser, downloads: Path) -> None:
    browser.open("viewing_detail?range=2022-04-16+to+2022-04-30")
    assert {"What became of them", "Moves between categories", "Moves between segments"} <= set(browser.plots())
    browser.open("viewing_detail")
    profile = "SELECT count(*), sum(total_seconds) FROM '{viewing}/viewing_profile.csv'"
    browser.choose("segment", "Loyal")
    assert number(browser.metrics()["Users"]) == asked(f"{profile} WHERE segment = 'Loyal'")[0]
    browser.choose("category", "Movie")
    users, seconds = asked(f"{profile} WHERE segment = 'Loyal' AND most_watch = 'Movie'")
    assert number(browser.metrics()["Users"]) == users
    assert sum(browser.bars("Top tastes").values()) == users
    assert sum(browser.bars("Hours by category").values()) == pytest.approx(seconds / 3600)
    browser.choose("taste", "TV-Movie")
    users, _ = asked(f"{profile} WHERE segment = 'Loyal' AND most_watch = 'Movie' AND taste = 'TV-Movie'")
    assert number(browser.metrics()["Users"]) == users
    browser.press("button", "Download as CSV")
    file = downloads / "viewing_2022-04-01_2022-04-30.csv"
    until = time.monotonic() + 20
    while not file.is_file() and time.monotonic() < until:
        time.sleep(0.1)
    with duckdb.connect() as sql:
        rows = sql.execute(
            f"SELECT count(*), count(DISTINCT contract), min(taste), max(taste) FROM read_csv('{file}', header = true)"
        ).fetchall()
    file.unlink()
    assert rows == [(users, users, "TV-Movie", "TV-Movie")]
    browser.type("contract", "cth100091")
    assert "contract=cth100091" in browser.query()
    hours = browser.plots()["Hours by day and category"]
    (seconds,) = asked("SELECT total_seconds FROM '{viewing}/viewing_profile.csv' WHERE contract = 'CTH100091'")
    assert sum(sum(trace["y"]) for trace in hours) == pytest.approx(seconds / 3600)


@over_both
def test_sales(browser: Browser) -> None:
    browser.open("sales")
    where = "true"

    def as_asked() -> None:
        net, orders = asked(
            "SELECT sum(line_item_total), count(DISTINCT order_id) FILTER (quantity_sold > 0) "
            f"FROM {FACTS} WHERE {where}"
        )
        cards = browser.metrics()
        assert number(cards["Net sales"]) == pytest.approx(net, abs=0.005)
        assert number(cards["Orders"]) == orders
        (days,) = browser.plots()["Net sales by day"]
        assert sum(days["y"]) == pytest.approx(net)
        for title in ("category", "country"):
            assert sum(browser.bars(f"Net sales by {title}").values()) == pytest.approx(net)

    as_asked()
    browser.choose("category", "Kitchen")
    where = "p.category = 'Kitchen'"
    as_asked()
    assert set(browser.bars("Net sales by category")) == {"Kitchen"}
    browser.choose("country", "Japan")
    where += " AND c.country = 'Japan'"
    as_asked()
    assert set(browser.bars("Net sales by country")) == {"Japan"}
    browser.set_day("days", "start", {"month": "02"})
    where += " AND order_date >= '2024-02-01'"
    as_asked()
    browser.slide("top", -6)
    assert len(browser.bars("Top 4 products")) == 4
    assert {"category=Kitchen", "country=Japan", "top=4"} <= set(browser.query().split("&"))
    address = browser.driver.current_url
    browser.open("definitions")
    browser.open(address.removeprefix(f"{browser.address}/"))
    as_asked()


def test_customers_and_baskets(browser: Browser) -> None:
    browser.open("customers")
    (cohorts,) = browser.plots()["Cohorts: retention"]
    (best,) = asked("SELECT max(retention) FROM '{sales}/cohort.csv' WHERE cohort_month >= '2022-04-01'")
    assert max(value for row in cohorts["z"] for value in row if value is not None) == pytest.approx(best * 100)
    browser.press("button", "Spending")
    (cohorts,) = browser.plots()["Cohorts: spending"]
    (spent,) = asked("SELECT max(total_spending) FROM '{sales}/cohort.csv' WHERE cohort_month >= '2022-04-01'")
    assert max(value for row in cohorts["z"] for value in row if value is not None) == pytest.approx(spent)
    browser.press("[role=tab]", "RFM")
    (customers,) = asked("SELECT count(*) FROM '{sales}/rfm.csv'")
    assert sum(browser.bars("Customers by RFM segment").values()) == customers
    browser.choose("country", "Japan")
    of_japan = "JOIN '{sales}/dim_customer.csv' USING (customer_key) WHERE country = 'Japan'"
    (customers,) = asked(f"SELECT count(*) FROM '{{sales}}/rfm.csv' {of_japan}")
    assert sum(browser.bars("Customers by RFM segment").values()) == customers
    browser.press("[role=tab]", "Lifetime value")
    (expected,) = asked(f"SELECT sum(expected_value) FROM '{{sales}}/clv.csv' {of_japan}")
    assert number(browser.metrics()["Expected in 365 days"]) == pytest.approx(expected, abs=0.005)
    browser.press("[role=tab]", "Bought together")
    (orders,) = asked("SELECT max(order_count) FROM '{sales}/co_purchase.csv'")
    assert max(browser.bars("Orders with both products").values()) == orders
    browser.slide("top", 2)
    assert len(browser.bars("Orders with both products")) == 12


def test_rental(browser: Browser) -> None:
    browser.open("rental")
    (paid,) = asked("SELECT sum(amount) FROM '{rental}/fact_payment.csv'")
    assert number(browser.metrics()["Revenue"]) == pytest.approx(paid, abs=0.005)
    where = "true"
    for key, column, value in (
        ("store", "store_id", "1"),
        ("category", "category", "Action"),
        ("country", "country", "Japan"),
    ):
        browser.choose(key, value)
        where += f" AND {column} = '{value}'"
        (revenue,) = asked(f"SELECT sum(revenue) FROM '{{rental}}/rental_revenue.csv' WHERE {where}")
        assert number(browser.metrics()["Revenue"]) == pytest.approx(revenue, abs=0.005)
        assert sum(browser.bars("Revenue by month").values()) == pytest.approx(revenue)
    browser.press("[role=tab]", "Overdue")
    (overdue,) = asked("SELECT count(*) FROM '{rental}/open_rental.csv' WHERE is_overdue AND store_id = '1'")
    assert number(browser.metrics()["Overdue"]) == overdue, "a filter goes along to where there is one like it"
    browser.choose("store", "2")
    (overdue,) = asked("SELECT count(*) FROM '{rental}/open_rental.csv' WHERE is_overdue AND store_id IN ('1', '2')")
    assert number(browser.metrics()["Overdue"]) == overdue
    browser.press("[role=tab]", "Utilisation")
    (copies,) = asked(
        "SELECT sum(copy_count) FROM '{rental}/film_utilisation.csv' WHERE film_id IN (SELECT film_id "
        "FROM '{rental}/dim_film.csv' JOIN '{rental}/bridge_film_category.csv' USING (film_key) "
        "WHERE category = 'Action')"
    )
    assert number(browser.metrics()["Copies"]) == copies


def test_data_quality(browser: Browser) -> None:
    browser.open("quality")
    cards = browser.metrics()
    assert (cards["Rows in"], cards["Accepted"], cards["Rejected"], cards["Adds up"]) == (
        "25,500", "24,131", "1,369", "yes",
    )  # fmt: skip
    browser.choose("job", "sales")
    (rows,) = asked("SELECT sum(rows_in) FROM '{sales}/load_audit.csv' WHERE reason = 'All'")
    assert number(browser.metrics()["Rows in"]) == rows


def test_churn(browser: Browser) -> None:
    browser.open("churn")
    assert browser.metrics()["Snapshots"] == "13"
    assert "Who left, by tenth of the score" in browser.plots()


def test_forecast(browser: Browser, downloads: Path) -> None:
    browser.open(f"forecast?range={str(PRODUCTS).replace(' ', '+')}")
    assert number(browser.metrics()["Expected pieces"]) == sum(pieces_of("total"))
    *_, total = browser.plots()["Asked for and expected: the total"]
    assert total["y"] == [pieces for pieces in pieces_of("total") if pieces], "without the closed day"
    browser.choose("level", "product")
    browser.choose("series", "G2")
    *_, series = browser.plots()["Asked for and expected: G2"]
    assert series["y"] == [pieces for pieces in pieces_of("G2") if pieces]
    assert {"level=product", "series=G2"} <= set(browser.query().split("&"))
    browser.press("[role=tab]", "Back-test")
    assert set(browser.bars("Better than the seasonal naive model, by category")) == {"Garden", "Kitchen", "(unknown)"}
    browser.press("[role=tab]", "To order")
    browser.choose("category", "Garden")
    garden = [row for row in MADE_UP[REPLENISHMENT] if row["category"] == "Garden"]
    assert number(browser.metrics()["Pieces to order"]) == sum(row["suggested_order"] for row in garden)
    browser.press("button", "Download as CSV")
    file = downloads / f"replenishment_{PRODUCTS.start}_{PRODUCTS.end}.csv"
    until = time.monotonic() + 20
    while not file.is_file() and time.monotonic() < until:
        time.sleep(0.1)
    with duckdb.connect() as sql:
        rows = sql.execute(f"SELECT product_id, lead_days FROM read_csv('{file}', header = true)").fetchall()
    assert sorted(rows) == [(row["product_id"], row["lead_days"]) for row in garden]


def pieces_of(series: str) -> list[int]:
    """What is expected of a product, or of the total, of the range of products."""
    rows = (row for row in MADE_UP[DEMAND_FORECAST] if row["end_date"] == PRODUCTS.end)
    return [row["quantity"] for row in rows if series in (row["level"], row["series"])]


def test_nothing_is_wider_than_the_window(files: Browser) -> None:
    try:
        for page in ("viewing", "sales", "forecast?tab=Back-test"):
            files.open(page)
            for width in (1400, 420):
                size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
                files.after(lambda: files.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size))  # noqa: B023
                widest = files.driver.execute_script(
                    "return Math.max(...[...document.querySelectorAll("
                    "'[data-testid=stMain], .js-plotly-plot, [data-testid=stMetric]'"
                    ")].map(one => one.getBoundingClientRect().right))"
                )
                assert widest <= width + 1, page
    finally:
        files.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_report_needs_no_network_and_draws_its_charts(
    driver: webdriver.Chrome, sample: Sample, tmp_path: Path
) -> None:
    from etl_spark.cli import main

    output = tmp_path / "report.html"
    assert main(["report", "viewing", "--results", str(sample.folder), "--output", str(output)]) == 0
    browser = Browser(driver, output.as_uri())
    browser.complaints()
    driver.get(output.as_uri())
    drawn, asked_for = driver.execute_script(
        "return [document.querySelectorAll('.chart .main-svg').length, "
        "performance.getEntriesByType('resource').map(one => one.name)]"
    )
    assert drawn >= 7
    assert asked_for == []
    assert browser.complaints() == []


def test_it_answers_this_machine_alone(files: Browser) -> None:
    port = int(files.address.rpartition(":")[2])
    listening = {one.laddr for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN and one.laddr}
    assert {place.ip for place in listening if place.port == port} == {"127.0.0.1"}
