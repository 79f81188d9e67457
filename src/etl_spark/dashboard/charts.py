"""Charts of rows: pure functions to Plotly figures, with titles and units on every axis.

One palette for all of them, Okabe and Ito's, which people of any colour vision can tell apart; areas are shaded by
cividis, whose lightness grows evenly. All text of the data is escaped: Plotly would take it for HTML.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import plotly.graph_objects as go

from etl_spark.dashboard.results import Row, Rows

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY = "#CC79A7", "#56B4E9", "#8C8C8C"
COLOURS: Mapping[str, str] = {
    "TV": BLUE,
    "Movie": ORANGE,
    "Child": GREEN,
    "Relax": PURPLE,
    "Sport": VERMILION,
    "All": GREY,
    "At Risk": VERMILION,
    "Need Attention": ORANGE,
    "Valuable": SKY,
    "Loyal": BLUE,
    "New": GREEN,
    "Lost": VERMILION,
    "Changed": ORANGE,
    "Unchanged": GREY,
    "Asked for": BLUE,
    "Expected": ORANGE,
    "accepted": BLUE,
    "rejected": VERMILION,
}
"""What has a colour of its own wherever it is shown."""
_OTHERS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, GREY)

_LONGEST = 24
"""Characters of a label; what is longer is cut there, and whole where one points at it."""

Series = Mapping[str, tuple[Sequence[Any], Sequence[Any]]]
"""x and y of each series, by its name."""

Bounds = Mapping[str, tuple[Sequence[Any], Sequence[Any], Sequence[Any]]]
"""x, lower and upper bound of each band, by its name, the widest first."""


def lines(series: Series, *, x: str, y: str, unit: str = "", points: bool = False) -> go.Figure:
    """One line per series over time; `x` and `y` are the titles of the axes, `unit` is said after a value."""
    return _over_time(_line_traces(series, unit, points=points), series, x, y)


def bands(series: Series, bounds: Bounds, *, x: str, y: str, unit: str = "") -> go.Figure:
    """Lines as of lines(), before an area between the bounds of each band, each of a stronger orange."""
    areas = [
        trace
        for place, (name, of_band) in enumerate(bounds.items(), 1)
        for trace in _area(name, *of_band, shade=f"rgba(230,159,0,{place / 5})")
    ]
    return _over_time([*areas, *_line_traces(series, unit)], series, x, y)


def _area(
    name: str, xs: Sequence[Any], lows: Sequence[Any], highs: Sequence[Any], *, shade: str
) -> tuple[go.Scatter, go.Scatter]:
    """The lower bound, and the upper one with the area down to it and what stands beside the pointer of both."""
    low, high = _numbers(lows), _numbers(highs)
    unseen = {"mode": "lines", "line": {"width": 0}, "x": list(xs)}
    upper = go.Scatter(
        y=high,
        name=_text(name),
        fill="tonexty",
        fillcolor=shade,
        customdata=low,
        hovertemplate="%{customdata:,.2~f} to %{y:,.2~f}",
        **unseen,
    )
    if len(xs) == 1:
        # Between two points there is no area.
        down = [(top or 0) - (bottom or 0) for bottom, top in zip(low, high, strict=True)]
        upper.error_y = {"array": [0], "arrayminus": down, "color": shade, "thickness": 12, "width": 0}
    return go.Scatter(y=low, hoverinfo="skip", showlegend=False, **unseen), upper


def _line_traces(series: Series, unit: str, *, points: bool = False) -> list[go.Scatter]:
    return [
        go.Scatter(
            x=list(xs),
            y=_numbers(ys),
            name=_text(name),
            mode="lines+markers" if points or len(xs) < 3 else "lines",
            line={"color": colour(name, place), "width": 2},
            hovertemplate=f"%{{y:,.2~f}}{_said(unit)}",
        )
        for place, (name, (xs, ys)) in enumerate(series.items())
    ]


def _over_time(traces: Sequence[go.Scatter], series: Series, x: str, y: str) -> go.Figure:
    plot = go.Figure(traces)
    plot.update_layout(hovermode="x unified")
    _days(plot, [day for xs, _ in series.values() for day in xs])
    return _framed(plot, x, y, legend=len(traces) > 1)


def stacked_days(series: Series, *, x: str, y: str, unit: str = "") -> go.Figure:
    """One bar per day, made up of the series."""
    plot = go.Figure(
        [
            go.Bar(
                x=list(xs),
                y=_numbers(ys),
                name=_text(name),
                marker={"color": colour(name, place), "line": {"width": 0}},
                hovertemplate=f"%{{y:,.2~f}}{_said(unit)}",
            )
            for place, (name, (xs, ys)) in enumerate(series.items())
        ]
    )
    plot.update_layout(barmode="stack", hovermode="x unified", bargap=0.15)
    _days(plot, [day for xs, _ in series.values() for day in xs])
    return _framed(plot, x, y, legend=len(series) > 1)


def bars(
    rows: Rows,
    name: str,
    value: str,
    *,
    x: str,
    y: str,
    unit: str = "",
    colours: bool = False,
    one_colour: str = BLUE,
    below_zero: str = "",
    longest: int = _LONGEST,
) -> go.Figure:
    """One lying bar per row, the first on top, with its value beside it; `x` is the title of the values.

    They are of `one_colour`, or of `colours` by their names; those less than 0 of `below_zero`, where that is given.
    """
    names = [_text(row[name]) for row in rows]
    labels = [_cut(str(row[name]), longest) for row in rows]
    values = _numbers([row[value] for row in rows])
    shades = [colour(str(row[name]), 0) if colours else one_colour for row in rows]
    signed = [0.0, *(number for number in values if number is not None)]
    if below_zero:
        shades = [below_zero if number and number < 0 else one for number, one in zip(values, shades, strict=True)]
    plot = go.Figure(
        go.Bar(
            # The place, and not the name: two products may have the same one.
            y=list(range(len(names))),
            x=values,
            orientation="h",
            customdata=names,
            marker={"color": shades},
            text=[short(number) for number in values],
            textposition="auto",
            textangle=0,
            hovertemplate=f"%{{customdata}}: %{{x:,.2~f}}{_said(unit)}<extra></extra>",
        )
    )
    plot.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=[_text(label) for label in labels],
        autorange="reversed",
        showgrid=False,
    )
    framed = _framed(plot, x, y, height=max(220, 90 + 26 * len(names)), labels=labels)
    if min(signed) < 0:
        # Room for what stands beside a short bar on either side of 0.
        room = (max(signed) - min(signed)) / 5
        framed.update_xaxes(range=[min(signed) - room, max(signed) + room])
    return framed


def histogram(bins: Sequence[tuple[str, int | Decimal]], *, x: str, y: str, unit: str = "") -> go.Figure:
    """One bar per bin, side by side; a label may have two lines."""
    labels = [_text(label) for label, _ in bins]
    plot = go.Figure(
        go.Bar(
            # The place, and not the label: two Januaries are two bars.
            x=list(range(len(labels))),
            y=_numbers([number for _, number in bins]),
            customdata=[label.replace("\n", " ") for label in labels],
            marker={"color": BLUE},
            hovertemplate=f"%{{customdata}}: %{{y:,.2~f}}{_said(unit)}<extra></extra>",
        )
    )
    plot.update_layout(bargap=0.06)
    plot.update_xaxes(
        tickmode="array",
        tickvals=list(range(len(labels))),
        ticktext=[label.replace("\n", "<br>") for label in labels],
        showgrid=False,
    )
    return _framed(plot, x, y)


def heat_map(
    columns: Sequence[str],
    rows: Sequence[str],
    values: Mapping[tuple[str, str], float | Decimal | int],
    *,
    x: str,
    y: str,
    scale: str,
    shown: Mapping[tuple[str, str], str] | None = None,
    hover: Mapping[tuple[str, str], str] | None = None,
    height: int | None = None,
) -> go.Figure:
    """A shaded field per (row, column) that has a value; `scale` is the title of the shades, with the unit.

    `shown` is written into a field, `hover` beside the pointer.
    """
    fields = [[_number(values.get((row, column))) for column in columns] for row in rows]
    said = [[html.escape((hover or {}).get((row, column), "")) for column in columns] for row in rows]
    texts = [
        [html.escape((shown or {}).get((row, column), "")).replace("\n", "<br>") for column in columns] for row in rows
    ]
    plot = go.Figure(
        go.Heatmap(
            x=list(range(len(columns))),
            y=list(range(len(rows))),
            z=fields,
            text=texts,
            customdata=said,
            texttemplate="%{text}" if shown else None,
            hovertemplate="%{customdata}<extra></extra>" if hover else "%{z:,.2~f}<extra></extra>",
            colorscale="Cividis",
            colorbar={"title": {"text": scale, "side": "right"}, "thickness": 12},
            xgap=1,
            ygap=1,
        )
    )
    plot.update_xaxes(
        tickmode="array",
        tickvals=list(range(len(columns))),
        ticktext=[_text(_cut(name)) for name in columns],
        showgrid=False,
        zeroline=False,
    )
    plot.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(rows))),
        ticktext=[_text(_cut(name)) for name in rows],
        autorange="reversed",
        showgrid=False,
        zeroline=False,
    )
    return _framed(plot, x, y, height=height or max(300, 110 + 22 * len(rows)), labels=[_cut(one) for one in rows])


def colour(name: str, place: int) -> str:
    """That of `name`, or one by its place."""
    return COLOURS.get(name, _OTHERS[place % len(_OTHERS)])


def short(number: float | None) -> str:
    """12.3k, 1.48M: beside a bar there is little room."""
    if number is None:
        return ""
    for least, by, unit in ((1e9, 1e9, "bn"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(number) >= least:
            return f"{number / by:.3g}{unit}"
    return f"{number:,.2f}".rstrip("0").rstrip(".") if abs(number) < 100 else f"{number:,.0f}"


def by_name(rows: Rows, name: str, x: str, y: str, order: Sequence[str] = ()) -> dict[str, tuple[list[Any], list[Any]]]:
    """The rows as series, by the column `name`, in `order`; what stands nowhere in it comes last."""
    names = {str(row[name]) for row in rows}
    ordered = [one for one in order if one in names] + sorted(names - set(order))
    return {one: series([row for row in rows if str(row[name]) == one], x, y) for one in ordered}


def series(rows: Sequence[Row], x: str, y: str) -> tuple[list[Any], list[Any]]:
    """x and y of one series: two columns of the rows."""
    return [row[x] for row in rows], [row[y] for row in rows]


def _framed(
    plot: go.Figure, x: str, y: str, *, legend: bool = False, height: int = 340, labels: Sequence[str] = ()
) -> go.Figure:
    """`labels` stand beside the y axis: its title has its place left of the longest."""
    left = 38 + round(6.6 * max(map(len, labels), default=4))
    plot.update_layout(
        height=height,
        margin={"l": left, "r": 8, "t": 12, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        separators=".,",
        showlegend=legend,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "xanchor": "left", "traceorder": "normal"},
        font={"size": 12},
    )
    plot.update_xaxes(title={"text": x, "standoff": 8}, automargin=True)
    plot.update_yaxes(title={"text": y, "standoff": 10}, automargin=True)
    for axis, numbers in ((plot.update_xaxes, _is_number(plot, "x")), (plot.update_yaxes, _is_number(plot, "y"))):
        if numbers:
            axis(rangemode="tozero", gridcolor="rgba(128,128,128,0.2)", zerolinecolor="#8C8C8C", **_ticks(plot))
    return plot


def _ticks(plot: go.Figure) -> dict[str, Any]:
    """Whole numbers where there are few, 12.5 where they are small, 20k and 1.5M where they are large."""
    values = [abs(value) for one in plot.data for value in (one.x if one.orientation == "h" else one.y) or () if value]
    largest = max(values, default=0)
    if largest <= 5 and all(value == int(value) for value in values):
        return {"tickformat": ",d", "dtick": 1}
    return {"tickformat": "~s" if largest >= 1_000 else ",.6~g"}


def _is_number(plot: go.Figure, axis: str) -> bool:
    """Whether that axis has values: a heat map has none, a lying bar has them along x."""
    first = plot.data[0] if plot.data else None
    if first is None or first.type == "heatmap":
        return False
    lies = getattr(first, "orientation", None) == "h"
    return lies == (axis == "x")


def _days(plot: go.Figure, days: Sequence[Any]) -> None:
    """A tick on each day where there are few; between days there is nothing."""
    found = {day for day in days if isinstance(day, date)}
    if found:
        few, long = len(found) <= 7, (max(found) - min(found)).days > 120
        plot.update_xaxes(
            type="date",
            hoverformat="%a, %d %b %Y",
            tickformat=("%d %b\n%Y" if few else "%b %Y") if long else "%d %b",
            **({"tickmode": "array", "tickvals": sorted(found)} if few else {"nticks": 8}),
        )


def _numbers(values: Sequence[Any]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _cut(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _text(value: Any) -> str:
    return html.escape(str(value))


def _said(unit: str) -> str:
    return f" {unit}" if unit else ""
