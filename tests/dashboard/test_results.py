"""Results are read alike from files, MariaDB and the stand-in for Redshift, and never written; what fails is said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy

from etl_spark.core.errors import EtlError, UsageError
from etl_spark.dashboard import viewing
from etl_spark.dashboard.catalog import MADE_BY
from etl_spark.dashboard.queries import ranges
from etl_spark.dashboard.results import MissingTableError, ParquetResults, Place, Query, Results, SqlResults, parse_url
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.viewing.tables import CATEGORIES
from tests.dashboard.conftest import IN_REDSHIFT
from tests.dashboard.questions import APRIL, QUESTIONS, SECOND_HALF
from tests.dashboard.sample import Sample, write
from tests.databases import Server
from tests.places import ROOT

pytestmark = pytest.mark.default_spark


def plain(value: Any) -> Any:
    """What the engines write in different ways: 1 for true, 12.50 for 12.5, a moment in a zone."""
    match value:
        case bool() | int() | float() | Decimal():
            return round(float(value), 6)
        case datetime():
            return value.replace(tzinfo=None)
    return value


def told(results: Results, query: Query) -> list[tuple[tuple[str, Any], ...]]:
    rows = [tuple((name, plain(value)) for name, value in row.items()) for row in results.rows(query)]
    return rows if " ORDER BY " in query.sql else sorted(rows, key=str)


def test_mariadb_answers_all_questions_as_the_files_do(parquet: Results, mariadb: str, login: None) -> None:
    there = Place(url=mariadb).open()
    for name, question in QUESTIONS.items():
        expected = told(parquet, question)
        assert expected, name
        assert told(there, question) == expected, name
    assert ranges(there.rows, "viewing_profile") == ranges(parquet.rows, "viewing_profile")


def test_redshift_understands_all_questions(parquet: Results, redshift: str, login: None) -> None:
    """And answers those of the tables that have rows there."""
    there, answered = Place(url=redshift).open(), 0
    for name, question in QUESTIONS.items():
        found = told(there, question)
        if set(question.tables) <= set(IN_REDSHIFT):
            answered += 1
            assert found == told(parquet, question), name
    assert answered > 20


def test_days_of_a_contract_are_the_same(parquet: Results, mariadb: str, login: None) -> None:
    question = viewing.days_of_contract("CTH100091", APRIL)
    assert len(told(parquet, question)) == 17
    assert told(Place(url=mariadb).open(), question) == told(parquet, question)


def test_ranges_come_newest_first_and_the_whole_before_its_part(parquet: Results) -> None:
    assert [str(one) for one in ranges(parquet.rows, "viewing_profile")] == [
        "2022-04-01 to 2022-04-30",
        "2022-04-16 to 2022-04-30",
        "2022-04-01 to 2022-04-15",
    ]


@pytest.mark.parametrize("warehouse", ["mariadb", "redshift"])
def test_a_warehouse_is_never_written(warehouse: str, request: pytest.FixtureRequest, login: None) -> None:
    """Also by a user who may, and by a statement that no page has."""
    results = SqlResults(parse_url(request.getfixturevalue(warehouse)))
    for statement in ("DELETE FROM clv_model", "CREATE TABLE clv_copy (a INT)", "UPDATE clv_model SET status = ''"):
        with pytest.raises(EtlError, match=r"(?i)read.only"):
            results._rows(statement, {})
    assert results.rows(Query("SELECT COUNT(*) AS n FROM clv_model")) == [{"n": 1}]


def test_files_are_never_written_and_no_others_read(sample: Sample, tmp_path: Path) -> None:
    results = ParquetResults(sample.folder)
    with pytest.raises(UsageError):
        Query(f"COPY (SELECT 1) TO '{tmp_path}/x'")
    with pytest.raises(UsageError):
        Query("SELECT 1; SELECT 2")
    with pytest.raises(EtlError, match="disabled by configuration"):
        results.rows(Query(f"SELECT * FROM read_csv('{ROOT}/README.md')"))
    with pytest.raises(duckdb.Error, match="locked"):
        results._connection.execute("SET enable_external_access = true")


def test_a_value_is_never_part_of_the_statement(parquet: Results) -> None:
    wicked = "x' OR '1' = '1"
    assert parquet.rows(viewing.one_contract(wicked)) == []
    assert wicked not in viewing.one_contract(wicked).sql
    (row,) = parquet.rows(viewing.seconds_by_category(APRIL, viewing.Picked((wicked,), (), "'; DROP TABLE x --")))
    assert row["users"] == 0


def test_a_table_that_is_not_there_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(MissingTableError, match=r"viewing makes it, as in: \./scripts/submit\.sh viewing --start-date"):
        ParquetResults(tmp_path / "nowhere").rows(viewing.summary(APRIL))


def test_what_is_no_parquet_is_said_in_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "parquet" / "viewing_summary"
    folder.mkdir(parents=True)
    (folder / "data.parquet").write_text("this is none")
    with pytest.raises(EtlError, match=r"^the results in .* cannot be read: .*") as caught:
        ParquetResults(tmp_path).rows(viewing.summary(APRIL))
    assert "\n" not in str(caught.value)


def test_a_new_file_is_another_version_and_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl_spark.dashboard.results._LIVES_SECONDS", 0.0)
    table = next(one for one in PIPELINES["viewing"].tables if one.name == "viewing_statistics")
    results = ParquetResults(tmp_path)
    question = Query("SELECT v.category, v.viewer_count FROM viewing_statistics v ORDER BY v.category")
    with duckdb.connect() as sql:
        sql.execute(
            "CREATE TABLE viewing_statistics (log_date DATE, category VARCHAR, viewer_count BIGINT, "
            "total_seconds BIGINT)"
        )
        sql.execute("INSERT INTO viewing_statistics VALUES ('2022-04-01', 'TV', 3, 9)")
        write(sql, table, tmp_path)
        before = results.version(["viewing_statistics"])
        assert results.rows(question) == [{"category": "TV", "viewer_count": 3}]
        assert results.version(["viewing_statistics"]) == before
        sql.execute("INSERT INTO viewing_statistics VALUES ('2022-04-02', 'Movie', 5, 7)")
        write(sql, table, tmp_path)
    assert results.version(["viewing_statistics"]) != before
    assert [row["category"] for row in results.rows(question)] == ["Movie", "TV"]


def test_a_load_is_another_version(
    mariadb: str, databases: Mapping[str, Server], login: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl_spark.dashboard.results._LIVES_SECONDS", 0.0)
    results = Place(url=mariadb).open()
    before, other = results.version(["rfm"]), results.version(["clv"])
    assert "@" in before, "the ledger tells it, and not the clock"
    databases["mariadb"].run(
        "INSERT INTO etl_load VALUES ('again', 'run', 'rfm', 'all', 1, '2022-05-02 02:10:00')", "dashboard"
    )
    assert results.version(["rfm"]) != before
    assert results.version(["clv"]) == other


def test_who_may_only_read_needs_no_more(
    mariadb: str, databases: Mapping[str, Server], monkeypatch: pytest.MonkeyPatch, parquet: Results
) -> None:
    """The rights that the README asks for."""
    databases["mariadb"].run(
        "CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'canary-Pw1'; GRANT SELECT ON dashboard.* TO reader@'127.0.0.1'"
    )
    monkeypatch.setenv("ETL_SPARK_MYSQL_USER", "reader")
    monkeypatch.setenv("ETL_SPARK_MYSQL_PASSWORD", "canary-Pw1")
    question = viewing.summary(SECOND_HALF)
    assert told(Place(url=mariadb).open(), question) == told(parquet, question)
    monkeypatch.setenv("ETL_SPARK_MYSQL_PASSWORD", "canary-wrong")
    with pytest.raises(EtlError, match="Access denied") as caught:
        Place(url=mariadb).open().rows(question)
    assert "canary" not in str(caught.value)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MYSQL", "REDSHIFT"):
        monkeypatch.setenv(f"ETL_SPARK_{name}_USER", "me")
        monkeypatch.setenv(f"ETL_SPARK_{name}_PASSWORD", "canary-Pw1")
    for url in ("mysql+pymysql://127.0.0.1:1/etl", "redshift://127.0.0.1:1/etl"):
        with pytest.raises(EtlError, match=r"127\.0\.0\.1:1/etl does not answer") as caught:
            Place(url=url).open().rows(viewing.summary(APRIL))
        assert "canary" not in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql+pymysql://me:canary@host/db",
        "mysql+pymysql://me@host/db",
        "redshift://host/db?password=canary",
        "mysql+pymysql://host/db?local_infile=1",
        "sqlite:///canary.db",
        "mysql+pymysql://host",
        "postgresql://host/db",
    ],
)
def test_such_a_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(url)
    assert "canary" not in str(caught.value)


def test_a_warehouse_without_a_login_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ETL_SPARK_MYSQL_USER", raising=False)
    with pytest.raises(UsageError, match="ETL_SPARK_MYSQL_USER"):
        Place(url="mysql+pymysql://host/db").open()


def test_each_table_is_named_with_the_job_that_makes_it() -> None:
    for name, job in MADE_BY.items():
        if name != "load_audit":
            pipeline = PIPELINES[job.split()[0]]
            assert name in {table.name for table in (*pipeline.tables, *pipeline.evaluated_tables)}, name
    assert viewing.CATEGORIES == CATEGORIES


def test_no_spark_is_needed(sample: Sample, tmp_path: Path) -> None:
    """Neither to read, nor for the command: where pyspark cannot be imported, a report is written all the same."""
    code = (
        "import sys; sys.modules['pyspark'] = sys.modules['py4j'] = None\n"
        "from etl_spark.cli import main\n"
        "import etl_spark.dashboard.pages, etl_spark.dashboard.serve\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    output = tmp_path / "report.html"
    command = ["report", "viewing", "--results", str(sample.folder), "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        env={"PATH": "/nowhere", "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("viewing, 2022-04-01 to 2022-04-30: ")
    assert output.stat().st_size > 1_000_000


def test_the_dialect_is_sqlalchemys_own_way() -> None:
    assert sqlalchemy.URL.create("redshift+psycopg").get_dialect().__name__ == "_RedshiftDialect"


def test_days_are_days(parquet: Results) -> None:
    rows = parquet.rows(viewing.by_day(APRIL, ("TV",)))
    assert rows[0]["day"] == date(2022, 4, 1)
