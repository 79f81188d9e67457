"""A standalone cluster, or YARN: by the spark-submit of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyspark

from etl_spark import session
from etl_spark.submit import package
from etl_spark.submit.submission import Submission


def run(
    submission: Submission,
    files: package.Package,
    *,
    master: str,
    deploy_mode: str,
    python: str,
    dry_run: bool,
) -> int:
    """Submits, waits for the end, and returns the exit code: in deploy mode client the job's own.

    `python` is the command for the Python of the cluster's machines.
    """
    with tempfile.TemporaryDirectory(prefix="etl_spark-") as folder:
        arguments = command(submission, Path(folder), master=master, deploy_mode=deploy_mode, python=python)
        if dry_run:
            print(json.dumps({"command": arguments, "environment": submission.variables}, indent=2))
            return 0
        package.write(files, Path(folder))
        # Driver and executors find their own Python: the one of this environment is not on other machines.
        left_out = {"PYSPARK_PYTHON"} | ({"PYSPARK_DRIVER_PYTHON"} if deploy_mode == "cluster" else set())
        environment = {name: value for name, value in os.environ.items() if name not in left_out}
        environment |= {"SPARK_HOME": str(_spark_home()), **submission.variables}
        return subprocess.run(arguments, env=environment, check=False).returncode


def command(submission: Submission, folder: Path, *, master: str, deploy_mode: str, python: str) -> list[str]:
    """The call of spark-submit, with the files of a package in `folder`."""
    conf = {
        "spark.pyspark.python": python,
        "spark.executorEnv.PYTHONPATH": package.UNPACKED,
        **(_in_cluster(submission.variables, python) if deploy_mode == "cluster" else _here()),
        **submission.conf,
    }
    return [
        str(_spark_home() / "bin" / "spark-submit"),
        *("--master", master, "--deploy-mode", deploy_mode, "--name", submission.label),
        *("--packages", ",".join((session.delta_package(), *submission.packages))),
        *_listed("--jars", submission.jars),
        *("--py-files", str(folder / package.CODE)),
        *("--archives", f"{folder / package.ENVIRONMENT}#{package.UNPACKED}"),
        *(part for name, value in sorted(conf.items()) for part in ("--conf", f"{name}={value}")),
        str(folder / f"{submission.job}.py"),
        *submission.arguments_there,
    ]


def _here() -> Mapping[str, str]:
    """The driver is a process of this machine, with this environment."""
    return {"spark.pyspark.driver.python": sys.executable}


def _in_cluster(variables: Mapping[str, str], python: str) -> Mapping[str, str]:
    """YARN's driver is in a container, as the executors are."""
    given = {"PYSPARK_PYTHON": python, "PYTHONPATH": package.UNPACKED, **variables}
    return {f"spark.yarn.appMasterEnv.{name}": value for name, value in given.items()}


def _listed(option: str, values: Sequence[str]) -> list[str]:
    return [option, ",".join(values)] if values else []


def _spark_home() -> Path:
    """The Spark of SPARK_HOME, or the one of this environment's pyspark."""
    home = os.environ.get("SPARK_HOME")
    return Path(home) if home else Path(pyspark.__file__).parent
