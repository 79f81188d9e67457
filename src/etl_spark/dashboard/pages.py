"""The pages: which filters they have, and what they show."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import streamlit as st

from etl_spark.core.dates import DateRange
from etl_spark.dashboard import churn, forecast, quality, rental, sales, viewing
from etl_spark.dashboard.queries import AUDITED, ranges
from etl_spark.dashboard.results import MissingTableError, Query, Results, Rows
from etl_spark.dashboard.screen import (
    NothingThereError,
    pick_days,
    pick_many,
    pick_range,
    plain,
    show_chart,
    show_coverage,
    show_figures,
    show_section,
    show_sheet,
)
from etl_spark.dashboard.shown import Read


def viewing_overview(results: Results, read: Read) -> None:
    st.header("Viewing: overview")
    left, right = st.columns([1, 2])
    with left:
        asked = pick_range(read, "viewing_profile")
    with right:
        categories = pick_many("Categories by day", "by_day", viewing.CATEGORIES)
    show_coverage(read, "viewing", asked)
    overview = viewing.overview(read, asked, categories)
    if not overview.figures:
        raise NothingThereError(f"Nobody watched anything in {asked}.")
    show_figures(overview.figures)
    st.caption(plain(overview.note))
    for section in overview.sections:
        show_section(section)


def viewing_detail(results: Results, read: Read) -> None:
    st.header("Viewing: detail")
    columns = st.columns(4)
    with columns[0]:
        asked = pick_range(read, "viewing_profile")
    names = {row["segment"] for row in read(viewing.segments_there(asked))}
    with columns[1]:
        segments = pick_many(
            "Segment",
            "segment",
            [*(one for one in viewing.SEGMENTS if one in names), *sorted(names - set(viewing.SEGMENTS))],
        )
    with columns[2]:
        categories = pick_many("Most watched", "category", viewing.CATEGORIES)
    with columns[3]:
        tastes = [row["taste"] for row in read(viewing.tastes(asked, viewing.Picked()))]
        taste = st.selectbox("Taste", sorted(tastes), index=None, key="taste", placeholder="All", bind="query-params")
    show_coverage(read, "viewing", asked)
    picked = viewing.Picked(segments, categories, taste or "")
    detail = viewing.detail(read, asked, picked, ranges(read, "viewing_profile"))
    if detail.figures:
        show_figures(detail.figures)
        show_section(detail.who, columns=3)
        show_section(detail.moved, columns=2)
        shown = read(viewing.users(asked, picked, viewing.MOST_SHOWN))
        (whole,) = read(viewing.seconds_by_category(asked, picked))
        show_sheet(viewing.sheet_of_users(shown, whole["users"]))
        _offer_csv(
            lambda: results.rows(viewing.users(asked, picked, viewing.MOST_DOWNLOADED)),
            tuple(viewing.PROFILE_COLUMNS),
            f"viewing_{asked.start}_{asked.end}.csv",
            asked,
            f"The profiles of those picked, the {viewing.MOST_DOWNLOADED:,} who watched most at the most.",
        )
    else:
        st.info("Nobody is in this selection. Take a filter away.")
    _one_contract(read, asked)


def _offer_csv(found: Callable[[], Rows], columns: Sequence[str], file_name: str, asked: DateRange, what: str) -> None:
    """A button that writes `columns` of what is `found` then; the whole of it is not kept."""
    st.download_button(
        "Download as CSV",
        lambda: _csv(found(), columns, asked),
        file_name=file_name,
        mime="text/csv",
        on_click="ignore",
        help=what,
    )


def _csv(rows: Rows, columns: Sequence[str], asked: DateRange) -> bytes:
    text = io.StringIO()
    out = csv.DictWriter(text, ["start_date", "end_date", *columns], extrasaction="ignore")
    out.writeheader()
    out.writerows({"start_date": asked.start, "end_date": asked.end, **row} for row in rows)
    return text.getvalue().encode()


def _one_contract(read: Read, asked: DateRange) -> None:
    st.subheader("One contract")
    asked_for = st.text_input(
        "Contract", key="contract", max_chars=64, placeholder="such as HNH579912", bind="query-params"
    )
    contract = (asked_for or "").strip().upper()
    if not contract:
        return
    rows = read(viewing.one_contract(contract))
    if not rows:
        st.info(plain(f"No range has a contract {contract}."))
        return
    show_sheet(viewing.sheet_of_contract(rows))
    try:
        days = read(viewing.days_of_contract(contract, asked))
    except MissingTableError:
        st.info(
            'Its days are in the lake, and not among the exports: with `export_also = ["viewing_daily"]` under '
            "`[viewing]` of the place's configuration, a run exports them too."
        )
        return
    if days:
        show_chart(viewing.chart_of_days(days))
    else:
        st.info(plain(f"{contract} watched nothing in {asked}."))


def sales_overview(results: Results, read: Read) -> None:
    st.header("Sales")
    columns = st.columns([7, 7, 6, 6, 4])
    with columns[0]:
        asked = pick_range(read, "sales_summary")
    with columns[1]:
        days = pick_days(asked)
    with columns[2]:
        categories = pick_many(
            "Category", "category", _choices(read, sales.choices("sales_by_category", "category", asked))
        )
    with columns[3]:
        countries = pick_many("Country", "country", _choices(read, sales.choices("sales_by_country", "country", asked)))
    with columns[4]:
        top = st.slider("Top N products", 3, sales.MOST_PRODUCTS, 10, key="top", bind="query-params")
    show_coverage(read, "sales", days)
    shop = sales.shop(read, sales.Filters(asked, days, categories, countries), top)
    if not shop.figures:
        raise NothingThereError("Nothing was sold of this selection. Take a filter away.")
    show_section(shop, title=False)


def _choices(read: Read, query: Query) -> list[str]:
    return [row["choice"] for row in read(query)]


def sales_customers(results: Results, read: Read) -> None:
    st.header("Customers and baskets")
    asked = pick_range(read, "sales_summary")
    show_coverage(read, "sales", asked)
    _show_tabs(
        read, asked, {"Cohorts": _cohorts, "RFM": _rfm, "Lifetime value": _lifetime, "Bought together": _baskets}
    )


def _show_tabs(read: Read, asked: DateRange, tabs: Mapping[str, Callable[[Read, DateRange], None]]) -> None:
    """The one that is open is read, and no other."""
    shown = st.tabs(list(tabs), key="tab", on_change="rerun", bind="query-params")
    for tab, show in zip(shown, tabs.values(), strict=True):
        if tab.open:
            with tab:
                show(read, asked)


def _cohorts(read: Read, asked: DateRange) -> None:
    measure = st.segmented_control(
        "Shade by", list(sales.SPENDING), default="Retention", required=True, key="shade", bind="query-params"
    )
    rows = read(sales.cohorts(asked))
    if rows:
        show_chart(sales.cohort_chart(rows, measure or "Retention"))
    else:
        st.info("There is no cohort in this range.")


def _rfm(read: Read, asked: DateRange) -> None:
    countries = pick_many("Country", "country", _choices(read, sales.choices("sales_by_country", "country", asked)))
    scores = read(sales.rfm_map(asked, countries))
    if not scores:
        st.info("No customer bought anything in this selection. Take a filter away.")
        return
    for column, chart in zip(st.columns(2), sales.rfm_chart(scores), strict=True):
        with column:
            show_chart(chart)


def _lifetime(read: Read, asked: DateRange) -> None:
    left, right = st.columns(2)
    with left:
        countries = pick_many("Country", "country", _choices(read, sales.choices("sales_by_country", "country", asked)))
    with right:
        top = st.slider("Customers listed", 5, 50, 10, key="top", bind="query-params")
    show_section(sales.lifetime(read, asked, countries, top), title=False)


def _baskets(read: Read, asked: DateRange) -> None:
    left, right = st.columns(2)
    with left:
        categories = pick_many(
            "Category of either product",
            "category",
            _choices(read, sales.choices("sales_by_category", "category", asked)),
        )
    with right:
        top = st.slider("Pairs", 5, 50, 10, key="top", bind="query-params")
    show_section(sales.baskets(read(sales.pairs(asked, categories, top))), title=False, columns=1)


def rental_overview(results: Results, read: Read) -> None:
    st.header("Rental")
    asked = pick_range(read, "rental_revenue")
    show_coverage(read, "rental", asked)
    _show_tabs(read, asked, {"Revenue": _revenue, "Overdue": _overdue, "Utilisation": _utilisation})


def _revenue(read: Read, asked: DateRange) -> None:
    columns = st.columns(3)
    with columns[0]:
        stores = pick_many("Store", "store", _choices(read, rental.choices("store_id", asked)))
    with columns[1]:
        categories = pick_many("Category", "category", _choices(read, rental.choices("category", asked)))
    with columns[2]:
        countries = pick_many("Country", "country", _choices(read, rental.choices("country", asked)))
    revenue = rental.revenue(read, rental.Filters(asked, stores, categories, countries))
    if revenue.figures:
        show_section(revenue, title=False)
    else:
        st.info("There is no payment of this selection. Take a filter away.")


def _overdue(read: Read, asked: DateRange) -> None:
    stores = pick_many("Store", "store", _choices(read, rental.choices("store_id", asked)))
    show_section(rental.late(read, asked, stores), title=False, columns=1)


def _utilisation(read: Read, asked: DateRange) -> None:
    left, right = st.columns(2)
    with left:
        categories = pick_many("Category", "category", _choices(read, rental.choices("category", asked)))
    with right:
        top = st.slider("Films", 5, 30, 10, key="films", bind="query-params")
    use = rental.use(read, asked, categories, top)
    if use.figures:
        show_section(use, title=False)
    else:
        st.info("There is no copy of a film of this selection. Take a filter away.")


def data_quality(results: Results, read: Read) -> None:
    st.header("Data quality")
    found = {row["pipeline"]: row for row in read(quality.pipelines())}
    if not found:
        raise NothingThereError("load_audit is there and has no row yet.")
    left, right = st.columns(2)
    jobs = sorted(found, key=lambda one: (one != "viewing", one))
    with left:
        pipeline = st.selectbox("Job", jobs, key="job", bind="query-params") or jobs[0]
    there = DateRange(found[pipeline]["first_day"], found[pipeline]["last_day"])
    with right:
        days = pick_days(there, key=f"days_{pipeline.replace('.', '_')}")
    if pipeline in AUDITED:
        show_coverage(read, pipeline, days)
    section = quality.quality(read, pipeline, days)
    if not section.figures:
        raise NothingThereError(section.note)
    if section.figures[-1].value == "NO":
        st.error("The account does not add up: see the reconciliation below.")
    show_section(section, title=False)


def churn_overview(results: Results, read: Read) -> None:
    st.header("Churn")
    data = churn.dataset(read)
    if not data.figures:
        raise NothingThereError("churn_dataset is there and has no row yet.")
    days = churn.web_days(read)
    if days:
        show_coverage(read, "churn.web", days)
    show_section(data, title=False)
    st.divider()
    asked = pick_range(read, "churn_evaluation")
    show_section(churn.models(read, asked))


def forecast_overview(results: Results, read: Read) -> None:
    st.header("Forecast")
    asked = pick_range(read, "demand_forecast")
    for pipeline in forecast.audited(read, asked):
        show_coverage(read, pipeline, asked)
    glance = forecast.glance(read, asked)
    if not glance.figures:
        raise NothingThereError(f"Nothing was forecast of {asked}.")
    show_section(glance, title=False)
    _show_tabs(
        read,
        asked,
        {
            "Series": _one_series,
            "Back-test": _backtest,
            "To order": partial(_to_order, results),
            "Reasons": _reasons,
        },
    )


def _one_series(read: Read, asked: DateRange) -> None:
    left, right = st.columns(2)
    with left:
        level = _pick_one("Level", "level", list(forecast.levels(read, asked)))
    with right:
        series = _pick_one("Series", "series", _choices(read, forecast.choices(asked, level)))
    show_chart(forecast.chart_of(read, asked, level, series))


def _pick_one(label: str, key: str, options: Sequence[str]) -> str:
    return st.selectbox(label, options, key=key, bind="query-params") or options[0]


def _backtest(read: Read, asked: DateRange) -> None:
    show_section(forecast.backtest(read, asked), title=False)


def _to_order(results: Results, read: Read, asked: DateRange) -> None:
    if not forecast.has_products(forecast.levels(read, asked)):
        st.info(plain(forecast.NO_PRODUCTS))
        return
    left, right = st.columns(2)
    with left:
        categories = pick_many("Category", "category", _choices(read, forecast.categories(asked)))
    with right:
        top = st.slider("Products listed", 5, forecast.MOST_ORDERS, 20, key="top", bind="query-params")
    show_section(forecast.order_list(read, asked, categories, top), title=False)
    _offer_csv(
        lambda: results.rows(forecast.orders(asked, categories, forecast.MOST_DOWNLOADED)),
        forecast.DOWNLOADED,
        f"replenishment_{asked.start}_{asked.end}.csv",
        asked,
        f"The products of the selection, the {forecast.MOST_DOWNLOADED:,} of which most is to be ordered at the most.",
    )


def _reasons(read: Read, asked: DateRange) -> None:
    show_section(forecast.reasons(read, asked), title=False)


def about(results: Results, read: Read) -> None:
    st.header("What the numbers mean")
    st.caption(plain(f"Read from {results.place}."))
    for title, words in (
        ("Viewing", viewing.DEFINITIONS),
        ("Sales", sales.DEFINITIONS),
        ("Rental", rental.DEFINITIONS),
        ("Churn", churn.DEFINITIONS),
        ("Forecast", forecast.DEFINITIONS),
        ("Data quality", quality.DEFINITIONS),
    ):
        st.subheader(title)
        st.markdown("\n".join(f"- **{plain(name)}**: {plain(meaning)}" for name, meaning in words.items()))
