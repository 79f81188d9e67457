"""The tables of the forecast job, each with one row per what."""

from __future__ import annotations

from etl_spark.core.table import Column, Table

PIECES = "DECIMAL(18,6)"
"""The type of demand: expected pieces are no whole number."""
RATIO = "DECIMAL(18,6)"

_LEVEL = Column(
    "level", "VARCHAR(16)", "what the series is of: total, store, category, country, product or film_category"
)
_SERIES = Column("series", "VARCHAR(300)", "a product's id, a category, ...; (all) of the total")
_PARENT = Column(
    "parent", "VARCHAR(300)", "the series of the level above that it is a part of; null of the total", nullable=True
)
_PERIOD = Column("period_date", "DATE", "the day, or the Monday of the week")


def _pieces(name: str, doc: str, *, nullable: bool = False) -> Column:
    return Column(name, PIECES, doc, nullable=nullable)


DEMAND_HISTORY = Table.of_range(
    "demand_history",
    "One row per series and whole period of the asked range, also of those without demand.",
    (_LEVEL, _SERIES, _PERIOD),
    (
        _PARENT,
        _pieces("quantity", "pieces asked for: sold, or films taken, whatever came back"),
        _pieces("returned", "pieces that came back, which is no demand and takes none away"),
        Column("is_closed", "BOOLEAN", "whether nothing at all was sold in the period: that tells of no demand"),
        Column("is_sold_out", "BOOLEAN", "whether it is of a product without stock, and after its last sale"),
    ),
)

BOUNDS = tuple(
    _pieces(f"{side}_{share}", f"{word} bound of what is met in {share} of 100 cases")
    for share in (80, 95)
    for side, word in (("low", "lower"), ("high", "upper"))
)
DEMAND_FORECAST = Table.of_range(
    "demand_forecast",
    "One row per series and period after the asked range, as far as the horizon.",
    (_LEVEL, _SERIES, _PERIOD),
    (
        _PARENT,
        Column("step", "INT", "how many periods after the range"),
        _pieces("quantity", "pieces that are expected; above the lowest level, the sum of those of its parts"),
        *BOUNDS,
        _pieces("own_quantity", "what the series' own model expects, before levels are reconciled"),
        Column("model", "VARCHAR(16)", "the model, chosen by the back-test alone"),
        Column("reason", "VARCHAR(16)", "what is special: new, dead, closed, ...; null of nothing", nullable=True),
    ),
)
FORECAST_BACKTEST = Table.of_range(
    "forecast_backtest",
    "One row per series, origin and model that was tried there; and one for what was chosen, levels reconciled.",
    (
        _LEVEL,
        _SERIES,
        Column("origin_date", "DATE", "the last period that was known"),
        Column("model", "VARCHAR(16)", "the model; reconciled for what a run would have forecast then"),
    ),
    (
        Column("is_choice", "BOOLEAN", "whether it is what the origins before it would have chosen"),
        Column("kind", "VARCHAR(16)", "what the series was then: regular, intermittent, ..."),
        Column("period_count", "BIGINT", "periods that are compared: those that were not closed"),
        _pieces("actual", "pieces asked for in these"),
        _pieces("absolute_error", "pieces forecast too many or too few, period by period"),
        _pieces("error", "pieces forecast less pieces asked for"),
        Column(
            "mase", RATIO, "mean absolute error / that of the seasonal naive model before the origin", nullable=True
        ),
        Column("wape", RATIO, "absolute_error / actual; null where nothing was asked for", nullable=True),
        Column("bias", RATIO, "error / actual; null where nothing was asked for", nullable=True),
        Column("coverage_80", RATIO, "share of the periods within the bounds of 80", nullable=True),
        Column("coverage_95", RATIO, "share of the periods within the bounds of 95", nullable=True),
    ),
)
REPLENISHMENT = Table.of_range(
    "replenishment",
    "One row per product: what is expected until the next delivery, and what to order.",
    (Column("product_id", "VARCHAR(300)", "the product's id at the source"),),
    (
        Column("product_name", "VARCHAR(200)", "name", nullable=True),
        Column("category", "VARCHAR(300)", "category; (unknown) where it has none"),
        Column("lead_days", "INT", "days that an order has to last"),
        Column("service_level", RATIO, "share of such spans in which there shall be enough"),
        _pieces("expected_demand", "pieces in lead_days"),
        _pieces("safety_stock", "pieces more than these, by the bounds of 80"),
        Column(
            "stock_quantity", "INT", "pieces in stock as of the extract; null where that is not known", nullable=True
        ),
        Column("suggested_order", "BIGINT", "pieces to order, whole; null where the stock is not known", nullable=True),
        Column("span_count", "BIGINT", "spans of the back-test that this was tried on"),
        Column("reached_level", RATIO, "share of them in which there would have been enough", nullable=True),
        Column("reason", "VARCHAR(16)", "what is special of the series; null of nothing", nullable=True),
    ),
)
