"""Tables of a real PostgreSQL and a real MariaDB: what they hold comes as its text, of the asked days, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import pytest
from pyspark.sql import Row, SparkSession

from etl_spark.config import Config, Credentials
from etl_spark.core.database import Database, parse_database
from etl_spark.core.dates import DateRange
from etl_spark.core.errors import EngineError, InputError, UsageError
from etl_spark.core.extract import Extract, Through
from etl_spark.core.settings import JdbcReading
from etl_spark.core.table import Column
from etl_spark.sources.jdbc_extracts import JdbcExtracts
from tests.databases import Server

JANUARY = DateRange(date(2024, 1, 1), date(2024, 1, 31))
MARCH = date(2024, 3, 31)


def text(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "VARCHAR(99)", "") for name in names)


SHOPS = Extract("shops", "", text("code", "is_open", "rate"), key=("code",))
SALES = Extract("sales", "", text("id", "at", "amount"), key=("id",), day="at")
NOTES = Extract("notes", "", text("id", "at"), key=("id",), day="at", through=(Through("sales", "id"),))
EXTRACTS = (SHOPS, SALES, NOTES)

POSTGRESQL = """
CREATE TABLE shops (code text, is_open boolean, rate numeric(40, 20), secret text);
INSERT INTO shops VALUES ('a', true, 12345678901234567890.12345678901234567890, 'geheim');
INSERT INTO shops VALUES ('b''"\\ß😀', false, NULL, 'geheim');
CREATE TABLE sales (id int PRIMARY KEY, at timestamptz, amount numeric(9, 2));
INSERT INTO sales SELECT n, timestamptz '2023-12-31 12:00:00+00' + n * interval '12 hours', n
    FROM generate_series(0, 99) n;
INSERT INTO sales VALUES (100, NULL, 1), (-5, '2024-01-31 23:59:59.999999+00', 1), (101, '2024-02-01 00:30:00+01', 1);
INSERT INTO sales VALUES (102, NULL, 1), (104, '2024-01-30 00:00:00+00', 1);
CREATE TABLE notes (id int, at timestamptz);
INSERT INTO notes VALUES (3, '2024-05-01'), (90, '2024-05-01'), (500, '2024-01-05 10:00:00+00');
INSERT INTO notes VALUES (NULL, '2024-01-05 10:00:00+00');
"""
MARIADB = r"""
SET sql_mode = '';
CREATE TABLE shops (code varchar(20), is_open tinyint(1), rate decimal(40, 20), secret text);
INSERT INTO shops VALUES ('a', 2, 12345678901234567890.12345678901234567890, 'geheim');
INSERT INTO shops VALUES ('b\'"\\ß😀', 0, NULL, 'geheim');
CREATE TABLE sales (id int PRIMARY KEY, at datetime(6), amount decimal(9, 2));
INSERT INTO sales SELECT seq, timestamp'2023-12-31 12:00:00' + interval seq * 12 hour, seq FROM seq_0_to_99;
INSERT INTO sales VALUES (100, NULL, 1), (-5, '2024-01-31 23:59:59.999999', 1), (101, '2024-01-31 23:30:00', 1);
INSERT INTO sales VALUES (102, '0000-00-00 00:00:00', 1), (103, '2024-01-00 00:00:00', 1);
INSERT INTO sales VALUES (104, '2024-01-30 00:00:00', 1);
CREATE TABLE notes (id int, at datetime);
INSERT INTO notes VALUES (3, '2024-05-01'), (90, '2024-05-01'), (500, '2024-01-05 10:00:00');
INSERT INTO notes VALUES (NULL, '2024-01-05 10:00:00');
"""


FILLED = {"postgresql": POSTGRESQL, "mariadb": MARIADB}


@pytest.fixture(scope="module", params=FILLED)
def source(request: pytest.FixtureRequest, spark: SparkSession, databases: Mapping[str, Server]) -> JdbcExtracts:
    server = databases[request.param]
    server.create("reading")
    server.run(FILLED[server.kind], "reading")
    if server.kind == "postgresql":
        server.run("ALTER DATABASE reading SET timezone = 'Asia/Tokyo'")
    how = JdbcReading(fetch_size=10, partitions=3)
    user = Credentials(server.user, server.password)
    return JdbcExtracts(spark, parse_database(server.url("reading")), user, EXTRACTS, how)


def read(source: JdbcExtracts, extract: Extract) -> list[Row]:
    ((file,),) = ([one.file for one in source.find(extract, JANUARY)],)
    rows = source.read(extract, [(file, MARCH)], JANUARY)
    assert rows.columns == ["extract_date", "file", "malformed", *extract.column_names]
    return rows.collect()


def test_a_whole_table_comes_as_the_text_of_its_values(source: JdbcExtracts) -> None:
    rows = sorted(read(source, SHOPS), key=str)
    assert {(row.extract_date, row.file, row.malformed) for row in rows} == {(MARCH, "shops", None)}
    assert [(row.code, row.rate) for row in rows] == [
        ("a", "12345678901234567890.12345678901234567890"),
        ("b'\"\\ß😀", None),
    ]
    assert [row.is_open for row in rows] in (["true", "false"], ["2", "0"])
    assert "geheim" not in str(rows)


def test_the_asked_days_come_once_and_rows_without_a_day_too(source: JdbcExtracts) -> None:
    rows = read(source, SALES)
    ids = [int(row.id) for row in rows]
    assert sorted(ids) == sorted({*range(1, 63), -5, 100, 101, 102, 104})
    at = {int(row.id): row["at"] for row in rows}
    assert at[100] is None
    assert at[102] in (None, "0000-00-00 00:00:00.000000")
    assert at[1].startswith("2024-01-01 00:00:00")
    assert at[-5].startswith("2024-01-31 23:59:59.999999")


def test_a_table_is_read_in_slices(source: JdbcExtracts) -> None:
    (file,) = (one.file for one in source.find(SALES, JANUARY))
    assert source.read(SALES, [(file, MARCH)], JANUARY).rdd.getNumPartitions() == 3
    by_day = Extract("sales", "", SALES.columns, key=("amount", "at"), day="at")
    assert source.read(by_day, [(file, MARCH)], JANUARY).rdd.getNumPartitions() == 3
    assert sorted(row.id for row in read(source, by_day)) == sorted(row.id for row in read(source, SALES))


def test_rows_that_go_with_the_asked_ones_come_too(source: JdbcExtracts) -> None:
    assert sorted(str(row.id) for row in read(source, NOTES)) == ["3", "500", "None"]


@pytest.mark.parametrize(
    ("extract", "complaint"),
    [
        (Extract("shop", "", text("code"), key=("code",)), "has no table shop, it has notes, sales, shops"),
        (Extract("shops", "", text("code", "city"), key=("code",)), "shops has no column city, it has code, is_open"),
    ],
)
def test_what_is_not_there_is_named(source: JdbcExtracts, extract: Extract, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        source.find(extract, JANUARY)


def test_a_refused_login_is_one_line_without_the_password(
    spark: SparkSession, databases: Mapping[str, Server], capfd: pytest.CaptureFixture[str]
) -> None:
    for kind in ("postgresql", "mariadb"):
        database = parse_database(databases[kind].url("etl"))
        source = JdbcExtracts(spark, database, Credentials("etl", "geheim"), EXTRACTS, JdbcReading(10, 1))
        with pytest.raises(InputError, match="cannot read from jdbc:") as raised:
            source.find(SHOPS, JANUARY)
        assert "geheim" not in str(raised.value)
        assert "\n" not in str(raised.value)
    assert "geheim" not in "".join(capfd.readouterr())


def test_a_missing_driver_and_a_silent_server_are_said(spark: SparkSession) -> None:
    def find(database: Database) -> None:
        JdbcExtracts(spark, database, Credentials("me", "geheim"), EXTRACTS, JdbcReading(10, 1)).find(SHOPS, JANUARY)

    nowhere = parse_database("jdbc:postgresql://127.0.0.1:1/etl")
    with pytest.raises(InputError, match=r"cannot read from jdbc:postgresql://127.0.0.1:1/etl: "):
        find(nowhere)
    with pytest.raises(EngineError, match=r"add --packages org.postgresql:postgresql:"):
        find(replace(nowhere, dialect=replace(nowhere.dialect, driver="org.example.Driver")))


def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETL_SPARK_SHOP_USER", "me")
    with pytest.raises(UsageError, match="set ETL_SPARK_SHOP_PASSWORD in the environment"):
        Config(None, {}, {}).credentials("shop")
    monkeypatch.setenv("ETL_SPARK_SHOP_PASSWORD", "geheim")
    found = Config(None, {}, {}).credentials("shop")
    assert found == Credentials("me", "geheim")
    assert "geheim" not in str(found)
