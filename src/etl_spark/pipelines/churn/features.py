"""The features of a customer at a snapshot: one list says what each is, and how it is made of what was known then."""

from __future__ import annotations

from dataclasses import dataclass

from etl_spark.core.table import MONEY, Column

HISTORY_DAYS = 90
"""The widest window; who has not bought for so long is no customer any more."""
WINDOWS = (7, 30, HISTORY_DAYS)
RATIO = "DECIMAL(18,6)"


@dataclass(frozen=True)
class Feature:
    """A feature. `value` is SQL over the totals of a customer at a snapshot, see snapshots.with_totals().

    `window_days` is how far it looks back, None for what the profile tells.
    """

    column: Column
    source: str
    unit: str
    window_days: int | None
    value: str

    @property
    def name(self) -> str:
        return self.column.name


SUMS = {
    "order_count": ("BIGINT", "orders with a line of a piece or more", "purchases", "orders"),
    "item_count": ("BIGINT", "lines of a piece or more", "purchases", "lines"),
    "spend": (MONEY, "money of lines that are no return", "purchases", "money"),
    "return_count": ("BIGINT", "lines that are returns", "purchases", "lines"),
    "returned": (MONEY, "money of returns, 0 or less", "purchases", "money"),
    "session_count": ("BIGINT", "visits of the website", "web", "visits"),
    "view_count": ("BIGINT", "views", "web", "events"),
    "search_count": ("BIGINT", "searches", "web", "events"),
    "cart_count": ("BIGINT", "things put into a cart", "web", "events"),
    "mention_count": ("BIGINT", "posts that mention the shop", "social", "posts"),
    "reply_count": ("BIGINT", "replies to posts of the shop", "social", "posts"),
}
"""Sums of customer_activity_daily that are features as they are, over each of WINDOWS."""

PARTS = ("cart_session_count", "checkout_session_count", "sentiment_count", "sentiment_sum")
"""Sums of it that features are made of."""


def _sums() -> list[Feature]:
    return [
        Feature(Column(f"{name}_{days}d", data_type, doc), source, unit, days, f"{name}_{days}d")
        for name, (data_type, doc, source, unit) in SUMS.items()
        for days in WINDOWS
    ]


def _ratios() -> list[Feature]:
    abandoned = "(cart_session_count_{0}d - checkout_session_count_{0}d) / nullif(cart_session_count_{0}d, 0)"
    sentiment = "sentiment_sum_{0}d / nullif(sentiment_count_{0}d, 0)"
    named = (
        ("cart_abandonment", abandoned, "visits with a cart that had no checkout; null without one", "web", "share"),
        ("sentiment_mean", sentiment, "mean sentiment of posts; null without one", "social", "-1 to 1"),
    )
    return [
        Feature(Column(f"{name}_{days}d", RATIO, doc, nullable=True), source, unit, days, value.format(days))
        for name, value, doc, source, unit in named
        for days in WINDOWS
    ]


def _since(name: str, last: str, what: str, source: str, *, nullable: bool = True) -> Feature:
    column = Column(f"days_since_last_{name}", "INT", f"days from the last {what} to the snapshot", nullable=nullable)
    return Feature(column, source, "days", HISTORY_DAYS, f"datediff(snapshot_date, {last})")


def _purchase(name: str, data_type: str, doc: str, unit: str, value: str, *, nullable: bool = True) -> Feature:
    return Feature(Column(name, data_type, doc, nullable=nullable), "purchases", unit, HISTORY_DAYS, value)


def _profile(name: str, data_type: str, doc: str, unit: str, value: str = "") -> Feature:
    column = Column(name, data_type, f"{doc}; null without a profile", nullable=True)
    return Feature(column, "profile", unit, None, value or name)


_GAPS = "CAST(nullif(order_days - 1, 0) AS DECIMAL(10,0))"
_SQUARES = "aggregate(gaps, 0L, (sum, gap) -> sum + gap * gap)"
# Whole numbers under the root: the same double on every machine.
_DEVIATION = (
    f"sqrt((order_days - 1) * {_SQUARES} - datediff(last_order, first_order) * datediff(last_order, first_order))"
)

FEATURES = (
    *_sums(),
    *_ratios(),
    _since("order", "last_order", "day with an order", "purchases", nullable=False),
    _since("visit", "last_visit", "day with a visit", "web"),
    _since("post", "last_post", "day with a post", "social"),
    _purchase(
        "gap_mean_days_90d",
        RATIO,
        "mean of the days between days with an order; null with one",
        "days",
        f"datediff(last_order, first_order) / {_GAPS}",
    ),
    _purchase(
        "gap_max_days_90d", "INT", "most days between two days with an order; null with one", "days", "array_max(gaps)"
    ),
    _purchase(
        "gap_deviation_days_90d",
        RATIO,
        "standard deviation of the days between days with an order; null with one",
        "days",
        f"CAST(round({_DEVIATION} / nullif(order_days - 1, 0), 6) AS {RATIO})",
    ),
    _purchase(
        "category_count_90d", "BIGINT", "categories of what was bought", "categories", "category_count", nullable=False
    ),
    _purchase(
        "top_category_90d",
        "VARCHAR(100)",
        "the category most bought, by lines; the first by name of a tie",
        "name",
        "top_category",
        nullable=False,
    ),
    _profile(
        "tenure_days",
        "INT",
        "days from the registration to the snapshot",
        "days",
        "datediff(snapshot_date, registered_at)",
    ),
    _profile("country", "VARCHAR(100)", "country", "name"),
    _profile("plan", "VARCHAR(32)", "what the customer subscribes to", "name"),
    _profile("is_email_opt_in", "BOOLEAN", "whether the customer wants mail", "yes or no"),
    _profile("is_sms_opt_in", "BOOLEAN", "whether the customer wants text messages", "yes or no"),
    _profile("is_push_opt_in", "BOOLEAN", "whether the customer wants notifications", "yes or no"),
    _profile(
        "loyalty_points",
        RATIO,
        "points collected, at most a milliard",
        "points",
        f"CAST(IF(abs(loyalty_points) > 1e9BD, sign(loyalty_points) * 1e9BD, loyalty_points) AS {RATIO})",
    ),
)
