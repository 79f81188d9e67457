"""The website's logs: a file of JSON lines a day, one line an event, in the order of their arrival.

For each order there is a visit that ends with a checkout in the seconds before it; the other visits end without one. An
event has the `anonymous_id` of a visitor who is not logged in, or the `customer_id` of one who is; a `login` has both.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.churn.generate_habits import Flags, Floats, Habits
from etl_spark.pipelines.sales.generate import (
    HOURS,
    MONTHS,
    THINGS,
    WEEKDAYS,
    Ints,
    Orders,
    Shop,
    below,
    customer_id,
    days_of_orders,
    drawn,
    product_id,
    shuffled,
    texts_random,
)

KINDS = ("login", "search", "view", "add_to_cart", "remove_from_cart", "checkout")
LOGIN, SEARCH, VIEW, ADD, REMOVE, CHECKOUT = range(len(KINDS))

REMEMBERED_SHARE, LOGIN_SHARE = 0.5, 0.25
"""Visits that are logged in from their start, and those that log in; the others never do, unless they buy."""
VIEWS = (75, 18, 5, 2)
"""Weights of visits with 1, 2, 3 ... views."""
OWN_SHARE = 0.5
"""Views that are of the one product that the visit is about."""
SEARCH_SHARE, CART_SHARE, EMPTIED_SHARE = (0.15, 0.7), (0.25, 0.6), (0.2, 0.6)
"""Visits that search, visits without a checkout that fill a cart, and carts that are emptied: of customers as ever, and
of the most discontent."""
VISIT_MINUTES = 20
"""The longest visit."""

DAY_MS = 86_400_000
DELAY_MS = 20_000
"""What is not late arrives within so long."""
LATE_SHARE, LATEST_DAYS = 0.02, 3
"""Events that arrive on a later day, and the last one."""
REPEAT_SHARE = 0.013
"""Lines that arrive again, within LATEST_DAYS of the event."""
FAULT_SHARE, FAULT_DAYS = 0.0005, 15
"""Share of a file's lines that each fault has, rounded down, but once in so many days at the least."""


def _without(field: str) -> Callable[[str, str, date], bytes]:
    return lambda line, _, __: re.sub(f'"{field}":"[^"]*",', "", line).encode()


def _at(time: Callable[[date], str]) -> Callable[[str, str, date], bytes]:
    return lambda line, _, day: re.sub('"event_time":"[^"]*"', f'"event_time":"{time(day)}"', line).encode()


def _moved(day: date, days: int) -> date:
    return date.fromordinal(day.toordinal() + days)


# A fault makes bytes of a line, of the line before it, and of the file's day.
FAULTS: tuple[Callable[[str, str, date], bytes], ...] = (
    lambda line, _, __: line[:-40].encode(),
    lambda line, before, _: f"{before}{line}".encode(),
    lambda line, _, __: f"[{line}]".encode(),
    lambda line, _, __: line.encode().replace(b'"view"', b'"vi\xffew"'),
    lambda line, _, __: line.replace('"view"', '"hover"').encode(),
    _without("event_id"),
    _without("event_time"),
    _without("session_id"),
    _without("kind"),
    _at(lambda day: f"{day}T25:61:00Z"),
    _at(lambda day: f"{_moved(day, 1)}T00:00:05.000Z"),
    _at(lambda day: f"{_moved(day, -9)}T12:00:00.000Z"),
)


@dataclass(frozen=True, eq=False)
class Visits:
    """Those that start on a day, `number` being their place by time; moments in milliseconds from its start.

    `known_from` is the share of the visit after which the customer is logged in: below 0 from the start on, 2 never.
    """

    number: Ints
    customer: Ints
    start: Ints
    length: Ints
    product: Ints
    views: Ints
    searches: Flags
    fills_cart: Flags
    empties_cart: Flags
    is_order: Flags
    known_from: Floats


@dataclass(frozen=True, eq=False)
class Events:
    """Those of the visits of a day, by time."""

    visit: Ints
    kind: Ints
    at: Ints
    product: Ints
    is_known: Flags


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Lines and when they arrive, in milliseconds from the start of 0001-01-01; `is_plain` can have a fault."""

    at: Ints
    is_plain: Flags
    lines: list[str]


def write_web(asked: DateRange, output: Path, shop: Shop, habits: Habits, visits_per_day: int) -> list[Path]:
    """Writes `output`/YYYYMMDD.json for each day of `asked`."""
    files = []
    for day, lines in days_of_lines(asked, shop, habits, visits_per_day):
        file = output / f"{day:%Y%m%d}.json"
        draft = file.with_suffix(".draft")
        draft.write_bytes(b"".join(line + b"\n" for line in lines))
        files.append(draft.rename(file))
    return files


def days_of_lines(
    asked: DateRange, shop: Shop, habits: Habits, visits_per_day: int
) -> Iterator[tuple[date, list[bytes]]]:
    """What arrives on a day is of visits that started on it or up to LATEST_DAYS and a midnight before."""
    recent: deque[Arrivals] = deque(maxlen=LATEST_DAYS + 2)
    for placed in days_of_orders(shop, DateRange(_moved(asked.start, -LATEST_DAYS - 1), asked.end)):
        recent.append(_arrivals(shop, habits, placed, visits_per_day))
        if placed.today >= asked.start.toordinal():
            yield date.fromordinal(placed.today), _file_lines(shop, placed.today, recent)


def _arrivals(shop: Shop, habits: Habits, placed: Orders, visits_per_day: int) -> Arrivals:
    random = np.random.default_rng([shop.seed, placed.today, 2])
    visits = _visits(random, shop, habits, placed, visits_per_day)
    events = _events(random, shop, placed.today, visits)
    lines = _lines(placed.today, shop, visits, events)
    count = events.at.size
    happened = placed.today * DAY_MS + events.at
    midnight = happened - happened % DAY_MS
    late = np.where(random.random(count) < LATE_SHARE, 1 + below(random, LATEST_DAYS, count), 0)
    in_time = np.minimum(happened + below(random, DELAY_MS, count), midnight + DAY_MS - 1)
    first = np.where(late > 0, midnight + late * DAY_MS + below(random, DAY_MS, count), in_time)
    again = np.flatnonzero(random.random(count) < REPEAT_SHARE)
    # Half of them soon after, the others at any time.
    wait = np.where(random.random(again.size) < 0.5, DELAY_MS, LATEST_DAYS * DAY_MS)
    latest = midnight[again] + (LATEST_DAYS + 1) * DAY_MS - 1
    second = np.minimum(first[again] + 1 + np.floor(random.random(again.size) * wait).astype(np.int64), latest)
    is_plain = (events.kind == VIEW) & (late == 0)
    return Arrivals(
        np.concatenate((first, second)),
        np.concatenate((is_plain, np.zeros(again.size, np.bool_))),
        lines + [lines[place] for place in again.tolist()],
    )


def _visits(random: np.random.Generator, shop: Shop, habits: Habits, placed: Orders, visits_per_day: int) -> Visits:
    """One for each order that is more than a return, then those without an order."""
    today = placed.today
    day = date.fromordinal(today)
    season = MONTHS[day.month - 1] * WEEKDAYS[day.weekday()] / 10_000
    others = drawn(random, habits.visits(today), int(visits_per_day * season * (0.9 + 0.2 * random.random()) + 0.5))
    sold = placed.lines[placed.lines["quantity"] > 0]
    orders, first_line = np.unique(sold["order"], return_index=True)
    checkout = (placed.seconds(texts_random(shop, today))[orders] * 1000 - below(random, 5000, orders.size)).clip(0)
    customer = np.concatenate((placed.customers[orders], others))
    count = customer.size
    is_order = np.arange(count) < orders.size
    length = 30_000 + below(random, VISIT_MINUTES * 60_000 - 30_000, count)
    opened = drawn(random, np.array(HOURS), others.size) * 3_600_000 + below(random, 3_600_000, others.size)
    start = np.concatenate(((checkout - length[: orders.size]).clip(0), opened))
    length[: orders.size] = checkout - start[: orders.size]
    product = np.concatenate((sold["product"][first_line], _looked_at(random, shop, today, others.size)))
    discontent = habits.discontent(today)[customer]

    def is_so(shares: tuple[float, float]) -> Flags:
        flags: Flags = random.random(count) < shares[0] + (shares[1] - shares[0]) * discontent
        return flags

    searches, fills, empties = is_so(SEARCH_SHARE), is_so(CART_SHARE), is_so(EMPTIED_SHARE)
    login = random.random(count)
    logs_in = is_order | (login < REMEMBERED_SHARE + LOGIN_SHARE)
    return Visits(
        number=np.argsort(np.argsort(start, kind="stable")),
        customer=customer,
        start=start,
        length=length,
        product=product,
        views=1 + drawn(random, np.array(VIEWS), count),
        searches=searches,
        fills_cart=is_order | fills,
        empties_cart=~is_order & fills & empties,
        is_order=is_order,
        known_from=np.select((login < REMEMBERED_SHARE, logs_in), (-1, 0.5 * random.random(count)), 2),
    )


def _looked_at(random: np.random.Generator, shop: Shop, today: int, count: int) -> Ints:
    """Products as they are in demand; the first one where nothing is."""
    product = np.zeros(count, np.int64)
    found = drawn(random, shop.products.popularity_on(today), count)
    product[: found.size] = found
    return product


def _events(random: np.random.Generator, shop: Shop, today: int, visits: Visits) -> Events:
    is_login = (visits.known_from >= 0) & (visits.known_from < 2)
    # How often each visit has each kind, and between which shares of its length.
    parts = (
        (LOGIN, is_login, 0.0, 0.0),
        (SEARCH, visits.searches, 0.0, 0.6),
        (VIEW, visits.views, 0.0, 0.6),
        (ADD, visits.fills_cart, 0.6, 0.8),
        (REMOVE, visits.empties_cart, 0.8, 1.0),
        (CHECKOUT, visits.is_order, 1.0, 1.0),
    )
    everyone = np.arange(visits.start.size)
    visit = np.concatenate([np.repeat(everyone, times) for _, times, _, _ in parts])
    kind = np.concatenate([np.full(int(times.sum()), kind) for kind, times, _, _ in parts])
    starts, ends = (np.array([part[place] for part in parts])[kind] for place in (2, 3))
    share = starts + (ends - starts) * random.random(visit.size)
    share = np.where(kind == LOGIN, visits.known_from[visit], share)
    at = visits.start[visit] + np.floor(share * visits.length[visit]).astype(np.int64)
    strays = (kind == SEARCH) | ((kind == VIEW) & (random.random(visit.size) >= OWN_SHARE))
    product = np.where(strays, _looked_at(random, shop, today, visit.size), visits.product[visit])
    by_time = np.lexsort((kind, at, visits.number[visit]))
    is_known = visits.known_from[visit] <= share
    return Events(*(column[by_time] for column in (visit, kind, at, product, is_known)))


def _lines(today: int, shop: Shop, visits: Visits, events: Events) -> list[str]:
    day = date.fromordinal(today)
    of_day = f"{day:%Y%m%d}"
    # An evening's visit can end on the next day.
    days = (f"{day}", f"{_moved(day, 1)}")
    customers = visits.customer[events.visit]
    sessions = visits.number[events.visit] + 1
    columns = (sessions, events.kind, events.at, events.product, events.is_known, customers)
    things = shop.products.thing.tolist()
    lines = []
    for number, (session, kind, at, product, is_known, customer) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True), start=1
    ):
        after, moment = divmod(at, DAY_MS)
        second, ms = divmod(moment, 1000)
        who = f'"customer_id":"{customer_id(customer)}",' if is_known else ""
        if kind == LOGIN or not is_known:
            who += f'"anonymous_id":"{_anonymous_id(customer)}",'
        if kind == SEARCH:
            what = f',"query":"{THINGS[things[product]][0].lower()}"'
        else:
            what = f',"product_id":"{product_id(product)}"' if kind in (VIEW, ADD, REMOVE) else ""
        lines.append(
            f'{{"event_id":"E{of_day}{number:06}",'
            f'"event_time":"{days[after]}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{ms:03}Z",'
            f'"session_id":"S{of_day}{session:06}",{who}"kind":"{KINDS[kind]}"{what}}}'
        )
    return lines


def _anonymous_id(customer: int) -> str:
    return f"A{customer * 7_368_787 % 10_000_000:07}"


def _file_lines(shop: Shop, today: int, recent: deque[Arrivals]) -> list[bytes]:
    at, is_plain = (np.concatenate([getattr(one, name) for one in recent]) for name in ("at", "is_plain"))
    texts = [line for one in recent for line in one.lines]
    here = np.flatnonzero(at // DAY_MS == today)
    here = here[np.argsort(at[here], kind="stable")]
    lines = [texts[place] for place in here.tolist()]
    made = [line.encode() for line in lines]
    random = np.random.default_rng([shop.seed, today, 3])
    places = shuffled(random, 1 + np.flatnonzero(is_plain[here][1:]))
    for place, fault in zip(places.tolist(), faults_of(today, len(lines)), strict=False):
        made[place] = fault(lines[place], lines[place - 1], date.fromordinal(today))
    return made


def faults_of(today: int, count: int) -> list[Callable[[str, str, date], bytes]]:
    return [
        fault
        for number, fault in enumerate(FAULTS)
        for _ in range(max(int(count * FAULT_SHARE), int((today + number) % FAULT_DAYS == 0)))
    ]
