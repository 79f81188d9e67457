"""`scripts/submit.sh`: a job on this machine or on a cluster, with the same options."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from etl_spark import __version__, cli, config
from etl_spark.core.database import is_database
from etl_spark.core.errors import UsageError
from etl_spark.submit import package
from etl_spark.submit.submission import Submission

TARGETS = ("local", "standalone", "yarn", "emr", "emr-serverless")

_DESCRIPTION = """\
Runs a job where --target says. What stands before JOB is for the target. From JOB on, or behind --, all is the job's
own, and arrives as it is: `submit.sh JOB --help` shows it.

jobs and commands:
{jobs}"""

_HERE = {
    "publish JOB": "what the lake has of a range that was run, into more sinks",
    "stream STREAM": "what has arrived of what arrives without end, taken in once each",
    "ddl, mart, generate": "with the target local only: tables as SQL, the data mart, samples",
    "forget CUSTOMER": "with the target local only: one customer, removed wherever anything is kept",
}

_EPILOG = """\
[submit] of the configuration file may have what is not said here, by the names of the options: application_id =
"...", execution_role, cluster_id, master, code, log_uri.

exit codes: those of the job, where it is waited for; 0 once it is submitted; 1 if it could not be, or failed without a
record; 2 for wrong usage or configuration."""

_ONLY = {
    "master": ("standalone",),
    "deploy_mode": ("yarn",),
    "python": ("standalone", "yarn"),
    "cluster_id": ("emr",),
    "application_id": ("emr-serverless",),
    "execution_role": ("emr", "emr-serverless"),
    "code": ("emr", "emr-serverless"),
    "log_uri": ("emr-serverless",),
    "wait": ("emr", "emr-serverless"),
    "timeout": ("emr", "emr-serverless"),
    "cancel_on_interrupt": ("emr", "emr-serverless"),
    "dry_run": TARGETS[1:],
    "conf": TARGETS[1:],
    "jars": TARGETS[1:],
    "properties_file": TARGETS[1:],
    "secret": TARGETS[1:],
}
"""The targets that an option is for."""

_FROM_CONFIGURATION = ("master", "cluster_id", "application_id", "execution_role", "code", "log_uri")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see: submit.sh --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Submits, and returns the exit code."""

    def run() -> int:
        cli.find_spark()
        options, job = parse(sys.argv[1:] if argv is None else argv)
        return cli.main(job) if options.target == "local" else _submit(options, job)

    return cli.ended("submit.sh", run)


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options of the target, and what is the job's: from the first word on that is no option, or behind `--`."""
    own, job = _split(argv)
    options = _parser().parse_args(own)
    strangers = [
        name
        for name, targets in _ONLY.items()
        if getattr(options, name) not in (None, False, []) and options.target not in targets
    ]
    if strangers:
        raise UsageError(f"--{strangers[0].replace('_', '-')} is not for the target {options.target}")
    if not job:
        raise UsageError("which job? (see: submit.sh --help)")
    return options, job


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    flags = {"--wait", "--dry-run", "--cancel-on-interrupt", "--help", "-h", "--version"}
    own: list[str] = []
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        own.append(option)
        if option not in flags and "=" not in option and rest:
            own.append(rest.pop(0))
    return own, rest


def _parser() -> _Parser:
    from etl_spark.pipelines import PIPELINES

    jobs = {name: pipeline.doc for name, pipeline in PIPELINES.items()}
    jobs |= {f"{name} evaluate": one.evaluator.doc for name, one in PIPELINES.items() if one.evaluator}
    jobs |= _HERE
    parser = _Parser(
        prog="submit.sh",
        usage="submit.sh [--target TARGET] [options of the target] JOB [options of the job]",
        description=_DESCRIPTION.format(jobs="\n".join(f"  {name:<21} {doc}" for name, doc in jobs.items())),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"etl-spark {__version__}")
    parser.add_argument("--target", choices=TARGETS, default="local", help=f"{', '.join(TARGETS)} (default: local)")
    some = parser.add_argument_group("standalone, yarn")
    some.add_argument("--master", metavar="URL", help="of a standalone cluster: spark://HOST:PORT")
    some.add_argument("--deploy-mode", choices=("client", "cluster"), help="of YARN (default: cluster)")
    some.add_argument("--python", metavar="COMMAND", help="Python on the cluster's machines (default: python3)")
    emr = parser.add_argument_group("emr, emr-serverless")
    emr.add_argument("--cluster-id", metavar="ID", help="of EMR on EC2: j-...")
    emr.add_argument("--application-id", metavar="ID", help="of EMR Serverless")
    emr.add_argument("--execution-role", metavar="ARN", help="the role that the job runs as")
    emr.add_argument(
        "--code", metavar="URI", help="where in S3 the code is put (default: code/ in the output's bucket)"
    )
    emr.add_argument("--log-uri", metavar="URI", help="where in S3 EMR Serverless puts the logs")
    emr.add_argument("--wait", action="store_true", help="wait for the end, and end with the job's exit code")
    emr.add_argument("--timeout", metavar="MINUTES", type=_minutes, help="cancel a run that takes longer")
    emr.add_argument("--cancel-on-interrupt", action="store_true", help="Ctrl-C while waiting cancels the run too")
    every = parser.add_argument_group("all but local")
    every.add_argument("--dry-run", action="store_true", help="print the request as JSON, and change nothing")
    every.add_argument(
        "--conf", metavar="NAME=VALUE", action="append", default=[], help="an option of Spark; repeatable"
    )
    every.add_argument("--jars", metavar="URI,...", help="more jars")
    every.add_argument("--properties-file", metavar="FILE", help="options of Spark, as spark-submit reads them")
    every.add_argument(
        "--secret",
        metavar="SINK=NAME",
        action="append",
        default=[],
        help="the name of the secret with the login of a source or sink: mysql=NAME; ssm:NAME for a parameter",
    )
    return parser


def _minutes(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of minutes")
    return int(text)


def _submit(options: argparse.Namespace, job: Sequence[str]) -> int:
    submission, configured = _submission(options, job)
    for name in _FROM_CONFIGURATION:
        if getattr(options, name) is None:
            setattr(options, name, configured.get(name))
    cache = package.ROOT / "build"
    if options.target in ("standalone", "yarn"):
        return _by_spark_submit(options, submission, cache)
    return _by_emr(options, submission, cache)


def _by_spark_submit(options: argparse.Namespace, submission: Submission, cache: Path) -> int:
    import pyspark

    from etl_spark.submit import spark_submit

    if options.target == "standalone" and not options.master:
        raise UsageError("which cluster? --master spark://HOST:PORT")
    files = package.build(
        "4.0" if pyspark.__version__.startswith("4.") else "3.5",
        package.Python(),
        requires=submission.requires,
        place=submission.place,
        mapping=submission.mapping,
        cache=cache,
    )
    python = options.python or "python3"
    if options.target == "yarn" and options.deploy_mode != "client":
        return spark_submit.run_there(submission, files, python=python, dry_run=options.dry_run)
    master = options.master if options.target == "standalone" else "yarn"
    return spark_submit.run_here(submission, files, master=master, python=python, dry_run=options.dry_run)


def _by_emr(options: argparse.Namespace, submission: Submission, cache: Path) -> int:
    from etl_spark.submit import aws
    from etl_spark.submit.emr import Emr
    from etl_spark.submit.emr_serverless import EmrServerless

    output = aws.Place.of(submission.output, "the output")
    if submission.source and not is_database(submission.source):
        aws.Place.of(submission.source, "the source")
    service: aws.Service
    if options.target == "emr":
        if not options.cluster_id:
            raise UsageError("which cluster? --cluster-id j-...")
        if options.timeout and not options.wait:
            raise UsageError("--timeout needs --wait: a step has no limit of its own")
        service = Emr(options.cluster_id, role=options.execution_role or "")
    else:
        if not options.application_id:
            raise UsageError("which application? --application-id ID")
        service = EmrServerless(
            options.application_id,
            role=options.execution_role or "",
            log_uri=options.log_uri or "",
            minutes=options.timeout,
        )
    files = package.build(
        aws.spark_line(service.release),
        package.Python(machine=service.machine),
        requires=submission.requires,
        place=submission.place,
        mapping=submission.mapping,
        cache=cache,
    )
    # The service ends a run of EMR Serverless; a minute later it is taken to have failed to.
    seconds = 60.0 * (options.timeout + (options.target == "emr-serverless")) if options.timeout else None
    return aws.run(
        service,
        submission,
        files,
        aws.Place.of(options.code or f"s3://{output.bucket}/code", "the code"),
        waiting=aws.Waiting(seconds, options.cancel_on_interrupt) if options.wait else None,
        dry_run=options.dry_run,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )


def _submission(options: argparse.Namespace, job: Sequence[str]) -> tuple[Submission, Mapping[str, Any]]:
    """The job, checked as far as this machine can, and [submit] of the place's configuration."""
    from etl_spark.application import packages
    from etl_spark.pipelines import PIPELINES

    name, *arguments = job
    asked = cli.parse(job)
    if name not in (*PIPELINES, "publish", "stream"):
        raise UsageError(f"{name} runs on this machine only: leave --target {options.target} out")
    place = asked.config or config.conf_file("emr.toml" if options.target.startswith("emr") else "local.toml")
    mapping = getattr(asked, "mapping", None)
    found = config.load(
        asked.pipeline.name,
        asked.pipeline.settings,
        pipelines=PIPELINES,
        file=place,
        source=getattr(asked, "source", None),
        mapping=mapping,
        given=cli.given_settings(asked) if name in PIPELINES else None,
        # A command that takes no source reads the lake.
        reads="source" in asked,
    )
    sinks = tuple(getattr(asked, "sink", None) or ())
    label = asked.pipeline.name if name == "stream" else f"{asked.start_date or ''}..{asked.end_date or ''}"
    if arguments[:1] == ["evaluate"]:
        label = f"evaluate {label}"
    conf = {**found.spark, **_properties(options.properties_file), **_pairs("--conf", options.conf)}
    # The cluster's, and the master's.
    left_out = ("spark.master", "spark.driver.host", "spark.driver.bindAddress")
    source, output = found.settings.source, asked.output or config.configured_output(place)
    return (
        Submission(
            job=name,
            arguments=tuple(arguments),
            label=f"etl_spark {name} {label}",
            source=source,
            output=output,
            place=place,
            mapping=config.mapping_file(mapping) if mapping else None,
            conf=config.spark_options({key: value for key, value in conf.items() if key not in left_out}, place),
            jars=tuple((options.jars or "").split(",")) if options.jars else (),
            packages=tuple(packages(found, sinks, (source, output))),
            requires=PIPELINES[name].requires if name in PIPELINES else (),
            loads_redshift="redshift" in sinks,
            secrets={**found.secrets, **_secrets(options.secret)},
        ),
        found.submit,
    )


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    if any("=" not in text or not text.partition("=")[0] for text in texts):
        raise UsageError(f"{option} takes NAME=VALUE")
    return pairs


def _secrets(texts: Sequence[str]) -> dict[str, str]:
    secrets = _pairs("--secret", texts)
    for name, secret in secrets.items():
        if not re.fullmatch(r"[a-z]+", name) or not config.SECRET_NAME.fullmatch(secret):
            raise UsageError("--secret takes the name of a source or sink and that of a secret: mysql=NAME")
    return secrets


def _properties(file: str | None) -> dict[str, str]:
    """Lines of a name and a value, with blanks, = or : between them, as spark-submit reads them."""
    if not file:
        return {}
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}") from None
    told = [line.strip() for line in lines if line.strip() and line.strip()[0] not in "#!"]
    pairs = [re.split(r"\s*[=:]\s*|\s+", line, maxsplit=1) for line in told]
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}
