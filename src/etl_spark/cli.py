"""The one command line: `etl-spark JOB`, behind scripts/submit.sh and the entries in jobs/."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import secrets
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from etl_spark import __version__
from etl_spark.core.dates import EVER, DateRange, parse_date
from etl_spark.core.errors import EtlError, UsageError
from etl_spark.core.uri import refuse_credentials

if TYPE_CHECKING:
    from etl_spark.dashboard.results import Place

EXIT_CODES = """\
exit codes:
  0  done
  1  failed
  2  wrong usage or configuration
  3  input missing or unreadable
  4  too many rows rejected
With 2, 3 and 4 no table has changed."""

_STREAM_ENDS = """\
exit codes:
  0  done: all that was there is taken in; or, of --watch, it was asked to end, which it does after the batch under way
  1  failed, or --once was asked to end
  2  wrong usage or configuration
  3  input missing or unreadable
Whatever it ends with, the batches told of are taken in, and the next run goes on from there. How many records were
rejected, it tells; it ends for no number of them."""

_READING_ENDS = """\
exit codes:
  0  done
  1  failed
  2  wrong usage or configuration
  3  results missing
Neither changes a table."""


def main(argv: Sequence[str] | None = None, *, spark: Mapping[str, str] | None = None) -> int:
    """Runs one command and returns its exit code. `spark` are options of Spark instead of the configuration's."""

    def run() -> int:
        options = parse(argv)
        options.spark = spark
        return int(options.command(options))

    return ended("etl-spark", run)


def ended(program: str, run: Callable[[], int]) -> int:
    """The exit code of `run`; what a user can do something about is a line that begins with the name of `program`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run()
    except EtlError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 1


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command; `command` does it. Raises UsageError."""
    arguments = _with_command(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["dashboard"], ["report"]):
        return _reading_parser().parse_args(arguments)
    find_spark()
    return _parser().parse_args(arguments)


def _with_command(argv: Sequence[str]) -> list[str]:
    """`argv`, of which `JOB evaluate` is one word: a command of its own, as JOB takes options and no commands."""
    job, *rest = argv or [""]
    return [f"{job} evaluate", *rest[1:]] if rest[:1] == ["evaluate"] else list(argv)


def run_job(name: str) -> NoReturn:
    """The entry of jobs/<name>.py: the options of `etl-spark <name>`, under spark-submit."""
    sys.exit(main([name, *sys.argv[1:]]))


def find_spark() -> None:
    """Uses the Spark of SPARK_HOME where pyspark is not installed."""
    if importlib.util.find_spec("pyspark") is None:
        import findspark

        try:
            findspark.init()
        except (ValueError, IndexError, OSError):
            raise EtlError("there is no Spark: pip install 'etl_spark[spark]', or set SPARK_HOME") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see: {self.prog} --help)")


def _parser() -> _Parser:
    # Imported here: without Spark there are no pipelines, and that is said in a sentence.
    from etl_spark.core.flat import FlatSettings
    from etl_spark.core.step import Extracts, Items
    from etl_spark.pipelines import PIPELINES
    from etl_spark.stores.files import FORMATS
    from etl_spark.stores.sinks import DDL, SINKS

    parser, commands = _empty_parser()
    for pipeline in PIPELINES.values():
        job = commands.add_parser(
            pipeline.name,
            help=pipeline.doc,
            description=f"Makes {pipeline.doc}.",
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        job.set_defaults(command=_run, pipeline=pipeline)
        _add_range(job)
        if pipeline.reads:
            job.add_argument(
                "--source",
                metavar="URI",
                type=refuse_credentials,
                help="where the input is (default: as configured, the sample)",
            )
        for option in pipeline.options:
            name = f"--{option.name.replace('_', '-')}"
            job.add_argument(name, metavar="N", type=_count, help=f"{option.doc} (default: as configured)")
        _add_places(job)
        _add_sinks(job, SINKS, default=FORMATS)
        job.add_argument(
            "--allow-missing-days", action="store_true", help="go on with the days that the source has, if any"
        )
        job.add_argument("--refresh", action="store_true", help="read again the days that have not changed")
        if any(isinstance(intake.source, Extracts | Items) for intake in pipeline.intakes):
            job.add_argument(
                "--extract-date",
                metavar="DATE",
                type=parse_date,
                help="the day as of which the source is (default: the end date); of folders dt=..., the last one read",
            )
        if issubclass(pipeline.settings, FlatSettings):
            job.add_argument(
                "--mapping",
                metavar="FILE",
                help="the source is one flat file, or a folder of them: how its columns are mapped; FILE is a TOML "
                "file, or the name of one in conf/flat, such as online_retail",
            )
        if pipeline.evaluator:
            job.epilog = f"see also: etl-spark {pipeline.name} evaluate, {pipeline.evaluator.doc}\n\n{EXIT_CODES}"
            evaluate = commands.add_parser(
                f"{pipeline.name} evaluate",
                help=pipeline.evaluator.doc,
                description=f"Finds {pipeline.evaluator.doc}, from what runs of {pipeline.name} have left in the lake.",
                epilog=EXIT_CODES,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            evaluate.set_defaults(command=_evaluate, pipeline=pipeline)
            _add_range(evaluate, or_else="what is there")
            _add_places(evaluate)
            _add_sinks(evaluate, SINKS, default=FORMATS)
    publish = commands.add_parser("publish", help="what the lake has of a range that was run, into more sinks")
    published = publish.add_subparsers(title="of", metavar="JOB", required=True, parser_class=_Parser)
    for pipeline in PIPELINES.values():
        subject = published.add_parser(pipeline.name, help=f"the tables of the {pipeline.name} job")
        subject.set_defaults(command=_publish, pipeline=pipeline)
        _add_range(subject)
        _add_places(subject)
        _add_sinks(subject, SINKS)
    _add_streams(commands)
    _add_forget(commands)
    ddl = commands.add_parser("ddl", help="the statements that make all tables in a warehouse")
    ddl.set_defaults(command=_print_ddl)
    ddl.add_argument("--sink", metavar="NAME", choices=tuple(DDL), required=True, help=", ".join(DDL))
    mart = commands.add_parser("mart", help="the data mart that MySQL keeps of loaded tables")
    marts = mart.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    install = marts.add_parser("install", help="make its tables, views, procedures and events, where they are missing")
    install.set_defaults(command=_install_marts)
    _add_config(install)
    install.add_argument(
        "--at", metavar="HH:MM", type=_time_of_day, default="03:00", help="when it is refreshed, UTC (default: 03:00)"
    )
    _add_generate(commands)
    _add_reading(commands)
    return parser


def _empty_parser() -> tuple[_Parser, argparse._SubParsersAction[_Parser]]:
    parser = _Parser(
        prog="etl-spark",
        description="Turns daily logs and relational extracts, over a range of days, into tables people trust.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"etl-spark {__version__}")
    commands = parser.add_subparsers(title="jobs and commands", metavar="JOB", required=True, parser_class=_Parser)
    return parser, commands


def _reading_parser() -> _Parser:
    """Of the commands that read results. They need no Spark, and none may be there."""
    parser, commands = _empty_parser()
    _add_reading(commands)
    return parser


def _add_reading(commands: argparse._SubParsersAction[_Parser]) -> None:
    from etl_spark.dashboard.catalog import REPORTED

    dashboard = commands.add_parser(
        "dashboard",
        help="the results in a browser",
        description="Shows the results of the jobs in a browser, until Ctrl-C. Nothing is written.",
        epilog=_READING_ENDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    dashboard.set_defaults(command=_dashboard)
    _add_results(dashboard)
    dashboard.add_argument(
        "--address",
        metavar="HOST",
        default="127.0.0.1",
        help="who may connect: this machine (default: 127.0.0.1), or with 0.0.0.0 everybody, without a login",
    )
    dashboard.add_argument("--port", metavar="N", type=_count, default=8501, help="(default: 8501)")
    report = commands.add_parser("report", help="the results over a range as one HTML file that needs no network")
    reports = report.add_subparsers(title="of", metavar="JOB", required=True, parser_class=_Parser)
    for job in REPORTED:
        subject = reports.add_parser(
            job,
            help=f"the results of the {job} job",
            epilog=_READING_ENDS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        subject.set_defaults(command=_report, job=job)
        _add_range(subject, or_else="the newest results")
        subject.add_argument("--output", metavar="FILE", type=Path, required=True, help="where the report goes")
        _add_results(subject)


def _add_results(parser: _Parser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--results",
        metavar="DIR",
        type=refuse_credentials,
        help="the output of the runs (default: as configured, else ./output)",
    )
    where.add_argument(
        "--url",
        metavar="URL",
        help="a warehouse that has them: mysql+pymysql://HOST:PORT/DATABASE or redshift://HOST:PORT/DATABASE; who logs "
        "in, the environment tells (ETL_SPARK_MYSQL_USER and _PASSWORD, ETL_SPARK_REDSHIFT_USER and _PASSWORD)",
    )
    _add_config(parser)


def _add_generate(commands: argparse._SubParsersAction[_Parser]) -> None:
    from etl_spark.pipelines import PIPELINES

    generate = commands.add_parser("generate", help="input like the real one, of any size, for tests and trials")
    subjects = generate.add_subparsers(title="of", metavar="JOB", required=True, parser_class=_Parser)
    for pipeline in PIPELINES.values():
        if pipeline.generator:
            subject = subjects.add_parser(pipeline.name, help=f"input of the {pipeline.name} job")
            subject.set_defaults(command=_generate, pipeline=pipeline)
            _add_range(subject)
            for size in pipeline.generator.sizes:
                option = f"--{size.name.replace('_', '-')}"
                subject.add_argument(
                    option,
                    metavar="N",
                    type=_count,
                    default=size.default,
                    help=f"{size.doc} (default: {size.default:,})",
                )
            subject.add_argument("--seed", type=int, default=1, help="same seed, same bytes (default: 1)")
            subject.add_argument("--output", metavar="DIR", type=Path, required=True, help="folder for the files")


def _add_streams(commands: argparse._SubParsersAction[_Parser]) -> None:
    from etl_spark.pipelines import STREAMS

    stream = commands.add_parser("stream", help="what has arrived of what arrives without end, taken in once each")
    streams = stream.add_subparsers(title="of", metavar="STREAM", required=True, parser_class=_Parser)
    for one in STREAMS.values():
        subject = streams.add_parser(
            one.name,
            help=one.doc,
            description=f"Takes in {one.doc}.",
            epilog=_STREAM_ENDS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        subject.set_defaults(command=_stream, pipeline=one)
        subject.add_argument(
            "--source",
            metavar="URI",
            type=refuse_credentials,
            help="the folder that has YYYY/MM/DD/HH/ (default: as configured, the sample)",
        )
        _add_places(subject)
        how = subject.add_mutually_exclusive_group(required=True)
        how.add_argument("--once", action="store_true", help="take in what is there, and end")
        how.add_argument("--watch", action="store_true", help="go on until Ctrl-C or SIGTERM")
        subject.add_argument(
            "--every", metavar="SECONDS", type=_count, help="how often --watch looks for more (default: 60)"
        )


def _add_forget(commands: argparse._SubParsersAction[_Parser]) -> None:
    from etl_spark.core.sinks import WAREHOUSES

    forget = commands.add_parser(
        "forget",
        help="one customer of the shop, wherever anything is kept of them",
        description="Removes one customer from the lake with its old versions, the exports, the records of runs, and "
        "the warehouses named. What is sold stays sold, to nobody known. Forget the customer at the sources first: "
        "what they have is taken in again. Done again, or for a customer who is not there, it changes nothing.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    forget.set_defaults(command=_forget)
    forget.add_argument("customer", metavar="CUSTOMER", type=_customer_id, help="customer_id, as the shop has it")
    _add_places(forget)
    forget.add_argument(
        "--sink",
        metavar="NAME",
        action="append",
        choices=tuple(WAREHOUSES),
        help=f"a warehouse that has tables of the shop; repeatable: {', '.join(WAREHOUSES)}",
    )


def _customer_id(text: str) -> str:
    if not 1 <= len(text) <= 64 or not text.isprintable() or text != text.strip() or text == "(unknown)":
        raise argparse.ArgumentTypeError("that is no customer_id")
    return text


def _add_range(parser: _Parser, *, or_else: str = "") -> None:
    """The range that is asked for: it has to be, where there is nothing `or_else`."""
    said = f" (default: that of {or_else})" if or_else else ""
    for option, which in (("--start-date", "first"), ("--end-date", "last")):
        parser.add_argument(
            option,
            metavar="DATE",
            type=parse_date,
            required=not or_else,
            help=f"{which} day, YYYY-MM-DD or YYYYMMDD{said}",
        )


def _add_places(parser: _Parser) -> None:
    parser.add_argument(
        "--output",
        metavar="URI",
        type=refuse_credentials,
        help="where the results go (default: as configured, else ./output)",
    )
    parser.add_argument("--run-key", metavar="KEY", type=_key, help="what the run's id ends in (default: a random one)")
    _add_config(parser)


def _add_config(parser: _Parser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=_config_file,
        help="TOML file for this place, or the name of one in conf/, such as emr (default: local)",
    )


def _add_sinks(parser: _Parser, names: Sequence[str], default: Sequence[str] = ()) -> None:
    said = f" (default: {' and '.join(default)})" if default else ""
    parser.add_argument(
        "--sink",
        metavar="NAME",
        action="append",
        choices=names,
        required=not default,
        help=f"where the tables go beside the lake; repeatable: {', '.join(names)}{said}",
    )


def _config_file(text: str) -> Path:
    from etl_spark.config import conf_file

    return conf_file(f"{text}.toml") if re.fullmatch(r"[\w-]+", text) else Path(text)


def _key(text: str) -> str:
    if not re.fullmatch(r"[0-9a-z]{6,32}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not 6 to 32 small letters and digits")
    return text


def _output(options: argparse.Namespace) -> str:
    from etl_spark.config import configured_output

    return options.output or configured_output(options.config)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of at least 1")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    from etl_spark.application import run_recorded
    from etl_spark.core.request import Request
    from etl_spark.stores.files import FORMATS

    request = Request(
        run_id=_run_id(options.pipeline.name, options.run_key),
        asked=DateRange(options.start_date, options.end_date),
        output=_output(options),
        sinks=tuple(dict.fromkeys(options.sink or FORMATS)),
        allow_missing_days=options.allow_missing_days,
        refresh=options.refresh,
        extract_date=getattr(options, "extract_date", None),
    )
    mapping = getattr(options, "mapping", None)
    return run_recorded(
        options.pipeline,
        request,
        config_file=options.config,
        spark_options=options.spark,
        source=getattr(options, "source", None),
        mapping=mapping,
        given=given_settings(options),
    )


def given_settings(options: argparse.Namespace) -> dict[str, int]:
    """Those of the job's settings that the command line gives, by name."""
    values = {option.name: getattr(options, option.name, None) for option in options.pipeline.options}
    return {name: value for name, value in values.items() if value is not None}


def _time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a time of day, HH:MM")
    return text


def _install_marts(options: argparse.Namespace) -> int:
    from etl_spark.application import install_marts

    return install_marts(config_file=options.config, at=options.at)


def _publish(options: argparse.Namespace) -> int:
    from etl_spark.application import run_recorded
    from etl_spark.core.request import Request
    from etl_spark.runner import Publication

    request = Request(
        run_id=_run_id(f"publish-{options.pipeline.name}", options.run_key),
        asked=DateRange(options.start_date, options.end_date),
        output=_output(options),
        sinks=tuple(dict.fromkeys(options.sink)),
    )
    return run_recorded(
        options.pipeline, request, config_file=options.config, spark_options=options.spark, work=Publication
    )


def _stream(options: argparse.Namespace) -> int:
    from etl_spark.application import stream_recorded
    from etl_spark.core.request import StreamRequest

    if options.once and options.every:
        raise UsageError("--every is of --watch")
    request = StreamRequest(
        run_id=_run_id(f"stream-{options.pipeline.name}", options.run_key),
        output=_output(options),
        every=None if options.once else options.every or 60,
    )
    return stream_recorded(
        options.pipeline,
        request,
        config_file=options.config,
        spark_options=options.spark,
        source=options.source,
    )


def _evaluate(options: argparse.Namespace) -> int:
    from etl_spark.application import run_recorded
    from etl_spark.core.request import Request
    from etl_spark.runner import Evaluation
    from etl_spark.stores.files import FORMATS

    request = Request(
        run_id=_run_id(f"evaluate-{options.pipeline.name}", options.run_key),
        asked=DateRange(options.start_date or EVER.start, options.end_date or EVER.end),
        output=_output(options),
        sinks=tuple(dict.fromkeys(options.sink or FORMATS)),
    )
    return run_recorded(
        options.pipeline, request, config_file=options.config, spark_options=options.spark, work=Evaluation
    )


def _forget(options: argparse.Namespace) -> int:
    from etl_spark.application import forget_recorded
    from etl_spark.core.request import ForgetRequest

    request = ForgetRequest(
        customer_id=options.customer,
        run_id=_run_id("forget", options.run_key),
        output=_output(options),
        sinks=tuple(dict.fromkeys(options.sink or ())),
    )
    return forget_recorded(request, config_file=options.config, spark_options=options.spark)


def _run_id(work: str, key: str | None) -> str:
    return f"{work}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{key or secrets.token_hex(3)}"


def _print_ddl(options: argparse.Namespace) -> int:
    from etl_spark.pipelines import PIPELINES
    from etl_spark.stores.sinks import DDL
    from etl_spark.stores.warehouse import LEDGER

    made = (table for one in PIPELINES.values() for table in (*one.tables, *one.evaluated_tables))
    exported = [table for table in made if table.exported]
    if options.sink == "mysql":
        exported += [table for pipeline in PIPELINES.values() if pipeline.mart for table in pipeline.mart.tables]
    for table in dict.fromkeys([*exported, LEDGER]):
        print(";\n".join(DDL[options.sink].create(table)) + ";\n")
    return 0


def _place(options: argparse.Namespace) -> Place:
    """Where the results are that are to be read. Raises UsageError."""
    from etl_spark.core.uri import local_path
    from etl_spark.dashboard.results import Place, parse_url

    if options.url:
        parse_url(options.url)
        return Place(url=options.url)
    from etl_spark.config import configured_output

    output = options.results or configured_output(options.config)
    folder = local_path(output)
    if folder is None:
        raise UsageError(f"{output} is not on this machine: load it into a warehouse, and name that by --url")
    return Place(folder=folder.absolute())


def _dashboard(options: argparse.Namespace) -> int:
    try:
        from etl_spark.dashboard.serve import serve
    except ModuleNotFoundError as error:
        raise _not_installed(error) from None

    serve(_place(options), address=options.address, port=options.port)


def _report(options: argparse.Namespace) -> int:
    try:
        from etl_spark.dashboard.report import write
    except ModuleNotFoundError as error:
        raise _not_installed(error) from None

    if (options.start_date is None) != (options.end_date is None):
        raise UsageError("give both --start-date and --end-date, or neither: then it is the newest range")
    asked = DateRange(options.start_date, options.end_date) if options.start_date else None
    shown = write(options.job, _place(options), asked, options.output)
    print(f"{options.job}, {shown}: {options.output} ({options.output.stat().st_size:,} bytes)")
    return 0


def _not_installed(error: ModuleNotFoundError) -> EtlError:
    return EtlError(
        f"{error.name} is not installed: ./scripts/dashboard.sh installs it, or pip install 'etl_spark[dashboard]'"
    )


def _generate(options: argparse.Namespace) -> int:
    generator = options.pipeline.generator
    sizes = {size.name: getattr(options, size.name) for size in generator.sizes}
    asked = DateRange(options.start_date, options.end_date)
    module = importlib.import_module(generator.module)
    files = module.generate(asked, options.output, seed=options.seed, **sizes)
    print(f"{len(files)} files, {sum(file.stat().st_size for file in files):,} bytes in {options.output}")
    return 0
