"""The jobs that make a star: any schedule of ranges ends in the same tables, and so does any source."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark import config
from etl_spark.cli import main
from etl_spark.core.dates import DateRange
from etl_spark.core.request import Request
from etl_spark.core.settings import ExtractSettings
from etl_spark.core.step import Extracts, Pipeline
from etl_spark.core.table import Table
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.calendar.dim_date import DIM_DATE
from etl_spark.pipelines.rental import generate as rental
from etl_spark.pipelines.rental.dimensions import feature_names
from etl_spark.pipelines.rental.extracts import FILM, RAW
from etl_spark.pipelines.rental.pipeline import RENTAL
from etl_spark.pipelines.sales import generate as sales
from etl_spark.pipelines.sales.pipeline import SALES
from etl_spark.sources.relational import ExtractSource
from tests.databases import mariadb, psql

pytestmark = pytest.mark.default_spark

FIRST = date(2024, 1, 1)
LENGTH = 6
DAYS = DateRange(FIRST, FIRST + timedelta(LENGTH - 1))


def run(pipeline: Pipeline, days: DateRange, source: Path, output: Path) -> None:
    given_days = ["--start-date", str(days.start), "--end-date", str(days.end)]
    # A day alone is little beside the faults of the whole source.
    place = source.parent / "any_share.toml"
    place.write_text(f"[{pipeline.name}]\nmax_rejected_share = 1.0\n")
    given_places = ["--source", str(source), "--config", str(place), "--output", str(output), "--sink", "csv"]
    assert main([pipeline.name, *given_days, *given_places]) == 0


def star(pipeline: Pipeline, output: Path, covered: frozenset[date] | None = None) -> dict[str, list[str]]:
    """All that the star's tables hold of `covered` days, or of all, whatever the extract they are of."""
    spark, found = SparkSession.active(), {}
    for table in pipeline.tables:
        if table.name.startswith(("dim_", "bridge_", "fact_")):
            rows = spark.read.format("delta").load(str(output / "lake" / table.name)).drop("extract_date").collect()
            day = table.replaces[0] if table.replaces else None
            found[table.name] = sorted(str(row) for row in rows if not covered or not day or row[day] in covered)
    return found


def dated_source(pipeline: Pipeline, source: Path) -> Path:
    """Two extracts: one made half-way, when later days are not there and films not yet back, and one at the end."""
    for end in (FIRST + timedelta(LENGTH // 2), DAYS.end):
        folder, days = source / f"dt={end}", DateRange(FIRST, end)
        if pipeline is SALES:
            sales.generate(days, folder, seed=7, customers=40, products=20, orders_per_day=4)
        else:
            rental.generate(days, folder, seed=7, films=12, customers=15, rentals_per_day=12)
    return source


@pytest.fixture(scope="module")
def rebuilt(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A source of two extracts, and the output of one run of the sales job over all of its days."""
    place = tmp_path_factory.mktemp("rebuilt")
    source = dated_source(SALES, place / "source")
    run(SALES, DAYS, source, place / "output")
    return source, place / "output"


RANGES = st.tuples(st.integers(0, LENGTH - 1), st.integers(0, LENGTH - 1)).map(
    lambda ends: DateRange(FIRST + timedelta(min(ends)), FIRST + timedelta(max(ends)))
)
TRIALS = count()


few = settings(
    max_examples=int(os.environ.get("ETL_SPARK_SCHEDULES", "1")),
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


@few
@given(schedule=st.lists(RANGES, min_size=2, max_size=3))
def test_any_schedule_of_ranges_ends_as_one_run_would(rebuilt: tuple[Path, Path], schedule: list[DateRange]) -> None:
    source, whole = rebuilt
    output = whole.parent / f"trial{next(TRIALS)}"
    for days in schedule:
        run(SALES, days, source, output)
    covered = frozenset(day for days in schedule for day in days.days)
    assert star(SALES, output, covered) == star(SALES, whole, covered), schedule
    assert set(days_of("fact_sales", output)) <= covered


@pytest.fixture(scope="module")
def films(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Row]]]:
    """A source of two extracts, and what the rental job makes of all of its days."""
    source = dated_source(RENTAL, tmp_path_factory.mktemp("films"))
    return source, rental_star(spark, source, DAYS)


@few
@given(schedule=st.lists(RANGES, min_size=1, max_size=2))
def test_a_day_of_rentals_and_payments_is_the_same_in_any_range(
    spark: SparkSession, films: tuple[Path, dict[str, list[Row]]], schedule: list[DateRange]
) -> None:
    """How ranges replace days is the same for all jobs; what a day holds must not depend on the days around it."""
    source, whole = films
    assert any(row.payment_count > 1 for row in whole["fact_rental"])
    for days in schedule:
        expected = {
            name: [row for row in rows if not name.startswith("fact_") or row[0] in days.days]
            for name, rows in whole.items()
        }
        assert rental_star(spark, source, days) == expected, days


def days_of(fact: str, output: Path) -> Iterator[date]:
    for folder in (output / "csv" / fact).iterdir():
        yield date.fromisoformat(folder.name.partition("=")[2])


def raw_films(spark: SparkSession, source: str, days: DateRange) -> dict[Table, DataFrame]:
    """What the rental job keeps raw of `source`: all that it makes is made of this."""
    job = config.load("rental", RENTAL.settings, pipelines=PIPELINES, source=source).settings
    assert isinstance(job, ExtractSettings) and isinstance(RENTAL.source, Extracts)
    reader = ExtractSource(spark, RENTAL.name, RENTAL.source, job, Request("test", days, output="", sinks=()))
    reader.plan(())
    step = RENTAL.steps[0]
    values = {"asked": days, "extract_dates": reader.extract_dates, "date_formats": job.date_formats}
    frames = step.transform(*map(reader.read, step.inputs), **values)
    return dict(zip(step.outputs, frames, strict=True))


def rental_star(spark: SparkSession, source: Path, days: DateRange) -> dict[str, list[Row]]:
    """The rows of the facts, and of what they have keys of, without the lake between the steps."""
    made = raw_films(spark, str(source), days)
    tables = {table.name: table for step in RENTAL.steps for table in step.outputs}
    for step in RENTAL.steps[1:]:
        (output,) = step.outputs
        if output.name.startswith(("dim_", "bridge_", "fact_")) and output != DIM_DATE:
            made[output] = output.conform(step.transform(*(made[tables[one.of]] for one in step.inputs)))
    found = {
        table.name: df.orderBy(*table.grain).collect()
        for table, df in made.items()
        if table.name.startswith(("dim_", "fact_"))
    }
    spark.catalog.clearCache()
    return found


def comparable(raw: Mapping[Table, DataFrame]) -> dict[str, list[str]]:
    """All of the raw tables but for what the two shapes of the database write in two ways."""
    features = raw[RAW[FILM]].select("film_id", feature_names("special_features"))
    # A newer column, null in the older shape, where `active` says the same.
    rows = {table.name: raw[table].drop("activebool", "special_features") for table in RAW.values()}
    return {name: sorted(map(str, df.collect())) for name, df in {**rows, "features": features}.items()}


def test_a_film_database_gives_the_same_rows_from_csv_postgresql_and_mariadb(
    spark: SparkSession, databases: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "films"
    rental.generate(DAYS, source, seed=11, films=12, customers=8, rentals_per_day=5)
    leave_out_what_sql_does_not_hold(source)
    expected = comparable(raw_films(spark, str(source), DAYS))
    assert len(expected["raw_rental_rental"]) > 20
    psql(databases, "CREATE DATABASE films", "etl")
    psql(databases, (source / "postgresql.sql").read_text(), "films")
    mariadb(databases, "CREATE DATABASE films CHARACTER SET utf8mb4", "")
    mariadb(databases, (source / "mariadb.sql").read_text(), "films")
    for kind in ("postgresql", "mariadb"):
        host, port, user, password = (
            databases[f"ETL_SPARK_{kind.upper()}_{part}"] for part in ("HOST", "PORT", "USER", "PASSWORD")
        )
        monkeypatch.setenv("ETL_SPARK_RENTAL_USER", user)
        monkeypatch.setenv("ETL_SPARK_RENTAL_PASSWORD", password)
        spark.catalog.clearCache()
        assert comparable(raw_films(spark, f"jdbc:{kind}://{host}:{port}/films", DAYS)) == expected


def leave_out_what_sql_does_not_hold(source: Path) -> None:
    """The faults that a typed column or a key refuses stand, with all others, at the end of the CSV files."""
    for table in {fault.table for fault in rental.FAULTS}:
        faults = [fault for fault in rental.FAULTS if fault.table == table]
        with (source / f"{table}.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
        sound, faulty = rows[: -len(faults)], rows[-len(faults) :]
        kept = [row for row, fault in zip(faulty, faults, strict=True) if fault.in_sql]
        with (source / f"{table}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows([*sound, *kept])
