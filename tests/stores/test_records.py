"""Which ranges of a job are complete, as the records of its runs tell."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import InputError
from etl_spark.core.filesystem import FileSystem
from etl_spark.stores.records import require_completed_run

APRIL = ("2022-04-01", "2022-04-30")
HALF = ("2022-04-15", "2022-04-30")
MAY = ("2022-05-01", "2022-05-31")

Record = tuple[str, tuple[str, str], int | None]


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ([("viewing", APRIL, 0)], None),
        ([("viewing", APRIL, 0), ("viewing", HALF, 0), ("viewing", MAY, 1), ("viewing", APRIL, 4)], None),
        ([("viewing", APRIL, 1), ("viewing", APRIL, 0)], None),
        ([("viewing", APRIL, 0), ("sales", APRIL, None)], None),
        ([], "has no completed run of viewing over 2022-04-01 to 2022-04-30: run it first"),
        ([("viewing", HALF, 0), ("viewing", MAY, 0), ("sales", APRIL, 0)], "has no completed run"),
        (
            [("viewing", APRIL, 0), ("viewing", HALF, 1)],
            "the last run of viewing over 2022-04-15 to 2022-04-30 did not",
        ),
        ([("viewing", APRIL, 0), ("viewing", APRIL, None)], "did not complete: run it again, then publish"),
    ],
)
def test_completed_runs(spark: SparkSession, tmp_path: Path, records: list[Record], complaint: str | None) -> None:
    runs = tmp_path / "_runs"
    runs.mkdir()
    for n, (pipeline, (start, end), code) in enumerate(records):
        text = json.dumps({"start_date": start, "end_date": end, "exit_code": code})
        (runs / f"{pipeline}-20260101T00000{n}Z-abc.json").write_text(text)
        (runs / f"publish-{pipeline}-20260101T00000{n}Z-abc.json").write_text("{}")
    asked = DateRange(*(date.fromisoformat(day) for day in APRIL))
    if complaint is None:
        require_completed_run(FileSystem(spark, str(tmp_path)), "viewing", asked)
    else:
        with pytest.raises(InputError, match=complaint):
            require_completed_run(FileSystem(spark, str(tmp_path)), "viewing", asked)
