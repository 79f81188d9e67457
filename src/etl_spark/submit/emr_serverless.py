"""EMR Serverless: a job run of an application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3

from etl_spark.core.errors import UsageError
from etl_spark.submit import aws, package
from etl_spark.submit.submission import Submission


class EmrServerless:
    """An application. Raises EtlError where there is none that could run a job.

    Jobs run as `role`; their logs go to `log_uri`, a place in S3, or stay with EMR if it is empty. The service ends
    a run that takes longer than `minutes`.
    """

    ends: Mapping[str, bool] = {"SUCCESS": True, "FAILED": False, "CANCELLED": False}

    def __init__(self, application_id: str, *, role: str, log_uri: str, minutes: int | None) -> None:
        if not role:
            raise UsageError("EMR Serverless runs a job as a role: --execution-role ARN")
        self._id, self._role, self._log_uri, self._minutes = application_id, role, log_uri, minutes
        self._client = boto3.client("emr-serverless")
        with aws.plain_errors(f"cannot use the application {application_id}"):
            found = self._client.get_application(applicationId=application_id)["application"]
        self.release = str(found["releaseLabel"])
        self.machine = "aarch64" if found.get("architecture") == "ARM64" else "x86_64"

    def request(self, submission: Submission, code: aws.Place) -> dict[str, Any]:
        packages = aws.packages(submission)
        variables = {
            "PYSPARK_PYTHON": aws.PYTHON,
            "PYSPARK_DRIVER_PYTHON": aws.PYTHON,
            "PYTHONPATH": package.UNPACKED,
            **submission.variables,
        }
        conf = {
            "spark.submit.pyFiles": code.uri(package.CODE),
            "spark.archives": f"{code.uri(package.ENVIRONMENT)}#{package.UNPACKED}",
            "spark.jars": aws.jars(submission),
            "spark.executorEnv.PYSPARK_PYTHON": aws.PYTHON,
            "spark.executorEnv.PYTHONPATH": package.UNPACKED,
            **aws.CONF,
            **{f"spark.emr-serverless.driverEnv.{name}": value for name, value in variables.items()},
            **({"spark.jars.packages": ",".join(packages)} if packages else {}),
            **submission.conf,
        }
        overrides: dict[str, Any] = {
            # Not as parameters of spark-submit, which are one text: a value may have spaces and quotes.
            "applicationConfiguration": [{"classification": "spark-defaults", "properties": conf}]
        }
        if self._log_uri:
            overrides["monitoringConfiguration"] = {"s3MonitoringConfiguration": {"logUri": self._log_uri}}
        entry = code.uri(f"{submission.job}.py")
        return {
            "applicationId": self._id,
            "executionRoleArn": self._role,
            "jobDriver": {"sparkSubmit": {"entryPoint": entry, "entryPointArguments": submission.arguments_there}},
            "configurationOverrides": overrides,
            **({"executionTimeoutMinutes": self._minutes} if self._minutes else {}),
        }

    def named(self, request: Mapping[str, Any], name: str, token: str, key: str) -> dict[str, Any]:
        driver = request["jobDriver"]["sparkSubmit"]
        arguments = [*driver["entryPointArguments"], "--run-key", key]
        return {
            **request,
            "clientToken": token,
            "name": name,
            "jobDriver": {"sparkSubmit": driver | {"entryPointArguments": arguments}},
        }

    def of_name(self, name: str) -> Mapping[str, str]:
        with aws.plain_errors(f"cannot list the runs of the application {self._id}"):
            pages = self._client.get_paginator("list_job_runs").paginate(applicationId=self._id)
            runs = [one for page in pages for one in page["jobRuns"]]
        return {one["id"]: one["state"] for one in runs if one.get("name") == name}

    def start(self, request: Mapping[str, Any]) -> str:
        with aws.plain_errors(f"the application {self._id} does not take the run"):
            return str(self._client.start_job_run(**request)["jobRunId"])

    def state(self, run_id: str) -> tuple[str, str]:
        with aws.plain_errors(f"cannot ask for the run {run_id}"):
            found = self._client.get_job_run(applicationId=self._id, jobRunId=run_id)["jobRun"]
        return found["state"], " ".join(found.get("stateDetails", "").split())

    def cancel(self, run_id: str) -> None:
        with aws.plain_errors(f"cannot cancel the run {run_id}"):
            self._client.cancel_job_run(applicationId=self._id, jobRunId=run_id)

    def logs(self, run_id: str) -> str:
        if not self._log_uri:
            return f"EMR keeps the logs: application {self._id}, run {run_id}"
        return f"logs: {self._log_uri.rstrip('/')}/applications/{self._id}/jobs/{run_id}/"
