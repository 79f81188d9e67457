"""A film-rental database like the real one: its 15 tables as CSV, and the same rows as SQL for PostgreSQL and MariaDB.

The bytes depend on the seed, the sizes and the range alone. Unlike daily logs, a range does not fit to another one: the
database is what stands in it at the end of the range's last day, so that what came back later is not back yet.

As in the real one, payments keep no rule: one in 50 is dated before its rental, one rental in 100 has none, half of
the late ones have two, one payment in 200 is another customer's, one is for no rental, many fall in another month.

The rows of FAULTS stand at the end of their CSV files, after all sound ones. What a typed column or a key refuses is
not in the SQL files; the orphans, whose reference is no declared key, are. Nothing refers to any of these rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import UsageError
from etl_spark.pipelines.rental.generate_masters import (
    STORES,
    Ints,
    Stock,
    below,
    build_masters,
    build_stock,
    customers_by_day,
    money,
    stream,
)
from etl_spark.pipelines.rental.generate_sql import DIALECTS, TABLES, Column, csv_head, csv_rows

MONTHS = (0.85, 0.82, 0.92, 0.90, 0.92, 1.02, 1.18, 1.15, 0.93, 0.96, 1.02, 1.33)
WEEKDAYS = (0.80, 0.78, 0.84, 0.94, 1.26, 1.34, 1.04)
"""Rentals of a month's days and of the days from Monday on, against the mean day."""

LATE_SHARE = 0.15
LOST_SHARE = 0.0025
"""Rentals that never come back. What is out on the last day comes on top: in a year one or two rentals in 100."""
DAY, OPENS_AT, OPEN_SECONDS = 86_400, 9 * 3600, 13 * 3600
LATE_FEE_CENTS = 100
"""For each calendar day that a film comes back after its days."""
EARLIEST_PAYMENT_DAYS = 40

NEVER = np.iinfo(np.int64).max
EPOCH = date(1970, 1, 1).toordinal()
CHUNK = 50_000
"""Rentals formatted at a time."""


@dataclass(frozen=True)
class Fault:
    """A row that is its table's first one with `changes`, under the next free key if they name none."""

    table: str
    reason: str
    changes: Mapping[str, str | None]
    in_sql: bool = False


# Those that SQL holds too come first.
FAULTS = (
    Fault("rental", "inventory_not_there", {"inventory_id": "999999999"}, in_sql=True),
    Fault("payment", "staff_not_there", {"staff_id": "99"}, in_sql=True),
    Fault("rental", "date_impossible", {"rental_date": "2022-02-30 10:00:00+00"}),
    Fault("rental", "inventory_not_a_number", {"inventory_id": "x12"}),
    Fault("rental", "key_null", {"rental_id": None}),
    Fault("rental", "row_repeated", {"rental_id": "1"}),
    Fault("payment", "amount_not_a_number", {"amount": "four"}),
    Fault("payment", "date_impossible", {"payment_date": "2022-13-01 12:00:00+00"}),
    Fault("payment", "key_null", {"payment_id": None}),
    Fault("payment", "row_repeated", {"payment_id": "1"}),
    Fault(
        "customer",
        "key_repeated_by_an_older_row",
        {"customer_id": "1", "first_name": "Formerly", "last_update": "1999-12-31 23:59:59+00"},
    ),
    Fault("film", "key_null", {"film_id": None}),
    Fault("film_category", "row_repeated", {}),
)


@dataclass(frozen=True)
class Rows:
    """Some rows of a table, column by column in the order of its CSV."""

    table: str
    columns: Sequence[Column]

    def __len__(self) -> int:
        return len(self.columns[0])


@dataclass(frozen=True)
class Rentals:
    """Some rentals, by time; moments in seconds since 1970, NEVER for what is not back yet."""

    rented_at: Ints
    returned_at: Ints
    item: Ints
    customer: Ints
    staff: Ints
    cents: Ints
    fee_cents: Ints


def generate(
    asked: DateRange, output: Path, *, seed: int, films: int, customers: int, rentals_per_day: int
) -> list[Path]:
    """Writes `output`/TABLE.csv for each table, `postgresql.sql` and `mariadb.sql`."""
    if asked.start.year < 1002 or asked.end.year > 9998:
        raise UsageError(f"the years 1002 to 9998 can be made, not {asked}: MariaDB's dates go from 1000 to 9999")
    output.mkdir(parents=True, exist_ok=True)
    sound = sound_rows(asked, seed=seed, films=films, customers=customers, rentals_per_day=rentals_per_day)
    names = [f"{table.name}.csv" for table in TABLES] + [dialect.file for dialect in DIALECTS]
    tables = {table.name: table for table in TABLES}
    with ExitStack() as files:
        streams = {
            name: files.enter_context((output / f"{name}.draft").open("w", encoding="utf-8", newline="\n"))
            for name in names
        }
        for table in TABLES:
            streams[f"{table.name}.csv"].write(csv_head(table))
        for dialect in DIALECTS:
            streams[dialect.file].write(dialect.opening(asked))
        for rows, in_sql in with_faults(sound):
            table = tables[rows.table]
            streams[f"{table.name}.csv"].write(csv_rows(rows.columns))
            for dialect in DIALECTS if in_sql else ():
                streams[dialect.file].writelines(dialect.inserts(table, rows.columns))
        for dialect in DIALECTS:
            streams[dialect.file].write(dialect.closing)
    return [(output / f"{name}.draft").rename(output / name) for name in names]


def with_faults(sound: Iterable[Rows]) -> Iterator[tuple[Rows, bool]]:
    """The sound rows, then those of FAULTS whose table has any row; and whether SQL holds them."""
    first: dict[str, dict[str, str | None]] = {}
    keys: Counter[str] = Counter()
    columns = {table.name: tuple(table.columns) for table in TABLES}
    for rows in sound:
        keys[rows.table] += len(rows)
        if rows.table not in first:
            first[rows.table] = {
                name: column[0] for name, column in zip(columns[rows.table], rows.columns, strict=True)
            }
        yield rows, True
    for fault in FAULTS:
        if fault.table in first:
            row = {**first[fault.table], **fault.changes}
            key = f"{fault.table}_id"
            if key in row and key not in fault.changes:
                keys[fault.table] += 1
                row[key] = str(keys[fault.table])
            yield Rows(fault.table, [[cell] for cell in row.values()]), fault.in_sql


def sound_rows(asked: DateRange, *, seed: int, films: int, customers: int, rentals_per_day: int) -> Iterator[Rows]:
    """All tables' rows, piece by piece, each row after those that it refers to."""
    stock = build_stock(seed=seed, films=films, rentals_per_day=rentals_per_day)
    for name, rows in build_masters(asked, stock, seed=seed, customers=customers):
        if rows:
            yield Rows(name, list(zip(*rows, strict=True)))
    random = stream(seed, "payment")
    first_rental, first_payment = 1, 1
    days = rent(asked, stock, seed=seed, customers=customers, rentals_per_day=rentals_per_day)
    for rentals in _in_chunks(days):
        numbers = np.arange(first_rental, first_rental + rentals.item.size)
        yield _rental_rows(rentals, numbers)
        payments = _payment_rows(
            random, rentals, numbers, first=first_payment, opened=_midnight(asked.start), customers=customers
        )
        yield payments
        first_rental += numbers.size
        first_payment += len(payments)


def rent(asked: DateRange, stock: Stock, *, seed: int, customers: int, rentals_per_day: int) -> Iterator[Rentals]:
    """Day by day what goes out, of what is in when the shop opens; fewer than asked for when too little is."""
    random = stream(seed, "rental")
    habits = np.sqrt(stream(seed, "habit").random(customers))
    closes = _midnight(asked.end) + DAY
    in_from = np.zeros(stock.film.size, dtype=np.int64)
    for day, joined in zip(asked.days, customers_by_day(asked, customers).tolist(), strict=True):
        midnight = _midnight(day)
        is_in = stock.lendable & (in_from <= midnight)
        item = _choose(random, is_in, stock.popular, _wanted(random, day, rentals_per_day))
        count, film = item.size, stock.film[item]
        one, another = below(random, joined, count), below(random, joined, count)
        customer = np.where(random.random(count) < habits[one], one, another)
        rented_at = midnight + OPENS_AT + np.sort(below(random, OPEN_SECONDS, count))
        late = np.where(random.random(count) < LATE_SHARE, 1 + below(random, 7, count), 0)
        days_out = np.where(late > 0, stock.days[film] + late, 1 + below(random, stock.days[film], count))
        back_at = midnight + days_out * DAY + OPENS_AT + below(random, OPEN_SECONDS, count)
        back_at = np.where(random.random(count) < LOST_SHARE, NEVER, back_at)
        in_from[item] = back_at
        is_back = back_at < closes
        yield Rentals(
            rented_at=rented_at,
            returned_at=np.where(is_back, back_at, NEVER),
            item=item,
            customer=customer,
            staff=stock.store[item] + 1 + np.where(random.random(count) < 0.4, STORES, 0),
            cents=stock.cents[film],
            fee_cents=np.where(is_back, late * LATE_FEE_CENTS, 0),
        )


def _wanted(random: np.random.Generator, day: date, rentals_per_day: int) -> int:
    mean = rentals_per_day * MONTHS[day.month - 1] * WEEKDAYS[day.weekday()]
    return int(mean * (0.8 + 0.4 * float(random.random())) + float(random.random()))


def _choose(
    random: np.random.Generator, is_in: npt.NDArray[np.bool_], is_popular: npt.NDArray[np.bool_], wanted: int
) -> Ints:
    """`wanted` different items, or all, in any order. A popular one has four chances: the greatest of four random
    numbers is spread as the fourth root of one."""
    items = np.flatnonzero(is_in)
    luck = random.random(items.size)
    luck = np.where(is_popular[items], np.sqrt(np.sqrt(luck)), luck)
    chosen = items[np.argsort(-luck, kind="stable")[:wanted]]
    return chosen[np.argsort(random.random(chosen.size), kind="stable")]


def _in_chunks(days: Iterable[Rentals]) -> Iterator[Rentals]:
    waiting: list[Rentals] = []
    size = 0
    for rentals in days:
        waiting.append(rentals)
        size += rentals.item.size
        if size >= CHUNK:
            yield _joined(waiting)
            waiting, size = [], 0
    if size:
        yield _joined(waiting)


def _joined(days: Sequence[Rentals]) -> Rentals:
    return Rentals(**{f.name: np.concatenate([getattr(day, f.name) for day in days]) for f in fields(Rentals)})


def _rental_rows(rentals: Rentals, numbers: Ints) -> Rows:
    rented_at, returned_at = _moments(rentals.rented_at), _moments(rentals.returned_at)
    updated = [back or out for out, back in zip(rented_at, returned_at, strict=True)]
    item, customer, staff = (_texts(column) for column in (rentals.item + 1, rentals.customer + 1, rentals.staff))
    return Rows("rental", (_texts(numbers), rented_at, item, customer, returned_at, staff, updated))


def _payment_rows(
    random: np.random.Generator, rentals: Rentals, numbers: Ints, *, first: int, opened: int, customers: int
) -> Rows:
    """A late rental with an even number pays its fee apart; the other oddities go by the number's last digits."""
    count, place = numbers.size, numbers % 200
    owes_fee = rentals.fee_cents > 0
    is_apart = owes_fee & (numbers % 2 == 0)
    is_at_desk = (rentals.returned_at == NEVER) | is_apart | (~owes_fee & (random.random(count) < 0.7))
    at_desk = rentals.rented_at + 30 + below(random, 300, count)
    lead = below(random, np.minimum(rentals.rented_at - opened, EARLIEST_PAYMENT_DAYS * DAY), count)
    paid_at = np.where(is_at_desk, at_desk, rentals.returned_at)
    paid_at = np.where(place % 50 == 37, rentals.rented_at - 1 - lead, paid_at)
    cents = np.where(is_apart, rentals.cents, rentals.cents + rentals.fee_cents)
    customer = np.where(place == 23, (rentals.customer + 1) % customers, rentals.customer)

    paid, apart, loose = (np.flatnonzero(some) for some in (place % 100 != 11, is_apart, place == 61))
    of = np.concatenate((paid, apart, loose))
    order = np.argsort(of, kind="stable")
    amounts = np.concatenate((cents[paid], rentals.fee_cents[apart], rentals.cents[loose]))[order]
    moments = np.concatenate((paid_at[paid], rentals.returned_at[apart], at_desk[loose]))[order]
    for_rental = np.concatenate((numbers[paid], numbers[apart], np.zeros_like(loose)))[order]
    of = of[order]
    return Rows(
        "payment",
        (
            _texts(np.arange(first, first + of.size)),
            _texts(customer[of] + 1),
            _texts(rentals.staff[of]),
            [str(number) if number else None for number in for_rental.tolist()],
            [money(amount) for amount in amounts.tolist()],
            _moments(moments, below(random, 1_000_000, of.size)),
        ),
    )


def _midnight(day: date) -> int:
    return (day.toordinal() - EPOCH) * DAY


def _texts(numbers: Ints) -> list[str]:
    return list(map(str, numbers.tolist()))


def _moments(seconds: Ints, micros: Ints | None = None) -> list[str | None]:
    """As PostgreSQL writes them: in UTC, with no zeros at the end of a second's parts; None for NEVER."""
    known = np.where(seconds == NEVER, 0, seconds)
    texts = (text.replace("T", " ") for text in np.datetime_as_string(known.astype("datetime64[s]")).tolist())
    if micros is not None:
        texts = (
            f"{text}.{micro:06d}".rstrip("0").rstrip(".") for text, micro in zip(texts, micros.tolist(), strict=True)
        )
    return [None if at == NEVER else f"{text}+00" for text, at in zip(texts, seconds.tolist(), strict=True)]
