"""The churn sample end to end: committed results on both Spark lines, and all features worked out by DuckDB."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
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
    SampleRun,
    assert_committed,
    assert_csv_holds_the_same,
    committed_tables,
    exported,
    golden,
    run_again,
)
from tests.places import SAMPLE
from tests.published import SINKS, Published
from tests.short_jobs import activity_alone, make_what_churn_takes

EXPORTED = committed.EXPORTED["churn"]
WEEKS = ("--start-date", DAYS["churn"][0], "--end-date", "2024-06-10")


@pytest.fixture(scope="module")
def output(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("output")
    make_what_churn_takes(place)
    return place


@dataclass(frozen=True)
class History:
    """The run of the `whole` range; and, on the default line, the record of the `first` before it, and the kills."""

    kills: Sequence[Outcome]
    first: Mapping[str, Any]
    whole: SampleRun


@pytest.fixture(scope="module")
def history(output: Path, tmp_path_factory: pytest.TempPathFactory) -> History:
    """The whole range, in one run; on the default line by a cluster, after a run over the first weeks and two that die.

    The first dies when some of what came in is stored, the other between the datasets, or in the first exports.
    """
    folder = tmp_path_factory.mktemp("run")
    if pyspark.__version__ < "4":
        return History((), {}, run_again("churn", folder, SAMPLE, output))
    with activity_alone():
        assert main(["churn", *WEEKS, "--output", str(output), "--sink", "parquet"]) == 0
    (first,) = records(output)
    trial = Trial(output, ())
    kills = [trial.kill(kill, RANGE["churn"]) for kill in (Kill(commits=2, delay=0), Kill(commits=5, delay=2))]
    return History(kills, first, run_again("churn", folder, SAMPLE, output))


def records(output: Path) -> list[Mapping[str, Any]]:
    """Of the runs of the job, in their order."""
    return [json.loads(file.read_text()) for file in sorted((output / "_runs").glob("churn-*.json"))]


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


@pytest.mark.default_spark
@pytest.mark.parametrize("table", EXPORTED.values(), ids=EXPORTED)
def test_csv_and_parquet_hold_the_same(output: Path, history: object, table: Table) -> None:
    assert_csv_holds_the_same(output, "churn", table)


@pytest.mark.default_spark
def test_a_longer_range_costs_only_new_days(history: History) -> None:
    first, second = history.first, records(history.whole.output)[-1]
    assert len(first["days_read"]) == first["days_found"] == 160
    assert (len(second["days_read"]), second["days_found"]) == (14, 174)
    assert (first["extracts_read"][-1], second["extracts_read"]) == ("2024-05-31", [])


@pytest.mark.default_spark
def test_nothing_is_lost_or_doubled_when_the_job_is_killed(history: History) -> None:
    """The results that the other tests look at are of a run after two that died: see benchmarks/churn_faults.py."""
    assert [kill.was_running for kill in history.kills] == [True, True], "\n".join(map(str, history.kills))


@pytest.mark.default_spark
def test_a_cluster_makes_it(history: History) -> None:
    history.whole.assert_by_cluster()


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
