"""Made-up results of the forecast job: what is expected, and what would have been, adds up over all levels.

There are three ranges: products by day; the total alone by week; and films in stores, of which one day is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import compress
from typing import Any

from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.dates import DateRange
from etl_spark.core.table import Table
from etl_spark.pipelines.forecast.tables import DEMAND_FORECAST, DEMAND_HISTORY, FORECAST_BACKTEST, REPLENISHMENT

PRODUCTS = DateRange(date(2025, 1, 1), date(2025, 2, 28))
TOTAL_ALONE = DateRange(date(2024, 12, 2), date(2025, 1, 26))
FILMS = DateRange(date(2025, 1, 1), date(2025, 1, 31))

Row = Mapping[str, Any]
Values = list[int]
Model = Callable[[Values, int, int], Values]


@dataclass(frozen=True)
class Item:
    """A series of the lowest level: `demand` by the number of the period, and the models that are tried on it."""

    name: str
    parent: str
    demand: Callable[[int], int]
    reason: str | None = None
    models: tuple[str, ...] = ("seasonal_naive", "mean")

    @property
    def is_sold_out(self) -> bool:
        return self.reason == "sold_out"


@dataclass(frozen=True)
class Shop:
    """What the results of a range are of: `levels` from the total down, and periods of so many days."""

    asked: DateRange
    levels: tuple[str, ...]
    items: tuple[Item, ...]
    days: int
    season: int
    horizon: int
    origins: int
    closed: tuple[date, ...] = ()

    @property
    def periods(self) -> int:
        return len(self.asked) // self.days

    def starts(self, period: int) -> date:
        return self.asked.start + timedelta(self.days * period)

    @property
    def range(self) -> Row:
        return {"start_date": self.asked.start, "end_date": self.asked.end}

    def series(self) -> Iterator[Series]:
        """Those of all levels."""
        lowest = self.levels[-1]
        for level in self.levels:
            if level == lowest:
                yield from (Series(self, level, item.name, item.parent or None, (item,)) for item in self.items)
            elif level == "total":
                yield Series(self, level, "(all)", None, self.items)
            else:
                for parent in sorted({item.parent for item in self.items}):
                    parts = tuple(one for one in self.items if one.parent == parent)
                    yield Series(self, level, parent, "(all)", parts)

    def is_closed(self, period: int) -> bool:
        return self.starts(period) in self.closed

    def known(self, items: Sequence[Item]) -> Values:
        """Pieces asked for of all the items together, in each period."""
        return [
            0 if self.is_closed(period) else sum(item.demand(period) for item in items)
            for period in range(self.periods)
        ]

    def chosen(self, item: Item, known: int) -> str:
        """The model of an item at an origin: another one at every second."""
        return item.models[(known + self.items.index(item)) % len(item.models)]

    def expected(self, items: Sequence[Item], known: int) -> Values:
        """What a run would forecast after so many periods: the sum of the items' own."""
        made = [
            _MODELS[self.chosen(item, known)](self.known([item])[:known], self.season, self.horizon) for item in items
        ]
        return [
            0 if self.is_closed(known + step) else sum(of_step) for step, of_step in enumerate(zip(*made, strict=True))
        ]


@dataclass(frozen=True)
class Series:
    """One of any level: the sum of its `items`, which is itself one of them at the lowest."""

    shop: Shop
    level: str
    name: str
    parent: str | None
    items: tuple[Item, ...]

    @property
    def names(self) -> Row:
        return {**self.shop.range, "level": self.level, "series": self.name}

    @property
    def item(self) -> Item | None:
        return self.items[0] if self.level == self.shop.levels[-1] else None

    @property
    def reason(self) -> str | None:
        return self.item.reason if self.item else None

    @property
    def models(self) -> tuple[str, ...]:
        return self.item.models if self.item else ("seasonal_naive", "mean")

    def chosen(self, known: int) -> str:
        return self.shop.chosen(self.item, known) if self.item else "seasonal_naive"


_MODELS: Mapping[str, Model] = {
    "seasonal_naive": lambda past, season, ahead: [past[len(past) - season + step % season] for step in range(ahead)],
    "mean": lambda past, season, ahead: [round(sum(past[-4 * season :]) / len(past[-4 * season :]))] * ahead,
    "zero": lambda past, season, ahead: [0] * ahead,
}


def _wave(base: int, by: int) -> Callable[[int], int]:
    """Higher on some days of a week, and more from week to week."""
    return lambda period: base + (period * by) % 7 + period * by // 30


_PRODUCTS = Shop(
    PRODUCTS,
    ("total", "category", "product"),
    (
        Item("G1", "Garden", _wave(4, 3)),
        Item("G2", "Garden", _wave(9, 5)),
        Item("G3", "Garden", lambda period: 3 * (period % 5 == 0), "intermittent"),
        Item("K1", "Kitchen", _wave(20, 1)),
        Item("K2", "Kitchen", lambda period: 6 + period * period % 11),
        Item("K3", "Kitchen", lambda period: 2 * (period < 9), "dead", ("zero",)),
        Item("K4", "Kitchen", lambda period: 4 * (period < 48), "sold_out"),
        Item("U1", "(unknown)", lambda period: 5 * (period > 50), "new", ("mean",)),
        Item("U2", "(unknown)", lambda period: 0, "never_sold", ("zero",)),
    ),
    days=1,
    season=7,
    horizon=7,
    origins=3,
    closed=(date(2025, 1, 1), date(2025, 2, 20), date(2025, 3, 3)),
)
_TOTAL_ALONE = Shop(TOTAL_ALONE, ("total",), (Item("(all)", "", _wave(70, 4)),), days=7, season=2, horizon=2, origins=2)
_FILMS = Shop(
    FILMS,
    ("total", "store", "film_category"),
    tuple(
        Item(f"store {store}: {category}", f"store {store}", _wave(5 * store, place + 2))
        for store in (1, 2)
        for place, category in enumerate(("Action", "Drama"))
    ),
    days=1,
    season=7,
    horizon=1,
    origins=2,
)
SHOPS = (_PRODUCTS, _TOTAL_ALONE, _FILMS)


def _history(shop: Shop) -> Iterator[Row]:
    for series in shop.series():
        values = shop.known(series.items)
        last = max((period for period, pieces in enumerate(values) if pieces), default=0)
        for period, pieces in enumerate(values):
            yield {
                **series.names,
                "period_date": shop.starts(period),
                "parent": series.parent,
                "quantity": pieces,
                "returned": 0,
                "is_closed": shop.is_closed(period),
                "is_sold_out": series.reason == "sold_out" and period > last,
            }


def _forecast(shop: Shop) -> Iterator[Row]:
    for series in shop.series():
        for step, pieces in enumerate(shop.expected(series.items, shop.periods)):
            yield {
                **series.names,
                "period_date": shop.starts(shop.periods + step),
                "parent": series.parent,
                "step": step + 1,
                "quantity": pieces,
                **_bounds(pieces),
                "own_quantity": pieces + 0.5,
                "model": series.chosen(shop.periods),
                "reason": "closed" if shop.is_closed(shop.periods + step) else series.reason,
            }


def _bounds(pieces: int) -> dict[str, float]:
    return {
        "low_80": max(pieces * 0.8 - 1, 0),
        "high_80": pieces * 1.2 + 1,
        "low_95": max(pieces * 0.6 - 2, 0),
        "high_95": pieces * 1.4 + 2,
    }


def _backtest(shop: Shop) -> Iterator[Row]:
    for series in shop.series():
        values = shop.known(series.items)
        for known in range(shop.periods - shop.origins * shop.horizon, shop.periods, shop.horizon):
            if not any(values[:known]):
                continue
            made = {model: _MODELS[model](values[:known], shop.season, shop.horizon) for model in series.models}
            made["reconciled"] = shop.expected(series.items, known)
            is_open = [not shop.is_closed(known + step) for step in range(shop.horizon)]
            for model, foretold in made.items():
                yield {
                    **series.names,
                    "origin_date": shop.starts(known - 1),
                    "model": model,
                    "is_choice": model in (series.chosen(known), "reconciled"),
                    "kind": series.reason or "regular",
                    **_measures(list(compress(zip(foretold, values[known:], strict=False), is_open))),
                }


def _measures(pairs: Sequence[tuple[int, int]]) -> Row:
    """Of what was forecast and asked for in each period."""
    actual = sum(pieces for _, pieces in pairs)
    apart, error = sum(abs(made - pieces) for made, pieces in pairs), sum(made - pieces for made, pieces in pairs)

    def within(share: int) -> float:
        bounds = [(_bounds(made), pieces) for made, pieces in pairs]
        inside = [one[f"low_{share}"] <= pieces <= one[f"high_{share}"] for one, pieces in bounds]
        return round(sum(inside) / len(pairs), 6)

    return {
        "period_count": len(pairs),
        "actual": actual,
        "absolute_error": apart,
        "error": error,
        "mase": round(apart / len(pairs) / 2.5, 6) if actual else None,
        "wape": round(apart / actual, 6) if actual else None,
        "bias": round(error / actual, 6) if actual else None,
        "coverage_80": within(80),
        "coverage_95": within(95),
    }


def _replenishment(shop: Shop) -> Iterator[Row]:
    for place, item in enumerate(shop.items if shop.levels[-1] == "product" else ()):
        pieces = sum(shop.expected([item], shop.periods))
        stock = None if item.name == "K2" else 0 if item.is_sold_out else place * 11
        spans = 0 if item.reason in ("new", "never_sold") else shop.origins
        yield {
            **shop.range,
            "product_id": item.name,
            "product_name": None if item.name == "U2" else f"Product {item.name}",
            "category": item.parent,
            "lead_days": shop.horizon,
            "service_level": 0.95,
            "expected_demand": pieces,
            "safety_stock": 3,
            "stock_quantity": stock,
            "suggested_order": None if stock is None else max(pieces + 3 - stock, 0),
            "span_count": spans,
            "reached_level": round((spans - place % 2) / spans, 6) if spans else None,
            "reason": item.reason,
        }


def _audit() -> Iterator[Row]:
    """The days that were taken over of the jobs before."""
    sold = sorted({*PRODUCTS.days, *TOTAL_ALONE.days})
    for pipeline, job, table, days in (
        ("forecast.sales", "sales", "order_items", sold),
        ("forecast.rentals", "rental", "rental", FILMS.days),
    ):
        for day in days:
            yield {
                "pipeline": pipeline,
                "source_table": table,
                "date": day,
                "file": f"{job}/{day}",
                "reason": "All",
                "source_uri": "lake",
                "checksum": "0a1b2c",
                "rules_version": "f00d",
                **dict.fromkeys(("rows_in", "rows_accepted"), 40),
                **dict.fromkeys(("rows_rejected", "rows_flagged", "rows_outside", "money_rejected"), 0),
                **dict.fromkeys(("money_in", "money_accepted"), 120),
                "run_id": "forecast-20250301T020304Z-0a1b2c",
            }


MADE_UP: Mapping[Table, Sequence[Row]] = {
    DEMAND_HISTORY: [row for shop in SHOPS for row in _history(shop)],
    DEMAND_FORECAST: [row for shop in SHOPS for row in _forecast(shop)],
    FORECAST_BACKTEST: [row for shop in SHOPS for row in _backtest(shop)],
    REPLENISHMENT: [row for shop in SHOPS for row in _replenishment(shop)],
    LOAD_AUDIT: list(_audit()),
}
"""The rows of each table."""
