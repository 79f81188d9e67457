"""CSV extracts as people write them: where they stand, what their header says, and rows that do not fit it."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import Row, SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import InputError
from etl_spark.core.extract import MALFORMED, Extract
from etl_spark.core.settings import CsvFormat
from etl_spark.core.table import Column
from etl_spark.sources.csv_extracts import CsvExtracts

PEOPLE = Extract(
    "people",
    "people",
    columns=(Column("id", "VARCHAR(9)", ""), Column("name", "VARCHAR(99)", "", nullable=True)),
    key=("id",),
)
ASKED = DateRange(date(2024, 1, 1), date(2024, 1, 31))
PLAIN = CsvFormat(delimiter=",", encoding="UTF-8", quoted_newlines=True)
MARCH = date(2024, 3, 31)


def read(spark: SparkSession, root: Path, csv: CsvFormat = PLAIN) -> list[Row]:
    source = CsvExtracts(spark, str(root), csv)
    files = [(one.file, one.extract_date or MARCH) for one in source.find(PEOPLE, ASKED)]
    return sorted(source.read(PEOPLE, files, ASKED).collect(), key=str)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("name", ["people.csv", "people.csv.gz", "people/a.csv", "people/deep/a.csv.gz"])
def test_a_table_is_a_file_or_a_folder(spark: SparkSession, tmp_path: Path, name: str) -> None:
    write(tmp_path / name, b"id,name\n1,Ann\n")
    (row,) = read(spark, tmp_path)
    assert (row.extract_date, row[MALFORMED], row.id, row["name"]) == (MARCH, None, "1", "Ann")
    assert row.file == name


@pytest.mark.parametrize("name", ["people/dt={}/a.csv", "dt={}/people.csv", "dt={}/people/a.csv"])
def test_folders_of_dates_say_when_an_extract_was_made(spark: SparkSession, tmp_path: Path, name: str) -> None:
    write(tmp_path / name.format("2024-01-05"), b"id,name\n1,Ann\n")
    write(tmp_path / name.format("2024-01-06"), b"name,id\nAnna,1\n")
    found = {(row.extract_date, row.file, row.id, row["name"]) for row in read(spark, tmp_path)}
    assert found == {
        (date(2024, 1, 5), name.format("2024-01-05"), "1", "Ann"),
        (date(2024, 1, 6), name.format("2024-01-06"), "1", "Anna"),
    }


def test_what_people_put_into_csv_comes_back(spark: SparkSession, tmp_path: Path) -> None:
    content = '\ufeff Name ,extra, ID\r\n"a ""quote"", a comma\r\nand a line",x,1\r\nb\\,y,2\r\n"",z,3\r\n'
    write(tmp_path / "people.csv", content.encode())
    assert [(row.id, row["name"]) for row in read(spark, tmp_path)] == [
        ("1", 'a "quote", a comma\nand a line'),  # Spark's reader makes one \n of every line end within quotes
        ("2", "b\\"),
        ("3", None),
    ]


def test_another_encoding_and_delimiter(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "people.csv", "id;name\n1;Müller, Jörg\n".encode("latin-1"))
    (row,) = read(spark, tmp_path, CsvFormat(delimiter=";", encoding="ISO-8859-1", quoted_newlines=False))
    assert row["name"] == "Müller, Jörg"


def test_rows_with_too_few_and_too_many_values_are_told_apart(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "people.csv", b"id,name\n1,Ann\n2\n3,Cy,x\n")
    assert {(row.id, row[MALFORMED]) for row in read(spark, tmp_path)} == {("1", None), ("2", "2"), ("3", "3,Cy,x")}


def test_a_malformed_row_of_a_file_with_columns_that_are_not_read_is_not_shown(
    spark: SparkSession, tmp_path: Path
) -> None:
    write(tmp_path / "people.csv", b"id,name,password\n1,Ann,geheim\n2,Bo,geheim,x\n")
    found = read(spark, tmp_path)
    assert [row[MALFORMED] is None for row in found].count(False) == 1
    assert "geheim" not in str(found)


def test_a_file_of_a_header_alone_has_no_rows(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "people.csv", b"id,name\n")
    assert read(spark, tmp_path) == []


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (b"id,full_name\n1,x\n", r"people.csv must have each column of people once: name .*; found: id, full_name"),
        (b"id,name,Name\n1,x,y\n", r"name is not there, or twice; found: id, name, name"),
        (b"", r"id, name are not there, or twice; found: no header"),
    ],
)
def test_a_header_that_does_not_fit_is_said(spark: SparkSession, tmp_path: Path, header: bytes, complaint: str) -> None:
    write(tmp_path / "people.csv", header)
    with pytest.raises(InputError, match=complaint):
        read(spark, tmp_path)


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ((), "there is no people.csv, people.csv.gz or people/ at .*, which holds nothing"),
        (("person.csv",), "which holds person.csv"),
        (("people.csv", "people.csv.gz"), "people stands at the source twice"),
        (("people.csv", "dt=2024-01-05/people.csv"), "both in folders dt=... and outside of them"),
    ],
)
def test_where_a_table_stands_must_be_clear(
    spark: SparkSession, tmp_path: Path, names: tuple[str, ...], complaint: str
) -> None:
    for name in names:
        write(tmp_path / name, b"id,name\n1,Ann\n")
    with pytest.raises(InputError, match=complaint):
        read(spark, tmp_path)


def test_a_damaged_file_is_named(spark: SparkSession, tmp_path: Path) -> None:
    whole = gzip.compress(b"id,name\n" + b"".join(b"%d,%d\n" % (n, n * 7919) for n in range(50_000)))
    (tmp_path / "people.csv.gz").write_bytes(whole[: len(whole) // 2])
    source = CsvExtracts(spark, str(tmp_path), PLAIN)
    files = [(one.file, MARCH) for one in source.find(PEOPLE, ASKED)]
    with pytest.raises(InputError, match=r"cannot read .*people.csv.gz to its end"), source.readable([files[0][0]]):
        source.read(PEOPLE, files, ASKED).count()
