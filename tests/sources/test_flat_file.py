"""Lines of a flat file become rows of the tables they tell, the same whatever the order of lines, files and parts."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyspark.sql.functions as F
import pyspark.sql.types as T
import pytest
from pyspark.sql import Row, SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import InputError
from etl_spark.core.extract import MALFORMED
from etl_spark.core.flat import Numbers, Told
from etl_spark.core.local import local_frame
from etl_spark.core.settings import CsvFormat
from etl_spark.pipelines.sales.extracts import EXTRACTS
from etl_spark.pipelines.sales.settings import SalesMapping
from etl_spark.sources.flat_file import FlatFile, plain_number

ASKED = DateRange(date(2024, 1, 1), date(2024, 1, 31))
MARCH = date(2024, 3, 31)
HEADER = "No,Date,Product,Pieces,Price,Who,Where"


def mapping(columns: Mapping[str, Told] | None = None, **others: Any) -> SalesMapping:
    names = {
        "order_id": "no",
        "order_date": "date",
        "product_id": "product",
        "quantity": "pieces",
        "price_per_item": "price",
        "customer_id": "who",
        "country": "where",
    }
    default: dict[str, Any] = {
        "columns": {name: Told(column=header) for name, header in names.items()} | dict(columns or {}),
        "date_formats": ("dd.MM.yyyy",),
        "csv": CsvFormat(delimiter=",", encoding="UTF-8", quoted_newlines=True),
    }
    return SalesMapping(**(default | others))


def write(path: Path, *lines: str, header: str = HEADER) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "\n".join((header, *lines, "")).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture(autouse=True)
def nothing_kept(spark: SparkSession) -> Iterator[None]:
    yield
    spark.catalog.clearCache()


def tables(
    spark: SparkSession, root: Path, how: SalesMapping | None = None, until: date = date.max
) -> dict[str, list[Row]]:
    """The rows of each table that the lines tell."""
    source = FlatFile(spark, str(root), how or mapping(), until)
    found = {extract.name: source.find(extract, ASKED) for extract in EXTRACTS}
    return {
        extract.name: sorted(
            source.read(
                extract, [(one.file, one.extract_date or MARCH) for one in found[extract.name]], ASKED
            ).collect(),
            key=str,
        )
        for extract in EXTRACTS
    }


def values(rows: Sequence[Row], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def test_a_line_tells_a_row_of_each_table(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "till.csv", " O1 ,2024-01-05 10:00, P1,2,1.50,C1,Peru", header="\ufeff" + HEADER.upper())
    found = tables(spark, tmp_path / "till.csv")
    ((customer,), (product,), (order,), (item,)) = (found[extract.name] for extract in EXTRACTS)
    assert (customer.customer_id, customer.country, customer["name"]) == ("C1", "Peru", None)
    assert (product.product_id, product.product_name, product.price) == ("P1", None, None)
    assert (order.order_id, order.order_date, order.customer_id) == ("O1", "2024-01-05 10:00", "C1")
    assert item.asDict() == {
        "extract_date": MARCH,
        "file": "till.csv",
        MALFORMED: None,
        "order_item_id": "O1-1",
        "order_id": "O1",
        "product_id": "P1",
        "quantity": "2",
        "price_per_item": "1.50",
        "line_item_total": None,
        "order_date": "2024-01-05 10:00",
        "line_repeated": "false",
    }
    assert [row.file for row in (customer, product, order)] == ["(customers)", "(products)", "(orders)"]


def test_a_member_is_as_the_latest_lines_have_it_that_say_something(spark: SparkSession, tmp_path: Path) -> None:
    lines = [
        "O1,05.01.2024,P1,1,1,C1,Peru",
        "O2,2024-01-06 10:00,P1,1,1,C1,Chile",
        "O3,06.01.2024,P1,1,1,C1,Zambia",
        "O4,07.01.2024,P1,1,1,C1,",
        "O5,2024-01-09,P1,1,1,C2,Angola",
        "O6,09.01.2024,P1,1,1,C2,Benin",
        "O7,2024-01-09,P1,1,1,,Cuba",
        "O8,32.01.2024,P9,1,1,C9,Cuba",
    ]
    for order in (lines, lines[::-1]):
        write(tmp_path / "till.csv", *order)
        found = tables(spark, tmp_path)
        assert values(found["customers"], "customer_id", "country") == [("C1", "Chile"), ("C2", "Benin")]
        assert values(found["products"], "product_id") == [("P1",)]


def test_an_order_is_of_the_earliest_date_and_the_greatest_customer_of_its_lines(
    spark: SparkSession, tmp_path: Path
) -> None:
    write(
        tmp_path / "till.csv",
        "O1,05.02.2024,P1,1,1,,Peru",
        "O1,2024-01-31 23:59,P2,1,1,C1,Peru",
        "O1,2024-13-01,P3,1,1,C3,Peru",
        "O1,1024-01-01,P4,1,1,C4,Peru",
        "O1,2024-02-01,P5,1,1,C2,Peru",
        "O2,,P1,1,1,C1,Peru",
        ",2024-01-01,P1,1,1,C1,Peru",
    )
    found = tables(spark, tmp_path)
    assert values(found["orders"], "order_id", "order_date", "customer_id") == [("O1", "2024-01-31 23:59", "C2")]
    assert len(found["order_items"]) == 7
    assert {row.order_item_id for row in found["order_items"]} == {"-1", "O2-1", *(f"O1-{n}" for n in range(1, 6))}


def test_made_keys_do_not_know_how_the_lines_are_split(spark: SparkSession, tmp_path: Path) -> None:
    lines = [f"O{n % 7},2024-01-0{n % 3 + 1},P{n % 11},{n % 5},1.50,C{n % 7},Peru" for n in range(90)]
    lines += lines[::4]
    write(tmp_path / "one" / "till.csv", *lines)
    random.Random(4).shuffle(lines)
    for number in range(4):
        write(tmp_path / "many" / f"{number}.csv", *lines[number::4])
    one, many = (tables(spark, tmp_path / folder) for folder in ("one", "many"))
    for extract in EXTRACTS:
        names = extract.column_names
        assert sorted(map(str, values(one[extract.name], *names))) == sorted(
            map(str, values(many[extract.name], *names))
        )
    keys = [row.order_item_id for row in one["order_items"]]
    assert len(keys) == len(set(keys)) == len(lines)
    assert {row.file for row in many["order_items"]} == {f"{number}.csv" for number in range(4)}


@pytest.mark.parametrize(("mode", "keys"), [("keep", ["O1-2", "O1-3", "O1-4"]), ("drop", ["O1-2", "O1-2", "O1-2"])])
def test_of_equal_lines_all_but_the_first_are_marked(
    spark: SparkSession, tmp_path: Path, mode: str, keys: list[str]
) -> None:
    same = "O1,2024-01-05,P1,2,1.50,C1,Peru"
    write(tmp_path / "b.csv", same, "O1,2024-01-05,P1,2,1.50,C1,Chile")
    write(tmp_path / "a.csv", same, "O1,2024-01-05, P1 ,2,1.50,C1,Peru", "x", "x")
    rows = [row for row in tables(spark, tmp_path, mapping(repeated_lines=mode))["order_items"] if not row[MALFORMED]]
    # The line that says Chile is another line, though its item has the same columns, and comes before the others.
    assert [(row.file, row.line_repeated) for row in rows if row.order_item_id == "O1-1"] == [("b.csv", "false")]
    others = [row for row in rows if row.order_item_id != "O1-1"]
    assert sorted(row.order_item_id for row in others) == keys
    assert sorted((row.file, row.line_repeated) for row in others) == [
        ("a.csv", "false"),
        ("a.csv", "true"),
        ("b.csv", "true"),
    ]


def test_a_key_of_its_own_is_taken_as_it_is(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "till.csv", "O1,2024-01-05,P1,2,1.50,C1,Peru")
    how = mapping({"order_item_id": Told(columns=("No", "Product", "Pieces"))})
    (item,) = tables(spark, tmp_path, how)["order_items"]
    assert item.order_item_id == "O1-P1-2"


def test_columns_are_joined_cut_fixed_or_rid_of_what_is_no_part_of_them(spark: SparkSession, tmp_path: Path) -> None:
    long = "a" * 65
    how = mapping(
        {
            "order_id": Told(columns=("Who", "Date")),
            "customer_id": Told(column="Who", remove=r"\.0$"),
            "product_id": Told(column="Product", shorten=True),
            "product_name": Told(column="Product"),
            "category": Told(value="Toys, mostly"),
            "quantity": Told(value="1"),
            "price_per_item": Told(column="Price", remove="^about "),
        }
    )
    write(
        tmp_path / "till.csv",
        f"17850.0,2024-01-05,{long}b,7,about 3,17850.0,Peru",
        f"x,2024-01-05,{long}c,7,4,17850,Peru",
        "x,2024-01-05,short,7,5,,Peru",
        header=HEADER.replace("Who", " who ").replace("No", "No."),
    )
    found = tables(spark, tmp_path, how)
    assert values(found["order_items"], "order_id", "quantity", "price_per_item") == [
        (None, "1", "5"),
        ("17850-2024-01-05", "1", "4"),
        ("17850.0-2024-01-05", "1", "3"),
    ]
    assert values(found["customers"], "customer_id") == [("17850",)]
    assert {row.category for row in found["products"]} == {"Toys, mostly"}
    ids = {row.product_name: row.product_id for row in found["products"]}
    assert ids["short"] == "short"
    assert len({ids[f"{long}b"], ids[f"{long}c"]}) == 2
    assert {len(ids[f"{long}{end}"]) for end in "bc"} == {64}
    assert {ids[f"{long}{end}"][:32] for end in "bc"} == {"a" * 31 + "-"}


def test_a_malformed_line_tells_nothing_but_itself(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "till.csv", "O1,2024-01-05,P1,2", "O2,2024-01-05,P2,1,1,C1,Peru,x", "O3,2024-01-05,P3,1,1,C1,Peru")
    found = tables(spark, tmp_path)
    assert values(found["orders"], "order_id") == [("O3",)]
    assert {(row[MALFORMED], row.order_id) for row in found["order_items"]} == {
        ("O1,2024-01-05,P1,2", None),
        ("O2,2024-01-05,P2,1,1,C1,Peru,x", None),
        (None, "O3"),
    }


def test_columns_that_are_not_mapped_are_never_shown(spark: SparkSession, tmp_path: Path) -> None:
    header = HEADER + ",Password"
    write(tmp_path / "till.csv", "O1,2024-01-05,P1,2,1,C1,Peru,canary", "O2,canary", header=header)
    assert "canary" not in str(tables(spark, tmp_path))


def test_files_of_a_folder(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "b.csv.gz", "O1,2024-01-05,P1,2,1,C1,Peru")
    write(tmp_path / "deep" / "A.CSV", "Peru,O2,2024-01-05,P1,2,1,C1", header="Where,No,Date,Product,Pieces,Price,Who")
    for hidden in ("_x.csv", ".y.csv", "_tmp/z.csv", "readme.txt"):
        write(tmp_path / hidden, "this is no data")
    assert values(tables(spark, tmp_path)["order_items"], "file", "order_id", "price_per_item") == [
        ("b.csv.gz", "O1", "1"),
        ("deep/A.CSV", "O2", "1"),
    ]


def test_folders_of_dates_are_extracts_up_to_a_day(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "dt=2024-01-31/till.csv", "O1,2024-01-05,P1,2,1,C1,Peru", "O9,2024-01-05,P9,1,1,C9,Togo")
    write(tmp_path / "dt=2024-02-29/till.csv", "O1,2024-01-05,P1,3,1,C1,Chile")
    found = tables(spark, tmp_path)
    first, second = date(2024, 1, 31), date(2024, 2, 29)
    assert values(found["order_items"], "extract_date", "order_item_id", "quantity") == [
        (first, "O1-1", "2"),
        (first, "O9-1", "1"),
        (second, "O1-1", "3"),
    ]
    assert values(found["orders"], "extract_date", "order_id") == [(first, "O1"), (first, "O9"), (second, "O1")]
    members = values(found["customers"], "extract_date", "customer_id", "country")
    assert members == [(first, "C9", "Togo"), (second, "C1", "Chile")]
    earlier = tables(spark, tmp_path, until=first)
    assert values(earlier["customers"], "customer_id", "country") == [("C1", "Peru"), ("C9", "Togo")]


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ((), r"there is no \*\.csv or \*\.csv\.gz at .*, which holds nothing"),
        (("till.txt",), "which holds till.txt"),
        (("a.csv", "dt=2024-01-05/a.csv"), "both in folders dt=... and outside of them"),
    ],
)
def test_where_the_files_stand_must_be_clear(
    spark: SparkSession, tmp_path: Path, names: tuple[str, ...], complaint: str
) -> None:
    for name in names:
        write(tmp_path / name)
    with pytest.raises(InputError, match=complaint):
        tables(spark, tmp_path)
    with pytest.raises(InputError, match="there is no source at"):
        tables(spark, tmp_path / "nowhere")


def test_a_column_that_a_file_lacks_is_named(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "till.csv", header=HEADER.replace("Pieces", "Qty"))
    with pytest.raises(InputError, match=r"till.csv must have each column of the mapping once: pieces is not there"):
        tables(spark, tmp_path)


PLAIN, ENGLISH = Numbers(), Numbers(thousands_sign=",", currencies=("£", "GBP", "Rs."), brackets_are_negative=True)
GERMAN = Numbers(decimal_sign=",", thousands_sign=".", currencies=("€", "EUR"))
FRENCH = Numbers(decimal_sign=",", thousands_sign=" ", currencies=("€",))
SAME: list[tuple[Numbers, tuple[str, ...]]] = [
    (PLAIN, ("1.50", "-1", "+1", "7.", ".5", "1,5", "1,234.50", "£1", "(1)", "1e5", "--1", "n/a")),
    (
        ENGLISH,
        ("1.50", "1,5", "12,34.50", "1234,567", "1,234,56", ",123", "1,234.5,6", "£", "-£-1", "£1£", "- 1", "1-"),
    ),
    (ENGLISH, ("$1", "£(1)", "(-1)", "()", "1 234", "1.2.3", "£ £1", "1,,234")),
    (GERMAN, ("1.23,5", "1.234,5.6", "12.34,00", "1,234.50", "1.2345,0", "€€1", "(1)", "1,5,0")),
    (FRENCH, ("12 34", "1  234", "1 234 5", "1.234,50")),
]
CHANGED: list[tuple[Numbers, dict[str, str]]] = [
    (
        ENGLISH,
        {
            "1,234.50": "1234.50",
            "-1,234,567": "-1234567",
            "£1,234.50": "1234.50",
            "-£3.00": "-3.00",
            "£-3.00": "-3.00",
            "£ 3": "3",
            "3.00 GBP": "3.00",
            "+3GBP": "+3",
            "Rs.12.50": "12.50",
            "12.50 Rs.": "12.50",
            "(12.50)": "-12.50",
            "(£1,000)": "-1000",
            "£.50": ".50",
        },
    ),
    (
        GERMAN,
        {
            "1.234,50 €": "1234.50",
            "1234,50": "1234.50",
            "-1.234.567,8": "-1234567.8",
            "1.234": "1234",
            "EUR 3,00": "3.00",
            "3,00\u00a0€": "3.00",
            "0,5": "0.5",
            # What is no number as it should be written must not pass for another one.
            "1.5": '"1.5"',
            "12.34": '"12.34"',
            "1234.50": '"1234.50"',
            "-.5": '"-.5"',
        },
    ),
    (FRENCH, {"1 234,50 €": "1234.50", "1\u202f234\u00a0567,5": "1234567.5", "1.234": '"1.234"'}),
]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [(numbers, {text: text for text in texts}) for numbers, texts in SAME] + CHANGED,
)
def test_a_number_is_plain_if_it_is_written_as_said_and_else_as_it_was(
    spark: SparkSession, numbers: Numbers, expected: Mapping[str, str]
) -> None:
    schema = T.StructType([T.StructField("text", T.StringType())])
    frame = local_frame(spark, [(text,) for text in (*expected, None)], schema)
    found = frame.select("text", plain_number(F.col("text"), numbers).alias("plain")).collect()
    assert {row.text: row.plain for row in found} == {None: None} | dict(expected)
