"""The pages by subject, as Streamlit runs them."""

from __future__ import annotations

import streamlit as st

from etl_spark.core.errors import EtlError
from etl_spark.dashboard import pages, screen

# The room of wide margins is that of a fifth card.
_STYLE = "<style>.stMainBlockContainer { padding: 3rem 2rem 2rem; }</style>"


def _page(show: screen.Show, title: str, path: str, icon: str) -> st.Page:
    return st.Page(screen.page(show), title=title, url_path=path, icon=f":material/{icon}:")


_PAGES = {
    "Viewing": (
        _page(pages.viewing_overview, "Overview", "viewing", "tv"),
        _page(pages.viewing_detail, "Detail", "viewing_detail", "person_search"),
    ),
    "Sales": (
        _page(pages.sales_overview, "Sales", "sales", "shopping_cart"),
        _page(pages.sales_customers, "Customers and baskets", "customers", "groups"),
    ),
    "Rental": (_page(pages.rental_overview, "Rental", "rental", "movie"),),
    "Foresight": (
        _page(pages.churn_overview, "Churn", "churn", "logout"),
        _page(pages.forecast_overview, "Forecast", "forecast", "trending_up"),
    ),
    "Data": (
        _page(pages.data_quality, "Data quality", "quality", "fact_check"),
        _page(pages.about, "Definitions", "definitions", "menu_book"),
    ),
}
_FIRST = {
    "viewing_profile": "Viewing",
    "sales_summary": "Sales",
    "rental_revenue": "Rental",
    "churn_dataset": "Foresight",
}
"""The subject that is shown at first, by the table that must be there."""


def _start() -> None:
    """The first subject that has results. Every page has an address of its own, which this one is not."""
    try:
        found = screen.results()
        subject = next((subject for table, subject in _FIRST.items() if found.has(table)), "Viewing")
    except EtlError:
        subject = "Viewing"
    st.switch_page(_PAGES[subject][0])


st.set_page_config(page_icon="📊", layout="wide")
st.html(_STYLE)
st.navigation({"": [st.Page(_start, default=True, visibility="hidden")], **_PAGES}).run()
