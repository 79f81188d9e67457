"""A standalone cluster, or YARN: by the Spark of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyspark

from etl_spark import cli, session
from etl_spark.submit import package
from etl_spark.submit.submission import Submission


def run_here(submission: Submission, files: package.Package, *, master: str, python: str, dry_run: bool) -> int:
    """Runs the job with its driver in this process, and returns its exit code.

    What it says, and where, is what it says on this machine: a driver that spark-submit starts has its standard error
    mixed into its standard output. `python` is the command for the Python of the cluster's machines.
    """
    job = [submission.job, *submission.arguments]
    variables = {"PYSPARK_PYTHON": python, **submission.variables}
    with tempfile.TemporaryDirectory(prefix="etl_spark-") as name:
        folder = Path(name)
        conf = {
            "spark.executorEnv.PYTHONPATH": package.UNPACKED,
            **submission.conf,
            "spark.master": master,
            "spark.submit.deployMode": "client",
            "spark.submit.pyFiles": str(folder / package.CODE),
            "spark.archives": _archive(folder),
            **({"spark.jars": ",".join(submission.jars)} if submission.jars else {}),
        }
        if dry_run:
            print(json.dumps({"job": job, "conf": conf, "environment": variables}, indent=2))
            return 0
        package.write(files, folder)
        os.environ.update(variables)
        return cli.main(job, spark=conf)


def run_there(submission: Submission, files: package.Package, *, python: str, dry_run: bool) -> int:
    """Submits to YARN, whose driver is in a container as the executors are, and waits. Returns spark-submit's code."""
    with tempfile.TemporaryDirectory(prefix="etl_spark-") as name:
        folder = Path(name)
        arguments = _command(submission, folder, python)
        if dry_run:
            print(json.dumps({"command": arguments}, indent=2))
            return 0
        package.write(files, folder)
        # The Python of this environment is not on other machines.
        left_out = ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")
        environment = {name: value for name, value in os.environ.items() if name not in left_out}
        environment |= {"SPARK_HOME": str(_spark_home())}
        return subprocess.run(arguments, env=environment, check=False).returncode


def _command(submission: Submission, folder: Path, python: str) -> list[str]:
    variables = {"PYSPARK_PYTHON": python, "PYTHONPATH": package.UNPACKED, **submission.variables}
    conf = {
        "spark.pyspark.python": python,
        "spark.executorEnv.PYTHONPATH": package.UNPACKED,
        **{f"spark.yarn.appMasterEnv.{name}": value for name, value in variables.items()},
        **submission.conf,
    }
    return [
        str(_spark_home() / "bin" / "spark-submit"),
        *("--master", "yarn", "--deploy-mode", "cluster", "--name", submission.label),
        *("--packages", ",".join((session.delta_package(), *submission.packages))),
        *_listed("--jars", submission.jars),
        *("--py-files", str(folder / package.CODE)),
        *("--archives", _archive(folder)),
        *(part for name, value in sorted(conf.items()) for part in ("--conf", f"{name}={value}")),
        str(folder / f"{submission.job}.py"),
        *submission.arguments_there,
    ]


def _archive(folder: Path) -> str:
    return f"{folder / package.ENVIRONMENT}#{package.UNPACKED}"


def _listed(option: str, values: Sequence[str]) -> list[str]:
    return [option, ",".join(values)] if values else []


def _spark_home() -> Path:
    """The Spark of SPARK_HOME, or the one of this environment's pyspark."""
    home = os.environ.get("SPARK_HOME")
    return Path(home) if home else Path(pyspark.__file__).parent
