"""What EMR on EC2 and EMR Serverless have in common: the files in S3, the release's Spark, and how a run ends."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from etl_spark.core.errors import EtlError, UsageError
from etl_spark.submit import package
from etl_spark.submit.submission import Submission

PYTHON = "/usr/bin/python3.11"
"""Both lines have it; emr-7's own python3 is 3.9."""

_DELTA = ("/usr/share/aws/delta/lib/delta-spark.jar", "/usr/share/aws/delta/lib/delta-storage.jar")
_REDSHIFT = "/usr/share/aws/redshift/jdbc/RedshiftJDBC.jar"
"""Where a release has the jars that are not shipped."""

CONF = {
    # With the catalog of Hive or Glue, Spark would ask it before any table. The jobs name tables by their places.
    "spark.sql.catalogImplementation": "in-memory"
}

Say = Callable[[str], None]


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """Raises EtlError, in a sentence, for what AWS or the way there refuses."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        raise EtlError(f"{what}: {told.get('Code', 'refused')}: {told.get('Message', error)}") from None
    except BotoCoreError as error:
        raise EtlError(f"{what}: {error}") from None


def spark_line(release: str) -> str:
    """The Spark line of an EMR release. Raises UsageError for one that has none of ours."""
    if re.match(r"emr-spark-8\.", release):
        return "4.0"
    if re.match(r"emr-7\.", release):
        return "3.5"
    raise UsageError(f"{release} has no Spark that this version runs on: use emr-spark-8 (Spark 4.0) or emr-7 (3.5)")


def packages(submission: Submission) -> list[str]:
    """The Maven coordinates of what no release has: drivers of other databases than Redshift."""
    there = ("org.apache.hadoop:", "com.amazon.redshift:")
    return [one for one in submission.packages if not one.startswith(there)]


def jars(submission: Submission) -> str:
    """For spark.jars: what the release has, and what the user names."""
    of_release = [*_DELTA, *([_REDSHIFT] if submission.loads_redshift else [])]
    return ",".join((*of_release, *submission.jars))


@dataclass(frozen=True)
class Place:
    """A folder in S3."""

    bucket: str
    prefix: str

    @classmethod
    def of(cls, uri: str, what: str) -> Place:
        found = re.fullmatch(r"s3a?://([a-z0-9][a-z0-9.-]+)/?(.*?)/*", uri)
        if not found:
            raise UsageError(f"{what} is a place in S3, s3://BUCKET/FOLDER, and not '{uri}'")
        return cls(found[1], found[2])

    def key(self, *names: str) -> str:
        return "/".join(part for part in (self.prefix, *names) if part)

    def uri(self, *names: str) -> str:
        return f"s3://{self.bucket}/{self.key(*names)}"


def folder_of(files: package.Package, code: Place) -> Place:
    """Where below `code` the package is, once upload() has put it there: told by its contents."""
    return Place(code.bucket, code.key(files.hash))


def upload(files: package.Package, to: Place, say: Say) -> None:
    """Puts the files there that are not there yet."""
    client = boto3.client("s3")
    with plain_errors(f"cannot upload to s3://{to.bucket}"):
        for name, content in files.files.items():
            key = to.key(name)
            if not _is_there(client, to.bucket, key, len(content)):
                say(f"uploading {name}, {len(content):,} bytes")
                client.put_object(Bucket=to.bucket, Key=key, Body=content)


def _is_there(client: Any, bucket: str, key: str, size: int) -> bool:
    try:
        return bool(client.head_object(Bucket=bucket, Key=key)["ContentLength"] == size)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
            return False
        raise


def token(request: Mapping[str, Any], ended: Sequence[str]) -> str:
    """The same for the same request, until a run of it has ended: submitting twice is one run, and a rerun is another.

    `ended` are the ids of the runs that have.
    """
    text = json.dumps([request, sorted(ended)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def going_on(states: Mapping[str, str], ends: Container[str]) -> list[str]:
    """The ids of those runs, of `states` by id, that have not ended."""
    return [run_id for run_id, state in states.items() if state not in ends]


class Service(Protocol):
    """EMR on EC2, or EMR Serverless: a cluster or an application there, and its runs.

    Whatever it is asked may raise EtlError.
    """

    release: str
    machine: str
    """Its processor, as wheels name it."""
    ends: Mapping[str, bool]
    """The last states of a run, and whether it has succeeded then."""

    def request(self, submission: Submission, code: Place) -> dict[str, Any]:
        """What the service is to be asked, but for what names this run."""

    def named(self, request: Mapping[str, Any], name: str, token: str, key: str) -> dict[str, Any]:
        """`request` as it is sent: for a run of that name, whose job's id ends in `key`."""

    def of_name(self, name: str) -> Mapping[str, str]:
        """The states of the runs of that name, by their ids."""

    def start(self, request: Mapping[str, Any]) -> str:
        """The id of the run."""

    def state(self, run_id: str) -> tuple[str, str]:
        """The state of a run, in the service's word, and what it says of it."""

    def cancel(self, run_id: str) -> None: ...

    def logs(self, run_id: str) -> str:
        """Where the logs of a run are, in words."""


def run(
    service: Service,
    submission: Submission,
    files: package.Package,
    code: Place,
    *,
    waiting: Waiting | None,
    dry_run: bool,
    say: Say,
) -> int:
    """Submits, and returns the exit code: the job's own where it is waited for."""
    output, there = Place.of(submission.output, "the output"), folder_of(files, code)
    request = service.request(submission, there)
    name = f"{submission.label} {token(request, ())[:10]}"
    states = service.of_name(name)
    active = going_on(states, service.ends)
    one_run = token(request, [run_id for run_id in states if run_id not in active])
    key = one_run[:12]
    named = service.named(request, name, one_run, key)
    if dry_run:
        print(json.dumps(named, indent=2))
        return 0
    if active:
        run_id = active[0]
        say(f"{run_id} is this run, and goes on already")
    else:
        upload(files, there, say)
        run_id = service.start(named)
        say(f"{run_id} is submitted: {name}")
    say(service.logs(run_id))
    if not waiting:
        return 0
    succeeded = wait(service, run_id, waiting, say)
    return exit_code(output, key, succeeded)


@dataclass(frozen=True)
class Waiting:
    """How to wait for a run: `seconds` at most, None for as long as it takes."""

    seconds: float | None
    cancels: bool
    pause: float = 10.0


def wait(service: Service, run_id: str, how: Waiting, say: Say) -> bool:
    """Shows each change of state, and returns whether the run succeeded.

    A run that takes too long is cancelled; one that is waited for no longer (Ctrl-C), if asked to.
    """
    started, last = time.monotonic(), ""
    try:
        while True:
            state, said = service.state(run_id)
            if state != last:
                say(f"{run_id} {state.lower()}{f': {said}' if said else ''}")
                last = state
            if state in service.ends:
                return service.ends[state]
            if how.seconds is not None and time.monotonic() - started > how.seconds:
                service.cancel(run_id)
                raise EtlError(f"{run_id} took longer than {how.seconds / 60:.0f} minutes, and was cancelled")
            time.sleep(how.pause)
    except KeyboardInterrupt:
        if not how.cancels:
            raise EtlError(f"interrupted: {run_id} goes on") from None
        service.cancel(run_id)
        raise EtlError(f"interrupted: {run_id} was cancelled") from None


def exit_code(output: Place, key: str, succeeded: bool) -> int:
    """The job's own, as the record of its run says, whose id ends in `key`; 1 where there is none, or it has no end."""
    client = boto3.client("s3")
    with plain_errors(f"cannot read the record in {output.uri('_runs')}"):
        found = [
            one["Key"]
            for page in client.get_paginator("list_objects_v2").paginate(
                Bucket=output.bucket, Prefix=f"{output.key('_runs')}/"
            )
            for one in page.get("Contents", ())
            if one["Key"].endswith(f"-{key}.json")
        ]
        if not found:
            return 1
        # A run that EMR has tried again leaves two; ids sort by time.
        record = json.loads(client.get_object(Bucket=output.bucket, Key=max(found))["Body"].read())
    code = record.get("exit_code")
    if record.get("error"):
        raise JobError(f"{record['run_id']}: {record['error']}", code if isinstance(code, int) else 1)
    # A driver that dies after its record is written has done its work; one that dies before leaves no code.
    return code if isinstance(code, int) and (code or succeeded) else 1


class JobError(EtlError):
    """The job has failed there, in its own words."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.exit_code = code or 1
