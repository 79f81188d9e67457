"""Runs any pipeline: plan what to read, then read -> transform -> conform -> judge -> write -> check.

Nothing is written before all that must be read was read to its end and found good enough. load_audit is written last:
its rows mark days as done, and are taken away before anything of those days is replaced. What needs nothing of each
other, steps, tables and checks, is done at once: a small table leaves the cores idle while it is committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields
from datetime import date
from functools import partial
from typing import Any, TypeVar

import pyspark.sql.functions as F
from pyspark.sql import DataFrame, SparkSession

from etl_spark.config import Config
from etl_spark.core.audit import LOAD_AUDIT, AuditRow, Reading, from_table, to_table
from etl_spark.core.errors import EtlError, QualityError, ReconciliationError, UsageError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.request import Request
from etl_spark.core.settings import DailySettings, ExtractSettings, SourceSettings
from etl_spark.core.step import Check, DailyFiles, Extracts, Input, Pipeline, Step
from etl_spark.core.table import Scope, Table
from etl_spark.quality import Tally, over_limit, tally, too_many_rejected
from etl_spark.sources.daily import DailySource
from etl_spark.sources.relational import ExtractSource
from etl_spark.sources.source import Source
from etl_spark.stores.files import sweep_staging
from etl_spark.stores.lake import Lake
from etl_spark.stores.records import require_completed_run
from etl_spark.stores.sinks import Sink, open_sinks

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Report:
    """What a run did so far; one that fails leaves it half-filled.

    `total` is of the days found in the asked range, None where none was read.
    """

    coverage: dict[str, Any] = field(default_factory=dict)
    """What was asked for and found at the source, as the record has it."""
    in_words: dict[str, str] = field(default_factory=dict)
    """The same for a person."""
    total: Tally | None = field(default_factory=Tally)
    places: tuple[str, ...] = ()
    times: dict[str, float] = field(default_factory=dict)
    """Seconds each part took."""

    @contextmanager
    def timed(self, what: str, say: Callable[[str], None]) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.times[what] = round(time.monotonic() - started, 3)
        say(f"{what}: {self.times[what]:.1f} s")


class Publication:
    """What the lake has of the asked range, into the sinks. `report` is filled on the way; `say` is told how far."""

    def __init__(
        self,
        pipeline: Pipeline,
        request: Request,
        config: Config,
        spark: SparkSession,
        *,
        say: Callable[[str], None],
    ) -> None:
        self.pipeline, self.request, self.say = pipeline, request, say
        self.report = Report()
        self.output = FileSystem(spark, request.output, EtlError)
        self.lake = Lake(spark, self.output)
        self.sinks = open_sinks(request, config, spark, self.output)
        self.also = config.settings.export_also

    def go(self) -> None:
        """Publishes all tables of a range that a run has completed. Raises EtlError for what a user can act on."""
        self.report.total = None
        require_completed_run(self.output, self.pipeline.name, self.request.asked)
        self.prepare()
        try:
            self.publish(self.pipeline.tables)
        finally:
            sweep_staging(self.output)
        self.report.places = self.places

    def prepare(self) -> None:
        """Raises EtlError for what would be in vain."""
        strangers = sorted(set(self.also) - {table.name for table in self.pipeline.tables})
        if strangers:
            raise UsageError(f"export_also: {self.pipeline.name} has no table {', '.join(strangers)}")
        for sink in self.sinks:
            sink.verify()
        sweep_staging(self.output)

    def publish(self, tables: Iterable[Table]) -> None:
        wanted = [table for table in tables if table.exported or table.name in self.also]
        for sink in self.sinks:
            what = f"{', '.join(table.name for table in wanted)} to {sink.place}"
            with self.report.timed(what, self.say), ThreadPoolExecutor(sink.tables_at_once) as pool:
                list(pool.map(partial(self._publish_table, sink), wanted))

    def _publish_table(self, sink: Sink, table: Table) -> None:
        asked = self.request.asked
        scope = table.scope(pipeline=self.pipeline.name, asked=asked, days=asked.days)
        sink.write(self.lake.read(table, scope), table, scope)

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(sink.place for sink in self.sinks)


class Run:
    """One run of a pipeline. `report` is filled on the way; `say` is told how far it is."""

    def __init__(
        self,
        pipeline: Pipeline,
        request: Request,
        config: Config,
        spark: SparkSession,
        *,
        say: Callable[[str], None],
    ) -> None:
        self.pipeline, self.request, self.spark, self.say = pipeline, request, spark, say
        self.settings: SourceSettings = config.settings
        self.glue_database = config.glue_database
        self.publication = Publication(pipeline, request, config, spark, say=say)
        self.report, self.lake = self.publication.report, self.publication.lake
        self.tables = {table.name: table for table in pipeline.tables}
        self.source = _source(spark, pipeline, config, request)

    def go(self) -> None:
        """Runs to the end. Raises EtlError for what a user can do something about."""
        self.publication.prepare()
        self._plan()
        try:
            self._read_source(self.pipeline.steps[0])
            for steps in self.pipeline.turns:
                _at_once(self._build, steps)
            self._check()
            self.publication.publish(table for table in self.pipeline.tables if table is not LOAD_AUDIT)
            self._register()
            self._mark_days_done()
        finally:
            self.spark.catalog.clearCache()
            sweep_staging(self.publication.output)
        self.report.places = (self.publication.output.shown("lake"), *self.publication.places)

    def _plan(self) -> None:
        stored = self.lake.read(LOAD_AUDIT, self._scope(LOAD_AUDIT, self.source.audited_days))
        known = from_table(stored, self.pipeline.source.measure)
        self.say(self.source.plan(known))
        self.report.coverage, self.report.in_words = self.source.coverage, self.source.in_words
        self.known_audit = [row for row in known if row.date in self.source.known]

    def _read_source(self, step: Step) -> None:
        """The step that reads the source: judges all there is to read, then replaces the days it is of."""
        # Nothing new is common, a second range over known days, and even no lines take Spark seconds to judge.
        frames = self._transform(step) if self.source.to_replace else {}
        reading = Reading(
            pipeline=self.pipeline.name,
            source_uri=self.source.place,
            rules_version=self.settings.rules_version,
            run_id=self.request.run_id,
            measure=self.pipeline.source.measure,
        )
        with self.report.timed("reading", self.say), self.source.readable():
            self.new_audit = reading.audit(self.source.files_to_read, frames.pop(LOAD_AUDIT)) if frames else []
        self.audit = self.known_audit + self.new_audit
        self._judge(frames.get(self.pipeline.quarantine))
        self.lake.clear(LOAD_AUDIT, self._scope(LOAD_AUDIT, self.source.to_replace))
        with self._timed(frames):
            self._write_all(frames, self.source.to_replace)

    def _judge(self, quarantine: DataFrame | None) -> None:
        """Counts what was read; whatever is wrong with it is raised here, before anything is written."""
        self.report.total = tally(self._asked_audit())
        group, limit = self.pipeline.source.judged_by, self.settings.max_rejected_share
        bad = over_limit(self.audit, limit, lambda row: str(getattr(row, group)))
        if bad:
            table = self.pipeline.quarantine
            rejected = self.lake.read(table, self._scope(table, self.source.known))
            if quarantine is not None:
                rejected = rejected.unionByName(table.conform(quarantine))
            in_bad_group = F.col(self.pipeline.judged_column).cast("string").isin(*bad)
            raise QualityError(too_many_rejected(bad, limit, rejected.where(in_bad_group)))
        self.source.verify_unchanged()

    def _asked_audit(self) -> list[AuditRow]:
        days = set(self.source.days("asked"))
        return [row for row in self.audit if row.date in days]

    def _build(self, step: Step) -> None:
        """Replaces what the tables of any other step hold of the asked range."""
        with self._timed(step.outputs):
            self._write_all(self._transform(step), self.request.asked.days)

    def _check(self) -> None:
        with self.report.timed("checks", self.say):
            failures = [failure for failure in _at_once(self._failure, self.pipeline.checks) if failure]
        if failures:
            raise ReconciliationError(f"run again with --refresh, as this does not hold: {'; '.join(failures)}")

    def _failure(self, check: Check) -> str | None:
        rows = check.query(*(self._read(one) for one in check.inputs)).limit(5).collect()
        if not rows:
            return None
        shown = "; ".join(", ".join(f"{key} {value}" for key, value in row.asDict().items()) for row in rows)
        return f"{check.name} ({shown})"

    def _register(self) -> None:
        if self.glue_database:
            # AWS' client is there only where it is needed.
            from etl_spark.stores.glue import register

            with self.report.timed(f"Glue database {self.glue_database}", self.say):
                register(self.glue_database, [(table, self.lake.path(table)) for table in self.pipeline.tables])

    def _mark_days_done(self) -> None:
        with self._timed([LOAD_AUDIT]):
            self._write(to_table(self.spark, self.new_audit), LOAD_AUDIT, self.source.to_replace)
        self.publication.publish([LOAD_AUDIT])

    def _transform(self, step: Step) -> dict[Table, DataFrame]:
        settings = {setting.name: getattr(self.settings, setting.name) for setting in fields(self.settings)}
        values = {"asked": self.request.asked, **self.source.values, **settings}
        parameters = {name: values[name] for name in step.parameters}
        # Of each CSV file the header is looked at, and of each Delta table the log.
        made = step.transform(*_at_once(self._read, step.inputs), **parameters)
        return dict(zip(step.outputs, made if isinstance(made, tuple) else (made,), strict=True))

    def _read(self, one: Input) -> DataFrame:
        if one.part == "nothing":
            return self.spark.range(1).select()
        if one.of not in self.tables:
            return self.source.read(one)
        table = self.tables[one.of]
        if table is LOAD_AUDIT:
            return to_table(self.spark, self._asked_audit())
        scope = ({},) if one.part == "whole" else self._scope(table, self.source.days(one.part))
        return self.lake.read(table, scope)

    def _write_all(self, frames: Mapping[Table, DataFrame], days: Iterable[date]) -> None:
        _at_once(lambda item: self._write(item[1], item[0], days), frames.items())

    def _write(self, df: DataFrame, table: Table, days: Iterable[date]) -> None:
        """Replaces `days`, or the asked range, of `table` in the lake."""
        self.lake.write(table.conform(df), table, self._scope(table, days))

    def _timed(self, tables: Iterable[Table]) -> AbstractContextManager[None]:
        return self.report.timed(", ".join(table.name for table in tables), self.say)

    def _scope(self, table: Table, days: Iterable[date]) -> Scope:
        return table.scope(
            pipeline=self.pipeline.name,
            asked=self.request.asked,
            days=days,
            extract_dates=self.source.extract_dates,
        )


def _at_once(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`work` of each of `items`, in their order. The first that fails keeps those from starting that have not."""
    with ThreadPoolExecutor(4) as pool:
        ended = [pool.submit(work, item) for item in items]
        try:
            for one in as_completed(ended):
                one.result()
        finally:
            for one in ended:
                one.cancel()
    return [one.result() for one in ended]


def _source(spark: SparkSession, pipeline: Pipeline, config: Config, request: Request) -> Source:
    match (pipeline.source, config.settings):
        case (DailyFiles() as source, DailySettings() as settings):
            return DailySource(spark, source, settings, request)
        case (Extracts() as source, ExtractSettings() as settings):
            return ExtractSource(spark, source, settings, request, login=partial(config.credentials, pipeline.name))
    raise TypeError(f"{type(config.settings).__name__} does not fit the source of {pipeline.name}")
