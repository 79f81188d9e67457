"""Whole runs of the sales job: any order of ranges ends in the same tables, and any source of the same rows does."""

from __future__ import annotations

import csv
from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import date
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from etl_spark.cli import main
from etl_spark.core.dates import DateRange
from etl_spark.core.table import Table
from etl_spark.pipelines.sales.generate import generate
from etl_spark.pipelines.sales.pipeline import SALES
from tests.databases import Server
from tests.short_jobs import extracts_alone, star_alone
from tests.strategies import few_examples, ranges

pytestmark = pytest.mark.default_spark

STAR = [table for table in SALES.tables if table.name.startswith(("dim_", "fact_"))]
JANUARY = DateRange(date(2024, 1, 29), date(2024, 1, 31))
FEBRUARY = DateRange(date(2024, 2, 1), date(2024, 2, 2))
NEW_YEAR = DateRange(date(2024, 1, 1), date(2024, 1, 6))
HALF_WAY = date(2024, 1, 4)
TRIALS = count()


@pytest.fixture
def _extracts_alone() -> Iterator[None]:
    """What is kept raw of the source will do, for the star is made of that alone."""
    with extracts_alone():
        yield


def sell(days: DateRange, source: Path | str, output: Path, *options: str) -> int:
    """The exit code of a run of the sales job."""
    given = ["--start-date", str(days.start), "--end-date", str(days.end), "--source", str(source), "--sink", "csv"]
    return main(["sales", *given, "--output", str(output), *options])


def held(output: Path, days: Container[date] | None = None, tables: Sequence[Table] = STAR) -> dict[str, list[str]]:
    """All that the star's tables, or others, hold of `days`, or of all, whatever the extract they are of."""
    spark, found = SparkSession.active(), {}
    for table in tables:
        rows = spark.read.format("delta").load(str(output / "lake" / table.name)).drop("extract_date").collect()
        of_days = [row for row in rows if not days or not table.replaces or row[table.replaces[0]] in days]
        found[table.name] = sorted(map(str, of_days))
    return found


@pytest.fixture(scope="module", autouse=True)
def _star_alone() -> Iterator[None]:
    with star_alone():
        yield


@pytest.fixture(scope="module")
def rebuilt(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two extracts, one made when later days are not there; and the output of one run over all days."""
    place = tmp_path_factory.mktemp("rebuilt")
    for end in (HALF_WAY, NEW_YEAR.end):
        days = DateRange(NEW_YEAR.start, end)
        generate(days, place / "source" / f"dt={end}", seed=7, customers=40, products=20, orders_per_day=4)
    # A day alone is little beside the faults of the whole source.
    (place / "any_share.toml").write_text("[sales]\nmax_rejected_share = 1.0\n")
    assert sell(NEW_YEAR, place / "source", place / "whole", "--config", str(place / "any_share.toml")) == 0
    return place / "source", place / "whole"


@few_examples
@given(schedule=st.lists(ranges(NEW_YEAR), min_size=2, max_size=3))
def test_any_schedule_of_ranges_ends_as_one_run_would(rebuilt: tuple[Path, Path], schedule: list[DateRange]) -> None:
    source, whole = rebuilt
    output, settings = whole.parent / f"trial{next(TRIALS)}", whole.parent / "any_share.toml"
    for days in schedule:
        assert sell(days, source, output, "--config", str(settings)) == 0
    covered = {day for days in schedule for day in days.days}
    assert held(output, covered) == held(whole, covered), schedule
    exported = {date.fromisoformat(folder.name.partition("=")[2]) for folder in (output / "csv/fact_sales").iterdir()}
    assert exported <= covered


def write(path: Path, header: str, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")


CUSTOMERS = "customer_id,name,email,address,city,country,registration_date"
PRODUCTS = "product_id,product_name,category,price,stock_quantity"
ORDERS = "order_id,customer_id,order_date"
ITEMS = "order_item_id,order_id,product_id,quantity,price_per_item"


def test_orders_move_between_days_and_who_is_gone_stays(spark: SparkSession, tmp_path: Path) -> None:
    source, output = tmp_path / "dated", tmp_path / "output"
    write(source / "dt=2024-01-31/customers.csv", CUSTOMERS, "C1,old,,,,,", "C2,gone,,,,,")
    write(source / "dt=2024-03-31/customers.csv", CUSTOMERS, "C1,new,,,,,", "C3,late,,,,,")
    write(source / "dt=2024-03-31/products.csv", PRODUCTS, "P1,Tea,Drinks,2.50,1")
    write(source / "dt=2024-01-31/orders.csv", ORDERS, "O1,C1,2024-01-29", "O2,C3,2024-01-31", "O3,C1,2024-01-30")
    write(source / "dt=2024-02-29/orders.csv", ORDERS, "O3,C1,2024-02-02", "O4,C9,2024-01-31 23:59:59")
    write(source / "dt=2024-01-31/order_items.csv", ITEMS, "I1,O1,P1,1,2.50", "I2,O2,P1,2,2.50", "I3,O3,P1,3,2.50")
    write(source / "dt=2024-02-29/order_items.csv", ITEMS, "I2,O2,P1,-2,2.50", "I4,O4,P9,4,2.50", "I5,O1,P1,5,2.50")
    for days in (FEBRUARY, JANUARY):
        assert sell(days, source, output) == 0
    found = held(output)
    facts = spark.read.format("delta").load(str(output / "lake/fact_sales")).orderBy("order_item_id").collect()
    assert [(row.order_item_id, str(row.order_date), row.quantity_sold, row.customer_key == -1) for row in facts] == [
        ("I1", "2024-01-29", 1, False),
        ("I2", "2024-01-31", -2, False),
        ("I3", "2024-02-02", 3, False),
        ("I4", "2024-01-31", 4, True),
        ("I5", "2024-01-29", 5, False),
    ]
    # An earlier state of the customers changes nothing but adds who is gone since.
    assert sell(JANUARY, source, output, "--extract-date", "2024-03-30") == 3
    write(source / "dt=2024-01-31/products.csv", PRODUCTS, "P1,Coffee,Drinks,1.50,1")
    assert sell(FEBRUARY, source, output, "--extract-date", "2024-02-29") == 0
    names = {name for line in held(output)["dim_customer"] for name in ("new", "gone") if name in line}
    assert names == {"new", "gone"}
    assert held(output)["dim_product"] == found["dim_product"]


@pytest.mark.usefixtures("_extracts_alone")
def test_csv_postgresql_and_mariadb_give_the_same_rows(
    databases: Mapping[str, Server],
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / "shop"
    generate(NEW_YEAR, source, seed=5, customers=60, products=30, orders_per_day=6)
    keep_sound_rows(source)
    assert sell(NEW_YEAR, source, tmp_path / "csv") == 0
    raw = [table for table in SALES.tables if table.name.startswith("raw_")]
    expected = held(tmp_path / "csv", tables=raw)
    assert len(expected["raw_sales_order_items"]) > 20
    for server in (databases["postgresql"], databases["mariadb"]):
        fill(server, source)
        for name, value in server.login("sales").items():
            monkeypatch.setenv(name, value)
        output = tmp_path / server.kind
        capfd.readouterr()
        assert sell(NEW_YEAR, server.url("shop"), output) == 0
        assert held(output, tables=raw) == expected
        written = "".join(file.read_text() for file in (output / "_runs").iterdir()) + "".join(capfd.readouterr())
        assert server.password not in written
        monkeypatch.setenv("ETL_SPARK_SALES_PASSWORD", "wrong")
        assert sell(NEW_YEAR, server.url("shop"), output) == 3
        (complaint,) = capfd.readouterr().err.strip().splitlines()[-1:]
        assert complaint.startswith("etl-spark: cannot read from jdbc:")


DDL = """
CREATE TABLE customers (customer_id varchar(20) PRIMARY KEY, name varchar(200), email varchar(200), address text,
    city text, country text, registration_date date);
CREATE TABLE products (product_id varchar(20) PRIMARY KEY, product_name text, category text, price decimal(10, 2),
    stock_quantity int);
CREATE TABLE orders (order_id varchar(40) PRIMARY KEY, customer_id varchar(20), order_date {time});
CREATE TABLE order_items (order_item_id varchar(40) PRIMARY KEY, order_id varchar(40), product_id varchar(20),
    quantity int, price_per_item decimal(10, 2));
"""
TABLES = ("customers", "products", "orders", "order_items")


def keep_sound_rows(source: Path) -> None:
    """Takes the faults away that a database with types and keys cannot hold."""
    for name in TABLES:
        header, *rows = rows_of(source, name)
        key, seen = header.index({"customers": "customer_id", "products": "product_id"}.get(name, header[0])), set()
        sound = []
        for row in ([value.strip() for value in row] for row in rows):
            if row[key] and row[key] not in seen and all(is_sound(*pair) for pair in zip(header, row, strict=True)):
                seen.add(row[key])
                sound.append(row)
        with (source / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows([header, *sound])


def is_sound(column: str, value: str) -> bool:
    match column:
        case "registration_date" | "order_date":
            return value[4:5] == "-" and "-02-30" not in value
        case "price" | "price_per_item" | "stock_quantity" | "quantity":
            return value.removeprefix("-").replace(".", "", 1).isdecimal()
    return True


def rows_of(source: Path, name: str) -> list[list[str]]:
    with (source / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def literal(value: str) -> str:
    return "NULL" if not value else "'" + value.replace("'", "''") + "'"


def fill(server: Server, source: Path) -> None:
    server.create("shop")
    # In both databases a backslash stands for itself then, and a time for one in UTC.
    settings, time = {
        "postgresql": ("SET TIME ZONE 'UTC'", "timestamptz"),
        "mariadb": ("SET sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')", "datetime"),
    }[server.kind]
    inserts = []
    for name in TABLES:
        _, *rows = rows_of(source, name)
        values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
        inserts.append(f"INSERT INTO {name} VALUES {values};")
    server.run("\n".join((f"{settings};", DDL.format(time=time), *inserts)), "shop")
