"""Lines of a flat file through the sales job: each is booked once, or rejected for what is wrong with itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pyspark.sql.functions as F
import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_spark import config
from etl_spark.core.dates import DateRange
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.sales.dimensions import build_dim_customer, build_dim_product
from etl_spark.pipelines.sales.extracts import (
    EXTRACTS,
    RAW_CUSTOMERS,
    RAW_ORDER_ITEMS,
    RAW_ORDERS,
    RAW_PRODUCTS,
    SALES_REJECTED,
    read_extracts,
)
from etl_spark.pipelines.sales.facts import build_fact_sales
from etl_spark.pipelines.sales.settings import SalesMapping, SalesSettings
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, DIM_PRODUCT, FACT_SALES
from etl_spark.sources.flat_file import FlatFile
from tests.places import ROOT

FEBRUARY = DateRange(date(2024, 2, 1), date(2024, 2, 29))
COLUMNS = """
order_id = "No"
order_date = "Date"
product_id = "Product"
quantity = "Pieces"
price_per_item = "Price"
line_item_total = "Total"
"""


@dataclass(frozen=True)
class Star:
    facts: DataFrame
    customers: DataFrame
    products: DataFrame
    rejected: DataFrame
    counts: DataFrame


@pytest.fixture(autouse=True)
def nothing_kept(spark: SparkSession) -> Iterator[None]:
    yield
    spark.catalog.clearCache()


def mapping(file: Path) -> SalesMapping:
    found = config.load("sales", SalesSettings, pipelines=PIPELINES, source="x", mapping=str(file)).settings.mapping
    assert isinstance(found, SalesMapping)
    return found


def star(spark: SparkSession, source: Path, how: SalesMapping) -> Star:
    """What the sales job makes of the file for FEBRUARY."""
    reader = FlatFile(spark, str(source), how, date.max)
    found = {extract.name: reader.find(extract, FEBRUARY) for extract in EXTRACTS}
    read = (
        reader.read(extract, [(one.file, FEBRUARY.end) for one in found[extract.name]], FEBRUARY)
        for extract in EXTRACTS
    )
    customers, products, orders, items, rejected, counts = read_extracts(
        *read, asked=FEBRUARY, extract_dates=(FEBRUARY.end,), date_formats=how.date_formats, mapping=how
    )
    dim_customer = DIM_CUSTOMER.conform(build_dim_customer(RAW_CUSTOMERS.conform(customers)))
    dim_product = DIM_PRODUCT.conform(build_dim_product(RAW_PRODUCTS.conform(products)))
    facts = build_fact_sales(RAW_ORDERS.conform(orders), RAW_ORDER_ITEMS.conform(items), dim_customer, dim_product)
    return Star(FACT_SALES.conform(facts), dim_customer, dim_product, SALES_REJECTED.conform(rejected), counts)


@pytest.mark.default_spark
def test_the_example_of_the_readme_is_what_it_says(spark: SparkSession, tmp_path: Path) -> None:
    blocks = re.findall(r"```\w+\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (lines,) = (block for block in blocks if block.startswith("Datum;Kunde;"))
    (toml,) = (block for block in blocks if 'currencies = ["€", "EUR"]' in block)
    (tmp_path / "till.csv").write_text(lines, encoding="utf-8")
    (tmp_path / "till.toml").write_text(toml, encoding="utf-8")
    made = star(spark, tmp_path / "till.csv", mapping(tmp_path / "till.toml"))
    facts = (
        made.facts.join(made.customers.select("customer_key", "customer_id", "country"), on="customer_key")
        .join(made.products.select("product_key", "product_name", "category"), on="product_key")
        .orderBy("order_date", "order_item_id")
    )
    names = ("order_date", "order_item_id", "customer_id", "country", "product_name", "category", "quantity_sold")
    kern, voss = ("Bäckerei Kern", "Germany"), ("Ina Voss", "Germany")
    flour, salt = ("Mehl Typ 550, 25 kg", "Backwaren"), ("Salz", "Gewürze")
    assert [tuple(row) for row in facts.select(*names).collect()] == [
        (date(2024, 2, 3), "Bäckerei Kern-3.2.2024-1", *kern, *flour, 40),
        (date(2024, 2, 3), "Bäckerei Kern-3.2.2024-2", *kern, *salt, 3),
        (date(2024, 2, 4), "Ina Voss-04.02.2024 16:20-1", *voss, *salt, -1),
        (date(2024, 2, 5), "Ina Voss-2024-02-05-1", *voss, *flour, 1),
    ]
    amounts = facts.select("line_item_total", "price_per_item", "is_return").collect()
    assert [(str(total), str(price), is_return) for total, price, is_return in amounts] == [
        ("1234.5000", "30.8625", False),
        ("2.0000", "0.6667", False),
        ("-0.6700", "0.6700", True),
        ("30.8600", "30.8600", False),
    ]


def write(folder: Path, mode: Literal["keep", "drop"], *lines: str) -> SalesMapping:
    (folder / "till.csv").write_text("\n".join(("No,Date,Product,Pieces,Price,Total", *lines, "")))
    file = folder / "till.toml"
    file.write_text(f'repeated_lines = "{mode}"\ndate_formats = ["d/M/yyyy"]\n[columns]{COLUMNS}')
    return mapping(file)


def test_a_line_is_rejected_for_what_is_wrong_with_itself(spark: SparkSession, tmp_path: Path) -> None:
    sound = {
        "O1,1/2/2024,sound,2,1.50,": ("1.5000", "3.0000"),
        "O1,2024-02-02,both,2,1.50,2.99": ("1.5000", "2.9900"),
        "O1,1/2/2024,total,3,,2": ("0.6667", "2.0000"),
        "O1,1/2/2024,total back,-3,,-2": ("0.6667", "-2.0000"),
        "O1,1/2/2024,half up,8,,0.0012": ("0.0002", "0.0012"),
        "O1,1/2/2024,gift,3,,0": ("0.0000", "0.0000"),
        "O1,1/2/2024,none,0,1.50,0": ("1.5000", "0.0000"),
        "O1,1/2/2024,much,3,,99999999999999.9999": ("33333333333333.3333", "99999999999999.9999"),
    }
    wrong = {
        "O1,31/2/2024,wrong,1,1,": "order_date_not_a_date",
        "O1,,wrong,2,1,": "order_date_missing",
        "O1,1/2/1924,wrong,3,1,": "order_date_not_in_calendar",
        "O1,1/2/2024,wrong,4,,": "price_per_item_missing",
        "O1,1/2/2024,wrong,0,,0": "price_per_item_missing",
        "O1,1/2/2024,wrong,0,,5": "line_item_total_without_quantity",
        "O1,1/2/2024,wrong,0,1,5": "line_item_total_without_quantity",
        "O1,1/2/2024,wrong,7,1,-5": "line_item_total_of_other_sign",
        "O1,1/2/2024,wrong,-8,,5": "line_item_total_of_other_sign",
        "O1,1/2/2024,wrong,9,-1,": "price_per_item_negative",
        'O1,1/2/2024,wrong,10,"1,5",': "price_per_item_not_a_number",
        "O1,1/2/2024,wrong,11,,x": "line_item_total_not_a_number",
        "O1,1/2/2024,wrong,1.5,1,": "quantity_not_a_whole_number",
        "O1,1/2/2024,wrong,,1,": "quantity_missing",
        ",1/2/2024,wrong,12,1,": "order_id_missing",
        "O2,x,wrong,13,1,": "order_date_not_a_date",
        "O1,1/2/2024,wrong,14": "row_malformed",
    }
    other_month = "O3,1/3/2024,sound,1,100,"
    made = star(spark, tmp_path / "till.csv", write(tmp_path, "keep", *sound, *wrong, other_month))
    joined = made.facts.join(made.products.select("product_key", "product_id"), on="product_key").collect()
    assert {row.product_id: (str(row.price_per_item), str(row.line_item_total)) for row in joined} == {
        line.split(",")[2]: amounts for line, amounts in sound.items()
    }
    assert {row.order_date for row in joined} == {date(2024, 2, 1)}

    items = made.rejected.where("source_table = 'order_items'").collect()
    assert sum(row.line_count for row in items) == len(items) == len(wrong)
    told = sorted((row.reason, json.loads(bytes(row.line)).get("quantity")) for row in items if b"{" in row.line)
    expected = [(reason, line.split(",")[3] or None) for line, reason in wrong.items() if reason != "row_malformed"]
    assert sorted(told, key=str) == sorted(expected, key=str)
    assert made.rejected.where("source_table <> 'order_items'").count() == 0

    sums = made.counts.where("file = 'till.csv'").agg(
        F.sum("rows"), F.sum("rows_outside"), F.sum(F.when(F.col("reason").isNull(), F.col("amount")))
    )
    booked = sum((Decimal(total) for _, total in sound.values()), Decimal(0))
    assert tuple(sums.collect()[0]) == (len(sound) + len(wrong), 1, booked)


@pytest.mark.parametrize("mode", ["keep", pytest.param("drop", marks=pytest.mark.default_spark)])
def test_repeated_lines_are_booked_and_counted_or_kept_aside(
    spark: SparkSession, tmp_path: Path, mode: Literal["keep", "drop"]
) -> None:
    line = "O1,2024-02-01,P1,2,1.50,"
    bad = "O1,2024-02-01,P1,x,1.50,"
    lines = [line, line, "O1,2024-02-01,P1,2,1.5,", bad, line, bad, "O2,2024-03-01,P1,2,1,", "O2,2024-03-01,P1,2,1,"]
    made = star(spark, tmp_path / "till.csv", write(tmp_path, mode, *lines))
    counts = {
        row.reason: (row.rows, row.rows_flagged, row.amount)
        for row in made.counts.where("file = 'till.csv' AND rows_outside = 0").collect()
    }
    kept = made.rejected.where("reason = 'line_repeated'").collect()
    if mode == "keep":
        assert counts["line_repeated"] == (0, 2, Decimal(0))
        assert made.facts.agg(F.sum("line_item_total")).collect()[0][0] == Decimal(12)
        assert kept == []
    else:
        assert counts["line_repeated"] == (2, 0, Decimal(6))
        assert made.facts.agg(F.sum("line_item_total")).collect()[0][0] == Decimal(6)
        ((line_count, text),) = [(row.line_count, json.loads(bytes(row.line))) for row in kept]
        assert (line_count, text["order_id"], text["price_per_item"]) == (2, "O1", "1.50")
    assert counts["quantity_not_a_whole_number"][0] == 2
    assert made.counts.where("file = 'till.csv'").agg(F.sum("rows_outside")).collect()[0][0] == 2


def test_without_customers_all_sales_are_of_the_unknown(spark: SparkSession, tmp_path: Path) -> None:
    how = write(tmp_path, "keep", "O1,2024-02-01,,2,1.50,")
    made = star(spark, tmp_path / "till.csv", replace(how, columns=dict(how.columns)))
    assert [(row.customer_key, row.product_key) for row in made.facts.collect()] == [(-1, -1)]
    assert (made.customers.count(), made.products.count()) == (1, 1)
