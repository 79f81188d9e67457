"""What customers write about the shop, as a Firehose stream delivers it: objects of JSON records, by arrival in UTC.

No object is like the next: records stand in lines, or two in a line, or with nothing between them; some are gzipped.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.churn.generate_habits import Habits
from etl_spark.pipelines.churn.generate_profiles import as_json, zipped
from etl_spark.pipelines.sales.generate import HOURS, Ints, Shop, below, customer_id, drawn, words_of

STREAM = "social-mentions"
PLATFORMS, PLATFORM_SHARES = ("chirp", "facepage", "photogram"), (6, 3, 1)
REPLY_SHARE = 0.3
UNKNOWN_SHARE = 0.12
"""Posts of accounts that are nobody's."""
TONES = ((55, 30, 15), (12, 25, 63))
"""Weights of positive, neutral and negative posts: of customers as ever, and of the most discontent."""
TEXTS: tuple[tuple[str, ...], ...] = (
    (
        "I love the new {thing}, great quality!",
        "Great service again, my {thing} arrived a day early. Thank you!",
        "So happy with this {thing}. Best shop by far.",
        "Excellent {thing} and a very good price",
        "The {thing} is beautiful, my parents love it \u2764",
        'Friend said "just buy the {thing}" and it really is perfect',
        "Wonderful support today, they were kind and quick.",
        "Awesome {thing}! I am happy I bought it.",
        "My {thing} works great.\nVery good packaging too.",
        "Really good experience with the returns, impressive.",
        "Happy customer here :) lovely {thing}",
        "Fantastic delivery, great people",
    ),
    (
        "Ordered the {thing} on Monday.",
        "Does the {thing} come with a manual?",
        "My {thing} is on its way to the pick-up point.",
        "Which size of {thing} do you have in stock?",
        "Comparing the {thing} with {{two others}} before I order",
        "When do you open on Sunday?",
        "Is there a {thing} in the summer catalogue?",
        "Changed my address in the app, order number to follow.",
        "The box with the {thing} came at noon.",
        "Where do I find the invoice for the {thing}?",
    ),
    (
        "Terrible {thing}, it broke within a week.",
        "Very disappointed with the {thing} :(",
        "Awful service, nobody answers. I hate waiting.",
        "The worst delivery ever, my {thing} arrived broken.",
        "This {thing} is horrible and the support is useless.",
        "Bad quality for the price, disappointed again.",
        "I am angry: the {thing} is a terrible fake",
        'They call it "premium" {thing}; it is just bad.',
        "Annoying app, awful search, no more orders from me.",
        "Poor packaging, ugly {thing}.\nNever again.",
        "Sad to say it: boring catalogue, terrible prices",
        "Disgusting smell from the {thing}, this is awful",
    ),
)
"""Positive, neutral and negative ones."""
THINGS = ("tent", "kettle", "camera", "rucksack", "lamp", "blanket", "printer", "toaster", "spade", "kite")
BLANK_SHARE = 0.01

DAY_MS = 86_400_000
SOON_MS, HOURS_LATE, LATE_SHARE = 60_000, 10, 0.1
"""Most arrive within SOON_MS, a share is up to so many hours late."""
REPEAT_SHARE = 0.02
"""Records that arrive again within a day."""
OBJECTS_A_DAY, RECORDS_OF_OBJECT = 2, 500
"""An object has all that arrived since the one before; there are more a day where they would have more records."""
BETWEEN = (("\n",), ("",), ("", "\n"))
"""What follows the records of an object, in turn."""
ZIPPED_SHARE = 0.3
FAULT_DAYS = 20
"""Each fault is once in so many days."""


def _at(time: Callable[[date], str]) -> Callable[[str, date], bytes]:
    return lambda record, day: re.sub('"event_time":"[^"]*"', f'"event_time":"{time(day)}"', record).encode()


# A fault makes bytes of the last record of an object, and of its day; a record that is cut short spoils no other there.
FAULTS: tuple[Callable[[str, date], bytes], ...] = (
    lambda record, _: record.encode()[:-30],
    lambda record, _: f"[{record}]".encode(),
    lambda record, _: record.encode().replace(b'"platform":"', b'"platform":"\xff'),
    lambda record, _: re.sub('"event_id":"[^"]*"', '"event_id":null', record).encode(),
    lambda record, _: re.sub('"kind":"[^"]*"', '"kind":"like"', record).encode(),
    _at(lambda day: f"{day}, noon"),
    _at(lambda day: f"{date.fromordinal(day.toordinal() + 2)}T12:00:00.000Z"),
)


@dataclass(frozen=True, eq=False)
class Posts:
    """A day's, by time, in milliseconds from its start; `tone` is a place in TEXTS."""

    author: Ints
    at: Ints
    tone: Ints


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Records and when they arrive, in milliseconds from the start of 0001-01-01."""

    at: Ints
    records: list[str]


@dataclass(frozen=True)
class Delivery:
    """An object: its name below the stream's folder, and what stands in it."""

    name: str
    content: bytes


def write_social(asked: DateRange, output: Path, shop: Shop, habits: Habits, posts_per_day: int) -> list[Path]:
    """Writes `output`/YYYY/MM/DD/HH/OBJECT for each object that is delivered on a day of `asked`."""
    files = []
    for delivery in deliveries(asked, shop, habits, posts_per_day):
        file = output / delivery.name
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{file.name}.draft")
        draft.write_bytes(delivery.content)
        files.append(draft.rename(file))
    return files


def deliveries(asked: DateRange, shop: Shop, habits: Habits, posts_per_day: int) -> Iterator[Delivery]:
    """What is delivered on a day was written on it or on one of the three before: each wait is shorter than a day."""
    recent: deque[Arrivals] = deque(maxlen=4)
    for today in range(asked.start.toordinal() - 3, asked.end.toordinal() + 1):
        recent.append(_arrivals(shop, habits, today, posts_per_day))
        if today >= asked.start.toordinal():
            yield from _objects(shop, today, posts_per_day, recent)


def _objects(shop: Shop, today: int, posts_per_day: int, recent: deque[Arrivals]) -> Iterator[Delivery]:
    at = np.concatenate([one.at for one in recent])
    records = [record for one in recent for record in one.records]
    ends = _delivered(shop, today, posts_per_day)
    since = _delivered(shop, today - 1, posts_per_day)[-1]
    random = np.random.default_rng([shop.seed, today, 6])
    is_zipped = (random.random(ends.size) < ZIPPED_SHARE).tolist()
    faults = [fault for number, fault in enumerate(FAULTS) if (today + number * 3) % FAULT_DAYS == 0]
    for number, (start, end) in enumerate(zip((since, *ends.tolist()), ends.tolist(), strict=False)):
        here = np.flatnonzero((start < at) & (at <= end))
        here = here[np.argsort(at[here], kind="stable")]
        if here.size:
            texts = [records[place] for place in here.tolist()]
            fault = faults.pop() if faults else None
            content = _content(texts, BETWEEN[(today + number) % len(BETWEEN)], fault, date.fromordinal(today))
            name = _name(shop.seed, end) + (".gz" if is_zipped[number] else "")
            yield Delivery(name, zipped(content) if is_zipped[number] else content)


def _content(
    records: list[str], between: tuple[str, ...], fault: Callable[[str, date], bytes] | None, day: date
) -> bytes:
    *before, last = records
    texts = [f"{record}{between[place % len(between)]}".encode() for place, record in enumerate(before)]
    return b"".join(texts) + (fault(last, day) if fault else last.encode()) + between[-1].encode()


def _delivered(shop: Shop, today: int, posts_per_day: int) -> Ints:
    """When the objects of a day are delivered, the last one in its last minutes."""
    count = min(max(OBJECTS_A_DAY, posts_per_day // RECORDS_OF_OBJECT), 24 * 12)
    random = np.random.default_rng([shop.seed, today, 5])
    ends = np.arange(1, count + 1) * DAY_MS // count
    return today * DAY_MS + ends - 1000 - 1000 * below(random, 120, count)


def _name(seed: int, at: int) -> str:
    day, ms = divmod(at, DAY_MS)
    second = ms // 1000
    hour, minute, left = second // 3600, second // 60 % 60, second % 60
    some = hashlib.sha256(f"{seed} {at}".encode()).hexdigest()
    key = "-".join((some[:8], some[8:12], some[12:16], some[16:20], some[20:32]))
    when = date.fromordinal(day)
    return f"{when:%Y/%m/%d}/{hour:02}/{STREAM}-1-{when}-{hour:02}-{minute:02}-{left:02}-{key}"


def _arrivals(shop: Shop, habits: Habits, today: int, posts_per_day: int) -> Arrivals:
    """Of the posts of a day, each once and some again."""
    random = np.random.default_rng([shop.seed, today, 7])
    posts = _posts(random, habits, today, posts_per_day)
    count = posts.at.size
    wait = np.where(random.random(count) < LATE_SHARE, HOURS_LATE * 3_600_000, SOON_MS)
    first = today * DAY_MS + posts.at + np.floor(random.random(count) * wait).astype(np.int64)
    again = np.flatnonzero(random.random(count) < REPEAT_SHARE)
    second = first[again] + 1 + below(random, DAY_MS, again.size)
    records = list(_records(random, shop, today, posts))
    return Arrivals(np.concatenate((first, second)), records + [records[place] for place in again.tolist()])


def _posts(random: np.random.Generator, habits: Habits, today: int, posts_per_day: int) -> Posts:
    author = drawn(random, habits.posts(today), int(posts_per_day * (0.7 + 0.6 * random.random()) + 0.5))
    count = author.size
    at = np.sort(drawn(random, np.array(HOURS), count) * 3_600_000 + below(random, 3_600_000, count))
    usual, discontent = (np.cumsum(weights) / sum(weights) for weights in TONES)
    share = habits.discontent(today)[author][:, None]
    ends = usual + (discontent - usual) * share
    return Posts(author, at, tone=(random.random(count)[:, None] >= ends)[:, :-1].sum(axis=1))


def _records(random: np.random.Generator, shop: Shop, today: int, posts: Posts) -> Iterator[str]:
    count = posts.at.size
    choice, thing = random.random(count), below(random, len(THINGS), count)
    is_reply, is_unknown, is_blank = (
        random.random(count) < share for share in (REPLY_SHARE, UNKNOWN_SHARE, BLANK_SHARE)
    )
    platform = drawn(random, np.array(PLATFORM_SHARES), count)
    accounts = words_of(shop.seed).accounts
    day = date.fromordinal(today)
    of_day = f"{day:%Y%m%d}"
    columns = (posts.author, posts.at, posts.tone, choice, thing, is_reply, is_unknown, is_blank, platform)
    for number, (author, at, tone, place, about, reply, unknown, blank, where) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True), start=1
    ):
        second, ms = divmod(at, 1000)
        text = TEXTS[tone][int(place * len(TEXTS[tone]))].format(thing=THINGS[about])
        record = {
            "event_id": f"T{of_day}{number:08}",
            "event_time": f"{day}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{ms:03}Z",
            "platform": PLATFORMS[where],
            "kind": "reply" if reply else "mention",
            "customer_id": None if unknown else customer_id(author),
            "author": f"@{accounts[author % len(accounts)]}{author + 1}",
            "text": None if blank else text,
        }
        yield as_json(record)
