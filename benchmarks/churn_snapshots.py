"""The churn job over millions of events of 200,000 customers: what a snapshot costs, early and late in their history.

    python benchmarks/churn_snapshots.py

Generates a shop, runs the jobs that the churn job stands on, and then the churn job month by month: the first month
reads the 90 days before it as well, each later one its own days alone. Last the three months together, whose days are
all known. The cost of a snapshot must not grow with history, and all processes of the job together must stay within
4 GB. Every customer of a snapshot is counted once more, from the star's facts, by DuckDB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

# A script has its own folder on its path, and not the one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import (
    Cost,
    Days,
    add_work_options,
    job_command,
    machine,
    measured,
    new_folder,
    quoted,
    write_place,
)

MEMORY_LIMIT_MB = 4_096
ALL_DAYS = Days(date(2024, 1, 1), date(2024, 7, 31))
MONTHS = {
    "April, from nothing": Days(date(2024, 4, 1), date(2024, 4, 30)),
    "May": Days(date(2024, 5, 1), date(2024, 5, 31)),
    "June": Days(date(2024, 6, 1), date(2024, 6, 30)),
    "April to June, all days known": Days(date(2024, 4, 1), date(2024, 6, 30)),
}
SIZES = {
    "customers": 200_000,
    "products": 2_000,
    "orders_per_day": 2_000,
    "visits_per_day": 8_000,
    "posts_per_day": 600,
}
DATASETS = "churn_training, churn_scoring, churn_dataset"


@dataclass(frozen=True)
class Shop:
    """The folder of a benchmark: input, configuration and output."""

    work: Path

    @property
    def output(self) -> Path:
        return self.work / "output"

    def run(self, *arguments: str) -> Cost:
        return measured(job_command(*arguments), self.work / "commands.log")

    def job(self, *arguments: str, source: str = "") -> Cost:
        places = ("--output", str(self.output), "--config", str(self.work / "place.toml"))
        return self.run(*arguments, "--source", str(self.work / "source" / source), *places)

    def generate(self, sizes: dict[str, int]) -> str:
        """Makes the input; how much there is of it."""
        options = [text for name, value in sizes.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        source = self.work / "source"
        self.run("generate", "churn", *ALL_DAYS.options, *options, "--output", str(source))
        lines = sum(file.read_bytes().count(b"\n") for file in (source / "web").iterdir())
        size = sum(file.stat().st_size for file in source.rglob("*") if file.is_file())
        return f"{sizes['customers']:,} customers, {lines:,} lines of web logs, {size / 1e6:,.0f} MB in all"

    def last_record(self) -> dict[str, Any]:
        record = max((self.output / "_runs").glob("churn-*.json"), key=lambda file: file.name)
        found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        return found

    def snapshots(self, days: Days) -> int:
        """How many there are in `days`. Raises RuntimeError where one has not the customers that the facts tell."""
        facts = f"read_parquet('{quoted(self.output)}/parquet/fact_sales/*/*.parquet', hive_partitioning = true)"
        made = f"read_parquet('{quoted(self.output)}/parquet/churn_training/*/*.parquet', hive_partitioning = true)"
        between = f"BETWEEN DATE '{days.start}' AND DATE '{days.end}'"
        with duckdb.connect() as db:
            found = db.execute(f"SELECT snapshot_date, count(*) FROM {made} WHERE snapshot_date {between} GROUP BY ALL")
            counts = dict(found.fetchall())
            for snapshot, count in counts.items():
                (expected,) = db.execute(
                    f"SELECT count(DISTINCT customer_key) FROM {facts} WHERE quantity_sold > 0 AND customer_key <> -1 "
                    f"AND order_date BETWEEN DATE '{snapshot}' - 90 AND DATE '{snapshot}' - 1"
                ).fetchone() or (0,)
                if count != expected:
                    raise RuntimeError(f"{snapshot} has {count:,} customers, and {expected:,} bought")
        return len(counts)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; 1 where a run fails, a snapshot is wrong, or the job takes more than MEMORY_LIMIT_MB."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, size in SIZES.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=size, metavar="N", help=f"(default: {size:,})")
    add_work_options(parser)
    options = parser.parse_args(argv)
    work = new_folder(parser, options, "churn_snapshots")
    shop = Shop(work)
    try:
        print(shop.generate({name: getattr(options, name) for name in SIZES}), flush=True)
        write_place(work / "place.toml", options.driver_memory)
        before = {
            "sales, all seven months": shop.job("sales", *ALL_DAYS.options, source="sales"),
            "stream social --once": shop.job("stream", "social", "--once", source="social"),
        }
        print("| case | days of logs read | snapshots | wall s | s a snapshot | CPU s | peak memory MB |")
        print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
        for case, cost in before.items():
            print(f"| {case} | | | {cost.wall:.1f} | | {cost.cpu:.1f} | {cost.memory:,.0f} |", flush=True)
        costs = [_month(shop, case, days) for case, days in MONTHS.items()]
    except RuntimeError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)
    print(f"\n{machine()}")
    most = max(cost.memory for cost in costs)
    if most > MEMORY_LIMIT_MB:
        print(f"failed: {most:,.0f} MB of memory, more than {MEMORY_LIMIT_MB:,}", file=sys.stderr)
        return 1
    return 0


def _month(shop: Shop, case: str, days: Days) -> Cost:
    """Runs the churn job over `days`, and prints what it took."""
    cost = shop.job("churn", *days.options)
    record, snapshots = shop.last_record(), shop.snapshots(days)
    each = record["times"][DATASETS] / snapshots
    print(
        f"| {case} | {len(record['days_read'])} | {snapshots} | {cost.wall:.1f} | {each:.1f} | {cost.cpu:.1f} "
        f"| {cost.memory:,.0f} |",
        flush=True,
    )
    return cost


if __name__ == "__main__":
    sys.exit(main())
