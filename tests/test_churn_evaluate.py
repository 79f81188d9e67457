"""etl-spark churn evaluate: what it leaves in a lake, and what it says of one that it cannot use."""

from __future__ import annotations

import json
import random
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main
from etl_spark.core.errors import EtlError
from etl_spark.core.filesystem import FileSystem
from etl_spark.pipelines.churn.tables import CHURN_TRAINING
from etl_spark.stores.lake import Lake
from tests.pipelines.churn.test_evaluation import ASKED, SNAPSHOTS, customers, table

QUICK = '[churn]\nsource = ""\n[churn.evaluation]\nmax_trees = 2\n'


@pytest.fixture
def output(spark: SparkSession, tmp_path: Path) -> Path:
    """A lake with churn_training, but no record of a run yet."""
    output = tmp_path / "output"
    lake = Lake(spark, FileSystem(spark, str(output), EtlError))
    rows = table(spark, customers(random.Random(1), 100))
    lake.write(rows, CHURN_TRAINING, tuple({"snapshot_date": day} for day in SNAPSHOTS.values()))
    (tmp_path / "place.toml").write_text(QUICK)
    return output


def completed(output: Path, exit_code: int = 0) -> None:
    days = {"start_date": str(ASKED.start), "end_date": str(ASKED.end), "exit_code": exit_code}
    (output / "_runs").mkdir(exist_ok=True)
    (output / "_runs" / "churn-20240801T000000Z-abcdef.json").write_text(json.dumps(days))


def evaluated(output: Path, *options: str) -> int:
    return main(["churn", "evaluate", "--output", str(output), "--config", str(output.parent / "place.toml"), *options])


def test_an_evaluation_is_stored_exported_recorded_and_told(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    completed(output)
    # The first day is that of the first snapshot.
    assert evaluated(output, "--end-date", str(ASKED.end), "--sink", "csv") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"done: {ASKED}"
    assert said[1].split()[:5] == ["split", "model", "row_count", "churn_rate", "auc"]
    assert [line.split()[:2] for line in said[2:8:3]] == [
        ["test", "gradient_boosted_trees"],
        ["validation", "gradient_boosted_trees"],
    ]
    (record,) = (output / "_runs").glob("evaluate-churn-*.json")
    found = json.loads(record.read_text())
    assert (found["exit_code"], found["start_date"], found["end_date"]) == (0, str(ASKED.start), str(ASKED.end))
    days = ("--start-date", str(ASKED.start), "--end-date", str(ASKED.end))
    assert main(["publish", "churn", *days, "--output", str(output), "--sink", "parquet"]) == 0
    for name, rows in (("churn_evaluation", 6), ("churn_calibration", None)):
        place = f"{name}/start_date={ASKED.start}/end_date={ASKED.end}/data"
        with duckdb.connect() as sql:
            csv, parquet = (
                sql.execute(f"SELECT model, count(*) FROM '{output}/{one}/{place}.{one}' GROUP BY model").fetchall()
                for one in ("csv", "parquet")
            )
        assert sorted(csv) == sorted(parquet)
        assert len(csv) == 3
        assert rows in (None, sum(count for _, count in csv))


@pytest.mark.default_spark
@pytest.mark.parametrize(
    ("exit_code", "options", "complaint"),
    [
        (0, ["--start-date", "2025-01-01"], "has no rows of the asked range: run churn over it first"),
        (0, ["--start-date", "2024-05-01"], "churn_training has 0 rows of train, 50 is the least"),
        (1, [], "not all of 2024-04-01 to 2024-06-10 was completed by a run of churn"),
    ],
)
def test_a_lake_that_cannot_tell_is_left_as_it_was(
    output: Path, capsys: pytest.CaptureFixture[str], exit_code: int, options: list[str], complaint: str
) -> None:
    completed(output, exit_code)
    assert evaluated(output, *options) == 3
    assert complaint in capsys.readouterr().err
    assert [path.name for path in (output / "lake").iterdir()] == ["churn_training"]


@pytest.mark.parametrize("job", ["churn", "churn evaluate"])
def test_both_helps_name_their_options(capsys: pytest.CaptureFixture[str], job: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*job.split(), "--help"])
    said = capsys.readouterr().out
    assert f"usage: etl-spark {job} " in said
    assert ("--source" in said, "etl-spark churn evaluate" in said) == (job == "churn", True)
    assert [one for one in ("--start-date", "--output", "--sink", "--config", "--run-key") if one not in said] == []


def test_a_job_without_models_is_not_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["viewing", "evaluate"]) == 2
    assert "invalid choice: 'viewing evaluate'" in capsys.readouterr().err
