"""EMR on EC2: a step of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, HTTPClientError

from etl_spark.core.errors import EtlError, UsageError
from etl_spark.submit import aws, package
from etl_spark.submit.submission import Submission

_TAKES_STEPS = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")


class Emr:
    """A cluster. Raises EtlError where there is none that takes a step. Steps run as `role`, if it is not empty."""

    ends: Mapping[str, bool] = {"COMPLETED": True, "FAILED": False, "CANCELLED": False, "INTERRUPTED": False}
    machine = "x86_64"

    def __init__(self, cluster_id: str, *, role: str) -> None:
        self._id, self._role = cluster_id, role
        self._client = boto3.client("emr")
        # A step has no token by which a request that is sent again would be the same: none is sent again unasked.
        self._once = boto3.client("emr", config=Config(retries={"total_max_attempts": 1}))
        with aws.plain_errors(f"cannot use the cluster {cluster_id}"):
            found = self._client.describe_cluster(ClusterId=cluster_id)["Cluster"]
        state = found["Status"]["State"]
        if state not in _TAKES_STEPS:
            raise UsageError(f"the cluster {cluster_id} is {state.lower()}: it takes no more steps")
        self.release, self._log_uri = str(found["ReleaseLabel"]), str(found.get("LogUri", ""))

    def request(self, submission: Submission, code: aws.Place) -> dict[str, Any]:
        packages = aws.packages(submission)
        variables = {"PYSPARK_PYTHON": aws.PYTHON, "PYTHONPATH": package.UNPACKED, **submission.variables}
        conf = {
            "spark.executorEnv.PYSPARK_PYTHON": aws.PYTHON,
            "spark.executorEnv.PYTHONPATH": package.UNPACKED,
            **aws.CONF,
            **{f"spark.yarn.appMasterEnv.{name}": value for name, value in variables.items()},
            **submission.conf,
        }
        arguments = [
            *("spark-submit", "--deploy-mode", "cluster", "--name", submission.label),
            *("--jars", aws.jars(submission)),
            *(("--packages", ",".join(packages)) if packages else ()),
            *("--py-files", code.uri(package.CODE)),
            *("--archives", f"{code.uri(package.ENVIRONMENT)}#{package.UNPACKED}"),
            *(part for name, value in sorted(conf.items()) for part in ("--conf", f"{name}={value}")),
            code.uri(f"{submission.job}.py"),
            *submission.arguments_there,
        ]
        step = {
            # A day that fails is no reason to end a cluster that others use.
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": arguments},
        }
        return {"JobFlowId": self._id, "Steps": [step]} | ({"ExecutionRoleArn": self._role} if self._role else {})

    def named(self, request: Mapping[str, Any], name: str, token: str, key: str) -> dict[str, Any]:
        (step,) = request["Steps"]
        jar = step["HadoopJarStep"]
        step = step | {"Name": name, "HadoopJarStep": jar | {"Args": [*jar["Args"], "--run-key", key]}}
        return {**request, "Steps": [step]}

    def of_name(self, name: str) -> Mapping[str, str]:
        with aws.plain_errors(f"cannot list the steps of the cluster {self._id}"):
            pages = self._client.get_paginator("list_steps").paginate(ClusterId=self._id)
            steps = [one for page in pages for one in page["Steps"]]
        return {one["Id"]: one["Status"]["State"] for one in steps if one["Name"] == name}

    def start(self, request: Mapping[str, Any]) -> str:
        """Where the answer is lost, the cluster is asked whether it has the step."""
        with aws.plain_errors(f"the cluster {self._id} does not take the step"):
            try:
                return str(self._once.add_job_flow_steps(**request)["StepIds"][0])
            except (ConnectionClosedError, HTTPClientError):
                active = aws.going_on(self.of_name(request["Steps"][0]["Name"]), self.ends)
                if active:
                    return active[0]
                raise

    def state(self, run_id: str) -> tuple[str, str]:
        with aws.plain_errors(f"cannot ask for the step {run_id}"):
            found = self._client.describe_step(ClusterId=self._id, StepId=run_id)["Step"]["Status"]
        details = found.get("FailureDetails", {})
        return found["State"], " ".join((details.get("Message") or details.get("Reason") or "").split())

    def cancel(self, run_id: str) -> None:
        with aws.plain_errors(f"cannot cancel the step {run_id}"):
            answer = self._client.cancel_steps(
                ClusterId=self._id, StepIds=[run_id], StepCancellationOption="TERMINATE_PROCESS"
            )
        for one in answer.get("CancelStepsInfoList", ()):
            if one.get("Status") == "FAILED":
                raise EtlError(f"cannot cancel the step {run_id}: {one.get('Reason', 'no reason given')}")

    def logs(self, run_id: str) -> str:
        if not self._log_uri:
            return f"the cluster {self._id} keeps no logs in S3: see the step {run_id} in the console"
        return f"logs: {self._log_uri.rstrip('/')}/{self._id}/steps/{run_id}/"
