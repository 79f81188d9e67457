"""The sales job as far as a test needs it: what is made of the rest depends on that alone, and takes as long again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from etl_spark.cli import main
from etl_spark.core.step import Step
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.sales.pipeline import SALES
from etl_spark.pipelines.sales.tables import FACT_SALES


@contextmanager
def star_alone() -> Iterator[None]:
    """While it lasts, `etl-spark sales` makes nothing of fact_sales."""
    with _with(tuple(step for step in SALES.steps if FACT_SALES.name not in {one.of for one in step.inputs})):
        yield


@contextmanager
def extracts_alone() -> Iterator[None]:
    """While it lasts, `etl-spark sales` makes nothing of what it has read."""
    with _with(()):
        yield


def make_what_churn_takes(output: Path) -> None:
    """The star of the sample, and its posts, in the lake of `output`."""
    with star_alone():
        days = ("--start-date", "2024-01-01", "--end-date", "2024-07-31")
        assert main(["sales", *days, "--output", str(output), "--sink", "parquet"]) == 0
    assert main(["stream", "social", "--once", "--output", str(output)]) == 0


@contextmanager
def _with(steps: tuple[Step, ...]) -> Iterator[None]:
    pipeline = replace(SALES, steps=steps)
    made = {table.name for table in pipeline.tables}
    checks = tuple(check for check in SALES.checks if {one.of for one in check.inputs} <= made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PIPELINES, SALES.name, replace(pipeline, checks=checks))
        yield
