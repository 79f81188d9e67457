"""Every page in Streamlit's own test run: filters, and what is shown where something is missing, wrong or wicked."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import duckdb
import pytest
from streamlit.testing.v1 import AppTest

from etl_spark.core.dates import DateRange
from etl_spark.core.table import Table
from etl_spark.dashboard import pages, screen
from etl_spark.dashboard.results import RESULTS_VARIABLE, URL_VARIABLE
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.forecast.tables import DEMAND_FORECAST, DEMAND_HISTORY, FORECAST_BACKTEST, REPLENISHMENT
from etl_spark.pipelines.viewing.tables import VIEWING_PROFILE
from tests.committed import golden
from tests.dashboard.demand import FILMS, MADE_UP, PRODUCTS, TOTAL_ALONE
from tests.dashboard.sample import Sample, columns_of, write, write_made_up

pytestmark = pytest.mark.default_spark

WICKED = "<script>document.title = 1</script>"

PAGES: Mapping[str, screen.Show] = {
    "viewing": pages.viewing_overview,
    "viewing_detail": pages.viewing_detail,
    "sales": pages.sales_overview,
    "customers": pages.sales_customers,
    "rental": pages.rental_overview,
    "churn": pages.churn_overview,
    "forecast": pages.forecast_overview,
    "quality": pages.data_quality,
    "definitions": pages.about,
}

Shown = Callable[..., AppTest]


@pytest.fixture
def shown(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Shows a page of the sample, or of the results in a folder or at a URL, with these parameters in the URL."""

    def show(name: str, *, folder: Path = sample.folder, url: str = "", **parameters: str | list[str]) -> AppTest:
        monkeypatch.setenv(RESULTS_VARIABLE, "" if url else str(folder))
        monkeypatch.setenv(URL_VARIABLE, url)
        # Streamlit leaves the page behind as the main module, which any process that is spawned later would run.
        monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])

        def script(name: str) -> None:
            from etl_spark.dashboard.screen import page
            from tests.dashboard.test_pages import PAGES

            page(PAGES[name])()

        app = AppTest.from_function(script, default_timeout=60, kwargs={"name": name})
        for parameter, value in parameters.items():
            app.query_params[parameter] = value
        return app.run()

    return show


def text(app: AppTest) -> str:
    """All that the page says in words."""
    parts = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.header, *app.subheader, *app.code]
    return "\n".join(str(part.value).replace("\\", "") for part in parts)


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label.replace("\\", ""): metric.value for metric in app.metric}


@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_shown(name: str, shown: Shown) -> None:
    app = shown(name)
    assert not app.exception
    assert not app.error
    assert not app.warning
    assert metrics(app) or name in ("customers", "definitions")


def test_filters_come_from_the_url_and_change_what_is_shown(shown: Shown) -> None:
    whole, half = shown("viewing"), shown("viewing", range="2022-04-16 to 2022-04-30")
    assert metrics(whole)["Users"] == "1,069"
    assert metrics(half)["Users"] != "1,069"
    assert next(metric.delta for metric in half.metric if metric.label == "Users").endswith(" %")
    app = shown("viewing_detail", segment=["Loyal"], category=["Movie"])
    assert metrics(app)["Users"] == "24"
    with duckdb.connect() as sql:
        found = sql.execute(
            f"SELECT count(DISTINCT customer_key) FROM '{golden('sales')}/fact_sales.csv' "
            f"JOIN '{golden('sales')}/dim_customer.csv' USING (customer_key) "
            "WHERE country = 'Japan' AND quantity_sold > 0"
        ).fetchone()
    assert metrics(shown("sales", country=["Japan"]))["Customers"] == str(found and found[0])


def test_a_series_and_a_category_of_forecasts_come_from_the_url(shown: Shown) -> None:
    app = shown("forecast", range=str(PRODUCTS), level="product", series="G3")
    assert "**Asked for and expected: G3**" in text(app)
    assert "Intermittent: most periods are without demand." in text(app)
    app.selectbox(key="level").set_value("category").run()
    assert app.selectbox(key="series").options == ["Kitchen", "Garden", "(unknown)"], "the most expected first"
    assert "**Asked for and expected: Kitchen**" in text(app), "no category is called G3"
    app = shown("forecast", range=str(PRODUCTS), tab="To order", category=["Kitchen"], top="5")
    assert list(app.dataframe[0].value["Product"]) == ["K1", "K4", "K3", "K2"]
    assert metrics(app)["Products to order"] == "2"
    app = shown("forecast", range=str(PRODUCTS), tab="To order", top="5")
    assert list(app.dataframe[0].value["Product"]) == ["G2", "K1", "G1", "K4", "G3"]


@pytest.mark.parametrize("asked", [TOTAL_ALONE, FILMS], ids=str)
@pytest.mark.parametrize("tab", ["Series", "Back-test", "To order", "Reasons"])
def test_forecasts_of_what_is_no_product_are_shown(tab: str, asked: DateRange, shown: Shown) -> None:
    app = shown("forecast", range=str(asked), tab=tab)
    assert not app.exception
    assert not app.error
    assert not app.warning
    assert app.selectbox(key="range").value == str(asked)
    assert ("There is nothing to order" in text(app)) == (tab == "To order")


def test_what_is_no_choice_is_not_taken_from_the_url(shown: Shown) -> None:
    app = shown("viewing_detail", segment=[WICKED], range="1999-01-01 to 1999-12-31", taste=WICKED)
    assert not app.exception
    assert metrics(app)["Users"] == "1,069"


@pytest.mark.parametrize("name", [name for name in PAGES if name != "definitions"])
def test_without_results_a_page_says_what_makes_them(name: str, shown: Shown, tmp_path: Path) -> None:
    app = shown(name, folder=tmp_path / "nothing")
    assert not app.exception
    assert not app.error
    assert "./scripts/submit.sh " in text(app)


def test_a_missing_table_is_named(shown: Shown, sample: Sample, tmp_path: Path) -> None:
    shutil.copytree(sample.folder, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "parquet" / "viewing_trend")
    shutil.rmtree(tmp_path / "out" / "parquet" / "load_audit")
    app = shown("viewing", folder=tmp_path / "out")
    assert "The table viewing_trend is not there yet. The job viewing makes it" in text(app)
    assert "Whether days are missing is not known: there is no load_audit here." in text(app)
    shutil.rmtree(tmp_path / "out" / "parquet" / "viewing_daily")
    app = shown("viewing_detail", folder=tmp_path / "out", contract="CTH100091")
    assert "The table viewing_trend is not there yet" in text(app)


def test_without_a_back_test_forecasts_are_shown(shown: Shown, tmp_path: Path) -> None:
    write_made_up(tmp_path, (DEMAND_FORECAST, DEMAND_HISTORY))
    app = shown("forecast", folder=tmp_path, range=str(PRODUCTS))
    assert not app.exception
    assert metrics(app)["WAPE"] == metrics(app)["Better than naive"] == "–"  # noqa: RUF001
    assert "There is no back-test: the range is too short for one." in text(app)
    app = shown("forecast", folder=tmp_path, range=str(PRODUCTS), tab="To order")
    assert "The table replenishment is not there yet. The job forecast makes it" in text(app)


def test_nothing_asked_for_has_no_wape(shown: Shown, tmp_path: Path) -> None:
    nothing = "UPDATE forecast_backtest SET actual = 0, wape = NULL, bias = NULL, mase = NULL, absolute_error = 0"
    write_made_up(tmp_path, (DEMAND_FORECAST, DEMAND_HISTORY, FORECAST_BACKTEST, REPLENISHMENT), nothing)
    app = shown("forecast", folder=tmp_path, range=str(PRODUCTS), tab="Back-test")
    assert not app.exception
    assert not app.error
    assert metrics(app)["WAPE"] == metrics(app)["Better than naive"] == "–"  # noqa: RUF001


def test_a_missing_day_is_on_a_banner(shown: Shown, sample: Sample, tmp_path: Path) -> None:
    shutil.copytree(sample.folder, tmp_path / "out")
    audit = sample.tables["load_audit"]
    with duckdb.connect() as sql:
        rows = [row for some in sample.rows(audit) for row in some if row[2] != date(2022, 4, 9) or row[0] != "viewing"]
        sql.execute(f"CREATE TABLE load_audit ({columns_of(audit)})")
        sql.executemany(f"INSERT INTO load_audit VALUES ({', '.join('?' * len(audit.columns))})", rows)
        write(sql, audit, tmp_path / "out")
    for name in ("viewing", "quality"):
        (warning,) = shown(name, folder=tmp_path / "out").warning
        said = warning.value.replace("\\", "")
        assert said.startswith("1 of the 30 days 2022-04-01 to 2022-04-30 are missing: no log was read of 2022-04-09")
    assert not shown("sales", folder=tmp_path / "out").warning


def test_one_day_is_a_range(shown: Shown, tmp_path: Path) -> None:
    day = date(2022, 4, 1)
    with duckdb.connect() as sql:
        for name in ("viewing_profile", "viewing_trend", "viewing_summary", "viewing_statistics"):
            table = _table(name)
            sql.execute(f"CREATE TABLE {name} ({columns_of(table)})")
            values = [_one_day.get(column.name, 0) for column in table.columns]
            sql.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(values))})", values)
            write(sql, table, tmp_path)
    app = shown("viewing", folder=tmp_path)
    assert not app.exception
    assert not app.error
    assert metrics(app)["Users"] == "1"
    assert app.selectbox[0].value == f"{day} to {day}"
    detail = shown("viewing_detail", folder=tmp_path, contract="A1")
    assert not detail.exception
    assert metrics(detail)["Activeness"] == "100.0 %"
    assert "export_also" in text(detail)


_one_day = {
    "start_date": date(2022, 4, 1), "end_date": date(2022, 4, 1), "log_date": date(2022, 4, 1), "contract": "A1",
    "tv_seconds": 7_200, "total_seconds": 7_200, "most_watch": "TV", "taste": "TV", "active_days": 1,
    "activeness": 100, "segment": "All", "previous_most_watch": None, "previous_total_seconds": None, "change": None,
    "contract_count": 1, "days_asked": 1, "days_found": 1, "category": "TV", "viewer_count": 1,
}  # fmt: skip


def _table(name: str) -> Table:
    return next(table for table in PIPELINES["viewing"].tables if table.name == name)


def test_a_table_without_a_row_says_so(shown: Shown, tmp_path: Path) -> None:
    place = tmp_path / "parquet" / "viewing_profile"
    place.mkdir(parents=True)
    with duckdb.connect() as sql:
        sql.execute(f"COPY (SELECT * FROM (VALUES (1)) WHERE false) TO '{place}/data.parquet' (FORMAT parquet)")
        sql.execute(f"CREATE TABLE viewing_profile ({columns_of(VIEWING_PROFILE)})")
        sql.execute(f"COPY viewing_profile TO '{place}/data.parquet' (FORMAT parquet)")
    app = shown("viewing", folder=tmp_path)
    assert not app.exception
    assert "viewing_profile is there and has no row yet" in text(app)


@pytest.mark.parametrize("name", [name for name in PAGES if name != "definitions"])
def test_a_server_that_does_not_answer_is_a_sentence(name: str, shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETL_SPARK_MYSQL_USER", "me")
    monkeypatch.setenv("ETL_SPARK_MYSQL_PASSWORD", "canary-Pw1")
    app = shown(name, url="mysql+pymysql://127.0.0.1:1/etl")
    assert not app.exception
    (error,) = app.error
    assert "127.0.0.1:1/etl does not answer" in error.value.replace("\\", "")
    assert "canary" not in error.value


def test_a_bug_is_a_sentence_too(monkeypatch: pytest.MonkeyPatch, shown: Shown) -> None:
    def broken(results: object, read: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setitem(PAGES, "viewing", broken)
    app = shown("viewing")
    assert not app.exception
    assert [error.value for error in app.error] == [
        "This page could not be shown. Why is in what the command has written."
    ]


def test_a_wicked_name_is_only_text(shown: Shown, sample: Sample, tmp_path: Path) -> None:
    shutil.copytree(sample.folder, tmp_path / "out")
    customers = sample.tables["dim_customer"]
    with duckdb.connect() as sql:
        rows = [row for some in sample.rows(customers) for row in some]
        sql.execute(f"CREATE TABLE dim_customer ({columns_of(customers)})")
        sql.executemany(f"INSERT INTO dim_customer VALUES ({', '.join('?' * len(customers.columns))})", rows)
        sql.execute(f"UPDATE dim_customer SET name = '{WICKED}'")
        write(sql, customers, tmp_path / "out")
    app = shown("customers", folder=tmp_path / "out", tab="Lifetime value")
    assert not app.exception
    assert list(app.dataframe[0].value["Name"]) == [WICKED] * 10
    app = shown("viewing_detail", contract=WICKED)
    assert not app.exception
    assert r"\<SCRIPT\>" in app.info[-1].value, "as Markdown has it, the tag is escaped"


def test_a_wicked_series_is_only_text(shown: Shown, tmp_path: Path) -> None:
    wicked = "; ".join(
        f"UPDATE {table} SET {column} = '{WICKED}' WHERE {column} = '{was}'"
        for table, column, was in (
            ("demand_forecast", "series", "G1"),
            ("demand_history", "series", "G1"),
            ("demand_forecast", "parent", "Garden"),
            ("demand_forecast", "reason", "new"),
            ("replenishment", "product_name", "Product G1"),
            ("replenishment", "category", "Kitchen"),
        )
    )
    write_made_up(tmp_path, tuple(MADE_UP), wicked)
    app = shown("forecast", folder=tmp_path, range=str(PRODUCTS), level="product", series=WICKED)
    assert not app.exception
    escaped = screen.plain(WICKED)
    assert f"**{screen.plain('Asked for and expected: ')}{escaped}**" in [one.value for one in app.markdown]
    assert any(f"A part of {escaped}" in one.value for one in app.caption)
    app = shown("forecast", folder=tmp_path, range=str(PRODUCTS), tab="To order", category=[WICKED])
    assert not app.exception
    assert set(app.dataframe[0].value["Category"]) == {WICKED}
    app = shown("forecast", folder=tmp_path, range=str(PRODUCTS), tab="Reasons")
    assert WICKED in list(app.dataframe[0].value["Reason"])
