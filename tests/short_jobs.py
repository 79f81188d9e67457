"""Jobs as far as a test needs them: what is made of the rest depends on that alone, and takes as long again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from etl_spark.cli import main
from etl_spark.core.step import Pipeline, Step
from etl_spark.core.table import Table
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.churn.pipeline import CHURN
from etl_spark.pipelines.churn.tables import CUSTOMER_ACTIVITY_DAILY
from etl_spark.pipelines.sales.pipeline import SALES
from etl_spark.pipelines.sales.tables import FACT_SALES


@contextmanager
def star_alone() -> Iterator[None]:
    """While it lasts, `etl-spark sales` makes nothing of fact_sales."""
    with _with(SALES, _steps_without(SALES, FACT_SALES)):
        yield


@contextmanager
def extracts_alone() -> Iterator[None]:
    """While it lasts, `etl-spark sales` makes nothing of what it has read."""
    with _with(SALES, ()):
        yield


@contextmanager
def activity_alone() -> Iterator[None]:
    """While it lasts, `etl-spark churn` makes nothing of customer_activity_daily."""
    with _with(CHURN, _steps_without(CHURN, CUSTOMER_ACTIVITY_DAILY)):
        yield


def make_what_churn_takes(output: Path) -> None:
    """The star of the sample, and its posts, in the lake of `output`."""
    with star_alone():
        days = ("--start-date", "2024-01-01", "--end-date", "2024-07-31")
        assert main(["sales", *days, "--output", str(output), "--sink", "parquet"]) == 0
    assert main(["stream", "social", "--once", "--output", str(output)]) == 0


def _steps_without(pipeline: Pipeline, last: Table) -> tuple[Step, ...]:
    """Those that read nothing of the table `last`."""
    return tuple(step for step in pipeline.steps if last.name not in {one.of for one in step.inputs})


@contextmanager
def _with(pipeline: Pipeline, steps: tuple[Step, ...]) -> Iterator[None]:
    short = replace(pipeline, steps=steps)
    made = {table.name for table in (*short.tables, *short.upstream_tables)}
    checks = tuple(check for check in pipeline.checks if {one.of for one in check.inputs} <= made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PIPELINES, pipeline.name, replace(short, checks=checks))
        yield
