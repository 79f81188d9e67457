"""The one law of all stores: after a write a table holds exactly its rows for its scope, or what stood before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.dataset as ds
import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_spark.config import Credentials
from etl_spark.core.errors import SchemaError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.table import Column, Scope, Table
from etl_spark.stores.files import CSV_OPTIONS, Exports, sweep_staging
from etl_spark.stores.lake import Lake
from tests.stores.shop import KINDS, open_store, own_name, server_of

TABLE = Table(
    name="t",
    doc="One row per day and code.",
    columns=(
        Column("day", "DATE", ""),
        Column("code", "VARCHAR(64)", ""),
        Column("count", "BIGINT", "", nullable=True),
    ),
    grain=("day", "code"),
    replaces=("day",),
)
D1, D2, D3 = (date(2022, 4, day) for day in (1, 2, 3))
Rows = list[tuple[date, str, int | None]]


def days(*wanted: date) -> Scope:
    return tuple({"day": day} for day in wanted)


@dataclass
class Subject:
    """A store under test, and an independent way to read it."""

    write: Callable[[DataFrame, Table, Scope], None]
    read: Callable[[], Rows]
    place: Path


def read_duckdb(query: str) -> Rows:
    """DuckDB opens a Parquet file twice in a query, and says so where it met two versions of it: then once more."""
    with duckdb.connect() as connection:
        for _ in range(4):
            with suppress(duckdb.Error):
                return sorted(connection.execute(query).fetchall(), key=str)
        return sorted(connection.execute(query).fetchall(), key=str)


@pytest.fixture(
    params=["lake", "parquet", "csv", "mysql"]
    + [pytest.param(kind, marks=pytest.mark.default_spark) for kind in ("redshift_copy", "redshift_jdbc")]
)
def store(request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> Subject:
    if request.param in KINDS:
        return warehouse(request.param, request, spark, tmp_path)
    output = FileSystem(spark, str(tmp_path))
    if request.param == "lake":
        lake = Lake(spark, output)

        def read_lake() -> Rows:
            found = spark.read.format("delta").load(str(tmp_path / "lake" / "t"))
            return sorted((tuple(row) for row in found.collect()), key=str)

        return Subject(lake.write, read_lake, tmp_path / "lake" / "t")
    exports = Exports(output, request.param, "run")
    place = tmp_path / str(request.param) / "t"
    reader = {"parquet": "read_parquet", "csv": "read_csv"}[str(request.param)]

    def read() -> Rows:
        found = read_duckdb(f"SELECT day, code, count FROM {reader}('{place}/**/data.*', hive_partitioning = true)")
        return [row for row in found if row is not None]

    return Subject(exports.write, read, place)


def warehouse(kind: str, request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> Subject:
    bucket = "" if kind == "mysql" else request.getfixturevalue("bucket")
    server, name = server_of(kind, request.getfixturevalue("databases")), own_name("stores")
    server.create(name)
    user = Credentials(server.user, server.password)
    store = open_store(kind, spark, server.url(name), user, f"{bucket}/{name}")
    quote = "`" if kind == "mysql" else '"'

    def read() -> Rows:
        rows = server.rows(f"SELECT day, code, {quote}count{quote} FROM t", name)
        return sorted(((day, code, count) for day, code, count in rows), key=str)

    return Subject(store.write, read, tmp_path / kind / "t")


def frame(spark: SparkSession, rows: Rows) -> DataFrame:
    return spark.createDataFrame(rows, TABLE.schema)


def test_a_write_replaces_its_scope_and_nothing_else(spark: SparkSession, store: Subject) -> None:
    first: Rows = [(D1, "a", 1), (D1, "b", 2), (D2, "a", 3)]
    store.write(frame(spark, first), TABLE, days(D1, D2))
    assert store.read() == first
    store.write(frame(spark, first), TABLE, days(D1, D2))
    assert store.read() == first
    store.write(frame(spark, [(D2, "c", 4), (D3, "a", 5)]), TABLE, days(D2, D3))
    assert store.read() == [(D1, "a", 1), (D1, "b", 2), (D2, "c", 4), (D3, "a", 5)]
    store.write(frame(spark, [(D3, "z", 6)]), TABLE, days(D1, D3))
    assert store.read() == [(D2, "c", 4), (D3, "z", 6)]
    store.write(frame(spark, []), TABLE, days(D3))
    assert store.read() == [(D2, "c", 4)]


@pytest.mark.parametrize("store", ["lake", "parquet", "csv"], indirect=True)
def test_days_of_a_code_may_share_a_file(spark: SparkSession, store: Subject) -> None:
    table = replace(TABLE, replaces=("code", "day"), partitioned_by=("code",))

    def of(code: str, *wanted: date) -> Scope:
        return tuple({"code": code, "day": day} for day in wanted)

    store.write(frame(spark, [(D1, "a", 1), (D2, "a", 2), (D3, "a", 3)]), table, of("a", D1, D2, D3))
    store.write(frame(spark, [(D1, "b", 9)]), table, of("b", D1))
    store.write(frame(spark, [(D1, "a", 4)]), table, of("a", D1, D2))
    assert store.read() == [(D1, "a", 4), (D1, "b", 9), (D3, "a", 3)]
    store.write(frame(spark, [(D1, "a", 5), (D2, "b", 6)]), table, (*of("a", D1), *of("b", D2)))
    assert store.read() == [(D1, "a", 5), (D1, "b", 9), (D2, "b", 6), (D3, "a", 3)]
    store.write(frame(spark, []), table, of("b", D1, D2))
    assert store.read() == [(D1, "a", 5), (D3, "a", 3)]
    assert not list(store.place.glob("**/day=*"))


def test_a_write_that_dies_half_way_leaves_what_stood_before(spark: SparkSession, store: Subject) -> None:
    before: Rows = [(D1, "a", 1), (D2, "a", 2)]
    store.write(frame(spark, before), TABLE, days(D1, D2))
    broken = frame(spark, [(D1, "x", 9), (D2, "y", None)]).selectExpr(
        "day", "code", "IF(code = 'y', raise_error('dies'), count) AS count"
    )
    with pytest.raises(Exception, match="dies"):
        store.write(broken, TABLE, days(D1, D2))
    assert store.read() == before
    store.write(frame(spark, [(D1, "n", 7)]), TABLE, days(D1, D2))
    assert store.read() == [(D1, "n", 7)]


def test_a_reader_sees_one_version_or_the_other(spark: SparkSession, store: Subject) -> None:
    versions: list[Rows] = [[(D1, f"{name}{n}", n) for n in range(50)] for name in "ab"]
    store.write(frame(spark, versions[0]), TABLE, days(D1))
    seen: list[Rows] = []
    stop = threading.Event()

    def keep_reading() -> None:
        while not stop.is_set():
            seen.append(store.read())

    reader = threading.Thread(target=keep_reading)
    reader.start()
    try:
        for n in range(4):
            store.write(frame(spark, versions[1 - n % 2]), TABLE, days(D1))
    finally:
        stop.set()
        reader.join()
    assert seen
    assert all(one in [sorted(rows, key=str) for rows in versions] for one in seen)


NASTY = [
    "a,b",
    'say "x"',
    "two\nlines",
    "\\N",
    "\\",
    "NULL",
    " lead",
    "trail ",
    "ÄÖ😀",
    "'",
    "\t",
    "x\r\ny",
    '"',
    "a;b|c",
]


def test_every_value_survives_every_reader(spark: SparkSession, store: Subject) -> None:
    rows: Rows = [(D1, text, None if n % 2 else 2**62 + n) for n, text in enumerate(NASTY)]
    store.write(frame(spark, rows), TABLE, days(D1))
    expected = sorted(rows, key=str)
    assert store.read() == expected
    if store.place.parent.name == "csv":
        options = CSV_OPTIONS | {"multiLine": "true"}
        found = spark.read.options(**options).schema("code STRING, count BIGINT").csv(str(store.place))
        assert sorted(((D1, row.code, row["count"]) for row in found.collect()), key=str) == expected
        (file,) = store.place.rglob("data.csv")
        frame_of_file = pd.read_csv(
            file, dtype={"code": "str", "count": "Int64"}, keep_default_na=False, na_values={"count": ""}
        )
        values = [
            (D1, code, None if pd.isna(count) else int(count)) for code, count in frame_of_file.itertuples(index=False)
        ]
        assert sorted(values, key=str) == expected
    if store.place.parent.name == "parquet":
        table = ds.dataset(store.place, partitioning="hive").to_table().to_pylist()
        assert sorted(((D1, row["code"], row["count"]) for row in table), key=str) == expected
        assert len(pd.read_parquet(store.place)) == len(expected)
        assert (
            sorted(
                (tuple(row) for row in spark.read.parquet(str(store.place)).select("day", "code", "count").collect()),
                key=str,
            )
            == expected
        )


def test_the_same_rows_make_the_same_files(spark: SparkSession, tmp_path: Path) -> None:
    rows: Rows = [(D1, f"c{n * 7919 % 100}", n) for n in range(100)]
    contents = []
    for n, order in enumerate((rows, rows[::-1])):
        output = FileSystem(spark, str(tmp_path / str(n)))
        Exports(output, "csv", "run").write(frame(spark, order).repartition(n + 1), TABLE, days(D1))
        contents.append((tmp_path / str(n) / "csv" / "t" / "day=2022-04-01" / "data.csv").read_bytes())
    assert contents[0] == contents[1]


def test_a_partition_is_one_file_and_nothing_is_left_beside_it(spark: SparkSession, tmp_path: Path) -> None:
    output = FileSystem(spark, str(tmp_path))
    Exports(output, "parquet", "run").write(
        frame(spark, [(D1, "a", 1), (D2, "b", 2)]).repartition(4), TABLE, days(D1, D2)
    )
    files = sorted(str(file.relative_to(tmp_path)) for file in (tmp_path / "parquet").rglob("*") if file.is_file())
    assert files == ["parquet/t/day=2022-04-01/data.parquet", "parquet/t/day=2022-04-02/data.parquet"]
    (tmp_path / "_staging" / "dead-run").mkdir(parents=True)
    sweep_staging(output)
    assert not (tmp_path / "_staging").exists()


def test_the_lake_refuses_rows_outside_of_the_scope(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, FileSystem(spark, str(tmp_path)))
    lake.write(frame(spark, [(D1, "a", 1)]), TABLE, days(D1))
    with pytest.raises(Exception, match="REPLACE_WHERE"):
        lake.write(frame(spark, [(D2, "a", 1)]), TABLE, days(D1))
    assert lake.read(TABLE, ({},)).count() == 1


def test_the_lake_reads_and_clears_by_scope(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, FileSystem(spark, str(tmp_path / "a `b` c")))
    assert lake.read(TABLE, days(D1)).count() == 0
    lake.clear(TABLE, days(D1))
    lake.write(frame(spark, [(D1, "a", 1), (D2, "b", 2)]), TABLE, days(D1, D2))
    assert [row.code for row in lake.read(TABLE, days(D2, D3)).collect()] == ["b"]
    lake.clear(TABLE, days(D2))
    assert [row.code for row in lake.read(TABLE, ({},)).collect()] == ["a"]
    assert lake.read(TABLE, ()).count() == 0


def test_a_table_of_another_version_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, FileSystem(spark, str(tmp_path)))
    lake.write(frame(spark, [(D1, "a", 1)]), TABLE, days(D1))
    columns: Any = (*TABLE.columns, Column("extra", "INT", ""))
    newer = Table(TABLE.name, TABLE.doc, columns, TABLE.grain, TABLE.replaces)
    with pytest.raises(SchemaError, match="made by another version, it differs in extra: move it away"):
        lake.read(newer, days(D1))
