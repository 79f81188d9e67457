"""How figures, charts and sheets are put on the screen, and filters that live in the URL."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import EtlError
from etl_spark.dashboard import quality
from etl_spark.dashboard.catalog import COMMANDS, MADE_BY
from etl_spark.dashboard.queries import ranges
from etl_spark.dashboard.results import RESULTS_VARIABLE, URL_VARIABLE, MissingTableError, Place, Query, Results, Rows
from etl_spark.dashboard.shown import NOTHING, Chart, Figure, Kind, Read, Section, Sheet, written

_LOGGER = logging.getLogger("etl_spark.dashboard")
_CHART: dict[str, Any] = {"displayModeBar": False}

_ROWS_IN_FULL = 24
"""A sheet of more rows scrolls."""

Show = Callable[[Results, Read], None]
"""What puts a page on the screen."""


class NothingThereError(EtlError):
    """A page has nothing to show, and says why."""


@st.cache_resource(show_spinner=False)
def _opened(folder: str, url: str) -> Results:
    return Place(Path(folder) if folder else None, url).open()


def results() -> Results:
    """Those that the command was told. Raises EtlError."""
    return _opened(os.environ.get(RESULTS_VARIABLE, "output"), os.environ.get(URL_VARIABLE, ""))


@st.cache_data(show_spinner=False, max_entries=2_000)
def _rows(place: str, version: str, sql: str, parameters: tuple[tuple[str, Any], ...], _results: Results) -> Rows:
    return _results.rows(Query(sql, dict(parameters)))


def reader(opened: Results) -> Read:
    """Reads what `opened` has; what was read of the same version of the tables is not asked for again."""

    def read(query: Query) -> Rows:
        version = opened.version(query.tables)
        return _rows(opened.place, version, query.sql, tuple(sorted(query.parameters.items())), opened)

    return read


def page(show: Show) -> Callable[[], None]:
    """A page: what goes wrong on it is a sentence, and never a stack trace."""

    def run() -> None:
        try:
            opened = results()
            show(opened, reader(opened))
        except MissingTableError as missing:
            st.info(
                f"The table {missing.table} is not there yet. The job {MADE_BY[missing.table]} makes it:",
                icon=":material/info:",
            )
            st.code(missing.command, language="bash")
        except NothingThereError as nothing:
            st.info(plain(str(nothing)))
        except EtlError as error:
            st.error(plain(str(error)))
        except Exception:
            _LOGGER.exception("a page failed")
            st.error("This page could not be shown. Why is in what the command has written.")

    return run


def plain(text: str) -> str:
    """`text` as Markdown that shows just that."""
    return "".join(f"\\{char}" if char in r"\`*_{}[]()<>#+-.!|~$:&" else char for char in text)


def pick_range(read: Read, table: str) -> DateRange:
    """The range that is looked at, of those that `table` has results of.

    Raises NothingThereError where there is none.
    """
    found = ranges(read, table)
    if not found:
        raise NothingThereError(
            f"{table} is there and has no row yet. A run makes some, as in: {COMMANDS[MADE_BY[table]]}"
        )
    by_name = {str(one): one for one in found}
    chosen = st.selectbox("Range", list(by_name), key="range", bind="query-params")
    return by_name.get(chosen or "", found[0])


def pick_many(label: str, key: str, options: Sequence[str]) -> tuple[str, ...]:
    """Those of `options` that are chosen; none of them is all."""
    return tuple(st.multiselect(label, list(options), key=key, placeholder="All", bind="query-params"))


def pick_days(asked: DateRange, key: str = "days") -> DateRange:
    """Days within `asked`."""
    chosen = st.date_input(
        "Days",
        (asked.start, asked.end),
        min_value=asked.start,
        max_value=asked.end,
        key=key,
        format="YYYY-MM-DD",
        bind="query-params",
    )
    # While the second day is not chosen yet, the first one is the range.
    days = [one for one in (chosen if isinstance(chosen, tuple) else (chosen,)) if isinstance(one, date)]
    return DateRange(min(days), max(days)) if days else asked


def show_coverage(read: Read, pipeline: str, asked: DateRange) -> None:
    """A banner where days of the range are missing."""
    found = quality.coverage(read, pipeline, asked)
    if found.missing:
        st.warning(plain(found.says), icon=":material/warning:")
    elif not found.is_known:
        st.info(plain(found.says))
    else:
        st.caption(plain(found.says))


def show_figures(figures: Sequence[Figure]) -> None:
    """Cards side by side; in a narrow window they wrap."""
    with st.container(horizontal=True, gap="small"):
        for figure in figures:
            st.metric(
                plain(figure.name),
                figure.value,
                figure.change or None,
                help=plain(figure.explained) or None,
                border=True,
                width=190,
            )


def show_section(section: Section, *, title: bool = True, columns: int = 2) -> None:
    """Heading, cards, charts side by side, and sheets."""
    if title:
        st.subheader(plain(section.title))
    if section.figures:
        show_figures(section.figures)
    if section.note:
        st.caption(plain(section.note))
    for first in range(0, len(section.charts), columns):
        pair = section.charts[first : first + columns]
        for column, chart in zip(st.columns(len(pair)), pair, strict=True):
            with column:
                show_chart(chart)
    for sheet in section.sheets:
        show_sheet(sheet)


def show_chart(chart: Chart) -> None:
    with st.container(border=True):
        st.markdown(f"**{plain(chart.title)}**")
        st.plotly_chart(chart.plot, config=_CHART, alt=chart.alt, key=f"chart: {chart.title}")
        if chart.note:
            st.caption(plain(chart.note))


def show_sheet(sheet: Sheet) -> None:
    """Sorted by its numbers where a heading is clicked, whatever they are written like."""
    st.markdown(f"**{plain(sheet.title)}**")
    if sheet.note:
        st.caption(plain(sheet.note))
    frame = pd.DataFrame(
        {heading: [_sortable(row[name]) for row in sheet.rows] for name, (heading, _) in sheet.columns.items()}
    )
    shown = frame.style.format({heading: partial(_written, kind) for heading, kind in sheet.columns.values()})
    right = st.column_config.Column(alignment="right")
    numbers = {heading: right for heading, kind in sheet.columns.values() if kind not in ("text", "day")}
    height: Any = "content" if len(sheet.rows) <= _ROWS_IN_FULL else "auto"
    st.dataframe(shown, hide_index=True, column_config=numbers, height=height, placeholder=NOTHING, alt=sheet.title)


def _sortable(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _written(kind: Kind, value: Any) -> str:
    return written(None if pd.isna(value) else value, kind)
