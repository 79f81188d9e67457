"""The generator: same seed, same bytes; days that fit together; the habits, the returns and the faults it promises."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import UsageError
from etl_spark.pipelines.sales.generate import COLUMNS, FAULTS, SETS, generate
from tests.places import SAMPLE

pytestmark = pytest.mark.default_spark
"""Without Spark."""

Row = dict[str, str]

QUARTER = DateRange(date(2024, 1, 1), date(2024, 3, 31))
SOUND = {
    "customer_id": r"C\d{6,}",
    "product_id": r"P\d{5,}",
    "order_id": r"O\d{14,}",
    "order_item_id": r"O\d{14}-\d+",
    "quantity": r"-?[1-9]\d*",
    "stock_quantity": r"\d+",
    "price": r"\d+\.\d\d",
    "price_per_item": r"\d+\.\d\d",
}


def is_sound(name: str, value: str) -> bool:
    if name in ("registration_date", "order_date"):
        try:
            return str(datetime.fromisoformat(value)).startswith(value)
        except ValueError:
            return False
    return re.fullmatch(SOUND.get(name, r"(?s)\S.*\S|\S"), value) is not None


@dataclass(frozen=True)
class Extracts:
    folder: Path

    def rows(self, file: str) -> list[Row]:
        with (self.folder / f"{file}.csv").open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, strict=True))

    @cached_property
    def customers(self) -> list[Row]:
        return self.rows("customers")

    @cached_property
    def products(self) -> list[Row]:
        return self.rows("products")

    @cached_property
    def orders(self) -> list[Row]:
        return self.rows("orders")

    @cached_property
    def order_items(self) -> list[Row]:
        return self.rows("order_items")

    def sound(self, file: str) -> list[Row]:
        rows: list[Row] = getattr(self, file)
        return [row for row in rows if all(is_sound(*field) for field in row.items())]

    @cached_property
    def lines(self) -> list[tuple[str, str, datetime, int, str]]:
        """Customer, product, time, quantity and price of each sound line of a sound order."""
        orders = {order["order_id"]: order for order in self.sound("orders")}
        return [
            (
                orders[item["order_id"]]["customer_id"],
                item["product_id"],
                datetime.fromisoformat(orders[item["order_id"]]["order_date"]),
                int(item["quantity"]),
                item["price_per_item"],
            )
            for item in self.sound("order_items")
            if item["order_id"] in orders
        ]


def make(folder: Path, asked: DateRange, *, seed: int = 1, customers: int, products: int, orders_per_day: int) -> Path:
    generate(asked, folder, seed=seed, customers=customers, products=products, orders_per_day=orders_per_day)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Extracts:
    folder = tmp_path_factory.mktemp("small")
    return Extracts(make(folder, QUARTER, customers=300, products=60, orders_per_day=20))


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Extracts:
    asked = DateRange(date(2024, 1, 1), date(2024, 12, 31))
    return Extracts(make(tmp_path_factory.mktemp("year"), asked, customers=3_000, products=120, orders_per_day=50))


def test_same_seed_and_sizes_same_bytes_in_any_process(tmp_path: Path) -> None:
    here = make(tmp_path / "here", QUARTER, seed=1, customers=70, products=50, orders_per_day=5)
    call = (
        "from datetime import date; from pathlib import Path; from etl_spark.core.dates import DateRange;"
        "from etl_spark.pipelines.sales.generate import generate;"
        "generate(DateRange(date(2024, 1, 1), date(2024, 3, 31)), Path('there'), seed=1, customers=70, products=50,"
        " orders_per_day=5)"
    )
    elsewhere = {"PYTHONHASHSEED": "12345", "TZ": "Pacific/Apia", "LC_ALL": "C", "PYTHONUTF8": "0"}
    # The packages are found as they are here, wherever that is.
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", call], cwd=tmp_path, env=os.environ | elsewhere | paths, check=True)
    other = make(tmp_path / "other", QUARTER, seed=2024, customers=70, products=50, orders_per_day=5)
    for file in COLUMNS:
        made = (here / f"{file}.csv").read_bytes()
        assert made == (tmp_path / "there" / f"{file}.csv").read_bytes()
        assert made != (other / f"{file}.csv").read_bytes()


def test_a_day_is_the_same_in_every_range(tmp_path: Path) -> None:
    def made(name: str, start: date, end: date) -> dict[str, bytes]:
        folder = make(tmp_path / name, DateRange(start, end), customers=90, products=50, orders_per_day=9)
        return {file: (folder / f"{file}.csv").read_bytes() for file in COLUMNS}

    whole = made("whole", date(2024, 1, 20), date(2024, 3, 10))
    first = made("first", date(2024, 1, 20), date(2024, 2, 9))
    second = made("second", date(2024, 2, 10), date(2024, 3, 10))
    for file in ("orders", "order_items"):
        header, _, body = second[file].partition(b"\n")
        assert header.decode() == ",".join(COLUMNS[file])
        assert whole[file] == first[file] + body
    for file in ("customers", "products"):
        assert whole[file] == first[file] == second[file]


def test_the_sample_is_what_the_generator_makes_and_small(tmp_path: Path) -> None:
    days = DateRange(QUARTER.start, date(2024, 7, 31))
    made = make(tmp_path / "made", days, seed=2024, customers=2_000, products=120, orders_per_day=20)
    sample = sorted((SAMPLE / "sales").iterdir())
    assert [file.name for file in sample] == sorted(file.name for file in made.iterdir())
    assert [file.read_bytes() for file in sample] == [(made / file.name).read_bytes() for file in sample]
    assert sum(file.stat().st_size for file in sample) < 1_000_000


def test_the_smallest_shop_and_a_day_before_it_opened(tmp_path: Path) -> None:
    made = Extracts(make(tmp_path / "one", QUARTER, customers=1, products=1, orders_per_day=1))
    assert (len(made.customers), len(made.products)) == (1, 1)
    with pytest.raises(UsageError, match="opened on 2020-01-01"):
        make(tmp_path / "none", DateRange(date(2019, 12, 31), QUARTER.end), customers=1, products=1, orders_per_day=1)
    assert not (tmp_path / "none").exists()


def repeated(rows: list[Row]) -> list[tuple[Row, Row]]:
    return [(one, other) for one, other in pairwise(rows) if one["order_item_id"] == other["order_item_id"]]


def with_field(file: str, name: str, pattern: str) -> Callable[[Extracts], int]:
    return lambda made: sum(re.fullmatch(pattern, row[name]) is not None for row in getattr(made, file))


def without_target(file: str, name: str, target: str) -> Callable[[Extracts], int]:
    """Not counted: items of an order whose own identifier is blank."""

    def count(made: Extracts) -> int:
        known = {row[name] for row in getattr(made, target)}
        return sum(
            re.fullmatch(r"[CP]0\d+|O02\d+", row[name]) is not None and row[name] not in known
            for row in getattr(made, file)
        )

    return count


EVIDENCE: dict[tuple[str, str], Callable[[Extracts], int]] = {
    ("customers", "customer_id_empty"): with_field("customers", "customer_id", ""),
    ("customers", "customer_id_trailing_spaces"): with_field("customers", "customer_id", r"C\d{6} +"),
    ("customers", "registration_date_impossible"): with_field("customers", "registration_date", "2024-02-30"),
    ("customers", "registration_date_not_iso"): with_field("customers", "registration_date", "31/12/2023"),
    ("products", "product_id_empty"): with_field("products", "product_id", ""),
    ("products", "price_with_letter"): with_field("products", "price", r"\d+\.\dO"),
    ("products", "price_not_available"): with_field("products", "price", "n/a"),
    ("products", "price_negative"): with_field("products", "price", r"-\d+\.\d\d"),
    ("products", "stock_not_integer"): with_field("products", "stock_quantity", "many"),
    ("orders", "order_id_blank"): with_field("orders", "order_id", " +"),
    ("orders", "customer_id_empty"): with_field("orders", "customer_id", ""),
    ("orders", "customer_id_trailing_spaces"): with_field("orders", "customer_id", r"C\d{6} +"),
    ("orders", "customer_unknown"): without_target("orders", "customer_id", "customers"),
    ("orders", "order_date_impossible"): with_field("orders", "order_date", r"2024-02-30 \d\d:\d\d:\d\d"),
    ("orders", "order_date_not_iso"): with_field("orders", "order_date", r"31/12/2024 \d\d:\d\d:\d\d"),
    ("order_items", "order_item_id_empty"): with_field("order_items", "order_item_id", ""),
    ("order_items", "row_repeated"): lambda made: sum(one == other for one, other in repeated(made.order_items)),
    ("order_items", "order_item_id_repeated"): lambda made: sum(
        one != other for one, other in repeated(made.order_items)
    ),
    ("order_items", "order_unknown"): without_target("order_items", "order_id", "orders"),
    ("order_items", "product_unknown"): without_target("order_items", "product_id", "products"),
    ("order_items", "product_id_trailing_spaces"): with_field("order_items", "product_id", r"P\d{5} +"),
    ("order_items", "quantity_not_integer"): with_field("order_items", "quantity", r"-?\d+\.5"),
    ("order_items", "price_with_letter"): with_field("order_items", "price_per_item", r"\d+\.\dO"),
    ("order_items", "price_not_available"): with_field("order_items", "price_per_item", "n/a"),
    ("order_items", "price_negative"): with_field("order_items", "price_per_item", r"-\d+\.\d\d"),
}


@pytest.mark.parametrize(("file", "fault"), [(file, fault) for file, faults in FAULTS.items() for fault in faults])
def test_each_fault_is_in_a_small_sample(small: Extracts, file: str, fault: str) -> None:
    assert 1 <= EVIDENCE[file, fault](small) <= 4


def test_faults_are_few_and_there_are_no_others(small: Extracts, year: Extracts) -> None:
    for made in (small, year):
        counts = {file: len(getattr(made, file)) for file in COLUMNS}
        unsound = {file: count - len(made.sound(file)) for file, count in counts.items()}
        found = {kind: count(made) for kind, count in EVIDENCE.items()}
        sound_in_form = {
            "customer_unknown",
            "order_unknown",
            "product_unknown",
            "row_repeated",
            "order_item_id_repeated",
        }
        for file in COLUMNS:
            assert unsound[file] == sum(
                count for (of, fault), count in found.items() if of == file and fault not in sound_in_form
            )
        assert sum(found.values()) < 0.015 * sum(counts.values())


def test_identifiers_are_unique_over_days(year: Extracts) -> None:
    for file, name in (("customers", "customer_id"), ("products", "product_id"), ("orders", "order_id")):
        identifiers = [row[name] for row in year.sound(file)]
        assert len(identifiers) == len(set(identifiers))
    twice = sum(count > 1 for count in Counter(row["order_item_id"] for row in year.sound("order_items")).values())
    assert twice == sum(EVIDENCE["order_items", fault](year) for fault in ("row_repeated", "order_item_id_repeated"))


def test_an_order_has_items(year: Extracts) -> None:
    empty = {row["order_id"] for row in year.sound("orders")} - {row["order_id"] for row in year.order_items}
    assert len(empty) <= EVIDENCE["order_items", "order_unknown"](year)


def test_texts_are_hard_to_read(small: Extracts) -> None:
    for sign in ("\n", ",", '"'):
        assert any(sign in row["address"] for row in small.sound("customers"))
    assert any(not row["name"].isascii() for row in small.sound("customers"))


def test_sets_are_bought_together_far_over_chance(year: Extracts) -> None:
    names = {row["product_id"]: row["product_name"] for row in year.products}
    baskets: dict[tuple[str, datetime], set[str]] = {}
    for customer, product, at, quantity, _ in year.lines:
        if quantity > 0 and product in names:
            baskets.setdefault((customer, at), set()).add(names[product])
    alone = Counter(name for basket in baskets.values() for name in basket)
    together = Counter(frozenset(pair) for basket in baskets.values() for pair in combinations(sorted(basket), 2))

    def over_chance(pairs: list[tuple[str, str]]) -> float:
        chance = sum(alone[one] * alone[other] for one, other in pairs) / len(baskets)
        return sum(together[frozenset(pair)] for pair in pairs) / chance

    pairs = [pair for members in SETS for pair in combinations(members, 2)]
    brands = {name.removesuffix(f" {SETS[0][0]}") for name in names.values() if name.endswith(SETS[0][0])}
    same = [(f"{brand} {one}", f"{brand} {other}") for brand in brands for one, other in pairs]
    mixed = [(f"{a} {one}", f"{b} {other}") for a in brands for b in brands - {a} for one, other in pairs]
    assert over_chance(same) > 5
    assert 0.7 < over_chance(mixed) < 1.6


def test_returns_mirror_an_earlier_line_of_the_customer(year: Extracts) -> None:
    bought = {(customer, product, at.date(), quantity, price) for customer, product, at, quantity, price in year.lines}
    returns = [line for line in year.lines if line[3] < 0]
    later = [line for line in returns if line[2] >= datetime(2024, 1, 31)]
    mirrored = [
        any((customer, product, at.date() - timedelta(days), -quantity, price) in bought for days in range(1, 31))
        for customer, product, at, quantity, price in later
    ]
    assert 0.97 < sum(mirrored) / len(later) < 1  # of a few, the earlier line has a fault
    assert 0.02 < len(returns) / len(year.lines) < 0.03
    assert any(line[2] < datetime(2024, 1, 4) for line in returns)  # of what was sold before the range
    orders: dict[tuple[str, datetime], set[bool]] = {}
    for customer, _, at, quantity, _ in year.lines:
        orders.setdefault((customer, at), set()).add(quantity > 0)
    assert [signs for signs in ({False}, {False, True}) if signs not in orders.values()] == []


def test_customers_differ(year: Extracts) -> None:
    days: dict[str, set[date]] = {}
    for customer, _, at, quantity, _ in year.lines:
        if quantity > 0:
            days.setdefault(customer, set()).add(at.date())
    counts = sorted((len(each) for each in days.values()), reverse=True)
    assert 0.1 < counts.count(1) / len(counts) < 0.4
    assert sum(counts[: len(counts) // 10]) > 0.3 * sum(counts)
    assert sum(len(each) > 3 and max(each) < date(2024, 9, 1) for each in days.values()) > 0.05 * len(counts)
    registered = {row["customer_id"]: date.fromisoformat(row["registration_date"]) for row in year.sound("customers")}
    assert any(customer not in days and day.year < 2024 for customer, day in registered.items())
    joined = {customer: day for customer, day in registered.items() if date(2024, 2, 1) <= day <= date(2024, 9, 30)}
    bought = [len(days.get(customer, ())) for customer in joined]
    assert 0.04 < bought.count(0) / len(bought) < 0.15
    assert 0.18 < bought.count(1) / len(bought) < 0.4
    new = [(min(days[customer]) - day).days for customer, day in joined.items() if customer in days]
    assert 0.85 < sum(0 <= days <= 30 for days in new) / len(new) < 1
    assert 0.01 < sum(days < 0 for days in new) / len(new) < 0.12


def test_products_differ_in_sales_and_prices_move(year: Extracts) -> None:
    prices: dict[str, set[str]] = {}
    for _, product, _, _, price in year.lines:
        prices.setdefault(product, set()).add(price)
    now = {row["product_id"]: row["price"] for row in year.sound("products")}
    assert 1 <= sum(product not in prices for product in now) < 0.15 * len(now)
    assert sum(len(each) > 1 for each in prices.values()) > 0.8 * len(now)
    assert sum(price not in prices.get(product, set()) for product, price in now.items()) > 0.5 * len(now)
    sold = sorted(Counter(product for _, product, *_ in year.lines).values(), reverse=True)
    assert sum(sold[: len(sold) // 10]) > 0.2 * sum(sold)


def test_demand_has_seasons_and_grows(year: Extracts, tmp_path: Path) -> None:
    days = [datetime.fromisoformat(row["order_date"]) for row in year.sound("orders")]
    months, weekdays = Counter(day.month for day in days), Counter(day.weekday() for day in days)
    assert months[12] > 1.3 * months[2]
    assert weekdays[5] > 1.1 * weekdays[1]
    category = {row["product_id"]: row["category"] for row in year.products}
    garden = Counter(at.month for _, product, at, _, _ in year.lines if category.get(product) == "Garden")
    assert garden[4] / months[4] > 1.5 * garden[9] / months[9]
    later = DateRange(date(2026, 1, 1), date(2026, 1, 31))
    grown = Extracts(make(tmp_path, later, customers=3_000, products=120, orders_per_day=50))
    assert len(grown.orders) > 1.15 * months[1]
