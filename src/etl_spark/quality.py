"""Rules that a row must pass, how many may fail, and what a run's audit adds up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.audit import ALL, AuditRow, exact_sum
from etl_spark.core.errors import ReconciliationError
from etl_spark.core.step import Check, asked, whole
from etl_spark.core.table import Table

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
    """What rows of load_audit add up to. `rejected` and `flagged` are rows by reason; amounts are of one measure."""

    rows_in: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_outside: int = 0
    amount_in: Decimal = Decimal(0)
    amount_accepted: Decimal = Decimal(0)
    amount_rejected: Decimal = Decimal(0)
    rejected: Mapping[str, int] = field(default_factory=dict)
    flagged: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected_share(self) -> float:
        return self.rows_rejected / self.rows_in if self.rows_in else 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            rows_in=self.rows_in + other.rows_in,
            rows_accepted=self.rows_accepted + other.rows_accepted,
            rows_rejected=self.rows_rejected + other.rows_rejected,
            rows_outside=self.rows_outside + other.rows_outside,
            amount_in=exact_sum((self.amount_in, other.amount_in)),
            amount_accepted=exact_sum((self.amount_accepted, other.amount_accepted)),
            amount_rejected=exact_sum((self.amount_rejected, other.amount_rejected)),
            rejected=_by_reason((*self.rejected.items(), *other.rejected.items())),
            flagged=_by_reason((*self.flagged.items(), *other.flagged.items())),
        )


def tally(audit: Iterable[AuditRow]) -> Tally:
    """What `audit`, of any days and files, adds up to. Raises ReconciliationError where it does not add up."""
    rows = list(audit)
    whole = [row for row in rows if row.reason == ALL]
    parts = [row for row in rows if row.reason != ALL]
    total = Tally(
        rows_in=sum(row.rows_in or 0 for row in whole),
        rows_accepted=sum(row.rows_accepted or 0 for row in whole),
        rows_rejected=sum(row.rows_rejected for row in whole),
        rows_outside=sum(row.rows_outside for row in whole),
        amount_in=exact_sum(row.amount_in for row in whole if row.amount_in),
        amount_accepted=exact_sum(row.amount_accepted for row in whole if row.amount_accepted),
        amount_rejected=exact_sum(row.amount_rejected for row in whole),
        rejected=_by_reason((row.reason, row.rows_rejected) for row in parts),
        flagged=_by_reason((row.reason, row.rows_flagged) for row in parts),
    )
    if (
        total.rows_in != total.rows_accepted + total.rows_rejected
        or total.amount_in != exact_sum((total.amount_accepted, total.amount_rejected))
        or total.rows_rejected != sum(total.rejected.values())
    ):
        raise ReconciliationError(f"rows or amounts do not add up: {total}")
    return total


def _by_reason(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for reason, count in counts:
        sums[reason] += count
    return {reason: count for reason, count in sorted(sums.items()) if count}


def over_limit(audit: Iterable[AuditRow], limit: float, group: Callable[[AuditRow], str]) -> dict[str, Tally]:
    """The groups of rows, such as days, of which a larger share than `limit` was rejected."""
    by_group: dict[str, list[AuditRow]] = {}
    for row in audit:
        by_group.setdefault(group(row), []).append(row)
    tallies = {name: tally(rows) for name, rows in sorted(by_group.items())}
    return {name: one for name, one in tallies.items() if one.rejected_share > limit}


def too_many_rejected(groups: Mapping[str, Tally], limit: float, rejected: DataFrame) -> str:
    """What to tell of `groups`: the reasons found in `rejected` (reason, line, line_count), an example of each."""
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
    shares = (f"{name} {one.rows_rejected} of {one.rows_in} ({one.rejected_share:.1%})" for name, one in groups.items())
    return "\n".join(
        (
            f"more than {limit:.1%} of the rows were rejected, no table was changed: {', '.join(shares)}",
            *(f"  {row.rows} x {row.reason}, such as: {_printable(row.line)}" for row in reasons),
        )
    )


def _printable(line: bytes) -> str:
    return repr(line.decode("utf-8", "backslashreplace"))[1:-1] + ("..." if len(line) == EXAMPLE_BYTES else "")


def entry(df: DataFrame, accounts: Sequence[str], data_type: str, *keys: Column, **amounts: Column) -> DataFrame:
    """One row per row of `df`: `keys`, and what it adds to each of `accounts`, 0 where `amounts` does not name it."""
    values = (amounts.get(account, F.lit(0)).cast(data_type).alias(account) for account in accounts)
    return df.select(*keys, *values)


def accepted(audit: DataFrame, source_table: str) -> DataFrame:
    """The rows of load_audit that say what was accepted of each file of a table."""
    return audit.where((F.col("source_table") == source_table) & (F.col("reason") == ALL))


def unbalanced(entries: Sequence[DataFrame], accounts: Sequence[str], *keys: str) -> DataFrame:
    """One row per value of `keys`, or for all, whose `accounts` do not each come to 0 over all of `entries`."""
    sums = (F.sum(account).alias(account) for account in accounts)
    balances = reduce(DataFrame.unionAll, entries).groupBy(*keys).agg(*sums)
    return balances.where(" OR ".join(f"{account} != 0" for account in accounts))


def unique(table: Table, *key: str) -> Check:
    """No two rows of the asked days of `table` share `key`, which is its grain if none is named."""
    columns = key or table.grain

    def query(rows: DataFrame) -> DataFrame:
        return rows.groupBy(*columns).agg(F.count(F.lit(1)).alias("rows")).where("rows > 1")

    return Check(f"{table.name} has one row per {', '.join(columns)}", query, (asked(table),))


def resolves(fact: Table, key: str, dimension: Table) -> Check:
    """Each `key` in the asked days of `fact` is one of `dimension`, which has it under the same name."""

    def query(rows: DataFrame, members: DataFrame) -> DataFrame:
        return rows.join(members, on=key, how="left_anti").groupBy(key).agg(F.count(F.lit(1)).alias("rows"))

    return Check(f"{fact.name}.{key} is one of {dimension.name}", query, (asked(fact), whole(dimension)))
