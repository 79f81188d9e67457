"""The generator: same seed, same bytes; days that fit together; sources that agree; the faults and signs promised."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import UsageError
from etl_spark.pipelines.churn import generate_profiles, generate_social, generate_web
from etl_spark.pipelines.churn.generate import days_of_exports, generate
from etl_spark.pipelines.churn.generate_habits import FADE_DAYS, FADED, PLANS, TRICKLE, habits_of
from etl_spark.pipelines.churn.generate_social import TEXTS, deliveries
from etl_spark.pipelines.churn.generate_web import KINDS, LATEST_DAYS, days_of_lines
from etl_spark.pipelines.churn.pipeline import CHURN
from etl_spark.pipelines.sales.generate import Shop, customer_id, customers_of, products_of
from etl_spark.pipelines.sales.generate import generate as generate_sales
from tests.places import SAMPLE

pytestmark = pytest.mark.default_spark
"""Without Spark."""

QUARTER = DateRange(date(2024, 1, 1), date(2024, 3, 31))
SALES = {"seed": 1, "customers": 400, "products": 60, "orders_per_day": 12}
SIZES = SALES | {"visits_per_day": 20, "posts_per_day": 6}

Json = dict[str, Any]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def objects_of(text: str) -> list[Any]:
    """JSON values that follow each other, with or without space between; what is cut short ends them."""
    decoder, values, place = json.JSONDecoder(), list[Any](), 0
    while place < len(text):
        try:
            value, place = decoder.raw_decode(text, place)
        except ValueError:
            return values
        values.append(value)
        while text[place : place + 1].isspace():
            place += 1
    return values


def time_of(event: Json) -> datetime | None:
    try:
        return datetime.fromisoformat(event["event_time"])
    except ValueError:
        return None


def reason_of(line: bytes, day: date, seen: set[str]) -> str | None:
    """Why the job turns a line of the day's log away."""
    try:
        event = json.loads(line)
    except ValueError:
        return "not_json_object"
    if not isinstance(event, dict):
        return "not_json_object"
    for field in ("event_id", "event_time"):
        if not event.get(field):
            return f"{field}_missing"
    happened = time_of(event)
    if happened is None:
        return "event_time_not_a_time"
    if happened.date() > day:
        return "event_after_its_log"
    if (day - happened.date()).days > LATEST_DAYS:
        return "event_too_late"
    for field in ("session_id", "kind"):
        if not event.get(field):
            return f"{field}_missing"
    if event["kind"] not in KINDS:
        return "kind_unknown"
    if event["event_id"] in seen:
        return "event_repeated"
    seen.add(event["event_id"])
    return None


@dataclass(frozen=True)
class Sources:
    folder: Path

    def rows(self, file: str) -> list[dict[str, str]]:
        with (self.folder / "sales" / f"{file}.csv").open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    @cached_property
    def judged(self) -> list[tuple[date, bytes, str | None]]:
        """Each line of the logs, its day, and why it is turned away."""
        seen: set[str] = set()
        return [
            (day, line, reason_of(line, day, seen))
            for file in sorted((self.folder / "web").iterdir())
            for day in [date.fromisoformat(file.stem)]
            for line in file.read_bytes().splitlines()
        ]

    @cached_property
    def events(self) -> list[tuple[date, Json]]:
        return [(day, json.loads(line)) for day, line, reason in self.judged if reason is None]

    @cached_property
    def exports(self) -> dict[date, Path]:
        found = {}
        for dated in (self.folder / "profiles").iterdir():
            (export,) = (dated / "AWSDynamoDB").iterdir()
            found[date.fromisoformat(dated.name.removeprefix("dt="))] = export
        return dict(sorted(found.items()))

    def items(self, day: date) -> list[str]:
        files = sorted((self.exports[day] / "data").iterdir())
        return [line for file in files for line in gzip.decompress(file.read_bytes()).decode().splitlines()]

    @cached_property
    def objects(self) -> dict[datetime, bytes]:
        """What stands in each object of the stream, by when it was delivered."""
        found = {}
        for file in sorted((self.folder / "social").rglob("*-1-*")):
            content = file.read_bytes()
            at = datetime.strptime(file.name.split("-1-")[1][:19] + "+0000", "%Y-%m-%d-%H-%M-%S%z")
            assert f"{at:%Y/%m/%d/%H}" == str(file.parent.relative_to(self.folder / "social"))
            found[at] = gzip.decompress(content) if file.suffix == ".gz" else content
        return found

    @cached_property
    def posts(self) -> list[tuple[datetime, Json]]:
        """Those that can be read, and when they were delivered."""
        values = (
            (at, value) for at, content in self.objects.items() for value in objects_of(content.decode("latin-1"))
        )
        return [(at, value) for at, value in values if isinstance(value, dict)]


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("quarter")
    files = generate(QUARTER, folder, **SIZES)
    assert sorted(files) == sorted(file for file in folder.rglob("*") if file.is_file())
    return Sources(folder)


def shop_of(*, seed: int, customers: int, products: int, orders_per_day: int) -> Shop:
    return Shop(seed, orders_per_day, customers_of(seed, customers), products_of(seed, products))


def test_same_seed_and_sizes_same_bytes_in_any_process(tmp_path: Path) -> None:
    asked = DateRange(date(2024, 1, 20), date(2024, 2, 2))
    sizes = SIZES | {"customers": 90, "orders_per_day": 5}
    generate(asked, tmp_path / "here", **sizes)
    generate(asked, tmp_path / "other", **sizes | {"seed": 2})
    call = (
        "from datetime import date; from pathlib import Path; from etl_spark.core.dates import DateRange;"
        "from etl_spark.pipelines.churn.generate import generate;"
        f"generate(DateRange(date(2024, 1, 20), date(2024, 2, 2)), Path('there'), **{sizes})"
    )
    elsewhere = {"PYTHONHASHSEED": "12345", "TZ": "Pacific/Apia", "LC_ALL": "C", "PYTHONUTF8": "0"}
    # The packages are found as they are here, wherever that is.
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", call], cwd=tmp_path, env=os.environ | elsewhere | paths, check=True)
    here, other = bytes_of(tmp_path / "here"), bytes_of(tmp_path / "other")
    assert here == bytes_of(tmp_path / "there")
    assert not set(here.items()) & set(other.items())


def test_a_day_is_the_same_in_every_range(quarter: Sources, tmp_path: Path) -> None:
    whole = bytes_of(quarter.folder)
    for start, end in ((date(2024, 1, 1), date(2024, 2, 16)), (date(2024, 2, 17), date(2024, 3, 31))):
        generate(DateRange(start, end), tmp_path / str(start), **SIZES)
        part = bytes_of(tmp_path / str(start))
        daily = {name: content for name, content in part.items() if name.startswith(("web", "social", "profiles"))}
        before = f"profiles/dt={start - timedelta(days=1)}"
        assert {name for name in daily if name not in whole} == {
            name for name in daily if name.startswith(before) and start != QUARTER.start
        }
        assert all(whole.get(name, content) == content for name, content in daily.items())
        assert sum(name.startswith("web") for name in daily) == (end - start).days + 1


def test_sales_are_what_the_sales_generator_makes(quarter: Sources, tmp_path: Path) -> None:
    generate_sales(QUARTER, tmp_path, **SALES)
    assert bytes_of(quarter.folder / "sales") == bytes_of(tmp_path)


def test_the_smallest_shop_and_a_day_before_it_opened(tmp_path: Path) -> None:
    one = dict.fromkeys(SIZES, 1)
    generate(DateRange(date(2024, 1, 31), date(2024, 1, 31)), tmp_path / "one", **one)
    assert sorted(Sources(tmp_path / "one").exports) == [date(2024, 1, 30), date(2024, 1, 31)]
    with pytest.raises(UsageError, match="opened on 2020-01-01"):
        generate(DateRange(date(2019, 12, 31), date(2024, 1, 31)), tmp_path / "none", **one)
    assert not (tmp_path / "none").exists()


def test_each_order_has_a_checkout_before_it_and_a_return_has_none(quarter: Sources) -> None:
    quantities: dict[str, int] = {}
    for item in quarter.rows("order_items"):
        if item["quantity"].lstrip("-").isdecimal():
            quantities[item["order_id"]] = max(quantities.get(item["order_id"], -1), int(item["quantity"]))
    checkouts: dict[tuple[str, date], list[datetime]] = {}
    for _, event in quarter.events:
        if event["kind"] == "checkout":
            at = datetime.fromisoformat(event["event_time"]).replace(tzinfo=None)
            checkouts.setdefault((event["customer_id"], at.date()), []).append(at)
    # What is late on the last days is not there yet.
    orders = [
        (row["customer_id"], datetime.fromisoformat(row["order_date"]), quantities[row["order_id"]])
        for row in quarter.rows("orders")
        if row["order_date"][:10] < "2024-03-28"
        and "02-30" not in row["order_date"]
        and row["order_date"].startswith("2024")
        and row["customer_id"].strip() == row["customer_id"] != ""
        and not row["customer_id"].startswith("C0000000")
        and row["order_id"] in quantities
    ]
    known = {customer_id(number) for number in range(SALES["customers"])}
    orders = [order for order in orders if order[0] in known]
    assert len(orders) > 800
    bought = [(customer, at) for customer, at, quantity in orders if quantity > 0]
    for customer, at in bought:
        assert any(timedelta(0) <= at - checkout <= timedelta(seconds=5) for checkout in checkouts[customer, at.date()])
    bought_on = Counter((customer, at.date()) for customer, at in bought)
    returned = [(customer, at.date()) for customer, at, quantity in orders if quantity < 0]
    assert returned
    faulty = [day for day in returned if len(checkouts.get(day, ())) > bought_on[day]]
    assert len(faulty) <= 2  # of an order that has a fault itself


def test_a_visit_is_known_from_its_login_on(quarter: Sources) -> None:
    visits: dict[str, list[Json]] = {}
    for _, event in quarter.events:
        visits.setdefault(event["session_id"], []).append(event)
    ways = Counter[str]()
    for events in visits.values():
        events.sort(key=lambda event: (event["event_time"], event["event_id"]))
        assert len({event["customer_id"] for event in events if "customer_id" in event}) <= 1
        known = ["customer_id" in event for event in events]
        assert known == sorted(known)
        assert [event["kind"] for event in events if {"customer_id", "anonymous_id"} <= event.keys()] in ([], ["login"])
        ways["never" if not any(known) else "later" if not all(known) else "all along"] += 1
        for event in events:
            assert ("query" in event) == (event["kind"] == "search")
            assert ("product_id" in event) == (event["kind"] in ("view", "add_to_cart", "remove_from_cart"))
    assert min(ways["never"], ways["later"], ways["all along"]) > 0.05 * len(visits)
    over_midnight = [events for events in visits.values() if len({event["event_time"][:10] for event in events}) == 2]
    assert 1 <= len(over_midnight) < 0.02 * len(visits)
    assert Counter(event["kind"] for _, event in quarter.events).keys() == set(KINDS)


def test_each_fault_of_a_log_is_there_and_few_are(quarter: Sources) -> None:
    reasons = Counter(reason for _, _, reason in quarter.judged if reason)
    assert set(reasons) == {
        "not_json_object",
        "event_id_missing",
        "event_time_missing",
        "event_time_not_a_time",
        "event_after_its_log",
        "event_too_late",
        "session_id_missing",
        "kind_missing",
        "kind_unknown",
        "event_repeated",
    }
    assert min(reasons.values()) >= 4
    assert 0.01 < sum(reasons.values()) / len(quarter.judged) < 0.03
    broken = [line for _, line, reason in quarter.judged if reason == "not_json_object"]
    assert any(line.startswith(b"[") for line in broken)
    assert any(line.count(b'"event_id"') == 2 for line in broken)
    assert any(b"\xff" in line for line in broken)
    assert any(not line.endswith((b"}", b"]")) for line in broken)


def test_events_are_late_and_repeated_and_in_order_of_arrival(quarter: Sources) -> None:
    ages = Counter((day - date.fromisoformat(event["event_time"][:10])).days for day, event in quarter.events)
    assert sorted(ages) == [0, 1, 2, 3]
    assert 0.01 < 1 - ages[0] / ages.total() < 0.04
    first = {event["event_id"]: day for day, event in quarter.events}
    repeats = [
        (day - first[json.loads(line)["event_id"]]).days
        for day, line, reason in quarter.judged
        if reason == "event_repeated"
    ]
    assert {0, 1} <= set(repeats) <= {0, 1, 2, 3}
    in_time = [(day, event["event_time"]) for day, event in quarter.events if event["event_time"][:10] == str(day)]
    # Repeats apart, an event is at most as much too early as another one took to arrive.
    late = [after < before for (a, before), (b, after) in pairwise(in_time) if a == b]
    assert sum(late) < 0.05 * len(late)


def test_an_export_is_as_its_manifests_say(quarter: Sources) -> None:
    ends = [date(2023, 12, 31), date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31)]
    assert list(quarter.exports) == days_of_exports(QUARTER) == ends
    for day, export in quarter.exports.items():
        for name in ("manifest-summary", "manifest-files"):
            content = (export / f"{name}.json").read_bytes()
            assert (export / f"{name}.md5").read_text() == b64encode(hashlib.md5(content).digest()).decode()
        summary = json.loads((export / "manifest-summary.json").read_text())
        files = [json.loads(line) for line in (export / "manifest-files.json").read_text().splitlines()]
        place = f"profiles/dt={day}/AWSDynamoDB/{export.name}"
        assert summary["manifestFilesS3Key"] == f"{place}/manifest-files.json"
        assert (summary["outputFormat"], summary["exportType"]) == ("DYNAMODB_JSON", "FULL_EXPORT")
        assert summary["exportTime"] == f"{day}T23:59:59.000Z"
        assert summary["itemCount"] == sum(file["itemCount"] for file in files) == len(quarter.items(day))
        assert {file["dataFileS3Key"] for file in files} == {
            f"{place}/data/{f.name}" for f in (export / "data").iterdir()
        }
        assert len(files) >= 2
        for file in files:
            content = (quarter.folder / file["dataFileS3Key"]).read_bytes()
            assert file["md5Checksum"] == b64encode(hashlib.md5(content).digest()).decode()
            assert file["itemCount"] == gzip.decompress(content).count(b"\n")
            assert content[4:8] == bytes(4)  # no time


def test_a_profile_is_its_customers(quarter: Sources) -> None:
    customers = {row["customer_id"]: row for row in quarter.rows("customers")}
    there: dict[date, int] = {}
    for day in quarter.exports:
        for text in quarter.items(day):
            try:
                item = json.loads(text)["Item"]
                row = customers[item["customer_id"]["S"]]
                registered = date.fromisoformat(row["registration_date"])
                created = datetime.fromisoformat(item["created_at"]["S"]).date()
            except (ValueError, KeyError):
                continue
            assert item["name"]["S"] == row["name"]
            assert item["email"]["S"] == row["email"]
            assert item["address"]["M"] == {"country": {"S": row["country"]}, "city": {"S": row["city"]}}
            assert created == registered <= day
            there[day] = there.get(day, 0) + 1
    for day, count in there.items():
        registered_by = sum(row["registration_date"] <= str(day) for row in customers.values())
        assert registered_by - 8 <= count <= registered_by


def test_profiles_change_and_have_numbers_that_no_double_holds(tmp_path: Path) -> None:
    sizes = SALES | {"customers": 2_000}
    shop = shop_of(**sizes)
    habits = habits_of(shop)
    days = [date(2023, 12, 31), date(2024, 3, 31)]
    for day in days:
        generate_profiles.write_export(day, tmp_path / "profiles", shop, habits)
    made = Sources(tmp_path)
    before, after = ({item["customer_id"]["S"]: item for item in readable(made.items(day))} for day in days)
    assert len(before.keys() - after.keys()) <= len(generate_profiles.FAULTS)
    assert len(after) > len(before)
    both = before.keys() & after.keys()
    plans = [(before[who]["plan"].get("S"), after[who]["plan"].get("S")) for who in both]
    assert set(plans) >= {("premium", "basic"), ("basic", "plus"), *((plan, plan) for plan in PLANS)}
    assert any("opt_ins" in before[who] and "opt_ins" not in after[who] for who in both)
    assert all(0 < len(item["opt_ins"]["SS"]) <= 3 for item in after.values() if "opt_ins" in item)
    points = [Decimal(item["loyalty_points"]["N"]) for item in after.values() if "loyalty_points" in item]
    assert 0.9 < len(points) / len(after) < 1
    assert 1 <= sum(Decimal(float(number)) != number for number in points) < 0.02 * len(points)


def readable(items: list[str]) -> list[Json]:
    found = []
    for text in items:
        if text.endswith("}}"):
            item = json.loads(text)["Item"]
            number = item.get("loyalty_points", {"N": "0"}).get("N", "")
            if {"customer_id", "created_at"} <= item.keys() and number.replace(".", "").isdecimal():
                found.append(item)
    return found


def test_each_fault_of_profiles_and_posts_is_there_and_few_are(quarter: Sources) -> None:
    texts = [text for day in quarter.exports for text in quarter.items(day)]
    signs = ('"created":', '"S":"on ', '{"id":', '"N":"about', '"plan":{"N"', '"loyalty_points":{"S"')
    counts = [sum(sign in text for text in texts) for sign in signs]
    counts.append(sum(not text.endswith("}}") for text in texts))
    assert len(counts) == len(generate_profiles.FAULTS)
    assert sum(count > 0 for count in counts) >= 5  # of so few items, not all are in four exports
    assert 0 < sum(counts) < 0.01 * len(texts)
    contents = quarter.objects.values()
    broken = [
        sum(not content.rstrip().endswith((b"}", b"]")) for content in contents),
        sum(content.rstrip().endswith(b"]") for content in contents),
        sum(b'"platform":"\xff' in content for content in contents),
        sum(post["event_id"] is None for _, post in quarter.posts),
        sum(post["kind"] == "like" for _, post in quarter.posts),
        sum(post["event_time"].endswith("noon") for _, post in quarter.posts),
        sum(
            post["event_time"][:19] > f"{at:%Y-%m-%dT%H:%M:%S}" for at, post in quarter.posts if "noon" not in str(post)
        ),
    ]
    assert len(broken) == len(generate_social.FAULTS)
    assert all(3 <= count <= 6 for count in broken)


def test_posts_are_delivered_later_and_some_again(quarter: Sources) -> None:
    sound = [(at, post) for at, post in quarter.posts if post["event_id"] and time_of(post)]
    by_id: dict[str, list[tuple[datetime, Json]]] = {}
    for at, post in sound:
        by_id.setdefault(post["event_id"], []).append((at, post))
    repeated = [copies for copies in by_id.values() if len(copies) > 1]
    assert 3 <= len(repeated) < 0.05 * len(by_id)
    assert any(copies[0][0] != copies[1][0] for copies in repeated)
    for copies in repeated:
        (one, other) = (post for _, post in copies)
        assert one["text"] == other["text"]
    waits = [at - datetime.fromisoformat(post["event_time"]) for at, post in sound]
    assert sum(wait > timedelta(hours=13) for wait in waits) > 0.01 * len(waits)
    assert {post["kind"] for _, post in sound} >= {"mention", "reply"}
    known = [post["customer_id"] for _, post in sound]
    assert 0.05 < known.count(None) / len(known) < 0.25


def test_objects_differ_in_form_and_are_few(quarter: Sources) -> None:
    files = list((quarter.folder / "social").rglob("*-1-*"))
    assert len(files) <= 2 * len(QUARTER)
    assert 0.1 < sum(file.suffix == ".gz" for file in files) / len(files) < 0.5
    contents = [content for content in quarter.objects.values() if content.count(b'"event_id"') > 2]
    forms = Counter((b"}{" in content, b"}\n{" in content) for content in contents)
    assert forms.keys() >= {(True, False), (False, True), (True, True)}


def test_large_streams_have_more_objects() -> None:
    shop = shop_of(**SALES)
    day = DateRange(date(2024, 1, 5), date(2024, 1, 5))
    assert len(list(deliveries(day, shop, habits_of(shop), 5_000))) == 10


def test_the_end_is_foretold_but_not_for_all() -> None:
    shop = shop_of(**SALES | {"customers": 20_000})
    habits = habits_of(shop)
    today = date(2024, 3, 1).toordinal()
    came_again = (shop.customers.frequency > 0) & (shop.customers.first < today)
    left = (habits.end - today)[came_again]
    share = (habits.visits(today) / (shop.customers.frequency.clip(1) * habits.curiosity))[came_again]
    assert share[left > FADE_DAYS].min() > 0.99
    assert share[left <= 0].max() <= TRICKLE
    last = share[(left > 0) & (left < 10)]
    assert last.min() < FADED + 0.2
    assert 0.1 < (last > 0.99).mean() < 0.5
    is_last = came_again & (habits.end > today) & (habits.end < today + 10)
    is_other = np.logical_not(is_last)
    changes = habits.plans(today - 60) - habits.plans(today)
    assert (changes[is_last] > 0).mean() > 4 * (changes[is_other] > 0).mean() > 0
    withdrawn = np.any(habits.opt_ins(today - 60) & ~habits.opt_ins(today), axis=0)
    assert withdrawn[is_last].mean() > 4 * withdrawn[is_other].mean() > 0


def test_who_is_about_to_go_searches_leaves_carts_and_complains() -> None:
    shop = shop_of(**SALES | {"customers": 2_000})
    habits = habits_of(shop)
    asked = DateRange(date(2024, 2, 1), date(2024, 3, 31))
    numbers = {customer_id(number): number for number in range(2_000)}

    def is_going(who: str, day: date) -> bool:
        return 0 < int(habits.end[numbers[who]]) - day.toordinal() < 20

    visits: dict[tuple[str, str], set[str]] = {}
    going: dict[tuple[str, str], bool] = {}
    for day, lines in days_of_lines(asked, shop, habits, visits_per_day=150):
        for line in lines:
            if reason_of(line, day, set()) is None:
                event = json.loads(line)
                if "customer_id" in event:
                    visit = (event["customer_id"], event["session_id"])
                    visits.setdefault(visit, set()).add(event["kind"])
                    going[visit] = is_going(event["customer_id"], day)
    without = {visit: kinds for visit, kinds in visits.items() if "checkout" not in kinds}
    for kind in ("search", "add_to_cart"):
        last, other = (
            [kind in kinds for visit, kinds in without.items() if going[visit] is is_last] for is_last in (True, False)
        )
        assert np.mean(last) > 1.4 * np.mean(other)
    tone_of = {text.split("{thing}")[0][:9]: tone for tone, texts in enumerate(TEXTS) for text in texts}
    tones: dict[bool, list[int]] = {True: [], False: []}
    for delivery in deliveries(asked, shop, habits, posts_per_day=100):
        text = delivery.content if not delivery.name.endswith(".gz") else gzip.decompress(delivery.content)
        for post in objects_of(text.decode("latin-1")):
            if isinstance(post, dict) and post["text"] and post["customer_id"] and time_of(post):
                tone = tone_of.get(post["text"][:9])
                if tone is not None:
                    tones[is_going(post["customer_id"], date.fromisoformat(post["event_time"][:10]))].append(tone)
    negative = {is_last: np.mean([tone == 2 for tone in found]) for is_last, found in tones.items()}
    assert negative[True] > 1.5 * negative[False] > 0.1


def test_the_numbers_of_faults_follow_the_lines() -> None:
    assert len(generate_web.faults_of(date(2024, 1, 1).toordinal(), 10_000)) == 5 * len(generate_web.FAULTS)


def test_the_sample_is_what_the_generator_makes(tmp_path: Path) -> None:
    sizes = {one.name: one.default for one in CHURN.generator.sizes} if CHURN.generator else {}
    generate(DateRange(date(2024, 1, 1), date(2024, 7, 31)), tmp_path, seed=2024, **sizes)
    made, sample = (
        # Bytes that zlib has packed are another zlib's alone, and a manifest tells their MD5.
        {name: unpacked(content) for name, content in bytes_of(folder).items() if "manifest" not in name}
        for folder in (tmp_path, SAMPLE / "churn")
    )
    assert {name: content for name, content in made.items() if not name.startswith("sales/")} == sample
    assert bytes_of(tmp_path / "sales") == bytes_of(SAMPLE / "sales")


def unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
