"""What is shown is what the committed tables say: each figure is worked out once more, from other tables, by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from etl_spark.dashboard import forecast, quality, rental, sales, shown, viewing
from etl_spark.dashboard.queries import missing_days, ranges
from etl_spark.dashboard.results import Query, Results, Rows
from etl_spark.dashboard.shown import Chart, Figure, Section
from etl_spark.pipelines.forecast.tables import DEMAND_FORECAST
from tests.committed import golden
from tests.dashboard.demand import FILMS, MADE_UP, PRODUCTS, TOTAL_ALONE
from tests.dashboard.questions import ALL_SALES, APRIL, DAYS, FILTERED, QUARTER, SECOND_HALF, YEAR
from tests.dashboard.sample import fill

pytestmark = pytest.mark.default_spark


def asked(sql: str) -> list[tuple[Any, ...]]:
    """What DuckDB says of the committed CSVs, `{viewing}` and so on being their folders."""
    folders = {job: str(golden(job)) for job in ("viewing", "sales", "rental")}
    return duckdb.sql(sql.format(**folders)).fetchall()


def value(figures: Sequence[Figure], name: str) -> str:
    return next(figure.value for figure in figures if figure.name == name)


def bars(section: Section, title: str) -> dict[str, float]:
    """The bars of a chart, by what stands beside them."""
    chart: Chart = next(chart for chart in section.charts if chart.title == title)
    trace = chart.plot.data[0]
    values = trace.x if trace.orientation == "h" else trace.y
    return dict(zip(trace.customdata, values, strict=True))


def test_the_overview_is_that_of_the_profiles(parquet: Results) -> None:
    overview = viewing.overview(parquet.rows, APRIL)
    ((users, seconds, days),) = asked(
        "SELECT count(*), sum(total_seconds), sum(active_days) FROM '{viewing}/viewing_profile.csv'"
    )
    expected = {
        "Users": f"{users:,}",
        "Hours": f"{seconds / 3600:,.1f}",
        "Hours / person / month": f"{seconds / users / 3600:,.1f}",
        "Hours / person / week": f"{seconds / users / 4 / 3600:,.1f}",
        "Hours / person / day": f"{seconds / users / 4 / 7 / 3600:,.1f}",
        "Hours / active day": f"{seconds / days / 3600:,.1f}",
        "Active days / person": f"{days / users:,.1f}",
    }
    assert {figure.name: figure.value for figure in overview.figures} == expected
    assert {figure.change for figure in overview.figures} == {""}, "of March there is nothing"
    assert "2022-03-02 to 2022-03-31, the source had 0" in overview.note
    _, segments, habits = overview.sections
    assert bars(segments, "Users in each segment") == dict(
        asked("SELECT segment, count(*) FROM '{viewing}/viewing_profile.csv' GROUP BY ALL")
    )
    assert bars(habits, "Users by the category they watch most") == dict(
        asked("SELECT most_watch, count(*) FROM '{viewing}/viewing_profile.csv' GROUP BY ALL")
    )
    assert sum(bars(habits, "Users by activeness").values()) == users


def test_days_and_categories_are_those_of_the_statistics(parquet: Results) -> None:
    daily, *_ = viewing.overview(parquet.rows, APRIL).sections
    hours, viewers = (chart.plot.data for chart in daily.charts)
    assert [trace.name for trace in hours] == list(viewing.CATEGORIES)
    assert [trace.name for trace in viewers] == ["All", *viewing.CATEGORIES]
    for trace in viewers:
        rows = asked(
            "SELECT log_date, viewer_count FROM '{viewing}/viewing_statistics.csv' "
            f"WHERE category = '{trace.name}' ORDER BY ALL"
        )
        assert list(zip(trace.x, trace.y, strict=True)) == rows
    total = sum(sum(trace.y) for trace in hours)
    assert total == pytest.approx(325_403_471 / 3600)
    (movie,) = viewing.overview(parquet.rows, APRIL, ("Movie",)).sections[0].charts[0].plot.data
    assert movie.name == "Movie"


def test_a_range_after_a_whole_one_shows_what_has_changed(parquet: Results) -> None:
    overview = viewing.overview(parquet.rows, SECOND_HALF)
    (now,), (was,) = (
        [row for row in parquet.rows(viewing.summary(one)) if row["segment"] == "All"]
        for one in (SECOND_HALF, SECOND_HALF.previous())
    )
    change = (now["contract_count"] / was["contract_count"] - 1) * 100
    assert next(one.change for one in overview.figures if one.name == "Users") == f"{change:+.1f} %"
    change = (now["total_seconds"] / was["total_seconds"] - 1) * 100
    assert next(one.change for one in overview.figures if one.name == "Hours") == f"{change:+.1f} %"
    assert overview.note == "Changes are against the range before, 2022-04-01 to 2022-04-15."


def test_moves_add_up_to_the_trend(parquet: Results) -> None:
    detail = viewing.detail(parquet.rows, SECOND_HALF, viewing.Picked(), ranges(parquet.rows, "viewing_profile"))
    became = bars(detail.moved, "What became of them")
    profile = {
        one: {row["contract"]: row for row in parquet.rows(viewing.users(one, viewing.Picked(), 10_000))}
        for one in (SECOND_HALF, SECOND_HALF.previous())
    }
    now, was = profile.values()
    assert became["New"] == len(set(now) - set(was))
    assert became["Lost"] == len(set(was) - set(now))
    assert became["Changed"] == sum(now[one]["most_watch"] != was[one]["most_watch"] for one in set(now) & set(was))
    categories, segments = (
        next(chart.plot.data[0] for chart in detail.moved.charts if chart.title == f"Moves between {what}")
        for what in ("categories", "segments")
    )
    assert sum(number for row in categories.z for number in row if number) == len(set(now) | set(was))
    assert sum(number for row in segments.z for number in row if number) == len(now)


def test_who_is_picked_is_counted_alone(parquet: Results) -> None:
    picked = viewing.Picked(("Loyal",), ("Movie",), "TV-Movie")
    detail = viewing.detail(parquet.rows, APRIL, picked, ())
    ((users, seconds),) = asked(
        "SELECT count(*), sum(total_seconds) FROM '{viewing}/viewing_profile.csv' "
        "WHERE segment = 'Loyal' AND most_watch = 'Movie' AND taste = 'TV-Movie'"
    )
    assert value(detail.figures, "Users") == str(users)
    assert value(detail.figures, "Hours") == f"{seconds / 3600:,.1f}"
    assert "--start-date 2022-03-02 --end-date 2022-03-31" in detail.moved.note


FACTS = (
    "'{sales}/fact_sales.csv' f LEFT JOIN '{sales}/dim_product.csv' p USING (product_key) "
    "LEFT JOIN '{sales}/dim_customer.csv' c USING (customer_key)"
)
CHOSEN = {
    "all": (ALL_SALES, "true"),
    "days": (DAYS, "order_date BETWEEN '2024-02-01' AND '2024-02-29'"),
    "filtered": (
        FILTERED,
        "order_date BETWEEN '2024-02-01' AND '2024-02-29' AND category IN ('Kitchen', 'Electronics') "
        "AND coalesce(country, '(unknown)') IN ('Japan', '(unknown)')",
    ),
}


@pytest.mark.parametrize("which", CHOSEN)
def test_every_sales_chart_is_filtered(which: str, parquet: Results) -> None:
    filters, where = CHOSEN[which]
    shop = sales.shop(parquet.rows, filters, 7)
    ((net, orders, customers, pieces),) = asked(
        "SELECT sum(line_item_total), count(DISTINCT order_id) FILTER (quantity_sold > 0), "
        "count(DISTINCT customer_key) FILTER (quantity_sold > 0 AND customer_key <> -1), sum(quantity_sold) "
        f"FROM {FACTS} WHERE {where}"
    )
    assert value(shop.figures, "Net sales") == f"{net:,.2f}"
    assert value(shop.figures, "Orders") == f"{orders:,}"
    assert value(shop.figures, "Customers") == f"{customers:,}"
    assert value(shop.figures, "Pieces") == f"{pieces:,}"
    for title, column in (("category", "p.category"), ("country", "c.country")):
        expected = asked(
            f"SELECT coalesce({column}, '(unknown)'), sum(line_item_total) FROM {FACTS} WHERE {where} GROUP BY ALL"
        )
        assert bars(shop, f"Net sales by {title}") == pytest.approx(dict(expected))
    days = next(chart.plot.data[0] for chart in shop.charts if chart.title == "Net sales by day")
    assert sum(days.y) == pytest.approx(net)
    assert min(days.x) >= filters.days.start
    top = asked(
        f"SELECT sum(line_item_total) FROM {FACTS} WHERE {where} GROUP BY f.product_key ORDER BY 1 DESC LIMIT 7"
    )
    products = next(chart.plot.data[0].x for chart in shop.charts if chart.title == f"Top {len(top)} products")
    assert list(products) == pytest.approx([amount for (amount,) in top])


def test_customers_are_those_of_their_country(parquet: Results) -> None:
    (japan,) = asked(
        "SELECT sum(total_spending), sum(expected_value) FROM '{sales}/clv.csv' "
        "JOIN '{sales}/dim_customer.csv' USING (customer_key) WHERE country = 'Japan'"
    )
    section = sales.lifetime(parquet.rows, QUARTER, ("Japan",), 5)
    assert value(section.figures, "Spent so far") == f"{japan[0]:,.2f}"
    assert value(section.figures, "Expected in 365 days") == f"{japan[1]:,.2f}"
    (everybody,) = asked("SELECT sum(expected_value), count(expected_value) FROM '{sales}/clv.csv'")
    section = sales.lifetime(parquet.rows, QUARTER, (), 5)
    assert value(section.figures, "Customers") == f"{everybody[1]:,}"
    assert sum(bars(section, "Customers by expected value").values()) == everybody[1]
    scores = parquet.rows(sales.rfm_map(QUARTER, ()))
    assert bars(Section("", charts=sales.rfm_chart(scores)), "Customers by RFM segment") == dict(
        asked("SELECT segment, count(*) FROM '{sales}/rfm.csv' GROUP BY ALL")
    )


def test_pairs_are_the_most_frequent(parquet: Results) -> None:
    rows = parquet.rows(sales.pairs(QUARTER, (), 3))
    expected = asked("SELECT order_count FROM '{sales}/co_purchase.csv' ORDER BY order_count DESC LIMIT 3")
    assert [row["order_count"] for row in rows] == [number for (number,) in expected]
    kitchen = parquet.rows(sales.pairs(QUARTER, ("Kitchen",), 50))
    ((most,),) = asked(
        "SELECT max(order_count) FROM '{sales}/co_purchase.csv' "
        "JOIN '{sales}/dim_product.csv' a ON a.product_key = product_key_1 "
        "JOIN '{sales}/dim_product.csv' b ON b.product_key = product_key_2 "
        "WHERE 'Kitchen' IN (a.category, b.category)"
    )
    assert kitchen[0]["order_count"] == most


def test_revenue_is_that_of_the_payments(parquet: Results) -> None:
    revenue = rental.revenue(parquet.rows, rental.Filters(YEAR))
    ((paid,),) = asked("SELECT sum(amount) FROM '{rental}/fact_payment.csv'")
    assert value(revenue.figures, "Revenue") == f"{paid:,.2f}"
    for title in ("store", "category of films", "country of customers", "month"):
        assert sum(bars(revenue, f"Revenue by {title}").values()) == pytest.approx(float(paid)), title
    one = rental.Filters(YEAR, ("1",), ("Action",), ("Japan",))
    ((some,),) = asked(
        "SELECT sum(revenue) FROM '{rental}/rental_revenue.csv' "
        "WHERE store_id = '1' AND category = 'Action' AND country = 'Japan'"
    )
    assert value(rental.revenue(parquet.rows, one).figures, "Revenue") == f"{some:,.2f}"


def test_what_is_overdue_and_used(parquet: Results) -> None:
    late = rental.late(parquet.rows, YEAR, ())
    ((out, overdue, cost),) = asked(
        "SELECT count(*), count(*) FILTER (is_overdue), sum(replacement_cost) FILTER (is_overdue) "
        "FROM '{rental}/open_rental.csv'"
    )
    assert value(late.figures, "Open rentals") == str(out)
    assert value(late.figures, "Overdue") == str(overdue)
    assert value(late.figures, "At stake") == f"{cost:,.2f}"
    assert sum(bars(late, "Overdue rentals by age").values()) == overdue
    assert not {"email", "phone", "address"} & set(late.sheets[0].columns)
    use = rental.use(parquet.rows, YEAR, (), 10)
    ((share,),) = asked(
        "SELECT sum(days_out) FILTER (copy_days > 0) / sum(copy_days) FROM '{rental}/film_utilisation.csv'"
    )
    assert value(use.figures, "Utilisation") == shown.percent(Decimal(str(share)))


@pytest.fixture(scope="module")
def demand() -> Iterator[duckdb.DuckDBPyConnection]:
    """The made-up tables; `tested` has the back-test of the products, and `naive` what of it can be compared."""
    with duckdb.connect() as sql:
        for table, rows in MADE_UP.items():
            fill(sql, table, rows)
        for name in ("demand_forecast", "demand_history", "forecast_backtest", "replenishment"):
            sql.execute(f"DELETE FROM {name} WHERE end_date <> '{PRODUCTS.end}'")
        sql.execute(
            "CREATE VIEW tested AS SELECT * FROM forecast_backtest WHERE level = 'product';"
            "CREATE VIEW naive AS FROM tested WHERE (series, origin_date) IN "
            "(SELECT (series, origin_date) FROM tested WHERE model = 'seasonal_naive')"
        )
        yield sql


def one_row(sql: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    (row,) = sql.execute(query).fetchall()
    return tuple(row)


def test_the_figures_of_forecasts_are_those_of_the_tables(parquet: Results, demand: duckdb.DuckDBPyConnection) -> None:
    section = forecast.glance(parquet.rows, PRODUCTS)
    (pieces, last_week) = one_row(
        demand,
        "SELECT (SELECT sum(quantity) FROM demand_forecast WHERE level = 'product'), (SELECT sum(quantity) "
        "FROM demand_history WHERE level = 'product' AND period_date > '2025-02-21')",
    )
    wape, bias, covered_80, covered_95 = one_row(
        demand,
        "SELECT sum(absolute_error) / sum(actual), sum(error) / sum(actual), "
        "sum(round(coverage_80 * period_count)) / sum(period_count), "
        "sum(round(coverage_95 * period_count)) / sum(period_count) FROM tested WHERE model = 'reconciled'",
    )
    naive, better = one_row(
        demand,
        "SELECT sum(absolute_error) FILTER (model = 'seasonal_naive') / sum(actual) FILTER (model = 'reconciled'), "
        "1 - sum(absolute_error) FILTER (model = 'reconciled') / "
        "sum(absolute_error) FILTER (model = 'seasonal_naive') FROM naive",
    )
    assert {figure.name: figure.value for figure in section.figures} == {
        "Expected pieces": f"{pieces:,.0f}",
        "WAPE": shown.percent(wape),
        "WAPE, seasonal naive": shown.percent(naive),
        "Better than naive": shown.percent(better),
        "Bias": shown.percent(bias),
        "Within bounds of 80 %": shown.percent(covered_80),
        "Within bounds of 95 %": shown.percent(covered_95),
        "Series": "9",
        "Series with a reason": "5",
    }
    assert section.figures[0].change == f"{(pieces / last_week - 1) * 100:+.1f} %"
    assert "The forecast is of 7 days, 2025-03-01 to 2025-03-07." in section.note
    weeks = forecast.glance(parquet.rows, TOTAL_ALONE).note
    assert "of 2 weeks, those that begin on the Mondays 2025-01-27 to 2025-02-03." in weeks


def test_the_back_test_compares_what_can_be_compared(parquet: Results, demand: duckdb.DuckDBPyConnection) -> None:
    section = forecast.backtest(parquet.rows, PRODUCTS)
    by_level, by_model = (sheet.rows for sheet in section.sheets)
    assert [row["level"] for row in by_level] == ["total", "category", "product"]
    wapes = dict(
        demand.execute(
            "SELECT level, sum(absolute_error) / sum(actual) FROM forecast_backtest WHERE model = 'reconciled' "
            "GROUP BY level"
        ).fetchall()
    )
    assert {row["level"]: float(row["wape"]) for row in by_level} == pytest.approx(wapes)
    models = demand.execute(
        "SELECT t.model, count(DISTINCT series), sum(absolute_error) / nullif(sum(actual), 0), avg(mase), "
        "any_value(now) FROM tested t LEFT JOIN (SELECT model, count(DISTINCT series) AS now FROM demand_forecast "
        "WHERE level = 'product' GROUP BY model) f USING (model) GROUP BY t.model"
    ).fetchall()
    assert len(models) == len(by_model) == 4
    for model, series, wape, mase, now in models:
        (row,) = (row for row in by_model if row["name"] == forecast.MODELS[model])
        assert row["series_count"] == series
        for name, expected in (("wape", wape), ("mase", mase)):
            assert row[name] is expected is None or float(row[name]) == pytest.approx(float(expected))
        assert row["chosen"] == now
    mean = next(row for row in by_model if row["name"] == "Mean")
    (of_mean, of_naive) = one_row(
        demand,
        "SELECT sum(absolute_error) FILTER (model = 'mean'), sum(absolute_error) FILTER (model = 'seasonal_naive') "
        "FROM naive",
    )
    assert float(mean["better"]) == pytest.approx(float(1 - of_mean / of_naive))
    runs, naive = next(chart.plot.data for chart in section.charts if chart.title == "WAPE by origin")
    origins = demand.execute(
        "SELECT origin_date, 100 * sum(absolute_error) FILTER (model = 'reconciled') / "
        "sum(actual) FILTER (model = 'reconciled'), 100 * sum(absolute_error) FILTER (model = 'seasonal_naive') / "
        "sum(actual) FILTER (model = 'seasonal_naive') FROM naive GROUP BY origin_date ORDER BY origin_date"
    ).fetchall()
    assert list(runs.x) == [origin for origin, _, _ in origins]
    assert list(runs.y) == pytest.approx([value for _, value, _ in origins])
    assert list(naive.y) == pytest.approx([value for _, _, value in origins])
    parts = demand.execute(
        "SELECT series, round(100 * (1 - sum(absolute_error) FILTER (model = 'reconciled') / "
        "sum(absolute_error) FILTER (model = 'seasonal_naive')), 1) FROM forecast_backtest WHERE level = 'category' "
        "GROUP BY series ORDER BY 2 DESC"
    ).fetchall()
    found = bars(section, "Better than the seasonal naive model, by category")
    assert list(found) == [name for name, _ in parts]
    assert found == pytest.approx({name: float(better) for name, better in parts})


def test_a_series_is_shown_as_the_tables_have_it(parquet: Results, demand: duckdb.DuckDBPyConnection) -> None:
    chart = forecast.chart_of(parquet.rows, PRODUCTS, "product", "K4")
    _, wide, _, narrow, was, will = chart.plot.data
    known = demand.execute(
        "SELECT period_date, quantity FROM demand_history WHERE series = 'K4' AND period_date < '2025-02-18' "
        "AND period_date > '2025-01-01' ORDER BY period_date"
    ).fetchall()
    assert list(zip(was.x, was.y, strict=True)) == known, "neither closed days nor those without stock"
    expected = demand.execute(
        "SELECT period_date, quantity::DOUBLE, low_80::DOUBLE, high_80::DOUBLE, low_95::DOUBLE, high_95::DOUBLE "
        "FROM demand_forecast WHERE series = 'K4' "
        "AND period_date <> '2025-03-03' ORDER BY period_date"
    ).fetchall()
    values = zip(will.x, will.y, narrow.customdata, narrow.y, wide.customdata, wide.y, strict=True)
    assert list(values) == expected
    assert "Left out, as nothing could be sold: 13 days." in chart.note


@pytest.mark.parametrize(("days", "points", "axis"), [(1, 182, "Pieces a day"), (7, 104, "Pieces a week")])
def test_a_chart_looks_back_half_a_year_of_days_or_two_of_weeks(days: int, points: int, axis: str) -> None:
    def read(query: Query) -> Rows:
        if query.tables == ("demand_history",):
            known = {"quantity": 1, "is_closed": False, "is_sold_out": False}
            return [{"period_date": date(2024, 1, 1) + timedelta(days * place), **known} for place in range(300)]
        ahead = next(row for row in MADE_UP[DEMAND_FORECAST] if row["level"] == "total")
        return [{**ahead, "period_date": date(2024, 1, 1) + timedelta(days * 300)}]

    chart = forecast.chart_of(read, PRODUCTS, "total", "(all)")
    assert len(next(trace for trace in chart.plot.data if trace.name == "Asked for").x) == points
    assert chart.plot.layout.yaxis.title.text == axis


def test_what_to_order_is_that_of_the_table(parquet: Results, demand: duckdb.DuckDBPyConnection) -> None:
    for of in ((), ("Garden", "(unknown)")):
        where = f"category IN {of}" if of else "true"
        section = forecast.order_list(parquet.rows, PRODUCTS, of, 3)
        products, pieces, reached, unknown = one_row(
            demand,
            "SELECT count(*) FILTER (suggested_order > 0), sum(suggested_order), "
            "sum(round(reached_level * span_count)) / sum(span_count) FILTER (reached_level IS NOT NULL), "
            "count(*) FILTER (stock_quantity IS NULL) "
            f"FROM replenishment WHERE {where}",
        )
        assert {figure.name: figure.value for figure in section.figures} == {
            "Products to order": str(products),
            "Pieces to order": str(pieces),
            "Reached level": shown.percent(reached),
            "Service level": "95.0 %",
            "Stock not known": str(unknown),
        }
        most = demand.execute(
            f"SELECT product_id FROM replenishment WHERE {where} ORDER BY suggested_order DESC NULLS LAST, product_id "
            "LIMIT 3"
        ).fetchall()
        assert [row["product_id"] for row in section.sheets[0].rows] == [name for (name,) in most]
    whole = forecast.order_list(parquet.rows, PRODUCTS, (), 50).sheets[0].rows
    assert whole[-1]["product_id"] == "K2", "without a known stock there is no order"


def test_reasons_are_those_of_the_series(parquet: Results, demand: duckdb.DuckDBPyConnection) -> None:
    section = forecast.reasons(parquet.rows, PRODUCTS)
    counted = demand.execute(
        "SELECT replace(coalesce(reason, 'none'), '_', ' '), count(DISTINCT series) FROM demand_forecast "
        "WHERE level = 'product' AND coalesce(reason, '') <> 'closed' GROUP BY 1"
    ).fetchall()
    assert {row["name"]: row["series_count"] for row in section.sheets[0].rows} == dict(counted)
    assert section.note.endswith("Periods that are expected to be closed, without any sale: 1.")


def test_best_median_and_worst() -> None:
    def picked(*wapes: str | None) -> list[tuple[str, str]]:
        rows = [
            {"part": f"P{place}", "wape": None if wape is None else Decimal(wape)} for place, wape in enumerate(wapes)
        ]
        return [(which, row["part"]) for which, row in forecast.pick(rows)]

    assert picked("0.3", None, "0.1", "0.2", "0.9", "0.1") == [
        ("Best of 5 series", "P2"),
        ("Median of 5 series", "P3"),
        ("Worst of 5 series", "P4"),
    ]
    assert picked("0.5", "0.5") == [("Best of 2 series", "P0"), ("Worst of 2 series", "P1")]
    assert picked("0.5") == [("Best of 1 series", "P0")]
    assert picked(None) == []


def test_forecasts_are_of_the_days_of_the_job_before(parquet: Results) -> None:
    assert forecast.audited(parquet.rows, FILMS) == ("forecast.rentals",)
    assert (
        forecast.audited(parquet.rows, TOTAL_ALONE) == forecast.audited(parquet.rows, PRODUCTS) == ("forecast.sales",)
    )


def test_the_account_is_that_of_the_audit(parquet: Results) -> None:
    section = quality.quality(parquet.rows, "viewing", APRIL)
    assert value(section.figures, "Rows in") == "25,500"
    assert value(section.figures, "Accepted") == "24,131"
    assert value(section.figures, "Rejected") == "1,369"
    assert value(section.figures, "Adds up") == "yes"
    assert bars(section, "Rejected rows by reason")["contract_not_a_code (viewing_logs)"] == 1_307
    (account, reasons, freshness) = section.sheets
    assert [row["what"] for row in account.rows] == ["rows", "seconds"]
    assert account.rows[1]["accepted"] == "325,403,471"
    assert freshness.rows[0]["read_at"] == "2022-05-01 02:03"
    assert len(reasons.rows) == 8


def test_an_account_that_does_not_add_up_is_said() -> None:
    row = {
        "source_table": "orders",
        "rows_in": 10,
        "accepted": 8,
        "rejected": 1,
        "outside": 0,
        "seconds_in": None,
        "money_in": Decimal("5.00"),
        "money_accepted": Decimal("5.00"),
        "money_rejected": None,
    }
    rows, money = quality.reconciled([row])
    assert not rows.adds_up
    assert money.adds_up


@pytest.mark.parametrize(
    ("pipeline", "days"),
    [
        ("viewing", APRIL),
        ("sales", QUARTER),
        ("rental", YEAR),
        ("forecast.sales", PRODUCTS),
        ("forecast.rentals", FILMS),
    ],
)
def test_no_day_of_the_sample_is_missing(pipeline: str, days: Any, parquet: Results) -> None:
    assert missing_days(parquet.rows, pipeline, days) == ()
    assert quality.coverage(parquet.rows, pipeline, days).says.startswith(f"All {len(days)} days of {days}")
