"""What Streamlit runs for `etl-spark dashboard`: the pages by subject."""

from __future__ import annotations

import streamlit as st

from etl_spark.core.errors import EtlError
from etl_spark.dashboard import pages, screen


def _first() -> str:
    """The table of the page that is shown first: of the first subject that has results."""
    try:
        found = screen.results()
        return next(
            (one for one in ("viewing_profile", "sales_summary", "rental_revenue", "churn_dataset") if found.has(one)),
            "viewing_profile",
        )
    except EtlError:
        return "viewing_profile"


def run() -> None:
    st.set_page_config(page_title="etl_spark", page_icon="📊", layout="wide")
    first = _first()

    def one(show: screen.Show, title: str, path: str, icon: str, table: str = "") -> st.Page:
        return st.Page(
            screen.page(show),
            title=title,
            url_path=path,
            icon=icon,
            default=table == first,
        )

    st.navigation(
        {
            "Viewing": [
                one(pages.viewing_overview, "Overview", "viewing", ":material/tv:", "viewing_profile"),
                one(pages.viewing_detail, "Detail", "viewing_detail", ":material/person_search:"),
            ],
            "Sales": [
                one(pages.sales_overview, "Sales", "sales", ":material/shopping_cart:", "sales_summary"),
                one(pages.sales_customers, "Customers and baskets", "customers", ":material/groups:"),
            ],
            "Rental": [one(pages.rental_overview, "Rental", "rental", ":material/movie:", "rental_revenue")],
            "Foresight": [
                one(pages.churn_overview, "Churn", "churn", ":material/logout:", "churn_dataset"),
                one(pages.forecast, "Forecast", "forecast", ":material/trending_up:"),
            ],
            "Data": [
                one(pages.data_quality, "Data quality", "quality", ":material/fact_check:"),
                one(pages.about, "Definitions", "definitions", ":material/menu_book:"),
            ],
        }
    ).run()


run()
