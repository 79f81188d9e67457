"""One run from configuration to record: starts Spark, runs the pipeline, and tells how it ended, in every case."""

from __future__ import annotations

import importlib.util
import re
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyspark
from pyspark.sql import SparkSession

from etl_spark import __version__, config, log, session
from etl_spark.core.audit import AMOUNT_PARTS, Measure
from etl_spark.core.database import driver_packages
from etl_spark.core.errors import EtlError, UsageError
from etl_spark.core.forget import FORGOTTEN, Customer, whole_word
from etl_spark.core.request import ForgetRequest, Request, StreamRequest
from etl_spark.core.step import Pipeline, Stream
from etl_spark.forget import Forgetting, Found
from etl_spark.pipelines import PIPELINES, all_tables
from etl_spark.pipelines.sales.pipeline import SALES
from etl_spark.quality import Tally
from etl_spark.runner import Evaluation, Publication, Report, Run
from etl_spark.stores.records import RunRecord
from etl_spark.stores.sinks import configured
from etl_spark.stream import StreamReport, StreamRun, lateness


def run_recorded(
    pipeline: Pipeline,
    request: Request,
    *,
    config_file: Path | None,
    spark_options: Mapping[str, str] | None = None,
    work: type[Run] | type[Publication] | type[Evaluation] = Run,
    source: str | None = None,
    mapping: str | None = None,
    given: Mapping[str, int] | None = None,
) -> int:
    """Does `work`, prints the summary, and leaves the run's record, whatever happens. Returns the exit code.

    Spark's options are `spark_options`, or those of the configuration where there are none.
    """
    record = RunRecord(request.output, request.run_id)
    log.set_up(request.run_id, record.log)
    report = Report()
    spark: SparkSession | None = None
    values: dict[str, Any] = {
        "run_id": request.run_id,
        "pipeline": pipeline.name,
        "version": __version__,
        "spark_version": pyspark.__version__,
        "start_date": request.asked.start,
        "end_date": request.asked.end,
        "source": source,
        "mapping": mapping,
        **(given or {}),
        "output": request.output,
        "sinks": request.sinks,
        "allow_missing_days": request.allow_missing_days,
        "refresh": request.refresh,
        "started_at": _now(),
        "exit_code": None,
        "error": None,
    }
    started = time.monotonic()
    with _outcome(values, record), record.alone():
        settings = config.load(
            pipeline.name,
            pipeline.settings,
            pipelines=PIPELINES,
            file=config_file,
            source=source,
            mapping=mapping,
            given=given,
            reads=work is Run and pipeline.reads,
        )
        values["source"] = settings.settings.source
        if work is Run:
            _require_packages(pipeline)
        record.save(values, None)
        log.LOGGER.info("starting Spark")
        spark = session.start(
            pipeline.name,
            settings.spark if spark_options is None else spark_options,
            run_id=request.run_id,
            log=record.log,
            packages=packages(settings, request.sinks, (*settings.settings.places, request.output)),
        )
        record.save(values, spark)
        one = work(pipeline, request, settings, spark, say=log.LOGGER.info)
        report = one.report
        one.go()
        request = one.request
        values |= {"start_date": request.asked.start, "end_date": request.asked.end}
    values |= {"ended_at": _now(), "took_seconds": round(time.monotonic() - started, 3)}
    values |= report.coverage | {
        "total": _total(report.total, pipeline.measure) if report.total else None,
        "places": report.places,
        "times": report.times,
    }
    record.save(values, spark)
    if values["error"]:
        print(f"etl-spark: {values['error']}", file=sys.stderr)
    else:
        print(summary(request, report, pipeline.measure, record.place))
    return int(values["exit_code"])


def _require_packages(pipeline: Pipeline) -> None:
    missing = [name for name in pipeline.requires if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} must be installed for this job: ./scripts/submit.sh {pipeline.name} does it, or "
            f"pip install 'etl_spark[{pipeline.name}]'"
        )


@contextmanager
def _outcome(values: dict[str, Any], record: RunRecord) -> Iterator[None]:
    """Puts how a run ends into `values`: its exit_code, and its error, if any."""
    try:
        yield
        values["exit_code"] = 0
    except EtlError as error:
        log.LOGGER.error("%s", error)
        values |= {"exit_code": error.exit_code, "error": str(error)}
    except KeyboardInterrupt:
        values |= {"exit_code": 1, "error": "interrupted"}
    except Exception as error:  # A bug, or Spark in trouble: one line for the user, the stack trace in the log.
        log.LOGGER.exception("unexpected failure")
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        values |= {"exit_code": 1, "error": f"unexpected failure: {first_line} (see {record.log})"}


def stream_recorded(
    stream: Stream,
    request: StreamRequest,
    *,
    config_file: Path | None,
    spark_options: Mapping[str, str] | None = None,
    source: str | None = None,
) -> int:
    """Takes in what has arrived, prints the summary, and leaves the run's record. Returns the exit code.

    The output is held for as long as a run takes. One that watches holds it while it writes a batch, and waits for its
    turn: other runs have theirs in between.
    """
    record = RunRecord(request.output, request.run_id)
    log.set_up(request.run_id, record.log)
    watches = request.every is not None
    report = StreamReport()
    places: tuple[str, ...] = ()
    spark: SparkSession | None = None
    values: dict[str, Any] = {
        "run_id": request.run_id,
        "stream": stream.name,
        "version": __version__,
        "spark_version": pyspark.__version__,
        "source": source,
        "output": request.output,
        "every": request.every,
        "started_at": _now(),
        "exit_code": None,
        "error": None,
    }
    started = time.monotonic()
    with _outcome(values, record), record.alone(f"{stream.name}."), nullcontext() if watches else record.alone():
        settings = config.load(stream.name, stream.settings, pipelines=PIPELINES, file=config_file, source=source)
        values["source"] = settings.settings.source
        record.save(values, None)
        log.LOGGER.info("starting Spark")
        spark = session.start(
            stream.name,
            settings.spark if spark_options is None else spark_options,
            run_id=request.run_id,
            log=record.log,
            packages=packages(settings, (), (settings.settings.source, request.output)),
        )
        record.save(values, spark)
        one = StreamRun(
            stream,
            request,
            settings,
            spark,
            say=log.LOGGER.info,
            warn=log.LOGGER.warning,
            alone=partial(record.alone, waits=True) if watches else nullcontext,
        )
        report, places = one.report, one.places
        one.go()
    values |= {"ended_at": _now(), "took_seconds": round(time.monotonic() - started, 3)}
    values |= report.coverage | {"total": _total(report.total, "nothing"), "places": places}
    record.save(values, spark)
    if values["error"]:
        print(f"etl-spark: {values['error']}", file=sys.stderr)
    else:
        print(stream_summary(stream, report, places, record.place))
    return int(values["exit_code"])


def forget_recorded(
    request: ForgetRequest, *, config_file: Path | None, spark_options: Mapping[str, str] | None = None
) -> int:
    """Forgets a customer, prints where there was something, and leaves a record that names nobody."""
    words = whole_word(Customer(request.customer_id, 0).words)
    hidden = partial(re.sub, words, FORGOTTEN)
    record = RunRecord(request.output, request.run_id)
    log.set_up(request.run_id, record.log, hidden)
    found: list[Found] = []
    spark: SparkSession | None = None
    values: dict[str, Any] = {
        "run_id": request.run_id,
        "version": __version__,
        "spark_version": pyspark.__version__,
        "output": request.output,
        "sinks": request.sinks,
        "started_at": _now(),
        "exit_code": None,
        "error": None,
    }
    started = time.monotonic()
    with _outcome(values, record), record.alone():
        record.save(values, None)
        # Of any job: of its own there are no settings.
        settings = config.load(SALES.name, SALES.settings, pipelines=PIPELINES, file=config_file, reads=False)
        log.LOGGER.info("starting Spark")
        spark = session.start(
            "forget",
            settings.spark if spark_options is None else spark_options,
            run_id=request.run_id,
            log=record.log,
            packages=packages(settings, request.sinks, (request.output,)),
        )
        record.save(values, spark)
        found = Forgetting(all_tables(), request, settings, spark, say=log.LOGGER.info).go()
    values |= {"ended_at": _now(), "took_seconds": round(time.monotonic() - started, 3)}
    values["found"] = [asdict(one) for one in found]
    if values["error"]:
        values["error"] = hidden(values["error"])
    record.save(values, spark)
    if values["error"]:
        print(f"etl-spark: {values['error']}", file=sys.stderr)
    else:
        print(forget_summary(found, record.place))
    return int(values["exit_code"])


def install_marts(*, config_file: Path | None, at: str) -> int:
    """Installs the data marts of all pipelines in MySQL, and prints what was done. Returns the exit code."""
    # What a cluster that loads no warehouse need not have.
    from etl_spark.stores.mart import install
    from etl_spark.stores.mysql import MySql

    for pipeline in PIPELINES.values():
        if pipeline.mart:
            found = config.load(pipeline.name, pipeline.settings, pipelines=PIPELINES, file=config_file, reads=False)
            store = MySql(configured("mysql", found.sinks), found.credentials("mysql"), "mart")
            print("\n".join(install(store, pipeline.mart, at)))
    return 0


def summary(request: Request, report: Report, measure: Measure, record: str) -> str:
    """What a person wants to know of a run that is done."""
    lines = [
        f"done: {request.asked}",
        *(f"  {what:<10} {said}" for what, said in report.in_words.items()),
        *(_counted(report.total, measure) if report.total else ()),
        *(f"  {line}" for line in report.shown),
        *(f"  results    {place}" for place in report.places),
        f"  record     {record}",
    ]
    return "\n".join(lines)


def stream_summary(stream: Stream, report: StreamReport, places: Sequence[str], record: str) -> str:
    """What a person wants to know of a stream that has ended."""
    others = [f"{count:,} {what}" for count, what in ((report.known, "known"), (report.strays, "left out")) if count]
    lines = [
        f"done: {stream.name}",
        f"  objects    {report.objects:,} taken in{''.join(f', {one}' for one in others)}",
        *_counted(report.total, "nothing"),
        f"  late       {lateness(report.late_rows, report.latest_seconds)}",
        *(f"  results    {place}" for place in places),
        f"  record     {record}",
    ]
    return "\n".join(lines)


def forget_summary(found: Sequence[Found], record: str) -> str:
    """What a person wants to know of a customer who is forgotten."""
    said = [f"  {one.rows:>10,} {one.what} {'made unknown' if one.kept else 'removed'} in {one.place}" for one in found]
    return "\n".join(("done: forgotten", *(said or ["  nothing named the customer"]), f"  record     {record}"))


def _counted(total: Tally, measure: Measure) -> list[str]:
    lines = [
        f"  rows       {total.rows_in:,} read = {total.rows_accepted:,} accepted + {total.rows_rejected:,} rejected",
        *(f"               {count:>12,}  {reason}" for reason, count in total.rejected.items()),
        *(f"               {count:>12,}  {reason}, accepted" for reason, count in total.flagged.items()),
    ]
    if measure != "nothing":
        lines.append(
            f"  {measure:<10} {total.amount_in:,} read = "
            f"{total.amount_accepted:,} accepted + {total.amount_rejected:,} rejected"
        )
    return lines


def packages(settings: config.Config, sinks: Collection[str], places: Collection[str]) -> list[str]:
    """The Maven coordinates of the drivers of databases, and of S3's client, each once.

    For a run that reads and writes at `places`, beside the warehouses among `sinks`.
    """
    loaded = [sink for name, sink in settings.sinks.items() if name in sinks]
    all_places = (*places, *(place for sink in loaded for place in sink.places))
    s3 = session.s3_packages() if any(place.startswith("s3a:") for place in all_places) else []
    drivers = [package for place in places for package in driver_packages(place)]
    return sorted({*drivers, *(sink.package for sink in loaded), *s3})


def _total(total: Tally, measure: Measure) -> dict[str, Any]:
    """`total` for the record: seconds as numbers, and money, which JSON would make a float, as text."""
    exact = int if measure == "seconds" else str
    parts = () if measure == "nothing" else AMOUNT_PARTS
    amounts = {f"{measure}_{part}": exact(getattr(total, f"amount_{part}")) for part in parts}
    return {name: value for name, value in asdict(total).items() if not name.startswith("amount_")} | amounts


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
