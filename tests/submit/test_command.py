"""The command line of scripts/submit.sh: what is whose, and one sentence for whatever is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from etl_spark.pipelines import PIPELINES
from etl_spark.submit import package
from etl_spark.submit.command import main, parse

pytestmark = pytest.mark.default_spark

JOB = ["viewing", "--start-date", "2022-04-01", "--end-date", "2022-04-30"]
NASTY = ["a b", "", "*", "'\"", "$HOME `id`", "back\\slash", "--", "--wait", "--target", "two\nlines", "é"]


@pytest.mark.parametrize("separator", [[], ["--"]])
def test_what_stands_behind_the_job_is_the_jobs(separator: list[str]) -> None:
    options, job = parse(["--target", "emr", "--conf=a=b c", "--wait", *separator, "viewing", *NASTY])
    assert (options.target, options.conf, options.wait) == ("emr", ["a=b c"], True)
    assert job == ["viewing", *NASTY]


def test_without_a_target_all_is_the_jobs() -> None:
    options, job = parse(["viewing", "--help"])
    assert (options.target, job) == ("local", ["viewing", "--help"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "which job?"),
        (["--target", "moon", *JOB], "invalid choice: 'moon'"),
        (["--tar", "emr", *JOB], "unrecognized arguments: --tar"),
        (["--wait", *JOB], "--wait is not for the target local"),
        (["--target", "standalone", "--cluster-id", "j-1", *JOB], "--cluster-id is not for the target standalone"),
        (["--target", "standalone", *JOB], "which cluster? --master spark://HOST:PORT"),
        (["--target", "emr", "--timeout", "soon", *JOB], "'soon' is not a number of minutes"),
        (["--target", "emr", "--output", "s3://bucket/o", *JOB], "unrecognized arguments: --output"),
        (["--target", "yarn", "ddl", "--sink", "mysql"], "ddl runs on this machine only: leave --target yarn out"),
        (["--target", "yarn", "--conf", "x", *JOB], "--conf takes NAME=VALUE"),
        (["--target", "yarn", "--conf", "spark.my.password=x", *JOB], "spark.my.password is a secret"),
        (["--target", "yarn", "--secret", "mysql=a b", *JOB], "--secret takes the name of a source or sink"),
        (["--target", "yarn", "--properties-file", "/no/such", *JOB], "cannot read /no/such"),
        (["--target", "yarn", "viewing", "--start-date", "x"], "'x' is not a date: "),
        (["--target", "yarn", "nothing"], "invalid choice: 'nothing'"),
        (["--target", "emr", *JOB], "the output is a place in S3, s3://BUCKET/FOLDER, and not 's3://BUCKET/output'"),
        (
            ["--target", "emr", *JOB, "--output", "s3://bucket/o"],
            "the source is a place in S3, s3://BUCKET/FOLDER, and not 's3://BUCKET/source/viewing'",
        ),
        (["--target", "emr", *JOB, "--output", "s3://bucket/o", "--source", "s3://bucket/i"], "which cluster?"),
        (["--target", "emr", "publish", *JOB, "--output", "s3://bucket/o", "--sink", "redshift"], "which cluster?"),
        (
            ["--target", "emr-serverless", *JOB, "--output", "s3://bucket/o", "--source", "s3://bucket/i"],
            "which application?",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert main(arguments) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("submit.sh: ")
    assert complaint in said


def test_the_help_names_every_option_and_every_job(capsys: pytest.CaptureFixture[str]) -> None:
    from etl_spark.submit.command import _ONLY

    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    said = capsys.readouterr().out
    wanted = (*PIPELINES, "churn evaluate", "publish", "stream", "--target")
    assert [name for name in wanted if name not in said] == []
    assert [name for name in _ONLY if f"--{name.replace('_', '-')}" not in said] == []


def dry_run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["--dry-run", *arguments]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert isinstance(printed, dict)
    return printed


def test_a_stream_is_submitted_like_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    places = ("--source", "s3://bucket/social", "--output", "s3://bucket/o")
    command = dry_run(capsys, "--target", "yarn", "stream", "social", "--once", *places)["command"]
    (entry,) = (number for number, one in enumerate(command) if one.endswith("/stream.py"))
    assert command[entry + 1 :][:2] == ["social", "--once"]
    assert command[command.index("--name") + 1] == "etl_spark stream social"


def test_a_standalone_cluster_is_given_the_whole_by_a_driver_here(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place, properties = tmp_path / "place.toml", tmp_path / "spark.conf"
    place.write_text(
        f'output = "{tmp_path}/out"\n[viewing]\nsource = "logs"\n[spark]\n"spark.a" = "file"\n"spark.b" = "file"\n'
        '"spark.master" = "local"\n[submit]\nmaster = "spark://configured:1"\n[secrets]\nmysql = "etl/mysql"\n'
    )
    properties.write_text("# a comment\nspark.b  properties\nspark.c=properties\n\nspark.d: with blanks \n")
    printed = dry_run(
        capsys,
        *("--target", "standalone", "--properties-file", str(properties), "--conf", "spark.c=a 'quoted' value"),
        *("--jars", "/x.jar,/y.jar", "--python", "python3.11", "--secret", "sales=ssm:/etl/sales"),
        *(*JOB, "--config", str(place), "--sink", "csv", "--allow-missing-days"),
    )
    conf = printed["conf"]
    code, archive = conf.pop("spark.submit.pyFiles"), conf.pop("spark.archives")
    assert (Path(code).name, Path(archive).name) == ("etl_spark.zip", "environment.tar.gz#environment")
    assert conf == {
        "spark.a": "file",
        "spark.b": "properties",
        "spark.c": "a 'quoted' value",
        "spark.d": "with blanks",
        "spark.executorEnv.PYTHONPATH": "environment",
        "spark.jars": "/x.jar,/y.jar",
        "spark.master": "spark://configured:1",
        "spark.submit.deployMode": "client",
    }
    assert printed["job"] == [*JOB, "--config", str(place), "--sink", "csv", "--allow-missing-days"]
    assert printed["environment"] == {
        "PYSPARK_PYTHON": "python3.11",
        "ETL_SPARK_MYSQL_SECRET": "etl/mysql",
        "ETL_SPARK_SALES_SECRET": "ssm:/etl/sales",
    }


def test_on_yarn_the_driver_is_in_a_container(capsys: pytest.CaptureFixture[str]) -> None:
    printed = dry_run(capsys, "--target", "yarn", "--secret", "mysql=etl/mysql", *JOB, "--output", "hdfs:///out")
    command = printed["command"]
    assert command[1:5] == ["--master", "yarn", "--deploy-mode", "cluster"]
    for conf in (
        "spark.yarn.appMasterEnv.PYSPARK_PYTHON=python3",
        "spark.yarn.appMasterEnv.PYTHONPATH=environment",
        "spark.yarn.appMasterEnv.ETL_SPARK_MYSQL_SECRET=etl/mysql",
    ):
        assert command[command.index(conf) - 1] == "--conf"
    (entry,) = [number for number, one in enumerate(command) if one.endswith("/viewing.py")]
    assert command[entry + 1 : -2] == [
        *JOB[1:],
        *("--output", "hdfs:///out", "--config", "place"),
        *("--output", "hdfs:///out"),
    ]
    client = dry_run(capsys, "--target", "yarn", "--deploy-mode", "client", *JOB)["conf"]
    assert (client["spark.master"], client["spark.submit.deployMode"]) == ("yarn", "client")
    assert not [one for one in client if "appMasterEnv" in one]


@pytest.mark.parametrize(
    ("job", "requires"),
    [
        ("viewing", ()),
        ("forecast", PIPELINES["forecast"].requires),
        # The lake has it already.
        ("publish forecast --sink csv", ()),
    ],
)
def test_what_one_job_alone_needs_goes_with_that_job(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, job: str, requires: tuple[str, ...]
) -> None:
    asked = []

    def environment(lock: Path, python: package.Python, packages: tuple[str, ...], cache: Path) -> bytes:
        asked.append(packages)
        return b""

    monkeypatch.setattr(package, "environment", environment)
    dry_run(capsys, "--target", "yarn", *job.split(), *JOB[1:], "--output", "hdfs:///out")
    assert asked == [(*package.PACKAGES, *requires)]


def test_an_evaluation_is_given_no_source(capsys: pytest.CaptureFixture[str]) -> None:
    command = dry_run(capsys, "--target", "yarn", "churn", "evaluate", "--output", "hdfs:///out")["command"]
    assert command[command.index("--name") + 1] == "etl_spark churn evaluate .."
    (entry,) = [number for number, one in enumerate(command) if one.endswith("/churn.py")]
    output = ("--output", "hdfs:///out")
    assert command[entry + 1 :] == ["evaluate", *output, "--config", "place", *output]
