"""What the checks on real data share: where the data are, and the figures that a run of them prints at its end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.conftest import databases, spark

__all__ = ["databases", "spark"]

_FIGURES: list[str] = []


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with a folder for each data set: scripts/check_real_data.sh knows of it."""
    return Path(os.environ["ETL_SPARK_REAL_DATA"])


@pytest.fixture(scope="session", autouse=True)
def _session(spark: SparkSession) -> None:
    """The one that the tests have: its drivers cannot be added to a session that a run had begun."""


@pytest.fixture(scope="session")
def figures() -> list[str]:
    """Lines to print when all checks are done."""
    return _FIGURES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("figures")
    for line in _FIGURES:
        terminalreporter.write_line(line)
