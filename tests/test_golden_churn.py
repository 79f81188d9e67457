"""The churn sample end to end: committed results on both Spark lines, and all features worked out by DuckDB."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyspark
import pytest
from pyspark.sql import SparkSession
from textblob.en import sentiment

from benchmarks.churn_faults import Kill, Outcome, Trial
from etl_spark.cli import main
from etl_spark.core.table import Table
from etl_spark.pipelines.churn.pipeline import CHURN
from etl_spark.pipelines.churn.tables import CHURN_SCORING, CHURN_TRAINING
from tests import committed
from tests.churn_sources import posts, profiles, web_events
from tests.committed import (
    DAYS,
    RANGE,
    assert_committed,
    assert_csv_holds_the_same,
    committed_tables,
    exported,
    golden,
)
from tests.conftest import SAMPLE
from tests.published import SINKS, Published
from tests.standalone import WORKERS, standalone_cluster, submit
from tests.star import make_what_churn_takes

EXPORTED = committed.EXPORTED["churn"]
WEEKS = ("--start-date", DAYS["churn"][0], "--end-date", "2024-06-10")


@pytest.fixture(scope="module")
def output(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("output")
    make_what_churn_takes(place)
    return place


@dataclass(frozen=True)
class History:
    """What came before the run whose results are looked at, on the default line, and the records of completed runs."""

    kills: Sequence[Outcome]
    tasks: Sequence[int]
    records: Sequence[Mapping[str, Any]]


@pytest.fixture(scope="module")
def history(output: Path, tmp_path_factory: pytest.TempPathFactory) -> History:
    """The whole range, in one run; on the default line by a cluster, after a run over the first weeks and two that die.

    The first dies when some of what came in is stored, the other between the datasets, or in the first exports.
    """
    if pyspark.__version__ < "4":
        return History((), (), [completed(output, *RANGE["churn"])])
    first = completed(output, *WEEKS, "--sink", "parquet")
    trial = Trial(output, ())
    kills = [trial.kill(kill, RANGE["churn"]) for kill in (Kill(commits=2, delay=0), Kill(commits=5, delay=2))]
    folder = tmp_path_factory.mktemp("cluster")
    with standalone_cluster(folder / "machines") as cluster:
        cluster.write_place(folder / "place.toml", SAMPLE)
        whole = completed(output, *RANGE["churn"], "--config", str(folder / "place.toml"), by=submit)
        return History(kills, [cluster.tasks_done(worker) for worker in WORKERS], [first, whole])


def completed(output: Path, *options: str, by: Callable[..., subprocess.Popen[str]] | None = None) -> Mapping[str, Any]:
    """The record of a run, in this process, or in another one that `by` starts."""
    before = set((output / "_runs").glob("churn-*.json"))
    arguments = ("churn", *options, "--output", str(output))
    if by is None:
        assert main(arguments) == 0
    else:
        running = by(*arguments)
        _, stderr = running.communicate(timeout=900)
        assert running.returncode == 0, stderr[-3000:]
    (record,) = set((output / "_runs").glob("churn-*.json")) - before
    found: Mapping[str, Any] = json.loads(record.read_text())
    return found


@pytest.fixture(scope="module")
def sql(output: Path, history: object) -> Iterator[duckdb.DuckDBPyConnection]:
    """What the sources tell, and what was made of it."""
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        source = SAMPLE / "churn"
        post = posts(source / "social")
        post["sentiment"] = [None if text is None else round(sentiment(text)[0], 4) for text in post["text"]]
        for name, frame in (
            ("event", web_events(source / "web")),
            ("profile", profiles(source / "profiles")),
            ("post", post),
        ):
            times = [column for column in frame.columns if column.endswith("_at")]
            connection.register("frame", frame.assign(**{one: pd.to_datetime(frame[one], utc=True) for one in times}))
            days = ", ".join(f"{column}::DATE AS {column}" for column in frame.columns if column.endswith("_date"))
            stamps = ", ".join(f"{one} AT TIME ZONE 'UTC' AS {one}" for one in times)
            connection.execute(f"CREATE TABLE {name} AS SELECT * REPLACE ({days}, {stamps}) FROM frame")
        connection.execute(
            f"""
            CREATE TABLE line AS
            SELECT customer_id, order_id, order_date, coalesce(category, '(unknown)') AS category,
                quantity_sold AS quantity, line_item_total AS total
            FROM read_parquet('{output}/parquet/fact_sales/*/*.parquet', hive_partitioning = true)
            JOIN '{output}/parquet/dim_customer/data.parquet' USING (customer_key)
            JOIN '{output}/parquet/dim_product/data.parquet' USING (product_key)
            WHERE customer_key <> -1
            """
        )
        connection.execute(f"CREATE TABLE expected AS {(golden('churn') / 'features.sql').read_text()}")
        for table in EXPORTED.values():
            connection.execute(f"CREATE VIEW {table.name} AS {exported(output, table, 'parquet')}")
        yield connection


@pytest.mark.parametrize("table", [CHURN_TRAINING, CHURN_SCORING], ids=lambda table: table.name)
def test_every_feature_is_what_duckdb_works_out(sql: duckdb.DuckDBPyConnection, table: Table) -> None:
    names = [name for name in table.column_names if name != "split"]
    newest = "" if table is CHURN_TRAINING else "WHERE snapshot_date = DATE '2024-06-24'"

    def rows(source: str) -> list[tuple[Any, ...]]:
        return sql.execute(f"SELECT {', '.join(names)} FROM {source} ORDER BY snapshot_date, customer_id").fetchall()

    found, expected = rows(table.name), rows(f"(FROM expected {newest})")
    assert len(found) == len(expected) > 350
    differences = [
        (*row[:2], name, value, wanted)
        for row, other in zip(found, expected, strict=True)
        for name, value, wanted in zip(names, row, other, strict=True)
        if not is_same(value, wanted)
    ]
    assert differences == []


def is_same(value: Any, wanted: Any) -> bool:
    """A mean is stored with six decimals."""
    is_number = isinstance(value, float | Decimal) and isinstance(wanted, int | float | Decimal)
    return abs(float(value) - float(wanted)) <= 1e-6 if is_number else bool(value == wanted)


@pytest.mark.parametrize("table", committed_tables("churn"), ids=lambda table: table.name)
def test_the_exports_are_the_committed_ones(output: Path, history: object, table: Table) -> None:
    assert_committed(output, "churn", table)


@pytest.mark.parametrize("table", EXPORTED.values(), ids=EXPORTED)
def test_csv_and_parquet_hold_the_same(output: Path, history: object, table: Table) -> None:
    assert_csv_holds_the_same(output, "churn", table)


@pytest.mark.default_spark
def test_a_longer_range_costs_only_new_days(history: History) -> None:
    first, second = history.records
    assert len(first["days_read"]) == first["days_found"] == 160
    assert (len(second["days_read"]), second["days_found"]) == (14, 174)
    assert (first["extracts_read"][-1], second["extracts_read"]) == ("2024-05-31", [])


@pytest.mark.default_spark
def test_nothing_is_lost_or_doubled_when_the_job_is_killed(history: History) -> None:
    """The results that the other tests look at are of a run after two that died: see benchmarks/churn_faults.py."""
    assert [kill.was_running for kill in history.kills] == [True, True], "\n".join(map(str, history.kills))


@pytest.mark.default_spark
def test_both_workers_of_the_cluster_made_them(history: History) -> None:
    assert all(history.tasks)


@pytest.mark.default_spark
@pytest.mark.parametrize("sink", SINKS)
def test_a_warehouse_holds_the_same(
    sink: str,
    output: Path,
    history: object,
    published: Mapping[str, Published],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published[sink].assert_holds_the_same(CHURN, DAYS["churn"], output, monkeypatch, times=1)
