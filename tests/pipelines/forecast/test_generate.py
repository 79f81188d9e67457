"""The generator: same seed, same bytes; days that fit together; the demand, the promotions and the returns promised."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from etl_spark.core.dates import EVER, DateRange
from etl_spark.core.errors import UsageError
from etl_spark.pipelines.forecast.generate import (
    CATEGORIES,
    MOST_PIECES,
    NEW_FROM,
    PROMOTION_DAYS,
    PROMOTION_PERCENT,
    SELDOM_MEAN,
    SELDOM_PIECES,
    SOLD_OUT,
    SOLD_UNTIL,
    THINGS,
    Thing,
    counts_about,
    generate,
)
from etl_spark.pipelines.forecast.pipeline import FORECAST
from etl_spark.pipelines.sales.generate import COLUMNS
from tests.places import SAMPLE

pytestmark = pytest.mark.default_spark
"""Without Spark."""

Row = dict[str, str]

SEED = 2023
RANGE = DateRange(date(2023, 1, 1), date(2024, 6, 30))
SIZES = {size.name: size.default for size in FORECAST.generator.sizes} if FORECAST.generator else {}
CLOSED = {date(2023, 1, 1), date(2023, 12, 25), date(2024, 1, 1)}
OPEN = [day for day in RANGE.days if day not in CLOSED]
THROUGHOUT = [thing for thing in THINGS if thing.sold == EVER]
REGULAR = [thing for thing in THROUGHOUT if not thing.every]


@dataclass(frozen=True)
class Line:
    order: str
    day: date
    customer: str
    product: str
    quantity: int
    cents: int


@dataclass(frozen=True)
class Shop:
    """What the files in `folder` tell; of one brand, so that a product is a thing."""

    folder: Path

    def rows(self, file: str) -> list[Row]:
        with (self.folder / f"{file}.csv").open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, strict=True))

    @cached_property
    def products(self) -> dict[str, Row]:
        return {row["product_id"]: row for row in self.rows("products")}

    @cached_property
    def lines(self) -> list[Line]:
        orders = {row["order_id"]: row for row in self.rows("orders")}
        return [
            Line(
                row["order_id"],
                date.fromisoformat(orders[row["order_id"]]["order_date"][:10]),
                orders[row["order_id"]]["customer_id"],
                row["product_id"],
                int(row["quantity"]),
                cents(row["price_per_item"]),
            )
            for row in self.rows("order_items")
        ]

    @cached_property
    def demand(self) -> dict[str, Counter[date]]:
        """Pieces a day, by the name of the thing."""
        found: dict[str, Counter[date]] = {thing.name: Counter() for thing in THINGS}
        for line in self.lines:
            if line.quantity > 0:
                found[thing_of(self.products[line.product]).name][line.day] += line.quantity
        return found

    @cached_property
    def promoted(self) -> dict[str, set[date]]:
        """The days on which something of a category was sold at less than its price."""
        found: dict[str, set[date]] = defaultdict(set)
        for line in self.lines:
            product = self.products[line.product]
            if line.quantity > 0 and line.cents < cents(product["price"]):
                found[product["category"]].add(line.day)
        return found

    def mean(self, category: str, days: Iterable[date]) -> float:
        """Pieces that are asked for on one of `days`, without those that are closed or have a promotion."""
        others = set(days) - CLOSED - self.promoted[category]
        return self.pieces(category, others) / len(others)

    def pieces(self, category: str, days: Iterable[date]) -> int:
        """Of what is sold regularly, and throughout."""
        things = [thing.name for thing in REGULAR if thing.category == category]
        return sum(self.demand[name][day] for day in days for name in things)


def cents(price: str) -> int:
    return round(float(price) * 100)


def thing_of(product: Row) -> Thing:
    return next(thing for thing in THINGS if product["product_name"].endswith(f" {thing.name}"))


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def make(folder: Path, asked: DateRange, seed: int = SEED, **sizes: int) -> Path:
    generate(asked, folder, seed=seed, **SIZES | sizes)
    return folder


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(make(tmp_path_factory.mktemp("perfumery"), RANGE))


def test_the_sample_is_what_the_generator_makes_and_small(shop: Shop) -> None:
    sample = files(SAMPLE / "perfumery")
    assert sorted(sample) == sorted(f"{file}.csv" for file in COLUMNS)
    assert sample == files(shop.folder)
    assert sum(map(len, sample.values())) < 1_600_000
    for file, columns in COLUMNS.items():
        assert sample[f"{file}.csv"].decode().split("\n")[0] == ",".join(columns)


def test_a_day_is_the_same_in_every_range_and_another_with_another_seed(tmp_path: Path) -> None:
    start, turn, end = date(2023, 11, 20), date(2023, 12, 21), date(2024, 1, 10)
    whole = files(make(tmp_path / "whole", DateRange(start, end)))
    first = files(make(tmp_path / "first", DateRange(start, turn - timedelta(1))))
    second = files(make(tmp_path / "second", DateRange(turn, end)))
    other = files(make(tmp_path / "other", DateRange(start, end), seed=SEED + 1))
    for name, content in whole.items():
        is_dated = name.startswith("order")
        assert content == (first[name] + second[name].partition(b"\n")[2] if is_dated else first[name])
        assert content != other[name]
        assert is_dated or first[name] == second[name]


def test_the_smallest_shop_and_a_day_before_it_opened(tmp_path: Path) -> None:
    year = DateRange(date(2022, 1, 1), date(2022, 12, 31))
    smallest = Shop(make(tmp_path / "one", year, customers=1, products=1, pieces_per_day=1))
    assert (len(smallest.rows("customers")), len(smallest.products)) == (1, 1)
    assert 200 < sum(line.quantity for line in smallest.lines) < 500
    with pytest.raises(UsageError, match="opened on 2022-01-01"):
        make(tmp_path / "none", DateRange(date(2021, 12, 31), year.end))
    assert not (tmp_path / "none").exists()


def test_a_larger_shop_has_more_brands_and_as_many_pieces_as_are_asked_for(tmp_path: Path) -> None:
    asked = DateRange(date(2023, 9, 1), date(2023, 9, 28))
    larger = Shop(make(tmp_path, asked, products=60, pieces_per_day=2_000))
    assert len({row["product_name"] for row in larger.products.values()}) == 60
    assert 1_700 < sum(line.quantity for line in larger.lines) / len(asked) < 2_300
    assert_orders_are_sound(larger)


def test_orders_are_sound(shop: Shop) -> None:
    assert_orders_are_sound(shop)


def assert_orders_are_sound(made: Shop) -> None:
    """There are no faults: keys are unique and found, customers are registered, and a product is in an order once."""
    registered = {row["customer_id"]: date.fromisoformat(row["registration_date"]) for row in made.rows("customers")}
    orders, items = ([row[key] for row in made.rows(file)] for file, key in KEYS.items())
    assert len(orders) == len(set(orders))
    assert len(items) == len(set(items))
    assert set(orders) == {line.order for line in made.lines}
    sold = [line for line in made.lines if line.quantity > 0]
    assert all(registered[line.customer] <= line.day for line in sold)
    assert {line.product for line in sold} <= made.products.keys()
    assert {line.quantity for line in sold} == set(range(1, MOST_PIECES + 1))
    assert max(Counter((line.order, line.product) for line in sold).values()) == 1
    assert len({line.customer for line in sold}) > 0.5 * len(registered)


KEYS = {"orders": "order_id", "order_items": "order_item_id"}


def test_there_are_orders_on_all_days_but_the_closed_ones(shop: Shop) -> None:
    assert {line.day for line in shop.lines} == set(OPEN)
    assert {line.day for line in shop.lines if line.quantity < 0} < set(OPEN)


def test_most_products_are_asked_for_regularly_and_a_fifth_of_them_seldom(shop: Shop) -> None:
    shares = {name: sum(days[day] > 0 for day in OPEN) / len(OPEN) for name, days in shop.demand.items()}
    assert min(shares[thing.name] for thing in REGULAR) > 0.95
    assert all(6 <= shop.demand[thing.name].total() / len(OPEN) <= 30 for thing in REGULAR)
    seldom = [thing for thing in THROUGHOUT if thing.every]
    assert len(seldom) == len(THINGS) / 5
    assert {4, 8} <= {thing.every for thing in seldom} <= set(range(4, 9))
    for thing in seldom:
        assert 0.7 < shares[thing.name] * thing.every < 1.3, thing.name
        assert set(shop.demand[thing.name].values()) == {1, 2, 3}


def test_a_product_is_new_one_is_dead_and_one_was_never_sold(shop: Shop) -> None:
    (new,) = (thing for thing in THINGS if thing.sold and thing.sold.start > EVER.start)
    (dead,) = (thing for thing in THINGS if thing.sold and thing.sold.end < EVER.end)
    (never,) = (thing for thing in THINGS if thing.sold is None)
    assert (min(shop.demand[new.name]), len(shop.demand[new.name])) == (NEW_FROM, (RANGE.end - NEW_FROM).days + 1)
    assert (min(shop.demand[dead.name]), max(shop.demand[dead.name])) == (OPEN[0], SOLD_UNTIL)
    assert not shop.demand[never.name]
    assert {thing_of(row).name for row in shop.products.values()} == {thing.name for thing in THINGS}
    assert never.name not in {thing_of(shop.products[line.product]).name for line in shop.lines}


def test_the_means_are_the_catalogue_s_where_the_sizes_are_not_given(shop: Shop) -> None:
    assert SIZES["products"] == len(THINGS)
    assert SIZES["pieces_per_day"] == sum(thing.mean for thing in THINGS if thing.sold)
    chances = np.array(SELDOM_PIECES) / sum(SELDOM_PIECES)
    assert chances @ [1, 2, 3] == pytest.approx(SELDOM_MEAN)
    for thing in REGULAR:
        assert shop.demand[thing.name].total() / len(OPEN) == pytest.approx(thing.mean, rel=0.25), thing.name


def test_seasons_are_shapes_about_a_mean() -> None:
    days = DateRange(date(2023, 1, 1), date(2023, 12, 31)).days
    for category in CATEGORIES.values():
        assert sum(category.weekdays) == 700
        assert list(category.year) == sorted(category.year)
        assert np.mean([category._replace(growth=0).level_on(day) for day in days]) == pytest.approx(1, abs=0.04)
    perfume = CATEGORIES["Perfume"]._replace(growth=0, weekdays=(100,) * 7)
    # Halfway from the 1st of May (85) to the 12th (150) it is halfway up; the turn of the year is no step.
    assert perfume.level_on(date(2023, 5, 12)) == pytest.approx(1.5)
    assert perfume.level_on(date(2024, 5, 6)) == pytest.approx(0.85 + 0.65 * 5 / 11)
    assert abs(perfume.level_on(date(2023, 12, 31)) - perfume.level_on(date(2024, 1, 1))) < 0.02


def test_a_count_is_about_its_mean_by_chance() -> None:
    random = np.random.default_rng(1)
    for mean in (0.3, 6.0, 25.5):
        counts = counts_about(random, np.full(8_000, mean))
        assert counts.mean() == pytest.approx(mean, rel=0.03)
        assert 0.88 < counts.var() / mean < 1.05
    assert counts_about(random, np.zeros(3)).tolist() == [0, 0, 0]


def test_each_category_has_its_year(shop: Shop) -> None:
    def level(category: str, start: date, end: date) -> float:
        return shop.mean(category, DateRange(start, end).days) / shop.mean(category, RANGE.days)

    assert level("Perfume", date(2023, 12, 8), date(2023, 12, 24)) > 1.7
    for peaks in ((date(2023, 2, 13), date(2024, 2, 13)), (date(2023, 5, 12), date(2024, 5, 12))):
        before = sum(level("Perfume", peak - timedelta(6), peak) for peak in peaks)
        after = sum(level("Perfume", peak + timedelta(5), peak + timedelta(11)) for peak in peaks)
        assert before > 1.25 * after, peaks
    for year in (2023, 2024):
        assert level("Garden", date(year, 4, 10), date(year, 5, 31)) > 1.4
        assert level("Garden", date(year, 1, 2), date(year, 1, 31)) < 0.7
        assert level("Cleaning", date(year, 3, 15), date(year, 4, 5)) > 1.1
    assert level("Cosmetics", date(2023, 6, 20), date(2023, 8, 20)) > 1.1


def test_each_category_has_its_week(shop: Shop) -> None:
    busiest = {}
    for name, category in CATEGORIES.items():
        weekdays = [shop.mean(name, (day for day in RANGE.days if day.weekday() == weekday)) for weekday in range(7)]
        percent = [100 * mean / shop.mean(name, RANGE.days) for mean in weekdays]
        assert percent == pytest.approx(category.weekdays, abs=12), name
        assert max(weekdays) > 1.15 * min(weekdays), name
        busiest[name] = weekdays.index(max(weekdays))
    assert busiest == {"Perfume": 5, "Cosmetics": 5, "Cleaning": 0, "Laundry": 0, "Garden": 5}


def test_all_categories_grow_but_one(shop: Shop) -> None:
    assert [name for name, category in CATEGORIES.items() if category.growth < 0] == ["Laundry"]
    for name, category in CATEGORIES.items():
        first, second = (shop.mean(name, half_year(year)) for year in (2023, 2024))
        assert second / first - 1 == pytest.approx(category.growth, abs=0.08), name
        assert name not in ("Laundry", "Perfume") or (second > first) == (category.growth > 0)


def half_year(year: int) -> tuple[date, ...]:
    return DateRange(date(year, 1, 1), date(year, 6, 30)).days


def test_promotions_sell_more_at_lower_prices(shop: Shop) -> None:
    lifts = []
    for name in CATEGORIES:
        for run in runs(shop.promoted[name]):
            assert PROMOTION_DAYS[0] <= len(run) <= PROMOTION_DAYS[1] or RANGE.end in run
            week = timedelta(7)
            beside = {day + step for day in run for step in (-week, week)} & set(OPEN) - shop.promoted[name]
            if beside:
                lifts.append(rate(shop, name, run) / rate(shop, name, beside))
    assert len(lifts) > 20
    assert 1.45 < np.mean(lifts) < 1.75
    shares = [len(days) / len(OPEN) for days in shop.promoted.values()]
    assert len(shares) == len(CATEGORIES)
    assert all(0.04 < share < 0.25 for share in shares)


def rate(shop: Shop, category: str, days: Collection[date]) -> float:
    """Pieces a day, as many times what the weekdays of these days let expect."""
    return shop.pieces(category, days) / sum(CATEGORIES[category].weekdays[day.weekday()] for day in days)


def runs(days: set[date]) -> list[set[date]]:
    """Days in a row."""
    numbered = enumerate(sorted(days))
    return [{day for _, day in run} for _, run in groupby(numbered, lambda pair: pair[1] - timedelta(pair[0]))]


def test_a_price_is_the_product_s_or_the_promotion_s_of_the_whole_category(shop: Shop) -> None:
    for line in shop.lines:
        product = shop.products[line.product]
        price, category = cents(product["price"]), product["category"]
        lower = price * PROMOTION_PERCENT // 100
        if line.quantity > 0:
            assert line.cents == (lower if line.day in shop.promoted[category] else price)
        else:
            assert line.cents in (lower, price)


def test_returns_follow_sales(shop: Shop) -> None:
    sold: dict[tuple[str, str, int, int], list[date]] = defaultdict(list)
    for line in shop.lines:
        if line.quantity > 0:
            sold[line.customer, line.product, line.quantity, line.cents].append(line.day)
    returns = [line for line in shop.lines if line.quantity < 0]
    assert 0.015 < len(returns) / len(shop.lines) < 0.025
    without = [
        line
        for line in returns
        if not any(
            1 <= (line.day - day).days <= 30 for day in sold[line.customer, line.product, -line.quantity, line.cents]
        )
    ]
    # What was sold before the range comes back in it as well.
    assert without
    assert max(line.day for line in without) < RANGE.start + timedelta(31)


def test_there_is_much_of_some_products_and_little_of_others(shop: Shop) -> None:
    last_week = RANGE.days[-7:]
    stocks = {thing_of(row).name: int(row["stock_quantity"]) for row in shop.products.values()}
    weeks = {
        thing.name: stocks[thing.name] / sum(shop.demand[thing.name][day] for day in last_week) for thing in REGULAR
    }
    assert [name for name, stock in stocks.items() if stock == 0] == [SOLD_OUT]
    assert sum(week < 0.8 for week in weeks.values()) >= 4
    assert sum(week > 2 for week in weeks.values()) >= 4
