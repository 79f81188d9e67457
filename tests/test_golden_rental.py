"""The rental sample end to end: committed results on both Spark lines, the same by DuckDB, and nothing secret in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main
from etl_spark.core.table import Table
from etl_spark.pipelines.rental.extracts import EXTRACTS
from etl_spark.pipelines.rental.pipeline import RENTAL
from tests import committed
from tests.committed import (
    DAYS,
    RANGE,
    SampleRun,
    assert_committed,
    assert_csv_holds_the_same,
    assert_rejected,
    exported,
    golden,
    run_sample,
)
from tests.leaks import written_in
from tests.pipelines.rental.film_database import csv_rows
from tests.places import SAMPLE
from tests.published import SINKS, Published

GOLDEN = golden("rental")
EXPORTED = committed.EXPORTED["rental"]


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    return run_sample("rental", tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def output(run: SampleRun) -> Path:
    return run.output


@pytest.mark.default_spark
def test_a_cluster_makes_it(run: SampleRun) -> None:
    run.assert_by_cluster()


@pytest.fixture(scope="module")
def sql(output: Path) -> duckdb.DuckDBPyConnection:
    """The sound rows of the sample, and a view of each exported table."""
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'")
    source = f"'{SAMPLE / 'rental'}'"
    connection.execute((GOLDEN / "source.sql").read_text().replace("$source", source))
    for name, table in EXPORTED.items():
        connection.execute(f"CREATE VIEW {name} AS {exported(output, table, 'parquet')}")
    return connection


@pytest.mark.parametrize("table", EXPORTED.values(), ids=EXPORTED)
def test_the_exports_are_the_committed_ones(output: Path, table: Table) -> None:
    assert_committed(output, "rental", table)


@pytest.mark.default_spark
@pytest.mark.parametrize("table", EXPORTED.values(), ids=EXPORTED)
def test_csv_and_parquet_hold_the_same(output: Path, table: Table) -> None:
    assert_csv_holds_the_same(output, "rental", table)


@pytest.mark.default_spark
@pytest.mark.parametrize("sink", SINKS)
def test_a_warehouse_holds_the_same(
    sink: str, output: Path, published: Mapping[str, Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Once: twice is shown by the viewing job in a fraction of the time.
    published[sink].assert_holds_the_same(RENTAL, DAYS["rental"], output, monkeypatch, times=1)


MEMBERS = """
    JOIN dim_rental_customer USING (customer_key)
    JOIN dim_film USING (film_key)
    JOIN dim_store ON dim_store.store_key = fact.store_key
    JOIN dim_staff ON dim_staff.staff_key = fact.staff_key
"""
NATURAL_KEYS = "customer_id, film_id, dim_store.store_id, staff_id"


def test_each_rental_is_what_duckdb_works_out(sql: duckdb.DuckDBPyConnection) -> None:
    found = sql.execute(
        f"""
        SELECT rental_date, rental_id, {NATURAL_KEYS}, rented_at, returned_at, due_date, is_returned, days_out,
            days_late, amount_paid, payment_count
        FROM fact_rental AS fact {MEMBERS} ORDER BY ALL
        """
    ).fetchall()
    assert len(found) > 1_000
    assert found == sql.execute((GOLDEN / "fact_rental.sql").read_text()).fetchall()


def test_each_payment_is_what_duckdb_works_out(sql: duckdb.DuckDBPyConnection) -> None:
    found = sql.execute(
        f"""
        SELECT payment_date, payment_id, rental_id, {NATURAL_KEYS}, paid_at, amount, is_without_rental,
            is_before_rental, is_by_other_customer
        FROM fact_payment AS fact {MEMBERS} ORDER BY ALL
        """
    ).fetchall()
    assert found == sql.execute((GOLDEN / "fact_payment.sql").read_text()).fetchall()
    assert {flags for row in found for flags in [row[-3:]] if any(flags)} >= {
        (True, False, False),
        (False, True, False),
        (False, False, True),
    }


def test_revenue_is_what_duckdb_works_out_and_adds_up_to_the_cent(sql: duckdb.DuckDBPyConnection) -> None:
    found = sql.execute(
        "SELECT month, store_id, category_id, country, revenue FROM rental_revenue ORDER BY ALL"
    ).fetchall()
    expected = sql.execute((GOLDEN / "rental_revenue.sql").read_text()).fetchall()
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[:-1] == theirs[:-1]
        assert abs(float(ours[-1]) - theirs[-1]) <= 0.0001
    by_category, booked = (
        sql.execute(f"SELECT sum({what}) FROM {table}").fetchone()
        for what, table in (("revenue", "rental_revenue"), ("amount", "fact_payment"))
    )
    naive = sql.execute("SELECT sum(amount) FROM fact_payment JOIN bridge_film_category USING (film_key)").fetchone()
    assert by_category == booked
    assert naive and booked and naive[0] > booked[0]


def test_films_that_are_out_and_the_use_of_copies(sql: duckdb.DuckDBPyConnection) -> None:
    out = sql.execute("SELECT rental_id, days_overdue FROM open_rental ORDER BY ALL").fetchall()
    assert (
        out
        == sql.execute(
            """
        SELECT rental_id, greatest(0, DATE '2022-12-31' - due_date) FROM fact_rental
        WHERE returned_at IS NULL ORDER BY ALL
        """
        ).fetchall()
    )
    assert len(out) > 5
    used = sql.execute(
        "SELECT film_id, copy_count, rental_count, days_out FROM film_utilisation ORDER BY ALL"
    ).fetchall()
    assert (
        used
        == sql.execute(
            """
        WITH stock AS (SELECT film_id, count(*) AS copies FROM copy GROUP BY ALL), taken AS (
            SELECT coalesce(film_id, '(unknown)') AS film_id, count(*) AS n,
                sum(least(coalesce(returned_at::DATE, DATE '2023-01-01'), DATE '2023-01-01') - rented_at::DATE) AS days
            FROM rental LEFT JOIN copy USING (inventory_id) GROUP BY ALL
        )
        SELECT film_id, coalesce(copies, 0), coalesce(n, 0), coalesce(days, 0)::BIGINT
        FROM stock FULL JOIN taken USING (film_id) ORDER BY ALL
        """
        ).fetchall()
    )


def test_every_row_and_cent_is_accounted_for(output: Path) -> None:
    (file,) = (output / "_runs").glob("rental-*.json")
    total = json.loads(file.read_text())["total"]
    lines = sum(len(csv_rows(SAMPLE / "rental" / f"{extract.name}.csv")) for extract in EXTRACTS)
    assert total["rows_in"] == total["rows_accepted"] + total["rows_rejected"] == lines
    assert Decimal(total["money_in"]) == Decimal(total["money_accepted"]) + Decimal(total["money_rejected"])
    assert total["flagged"].keys() == {"inventory_not_found", "staff_not_found"}


@pytest.mark.default_spark
def test_the_films_taken_have_forecasts_by_category_and_store(
    spark: SparkSession, sql: duckdb.DuckDBPyConnection, output: Path, tmp_path: Path
) -> None:
    """Of a copy of the lake; the films taken on a day are those of the facts, and no order is suggested of them."""
    copy, place = tmp_path / "copy", tmp_path / "films.toml"
    for folder in ("lake", "_runs"):
        shutil.copytree(output / folder, copy / folder)
    place.write_text('[forecast]\nseries = "film_category"\norigins = 4\nhorizon = 7\n', encoding="utf-8")
    to = ("--output", str(copy), "--sink", "parquet", "--config", str(place))
    assert main(["forecast", *RANGE["rental"], *to]) == 0

    def table(name: str) -> str:
        return f"read_parquet('{copy}/parquet/{name}/**/*.parquet', hive_partitioning = true)"

    taken = f"SELECT period_date, quantity::INT FROM {table('demand_history')} WHERE level = 'total' AND quantity > 0"
    facts = "SELECT rental_date, count(*)::INT FROM fact_rental GROUP BY ALL"
    assert sql.execute(f"({taken}) EXCEPT ({facts})").fetchall() == []
    assert sql.execute(f"({facts}) EXCEPT ({taken})").fetchall() == []
    levels = f"SELECT level, sum(quantity)::DOUBLE FROM {table('demand_forecast')} GROUP BY level ORDER BY level"
    found = dict(sql.execute(levels).fetchall())
    assert found.keys() == {"film_category", "store", "total"}
    assert len(set(found.values())) == 1
    assert found["total"] > 0
    assert not (copy / "parquet" / "replenishment").exists() or sql.execute(
        f"SELECT count(*) FROM {table('replenishment')}"
    ).fetchone() == (0,)


def test_what_is_rejected_is_kept(spark: SparkSession, output: Path) -> None:
    assert_rejected(spark, "rental", str(output))


def test_no_login_and_no_picture_is_anywhere(spark: SparkSession, output: Path) -> None:
    staff = csv_rows(SAMPLE / "rental" / "staff.csv")
    secrets = {text for row in staff for text in (row["username"], row["password"], row["picture"]) if text}
    # A picture would be shown by its bytes, or by the text that stands in the file.
    secrets |= {text.removeprefix("\\x") for text in secrets}
    words = {row["email"].partition("@")[0] for row in staff if row["email"]}
    secrets -= words
    assert any(len(secret) == 40 for secret in secrets)
    assert written_in(output, secrets) == set()
    columns = {
        field for place in (output / "lake").iterdir() for field in spark.read.format("delta").load(str(place)).columns
    }
    assert not columns & {"username", "password", "picture"}
