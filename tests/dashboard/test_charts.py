"""Charts and numbers: axes with titles, one palette, text that is no HTML, figures as people write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest

from etl_spark.core.dates import DateRange
from etl_spark.dashboard import charts, churn, forecast, rental, sales, shown, viewing
from etl_spark.dashboard.queries import ranges
from etl_spark.dashboard.results import Results
from etl_spark.dashboard.shown import Chart, Read, Section
from tests.dashboard.demand import FILMS, PRODUCTS
from tests.dashboard.questions import ALL_SALES, APRIL, FILTERED, QUARTER, SECOND_HALF, SNAPSHOTS, YEAR

pytestmark = pytest.mark.default_spark

SECTIONS: dict[str, Callable[[Read], Sequence[Section]]] = {
    "overview": lambda read: viewing.overview(read, APRIL).sections,
    "second half": lambda read: viewing.overview(read, SECOND_HALF, ("Movie",)).sections,
    "detail": lambda read: [
        (one := viewing.detail(read, SECOND_HALF, viewing.Picked(("Loyal",)), ranges(read, "viewing_profile"))).who,
        one.moved,
    ],
    "shop": lambda read: [sales.shop(read, ALL_SALES, 10), sales.shop(read, FILTERED, 3)],
    "customers": lambda read: [
        Section("", charts=[sales.cohort_chart(read(sales.cohorts(QUARTER)), one) for one in sales.SPENDING]),
        Section("", charts=sales.rfm_chart(read(sales.rfm_map(QUARTER, ())))),
        sales.lifetime(read, QUARTER, ("Japan",), 5),
        sales.baskets(read(sales.pairs(QUARTER, (), 10))),
    ],
    "rental": lambda read: [
        rental.revenue(read, rental.Filters(YEAR)),
        rental.late(read, YEAR, ()),
        rental.use(read, YEAR, ("Action",), 5),
    ],
    "churn": lambda read: [churn.dataset(read), churn.models(read, SNAPSHOTS)],
    "forecast": lambda read: [forecast.backtest(read, PRODUCTS), forecast.outlook(read, PRODUCTS)],
}


@pytest.mark.parametrize("subject", SECTIONS)
def test_each_chart_says_what_it_shows(subject: str, parquet: Results) -> None:
    found: list[Chart] = [chart for section in SECTIONS[subject](parquet.rows) for chart in section.charts]
    assert found
    assert len({chart.title for chart in found}) == len(found) or subject == "shop"
    for chart in found:
        layout = chart.plot.layout
        assert chart.title
        assert layout.title.text is None, "it stands above the chart"
        assert layout.xaxis.title.text, chart.title
        assert layout.yaxis.title.text, chart.title
        for trace in chart.plot.data:
            if trace.type == "heatmap":
                assert trace.colorbar.title.text, chart.title


def contrast(one: str, other: str) -> float:
    """By WCAG's formula, of two colours #rrggbb."""

    def luminance(colour: str) -> float:
        parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("background", ["#ffffff", "#0e1117"])
def test_every_colour_is_seen_on_light_and_dark(background: str) -> None:
    for name, colour in charts.COLOURS.items():
        assert contrast(colour, background) >= 2, name


def test_categories_and_segments_have_colours_of_their_own() -> None:
    for names in (viewing.CATEGORIES, viewing.SEGMENTS):
        assert len({charts.COLOURS[name] for name in names}) == len(names)


WICKED = "<script>alert(1)</script><b>bold</b>"


def test_text_of_the_data_is_no_html() -> None:
    rows = [{"name": WICKED, "value": 3}]
    days = ([date(2022, 4, 1)], [1])
    plots = [
        charts.bars(rows, "name", "value", x="Users", y="Name"),
        charts.histogram([(WICKED, 3)], x="Users", y="Name"),
        charts.lines({WICKED: days, "b": days}, x="Day", y="Users"),
        charts.stacked_days({WICKED: days}, x="Day", y="Users"),
        charts.bands({"a": days}, {WICKED: (*days, [2])}, x="Day", y="Pieces"),
        charts.heat_map(
            [WICKED],
            [WICKED],
            {(WICKED, WICKED): 1},
            x="To",
            y="From",
            scale="Users",
            shown={(WICKED, WICKED): WICKED},
            hover={(WICKED, WICKED): WICKED},
        ),
    ]
    for plot in plots:
        text = json.dumps(plot.to_plotly_json(), default=str)
        assert "<script>" not in text
        assert "<b>" not in text
        assert "&lt;script&gt;" in text


def test_an_axis_of_few_has_whole_numbers_and_one_of_many_is_short() -> None:
    def ticks(value: float) -> tuple[str, object]:
        axis = charts.bars([{"name": "a", "value": value}], "name", "value", x="Rows", y="Name").layout.xaxis
        return axis.tickformat, axis.dtick

    assert ticks(3) == (",d", 1)
    assert ticks(0.25) == (",.6~g", None)
    assert ticks(999) == (",.6~g", None)
    assert ticks(1_900_000) == ("~s", None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (shown.count(1_069), "1,069"),
        (shown.count(1_920_546), "1.92 M"),
        (shown.count(None), "–"),  # noqa: RUF001
        (shown.money(Decimal("12345.6")), "12,345.60"),
        (shown.money(Decimal("-17984.82")), "-17,984.82"),
        (shown.money(Decimal("1480915437.19")), "1.48 bn"),
        (shown.hours(325_403_471), "90,389.9"),
        (shown.percent(Decimal("0.12345")), "12.3 %"),
        (shown.percent(None), "–"),  # noqa: RUF001
        (shown.change(110, 100), "+10.0 %"),
        (shown.change(90, 100), "-10.0 %"),
        (shown.change(90, 0), ""),
        (shown.written(Decimal("0.5"), "percent"), "50.0 %"),
        (shown.written(7_200, "hours"), "2.0"),
        (shown.written(date(2022, 4, 1), "day"), "2022-04-01"),
        (shown.written(None, "money"), "–"),  # noqa: RUF001
        (shown.written(2.0, "count"), "2"),
        (shown.written(Decimal("1234.56"), "pieces"), "1,234.6"),
        (charts.short(54_769), "54.8k"),
        (charts.short(1_920_546), "1.92M"),
        (charts.short(0.5514), "0.55"),
        (charts.short(200), "200"),
    ],
)
def test_numbers_are_written_for_people(written: str, expected: str) -> None:
    assert written == expected


def test_days_are_listed_in_runs() -> None:
    days = [date(2022, 4, 3), *(date(2022, 4, 7) + timedelta(days=n) for n in range(3))]
    assert shown.listed(days) == "2022-04-03, 2022-04-07 to 2022-04-09"
    apart = [date(2022, 1, 1) + timedelta(days=2 * n) for n in range(9)]
    assert shown.listed(apart).endswith("2022-01-11, and 3 more")


def test_bands_lie_between_their_bounds_and_behind_the_lines(parquet: Results) -> None:
    days = [date(2025, 3, 1), date(2025, 3, 2)]
    plot = charts.bands(
        {"Asked for": (days, [5, 6])}, {"95 % bounds": (days, [1, 2], [9, 8]), "80 % bounds": (days, [3, 4], [7, 6])},
        x="Day", y="Pieces",
    )  # fmt: skip
    low, high, _, narrow, line = plot.data
    assert (list(low.y), list(high.y), high.fill) == ([1, 2], [9, 8], "tonexty")
    assert list(high.customdata) == [1, 2], "both stand beside the pointer"
    assert high.fillcolor != narrow.fillcolor
    assert line.name == "Asked for"
    _, high, *_ = forecast.chart_of(parquet.rows, FILMS, "total", "(all)").plot.data
    assert high.error_y.arrayminus[0] > 0, "of a single day an area has no width"


def test_bars_below_zero_may_have_a_colour_of_their_own() -> None:
    rows = [{"name": "a", "value": 3}, {"name": "b", "value": -3}, {"name": "c", "value": 0}]
    plot = charts.bars(rows, "name", "value", x="Better, %", y="Name", below_zero=charts.VERMILION)
    assert plot.data[0].marker.color == (charts.BLUE, charts.VERMILION, charts.BLUE)


def test_two_years_of_weeks_have_years_on_their_axis() -> None:
    weeks = [date(2023, 1, 2) + timedelta(days=7 * place) for place in range(104)]
    plot = charts.lines({"a": (weeks, list(range(104)))}, x="Week", y="Pieces")
    assert plot.layout.xaxis.tickformat == "%b %Y"


def test_who_is_active_every_day_is_in_the_last_tenth() -> None:
    rows = [{"active_days": 30, "users": 2}, {"active_days": 3, "users": 5}, {"active_days": 2, "users": 7}]
    bins = viewing.activeness_chart(rows, 30).plot.data[0].y
    assert list(bins) == [7, 5, 0, 0, 0, 0, 0, 0, 0, 2]


def test_a_range_of_one_day_has_a_chart() -> None:
    one = DateRange(date(2022, 4, 1), date(2022, 4, 1))
    plot = charts.lines({"All": ([one.start], [642])}, x="Day", y="Viewers")
    assert plot.data[0].mode == "lines+markers"
    assert viewing.activeness_chart([{"active_days": 1, "users": 4}], 1).plot.data[0].y[9] == 4
