"""The rental job: a day is the same in any range, and its rows are the same from any source."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark import config
from etl_spark.core.dates import DateRange
from etl_spark.core.request import Request
from etl_spark.core.settings import ExtractSettings
from etl_spark.core.step import Extracts
from etl_spark.core.table import Table
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.calendar.dim_date import DIM_DATE
from etl_spark.pipelines.rental.dimensions import feature_names
from etl_spark.pipelines.rental.extracts import FILM, RAW
from etl_spark.pipelines.rental.generate import FAULTS, generate
from etl_spark.pipelines.rental.pipeline import RENTAL
from etl_spark.sources.relational import ExtractSource
from tests.databases import Server
from tests.strategies import few_examples, ranges

pytestmark = pytest.mark.default_spark

DAYS = DateRange(date(2024, 1, 1), date(2024, 1, 6))
HALF_WAY = date(2024, 1, 4)
DAY_OF = {table.name: table.replaces[0] for table in RENTAL.tables if table.name.startswith("fact_")}


@pytest.fixture(scope="module")
def films(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Row]]]:
    """Two extracts, one made when later days are not there and films not yet back; and what is made of all days."""
    source = tmp_path_factory.mktemp("films")
    for end in (HALF_WAY, DAYS.end):
        days = DateRange(DAYS.start, end)
        generate(days, source / f"dt={end}", seed=7, films=12, customers=15, rentals_per_day=12)
    return source, rental_star(spark, source, DAYS)


@few_examples
@given(schedule=st.lists(ranges(DAYS), min_size=1, max_size=2))
def test_a_day_of_rentals_and_payments_is_the_same_in_any_range(
    spark: SparkSession, films: tuple[Path, dict[str, list[Row]]], schedule: list[DateRange]
) -> None:
    """How ranges replace days is the same for all jobs; what a day holds must not depend on the days around it."""
    source, whole = films
    assert any(row.payment_count > 1 for row in whole["fact_rental"])
    for days in schedule:
        expected = {
            name: [row for row in rows if name not in DAY_OF or row[DAY_OF[name]] in days.days]
            for name, rows in whole.items()
        }
        assert rental_star(spark, source, days) == expected, days


def raw_films(spark: SparkSession, source: str, days: DateRange) -> dict[Table, DataFrame]:
    """What the rental job keeps raw of `source`: all that it makes is made of this."""
    loaded = config.load("rental", RENTAL.settings, pipelines=PIPELINES, source=source)
    job, (intake,) = loaded.settings, RENTAL.intakes
    assert isinstance(job, ExtractSettings) and isinstance(intake.source, Extracts)
    request = Request("test", days, output="", sinks=())
    reader = ExtractSource(spark, intake.source, job, request, login=lambda: loaded.credentials("rental"))
    reader.plan(())
    step = intake.step
    values = {"asked": days, "extract_dates": reader.extract_dates, "date_formats": job.date_formats}
    frames = step.transform(*map(reader.read, step.inputs), **values)
    return dict(zip(step.outputs, frames, strict=True))


def rental_star(spark: SparkSession, source: Path, days: DateRange) -> dict[str, list[Row]]:
    """The rows of the facts, and of what they have keys of.

    Between the steps is memory where a run has the lake: without either, each table would be made of files anew.
    """
    made = {table: df.cache() for table, df in raw_films(spark, str(source), days).items()}
    tables = {table.name: table for table in RENTAL.tables}
    for step in RENTAL.steps:
        (output,) = step.outputs
        if output.name.startswith(("dim_", "bridge_", "fact_")) and output != DIM_DATE:
            made[output] = output.conform(step.transform(*(made[tables[one.of]] for one in step.inputs))).cache()
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
    spark: SparkSession, databases: Mapping[str, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "films"
    generate(DAYS, source, seed=11, films=12, customers=8, rentals_per_day=5)
    leave_out_what_sql_does_not_hold(source)
    expected = comparable(raw_films(spark, str(source), DAYS))
    assert len(expected["raw_rental_rental"]) > 20
    for server in (databases["postgresql"], databases["mariadb"]):
        server.create("films")
        server.run((source / f"{server.kind}.sql").read_text(), "films")
        for name, value in server.login("rental").items():
            monkeypatch.setenv(name, value)
        spark.catalog.clearCache()
        assert comparable(raw_films(spark, server.url("films"), DAYS)) == expected


def leave_out_what_sql_does_not_hold(source: Path) -> None:
    """The faults that a typed column or a key refuses stand, with all others, at the end of the CSV files."""
    for table in {fault.table for fault in FAULTS}:
        faults = [fault for fault in FAULTS if fault.table == table]
        with (source / f"{table}.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
        sound, faulty = rows[: -len(faults)], rows[-len(faults) :]
        kept = [row for row, fault in zip(faulty, faults, strict=True) if fault.in_sql]
        with (source / f"{table}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows([*sound, *kept])
