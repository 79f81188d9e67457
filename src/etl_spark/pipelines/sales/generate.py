"""A shop's extracts: customers.csv, products.csv, orders.csv and order_items.csv.

A day's orders depend on the seed, the sizes and the day alone, so any range of days fits to any other. Customers and
products depend on the seed and the sizes alone: they are the tables as they stand at the end of REGISTRATIONS, so that
some customers register after the range, and a product's price is not what it was sold at.

What there is to find:

- Customers: many buy once, some never, most for a while and then no more; few buy often, few buy much at a time. The
  first order is on the day of registration or in the month after it; that of EARLY_SHARE is in the month before it.
- Baskets: who buys a product of a set (SETS) adds the next of that set, of the same brand, in TOGETHER of the cases.
- Demand: weekly and yearly seasons, twice the demand for the goods of a season (HIGH_MONTHS), growth from year to year.
- Returns: RETURN_SHARE of the lines come back whole within LONGEST_RETURN days, at the price they were sold at, as a
  negative line in a later order of the same customer. What was sold before the range comes back in it as well.

FAULTS names what is wrong in a few rows. A fault in an order leaves its items without an order that can be used, as in
life; a customer that has one orders nothing, and a product that has one is not sold. Sound, but hard to read: commas,
quotes and line ends in addresses, names in many scripts.

Random numbers go through exact arithmetic only (no logarithm, no sine), to be the same on every machine. The words are
Faker's: another version of it has others.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from faker import Faker

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import UsageError

Ints = npt.NDArray[np.int64]
Lines = npt.NDArray[np.void]
Row = dict[str, str]
Fault = Callable[[Row], tuple[Row, ...]]

OPENED = date(2020, 1, 1)
"""The first day with orders."""
REGISTRATIONS = DateRange(date(2019, 1, 1), date(2026, 12, 31))
"""Customers register evenly over these days."""

COLUMNS = {
    "customers": ("customer_id", "name", "email", "address", "city", "country", "registration_date"),
    "products": ("product_id", "product_name", "category", "price", "stock_quantity"),
    "orders": ("order_id", "customer_id", "order_date"),
    "order_items": ("order_item_id", "order_id", "product_id", "quantity", "price_per_item"),
}

# A fault makes of a sound row what stands in the file for it. With one more 0 in front, an identifier is nobody's.
FAULTS: dict[str, dict[str, Fault]] = {
    "customers": {
        "customer_id_empty": lambda row: (row | {"customer_id": ""},),
        "customer_id_trailing_spaces": lambda row: (row | {"customer_id": row["customer_id"] + "  "},),
        "registration_date_impossible": lambda row: (row | {"registration_date": "2024-02-30"},),
        "registration_date_not_iso": lambda row: (row | {"registration_date": "31/12/2023"},),
    },
    "products": {
        "product_id_empty": lambda row: (row | {"product_id": ""},),
        "price_with_letter": lambda row: (row | {"price": row["price"][:-1] + "O"},),
        "price_not_available": lambda row: (row | {"price": "n/a"},),
        "price_negative": lambda row: (row | {"price": "-" + row["price"]},),
        "stock_not_integer": lambda row: (row | {"stock_quantity": "many"},),
    },
    "orders": {
        "order_id_blank": lambda row: (row | {"order_id": "  "},),
        "customer_id_empty": lambda row: (row | {"customer_id": ""},),
        "customer_id_trailing_spaces": lambda row: (row | {"customer_id": row["customer_id"] + "  "},),
        "customer_unknown": lambda row: (row | {"customer_id": "C0" + row["customer_id"][1:]},),
        "order_date_impossible": lambda row: (row | {"order_date": f"{row['order_date'][:4]}-02-30 10:15:00"},),
        "order_date_not_iso": lambda row: (row | {"order_date": f"31/12/{row['order_date'][:4]} 10:15:00"},),
    },
    "order_items": {
        "order_item_id_empty": lambda row: (row | {"order_item_id": ""},),
        "row_repeated": lambda row: (row, row),
        "order_item_id_repeated": lambda row: (row, row | {"quantity": str(2 * int(row["quantity"]))}),
        "order_unknown": lambda row: (row | {"order_id": "O0" + row["order_id"][1:]},),
        "product_unknown": lambda row: (row | {"product_id": "P0" + row["product_id"][1:]},),
        "product_id_trailing_spaces": lambda row: (row | {"product_id": row["product_id"] + " "},),
        "quantity_not_integer": lambda row: (row | {"quantity": row["quantity"] + ".5"},),
        "price_with_letter": lambda row: (row | {"price_per_item": row["price_per_item"][:-1] + "O"},),
        "price_not_available": lambda row: (row | {"price_per_item": "n/a"},),
        "price_negative": lambda row: (row | {"price_per_item": "-" + row["price_per_item"]},),
    },
}
FAULT_SHARE = 0.0002
"""Share of a file's rows, of orders and items of a day's, that each fault has; rounded down."""
FAULT_DAYS = 30
"""At the least, each fault is once in customers and in products, and once in so many days in orders and in items."""

SETS = (
    ("Espresso Machine", "Coffee Grinder"),
    ("Printer", "Ink Cartridge"),
    ("Camera", "Memory Card"),
    ("Tent", "Sleeping Bag", "Camping Stove"),
    ("Yoga Mat", "Foam Roller"),
)
TOGETHER = 0.4
CATALOGUE: dict[str, dict[str, int]] = {
    "Kitchen": {"Espresso Machine": 240, "Coffee Grinder": 60, "Kettle": 35, "Toaster": 40, "Saucepan": 30},
    "Electronics": {"Printer": 130, "Ink Cartridge": 25, "Camera": 420, "Memory Card": 18, "Headphones": 90},
    "Outdoor": {"Tent": 180, "Sleeping Bag": 70, "Camping Stove": 45, "Rucksack": 85, "Head Torch": 22},
    "Sport": {"Yoga Mat": 28, "Foam Roller": 20, "Dumbbell": 32, "Football": 24, "Bicycle Pump": 26},
    "Toys": {"Building Blocks": 34, "Puzzle": 16, "Board Game": 38, "Doll": 27, "Kite": 14},
    "Garden": {"Watering Can": 15, "Pruning Shears": 23, "Garden Hose": 36, "Bird Feeder": 19, "Spade": 29},
    "Home": {"Table Lamp": 44, "Blanket": 33, "Cushion": 17, "Wall Clock": 31, "Scented Candle": 12},
}
"""Typical prices of a thing, by category; a brand has one of each."""
HIGH_MONTHS = {"Outdoor": (5, 6, 7, 8), "Garden": (3, 4, 5, 6), "Toys": (11, 12), "Home": (10, 11, 12, 1)}
THINGS = [(thing, category, price) for category, prices in CATALOGUE.items() for thing, price in prices.items()]

MONTHS = (88, 84, 92, 95, 98, 97, 94, 92, 98, 104, 126, 132)
WEEKDAYS = (96, 92, 94, 98, 108, 112, 100)
HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 14, 13, 12, 12, 13, 15, 18, 21, 22, 18, 11, 5)
"""How busy months and days of the week (Mondays first) are, in percent of the mean, and hours, as weights."""
YEARLY_GROWTH, MEAN_DAY = 0.12, date(2024, 1, 1)
"""Orders grow in a straight line; orders_per_day is the mean of a year about MEAN_DAY."""
LINES_OF_ORDER = (40, 25, 15, 10, 6, 4)
"""Weights of orders of 1, 2, 3 ... lines, before what goes along with them."""
PIECES = (78, 14, 5, 2, 1)
"""Weights of lines of 1, 2, 3 ... pieces."""
MULTIPLES, MULTIPLE_SHARES = np.array((1, 2, 5)), (80, 14, 6)
"""How many times as much of everything a customer buys as most do."""
NEVER_SHARE, ONCE_SHARE = 0.08, 0.22
EARLY_SHARE, LATE_SHARE, DELAY_DAYS = 0.06, 0.44, 30
"""First orders before and after the day of registration, by up to DELAY_DAYS."""
LIFE_DAYS = 900
"""Half of the customers who come again do so for about so many days."""
UNSOLD_SHARE = 0.04
RETURN_SHARE, LONGEST_RETURN = 0.026, 30
PRICE_DAYS = 120
"""A product's price lasts so long."""

LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "pl_PL", "el_GR", "pt_BR", "ja_JP", "vi_VN")
WORDS = 250
"""Names, streets and cities that there are of each locale."""
ADDRESSES = ("{0}",) * 22 + ("{0}, Apt. {1}", "{0}\nFloor {1}", '"Villa {1}", {0}')
CHUNK = 100_000
"""Customers made at a time."""
LINE = np.dtype([(name, np.int64) for name in ("order", "customer", "product", "quantity", "cents", "back_on")])
"""A line of a day's orders, by numbers from 0; `back_on` is the day on which it is returned, or 0."""


@dataclass(frozen=True, eq=False)
class Customers:
    """What each does, by number; days are ordinals. `first` is the day of the first order, or 0; `left` has none."""

    registered: Ints
    first: Ints
    left: Ints
    frequency: Ints
    multiple: Ints
    faults: dict[int, str]


@dataclass(frozen=True, eq=False)
class Products:
    """What each is, by number; `thing` is a place in THINGS, `companion` a product that goes along with it, or -1."""

    thing: Ints
    companion: Ints
    popularity: Ints
    cents: Ints
    phase: Ints
    faults: dict[int, str]

    def popularity_on(self, today: int) -> Ints:
        month = date.fromordinal(today).month
        demand: Ints = np.array([2 if month in HIGH_MONTHS.get(category, ()) else 1 for _, category, _ in THINGS])
        return self.popularity * demand[self.thing]

    def cents_on(self, today: int) -> Ints:
        period = (today + self.phase) // PRICE_DAYS
        change = (np.arange(self.thing.size) * 0x9E3779B1 + period * 0x85EBCA77 >> 15) % 25
        return self.cents * (92 + change) // 100


@dataclass(frozen=True, eq=False)
class Shop:
    """All that a day's orders depend on."""

    seed: int
    orders_per_day: int
    customers: Customers
    products: Products


@dataclass(frozen=True, eq=False)
class Orders:
    """A day's: who placed each, by number, and the lines of all, returns among them."""

    today: int
    customers: Ints
    lines: Lines

    def seconds(self, random: np.random.Generator) -> Ints:
        """When each was placed; of a generator that is texts_random's."""
        count = self.customers.size
        return np.sort(drawn(random, np.array(HOURS), count) * 3600 + below(random, 3600, count))


def generate(
    asked: DateRange, output: Path, *, seed: int, customers: int, products: int, orders_per_day: int
) -> list[Path]:
    """Writes the four files of COLUMNS into `output`; UsageError where `asked` starts before the shop was OPENED."""
    if asked.start < OPENED:
        raise UsageError(f"the shop opened on {OPENED}: there are no orders on {asked.start}")
    shop = Shop(seed, orders_per_day, customers_of(seed, customers), products_of(seed, products))
    who = shop.customers
    return write_extracts(
        output,
        customers=_spoiled(customer_rows(seed, who.registered), "customers", who.faults),
        products=_product_rows(shop),
        days=(_texts(shop, placed) for placed in days_of_orders(shop, asked)),
    )


def write_extracts(
    output: Path, *, customers: Iterable[Row], products: Iterable[Row], days: Iterable[tuple[str, str]]
) -> list[Path]:
    """Writes the four files of COLUMNS; `days` are the texts of each day's orders and of their items."""
    output.mkdir(parents=True, exist_ok=True)
    files = {name: output / f"{name}.csv" for name in COLUMNS}
    with ExitStack() as stack:
        streams = {
            name: stack.enter_context(file.with_suffix(".draft").open("w", encoding="utf-8", newline=""))
            for name, file in files.items()
        }
        for name, rows in (("customers", customers), ("products", products)):
            writer = csv.writer(streams[name], lineterminator="\n")
            writer.writerow(COLUMNS[name])
            writer.writerows(row.values() for row in rows)
        for name in ("orders", "order_items"):
            streams[name].write(",".join(COLUMNS[name]) + "\n")
        for orders, items in days:
            streams["orders"].write(orders)
            streams["order_items"].write(items)
    return [file.with_suffix(".draft").rename(file) for file in files.values()]


class Words(NamedTuple):
    """Of each locale names, streets, cities and its country; of the first, accounts and brands."""

    names: list[list[str]]
    streets: list[list[str]]
    cities: list[list[str]]
    countries: list[str]
    accounts: list[str]
    brands: list[str]


@cache
def words_of(seed: int) -> Words:
    fakers = [Faker(locale) for locale in LOCALES]
    for faker in fakers:
        faker.seed_instance(seed)
    times = range(WORDS)
    return Words(
        names=[[faker.name() for _ in times] for faker in fakers],
        streets=[[faker.street_address().strip() for _ in times] for faker in fakers],
        cities=[[faker.city() for _ in times] for faker in fakers],
        countries=[faker.current_country() for faker in fakers],
        accounts=[fakers[0].user_name() for _ in times],
        brands=list(dict.fromkeys(fakers[0].last_name() for _ in times)),
    )


def customers_of(seed: int, count: int) -> Customers:
    random = np.random.default_rng([seed, 1])
    registered = REGISTRATIONS.start.toordinal() + below(random, len(REGISTRATIONS), count)
    delay = random.random(count)
    days = 1 + below(random, DELAY_DAYS, count)
    first = registered + np.select((delay < EARLY_SHARE, delay < EARLY_SHARE + LATE_SHARE), (-days, days), 0)
    kind, life, eagerness = random.random(count), random.random(count), random.random(count)
    left = first + 1 + skewed(LIFE_DAYS, life)
    frequency = np.where(kind < NEVER_SHARE + ONCE_SHARE, 0, 1 + skewed(10, eagerness))
    multiple = MULTIPLES[drawn(random, np.array(MULTIPLE_SHARES), count)]
    faults = _faults(shuffled(random, np.arange(count)), "customers", count)
    is_idle = kind < NEVER_SHARE
    is_idle[list(faults)] = True
    return Customers(registered, np.where(is_idle, 0, first), left, np.where(is_idle, 0, frequency), multiple, faults)


def products_of(seed: int, count: int) -> Products:
    random = np.random.default_rng([seed, 2])
    places = {thing: place for place, (thing, _, _) in enumerate(THINGS)}
    steps = np.zeros(len(THINGS), np.int64)
    for members in SETS:
        for member, following in zip(members, members[1:] + members[:1], strict=True):
            steps[places[member]] = places[following] - places[member]
    number = np.arange(count)
    thing = number % len(THINGS)
    companion = np.where((steps[thing] != 0) & (number + steps[thing] < count), number + steps[thing], -1)
    single = shuffled(random, np.flatnonzero(steps[thing] == 0))
    faults = _faults(single, "products", count)
    popularity = 1 + skewed(10, random.random(count))
    popularity[single[: len(faults) + int(count * UNSOLD_SHARE)]] = 0
    typical = np.array([price for _, _, price in THINGS])[thing]
    cents = typical * (60 + below(random, 120, count)) // 100 * 100 + 99
    return Products(thing, companion, popularity, cents, below(random, PRICE_DAYS, count), faults)


def customer_rows(seed: int, registered: Ints) -> Iterator[Row]:
    """All customers, by the ordinals of the days on which they registered, as they are before faults."""
    random = np.random.default_rng([seed, 3])
    count = registered.size
    words = words_of(seed)
    columns = (registered, below(random, len(LOCALES), count), *(below(random, WORDS, count) for _ in range(4)))
    return (
        {
            "customer_id": customer_id(number),
            "name": words.names[locale][name],
            "email": f"{words.accounts[account]}{number + 1}@example.com",
            "address": ADDRESSES[number % len(ADDRESSES)].format(words.streets[locale][street], number % 90 + 1),
            "city": words.cities[locale][city],
            "country": words.countries[locale],
            "registration_date": str(date.fromordinal(day)),
        }
        for number, (day, locale, name, street, city, account) in enumerate(tuples(columns))
    )


def _product_rows(shop: Shop) -> Iterator[Row]:
    goods = shop.products
    random = np.random.default_rng([shop.seed, 4])
    brands = words_of(shop.seed).brands
    stock = below(random, 500, goods.thing.size).tolist()
    cents = goods.cents_on(REGISTRATIONS.end.toordinal()).tolist()
    things = (THINGS[thing] for thing in goods.thing.tolist())
    rows = (
        {
            "product_id": product_id(number),
            "product_name": f"{brand_name(brands, number // len(THINGS))} {thing}",
            "category": category,
            "price": price_text(cents[number]),
            "stock_quantity": str(stock[number]),
        }
        for number, (thing, category, _) in enumerate(things)
    )
    return _spoiled(rows, "products", goods.faults)


def days_of_orders(shop: Shop, asked: DateRange) -> Iterator[Orders]:
    """Each day's, as they are before faults."""
    return with_returns(asked, lambda today: _sales(shop, today))


def with_returns(asked: DateRange, sales: Callable[[int], tuple[Ints, Lines]]) -> Iterator[Orders]:
    """Each day's orders: of `sales`, which tells the customer of each order of a day and the lines of all, and of what
    comes back by then."""
    recent: deque[Lines] = deque(maxlen=LONGEST_RETURN)
    for today in range(asked.start.toordinal() - LONGEST_RETURN, asked.end.toordinal() + 1):
        buyers, sold = sales(today)
        if today >= asked.start.toordinal():
            due = np.concatenate([lines[lines["back_on"] == today] for lines in recent])
            yield Orders(today, *_with_due(buyers, sold, due))
        recent.append(sold[sold["back_on"] > 0])


def _sales(shop: Shop, today: int) -> tuple[Ints, Lines]:
    """The customer of each order, and the lines of all; a product is in an order once."""
    random = np.random.default_rng([shop.seed, today])
    buyers = _buyers(random, shop, today)
    goods = shop.products
    order = np.repeat(np.arange(buyers.size), 1 + drawn(random, np.array(LINES_OF_ORDER), buyers.size))
    product = drawn(random, goods.popularity_on(today), order.size)
    order = order[: product.size]
    companion = goods.companion[product]
    goes_along = (companion >= 0) & (random.random(order.size) < TOGETHER)
    width = goods.thing.size
    lines_at = np.unique(np.concatenate((order * width + product, (order * width + companion)[goes_along])))
    lines = np.zeros(lines_at.size, LINE)
    lines["order"], lines["product"] = np.divmod(lines_at, width)
    lines["customer"] = buyers[lines["order"]]
    lines["quantity"] = (1 + drawn(random, np.array(PIECES), lines.size)) * shop.customers.multiple[lines["customer"]]
    lines["cents"] = goods.cents_on(today)[lines["product"]]
    back_on = today + 1 + below(random, LONGEST_RETURN, buyers.size)[lines["order"]]
    lines["back_on"] = np.where(random.random(lines.size) < RETURN_SHARE, back_on, 0)
    return buyers, lines


def _buyers(random: np.random.Generator, shop: Shop, today: int) -> Ints:
    """The newcomers of today once, and of the others those who come often more often than the rest."""
    day = date.fromordinal(today)
    season = MONTHS[day.month - 1] * WEEKDAYS[day.weekday()] / 10_000
    growth = 1 + YEARLY_GROWTH * (today - MEAN_DAY.toordinal()) / 365
    count = int(shop.orders_per_day * season * growth * (0.9 + 0.2 * random.random()) + random.random())
    who = shop.customers
    newcomers = np.flatnonzero(who.first == today)
    chance = who.frequency * ((who.first < today) & (today < who.left))
    regulars = drawn(random, chance, max(count - newcomers.size, 0))
    return shuffled(random, np.concatenate((newcomers, regulars)))[:count]


def _with_due(buyers: Ints, sold: Lines, due: Lines) -> tuple[Ints, Lines]:
    """What is due comes back in an order that its customer has today, or else in one more, at the end of the day."""
    customers = np.concatenate((buyers, np.setdiff1d(due["customer"], buyers)))
    by_customer = np.argsort(customers, kind="stable")
    back = due.copy()
    back["order"] = by_customer[np.searchsorted(customers, due["customer"], sorter=by_customer)]
    back["quantity"] = -due["quantity"]
    lines = np.concatenate((sold, back))
    return customers, lines[np.argsort(lines["order"], kind="stable")]


def texts_random(shop: Shop, today: int) -> np.random.Generator:
    return np.random.default_rng([shop.seed, today, 1])


def _texts(shop: Shop, placed: Orders) -> tuple[str, str]:
    random = texts_random(shop, placed.today)
    orders, items = text_lines(random, placed)
    return _day_text(random, placed.today, "orders", orders), _day_text(random, placed.today, "order_items", items)


def text_lines(random: np.random.Generator, placed: Orders) -> tuple[list[str], list[str]]:
    """A day's orders and their items as they are before faults, with no line ends."""
    today, customers, lines = placed.today, placed.customers, placed.lines
    day = date.fromordinal(today)
    seconds = placed.seconds(random)
    orders = [f"O{day:%Y%m%d}{number:06}" for number in range(1, customers.size + 1)]
    order_lines = [
        f"{order},{customer_id(customer)},{day} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        for order, customer, second in zip(orders, customers.tolist(), seconds.tolist(), strict=True)
    ]
    place = np.arange(lines.size) - np.searchsorted(lines["order"], lines["order"]) + 1
    columns = (lines[name].tolist() for name in ("order", "product", "quantity", "cents"))
    item_lines = [
        f"{orders[order]}-{line},{orders[order]},{product_id(product)},{quantity},{price_text(cents)}"
        for line, order, product, quantity, cents in zip(place.tolist(), *columns, strict=True)
    ]
    return order_lines, item_lines


def _day_text(random: np.random.Generator, today: int, file: str, lines: list[str]) -> str:
    faults = _faults(shuffled(random, np.arange(len(lines))), file, len(lines), today)
    for place, name in faults.items():
        row = dict(zip(COLUMNS[file], lines[place].split(","), strict=True))
        lines[place] = "\n".join(",".join(spoiled.values()) for spoiled in FAULTS[file][name](row))
    return "".join(f"{line}\n" for line in lines)


def _faults(places: Ints, file: str, rows: int, today: int | None = None) -> dict[int, str]:
    """The rows that get a fault, of `places`, and its name; of few rows, not more than every eighth."""
    due = [today is None or (today + n) % FAULT_DAYS == 0 for n in range(len(FAULTS[file]))]
    names = [
        name
        for name, is_due in zip(FAULTS[file], due, strict=True)
        for _ in range(max(int(rows * FAULT_SHARE), int(is_due)))
    ]
    return dict(zip(places[: rows // 8].tolist(), names, strict=False))


def _spoiled(rows: Iterable[Row], file: str, faults: Mapping[int, str]) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if number in faults:
            yield from FAULTS[file][faults[number]](row)
        else:
            yield row


def tuples(columns: Sequence[Ints]) -> Iterator[tuple[int, ...]]:
    for start in range(0, columns[0].size, CHUNK):
        yield from zip(*(column[start : start + CHUNK].tolist() for column in columns), strict=True)


def brand_name(brands: Sequence[str], number: int) -> str:
    again, place = divmod(number, len(brands))
    return f"{brands[place]} {again + 1}" if again else brands[place]


def customer_id(number: int) -> str:
    return f"C{number + 1:06}"


def product_id(number: int) -> str:
    return f"P{number + 1:05}"


def price_text(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def below(random: np.random.Generator, bound: int, count: int) -> Ints:
    return np.floor(random.random(count) * bound).astype(np.int64)


def skewed(typical: int, chance: npt.NDArray[np.float64]) -> Ints:
    """Half of them below `typical`, a few up to ten times as much."""
    return np.floor(typical * chance / (1.1 - chance)).astype(np.int64)


def drawn(random: np.random.Generator, weights: Ints, count: int) -> Ints:
    """Places in `weights`, each as often as it weighs; none where nothing weighs anything."""
    ends = np.cumsum(weights)
    return np.searchsorted(ends, below(random, int(ends[-1]), count if ends[-1] else 0), side="right")


def shuffled(random: np.random.Generator, values: Ints) -> Ints:
    return values[np.argsort(random.random(values.size), kind="stable")]
