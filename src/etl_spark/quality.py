"""Rules that a row must pass, how many may fail, and what a run's audit adds up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.audit import ALL, AuditRow
from etl_spark.core.errors import ReconciliationError

EXAMPLE_BYTES = 200
"""How much of a rejected line is shown."""


@dataclass(frozen=True)
class Rule:
    """A reason to turn a row away, and the condition of the rows it fits. A condition that is null does not hold."""

    reason: str
    fails: Column


def first_reason(rules: Sequence[Rule]) -> Column:
    """The reason of the first rule, in order, that a row fails; null for a row to accept."""
    return F.coalesce(*(F.when(rule.fails, F.lit(rule.reason)) for rule in rules))


@dataclass(frozen=True)
class Tally:
    """What rows of load_audit add up to. Rows and seconds; `rejected` and `flagged` are rows by reason."""

    rows_in: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    seconds_in: int = 0
    seconds_accepted: int = 0
    seconds_rejected: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    flagged: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected_share(self) -> float:
        return self.rows_rejected / self.rows_in if self.rows_in else 0.0


def tally(audit: Iterable[AuditRow]) -> Tally:
    """What `audit`, of any days and files, adds up to. Raises ReconciliationError where it does not add up."""
    rows = list(audit)
    whole = [row for row in rows if row.reason == ALL]
    parts = [row for row in rows if row.reason != ALL]
    total = Tally(
        rows_in=sum(row.rows_in or 0 for row in whole),
        rows_accepted=sum(row.rows_accepted or 0 for row in whole),
        rows_rejected=sum(row.rows_rejected for row in whole),
        seconds_in=int(sum(row.seconds_in or 0 for row in whole)),
        seconds_accepted=int(sum(row.seconds_accepted or 0 for row in whole)),
        seconds_rejected=int(sum(row.seconds_rejected for row in whole)),
        rejected=_by_reason((row.reason, row.rows_rejected) for row in parts),
        flagged=_by_reason((row.reason, row.rows_flagged) for row in parts),
    )
    if (
        total.rows_in != total.rows_accepted + total.rows_rejected
        or total.seconds_in != total.seconds_accepted + total.seconds_rejected
        or total.rows_rejected != sum(total.rejected.values())
    ):
        raise ReconciliationError(f"rows or seconds do not add up: {total}")
    return total


def _by_reason(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for reason, count in counts:
        sums[reason] += count
    return {reason: count for reason, count in sorted(sums.items()) if count}


def days_over_limit(audit: Iterable[AuditRow], max_rejected_share: float) -> dict[date, Tally]:
    """The days of which a larger share of the rows was rejected than may be."""
    by_day: dict[date, list[AuditRow]] = {}
    for row in audit:
        by_day.setdefault(row.date, []).append(row)
    tallies = {day: tally(rows) for day, rows in sorted(by_day.items())}
    return {day: one for day, one in tallies.items() if one.rejected_share > max_rejected_share}


def too_many_rejected(days: Mapping[date, Tally], limit: float, rejected: DataFrame) -> str:
    """What to tell of `days`: the reasons found in `rejected` (reason, line, line_count), with an example of each."""
    shortest_first = F.struct(F.octet_length("line"), "line")
    reasons = (
        rejected.groupBy("reason")
        .agg(
            F.sum("line_count").alias("rows"),
            F.min_by(F.substring("line", 1, EXAMPLE_BYTES), shortest_first).alias("line"),
        )
        .orderBy(F.desc("rows"), "reason")
        .collect()
    )
    shares = (f"{day} {one.rows_rejected} of {one.rows_in} ({one.rejected_share:.1%})" for day, one in days.items())
    return "\n".join(
        (
            f"more than {limit:.1%} of the rows were rejected, no table was changed: {', '.join(shares)}",
            *(f"  {row.rows} x {row.reason}, such as: {_printable(row.line)}" for row in reasons),
        )
    )


def _printable(line: bytes) -> str:
    return repr(line.decode("utf-8", "backslashreplace"))[1:-1] + ("..." if len(line) == EXAMPLE_BYTES else "")
