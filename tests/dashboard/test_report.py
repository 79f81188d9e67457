"""The report of the sample, made anew: its numbers are those of the tables, and it asks no network for anything."""

from __future__ import annotations

import html
import json
import re
import shutil
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest

from etl_spark.cli import main
from etl_spark.core.dates import DateRange
from etl_spark.dashboard.report import SUBJECTS, report
from etl_spark.dashboard.results import ParquetResults, Results
from etl_spark.pipelines.forecast.tables import DEMAND_FORECAST, DEMAND_HISTORY, REPLENISHMENT
from tests.committed import golden
from tests.dashboard.demand import FILMS, MADE_UP, PRODUCTS, TOTAL_ALONE
from tests.dashboard.sample import Sample, columns_of, fill, write, write_made_up

WICKED_NAME = "<script>document.title = 1</script>"

pytestmark = pytest.mark.default_spark


class Told(HTMLParser):
    """The figures of a report by name, the cells of its tables, and all its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.figures: dict[str, str] = {}
        self.cells: list[str] = []
        self.text = ""
        self._name, self._of, self._hidden = "", "", False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("script", "style")
        self._of = dict(attrs).get("class") or "" if tag in ("span", "td") else ""
        if tag == "td":
            self._of = "td"

    def handle_endtag(self, tag: str) -> None:
        self._hidden, self._of = False, ""

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self.text += data
        match self._of:
            case "name":
                self._name = data
            case "value":
                self.figures[self._name] = data
            case "td":
                self.cells.append(data)


@pytest.mark.parametrize("job", SUBJECTS)
def test_a_report_of_each_job_is_whole_and_the_same_each_time(job: str, parquet: Results, sample: Sample) -> None:
    _, page = report(job, parquet, None)
    assert report(job, ParquetResults(sample.folder), None)[1] == page
    body = page[page.rindex("</script></head>") :]
    assert not re.search(r"(src|href)\s*=|@import|url\(|https?://", body), "it fetches nothing"
    assert "default-src 'none'" in page
    drawn = re.findall(r'^draw\("(chart\d+)", (.*)\);$', page, re.M)
    assert len(drawn) >= 2
    for name, plot in drawn:
        assert f'id="{name}"' in page
        assert json.loads(plot)["data"]
    for name in SUBJECTS[job].definitions:
        assert f"<dt>{html.escape(name)}</dt>" in page


def test_the_report_of_the_sample_has_the_numbers_of_its_tables(tmp_path: Path, sample: Sample) -> None:
    output = tmp_path / "report.html"
    days = ["--start-date", "2022-04-01", "--end-date", "2022-04-30"]
    assert main(["report", "viewing", *days, "--results", str(sample.folder), "--output", str(output)]) == 0
    told = Told(output.read_text(encoding="utf-8"))
    folder = golden("viewing")
    with duckdb.connect() as sql:
        ((users, seconds, days_active),) = sql.execute(
            f"SELECT count(*), sum(total_seconds), sum(active_days) FROM '{folder}/viewing_profile.csv'"
        ).fetchall()
        audit = f"FROM '{folder}/load_audit.csv' WHERE reason = 'All'"
        ((rows, accepted, rejected),) = sql.execute(
            f"SELECT sum(rows_in), sum(rows_accepted), sum(rows_rejected) {audit}"
        ).fetchall()
        segments = sql.execute(
            f"SELECT segment, contract_count, total_seconds FROM '{folder}/viewing_summary.csv' WHERE segment <> 'All'"
        ).fetchall()
    assert told.figures["Users"] == f"{users:,}"
    assert told.figures["Hours"] == f"{seconds / 3600:,.1f}"
    assert told.figures["Hours / person / month"] == f"{seconds / 3600 / users:,.1f}"
    assert told.figures["Active days / person"] == f"{days_active / users:,.1f}"
    for segment, count, of_segment in segments:
        place = told.cells.index(segment)
        assert told.cells[place + 1] == f"{count:,}"
        assert told.cells[place + 3] == f"{of_segment / 3600:,.1f}"
    place = told.cells.index("rows")
    assert told.cells[place + 1 : place + 4] == [f"{rows:,}", f"{accepted:,}", f"{rejected:,}"]
    assert "It adds up. Last read by viewing-20220501T020304Z-0a1b2c." in told.text
    assert "All 30 days of 2022-04-01 to 2022-04-30 were read." in told.text


def test_the_report_of_sales_has_the_numbers_of_its_tables(parquet: Results) -> None:
    told = Told(report("sales", parquet, None)[1])
    with duckdb.connect() as sql:
        ((net, orders),) = sql.execute(
            f"SELECT sum(line_item_total), count(DISTINCT order_id) FILTER (quantity_sold > 0) "
            f"FROM '{golden('sales')}/fact_sales.csv'"
        ).fetchall()
    assert told.figures["Net sales"] == f"{net:,.2f}"
    assert told.figures["Orders"] == f"{orders:,}"


def test_the_report_of_forecasts_has_the_best_the_median_and_the_worst_series(parquet: Results) -> None:
    told = Told(report("forecast", parquet, PRODUCTS)[1])
    with duckdb.connect() as sql:
        for table, rows in MADE_UP.items():
            fill(sql, table, rows)
        ((pieces,),) = sql.execute(
            f"SELECT sum(quantity) FROM demand_forecast WHERE level = 'total' AND end_date = '{PRODUCTS.end}'"
        ).fetchall()
        ranked = sql.execute(
            "SELECT series, round(100 * sum(absolute_error) / sum(actual), 1) FROM forecast_backtest "
            f"WHERE level = 'product' AND model = 'reconciled' AND end_date = '{PRODUCTS.end}' "
            "GROUP BY series HAVING sum(actual) > 0 ORDER BY sum(absolute_error) / sum(actual), series"
        ).fetchall()
        orders = sql.execute(
            "SELECT product_id, suggested_order::VARCHAR FROM replenishment WHERE suggested_order > 0 "
            "ORDER BY suggested_order DESC"
        ).fetchall()
    assert told.figures["Expected pieces"] == f"{pieces:,.0f}"
    assert len(ranked) == 7
    for which, (series, wape) in (("Best", ranked[0]), ("Median", ranked[3]), ("Worst", ranked[-1])):
        assert f"{which} of 7 series: {series}, WAPE {wape:.1f} %" in told.text
    assert "Asked for and expected: the total" in told.text
    assert "All 59 days of 2025-01-01 to 2025-02-28 were read." in told.text
    for product, pieces in orders:
        assert told.cells[told.cells.index(f"Product {product}") + 5] == pieces


def test_a_report_of_what_is_no_product_has_nothing_to_order(parquet: Results) -> None:
    for asked, days in ((TOTAL_ALONE, 56), (FILMS, 31)):
        told = Told(report("forecast", parquet, asked)[1])
        assert "There is nothing to order: the forecasts of this range are not of products." in told.text
        assert f"All {days} days of {asked} were read." in told.text
        assert "missing" not in told.text


def test_a_report_without_a_back_test_says_so(tmp_path: Path) -> None:
    write_made_up(tmp_path, (DEMAND_FORECAST, DEMAND_HISTORY, REPLENISHMENT))
    told = Told(report("forecast", ParquetResults(tmp_path), PRODUCTS)[1])
    assert told.figures["WAPE"] == "–"  # noqa: RUF001
    assert "There is no back-test: the range is too short for one." in told.text


def test_a_series_called_script_is_only_text(tmp_path: Path) -> None:
    renamed = (
        f"UPDATE {table} SET {column} = '{WICKED_NAME}' WHERE {column} = '{was}'"
        for table, column, was in (
            ("demand_forecast", "series", "K1"),
            ("demand_history", "series", "K1"),
            ("forecast_backtest", "series", "K1"),
            ("forecast_backtest", "series", "Kitchen"),
            ("replenishment", "product_name", "Product K1"),
        )
    )
    write_made_up(tmp_path, change="; ".join(renamed))
    _, page = report("forecast", ParquetResults(tmp_path), PRODUCTS)
    body = page[page.rindex("</script></head>") :]
    assert WICKED_NAME not in body
    assert f"Best of 7 series: {html.escape(WICKED_NAME)}" in body
    assert body.count("<script>") == 1


def test_the_same_report_comes_of_a_warehouse(mariadb: str, login: None, tmp_path: Path, parquet: Results) -> None:
    output = tmp_path / "report.html"
    assert main(["report", "rental", "--url", mariadb, "--output", str(output)]) == 0
    told = Told(output.read_text(encoding="utf-8"))
    assert told.figures == Told(report("rental", parquet, None)[1]).figures


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["viewing", "--start-date", "2021-04-01", "--end-date", "2021-04-30"], 3, "there are: 2022-04-01 to 2022-04"),
        (["viewing", "--start-date", "2022-04-01"], 2, "give both --start-date and --end-date"),
        (["viewing", "--results", "s3a://bucket/output"], 2, "is not on this machine"),
        (["viewing", "--results", "nowhere"], 3, "there is no viewing_profile yet: viewing makes it"),
        (["viewing", "--url", "mysql+pymysql://me:canary@host/db"], 2, "give credentials in the environment"),
        (["viewing", "--url", "mysql+pymysql://host/db"], 2, "set ETL_SPARK_MYSQL_USER"),
        (["viewing", "--output", "no/such/folder/report.html"], 1, "cannot write no/such/folder/report.html"),
        (["rents"], 2, "invalid choice"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    arguments: list[str],
    code: int,
    said: str,
    *,
    sample: Sample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ETL_SPARK_MYSQL_USER", raising=False)
    defaults = {"--results": str(sample.folder), "--output": "report.html"}
    if "--url" in arguments:
        del defaults["--results"]
    given = [part for name, value in defaults.items() if name not in arguments for part in (name, value)]
    assert main(["report", *arguments, *given]) == code
    error = capsys.readouterr().err
    assert said in error
    assert "canary" not in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_a_customer_called_script_is_only_text(sample: Sample, tmp_path: Path) -> None:
    shutil.copytree(sample.folder, tmp_path / "out")
    table = sample.tables["dim_customer"]
    product = sample.tables["dim_product"]
    with duckdb.connect() as sql:
        for one, column in ((table, "name"), (product, "product_name")):
            rows = [row for some in sample.rows(one) for row in some]
            sql.execute(f"CREATE TABLE {one.name} ({columns_of(one)})")
            sql.executemany(f"INSERT INTO {one.name} VALUES ({', '.join('?' * len(one.columns))})", rows)
            sql.execute(f"UPDATE {one.name} SET {column} = '{WICKED_NAME}'")
            write(sql, one, tmp_path / "out")
    _, page = report("sales", ParquetResults(tmp_path / "out"), DateRange(date(2024, 1, 1), date(2024, 3, 31)))
    body = page[page.rindex("</script></head>") :]
    assert WICKED_NAME not in body
    assert html.escape(WICKED_NAME) in body
    assert body.count("<script>") == 1
