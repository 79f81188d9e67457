"""The daily run: its state machine's expressions, worked out by a JSONata of their own."""

from __future__ import annotations

from typing import Any

import jsonata
import pytest
from cfnlint.api import lint

from tests.infra.template import CODE_PREFIX, FULL, PATH, Parameters, Stack, raw

pytestmark = pytest.mark.default_spark

KNOWN = {
    "Bucket": {"Ref": "the-bucket", "Arn": "arn:aws:s3:::the-bucket"},
    "Application": {"Ref": "00abc"},
    "JobRole": {"Arn": "arn:aws:iam::123456789012:role/job"},
}
DAILY: Parameters = {"CodePrefix": CODE_PREFIX}


def definition(parameters: Parameters) -> dict[str, Any]:
    """The definition, with its substitutions, as CloudFormation hands it over."""
    properties = Stack(parameters, KNOWN).properties("DailyRun")
    substitutions = properties["DefinitionSubstitutions"]

    def substituted(node: Any) -> Any:
        match node:
            case dict():
                return {key: substituted(item) for key, item in node.items()}
            case list():
                return [substituted(item) for item in node]
            case str():
                for name, value in substitutions.items():
                    node = node.replace(f"${{{name}}}", str(value))
                assert "${" not in node
                return node
            case _:
                return node

    found: dict[str, Any] = substituted(properties["Definition"])
    return found


def evaluated(node: Any, states: dict[str, Any]) -> Any:
    """`node` as Step Functions evaluates it: all texts within {% %}, where $states is bound."""
    match node:
        case dict():
            return {key: evaluated(item, states) for key, item in node.items()}
        case list():
            return [evaluated(item, states) for item in node]
        case str() if node.startswith("{%") and node.endswith("%}"):
            expression = jsonata.Jsonata(node[2:-2])
            frame = expression.create_frame()
            frame.bind("states", states)
            value = expression.evaluate(None, frame)
            assert value is not None, "Step Functions fails where an expression has no value"
            return value
        case _:
            return node


def starts(scheduled_time: str | None, parameters: Parameters = DAILY, redrives: int = 0) -> list[dict[str, Any]]:
    """What StartJobRun is called with, in its order, by an execution for `scheduled_time`."""
    [each] = definition(parameters)["States"].values()
    execution = {"Execution": {"RedriveCount": redrives}}
    given = {"scheduled_time": scheduled_time} if scheduled_time else {}
    found = []
    for job in evaluated(each["Items"], {"input": given, "context": execution}):
        context = {**execution, "Map": {"Item": {"Value": job}}}
        item = evaluated(each["ItemSelector"], {"input": given, "context": context})
        task = each["ItemProcessor"]["States"]["Run"]
        found.append(evaluated(task["Arguments"], {"input": item, "context": execution}))
    return found


@pytest.mark.parametrize(
    ("scheduled_time", "yesterday"),
    [
        ("2022-04-16T03:00:00Z", "2022-04-15"),
        ("2022-05-01T03:00:00Z", "2022-04-30"),
        ("2023-01-01T03:00:00Z", "2022-12-31"),
        ("2024-03-01T03:00:00Z", "2024-02-29"),
        ("2023-03-01T03:00:00Z", "2023-02-28"),
        ("2100-03-01T03:00:00Z", "2100-02-28"),
        ("2000-03-01T03:00:00Z", "2000-02-29"),
        ("2022-04-16T00:00:00Z", "2022-04-15"),
        ("2022-04-16T23:59:59Z", "2022-04-15"),
        # Where clocks are put forward and back, a day of UTC has 24 hours all the same.
        ("2026-03-30T01:00:00Z", "2026-03-29"),
        ("2026-10-26T00:30:00Z", "2026-10-25"),
    ],
)
def test_yesterday(scheduled_time: str, yesterday: str) -> None:
    for start in starts(scheduled_time):
        arguments = start["JobDriver"]["SparkSubmit"]["EntryPointArguments"]
        assert arguments[:4] == ["--start-date", yesterday, "--end-date", yesterday]


def test_a_run_is_submitted_as_by_hand() -> None:
    [viewing] = starts("2022-04-16T03:00:00Z", {**DAILY, "Jobs": "viewing"})
    assert viewing == {
        "Name": "viewing-2022-04-15",
        "ClientToken": "viewing-2022-04-15-0",
        "ApplicationId": "00abc",
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/job",
        "ExecutionTimeoutMinutes": 360,
        "JobDriver": {
            "SparkSubmit": {
                "EntryPoint": f"{CODE_PREFIX}/viewing.py",
                "EntryPointArguments": [
                    "--start-date",
                    "2022-04-15",
                    "--end-date",
                    "2022-04-15",
                    "--source",
                    "s3://the-bucket/source/viewing",
                    "--output",
                    "s3://the-bucket/output",
                ],
                "SparkSubmitParameters": (
                    f"--py-files {CODE_PREFIX}/etl_spark.zip"
                    f" --conf spark.archives={CODE_PREFIX}/environment.tar.gz#environment"
                    " --conf spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON=/usr/bin/python3.11"
                    " --conf spark.emr-serverless.driverEnv.PYSPARK_PYTHON=/usr/bin/python3.11"
                    " --conf spark.emr-serverless.driverEnv.PYTHONPATH=environment"
                    " --conf spark.executorEnv.PYSPARK_PYTHON=/usr/bin/python3.11"
                    " --conf spark.executorEnv.PYTHONPATH=environment"
                    " --conf spark.jars=/usr/share/aws/delta/lib/delta-spark.jar,"
                    "/usr/share/aws/delta/lib/delta-storage.jar"
                    " --conf spark.sql.catalogImplementation=in-memory"
                ),
            }
        },
    }


def test_jobs_are_those_that_are_named_in_their_order() -> None:
    names = [start["Name"] for start in starts("2022-04-16T03:00:00Z", {**DAILY, "Jobs": "rental,viewing"})]
    assert names == ["rental-2022-04-15", "viewing-2022-04-15"]
    assert [start["Name"][:-11] for start in starts("2022-04-16T03:00:00Z")] == ["viewing", "sales", "rental"]


def test_source_elsewhere_and_further_arguments() -> None:
    parameters = {**FULL, "ExtraArguments": "--sink,redshift,--allow-missing-days"}
    arguments = starts("2022-04-16T03:00:00Z", parameters)[1]["JobDriver"]["SparkSubmit"]["EntryPointArguments"]
    assert arguments[4:] == [
        "--source",
        "s3://television-logs/raw/days/sales",
        "--output",
        "s3://the-bucket/output",
        "--sink",
        "redshift",
        "--allow-missing-days",
    ]


def test_one_day_and_job_is_one_run_however_often_it_is_started() -> None:
    first, again = starts("2022-04-16T03:00:00Z"), starts("2022-04-16T03:00:00Z")
    assert [start["ClientToken"] for start in first] == [start["ClientToken"] for start in again]
    # EMR Serverless refuses a token that comes back with something else.
    assert first == again


def test_other_days_other_jobs_and_redrives_are_other_runs() -> None:
    tokens = [
        start["ClientToken"]
        for day in ("2022-04-16", "2022-04-17")
        for redrives in (0, 1)
        for start in starts(f"{day}T03:00:00Z", redrives=redrives)
    ]
    assert len(set(tokens)) == len(tokens) == 12
    assert all(len(token) <= 64 for token in tokens)


def test_without_a_time_there_is_no_run() -> None:
    with pytest.raises(AssertionError, match="no value"):
        starts(None)


def test_jobs_run_one_after_the_other_and_a_failure_is_the_executions() -> None:
    found = definition(DAILY)
    [each] = found["States"].values()
    assert each["MaxConcurrency"] == 1
    [run] = each["ItemProcessor"]["States"].values()
    assert run["Resource"].endswith(":emr-serverless:startJobRun.sync")
    assert not {"Catch", "ToleratedFailurePercentage"} & {*each, *run}
    retried = {error for retry in run["Retry"] for error in retry["ErrorEquals"]}
    assert not {error for error in retried if error.startswith("States.")}


def test_an_execution_is_over_before_the_next_one_begins() -> None:
    slot = raw()["Parameters"]["JobTimeoutMinutes"]
    jobs = raw()["Parameters"]["Jobs"]["AllowedValues"]
    assert len(jobs) * slot["MaxValue"] * 60 < definition(DAILY)["TimeoutSeconds"] < 24 * 60 * 60


def test_schedule_hands_over_when_it_was_to_fire() -> None:
    schedule = Stack(DAILY).properties("Schedule")
    assert schedule["ScheduleExpressionTimezone"] == "UTC"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule["Target"]["Input"] == '{"scheduled_time": "<aws.scheduler.scheduled-time>"}'
    assert schedule["Target"]["Arn"] == "dailyrun"


def test_linter_reads_the_definition() -> None:
    """So that its silence over the template says something of the state machine too."""
    broken = PATH.read_text(encoding="utf-8").replace("StartAt: EachJob", "StartAt: Nothing")
    assert lint(broken, regions=["us-east-1"])
