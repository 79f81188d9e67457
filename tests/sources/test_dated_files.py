"""Which files a day has, and their lines: layouts, odd names, damaged files."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from etl_spark.core.days import SourceFile
from etl_spark.core.errors import InputError
from etl_spark.core.filesystem import FileSystem
from etl_spark.sources.dated_files import find_files, read_files, read_lines, readable

D1, D2, D3 = (date(2022, 4, day) for day in (1, 2, 3))


def find(spark: SparkSession, root: Path, layout: str, days: Iterable[date] = (D1, D2, D3)) -> tuple[SourceFile, ...]:
    return find_files(FileSystem(spark, str(root)), layout, days, source_table="logs")


def write(file: Path, content: bytes = b"x\n") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def test_a_day_is_a_file_plain_or_compressed(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "20220401.json")
    write(tmp_path / "20220403.json.gz", gzip.compress(b"y\n"))
    write(tmp_path / "20220404.json")
    found = find(spark, tmp_path, "%Y%m%d.json")
    assert [(file.day, file.name) for file in found] == [(D1, "20220401.json"), (D3, "20220403.json.gz")]
    assert (found[0].size_bytes, found[0].modified_ms) == (2, (tmp_path / "20220401.json").stat().st_mtime_ns // 10**6)


@pytest.mark.parametrize("layout", ["%Y/%m/%d", "%Y/%m/%d/", "dt=%Y-%m-%d", "logs/dt=%Y-%m-%d/v1"])
def test_a_day_is_a_folder_of_files(spark: SparkSession, tmp_path: Path, layout: str) -> None:
    folder = tmp_path / D1.strftime(layout)
    for name in ("b.json", "a.json.gz", "part-0000", "_SUCCESS", ".hidden", "_temporary/0/part-1", "more/c.json"):
        write(folder / name, gzip.compress(b"x\n") if name.endswith("gz") else b"x\n")
    (tmp_path / D2.strftime(layout)).mkdir(parents=True)
    found = find(spark, tmp_path, layout)
    assert [file.name.rpartition("/")[2] for file in found] == ["a.json.gz", "b.json", "c.json", "part-0000"]
    assert {file.day for file in found} == {D1}
    assert sorted(row.line for row in read_lines(spark, found).collect()) == ["x"] * 4


def test_a_day_that_stands_there_twice_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "20220401.json")
    write(tmp_path / "20220401.json.gz", gzip.compress(b"x\n"))
    with pytest.raises(InputError, match=r"2022-04-01 stands at the source twice.*20220401\.json.*\.gz"):
        find(spark, tmp_path, "%Y%m%d.json")


def test_no_source_at_all_is_said(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no source at .*nowhere"):
        find(spark, tmp_path / "nowhere", "%Y%m%d.json")
    with pytest.raises(InputError, match=r'cannot open ftps://host/x: No FileSystem for scheme "ftps"'):
        FileSystem(spark, "ftps://host/x")


def test_lines_end_at_a_newline_and_nowhere_else(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "20220401.json", b"a\r\nb\rc\n\n\xff\x00d\xe2\x80\xa8e\nf\r\r\n\r\n\xc3\r\n")
    write(tmp_path / "20220402.json", b"")
    write(tmp_path / "20220403.json.gz", gzip.compress(b""))
    found = find(spark, tmp_path, "%Y%m%d.json")
    rows = read_lines(spark, found).selectExpr("date", "file", "CAST(line AS BINARY) AS line").collect()
    assert [bytes(row.line) for row in rows] == [b"a", b"b\rc", b"", b"\xff\x00d\xe2\x80\xa8e", b"f\r", b"", b"\xc3"]
    assert {(row.date, row.file) for row in rows} == {(D1, "20220401.json")}
    assert len(found) == 3


def test_a_byte_order_mark_is_dropped_at_the_start_of_a_file_only(spark: SparkSession, tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    write(tmp_path / "20220401.json", mark + b"a\n" + mark + b"b")
    write(tmp_path / "20220402.json.gz", gzip.compress(mark + b"a\n" + mark + b"b"))
    rows = read_lines(spark, find(spark, tmp_path, "%Y%m%d.json")).collect()
    assert [row.line.encode() for row in rows] == [b"a", mark + b"b"] * 2


def test_no_files_have_no_lines(spark: SparkSession) -> None:
    assert read_lines(spark, ()).count() == read_files(spark, ()).count() == 0


@pytest.mark.parametrize("name", ["a b%20c", "[1]{x}*é+", "x:y", "$`'\""])
def test_any_folder_name_will_do(spark: SparkSession, tmp_path: Path, name: str) -> None:
    write(tmp_path / name / "20220401.json", b"x\ny\n")
    write(tmp_path / name / "20220402.json", b"z\n")
    found = find(spark, tmp_path / name, "%Y%m%d.json")
    rows = sorted((row.file, row.line) for row in read_lines(spark, found).collect())
    assert rows == [("20220401.json", "x"), ("20220401.json", "y"), ("20220402.json", "z")]


def damaged() -> dict[str, bytes]:
    whole = gzip.compress(os.urandom(200_000))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    return {
        "half": whole[: len(whole) // 2],
        "no trailer": whole[:-8],
        "half a trailer": whole[:-3],
        "half a header": whole[:6],
        "bits flipped": bytes(flipped),
        "not a gzip": b'{"a":1}\n' * 9,
    }


@pytest.mark.parametrize("kind", damaged())
def test_a_damaged_gzip_fails_and_is_named(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    write(tmp_path / "20220401.json")
    write(tmp_path / "20220402.json.gz", damaged()[kind])
    found = find(spark, tmp_path, "%Y%m%d.json")
    with pytest.raises(InputError, match=r"cannot read .*/20220402\.json\.gz to its end"), readable(spark, found):
        read_lines(spark, found).count()


def test_a_gzip_of_no_bytes_is_refused_before_it_is_read(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "20220402.json.gz", b"")
    with pytest.raises(InputError, match=r"20220402\.json\.gz is not a gzip file: it has no bytes"):
        find(spark, tmp_path, "%Y%m%d.json")
