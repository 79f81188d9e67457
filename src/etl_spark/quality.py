"""Rules that a row must pass, how many may fail, and what a run's audit adds up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pyspark.sql.functions as F
from pyspark.sql import Column, Row

from etl_spark.core.audit import ALL


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

    @property
    def reconciles(self) -> bool:
        return (
            self.rows_in == self.rows_accepted + self.rows_rejected
            and self.seconds_in == self.seconds_accepted + self.seconds_rejected
            and self.rows_rejected == sum(self.rejected.values())
        )


def tally(audit: Iterable[Row]) -> Tally:
    """The sum over rows of load_audit, of any days and files."""
    whole: list[Row] = []
    rejected: dict[str, int] = {}
    flagged: dict[str, int] = {}
    for row in audit:
        if row.reason == ALL:
            whole.append(row)
        elif row.rows_flagged:
            flagged[row.reason] = flagged.get(row.reason, 0) + row.rows_flagged
        else:
            rejected[row.reason] = rejected.get(row.reason, 0) + row.rows_rejected
    return Tally(
        rows_in=sum(row.rows_in for row in whole),
        rows_accepted=sum(row.rows_accepted for row in whole),
        rows_rejected=sum(row.rows_rejected for row in whole),
        seconds_in=int(sum(row.seconds_in for row in whole)),
        seconds_accepted=int(sum(row.seconds_accepted for row in whole)),
        seconds_rejected=int(sum(row.seconds_rejected for row in whole)),
        rejected=dict(sorted(rejected.items())),
        flagged=dict(sorted(flagged.items())),
    )


def days_over_limit(audit: Iterable[Row], max_rejected_share: float) -> dict[date, Tally]:
    """The days of which a larger share of the rows was rejected than may be."""
    by_day: dict[date, list[Row]] = {}
    for row in audit:
        by_day.setdefault(row.date, []).append(row)
    tallies = {day: tally(rows) for day, rows in sorted(by_day.items())}
    return {day: one for day, one in tallies.items() if one.rejected_share > max_rejected_share}
