"""What is shown of load_audit: the days that were read, what became of their rows, and whether all of it adds up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from etl_spark.core.dates import DateRange
from etl_spark.dashboard import charts
from etl_spark.dashboard.queries import AUDITED, Condition, between, missing_days, select, within
from etl_spark.dashboard.results import MissingTableError, Query, Rows
from etl_spark.dashboard.shown import Chart, Figure, Read, Section, Sheet, count, exactly, listed, percent, ratio

DEFINITIONS: Mapping[str, str] = {
    "Rows in": "rows of the files or tables that were read, of the chosen days",
    "Accepted": "rows that went on",
    "Rejected": "rows kept aside, each with one reason",
    "Flagged": "accepted rows with a fault that is counted and not rejected",
    "Outside": "rows of days that nobody asked for, neither accepted nor rejected",
    "Missing days": "days between the first and the last chosen one of which nothing was read",
    "Adds up": "rows in = accepted + rejected, and the same of seconds or money, for every source table",
}


def pipelines() -> Query:
    """The pipelines that have read anything, with their first and last days."""
    return Query(
        "SELECT a.pipeline, MIN(a.date) AS first_day, MAX(a.date) AS last_day FROM load_audit a "
        "GROUP BY a.pipeline ORDER BY a.pipeline"
    )


def _of(pipeline: str, days: DateRange, *more: str) -> tuple[Condition, ...]:
    return (
        Condition("a.pipeline = :pipeline", {"pipeline": pipeline}),
        between("a.date", days),
        *(Condition(one) for one in more),
    )


def by_day(pipeline: str, days: DateRange, tables: Sequence[str]) -> Query:
    """Rows by day of these source tables."""
    return select(
        "SELECT a.date AS day, SUM(a.rows_in) AS rows_in, SUM(a.rows_accepted) AS accepted, "
        "SUM(a.rows_rejected) AS rejected FROM load_audit a",
        (*_of(pipeline, days, "a.reason = 'All'"), *within("a.source_table", "source_table", tables)),
        "GROUP BY a.date ORDER BY a.date",
    )


def by_reason(pipeline: str, days: DateRange) -> Query:
    """Rejected and flagged rows by reason, the most first."""
    return select(
        "SELECT a.reason, a.source_table, SUM(a.rows_rejected) AS rejected, SUM(a.rows_flagged) AS flagged "
        "FROM load_audit a",
        _of(pipeline, days, "a.reason <> 'All'"),
        "GROUP BY a.reason, a.source_table "
        "ORDER BY SUM(a.rows_rejected) DESC, SUM(a.rows_flagged) DESC, a.reason, a.source_table",
    )


def account(pipeline: str, days: DateRange) -> Query:
    """By source table: rows, seconds and money, and how fresh they are."""
    return select(
        "SELECT a.source_table, COUNT(DISTINCT a.file) AS files, COUNT(DISTINCT a.date) AS days, "
        "MAX(a.date) AS last_day, MAX(a.modified_at) AS modified_at, MAX(a.run_id) AS run_id, "
        "SUM(a.rows_in) AS rows_in, SUM(a.rows_accepted) AS accepted, SUM(a.rows_rejected) AS rejected, "
        "SUM(a.rows_flagged) AS flagged, SUM(a.rows_outside) AS outside, "
        "SUM(a.seconds_in) AS seconds_in, SUM(a.seconds_accepted) AS seconds_accepted, "
        "SUM(a.seconds_rejected) AS seconds_rejected, SUM(a.money_in) AS money_in, "
        "SUM(a.money_accepted) AS money_accepted, SUM(a.money_rejected) AS money_rejected FROM load_audit a",
        _of(pipeline, days, "a.reason = 'All'"),
        "GROUP BY a.source_table ORDER BY a.source_table",
    )


@dataclass(frozen=True)
class Reconciled:
    """One line of the account: what went in, and what became of it; `adds_up` if that is all."""

    source_table: str
    what: str
    came_in: Any
    accepted: Any
    rejected: Any
    outside: int

    @property
    def adds_up(self) -> bool:
        return bool(self.came_in == self.accepted + self.rejected)


def reconciled(rows: Rows) -> tuple[Reconciled, ...]:
    """The lines of the account of rows of `account`: rows of each source table, and seconds or money where it has any.

    Rows outside of the asked days are no part of rows_in.
    """
    lines = []
    for row in rows:
        table = row["source_table"]
        lines.append(Reconciled(table, "rows", row["rows_in"], row["accepted"], row["rejected"], row["outside"]))
        for what in ("seconds", "money"):
            if row[f"{what}_in"]:
                came_in, accepted, rejected = (row[f"{what}_{part}"] or 0 for part in ("in", "accepted", "rejected"))
                lines.append(Reconciled(table, what, came_in, accepted, rejected, 0))
    return tuple(lines)


def account_sheet(lines: Sequence[Reconciled]) -> Sheet:
    """The account, line by line."""
    told = [
        {
            "source_table": line.source_table,
            "what": line.what,
            "came_in": exactly(line.came_in),
            "accepted": exactly(line.accepted),
            "rejected": exactly(line.rejected),
            "outside": exactly(line.outside) if line.what == "rows" else "",
            "adds_up": "yes" if line.adds_up else "NO",
        }
        for line in lines
    ]
    return Sheet(
        "Reconciliation: in = accepted + rejected",
        {
            "source_table": ("Source table", "text"),
            "what": ("Of", "text"),
            "came_in": ("In", "number"),
            "accepted": ("Accepted", "number"),
            "rejected": ("Rejected", "number"),
            "outside": ("Outside the days", "number"),
            "adds_up": ("Adds up", "text"),
        },
        told,
    )


def quality(read: Read, pipeline: str, days: DateRange) -> Section:
    """The account of a pipeline over `days`."""
    rows = read(account(pipeline, days))
    if not rows:
        return Section("Data quality", note=f"{pipeline} has read nothing of {days}.")
    lines = reconciled(rows)
    # What is read whole counts as of the last asked day, and would hide all others.
    by_days = [row["source_table"] for row in rows if row["days"] > 1]
    daily = read(by_day(pipeline, days, by_days))
    reasons = read(by_reason(pipeline, days))
    total = {name: sum(row[name] for row in rows) for name in ("rows_in", "accepted", "rejected", "flagged", "outside")}
    series = {name: charts.series(daily, "day", name) for name in ("accepted", "rejected")}
    figures = [
        Figure("Days with data", count(len(daily)), f"of the {len(days)} days {days}"),
        *(
            Figure(name, count(total[key]), DEFINITIONS[name], exactly(total[key]))
            for name, key in (("Rows in", "rows_in"), ("Accepted", "accepted"), ("Rejected", "rejected"))
        ),
        Figure("Rejected share", percent(ratio(total["rejected"], total["rows_in"]), 2), "rejected / rows in"),
        Figure("Flagged", count(total["flagged"]), DEFINITIONS["Flagged"], exactly(total["flagged"])),
        Figure(
            "Adds up",
            "yes" if all(line.adds_up for line in lines) else "NO",
            DEFINITIONS["Adds up"],
        ),
    ]
    rejected = [row for row in reasons if row["rejected"]]
    return Section(
        "Data quality",
        figures,
        (
            Chart(
                "Rows by day: accepted and rejected",
                charts.stacked_days(series, x="Day of the rows", y="Rows", unit="rows"),
                f"Of {', '.join(by_days)}." if 0 < len(by_days) < len(rows) else "",
            ),
            *(
                (
                    Chart(
                        "Rejected rows by reason",
                        charts.bars(
                            [{**row, "why": f"{row['reason']} ({row['source_table']})"} for row in rejected[:20]],
                            "why",
                            "rejected",
                            x="Rejected rows",
                            y="Reason (source table)",
                            unit="rows",
                            one_colour=charts.VERMILION,
                        ),
                    ),
                )
                if rejected
                else ()
            ),
        ),
        (account_sheet(lines), _reasons(reasons), _freshness(rows)),
    )


def _reasons(rows: Rows) -> Sheet:
    return Sheet(
        "Reasons",
        {
            "reason": ("Reason", "text"),
            "source_table": ("Source table", "text"),
            "rejected": ("Rejected rows", "count"),
            "flagged": ("Flagged rows", "count"),
        },
        rows,
    )


def _freshness(rows: Rows) -> Sheet:
    told = [
        {
            **row,
            "changed": _moment(row["modified_at"]),
            "read_at": read_at(row["run_id"]),
        }
        for row in rows
    ]
    return Sheet(
        "Freshness",
        {
            "source_table": ("Source table", "text"),
            "files": ("Files", "count"),
            "days": ("Days", "count"),
            "last_day": ("Newest day", "day"),
            "changed": ("File changed, UTC", "text"),
            "read_at": ("Last read, UTC", "text"),
            "run_id": ("By the run", "text"),
        },
        told,
    )


def read_at(run_id: str) -> str:
    """When the run of that id began, in UTC, as its id says; empty where it does not."""
    found = re.search(r"-(\d{8}T\d{6})Z-", run_id)
    return _moment(datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)) if found else ""


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class Coverage:
    """What of a range was read: `says` it in a sentence, for people; `missing` are days without anything."""

    says: str
    missing: tuple[date, ...] = ()
    is_known: bool = True


def coverage(read: Read, pipeline: str, asked: DateRange) -> Coverage:
    """Whether each day of the range was read."""
    _, nothing = AUDITED[pipeline]
    try:
        missing = missing_days(read, pipeline, asked)
    except MissingTableError:
        return Coverage("Whether days are missing is not known: there is no load_audit here.", is_known=False)
    if not missing:
        return Coverage(f"All {len(asked)} days of {asked} were read.")
    return Coverage(
        f"{len(missing)} of the {len(asked)} days {asked} are missing: {nothing} was read of {listed(missing)}.",
        missing,
    )
