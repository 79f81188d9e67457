"""Whole runs of the sales job: any order of ranges ends in the same tables, and any source of the same rows does."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path

import pymysql
import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main
from etl_spark.core.dates import DateRange
from etl_spark.pipelines.sales.generate import generate
from etl_spark.pipelines.sales.pipeline import SALES
from tests.databases import psql

STAR = [table for table in SALES.tables if table.name.startswith(("dim_", "fact_"))]
JANUARY = ("2024-01-01", "2024-01-31")
NEW_YEAR = (date(2024, 1, 1), date(2024, 1, 4))

Sell = Callable[..., int]


@pytest.fixture
def sell(spark: SparkSession, tmp_path: Path) -> Sell:
    """Runs the sales job on a source; returns the exit code."""

    def run(days: tuple[str, str], source: Path | str, *options: str, output: str = "output") -> int:
        given = ["--start-date", days[0], "--end-date", days[1], "--source", str(source), "--sink", "csv"]
        return main(["sales", *given, "--output", str(tmp_path / output), *options])

    return run


def star(output: Path) -> dict[str, list[str]]:
    """All that the star's tables hold, whatever the extract they are of."""
    spark, found = SparkSession.active(), {}
    for table in STAR:
        columns = [name for name in table.column_names if name != "extract_date"]
        rows = spark.read.format("delta").load(str(output / "lake" / table.name)).select(*columns).collect()
        found[table.name] = sorted(map(str, rows))
    return found


def write(path: Path, header: str, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")


CUSTOMERS = "customer_id,name,email,address,city,country,registration_date"
PRODUCTS = "product_id,product_name,category,price,stock_quantity"
ORDERS = "order_id,customer_id,order_date"
ITEMS = "order_item_id,order_id,product_id,quantity,price_per_item"


@pytest.mark.default_spark
def test_any_order_of_ranges_ends_in_the_same_star(spark: SparkSession, tmp_path: Path, sell: Sell) -> None:
    source = tmp_path / "dated"
    write(source / "dt=2024-01-31/customers.csv", CUSTOMERS, "C1,old,,,,,", "C2,gone,,,,,")
    write(source / "dt=2024-03-31/customers.csv", CUSTOMERS, "C1,new,,,,,", "C3,late,,,,,")
    write(source / "dt=2024-03-31/products.csv", PRODUCTS, "P1,Tea,Drinks,2.50,1")
    write(source / "dt=2024-01-31/orders.csv", ORDERS, "O1,C1,2024-01-05", "O2,C3,2024-01-31", "O3,C1,2024-01-20")
    write(source / "dt=2024-02-29/orders.csv", ORDERS, "O3,C1,2024-02-20", "O4,C9,2024-01-31 23:59:59")
    write(source / "dt=2024-01-31/order_items.csv", ITEMS, "I1,O1,P1,1,2.50", "I2,O2,P1,2,2.50", "I3,O3,P1,3,2.50")
    write(source / "dt=2024-02-29/order_items.csv", ITEMS, "I2,O2,P1,-2,2.50", "I4,O4,P9,4,2.50", "I5,O1,P1,5,2.50")
    february = ("2024-02-01", "2024-02-29")
    for days in (february, ("2024-01-15", "2024-02-10"), JANUARY, february):
        assert sell(days, source) == 0
    assert sell(("2024-01-01", "2024-02-29"), source, output="rebuilt") == 0
    found = star(tmp_path / "output")
    assert found == star(tmp_path / "rebuilt")
    facts = spark.read.format("delta").load(str(tmp_path / "output/lake/fact_sales")).orderBy("order_item_id").collect()
    assert [(row.order_item_id, str(row.order_date), row.quantity_sold, row.customer_key == -1) for row in facts] == [
        ("I1", "2024-01-05", 1, False),
        ("I2", "2024-01-31", -2, False),
        ("I3", "2024-02-20", 3, False),
        ("I4", "2024-01-31", 4, True),
        ("I5", "2024-01-05", 5, False),
    ]
    # An earlier state of the customers changes nothing but adds who is gone since.
    assert sell(JANUARY, source, "--extract-date", "2024-03-30") == 3
    write(source / "dt=2024-01-31/products.csv", PRODUCTS, "P1,Coffee,Drinks,1.50,1")
    assert sell(february, source, "--extract-date", "2024-02-29") == 0
    names = {name for line in star(tmp_path / "output")["dim_customer"] for name in ("new", "gone") if name in line}
    assert names == {"new", "gone"}
    assert star(tmp_path / "output")["dim_product"] == found["dim_product"]


@pytest.mark.default_spark
def test_csv_postgresql_and_mariadb_give_the_same_star(
    databases: Mapping[str, str],
    tmp_path: Path,
    sell: Sell,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / "shop"
    generate(DateRange(*NEW_YEAR), source, seed=5, customers=60, products=30, orders_per_day=6)
    keep_sound_rows(source)
    days = (str(NEW_YEAR[0]), str(NEW_YEAR[1]))
    assert sell(days, source, output="csv") == 0
    expected = star(tmp_path / "csv")
    assert len(expected["fact_sales"]) > 20
    fill_postgresql(databases, source)
    fill_mariadb(databases, source)
    for kind in ("postgresql", "mariadb"):
        host, port, user, password = (
            databases[f"ETL_SPARK_{kind.upper()}_{part}"] for part in ("HOST", "PORT", "USER", "PASSWORD")
        )
        monkeypatch.setenv("ETL_SPARK_SALES_USER", user)
        monkeypatch.setenv("ETL_SPARK_SALES_PASSWORD", password)
        capfd.readouterr()
        assert sell(days, f"jdbc:{kind}://{host}:{port}/shop", output=kind) == 0
        assert star(tmp_path / kind) == expected
        written = "".join(file.read_text() for file in (tmp_path / kind / "_runs").iterdir()) + "".join(
            capfd.readouterr()
        )
        assert password not in written
        monkeypatch.setenv("ETL_SPARK_SALES_PASSWORD", "wrong")
        assert sell(days, f"jdbc:{kind}://{host}:{port}/shop", output=kind) == 3
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
        with (source / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
            header, *rows = csv.reader(stream)
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


def read(source: Path, name: str) -> tuple[list[str], list[list[str | None]]]:
    with (source / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    return header, [[value or None for value in row] for row in rows]


def literal(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def fill_postgresql(databases: Mapping[str, str], source: Path) -> None:
    psql(databases, "CREATE DATABASE shop", "etl")
    psql(databases, "SET TIME ZONE 'UTC';" + DDL.format(time="timestamptz"), "shop")
    for name in TABLES:
        _, rows = read(source, name)
        values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
        psql(databases, f"SET TIME ZONE 'UTC'; INSERT INTO {name} VALUES {values}", "shop")


def fill_mariadb(databases: Mapping[str, str], source: Path) -> None:
    host, port, user, password = (
        databases[f"ETL_SPARK_MARIADB_{part}"] for part in ("HOST", "PORT", "USER", "PASSWORD")
    )
    with pymysql.connect(host=host, port=int(port), user=user, password=password, autocommit=True) as connection:
        cursor = connection.cursor()
        statements: Iterable[str] = (
            "CREATE DATABASE shop CHARACTER SET utf8mb4",
            "USE shop",
            *DDL.format(time="datetime").strip().removesuffix(";").split(";\n"),
        )
        for statement in statements:
            cursor.execute(statement)
        for name in TABLES:
            header, rows = read(source, name)
            cursor.executemany(f"INSERT INTO {name} VALUES ({', '.join(['%s'] * len(header))})", rows)
