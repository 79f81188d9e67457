"""All questions that the pages and reports ask of results, with every filter at work and with none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from etl_spark.core.dates import DateRange
from etl_spark.dashboard import churn, forecast, quality, queries, rental, sales, viewing
from etl_spark.dashboard.results import Query
from tests.dashboard.demand import FILMS, PRODUCTS

APRIL = DateRange(date(2022, 4, 1), date(2022, 4, 30))
SECOND_HALF = DateRange(date(2022, 4, 16), date(2022, 4, 30))
QUARTER = DateRange(date(2024, 1, 1), date(2024, 3, 31))
YEAR = DateRange(date(2022, 1, 1), date(2022, 12, 31))
SNAPSHOTS = DateRange(date(2024, 4, 1), date(2024, 6, 30))

EVERYBODY = viewing.Picked()
SOME = viewing.Picked(("Loyal", "Valuable"), ("TV", "Movie"), "TV-Movie")
ALL_SALES = sales.Filters(QUARTER, QUARTER)
DAYS = sales.Filters(QUARTER, DateRange(date(2024, 2, 1), date(2024, 2, 29)))
FILTERED = sales.Filters(QUARTER, DAYS.days, ("Kitchen", "Electronics"), ("Japan", "(unknown)"))
PAYMENTS = rental.Filters(YEAR, ("1",), ("Action", "(unknown)"), ("Japan", "Germany"))

QUESTIONS: Mapping[str, Query] = {
    "ranges": Query("SELECT DISTINCT t.start_date AS start_date, t.end_date AS end_date FROM viewing_profile t"),
    "summary": viewing.summary(APRIL),
    "before": viewing.before(SECOND_HALF),
    "by_day": viewing.by_day(APRIL, ()),
    "by_day of Movie": viewing.by_day(SECOND_HALF, ("Movie",)),
    "segments": viewing.segments_there(APRIL),
    **{
        f"{name} of {whom}": ask(SECOND_HALF, picked)
        for whom, picked in (("everybody", EVERYBODY), ("some", SOME))
        for name, ask in (
            ("activity", viewing.activity),
            ("most_watched", viewing.most_watched),
            ("seconds_by_category", viewing.seconds_by_category),
            ("tastes", viewing.tastes),
            ("moves", viewing.moves),
            ("segment_moves", viewing.segment_moves),
        )
    },
    "users": viewing.users(APRIL, SOME, 20),
    "one_contract": viewing.one_contract("CTH100091"),
    **{
        f"{name} of {which}": ask(filters)
        for which, filters in (("all", ALL_SALES), ("days", DAYS), ("filtered", FILTERED))
        for name, ask in (
            ("by_day", sales.by_day),
            ("by_country", sales.by_country),
            ("by_product", sales.by_product),
        )
    },
    "categories": sales.choices("sales_by_category", "category", QUARTER),
    "cohorts": sales.cohorts(QUARTER),
    "rfm": sales.rfm_map(QUARTER, ()),
    "rfm of Japan": sales.rfm_map(QUARTER, ("Japan",)),
    "lifetime": sales.lifetime_bins(QUARTER, ()),
    "lifetime of Japan": sales.lifetime_bins(QUARTER, ("Japan",)),
    "lifetime_top": sales.lifetime_top(QUARTER, ("Japan", "Spain"), 10),
    "lifetime_model": sales.lifetime_model(QUARTER),
    "pairs": sales.pairs(QUARTER, (), 10),
    "pairs of Kitchen": sales.pairs(QUARTER, ("Kitchen",), 10),
    **{
        f"revenue by {column}, {which}": rental.revenue_by(column, filters)
        for which, filters in (("all", rental.Filters(YEAR)), ("filtered", PAYMENTS))
        for column in ("month", "store_id", "category", "country")
    },
    "stores": rental.choices("store_id", YEAR),
    "open": rental.open_rentals(YEAR, ()),
    "overdue": rental.overdue(YEAR, ("2",), 100),
    "ages": rental.overdue_by_age(YEAR, ()),
    "use": rental.use_of_all(YEAR, ()),
    "use of Action": rental.use_of_all(YEAR, ("Action",)),
    "films": rental.use_by_film(YEAR, ("Action",), 10),
    "least used": rental.use_by_film(YEAR, (), 10, least_used=True),
    "spread": rental.spread_of_use(YEAR, ()),
    "pipelines": quality.pipelines(),
    "audited days": queries.audited_days("rental", YEAR),
    "account": quality.account("viewing", APRIL),
    "account of sales": quality.account("sales", QUARTER),
    "audit by day": quality.by_day("sales", QUARTER, ("orders",)),
    "reasons": quality.by_reason("viewing", APRIL),
    "snapshots": churn.snapshots(),
    "drift": churn.drifting(10),
    "evaluation": churn.evaluation(SNAPSHOTS),
    "calibration": churn.calibration(SNAPSHOTS),
    "levels": forecast.levels_there(PRODUCTS),
    "series": forecast.choices(PRODUCTS, "product"),
    "series history": forecast.history(PRODUCTS, "product", "K4"),
    "coming": forecast.coming(PRODUCTS, "category", "Garden"),
    "errors by level": forecast.errors(PRODUCTS, "level"),
    "errors by model": forecast.errors(PRODUCTS, "model", "product", model=""),
    "errors by origin": forecast.errors(FILMS, "origin_date", "film_category"),
    "errors by series": forecast.errors(PRODUCTS, "series", "product"),
    "models": forecast.models_there(PRODUCTS, "product"),
    "reasons of series": forecast.reasons_there(PRODUCTS, "product"),
    "categories to order": forecast.categories(PRODUCTS),
    "to order": forecast.ordered(PRODUCTS, ()),
    "to order of Kitchen": forecast.ordered(PRODUCTS, ("Kitchen", "(unknown)")),
    "orders": forecast.orders(PRODUCTS, (), 20),
    "orders of Kitchen": forecast.orders(PRODUCTS, ("Kitchen",), 2),
}
