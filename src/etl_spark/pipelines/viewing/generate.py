"""Viewing logs like the real ones: one JSON-lines file per day, with the real shares of apps and of dirt.

A day's bytes depend on the seed, the sizes and the day alone, so any range of days fits to any other. The shares are
those of a month of real logs (48.5 million lines, 1.9 million contracts). Faults that a real month has a handful of, or
none, stand once in a day out of ten. Random numbers go through exact arithmetic only, to be the same on every machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from etl_spark.core.dates import DateRange

APPS = ("CHANNEL", "VOD", "CHILD", "KPLUS", "RELAX", "SPORT", "FIMS", "BHD")
APP_SHARES = (0.9028, 0.0517, 0.0208, 0.0176, 0.0044, 0.0020, 0.00069998, 0.00000002)
TYPICAL_SECONDS = (5400, 4200, 2400, 1800, 1500, 3600, 4800, 4800)
"""About the median length of a view, by app."""

LOYALTY = 0.7
"""Share of a contract's views that are of its favourite app; favourites are spread as APP_SHARES."""

NOT_CODES = ("0", "0", "0", "PAYTV", "NONFPT", "192.168.1.1", "10.0.0.7")
NOT_CODE_SHARE = 0.0512
LOWER_CASE_SHARE = 0.0005
NOT_POSITIVE_SHARE = 72_410 / 48_457_499
MIN_SECONDS, MAX_SECONDS = -889_575_165, 86_400

ACTIVE_PER_ROW = 0.78
"""Contracts seen on a day, for each of its rows."""
MAX_ACTIVE_SHARE = 0.9
LIFE_DAYS, AWAY_DAYS = 600, 40
"""A contract is away for AWAY_DAYS in a row out of every LIFE_DAYS, at a time of its own: customers come and go."""

PREFIXES = ("HNH", "SGH", "DNH", "CTH", "HPD", "BDD", "NTD", "QAD", "LAH", "HU", "AGFD", "TNFDK")
CHUNK = 100_000
"""Rows formatted at a time."""


@dataclass(frozen=True)
class Row:
    """The values of one line as JSON text, strings with their quotes; `order` is that of the fields in `_source`."""

    id: str
    contract: str
    mac: str
    seconds: str
    app: str
    order: int = 0

    def json(self) -> str:
        fields = (
            f'"Contract":{self.contract}',
            f'"Mac":{self.mac}',
            f'"TotalDuration":{self.seconds}',
            f'"AppName":{self.app}',
        )
        source = ",".join(fields[self.order :] + fields[: self.order])
        return f'{{"_index":"history","_type":"kplus","_id":{self.id},"_score":0,"_source":{{{source}}}}}'


# A fault makes bytes of a row, and of the row before it, both sound.
RARE_FAULTS: tuple[Callable[[Row, Row], bytes], ...] = (
    lambda row, _: row.json().encode()[:-40],
    lambda row, before: f"{before.json()}{row.json()}".encode(),
    lambda row, _: f"[{row.json()}]".encode(),
    lambda row, _: row.json().encode().replace(b'"kplus"', b'"k\xffplus"'),
    lambda row, _: replace(row, contract="null").json().encode(),
    lambda row, _: row.json().replace('"Contract"', '"contract"').encode(),
    lambda row, _: replace(row, seconds='"254"').json().encode(),
    lambda row, _: replace(row, seconds="254.0").json().encode(),
    lambda row, _: replace(row, seconds=str(MAX_SECONDS + 1)).json().encode(),
    lambda row, _: replace(row, app='"RADIO"').json().encode(),
    lambda row, _: replace(row, app='"BHD"').json().encode(),
    lambda row, _: replace(row, mac='"001C55007900/40"').json().encode(),
    lambda _, before: before.json().encode(),
    lambda row, _: row.json().encode() + b"\r",
    lambda row, _: row.json().encode() + b"\n \t",
)


def generate(asked: DateRange, output: Path, *, seed: int, contracts: int, rows_per_day: int) -> list[Path]:
    """Writes `output`/YYYYMMDD.json for each day of `asked`, in as many processes as there are cores."""
    output.mkdir(parents=True, exist_ok=True)
    one_day = partial(_write_day, output=output, seed=seed, contracts=contracts, rows_per_day=rows_per_day)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes:
        return list(processes.map(one_day, asked.days))


def _write_day(day: date, *, output: Path, seed: int, contracts: int, rows_per_day: int) -> Path:
    file = output / f"{day:%Y%m%d}.json"
    draft = file.with_suffix(".draft")
    with draft.open("wb") as stream:
        for chunk in day_lines(day, seed=seed, contracts=contracts, rows_per_day=rows_per_day):
            stream.write(chunk)
    return draft.rename(file)


def day_lines(day: date, *, seed: int, contracts: int, rows_per_day: int) -> Iterator[bytes]:
    """The day's file, in pieces of whole lines."""
    random = np.random.default_rng([seed, day.toordinal()])
    viewers = _viewers(random, day, seed=seed, contracts=contracts, rows_per_day=rows_per_day)
    faults = _faults_of(random, day, rows_per_day)
    for start in range(0, rows_per_day, CHUNK):
        rows = list(_rows(random, viewers[start : start + CHUNK], first_id=(day.toordinal() << 32) + start, seed=seed))
        lines = [row.json().encode() for row in rows]
        for place, fault in faults:
            if start < place < start + len(rows):
                lines[place - start] = fault(rows[place - start], rows[place - start - 1])
        yield b"\n".join(lines) + b"\n"


def _viewers(
    random: np.random.Generator, day: date, *, seed: int, contracts: int, rows_per_day: int
) -> npt.NDArray[np.int64]:
    """The contract, by number, of each row: everybody who is active today once, and some of them again."""
    habits = np.random.default_rng([seed])
    eagerness = np.sqrt(habits.random(contracts))
    away_from = np.floor(habits.random(contracts) * LIFE_DAYS)
    is_there = (day.toordinal() + away_from) % LIFE_DAYS >= AWAY_DAYS
    wanted = min(ACTIVE_PER_ROW * rows_per_day, MAX_ACTIVE_SHARE * contracts)
    chance = eagerness * is_there
    chance *= wanted / max(chance.sum(), 1)
    active = np.flatnonzero(random.random(contracts) < chance)
    if not active.size:
        active = np.arange(contracts)
    again = active[_below(random, active.size, max(rows_per_day - active.size, 0))]
    both = np.concatenate((active, again))
    return both[np.argsort(random.random(both.size), kind="stable")][:rows_per_day]


def _rows(random: np.random.Generator, viewers: npt.NDArray[np.int64], *, first_id: int, seed: int) -> Iterator[Row]:
    count = viewers.size
    favourite = (viewers * 0.6180339887498949 + seed * 0.1) % 1
    taste = np.where(random.random(count) < LOYALTY, favourite, random.random(count))
    apps = np.minimum(np.searchsorted(np.cumsum(APP_SHARES), taste, side="right"), len(APPS) - 1)
    length = random.random(count)
    seconds = np.clip(np.array(TYPICAL_SECONDS)[apps] * length / (1.02 - length), 1, MAX_SECONDS).astype(np.int64)
    is_void = random.random(count) < NOT_POSITIVE_SHARE
    void_seconds = np.where(random.random(count) < 0.8, 0, _below(random, -MIN_SECONDS + 1, count) + MIN_SECONDS)
    seconds = np.where(is_void, void_seconds, seconds)
    kind = random.random(count)
    not_codes = _below(random, len(NOT_CODES), count)
    devices = viewers * 2 + (random.random(count) < 0.06)
    orders = _below(random, 4, count)
    columns = (viewers, kind, not_codes, devices, seconds, apps, orders)
    for n, (viewer, kind_of_one, not_code, device, length_of_one, app, order) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True), start=first_id
    ):
        code = contract_code(viewer)
        if kind_of_one < NOT_CODE_SHARE:
            code = NOT_CODES[not_code]
        elif kind_of_one < NOT_CODE_SHARE + LOWER_CASE_SHARE:
            code = code.lower()
        yield Row(f'"AX_{n:016x}"', f'"{code}"', f'"{_mac(device)}"', str(length_of_one), f'"{APPS[app]}"', order)


def contract_code(number: int) -> str:
    """A customer code of its own for each number."""
    return f"{PREFIXES[number % len(PREFIXES)]}{100_000 + number // len(PREFIXES)}"


def _mac(device: int) -> str:
    return f"{device * 0x9E3779B97F4B % (1 << 48):012X}"


def _below(random: np.random.Generator, bound: int, count: int) -> npt.NDArray[np.int64]:
    return np.floor(random.random(count) * bound).astype(np.int64)


def _faults_of(
    random: np.random.Generator, day: date, rows_per_day: int
) -> list[tuple[int, Callable[[Row, Row], bytes]]]:
    """Today's share of the rare faults, each at a row of its own."""
    places = 1 + np.unique(_below(random, max(rows_per_day - 1, 1), len(RARE_FAULTS)))
    today = [fault for n, fault in enumerate(RARE_FAULTS) if (day.toordinal() + n) % 10 == 0]
    return list(zip(places.tolist(), today, strict=False))
