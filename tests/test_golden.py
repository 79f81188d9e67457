"""The sample end to end: committed results on both Spark lines, and the same numbers worked out in other ways."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from time import sleep

import duckdb
import pytest
from pyspark.sql import SparkSession

from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.table import Table
from etl_spark.pipelines.viewing.logs import REASONS
from etl_spark.pipelines.viewing.pipeline import VIEWING
from tests.committed import (
    DAYS,
    EXPORTED,
    SampleRun,
    assert_committed,
    assert_csv_holds_the_same,
    exported,
    golden,
    run_sample,
)
from tests.pipelines.viewing.log_lines import Verdict, frame, judge
from tests.places import SAMPLE
from tests.published import SINKS, Published
from tests.standalone import WORKERS, Cluster

TABLES = EXPORTED["viewing"]


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """On the default line by a cluster that loses a worker on the way: that changes no table."""
    folder = tmp_path_factory.mktemp("run")

    def lose_a_worker(cluster: Cluster, running: subprocess.Popen[str]) -> None:
        lake, lost = folder / "out put" / "lake", WORKERS[0]
        while running.poll() is None and not list(lake.glob("*/_delta_log/*.json")):
            sleep(0.05)
        assert cluster.tasks_done(lost)
        cluster.kill(lost)
        # The audit is written last.
        assert not (lake / "load_audit").exists()

    return run_sample("viewing", folder, lose_a_worker)


@pytest.fixture(scope="module")
def output(run: SampleRun) -> Path:
    return run.output


@pytest.mark.default_spark
def test_a_cluster_that_loses_a_worker_makes_it(run: SampleRun) -> None:
    run.assert_by_cluster()
    (log,) = (run.output / "_runs").glob("*.log")
    assert "Lost executor" in log.read_text()


@pytest.fixture
def sql() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_the_exports_are_the_committed_ones(output: Path, table: Table) -> None:
    assert_committed(output, "viewing", table)


@pytest.mark.default_spark
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_csv_and_parquet_hold_the_same(output: Path, table: Table) -> None:
    assert_csv_holds_the_same(output, "viewing", table)


@pytest.mark.default_spark
@pytest.mark.parametrize("sink", SINKS)
def test_a_warehouse_holds_the_same(
    sink: str, output: Path, published: Mapping[str, Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    published[sink].assert_holds_the_same(VIEWING, DAYS["viewing"], output, monkeypatch)


@pytest.mark.parametrize("table", VIEWING.tables, ids=lambda table: table.name)
def test_the_grain_is_unique(spark: SparkSession, output: Path, table: Table) -> None:
    stored = spark.read.format("delta").load(str(output / "lake" / table.name))
    assert stored.count() > 0
    assert stored.groupBy(*table.grain).count().where("count > 1").count() == 0


def sample_verdicts() -> Iterator[tuple[date, bytes, Verdict]]:
    for file in sorted((SAMPLE / "viewing").iterdir()):
        for line in frame(file.read_bytes()):
            verdict = judge(line)
            if verdict:
                yield date(int(file.stem[:4]), int(file.stem[4:6]), int(file.stem[6:])), line, verdict


def test_every_line_stands_where_an_independent_parser_puts_it(spark: SparkSession, output: Path) -> None:
    accepted: Counter[tuple[date, str, str]] = Counter()
    refused: Counter[tuple[date, str, bytes]] = Counter()
    for day, line, verdict in sample_verdicts():
        if verdict.reason is None:
            accepted[day, str(verdict.contract), str(verdict.category)] += verdict.seconds
        else:
            refused[day, verdict.reason, line] += 1
    lake = output / "lake"
    daily = spark.read.format("delta").load(str(lake / "viewing_daily")).collect()
    rejected = spark.read.format("delta").load(str(lake / "viewing_rejected")).collect()
    stored = Counter(
        {
            (row.log_date, row.contract, name): row[f"{name.lower()}_seconds"]
            for row in daily
            for name in ("TV", "Movie", "Child", "Relax", "Sport")
        }
    )
    assert +stored == accepted
    assert {(row.log_date, row.reason, bytes(row.line)): row.line_count for row in rejected} == refused


def test_the_sample_has_every_reason(output: Path, sql: duckdb.DuckDBPyConnection) -> None:
    found = {
        row[0]
        for row in sql.execute(f"SELECT DISTINCT reason FROM ({exported(output, LOAD_AUDIT, 'parquet')})").fetchall()
    }
    assert found == set(REASONS) - {"id_repeated"} | {"All", "mac_malformed"}
    ids = Counter(json.loads(line)["_id"] for _, line, verdict in sample_verdicts() if verdict.reason is None)
    assert max(ids.values()) == 2  # so that reject_repeated_ids finds some, too


def test_the_profile_is_what_duckdb_works_out(output: Path, sql: duckdb.DuckDBPyConnection) -> None:
    statement = (golden("viewing") / "viewing_profile.sql").read_text()
    expected = sql.execute(statement, {"logs": str(SAMPLE / "viewing" / "*.json"), "days_asked": 30}).fetchall()
    found = sql.execute(exported(output, TABLES["viewing_profile"], "parquet")).fetchall()
    assert len(found) > 1_000
    assert [row[2:] for row in found] == expected


def test_the_roll_ups_are_what_duckdb_makes_of_the_profile(output: Path, sql: duckdb.DuckDBPyConnection) -> None:
    profile = exported(output, TABLES["viewing_profile"], "parquet")
    expected = sql.execute(
        f"""
        SELECT DATE '2022-04-01', DATE '2022-04-30', coalesce(segment, 'All') AS segment, count(*), sum(total_seconds),
               round(sum(total_seconds)::DECIMAL(38, 10) / count(*), 2)::DECIMAL(18, 2),
               round(sum(total_seconds)::DECIMAL(38, 10) / (count(*) * 4), 2)::DECIMAL(18, 2),
               round(sum(total_seconds)::DECIMAL(38, 10) / (count(*) * 28), 2)::DECIMAL(18, 2),
               round(sum(total_seconds)::DECIMAL(38, 10) / sum(active_days), 2)::DECIMAL(18, 2), 30, 30
        FROM ({profile}) GROUP BY GROUPING SETS ((segment), ()) ORDER BY ALL
        """
    ).fetchall()
    assert sql.execute(exported(output, TABLES["viewing_summary"], "parquet")).fetchall() == expected
    statistics = exported(output, TABLES["viewing_statistics"], "parquet")
    daily_total = sql.execute(f"SELECT sum(total_seconds) FROM ({statistics}) WHERE category = 'All'").fetchone()
    assert daily_total == (next(row[4] for row in expected if row[2] == "All"),)


def test_the_run_leaves_its_record(output: Path) -> None:
    (file,) = (output / "_runs").glob("viewing-*.json")
    record = json.loads(file.read_text())
    assert (record["exit_code"], record["error"], record["pipeline"]) == (0, None, "viewing")
    assert (record["start_date"], record["end_date"]) == ("2022-04-01", "2022-04-30")
    assert (record["days_asked"], record["days_found"], len(record["days_read"])) == (30, 30, 30)
    total = record["total"]
    verdicts = [verdict for _, _, verdict in sample_verdicts()]
    assert total["rows_in"] == len(verdicts) == total["rows_accepted"] + total["rows_rejected"]
    assert total["seconds_in"] == sum(verdict.seconds for verdict in verdicts)
    assert total["rejected"] == Counter(verdict.reason for verdict in verdicts if verdict.reason)
    assert record["times"]["viewing_profile"] > 0
    log = file.with_suffix(".log").read_text().splitlines()
    ours = [json.loads(line) for line in log if line.startswith('{"time": ')]
    assert ours
    assert {line["run_id"] for line in ours} == {record["run_id"]}
