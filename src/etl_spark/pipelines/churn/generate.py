"""The four sources of the churn job, for the customers of the sales sample and consistent with what they buy.

    sales/                                      what the sales generator makes of the same seed, sizes and range
    web/YYYYMMDD.json                           events of the website
    profiles/dt=YYYY-MM-DD/AWSDynamoDB/EXPORT/  the profiles: exports at the ends of months, and before the range
    social/YYYY/MM/DD/HH/OBJECT                 posts about the shop

A day's bytes depend on the seed, the sizes and the day alone, so any range of days fits to any other.

What there is to find, beyond what orders tell (generate_habits has the figures):

- Who buys often visits often without buying, but some are more curious than others.
- In the FADE_DAYS before customers buy no more, visits fade, more of them search, more carts are filled and left, posts
  get more and turn negative; many are downgraded or withdraw their opt-ins then. After it a trickle is left of visits.
- It is no certain sign: SUDDEN_SHARE go without, all have their moods, and plans and opt-ins change for no reason too.

What is wrong with the sources: events that arrive late, and again; lines, items and records with one of the FAULTS of
generate_web, generate_profiles and generate_social. A fault is never of a checkout, so that each order has one.

Random numbers go through exact arithmetic only, to be the same on every machine; compressed bytes are zlib's: another
one may pack the same content otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from etl_spark.core.dates import DateRange
from etl_spark.pipelines.churn.generate_habits import habits_of
from etl_spark.pipelines.churn.generate_profiles import write_export
from etl_spark.pipelines.churn.generate_social import write_social
from etl_spark.pipelines.churn.generate_web import write_web
from etl_spark.pipelines.sales.generate import Shop, customers_of, products_of
from etl_spark.pipelines.sales.generate import generate as generate_sales

DAYS_AT_A_TIME = 30
"""Days that a process makes in a row: each time it starts with the orders of a month before, for what comes back."""


def generate(
    asked: DateRange,
    output: Path,
    *,
    seed: int,
    customers: int,
    products: int,
    orders_per_day: int,
    visits_per_day: int,
    posts_per_day: int,
) -> list[Path]:
    """Writes the sources into `output`, in as many processes as there are cores; UsageError as the sales generator.

    `visits_per_day` are those without an order, of a mean day.
    """
    sales = generate_sales(
        asked, output / "sales", seed=seed, customers=customers, products=products, orders_per_day=orders_per_day
    )
    shop = Shop(seed, orders_per_day, customers_of(seed, customers), products_of(seed, products))
    habits = habits_of(shop)
    for folder in ("web", "profiles", "social"):
        (output / folder).mkdir(exist_ok=True)
    tasks: list[Callable[[], list[Path]]] = []
    for days in _in_parts(asked):
        tasks.append(partial(write_web, days, output / "web", shop, habits, visits_per_day))
        tasks.append(partial(write_social, days, output / "social", shop, habits, posts_per_day))
    tasks += [partial(write_export, day, output / "profiles", shop, habits) for day in days_of_exports(asked)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes:
        made = [processes.submit(task) for task in tasks]
        return sales + [file for one in made for file in one.result()]


def days_of_exports(asked: DateRange) -> list[date]:
    """The day before `asked`, and the last days of the months in it."""
    one_day = timedelta(days=1)
    return [asked.start - one_day, *(day for day in asked.days if (day + one_day).day == 1)]


def _in_parts(asked: DateRange) -> list[DateRange]:
    starts = asked.days[::DAYS_AT_A_TIME]
    ends = [start - timedelta(days=1) for start in starts[1:]]
    return [DateRange(*days) for days in zip(starts, [*ends, asked.end], strict=True)]
