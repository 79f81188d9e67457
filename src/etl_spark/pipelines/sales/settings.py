"""What can be configured of the sales job: conf/sales.toml, and the mapping of one flat sales file in conf/flat/."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

from etl_spark.core.errors import UsageError
from etl_spark.core.flat import FlatMapping, FlatSettings
from etl_spark.pipelines.calendar.dim_date import CALENDAR
from etl_spark.pipelines.sales.extracts import EXTRACTS, LINE_REPEATED, ORDER_ITEMS
from etl_spark.pipelines.sales.tables import RFM

SCORES = (1, 2, 3, 4, 5)

CohortBy = Literal["registration", "first_purchase"]


@dataclass(frozen=True, kw_only=True)
class SalesMapping(FlatMapping):
    """A flat sales file, one line an order item, to customers, products, orders and order items."""

    tables = EXTRACTS
    lines = ORDER_ITEMS
    repeated = LINE_REPEATED
    days = CALENDAR

    def __post_init__(self) -> None:
        super().__post_init__()
        if not {"price_per_item", "line_item_total"} & set(self.columns):
            raise UsageError("columns.price_per_item is missing: name the column that tells it, or a line_item_total")


@dataclass(frozen=True)
class Baskets:
    """Which pairs of products co_purchase has, and up to how many products an order is looked at."""

    min_orders: int
    min_support: float
    max_products: int

    def __post_init__(self) -> None:
        if self.min_orders < 1 or self.max_products < 2:
            raise UsageError("co_purchase: min_orders must be at least 1, and max_products at least 2")
        if not 0 <= self.min_support <= 1:
            raise UsageError(f"co_purchase.min_support is a share of 1, not {self.min_support}")


@dataclass(frozen=True)
class RfmSegment:
    """A name for customers with any of these scores of recency, of frequency and of what they spent."""

    name: str
    r: tuple[int, ...] = SCORES
    f: tuple[int, ...] = SCORES
    m: tuple[int, ...] = SCORES

    def __post_init__(self) -> None:
        length = next(column.length for column in RFM.columns if column.name == "segment")
        if not 0 < len(self.name) <= (length or 0):
            raise UsageError(f"rfm_segments: a name has 1 to {length} characters, not '{self.name}'")
        if not (self.r and self.f and self.m and {*self.r, *self.f, *self.m} <= set(SCORES)):
            raise UsageError(f"rfm_segments: {self.name} needs scores of 1 to 5")


@dataclass(frozen=True)
class LifetimeFit:
    """When and to how many customers the model of clv is fitted, and what share of the days it is tried on."""

    min_repeat_customers: int
    max_customers: int
    holdout_share: float

    def __post_init__(self) -> None:
        if self.min_repeat_customers < 10 or self.max_customers < self.min_repeat_customers:
            raise UsageError("clv: min_repeat_customers must be at least 10, and max_customers no less than that")
        if not 0 < self.holdout_share < 1:
            raise UsageError(f"clv.holdout_share is between 0 and 1, not {self.holdout_share}")


@dataclass(frozen=True, kw_only=True)
class SalesSettings(FlatSettings):
    """Of the sales job. Of `rfm_segments`, the first that fits is a customer's."""

    mapping_type = SalesMapping

    cohort_by: CohortBy
    co_purchase: Baskets
    rfm_segments: tuple[RfmSegment, ...]
    clv: LifetimeFit

    def __post_init__(self) -> None:
        super().__post_init__()
        for r, f, m in product(SCORES, SCORES, SCORES):
            if not any(r in one.r and f in one.f and m in one.m for one in self.rfm_segments):
                raise UsageError(f"rfm_segments: there is none for the scores r = {r}, f = {f}, m = {m}")
