"""The tables of the viewing job, each with one row per what."""

from __future__ import annotations

from etl_spark.core.audit import ALL
from etl_spark.core.table import END_DATE, START_DATE, Column, Table

CATEGORIES = ("TV", "Movie", "Child", "Relax", "Sport")
"""In this order wherever an order is needed: columns, taste, and ties of most_watch."""


def seconds_column(category: str) -> str:
    return f"{category.lower()}_seconds"


SECONDS_COLUMNS = tuple(seconds_column(category) for category in CATEGORIES)

_LOG_DATE = Column("log_date", "DATE", "day of the log")
_CONTRACT = Column("contract", "VARCHAR(64)", "customer code, trimmed and upper-cased")
_SECONDS = tuple(
    Column(seconds_column(category), "BIGINT", f"seconds of {category} watched") for category in CATEGORIES
)

VIEWING_DAILY = Table(
    name="viewing_daily",
    doc="One row per log_date and contract with at least one accepted line.",
    columns=(_LOG_DATE, _CONTRACT, *_SECONDS, Column("record_count", "BIGINT", "accepted lines")),
    grain=("log_date", "contract"),
    replaces=("log_date",),
    exported=False,
)

VIEWING_REJECTED = Table(
    name="viewing_rejected",
    doc="One row per log_date, file, reason and raw line that was rejected.",
    columns=(
        _LOG_DATE,
        Column("file", "VARCHAR(1024)", "path of the file below the source"),
        Column("reason", "VARCHAR(32)", "the first rule that the line fails"),
        Column("line", "BINARY", "the line's bytes as they stood in the file, without the \\n or \\r\\n at its end"),
        Column("line_count", "BIGINT", "how often this line stands in the file"),
    ),
    grain=("log_date", "file", "reason", "line"),
    replaces=("log_date",),
    exported=False,
)

VIEWING_STATISTICS = Table(
    name="viewing_statistics",
    doc="One row per log_date and category, and one for All, of every day with an accepted line.",
    columns=(
        _LOG_DATE,
        Column("category", "VARCHAR(16)", f"{', '.join(CATEGORIES)}, or {ALL}"),
        Column("viewer_count", "BIGINT", "contracts that watched the category that day"),
        Column("total_seconds", "BIGINT", "seconds watched"),
    ),
    grain=("log_date", "category"),
    replaces=("log_date",),
)

VIEWING_PROFILE = Table(
    name="viewing_profile",
    doc="One row per asked range and contract that watched anything in it.",
    columns=(
        START_DATE,
        END_DATE,
        _CONTRACT,
        *_SECONDS,
        Column("total_seconds", "BIGINT", "seconds watched, all categories"),
        Column("most_watch", "VARCHAR(16)", "category with the most seconds; the first in order where two are equal"),
        Column("taste", "VARCHAR(64)", "categories with any seconds, in order, joined by '-'"),
        Column("active_days", "INT", "days with an accepted line (the source's DateCount)"),
        Column("activeness", "DECIMAL(5,2)", "active_days / days in the asked range x 100, in percent"),
        Column("segment", "VARCHAR(64)", "by active_days as a share of the asked days"),
    ),
    grain=("start_date", "end_date", "contract"),
    replaces=("start_date", "end_date"),
    distributed_by="contract",
)

VIEWING_TREND = Table(
    name="viewing_trend",
    doc="One row per asked range and contract that watched anything in it or in the equally long range before it.",
    columns=(
        START_DATE,
        END_DATE,
        _CONTRACT,
        Column("most_watch", "VARCHAR(16)", "in the asked range; null where nothing was watched", nullable=True),
        Column("total_seconds", "BIGINT", "in the asked range; null where nothing was watched", nullable=True),
        Column(
            "previous_most_watch", "VARCHAR(16)", "in the range before; null where nothing was found", nullable=True
        ),
        Column("previous_total_seconds", "BIGINT", "in the range before; null where nothing was found", nullable=True),
        Column("previous_days_found", "INT", "days of the range before that the source has"),
        Column(
            "change",
            "VARCHAR(16)",
            "New, Lost, Changed or Unchanged (the most watched category); null unless the range before is complete",
            nullable=True,
        ),
    ),
    grain=("start_date", "end_date", "contract"),
    replaces=("start_date", "end_date"),
    distributed_by="contract",
)

_AVERAGE = "DECIMAL(18,2)"

VIEWING_SUMMARY = Table(
    name="viewing_summary",
    doc="One row per asked range and segment with any contract, and one for All.",
    columns=(
        START_DATE,
        END_DATE,
        Column("segment", "VARCHAR(64)", f"a segment of viewing_profile, or {ALL}"),
        Column("contract_count", "BIGINT", "contracts"),
        Column("total_seconds", "BIGINT", "seconds watched"),
        Column("avg_seconds_per_person_month", _AVERAGE, "total_seconds / contract_count", nullable=True),
        Column("avg_seconds_per_person_week", _AVERAGE, "the same / 4, as the source defines it", nullable=True),
        Column("avg_seconds_per_person_day", _AVERAGE, "the weekly figure / 7", nullable=True),
        Column("avg_seconds_per_active_day", _AVERAGE, "total_seconds / active days of all contracts", nullable=True),
        Column("days_asked", "INT", "days in the asked range"),
        Column("days_found", "INT", "days of it that the source has"),
    ),
    grain=("start_date", "end_date", "segment"),
    replaces=("start_date", "end_date"),
)
