"""EMR on EC2 and EMR Serverless: what they are asked, compared with golden requests, and how a run ends.

By moto, and botocore holds each request to AWS' own model. Nothing runs there: runs get the states that a test gives.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from moto.emr.models import emr_backends
from moto.emrserverless.models import emrserverless_backends

from etl_spark.core.errors import EtlError, UsageError
from etl_spark.submit import aws
from etl_spark.submit.emr import Emr
from etl_spark.submit.emr_serverless import EmrServerless
from etl_spark.submit.package import Package
from etl_spark.submit.submission import Submission

pytestmark = pytest.mark.default_spark

GOLDEN = Path(__file__).parents[1] / "golden" / "submit"
ACCOUNT, REGION, BUCKET = "123456789012", "us-east-1", "bucket"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/job"
FILES = Package({"etl_spark.zip": b"code", "environment.tar.gz": b"packages", "viewing.py": b"entry"})
CODE = aws.Place(BUCKET, "code")
SUBMISSION = Submission(
    job="viewing",
    arguments=("--start-date", "2022-04-01", "--end-date", "2022-04-30", "--source", "s3://bucket/a 'b' \"c\""),
    label="etl_spark viewing 2022-04-01..2022-04-30",
    source="s3://bucket/a 'b' \"c\"",
    output="s3://bucket/output",
    place=Path("unused"),
    mapping=None,
    conf={"spark.sql.shuffle.partitions": "64", "spark.x": "a b"},
    jars=("s3://bucket/extra.jar",),
    packages=("com.amazon.redshift:redshift-jdbc42:1", "org.apache.hadoop:hadoop-aws:1", "org.mariadb.jdbc:m:1"),
    requires=(),
    loads_redshift=True,
    secrets={"mysql": "etl/mysql"},
)
KINDS = ("emr", "emr-serverless")


@pytest.fixture(autouse=True)
def account(aws_account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    # As moto has it, a run has succeeded at once.
    monkeypatch.setattr("moto.emrserverless.models.JOB_STATUS", "RUNNING")
    boto3.client("s3").create_bucket(Bucket=BUCKET)


def cluster(release: str = "emr-7.14.0", log_uri: str = "s3://bucket/logs/") -> str:
    client = boto3.client("emr")
    return str(
        client.run_job_flow(
            Name="cluster",
            ReleaseLabel=release,
            LogUri=log_uri,
            Instances={"KeepJobFlowAliveWhenNoSteps": True, "MasterInstanceType": "m5.xlarge", "InstanceCount": 1},
            JobFlowRole="x",
            ServiceRole="x",
        )["JobFlowId"]
    )


def application(release: str = "emr-spark-8.0.0", architecture: str = "X86_64") -> str:
    """moto makes none of a release like emr-spark-8.0.0, forgets the architecture, and lists runs from the first on."""
    made = boto3.client("emr-serverless").create_application(name="a", releaseLabel="emr-7.14.0", type="SPARK")
    backend = emrserverless_backends[ACCOUNT][REGION]
    backend.applications[made["applicationId"]].release_label = release
    backend.job_runs[made["applicationId"]] = []

    def remember(parsed: dict[str, Any], **_: Any) -> None:
        parsed["application"]["architecture"] = architecture

    boto3.setup_default_session()
    assert boto3.DEFAULT_SESSION
    boto3.DEFAULT_SESSION.events.register("after-call.emr-serverless.GetApplication", remember)
    return str(made["applicationId"])


def service_of(kind: str, log_uri: str = "s3://bucket/logs") -> aws.Service:
    if kind == "emr":
        return Emr(cluster(log_uri=log_uri), role=ROLE)
    return EmrServerless(application(), role=ROLE, log_uri=log_uri, minutes=30)


ENDED = {"emr": ("COMPLETED", "FAILED"), "emr-serverless": ("SUCCESS", "FAILED")}


def runs_of(kind: str) -> list[Any]:
    """The runs that moto has."""
    if kind == "emr":
        return [step for one in emr_backends[ACCOUNT][REGION].clusters.values() for step in one.steps]
    return [run for runs in emrserverless_backends[ACCOUNT][REGION].job_runs.values() for run in runs]


def request_of(kind: str) -> list[str]:
    """The job's arguments in the one request that was made."""
    (run,) = runs_of(kind)
    if kind == "emr":
        return list(run.args)
    return list(run.job_driver["sparkSubmit"]["entryPointArguments"])


@dataclass
class Said:
    """What was said, and what is to happen when a word is said."""

    on: dict[str, Callable[[], None]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        self.lines.append(text)
        for word, action in self.on.items():
            if word in text:
                action()


def submit(
    service: aws.Service,
    say: Said | None = None,
    waiting: aws.Waiting | None = None,
    submission: Submission = SUBMISSION,
) -> int:
    return aws.run(service, submission, FILES, CODE, waiting=waiting, dry_run=False, say=say or Said())


WAITING = aws.Waiting(seconds=30, cancels=False, pause=0.01)


def turn(kind: str, state: str, record: dict[str, Any] | None = None) -> Callable[[], None]:
    """The run ends in that state, and has left a record, with the key that it was given."""

    def act() -> None:
        (run,) = runs_of(kind)
        run.state = state
        if record is not None:
            arguments = request_of(kind)
            key = arguments[arguments.index("--run-key") + 1]
            leave_record(f"viewing-20260401T000000Z-{key}", record)

    return act


def leave_record(run_id: str, record: dict[str, Any]) -> None:
    body = json.dumps({"run_id": run_id, "error": None} | record)
    boto3.client("s3").put_object(Bucket=BUCKET, Key=f"output/_runs/{run_id}.json", Body=body)


@pytest.mark.parametrize("kind", KINDS)
def test_the_request_is_the_committed_one(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    service = service_of(kind)
    assert aws.run(service, SUBMISSION, FILES, CODE, waiting=None, dry_run=True, say=Said()) == 0
    printed = json.loads(capsys.readouterr().out)
    assert runs_of(kind) == []
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=BUCKET)
    # What moto draws by chance, and what follows from it.
    text = json.dumps(printed, indent=2) + "\n"
    own = [vars(service)["_id"], printed.get("clientToken", "-"), arguments_key(text), digest(text)]
    for value, name in zip(own, ("ID", "TOKEN", "KEY", "DIGEST"), strict=True):
        text = text.replace(value, name) if len(value) > 1 else text
    assert text == (GOLDEN / f"{kind}.json").read_text()


def arguments_key(text: str) -> str:
    return str(re.findall(r'"--run-key",\s*"(\w+)"', text)[0])


def digest(text: str) -> str:
    return str(re.findall(r"\.\.2022-04-30 (\w+)", text)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_unchanged_is_uploaded_once(kind: str) -> None:
    service, first, second = service_of(kind), Said(), Said()
    submit(service, first)
    assert sum("uploading" in line for line in first.lines) == 3
    submit(service, second, submission=replace(SUBMISSION, conf={}))
    assert [line for line in second.lines if "uploading" in line] == []
    assert len(runs_of(kind)) == 2
    keys = [one["Key"] for one in boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert {key.rpartition("/")[0] for key in keys} == {f"code/{FILES.hash}"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_submitted_again_while_it_goes_on_is_one_run(kind: str) -> None:
    service, again = service_of(kind), Said()
    submit(service)
    submit(service, again)
    assert len(runs_of(kind)) == 1
    assert "goes on already" in again.lines[0]
    turn(kind, ENDED[kind][0])()
    submit(service)
    assert len(runs_of(kind)) == 2


def test_the_token_is_the_same_until_a_run_has_ended() -> None:
    request = {"a": 1}
    assert aws.token(request, ()) == aws.token({"a": 1}, ())
    assert len({aws.token(request, ()), aws.token({"a": 2}, ()), aws.token(request, ["x"])}) == 3
    assert aws.token(request, ["x", "y"]) == aws.token(request, ["y", "x"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_waited_for_ends_with_the_jobs_own_code(kind: str) -> None:
    said = Said({"is submitted": turn(kind, ENDED[kind][0], {"exit_code": 0})})
    assert submit(service_of(kind), said, WAITING) == 0
    (logs,) = [line for line in said.lines if line.startswith("logs: s3://bucket/logs/")]
    assert runs_of(kind)[0].id in logs
    assert said.lines[-1].lower().endswith(ENDED[kind][0].lower())


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_that_fails_says_why_in_its_own_words(kind: str) -> None:
    record = {"exit_code": 3, "error": "no file of 2022-04-07"}
    said = Said({"is submitted": turn(kind, ENDED[kind][1], record)})
    with pytest.raises(EtlError, match="no file of 2022-04-07") as error:
        submit(service_of(kind), said, WAITING)
    assert error.value.exit_code == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("record", [None, {"exit_code": None}])
def test_a_run_without_a_record_or_an_end_is_a_failure(kind: str, record: dict[str, Any] | None) -> None:
    leave_record("viewing-20260401T000000Z-ffffffffffff", {"exit_code": 0})
    said = Said({"is submitted": turn(kind, ENDED[kind][1], record)})
    assert submit(service_of(kind), said, WAITING) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_takes_too_long_is_cancelled(kind: str) -> None:
    service = service_of(kind)
    cancelled: list[str] = []
    watch_cancel(service, cancelled)
    with pytest.raises(EtlError, match="took longer than 0 minutes, and was cancelled"):
        submit(service, None, replace(WAITING, seconds=0.0))
    assert cancelled == [runs_of(kind)[0].id]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cancels", [True, False])
def test_a_run_is_cancelled_by_ctrl_c_if_that_was_asked(kind: str, cancels: bool) -> None:
    service = service_of(kind)
    cancelled: list[str] = []
    watch_cancel(service, cancelled)
    said = Said({"is submitted": lambda: signal.setitimer(signal.ITIMER_REAL, 0.1) and None})
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(EtlError, match="was cancelled" if cancels else "goes on"):
            submit(service, said, replace(WAITING, cancels=cancels))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert cancelled == ([runs_of(kind)[0].id] if cancels else [])


def watch_cancel(service: aws.Service, cancelled: list[str]) -> None:
    """moto does not know CancelSteps: what would be sent is taken down, with AWS' model behind it, and answered."""
    client = vars(service)["_client"]
    if isinstance(service, EmrServerless):
        client.meta.events.register(
            "before-parameter-build.emr-serverless.CancelJobRun",
            lambda params, **_: cancelled.append(params["jobRunId"]),
        )
        return

    def answer(params: dict[str, Any], **_: Any) -> Any:
        asked = json.loads(params["body"])
        cancelled.extend(asked["StepIds"])
        return AWSResponse("", 200, {}, None), {
            "CancelStepsInfoList": [{"StepId": cancelled[0], "Status": "SUBMITTED"}]
        }

    client.meta.events.register("before-call.emr.CancelSteps", answer)


def test_a_step_whose_answer_was_lost_is_not_added_twice() -> None:
    service = service_of("emr")
    client = vars(service)["_once"]
    lost: list[str] = []

    def lose(**_: Any) -> None:
        if not lost:
            lost.append("answer")
            raise ConnectionClosedError(endpoint_url="emr")

    client.meta.events.register("after-call.emr.AddJobFlowSteps", lose)
    assert submit(service) == 0
    assert lost == ["answer"]
    assert len(runs_of("emr")) == 1


def test_a_connection_that_is_lost_before_the_step_is_added_is_an_error() -> None:
    service = service_of("emr")

    def lose(**_: Any) -> None:
        raise ConnectionClosedError(endpoint_url="emr")

    vars(service)["_once"].meta.events.register("before-send.emr.AddJobFlowSteps", lose)
    with pytest.raises(EtlError, match="does not take the step: Connection was closed"):
        submit(service)


def test_no_such_cluster_or_application() -> None:
    with pytest.raises(EtlError, match="cannot use the cluster j-NONE: InvalidRequestException"):
        Emr("j-NONE", role="")
    with pytest.raises(EtlError, match="cannot use the application none: ResourceNotFoundException"):
        EmrServerless("none", role=ROLE, log_uri="", minutes=None)
    with pytest.raises(UsageError, match="--execution-role"):
        EmrServerless(application(), role="", log_uri="", minutes=None)


def test_a_cluster_that_has_ended_takes_no_step() -> None:
    one = cluster()
    boto3.client("emr").terminate_job_flows(JobFlowIds=[one])
    with pytest.raises(UsageError, match=r"is terminat.*: it takes no more steps"):
        Emr(one, role="")


def test_what_is_denied_is_said_in_a_sentence() -> None:
    other = EmrServerless(application(), role=ROLE.replace(ACCOUNT, "999999999999"), log_uri="", minutes=None)
    with pytest.raises(EtlError, match="does not take the run: AccessDeniedException: ") as error:
        submit(other)
    assert "\n" not in str(error.value)
    with pytest.raises(EtlError, match="cannot upload to s3://nowhere: NoSuchBucket"):
        aws.run(service_of("emr"), SUBMISSION, FILES, aws.Place("nowhere", ""), waiting=None, dry_run=False, say=Said())


@pytest.mark.parametrize(
    ("release", "line"), [("emr-spark-8.0.0", "4.0"), ("emr-7.14.0", "3.5"), ("emr-6.15.0", None), ("emr-8.0.0", None)]
)
def test_a_release_tells_its_spark(release: str, line: str | None) -> None:
    if line:
        assert aws.spark_line(release) == line
    else:
        with pytest.raises(UsageError, match="use emr-spark-8"):
            aws.spark_line(release)


def test_an_application_tells_its_release_and_processor() -> None:
    one = EmrServerless(application("emr-7.14.0", "ARM64"), role=ROLE, log_uri="", minutes=None)
    assert (one.release, one.machine) == ("emr-7.14.0", "aarch64")
    assert "EMR keeps the logs" in one.logs("run")
    assert "keeps no logs in S3" in Emr(cluster(log_uri=""), role="").logs("step")


@pytest.mark.parametrize("uri", ["/a", "s3:/b", "s3://", "s3://b c/x", "hdfs://b/x"])
def test_a_place_is_in_s3(uri: str) -> None:
    with pytest.raises(UsageError, match="the output is a place in S3"):
        aws.Place.of(uri, "the output")
    assert aws.Place.of("s3a://bucket/a/b/", "x").uri("c") == "s3://bucket/a/b/c"
    assert aws.Place.of("s3://bucket", "x").uri("c") == "s3://bucket/c"
