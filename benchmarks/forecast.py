"""Forecasts of 5,000 daily series of two years, and what the models' library takes for as many in a loop of its own.

    python benchmarks/forecast.py

Generates a shop with 4,994 products in five categories, runs the sales job, and then the forecast job: with the
categories and the total 5,000 series, each with six origins and the run's own end. Beside it, statsforecast's own
cross-validation and forecast, in one process, of some of these series, each with the models that the job tries on a
series of its kind. The library has no models of its own for two of the job's, which are made of the others. Errors of
the seasonal naive model must be equal in both before any time counts.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd

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

ALL_DAYS = Days(date(2022, 7, 1), date(2024, 6, 30))
HORIZON, ORIGINS, SEASON = 28, 6, 7
MEMORY_LIMIT_MB = 4_096
SIZES = {"products": 4_994, "customers": 20_000, "pieces_per_day": 12_000}
CATEGORIES = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; 1 where a run fails, errors differ, or the job takes more than MEMORY_LIMIT_MB."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, size in SIZES.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=size, metavar="N", help="(default: %(default)s)"
        )
    parser.add_argument("--compared", type=int, default=100, metavar="N", help="series of the loop (default: 100)")
    add_work_options(parser, driver_memory="1g")
    options = parser.parse_args(argv)
    work = new_folder(parser, options, "forecast")
    try:
        cost = _forecast(work, {name: getattr(options, name) for name in SIZES}, options.driver_memory)
        _compare(work, cost, options.compared)
    except RuntimeError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)
    print(f"\n{machine()}")
    if cost.memory > MEMORY_LIMIT_MB:
        print(f"failed: {cost.memory:,.0f} MB of memory, more than {MEMORY_LIMIT_MB:,}", file=sys.stderr)
        return 1
    return 0


def _forecast(work: Path, sizes: dict[str, int], driver_memory: str) -> Cost:
    """Makes input and star, and what the forecast job takes, which it prints."""
    log, place = work / "commands.log", work / "place.toml"
    write_place(place, driver_memory)
    of_sizes = [text for name, value in sizes.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    made = ("--output", str(work / "source"))
    measured(job_command("generate", "forecast", *ALL_DAYS.options, *of_sizes, *made), log)
    to = ("--output", str(work / "output"), "--config", str(place), "--sink", "parquet")
    star = measured(job_command("sales", *ALL_DAYS.options, "--source", str(work / "source"), *to), log)
    print("| case | series | wall s | s of CPU | CPU s a series | peak memory MB |\n|---|---:|---:|---:|---:|---:|")
    print(f"| `etl-spark sales`, before | | {star.wall:.1f} | {star.cpu:.1f} | | {star.memory:,.0f} |", flush=True)
    cost = measured(job_command("forecast", *ALL_DAYS.options, "--horizon", str(HORIZON), *to), log)
    series = sizes["products"] + CATEGORIES + 1
    _print("`etl-spark forecast`", series, cost)
    return cost


def _print(case: str, series: int, cost: Cost) -> None:
    print(
        f"| {case} | {series:,} | {cost.wall:.1f} | {cost.cpu:.1f} | {cost.cpu / series:.2f} | {cost.memory:,.0f} |",
        flush=True,
    )


def _compare(work: Path, cost: Cost, count: int) -> None:
    """What the library takes, in a loop, for products picked evenly. Raises RuntimeError where it errs otherwise."""
    from statsforecast import StatsForecast, models

    def table(name: str) -> str:
        return f"read_parquet('{quoted(work)}/output/parquet/{name}/**/*.parquet', hive_partitioning = true)"

    with duckdb.connect() as db:
        kinds = db.execute(
            "SELECT series, kind FROM (SELECT series, kind, row_number() OVER (ORDER BY series) AS place, "
            f"count(*) OVER () AS found FROM {table('forecast_backtest')} WHERE level = 'product' "
            "AND model = 'seasonal_naive' GROUP BY series, kind HAVING count(*) = ?) "
            "WHERE place % greatest(found // ?, 1) = 0 ORDER BY series LIMIT ?",
            [ORIGINS, count, count],
        ).fetchall()
        history = db.execute(
            f"SELECT series AS unique_id, period_date AS ds, quantity::DOUBLE AS y FROM {table('demand_history')} "
            "WHERE level = 'product' AND series IN (SELECT unnest(?)) AND period_date >= (SELECT min(h.period_date) "
            f"FROM {table('demand_history')} h WHERE h.level = 'product' AND h.series = unique_id AND h.quantity > 0)",
            [[series for series, _ in kinds]],
        ).df()
        errors = dict(
            db.execute(
                f"SELECT series, sum(absolute_error)::DOUBLE FROM {table('forecast_backtest')} "
                "WHERE level = 'product' AND model = 'seasonal_naive' GROUP BY series"
            ).fetchall()
        )
    naive = models.SeasonalNaive(season_length=SEASON)
    tried = {
        "regular": [
            naive,
            models.OptimizedTheta(season_length=SEASON),
            models.AutoETS(season_length=SEASON, model="AZA"),
            models.AutoARIMA(season_length=SEASON, approximation=True, max_p=2, max_q=2, max_P=1, max_Q=1, nmodels=10),
        ],
        "intermittent": [naive, models.CrostonSBA(), models.TSB(0.1, 0.1)],
    }
    for kind, of_kind in tried.items():
        names = [series for series, found in kinds if found == kind]
        rows = history[history["unique_id"].isin(names)]
        if rows.empty:
            continue
        began, used = time.monotonic(), time.process_time()
        loop = StatsForecast(models=of_kind, freq="D", n_jobs=1)
        level: list[int] | None = [80, 95] if kind == "regular" else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tested = loop.cross_validation(
                df=rows, h=HORIZON, n_windows=ORIGINS, step_size=HORIZON, refit=True, level=level
            )
            loop.forecast(df=rows, h=HORIZON, level=level)
        took = Cost(time.monotonic() - began, time.process_time() - used, 0)
        _assert_equal(tested, errors)
        print(
            f"| statsforecast's own loop, {kind} series | {len(names)} | {took.wall:.1f} | {took.cpu:.1f} "
            f"| {took.cpu / len(names):.2f} | |",
            flush=True,
        )


def _assert_equal(tested: pd.DataFrame, errors: dict[str, float]) -> None:
    found = (tested["SeasonalNaive"] - tested["y"]).abs().groupby(tested["unique_id"]).sum()
    differing = [series for series, error in found.items() if abs(error - errors[str(series)]) > 0.001]
    if differing:
        raise RuntimeError(f"the seasonal naive model errs otherwise on {', '.join(map(str, differing[:5]))}")


if __name__ == "__main__":
    sys.exit(main())
