"""Pagila in a real PostgreSQL: its rentals, payments and money in the facts and by category; no password anywhere."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest

from etl_spark.cli import main
from tests.databases import Server
from tests.leaks import written_in


@pytest.fixture(scope="module")
def output(databases: Mapping[str, Server], real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run over the year of all rentals and payments, from the database."""
    place = tmp_path_factory.mktemp("pagila")
    server = databases["postgresql"]
    server.create("pagila")
    server.run("\\i load.sql", "pagila", folder=real_data / "pagila")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.login("rental").items():
            patch.setenv(name, value)
        days = ["--start-date", "2022-01-01", "--end-date", "2022-12-31"]
        assert main(["rental", *days, "--source", server.url("pagila"), "--output", str(place)]) == 0
    return place


@pytest.fixture(scope="module")
def sql(output: Path, real_data: Path) -> duckdb.DuckDBPyConnection:
    """The files of Pagila as DuckDB reads them, and the results."""
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'")
    for name in ("rental", "payment", "film", "inventory", "film_category", "category"):
        connection.execute(f"CREATE VIEW src_{name} AS FROM read_csv('{real_data}/pagila/{name}.csv')")
    for folder in (output / "parquet").iterdir():
        files = f"'{folder}/**/*.parquet', hive_partitioning = true"
        connection.execute(f"CREATE VIEW {folder.name} AS FROM read_parquet({files})")
    return connection


def test_rentals_payments_and_money(sql: duckdb.DuckDBPyConnection, figures: list[str]) -> None:
    queries = {
        "rentals": ("SELECT count(*) FROM src_rental", "SELECT count(*) FROM fact_rental"),
        "payments": ("SELECT count(*) FROM src_payment", "SELECT count(*) FROM fact_payment"),
        "money": ("SELECT sum(amount::DECIMAL(18, 4)) FROM src_payment", "SELECT sum(amount) FROM fact_payment"),
        "money of rentals": (
            "SELECT sum(amount::DECIMAL(18, 4)) FROM src_payment JOIN src_rental USING (rental_id)",
            "SELECT sum(amount_paid) FROM fact_rental",
        ),
        "revenue by category": (
            "SELECT sum(amount::DECIMAL(18, 4)) FROM src_payment",
            "SELECT sum(revenue) FROM rental_revenue",
        ),
        "money by weights": (
            "SELECT sum(amount::DECIMAL(18, 4)) FROM src_payment",
            "SELECT sum(amount * weight)::DECIMAL(18, 4) FROM fact_payment JOIN bridge_film_category USING (film_key)",
        ),
        "films out": (
            "SELECT count(*) FROM src_rental WHERE return_date IS NULL",
            "SELECT count(*) FROM open_rental",
        ),
        "paid before": (
            "SELECT count(*) FROM src_payment p JOIN src_rental r USING (rental_id) WHERE payment_date < rental_date",
            "SELECT count_if(is_before_rental) FROM fact_payment",
        ),
        "paid by others": (
            "SELECT count(*) FROM src_payment p JOIN src_rental r USING (rental_id)"
            " WHERE p.customer_id <> r.customer_id",
            "SELECT count_if(is_by_other_customer) FROM fact_payment",
        ),
        "category links": (
            "SELECT count(*) FROM src_film_category",
            "SELECT count(*) FROM bridge_film_category WHERE category_id <> '(unknown)'",
        ),
    }
    for what, (theirs, ours) in queries.items():
        expected, found = sql.execute(theirs).fetchone(), sql.execute(ours).fetchone()
        assert expected == found, what
        figures.append(f"pagila: {what}: {found[0] if found else None}")


def test_revenue_of_each_category(sql: duckdb.DuckDBPyConnection) -> None:
    found = sql.execute("SELECT category, sum(revenue) FROM rental_revenue GROUP BY ALL ORDER BY ALL").fetchall()
    expected = sql.execute(
        """
        WITH links AS (SELECT film_id, category_id, count(*) OVER (PARTITION BY film_id) AS n FROM src_film_category)
        SELECT name, sum(amount / n) FROM src_payment JOIN src_rental USING (rental_id)
        JOIN src_inventory USING (inventory_id)
        JOIN links USING (film_id) JOIN src_category USING (category_id) GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert max(abs(float(ours) - theirs) for (_, ours), (_, theirs) in zip(found, expected, strict=True)) < 0.01


def test_no_password_is_anywhere(output: Path, real_data: Path) -> None:
    with (real_data / "pagila" / "staff.csv").open(newline="", encoding="utf-8") as stream:
        staff = list(csv.DictReader(stream))
    secrets = {row["password"] for row in staff} | {row["username"] for row in staff}
    assert len(secrets) > 100
    assert written_in(output, secrets) == set()
