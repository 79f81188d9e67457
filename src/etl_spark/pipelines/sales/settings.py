"""What can be configured of the sales job: conf/sales.toml, and the mapping of one flat sales file in conf/flat/."""

from __future__ import annotations

from dataclasses import dataclass

from etl_spark.core.errors import UsageError
from etl_spark.core.flat import FlatMapping, FlatSettings
from etl_spark.pipelines.calendar.dim_date import CALENDAR
from etl_spark.pipelines.sales.extracts import EXTRACTS, LINE_REPEATED, ORDER_ITEMS


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


@dataclass(frozen=True, kw_only=True)
class SalesSettings(FlatSettings):
    """Of the sales job."""

    mapping_type = SalesMapping
