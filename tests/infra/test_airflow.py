"""The example DAG: its syntax, and the command that it makes. Airflow itself is no requirement of this project."""

from __future__ import annotations

import ast
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined

pytestmark = pytest.mark.default_spark

PATH = Path(__file__).parents[2] / "docs" / "airflow" / "etl_spark_daily.py"
TREE = ast.parse(PATH.read_text(encoding="utf-8"), feature_version=(3, 11))
CONSTANTS: dict[str, Any] = {
    target.id: ast.literal_eval(node.value)
    for node in TREE.body
    if isinstance(node, ast.Assign)
    for target in node.targets
    if isinstance(target, ast.Name)
}
VARIABLES = {
    "etl_spark_folder": "/opt/etl_spark",
    "etl_spark_application_id": "00abc",
    "etl_spark_job_role_arn": "arn:aws:iam::123456789012:role/job",
    "etl_spark_source": "s3://bucket/source",
    "etl_spark_output": "s3://bucket/output",
}


def command(job: str, start: datetime, end: datetime) -> list[str]:
    """The words that the shell is given for a data interval, by the templates' own engine."""
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    environment.filters["ds"] = lambda moment: moment.strftime("%Y-%m-%d")
    text = " ".join(CONSTANTS["COMMAND"].replace("JOB", job).split())
    rendered = environment.from_string(text).render(
        var={"value": VARIABLES}, data_interval_start=start, data_interval_end=end, macros={"timedelta": timedelta}
    )
    return shlex.split(rendered)


@pytest.mark.parametrize(
    ("start", "days", "first", "last"),
    [
        ((2022, 4, 1, 3), 1, "2022-04-01", "2022-04-01"),
        ((2024, 2, 29, 3), 1, "2024-02-29", "2024-02-29"),
        ((2022, 12, 31, 3), 1, "2022-12-31", "2022-12-31"),
        ((2022, 4, 4, 3), 7, "2022-04-04", "2022-04-10"),
    ],
)
def test_command_is_that_of_submit_with_the_days_of_the_interval(
    start: tuple[int, int, int, int], days: int, first: str, last: str
) -> None:
    moment = datetime(*start, tzinfo=UTC)
    assert command("viewing", moment, moment + timedelta(days=days)) == [
        *("cd", "/opt/etl_spark", "&&", "./scripts/submit.sh"),
        *("--target", "emr-serverless"),
        *("--application-id", "00abc"),
        *("--execution-role", "arn:aws:iam::123456789012:role/job"),
        *("--wait", "viewing"),
        *("--start-date", first),
        *("--end-date", last),
        *("--source", "s3://bucket/source/viewing"),
        *("--output", "s3://bucket/output"),
    ]


def test_jobs_are_entries_of_the_project() -> None:
    assert all((PATH.parents[2] / "jobs" / f"{job}.py").is_file() for job in CONSTANTS["JOBS"])


def test_dag_runs_one_at_a_time_by_data_intervals() -> None:
    [call] = [node for node in ast.walk(TREE) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DAG"]
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    assert ast.literal_eval(given["max_active_runs"]) == 1
    assert ast.literal_eval(given["catchup"]) is False
    assert ast.unparse(given["schedule"]) == "CronDataIntervalTimetable('0 3 * * *', timezone='UTC')"
    defaults = ast.unparse(given["default_args"])
    assert re.search(r"'retries': [1-9]", defaults)


def test_variables_are_those_of_the_page() -> None:
    page = PATH.parents[1].joinpath("airflow.md").read_text(encoding="utf-8")
    named = set(re.findall(r"var\.value\.(\w+)", CONSTANTS["COMMAND"]))
    assert named == set(VARIABLES) == set(re.findall(r"^\| `(etl_spark_\w+)` \|", page, re.M))
