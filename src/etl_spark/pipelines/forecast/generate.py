"""Extracts of a perfumery and household shop whose demand is worth a forecast: the files of the sales generator.

A day's orders depend on the seed, the sizes and the day alone, so any range of days fits to any other. Customers and
products depend on the seed and the sizes alone. No row has a fault: those are in what the sales generator makes.

What there is to find in the pieces that are asked for a day:

- Categories grow in a straight line, one of them declines; each has its week and its year (CATEGORIES).
- Promotions: now and then a category is at PROMOTION_PERCENT of its prices for some days, and PROMOTION_LIFT times as
  much is asked for. In no other way do prices change.
- The shop is CLOSED on two days of the year: there are no orders at all, nor does anything come back.
- Chance: the pieces of a product and a day have a variance of about their mean, as counts have (Poisson).
- Some things are seldom asked for, whatever the day: once in `every` days, a few pieces then (SELDOM_PIECES).
- One is new (sold from NEW_FROM on), one is dead (sold until SOLD_UNTIL), one was never sold; and one is sold out: the
  stock of the others is STOCK_PERCENT of a week's mean demand.
- Returns: RETURN_SHARE of the lines come back whole in a later order, at the price they were sold at.

What is asked for comes in as few lines as hold it, of up to MOST_PIECES: a small file tells a large demand.

Random numbers go through exact arithmetic only (no logarithm, no sine), to be the same on every machine. The words are
Faker's: another version of it has others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from etl_spark.core.dates import EVER, DateRange
from etl_spark.core.errors import UsageError
from etl_spark.pipelines.sales.generate import (
    LINE,
    LONGEST_RETURN,
    Ints,
    Lines,
    Orders,
    Row,
    below,
    brand_name,
    customer_rows,
    drawn,
    price_text,
    product_id,
    skewed,
    text_lines,
    with_returns,
    words_of,
    write_extracts,
)

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

OPENED = date(2022, 1, 1)
"""No range starts before it."""
REGISTRATIONS = DateRange(date(2021, 1, 1), date(2025, 12, 31))
"""Customers register evenly over these days, the first of them on the first day: somebody can always order."""
CLOSED = ((1, 1), (12, 25))
"""Month and day."""
MEAN_DAY = date(2023, 10, 1)
"""What grows, or declines, is as large as its mean on this day."""

_YEAR = 366
"""Days of a year, the 29th of February among them: a day has the same place in each."""


class Category(NamedTuple):
    """How demand moves: growth a year, and percent of the mean by weekday (Mondays first) and by day of the year.

    The days of the year are month, day and percent; between them it goes in straight lines.
    """

    growth: float
    weekdays: tuple[int, ...]
    year: tuple[tuple[int, int, int], ...]

    def level_on(self, day: date) -> float:
        """How many times the mean is asked for, without a promotion."""
        growth = max(0.0, 1 + self.growth * (day - MEAN_DAY).days / 365)
        return growth * (self.weekdays[day.weekday()] / 100) * (self._percent_on(day) / 100)

    def _percent_on(self, day: date) -> float:
        today = _day_of_year(day.month, day.day)
        turns = [(_day_of_year(month, at), percent) for month, at, percent in self.year]
        (last, last_percent), (first, first_percent) = turns[-1], turns[0]
        around = [(last - _YEAR, last_percent), *turns, (first + _YEAR, first_percent)]
        (before, low), (after, high) = next(pair for pair in pairwise(around) if today < pair[1][0])
        return low + (high - low) * (today - before) / (after - before)


CATEGORIES = {
    # Gifts: Valentine's day, Mother's day (the second Sunday of May: about the 12th), Christmas.
    "Perfume": Category(
        growth=0.12,
        weekdays=(85, 85, 90, 95, 120, 140, 85),
        year=(
            (1, 2, 75),
            (2, 4, 85),
            (2, 13, 150),
            (2, 16, 80),
            (5, 1, 85),
            (5, 12, 150),
            (5, 16, 85),
            (10, 31, 85),
            (12, 10, 190),
            (12, 23, 220),
            (12, 27, 85),
        ),
    ),
    "Cosmetics": Category(
        growth=0.08,
        weekdays=(95, 95, 95, 100, 110, 115, 90),
        year=((1, 15, 82), (4, 1, 92), (7, 1, 122), (8, 10, 118), (10, 1, 90), (12, 18, 115), (12, 28, 88)),
    ),
    "Cleaning": Category(
        growth=0.03,
        weekdays=(120, 100, 95, 95, 95, 115, 80),
        year=((1, 10, 95), (2, 20, 95), (3, 25, 130), (5, 1, 102), (8, 1, 88), (12, 15, 105)),
    ),
    "Laundry": Category(growth=-0.15, weekdays=(115, 105, 100, 95, 90, 100, 95), year=((1, 15, 106), (7, 15, 94))),
    "Garden": Category(
        growth=0.05,
        weekdays=(75, 75, 80, 90, 115, 150, 115),
        year=((1, 15, 50), (2, 20, 65), (4, 20, 195), (5, 31, 165), (7, 31, 100), (9, 15, 100), (11, 15, 50)),
    ),
}
NAMES = tuple(CATEGORIES)


class Thing(NamedTuple):
    """What a brand has one of, at a typical price; `mean` is pieces a day at the default of pieces_per_day.

    One with `every` is asked for once in so many days instead. `sold` is when it is sold, if ever.
    """

    name: str
    category: str
    cents: int
    mean: int = 0
    every: int = 0
    sold: DateRange | None = EVER


NEW_FROM, SOLD_UNTIL = date(2024, 5, 20), date(2023, 10, 15)
SOLD_OUT = "Dish Soap"
THINGS = (
    Thing("Eau de Toilette", "Perfume", 3490, mean=11),
    Thing("Eau de Parfum", "Perfume", 5990, mean=8),
    Thing("Cologne", "Perfume", 2490, mean=7),
    Thing("Body Mist", "Perfume", 1490, mean=9),
    Thing("Perfume Refill", "Perfume", 2990, mean=8, sold=DateRange(NEW_FROM, EVER.end)),
    Thing("Gift Set", "Perfume", 7990, every=5),
    Thing("Lip Balm", "Cosmetics", 390, mean=12),
    Thing("Hand Cream", "Cosmetics", 590, mean=11),
    Thing("Face Mask", "Cosmetics", 450, mean=8),
    Thing("Mascara", "Cosmetics", 1290, mean=6),
    Thing("Hair Serum", "Cosmetics", 1890, every=6),
    Thing("Makeup Mirror", "Cosmetics", 2490, every=8),
    Thing("Dish Soap", "Cleaning", 290, mean=24),
    Thing("Sponges", "Cleaning", 250, mean=14),
    Thing("All-Purpose Cleaner", "Cleaning", 390, mean=11),
    Thing("Glass Cleaner", "Cleaning", 350, mean=7),
    Thing("Descaler", "Cleaning", 690, every=4),
    Thing("Steam Mop Pads", "Cleaning", 1490, mean=6, sold=None),
    Thing("Liquid Detergent", "Laundry", 990, mean=11),
    Thing("Washing Powder", "Laundry", 890, mean=8),
    Thing("Fabric Softener", "Laundry", 450, mean=9),
    Thing("Stain Remover", "Laundry", 590, mean=6),
    Thing("Dryer Sheets", "Laundry", 390, mean=7, sold=DateRange(EVER.start, SOLD_UNTIL)),
    Thing("Drying Rack", "Laundry", 3490, every=7),
    Thing("Flower Seeds", "Garden", 250, mean=14),
    Thing("Potting Soil", "Garden", 790, mean=9),
    Thing("Plant Food", "Garden", 650, mean=8),
    Thing("Flower Pot", "Garden", 550, mean=9),
    Thing("Garden Gloves", "Garden", 690, mean=8),
    Thing("Garden Hose", "Garden", 2990, every=6),
)
"""A fifth of them is seldom asked for."""
SELDOM_PIECES, SELDOM_MEAN = (60, 30, 10), 1.5
"""Weights of 1, 2, 3 pieces of what is seldom asked for, and their mean."""

PROMOTION_PERCENT, PROMOTION_LIFT = 80, 1.6
PROMOTION_EVERY, PROMOTION_SHARE = 35, 0.6
"""In each span of so many days a category has a promotion, or none; the share of spans with one."""
PROMOTION_DAYS = (5, 10)
"""The shortest and the longest."""
TRIALS = 20
"""A count is of so many chances for each piece of its mean, which makes its variance 19 20ths of its mean or more."""
MOST_PIECES = 6
"""On a line."""
LINES_OF_ORDER = 5
"""On average."""
RETURN_SHARE = 0.02
STOCK_PERCENT = np.array((25, 60, 130, 300, 800))
"""Of a week's mean demand; each as often as the others."""


@dataclass(frozen=True, eq=False)
class Products:
    """What each is, by number. `mean` is pieces a day, `every` days from one demand to the next, or 0."""

    thing: Ints
    category: Ints
    cents: Ints
    mean: Floats
    every: Ints

    def is_sold_on(self, day: date) -> Flags:
        is_sold = np.array([one.sold is not None and one.sold.start <= day <= one.sold.end for one in THINGS])
        return is_sold[self.thing]


@dataclass(frozen=True, eq=False)
class Shop:
    """All that a day's orders depend on; of customers, by number, the day of registration and how often each orders."""

    seed: int
    registered: Ints
    frequency: Ints
    products: Products


def generate(
    asked: DateRange, output: Path, *, seed: int, customers: int, products: int, pieces_per_day: int
) -> list[Path]:
    """Writes the four files of the sales generator into `output`.

    `pieces_per_day` are those of a mean day of all products but those that are seldom asked for, which come on top.
    UsageError where `asked` starts before the shop was OPENED.
    """
    if asked.start < OPENED:
        raise UsageError(f"the shop opened on {OPENED}: there are no orders on {asked.start}")
    registered, frequency = _customers(seed, customers)
    shop = Shop(seed, registered, frequency, _products(seed, products, pieces_per_day))
    return write_extracts(
        output,
        customers=customer_rows(seed, registered),
        products=_product_rows(shop),
        days=(_texts(seed, placed) for placed in with_returns(asked, lambda today: _sales(shop, today))),
    )


def _customers(seed: int, count: int) -> tuple[Ints, Ints]:
    """When each registers, as an ordinal, and how often it orders, as a weight."""
    random = np.random.default_rng([seed, 1])
    registered = REGISTRATIONS.start.toordinal() + below(random, len(REGISTRATIONS), count)
    registered[0] = REGISTRATIONS.start.toordinal()
    return registered, 1 + skewed(10, random.random(count))


def _products(seed: int, count: int, pieces_per_day: int) -> Products:
    random = np.random.default_rng([seed, 2])
    thing = np.arange(count) % len(THINGS)
    categories = np.array([NAMES.index(one.category) for one in THINGS])
    typical = np.array([one.cents for one in THINGS])[thing]
    cents = typical * (85 + below(random, 31, count)) // 1000 * 10 + 9
    means = np.array([one.mean for one in THINGS])[thing]
    ever_sold = np.array([one.sold is not None for one in THINGS])[thing]
    mean = pieces_per_day * means / int(means[ever_sold].sum())
    return Products(thing, categories[thing], cents, mean, np.array([one.every for one in THINGS])[thing])


def _product_rows(shop: Shop) -> Iterator[Row]:
    goods = shop.products
    brands = words_of(shop.seed).brands
    columns = (goods.thing.tolist(), goods.cents.tolist(), _stock(shop).tolist())
    for number, (thing, cents, stock) in enumerate(zip(*columns, strict=True)):
        yield {
            "product_id": product_id(number),
            "product_name": f"{brand_name(brands, number // len(THINGS))} {THINGS[thing].name}",
            "category": THINGS[thing].category,
            "price": price_text(cents),
            "stock_quantity": str(stock),
        }


def _stock(shop: Shop) -> Ints:
    """Pieces: at least one of whatever is not sold out."""
    goods = shop.products
    count = goods.thing.size
    percent = STOCK_PERCENT[below(np.random.default_rng([shop.seed, 4]), len(STOCK_PERCENT), count)]
    week = 7 * np.where(goods.every > 0, SELDOM_MEAN / goods.every.clip(1), goods.mean)
    is_sold_out = np.array([one.name == SOLD_OUT for one in THINGS])[goods.thing]
    return np.where(is_sold_out, 0, np.ceil(week * percent / 100)).astype(np.int64)


def _sales(shop: Shop, today: int) -> tuple[Ints, Lines]:
    """The customer of each order, and the lines of all; a product is in an order once."""
    random = np.random.default_rng([shop.seed, today])
    is_promoted = promoted_on(shop.seed, today)[shop.products.category]
    pieces = _pieces(random, shop.products, date.fromordinal(today), is_promoted)
    product, quantity, place = _on_lines(pieces)
    orders = max(product.size // LINES_OF_ORDER, int(place.max(initial=0)) + 1)
    order = (below(random, orders, pieces.size)[product] + place) % orders
    lines = np.zeros(product.size, LINE)
    lines["product"], lines["quantity"] = product, quantity
    used, lines["order"] = np.unique(order, return_inverse=True)
    buyers = drawn(random, shop.frequency * (shop.registered <= today), used.size)
    lines["customer"] = buyers[lines["order"]]
    cents = np.where(is_promoted, shop.products.cents * PROMOTION_PERCENT // 100, shop.products.cents)
    lines["cents"] = cents[product]
    later = np.array([day for day in range(today + 1, today + 1 + LONGEST_RETURN) if not _is_closed(day)])
    back_on = later[below(random, later.size, lines.size)]
    lines["back_on"] = np.where(random.random(lines.size) < RETURN_SHARE, back_on, 0)
    return buyers, lines[np.argsort(lines["order"], kind="stable")]


def _pieces(random: np.random.Generator, goods: Products, day: date, is_promoted: Flags) -> Ints:
    """What is asked for of each product."""
    count = goods.thing.size
    if _is_closed(day.toordinal()):
        return np.zeros(count, np.int64)
    is_sold = goods.is_sold_on(day)
    levels = np.array([category.level_on(day) for category in CATEGORIES.values()])
    means = goods.mean * is_sold * levels[goods.category] * np.where(is_promoted, PROMOTION_LIFT, 1.0)
    is_asked_for = is_sold & (goods.every > 0) & (random.random(count) * goods.every < 1)
    seldom = np.where(is_asked_for, 1 + drawn(random, np.array(SELDOM_PIECES), count), 0)
    return seldom + counts_about(random, means)


def counts_about(random: np.random.Generator, means: Floats) -> Ints:
    """A whole number for each of `means`, by chance, as many as chances out of TRIALS for each piece come true."""
    trials = np.ceil(means * TRIALS).astype(np.int64)
    place = np.repeat(np.arange(means.size), trials)
    comes_true = random.random(place.size) * trials[place] < means[place]
    return np.bincount(place[comes_true], minlength=means.size)


def _on_lines(pieces: Ints) -> tuple[Ints, Ints, Ints]:
    """Of each line its product, its quantity and its place among those of the product; quantities are about alike."""
    counts = -(-pieces // MOST_PIECES)
    product = np.repeat(np.arange(pieces.size), counts)
    place = np.arange(product.size) - (np.cumsum(counts) - counts)[product]
    least, more = np.divmod(pieces[product], counts[product])
    return product, least + (place < more), place


def promoted_on(seed: int, today: int) -> Flags:
    """Which of the categories have a promotion; there is at least a day from one to the next of the same category."""
    return np.array([_is_promoted(seed, category, today) for category in range(len(CATEGORIES))])


def _is_promoted(seed: int, category: int, today: int) -> bool:
    span, place = divmod(today, PROMOTION_EVERY)
    chance, length, start = np.random.default_rng([seed, 5, category, span]).random(3).tolist()
    shortest, longest = PROMOTION_DAYS
    days = shortest + int(length * (longest - shortest + 1))
    first = 1 + int(start * (PROMOTION_EVERY - days))
    return bool(chance < PROMOTION_SHARE and first <= place < first + days)


def _texts(seed: int, placed: Orders) -> tuple[str, str]:
    orders, items = text_lines(np.random.default_rng([seed, placed.today, 1]), placed)
    return "".join(f"{line}\n" for line in orders), "".join(f"{line}\n" for line in items)


def _is_closed(today: int) -> bool:
    day = date.fromordinal(today)
    return (day.month, day.day) in CLOSED


def _day_of_year(month: int, day: int) -> int:
    """Of a year of _YEAR days, from 0."""
    return date(2024, month, day).toordinal() - date(2024, 1, 1).toordinal()
