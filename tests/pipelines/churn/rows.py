"""Short ways to make rows of the tables that the churn job reads: a test states only what matters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.local import local_frame
from etl_spark.core.table import Table
from etl_spark.pipelines.churn.tables import (
    CUSTOMER_ACTIVITY_DAILY,
    CUSTOMER_CATEGORY_DAILY,
    CUSTOMER_PROFILE,
    SOCIAL_EVENT,
    WEB_EVENT,
)
from etl_spark.pipelines.sales.extracts import RAW_ORDER_ITEMS
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, DIM_PRODUCT, FACT_SALES

DAY = date(2024, 4, 1)
NOON = datetime(2024, 4, 1, 12, tzinfo=UTC)

DEFAULTS: Mapping[Table, Mapping[str, Any]] = {
    WEB_EVENT: {"log_date": DAY, "event_id": "E1", "event_at": NOON, "session_id": "S1", "kind": "view"},
    SOCIAL_EVENT: {
        "arrival_date": DAY,
        "arrived_at": NOON,
        "event_id": "T1",
        "event_at": NOON,
        "kind": "mention",
        "file": "f",
        "place": 0,
    },
    FACT_SALES: {
        "order_date": DAY,
        "order_item_id": "I1",
        "order_id": "O1",
        "customer_key": 1,
        "product_key": 1,
        "quantity_sold": 1,
        "line_item_total": 10,
        "is_return": False,
    },
    RAW_ORDER_ITEMS: {
        "extract_date": date(2024, 12, 31),
        "start_date": date(2024, 1, 1),
        "end_date": date(2024, 12, 31),
        "order_item_id": "I1",
    },
    DIM_CUSTOMER: {"customer_key": 1, "customer_id": "C1"},
    DIM_PRODUCT: {"product_key": 1, "category": "Toys"},
    CUSTOMER_ACTIVITY_DAILY: {
        **dict.fromkeys(CUSTOMER_ACTIVITY_DAILY.column_names, 0),
        "arrival_date": DAY,
        "activity_date": DAY,
        "customer_id": "C1",
    },
    CUSTOMER_CATEGORY_DAILY: {
        "arrival_date": DAY,
        "activity_date": DAY,
        "customer_id": "C1",
        "category": "Toys",
        "item_count": 1,
    },
    CUSTOMER_PROFILE: {
        "extract_date": DAY,
        "customer_id": "C1",
        "is_email_opt_in": False,
        "is_sms_opt_in": False,
        "is_push_opt_in": False,
    },
}


def rows(spark: SparkSession, table: Table, *given: Mapping[str, Any]) -> DataFrame:
    """Rows of `table`; what one leaves out is as in DEFAULTS, or else null."""
    full = [[{**DEFAULTS[table], **row}.get(name) for name in table.column_names] for row in given]
    return local_frame(spark, full, table.schema)
