"""What is shown of the forecast job: what is expected, how good such forecasts were before, and what to order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from etl_spark.core.dates import DateRange
from etl_spark.dashboard import charts
from etl_spark.dashboard.queries import Condition, of_range, select, within
from etl_spark.dashboard.results import MissingTableError, Query, Row, Rows
from etl_spark.dashboard.shown import (
    NOTHING,
    Chart,
    Figure,
    Kind,
    Read,
    Section,
    Sheet,
    change,
    count,
    day,
    exactly,
    percent,
    ratio,
    sentence,
)

DEFINITIONS: Mapping[str, str] = {
    "Expected pieces": "pieces that are expected in the coming periods; the change is against as many periods before",
    "Level": "what series are of: the total, its categories, countries or stores, and their products or categories of "
    "films; a forecast is the sum of those of its parts",
    "WAPE": "pieces forecast too many or too few, period by period / pieces asked for, over all origins of the "
    "back-test; 0 is best",
    "Back-test": "what runs would have forecast at each of several earlier days, the origins, by what was known then, "
    "against what was asked for after it; closed periods are left out",
    "Seasonal naive": "the simplest model: what was asked for on the same day of the week before, or in the same week "
    "of the year before",
    "Better than naive": "1 - absolute errors / those of the seasonal naive model on the same series and "
    "origins, where that was tried; less than 0 is worse",
    "Bias": "(pieces forecast - pieces asked for) / pieces asked for; more than 0 is too many",
    "Coverage": "share of the periods in which what was asked for lay within the bounds: good ones of 80 reach 80 %",
    "MASE": "mean absolute error / that of the seasonal naive model before the origin, on average; below 1 is better",
    "Safety stock": "pieces more than expected, so that there is enough as often as the service level says",
    "Suggested order": "expected pieces of the days that an order has to last + safety stock - stock",
    "Reached level": "share of such spans of the back-test in which there would have been enough",
    "Reason": "what is special of a series, so that its forecast deserves a look",
}
LEVELS = ("total", "store", "category", "country", "film_category", "product")
"""From the total down; a range has some of them."""
TOTAL, ALL = "total", "(all)"
RECONCILED, SEASONAL_NAIVE = "reconciled", "seasonal_naive"
MODELS: Mapping[str, str] = {
    RECONCILED: "What runs would have forecast",
    SEASONAL_NAIVE: "Seasonal naive",
    "mean": "Mean",
    "theta": "Theta",
    "ets": "Exponential smoothing (ETS)",
    "arima": "ARIMA",
    "median": "Median of Theta, ETS and ARIMA",
    "ets_year": "ETS with the shape of a year ago",
    "croston": "Croston",
    "tsb": "TSB",
    "zero": "Nothing",
}
CLOSED = "closed"
REASONS: Mapping[str, str] = {
    "new": "sold for the first time a short while ago: the mean is all there is to go by",
    "short": "its history is shorter than two seasons: the mean is all there is to go by",
    "intermittent": "most periods are without demand",
    "sold_out": "there is no stock of it: that nothing was sold since tells nothing of what would be asked for",
    "dead": "without demand for so long that none is expected",
    "never_sold": "never sold in the range",
}
NO_PRODUCTS = "There is nothing to order: the forecasts of this range are not of products."
MOST_PARTS = 25
MOST_ORDERS, MOST_DOWNLOADED = 50, 100_000


def levels_there(asked: DateRange) -> Query:
    """A row per level: its series, those of them with a reason, and what is expected of it in how many periods."""
    return select(
        "SELECT d.level, COUNT(DISTINCT d.series) AS series_count, "
        f"COUNT(DISTINCT CASE WHEN d.reason <> '{CLOSED}' THEN d.series END) AS special_count, "
        "SUM(d.quantity) AS quantity, COUNT(DISTINCT d.period_date) AS period_count, "
        "MIN(d.period_date) AS first_period, MAX(d.period_date) AS last_period FROM demand_forecast d",
        [of_range(asked, "d")],
        "GROUP BY d.level",
    )


def choices(asked: DateRange, level: str) -> Query:
    """The series of a level, those of which most is expected first."""
    return select(
        "SELECT d.series AS choice FROM demand_forecast d",
        [of_range(asked, "d"), _at("d", level)],
        "GROUP BY d.series ORDER BY SUM(d.quantity) DESC, d.series",
    )


def _at(table: str, level: str) -> Condition:
    return Condition(f"{table}.level = :level", {"level": level})


def history(asked: DateRange, level: str, series: str) -> Query:
    """What was asked for of a series, period by period."""
    return select(
        "SELECT h.period_date, h.quantity, h.is_closed, h.is_sold_out FROM demand_history h",
        [of_range(asked, "h"), _at("h", level), Condition("h.series = :series", {"series": series})],
        "ORDER BY h.period_date",
    )


def coming(asked: DateRange, level: str, series: str) -> Query:
    """What is expected of a series, period by period."""
    return select(
        "SELECT d.period_date, d.quantity, d.low_80, d.high_80, d.low_95, d.high_95, d.parent, d.model, d.reason "
        "FROM demand_forecast d",
        [of_range(asked, "d"), _at("d", level), Condition("d.series = :series", {"series": series})],
        "ORDER BY d.period_date",
    )


By = Literal["level", "model", "origin_date", "series"]


def errors(asked: DateRange, by: By, level: str = "", model: str = RECONCILED) -> Query:
    """How wrong forecasts were, by one column of the back-test, of one level and model or of all.

    `compared_...` and `naive_...` are of those series and origins alone that the seasonal naive model was tried on too.
    """
    return select(
        f"SELECT m.{by} AS part, COUNT(DISTINCT m.series) AS series_count, SUM(m.period_count) AS period_count, "
        "SUM(m.actual) AS actual, SUM(m.absolute_error) AS absolute_error, SUM(m.error) AS error, "
        "SUM(m.coverage_80 * m.period_count) AS within_80, SUM(m.coverage_95 * m.period_count) AS within_95, "
        "SUM(m.mase) AS mase_sum, COUNT(m.mase) AS mase_count, SUM(n.actual) AS compared_actual, "
        "SUM(CASE WHEN n.series IS NULL THEN NULL ELSE m.absolute_error END) AS compared_error, "
        "SUM(n.absolute_error) AS naive_error FROM forecast_backtest m "
        "LEFT JOIN forecast_backtest n ON n.start_date = m.start_date AND n.end_date = m.end_date "
        "AND n.level = m.level AND n.series = m.series AND n.origin_date = m.origin_date "
        f"AND n.model = '{SEASONAL_NAIVE}'",
        [
            of_range(asked, "m"),
            *within("m.level", "level", (level,) if level else ()),
            *within("m.model", "model", (model,) if model else ()),
        ],
        f"GROUP BY m.{by} ORDER BY m.{by}",
    )


def models_there(asked: DateRange, level: str) -> Query:
    """Series of a level by the model that makes their forecasts."""
    return select(
        "SELECT d.model, COUNT(DISTINCT d.series) AS series_count FROM demand_forecast d",
        [of_range(asked, "d"), _at("d", level)],
        "GROUP BY d.model",
    )


def reasons_there(asked: DateRange, level: str) -> Query:
    """Series, and what is expected of them, by what is special; null of nothing."""
    return select(
        "SELECT d.reason, COUNT(DISTINCT d.series) AS series_count, COUNT(DISTINCT d.period_date) AS period_count, "
        "SUM(d.quantity) AS quantity FROM demand_forecast d",
        [of_range(asked, "d"), _at("d", level)],
        "GROUP BY d.reason",
    )


def categories(asked: DateRange) -> Query:
    """The categories of the products that could be ordered."""
    return select(
        "SELECT DISTINCT r.category AS choice FROM replenishment r", [of_range(asked, "r")], "ORDER BY r.category"
    )


def _orders(asked: DateRange, of: Sequence[str]) -> tuple[Condition, ...]:
    return (of_range(asked, "r"), *within("r.category", "category", of))


def ordered(asked: DateRange, of: Sequence[str]) -> Query:
    """One row: products of the categories, what to order of them, and whether such stock would have been enough."""
    return select(
        "SELECT COUNT(*) AS products, SUM(CASE WHEN r.suggested_order > 0 THEN 1 ELSE 0 END) AS to_order, "
        "SUM(r.suggested_order) AS pieces, SUM(CASE WHEN r.stock_quantity IS NULL THEN 1 ELSE 0 END) AS unknown_stock, "
        "SUM(r.reached_level * r.span_count) AS reached, "
        "SUM(CASE WHEN r.reached_level IS NULL THEN 0 ELSE r.span_count END) AS spans, "
        "MAX(r.lead_days) AS lead_days, MAX(r.service_level) AS service_level FROM replenishment r",
        _orders(asked, of),
    )


def orders(asked: DateRange, of: Sequence[str], most: int) -> Query:
    """The products of the categories, those of which most is to be ordered first, without a known stock last."""
    columns = ", ".join(f"r.{name}" for name in DOWNLOADED)
    return select(
        f"SELECT {columns} FROM replenishment r",
        _orders(asked, of),
        "ORDER BY COALESCE(r.suggested_order, -1) DESC, r.product_id LIMIT :most",
        most=most,
    )


ORDER_COLUMNS: Mapping[str, tuple[str, Kind]] = {
    "product_id": ("Product", "text"),
    "product_name": ("Name", "text"),
    "category": ("Category", "text"),
    "expected_demand": ("Expected", "pieces"),
    "safety_stock": ("Safety stock", "pieces"),
    "stock_quantity": ("In stock", "count"),
    "suggested_order": ("Order", "count"),
    "reached_level": ("Reached level", "percent"),
    "reason": ("Reason", "text"),
}
DOWNLOADED = (*ORDER_COLUMNS, "lead_days", "service_level", "span_count")


def levels(read: Read, asked: DateRange) -> Mapping[str, Row]:
    """The levels of the range, from the total down: series, pieces and periods of each."""
    found = {row["level"]: row for row in read(levels_there(asked))}
    return {one: found[one] for one in LEVELS if one in found}


def lowest(there: Mapping[str, Row]) -> str:
    """The level that the others are sums of."""
    return list(there)[-1]


def has_products(there: Mapping[str, Row]) -> bool:
    """Whether there is anything to order."""
    return "product" in there


def audited(read: Read, asked: DateRange) -> tuple[str, ...]:
    """As what load_audit has the rows that the forecasts of a range are made of."""
    return ("forecast.rentals" if "film_category" in levels(read, asked) else "forecast.sales",)


@dataclass(frozen=True)
class Every:
    """How long a period is: its name, the title of an axis of periods, and how many of them a chart looks back."""

    name: str
    axis: str
    looks_back: int


DAY, WEEK = Every("day", "Day", 26 * 7), Every("week", "Week, from its Monday on", 2 * 52)


def every(known: Rows, first_ahead: date) -> Every:
    """The period, by how far the first coming one is from the last that is known."""
    return WEEK if known and (first_ahead - known[-1]["period_date"]).days == 7 else DAY


def measured(row: Row) -> Row:
    """A row of errors() with the measures that come of it."""
    share = ratio(row["compared_error"], row["naive_error"])
    return {
        **row,
        "wape": ratio(row["absolute_error"], row["actual"]),
        "bias": ratio(row["error"], row["actual"]),
        "mase": ratio(row["mase_sum"], row["mase_count"]),
        "coverage_80": ratio(row["within_80"], row["period_count"]),
        "coverage_95": ratio(row["within_95"], row["period_count"]),
        "compared_wape": ratio(row["compared_error"], row["compared_actual"]),
        "naive_wape": ratio(row["naive_error"], row["compared_actual"]),
        "better": None if share is None else 1 - share,
    }


def _tested(read: Read, query: Query) -> Rows:
    """Of the back-test, which has no row, and so no file, where the range is too short for one."""
    try:
        return [measured(row) for row in read(query)]
    except MissingTableError:
        return ()


_SCORE_COLUMNS: Mapping[str, tuple[str, Kind]] = {
    "series_count": ("Series", "count"),
    "wape": ("WAPE", "percent"),
    "compared_wape": ("WAPE there", "percent"),
    "naive_wape": ("Seasonal naive there", "percent"),
    "better": ("Better by", "percent"),
    "bias": ("Bias", "percent"),
    "mase": ("MASE", "decimal"),
    "coverage_80": ("Within 80 %", "percent"),
    "coverage_95": ("Within 95 %", "percent"),
}


def glance(read: Read, asked: DateRange) -> Section:
    """The figures of a range."""
    there = levels(read, asked)
    if TOTAL not in there:
        return Section("At a glance")
    total, low = there[TOTAL], lowest(there)
    known = read(history(asked, TOTAL, ALL))
    recent = [row["quantity"] for row in known[-total["period_count"] :]]
    before = sum(recent) if len(recent) == total["period_count"] else None
    tested = {row["part"]: row for row in _tested(read, errors(asked, "level"))}
    of_series = f"of level {_named(low)}"
    period = every(known, total["first_period"]).name
    return Section(
        "At a glance",
        (
            Figure(
                "Expected pieces",
                count(total["quantity"]),
                DEFINITIONS["Expected pieces"],
                exactly(total["quantity"]),
                change(total["quantity"], before),
            ),
            *_scores(tested.get(low, dict.fromkeys(_SCORE_COLUMNS)), low),
            Figure("Series", count(there[low]["series_count"]), f"series {of_series}"),
            Figure(
                "Series with a reason",
                count(there[low]["special_count"]),
                f"those {of_series} of which something is special",
            ),
        ),
        note=f"The forecast is of {_several(total['period_count'], period)}, "
        f"{_span(total['first_period'], total['last_period'], period)}. "
        + (
            f"Errors and coverage are those of the back-test, of the series {of_series}."
            if low in tested
            else _NO_BACKTEST
        ),
    )


_NO_BACKTEST = "There is no back-test: the range is too short for one."


def _several(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _span(first: date, last: date, period: str) -> str:
    if first == last:
        return day(first) if period == "day" else f"the one that begins on Monday {day(first)}"
    days = f"{day(first)} to {day(last)}"
    return days if period == "day" else f"those that begin on the Mondays {days}"


def _named(level: str) -> str:
    return level.replace("_", " ")


def _scores(row: Row, level: str) -> tuple[Figure, ...]:
    """How good forecasts of a level are."""
    bounds = DEFINITIONS["Coverage"]
    return (
        Figure("WAPE", percent(row["wape"]), f"{DEFINITIONS['WAPE']}; of level {_named(level)}, levels reconciled"),
        Figure(
            "WAPE, seasonal naive",
            percent(row["naive_wape"]),
            "the same of the seasonal naive model on the series and origins that it was tried on, where what runs "
            f"would have forecast has {percent(row['compared_wape'])}; {DEFINITIONS['Seasonal naive']}",
        ),
        Figure("Better than naive", percent(row["better"]), DEFINITIONS["Better than naive"]),
        Figure("Bias", percent(row["bias"]), DEFINITIONS["Bias"]),
        Figure("Within bounds of 80 %", percent(row["coverage_80"]), bounds),
        Figure("Within bounds of 95 %", percent(row["coverage_95"]), bounds),
    )


def chart_of(read: Read, asked: DateRange, level: str, series: str, title: str = "") -> Chart:
    """What was asked for of a series of late, and what is expected; where nothing could be sold there is no point."""
    known, ahead = read(history(asked, level, series)), read(coming(asked, level, series))
    period = every(known, ahead[0]["period_date"])
    shown = known[-period.looks_back :]
    was = [row for row in shown if not row["is_closed"] and not row["is_sold_out"]]
    will = [row for row in ahead if row["reason"] != CLOSED]
    left_out = len(shown) + len(ahead) - len(was) - len(will)
    is_sum = level != lowest(levels(read, asked))
    return Chart(
        title or f"Asked for and expected: {_title(level, series)}",
        charts.bands(
            {
                "Asked for": charts.series(was, "period_date", "quantity"),
                "Expected": charts.series(will, "period_date", "quantity"),
            },
            {f"{share} % bounds": _bounds(will, share) for share in (95, 80)},
            x=period.axis,
            y=f"Pieces a {period.name}",
            unit="pieces",
        ),
        " ".join((*_about(ahead, is_sum=is_sum), *_left_out(left_out, period.name))),
    )


def _bounds(rows: Rows, share: int) -> tuple[Sequence[date], Sequence[Decimal], Sequence[Decimal]]:
    """Days, and the lower and upper bound on each."""
    days, lows = charts.series(rows, "period_date", f"low_{share}")
    return days, lows, charts.series(rows, "period_date", f"high_{share}")[1]


def _left_out(number: int, period: str) -> Sequence[str]:
    return (f"Left out, as nothing could be sold: {_several(number, period)}.",) if number else ()


def _title(level: str, series: str) -> str:
    return "the total" if level == TOTAL else series


def _about(ahead: Rows, *, is_sum: bool) -> Sequence[str]:
    """What a series is, how its forecast is made, and what is special of it."""
    first = ahead[0]
    special = sorted({row["reason"] for row in ahead} - {None, CLOSED})
    return (
        *([f"A part of {first['parent']}."] if first["parent"] not in (None, ALL) else ()),
        "The sum of its parts." if is_sum else f"Model: {_model(first['model'])}.",
        *(f"{_named(one).capitalize()}: {REASONS.get(one, NOTHING)}." for one in special),
    )


def _model(name: str) -> str:
    return MODELS.get(name, name)


def outlook(read: Read, asked: DateRange) -> Section:
    """The total, and of the lowest level the series that were foretold best, middling and worst."""
    there = levels(read, asked)
    if not there:
        return Section("Forecasts")
    low = lowest(there)
    total = chart_of(read, asked, TOTAL, ALL)
    if low == TOTAL:
        return Section("Forecasts", charts=(total,))
    picked = pick(_tested(read, errors(asked, "series", low)))
    return Section(
        "Forecasts",
        charts=(
            total,
            *(
                chart_of(read, asked, low, row["part"], f"{which}: {row['part']}, WAPE {percent(row['wape'])}")
                for which, row in picked
            ),
        ),
        note=f"Best, median and worst are by the WAPE of the series of level {_named(low)}." if picked else "",
    )


def pick(tested: Rows) -> Sequence[tuple[str, Row]]:
    """Of series, the one with the least WAPE, the middle one and the one with the most, as far as they differ.

    Of equal ones, the first by name comes first; series that nothing was asked for of have none.
    """
    ranked = sorted((row for row in tested if row["wape"] is not None), key=lambda row: (row["wape"], str(row["part"])))
    last = len(ranked) - 1
    places = {last: "Worst", last // 2: "Median", 0: "Best"} if ranked else {}
    return [(f"{places[place]} of {len(ranked):,} series", ranked[place]) for place in sorted(places)]


def backtest(read: Read, asked: DateRange) -> Section:
    """How good such forecasts were: by level, model, origin, and part of the total."""
    title = "How good such forecasts were"
    there = levels(read, asked)
    by_level = {row["part"]: row for row in _tested(read, errors(asked, "level"))}
    if not there or not by_level:
        return Section(title, note=_NO_BACKTEST)
    low = lowest(there)
    origins = _tested(read, errors(asked, "origin_date", low))
    return Section(
        title,
        charts=(*_by_origin(origins, low), *_by_part(read, asked, there)),
        sheets=(
            Sheet(
                "By level, what runs would have forecast",
                {"level": ("Level", "text"), **_SCORE_COLUMNS},
                [{**by_level[one], "level": _named(one)} for one in there if one in by_level],
            ),
            _by_model(read, asked, low),
        ),
        note=f"{_several(len(origins), 'origin')}. {sentence('WAPE: ' + DEFINITIONS['WAPE'])} "
        "“There” is on those series and origins that the seasonal naive model was tried on.",
    )


def _by_origin(rows: Rows, level: str) -> tuple[Chart, ...]:
    """What runs would have forecast against the seasonal naive model; no chart where that was tried nowhere."""
    told = [
        {"origin": row["part"], "model": MODELS[model], "wape": row[name] * 100}
        for row in rows
        for model, name in ((RECONCILED, "compared_wape"), (SEASONAL_NAIVE, "naive_wape"))
        if row[name] is not None
    ]
    if not told:
        return ()
    return (
        Chart(
            "WAPE by origin",
            charts.lines(
                charts.by_name(told, "model", "origin", "wape", (MODELS[RECONCILED], MODELS[SEASONAL_NAIVE])),
                x="Last period that was known",
                y="WAPE, %",
                unit="%",
                points=True,
            ),
            f"Of level {_named(level)}: series and origins that the seasonal naive model was tried on.",
        ),
    )


def _by_part(read: Read, asked: DateRange, there: Mapping[str, Row]) -> tuple[Chart, ...]:
    """The parts of the total against the seasonal naive model; of no parts there is no chart."""
    if len(there) == 1:
        return ()
    level = list(there)[1]
    rows = [row for row in _tested(read, errors(asked, "series", level)) if row["better"] is not None]
    if not rows:
        return ()
    largest = sorted(rows, key=lambda row: (-row["actual"], str(row["part"])))[:MOST_PARTS]
    best = sorted(largest, key=lambda row: (-row["better"], str(row["part"])))
    told = [{**row, "share": round(row["better"] * 100, 1)} for row in best]
    name = _named(level)
    return (
        Chart(
            f"Better than the seasonal naive model, by {name}",
            charts.bars(
                told,
                "part",
                "share",
                x="Fewer pieces wrong, %",
                y=name.capitalize(),
                unit="%",
                one_colour=charts.GREEN,
                below_zero=charts.VERMILION,
            ),
            "Less than 0 is worse."
            + (f" The {len(best)} of {len(rows)} of which most was asked for." if len(rows) > len(best) else ""),
        ),
    )


def _by_model(read: Read, asked: DateRange, level: str) -> Sheet:
    chosen = {row["model"]: row["series_count"] for row in read(models_there(asked, level))}
    tried = {row["part"]: row for row in _tested(read, errors(asked, "model", level, model=""))}
    names = [one for one in MODELS if one in tried or one in chosen]
    names += sorted((set(tried) | set(chosen)) - set(MODELS))
    measures = {name: one for name, one in _SCORE_COLUMNS.items() if name not in ("compared_wape", "naive_wape")}
    return Sheet(
        f"By model, at level {_named(level)}",
        {"name": ("Model", "text"), "chosen": ("Forecasts now", "count"), **measures},
        [
            {
                **tried.get(one, dict.fromkeys(_SCORE_COLUMNS)),
                "name": _model(one),
                "chosen": None if one == RECONCILED else chosen.get(one, 0),
            }
            for one in names
        ],
        "“Forecasts now” are the series whose coming periods are by that model. Not every model is tried on every "
        "series: “Better by” is against the seasonal naive model on the same ones.",
    )


def order_list(read: Read, asked: DateRange, of: Sequence[str], top: int) -> Section:
    """What to order of the products of the categories."""
    title = "What to order"
    if not has_products(levels(read, asked)):
        return Section(title, note=NO_PRODUCTS)
    (row,) = read(ordered(asked, of))
    if not row["products"]:
        return Section(title, note="There is no product of this selection.")
    rows = [{**one, "reason": one["reason"] and _named(one["reason"])} for one in read(orders(asked, of, top))]
    return Section(
        title,
        (
            Figure("Products to order", count(row["to_order"]), f"of {exactly(row['products'])} products"),
            Figure("Pieces to order", count(row["pieces"]), DEFINITIONS["Suggested order"], exactly(row["pieces"])),
            Figure(
                "Reached level",
                percent(ratio(row["reached"], row["spans"])),
                DEFINITIONS["Reached level"],
            ),
            Figure("Service level", percent(row["service_level"]), "the share that is asked for"),
            Figure("Stock not known", count(row["unknown_stock"]), "products without a suggested order for that"),
        ),
        sheets=(Sheet(f"The {len(rows)} products of which most is to be ordered", ORDER_COLUMNS, rows),),
        note=f"An order has to last {_several(row['lead_days'], 'day')}. {sentence(DEFINITIONS['Suggested order'])}",
    )


def reasons(read: Read, asked: DateRange) -> Section:
    """The series of the lowest level by what is special of them."""
    there = levels(read, asked)
    if not there:
        return Section("Reasons")
    low = lowest(there)
    found = {row["reason"]: row for row in read(reasons_there(asked, low))}
    closed = found.pop(CLOSED, None)
    rows = sorted(found.values(), key=lambda row: (row["reason"] is None, -row["series_count"], row["reason"]))
    note = sentence(f"A reason is {DEFINITIONS['Reason']}")
    if closed:
        note += f" Periods that are expected to be closed, without any sale: {closed['period_count']:,}."
    return Section(
        "Reasons",
        sheets=(
            Sheet(
                f"Series of level {_named(low)} by reason",
                {
                    "name": ("Reason", "text"),
                    "means": ("What that is", "text"),
                    "series_count": ("Series", "count"),
                    "quantity": ("Expected pieces", "pieces"),
                },
                [{**row, "name": _reason(row["reason"]), "means": REASONS.get(row["reason"], NOTHING)} for row in rows],
            ),
        ),
        note=note,
    )


def _reason(name: str | None) -> str:
    return "none" if name is None else _named(name)
