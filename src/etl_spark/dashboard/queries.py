"""What the queries of all subjects share: conditions with their parameters, ranges there are, days that are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from etl_spark.core.dates import DateRange
from etl_spark.dashboard.catalog import MADE_BY
from etl_spark.dashboard.results import Query, Value
from etl_spark.dashboard.shown import Read

UNKNOWN = "(unknown)"
"""What a product without a category, or a customer without a country, counts as."""


@dataclass(frozen=True)
class Condition:
    """A condition in SQL, with the values of its parameters."""

    sql: str
    parameters: Mapping[str, Value] = field(default_factory=dict)


def within(expression: str, name: str, values: Sequence[str]) -> tuple[Condition, ...]:
    """That `expression` is one of `values`, which become parameters called `name`; no condition where there is none."""
    if not values:
        return ()
    parameters = {f"{name}_{place}": value for place, value in enumerate(values)}
    return (Condition(f"{expression} IN ({', '.join(f':{one}' for one in parameters)})", parameters),)


def of_range(asked: DateRange, table: str) -> Condition:
    """That a row of `table`, by its short name, is of the results over `asked`."""
    return Condition(
        f"{table}.start_date = :start_date AND {table}.end_date = :end_date",
        {"start_date": asked.start, "end_date": asked.end},
    )


def between(column: str, days: DateRange) -> Condition:
    """That `column` is one of `days`."""
    return Condition(f"{column} BETWEEN :first_day AND :last_day", {"first_day": days.start, "last_day": days.end})


def select(what: str, conditions: Sequence[Condition], rest: str = "", **parameters: Value) -> Query:
    """`what`, up to its FROM and JOINs, of the rows for which all conditions hold, and then `rest`."""
    given: dict[str, Value] = dict(parameters)
    for condition in conditions:
        given |= condition.parameters
    where = f" WHERE {' AND '.join(condition.sql for condition in conditions)}" if conditions else ""
    return Query(f"{what}{where}{' ' if rest else ''}{rest}", given)


def ranges(read: Read, table: str) -> tuple[DateRange, ...]:
    """The ranges that `table` has results of, newest first; of those that end on the same day, the longest first."""
    assert table in MADE_BY
    rows = read(Query(f"SELECT DISTINCT t.start_date AS start_date, t.end_date AS end_date FROM {table} t"))
    found = {DateRange(row["start_date"], row["end_date"]) for row in rows}
    return tuple(sorted(found, key=lambda one: (one.end, -one.start.toordinal()), reverse=True))


AUDITED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "viewing": (("viewing_logs",), "no log"),
    "sales": (("orders",), "no order"),
    "rental": (("rental", "payment"), "neither a rental nor a payment"),
    "churn.web": (("web",), "no web log"),
    "forecast.sales": (("order_items",), "nothing of the sales job"),
    "forecast.rentals": (("rental",), "nothing of the rental job"),
}
"""Of each audited source that has days: its tables that must have rows of a day, and what is said where none has."""


def audited_days(pipeline: str, asked: DateRange) -> Query:
    """The days of `asked` of which `pipeline` has read something."""
    tables, _ = AUDITED[pipeline]
    conditions = (
        Condition("a.pipeline = :pipeline AND a.reason = 'All'", {"pipeline": pipeline}),
        *within("a.source_table", "source_table", tables),
        between("a.date", asked),
    )
    return select("SELECT DISTINCT a.date AS day FROM load_audit a", conditions)


def missing_days(read: Read, pipeline: str, asked: DateRange) -> tuple[date, ...]:
    """The days of `asked` of which nothing was read. Raises MissingTableError where there is no load_audit."""
    found = {row["day"] for row in read(audited_days(pipeline, asked))}
    return tuple(day for day in asked.days if day not in found)
