"""Runs any pipeline: plan what to read, then read -> transform -> conform -> judge -> write -> check.

Nothing is written before all that must be read was read to its end and found good enough. load_audit is written last:
its rows mark days as done, and are taken away before anything of those days is replaced. What needs nothing of each
other, steps, tables and checks, is done at once: a small table leaves the cores idle while it is committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import pyspark.sql.functions as F
from pyspark.sql import DataFrame, SparkSession

from etl_spark.config import Config
from etl_spark.core.audit import LOAD_AUDIT, AuditRow, Reading, from_table, to_table
from etl_spark.core.dates import DateRange
from etl_spark.core.errors import EtlError, InputError, QualityError, ReconciliationError, UsageError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.request import Request
from etl_spark.core.settings import DailySettings, ExtractSettings, ItemSettings, SourceSettings
from etl_spark.core.step import Check, DailyFiles, Extracts, Input, Intake, Items, Pipeline, Step, Upstream
from etl_spark.core.table import Scope, Table
from etl_spark.quality import Tally, over_limit, tally, too_many_rejected
from etl_spark.sources.daily import DailySource
from etl_spark.sources.dynamodb import ItemSource
from etl_spark.sources.relational import ExtractSource
from etl_spark.sources.source import Source
from etl_spark.sources.upstream import Made, UpstreamSource
from etl_spark.stores.files import sweep_staging
from etl_spark.stores.lake import Lake
from etl_spark.stores.records import completed_days, require_completed_run
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
    shown: tuple[str, ...] = ()
    """Lines of what was found, for a person."""
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
        self.settings: SourceSettings = config.settings
        self.glue_database = config.glue_database
        self.also = self.settings.export_also

    def go(self) -> None:
        """Publishes all tables of a range that a run has completed. Raises EtlError for what a user can act on."""
        self.report.total = None
        require_completed_run(self.output, self.pipeline.name, self.request.asked)
        self.prepare()
        try:
            self.publish((*self.pipeline.tables, *self.pipeline.evaluated_tables))
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

    def register(self, tables: Iterable[Table]) -> None:
        """Makes `tables` of the lake known to Glue, where that is asked for."""
        if self.glue_database:
            # AWS' client is there only where it is needed.
            from etl_spark.stores.glue import register

            with self.report.timed(f"Glue database {self.glue_database}", self.say):
                register(self.glue_database, [(table, self.lake.path(table)) for table in tables])

    def _publish_table(self, sink: Sink, table: Table) -> None:
        scope = self._scope(table)
        sink.write(self.lake.read(table, scope), table, scope)

    def _scope(self, table: Table) -> Scope:
        asked, pipeline = self.request.asked, self.pipeline
        if table is not LOAD_AUDIT:
            return table.scope(pipeline=pipeline.name, asked=asked, days=asked.days)
        audited = {pipeline.audited_as(one): one.days(asked, self.settings).days for one in pipeline.intakes}
        scopes = (table.scope(pipeline=name, asked=asked, days=days) for name, days in audited.items())
        return tuple(partition for scope in scopes for partition in scope)

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(sink.place for sink in self.sinks)


class Evaluation:
    """What the pipeline's evaluator makes of a table in the lake. `report` is filled on the way; `say` is told how far.

    Of an asked range without a start, or an end, that of the rows that are there is taken: `request` has it then.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        request: Request,
        config: Config,
        spark: SparkSession,
        *,
        say: Callable[[str], None],
    ) -> None:
        assert pipeline.evaluator
        self.pipeline, self.spark, self.say = pipeline, spark, say
        self.evaluator = pipeline.evaluator
        self.settings: SourceSettings = config.settings
        self.publication = Publication(pipeline, request, config, spark, say=say)
        self.report, self.lake = self.publication.report, self.publication.lake

    @property
    def request(self) -> Request:
        return self.publication.request

    def go(self) -> None:
        """Evaluates to the end, or changes nothing. Raises EtlError for what a user can do something about."""
        self.report.total = None
        self.publication.prepare()
        try:
            frames = self._evaluate(self._rows())
            for table, df in frames.items():
                with self.report.timed(table.name, self.say):
                    self.lake.write(table.conform(df), table, self._scope(table))
            self.publication.publish(frames)
            self.publication.register(frames)
            self.report.shown = self._shown()
        finally:
            self.spark.catalog.clearCache()
            sweep_staging(self.publication.output)
        self.report.places = (self.publication.output.shown("lake"), *self.publication.places)

    def _rows(self) -> DataFrame:
        """The rows of the asked range, all of snapshots that a run has completed."""
        (one,) = self.evaluator.step.inputs
        (table,) = (table for table in self.pipeline.tables if table.name == one.of)
        asked, job = self.request.asked, self.pipeline.name
        there = self.lake.read(table, ({},)).select(*table.replaces).distinct().collect()
        found = {row[0] for row in there if asked.start <= row[0] <= asked.end}
        if not found:
            raise InputError(f"{self.lake.path(table)} has no rows of the asked range: run {job} over it first")
        if not found <= completed_days(self.publication.output, job):
            days = DateRange(min(found), max(found))
            raise InputError(f"not all of {days} was completed by a run of {job}: run it again, then evaluate")
        self.publication.request = replace(self.request, asked=asked.closed(min(found), max(found)))
        return self.lake.read(table, self._scope(table, found))

    def _evaluate(self, rows: DataFrame) -> dict[Table, DataFrame]:
        values = {"asked": self.request.asked, **_values_of(self.settings)}
        with self.report.timed("evaluation", self.say):
            return _made(self.evaluator.step, (rows,), values)

    def _shown(self) -> tuple[str, ...]:
        table = self.evaluator.step.outputs[0]
        rows = self.lake.read(table, self._scope(table)).orderBy(*table.grain).select(*self.evaluator.shown).collect()
        return grid((self.evaluator.shown, *rows))

    def _scope(self, table: Table, days: Iterable[date] = ()) -> Scope:
        return table.scope(pipeline=self.pipeline.name, asked=self.request.asked, days=sorted(days))


def grid(rows: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    """A line per row: the first names the columns, and numbers stand under each other, to three places."""
    texts = [[f"{one:.3f}" if isinstance(one, Decimal) else str(one) for one in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    is_text = [isinstance(one, str) for one in rows[-1]]
    return tuple(
        "  ".join(
            text.ljust(width) if left else text.rjust(width)
            for text, width, left in zip(line, widths, is_text, strict=True)
        )
        for line in texts
    )


@dataclass
class Taking:
    """What a run takes in of one source. `name` is the pipeline that its rows of load_audit are of."""

    intake: Intake
    name: str
    source: Source
    known: list[AuditRow] = field(default_factory=list)
    new: list[AuditRow] = field(default_factory=list)

    @property
    def audit(self) -> list[AuditRow]:
        return self.known + self.new

    @property
    def asked_audit(self) -> list[AuditRow]:
        days = set(self.source.days("asked"))
        return [row for row in self.audit if row.date in days]

    def changed_days(self, settings: Any) -> set[date]:
        """The days on which anything may have become known otherwise than by the last run."""
        reach = range(self.intake.reach(settings) + 1)
        return {day + timedelta(n) for day in self.source.to_replace for n in reach}


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
        self.publication = Publication(pipeline, request, config, spark, say=say)
        self.report, self.lake = self.publication.report, self.publication.lake
        self.tables = {table.name: table for table in (*pipeline.tables, *pipeline.upstream_tables)}
        self.takings = [
            Taking(intake, pipeline.audited_as(intake), self._open(intake, config))
            for intake in pipeline.intakes
            if intake.used(self.settings)
        ]

    def go(self) -> None:
        """Runs to the end. Raises EtlError for what a user can do something about."""
        self.publication.prepare()
        for taking in self.takings:
            self._plan(taking)
        try:
            self._take_in()
            for steps in self.pipeline.turns:
                _at_once(self._build, steps)
            self._check()
            self.publication.publish(table for table in self.pipeline.tables if table is not LOAD_AUDIT)
            self.publication.register(self.pipeline.tables)
            self._mark_days_done()
        finally:
            self.spark.catalog.clearCache()
            sweep_staging(self.publication.output)
        self.report.places = (self.publication.output.shown("lake"), *self.publication.places)

    def _open(self, intake: Intake, config: Config) -> Source:
        """The source of an intake, over the days that are looked at."""
        days, needed = (find(self.request.asked, self.settings) for find in (intake.days, intake.needed))
        request = replace(self.request, asked=days)
        match (intake.source, self.settings):
            case (DailyFiles() as source, DailySettings() as settings):
                return DailySource(self.spark, source, settings, request)
            case (Extracts() as source, ExtractSettings() as settings):
                login = partial(config.credentials, self.pipeline.name)
                return ExtractSource(self.spark, source, settings, request, login=login)
            case (Items() as source, ItemSettings() as settings):
                rules = settings.rules_version
                return ItemSource(self.spark, source, settings.item_reading, request, rules=rules)
            case (Upstream() as source, _):
                made, rules = self._upstream(source), self.settings.rules_version
                return UpstreamSource(self.spark, source, request, needed=needed, made=made, rules=rules)
        raise TypeError(f"{type(self.settings).__name__} does not fit {intake.source.name} of {self.pipeline.name}")

    def _upstream(self, source: Upstream) -> Made:
        """What the lake has of another job."""
        audit = self.lake.read(LOAD_AUDIT, ({"pipeline": source.pipeline},))
        extracts: list[tuple[date, DateRange]] = []
        if source.extracted:
            of_extracts = self.lake.read(source.extracted, ({},)).select("extract_date", "start_date", "end_date")
            extracts = [(row[0], DateRange(row[1], row[2])) for row in of_extracts.distinct().collect()]
        return Made(
            audit=from_table(audit, source.measure),
            extracts=extracts,
            complete=completed_days(self.publication.output, source.pipeline) if source.by_runs else None,
        )

    def _plan(self, taking: Taking) -> None:
        source, measure = taking.source, taking.intake.source.measure
        stored = self.lake.read(LOAD_AUDIT, self._audit_scope(taking, source.audited_days))
        known = from_table(stored, measure)
        self.say(source.plan(known))
        self.report.coverage |= source.coverage
        self.report.in_words |= source.in_words
        taking.known = [row for row in known if row.date in source.known]

    def _take_in(self) -> None:
        """Judges all there is to read of every source, then replaces the days it is of."""
        frames = [self._read_source(taking) for taking in self.takings]
        self.report.total = tally(row for taking in self.takings for row in taking.asked_audit)
        for taking, found in zip(self.takings, frames, strict=True):
            self._judge(taking, found)
        for taking in self.takings:
            self.lake.clear(LOAD_AUDIT, self._audit_scope(taking, taking.source.to_replace))
        for taking, found in zip(self.takings, frames, strict=True):
            if found:
                with self._timed(found):
                    self._write_all(found, taking.source.to_replace)

    def _read_source(self, taking: Taking) -> dict[Table, DataFrame]:
        """The tables that are made of what there is to read of a source; none where nothing is new.

        That is common, a second range over known days, and even no lines take Spark seconds to judge.
        """
        source = taking.source
        frames = self._transform(taking.intake.step) if source.to_replace else {}
        reading = Reading(
            pipeline=taking.name,
            source_uri=source.place,
            rules_version=self.settings.rules_version,
            run_id=self.request.run_id,
            measure=taking.intake.source.measure,
        )
        with self.report.timed(f"reading {taking.intake.source.name}", self.say), source.readable():
            taking.new = reading.audit(source.files_to_read, frames.pop(LOAD_AUDIT)) if frames else []
        return frames

    def _judge(self, taking: Taking, frames: Mapping[Table, DataFrame]) -> None:
        """Whatever is wrong with what was read is raised here, before anything is written."""
        intake, source, limit = taking.intake, taking.source, self.settings.max_rejected_share
        bad = over_limit(taking.audit, limit, lambda row: str(getattr(row, intake.source.judged_by)))
        if bad and intake.quarantine:
            table = intake.quarantine
            rejected = self.lake.read(table, self._scope(table, source.known, extract_dates=source.known))
            if table in frames:
                rejected = rejected.unionByName(table.conform(frames[table]))
            in_bad_group = F.col(intake.judged_column).cast("string").isin(*bad)
            raise QualityError(too_many_rejected(bad, limit, rejected.where(in_bad_group)))
        source.verify_unchanged()

    def _build(self, step: Step) -> None:
        """Replaces what the tables of a step hold of the asked range, or of the days that changed."""
        days = self._changed_days(step) if step.over == "changed" else self.request.asked.days
        if days:
            with self._timed(step.outputs):
                self._write_all(self._transform(step), days)

    def _changed_days(self, step: Step) -> tuple[date, ...]:
        """The days on which anything changed of the sources that `step` reads."""
        read = {one.of for one in step.inputs}
        takings = (taking for taking in self.takings if read & taking.intake.table_names)
        return tuple(sorted({day for taking in takings for day in taking.changed_days(self.settings)}))

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

    def _mark_days_done(self) -> None:
        with self._timed([LOAD_AUDIT]):
            audit = to_table(self.spark, (row for taking in self.takings for row in taking.new))
            scope = (one for taking in self.takings for one in self._audit_scope(taking, taking.source.to_replace))
            self.lake.write(LOAD_AUDIT.conform(audit), LOAD_AUDIT, tuple(scope))
        self.publication.publish([LOAD_AUDIT])

    def _transform(self, step: Step) -> dict[Table, DataFrame]:
        values: dict[str, Any] = {"asked": self.request.asked}
        for taking in self.takings:
            values |= taking.source.values
        values |= _values_of(self.settings)
        changed = self._changed_days(step)
        values["changed_days"] = changed
        # Of each CSV file the header is looked at, and of each Delta table the log.
        return _made(step, _at_once(partial(self._read, changed=changed), step.inputs), values)

    def _read(self, one: Input, changed: Sequence[date] = ()) -> DataFrame:
        if one.part == "nothing":
            return self.spark.range(1).select()
        if one.of not in self.tables:
            (taking,) = (taking for taking in self.takings if taking.source.has(one))
            return taking.source.read(one)
        table = self.tables[one.of]
        if table is LOAD_AUDIT:
            return to_table(self.spark, [row for taking in self.takings for row in taking.asked_audit])
        return self.lake.read(table, ({},) if one.part == "whole" else self._scope(table, self._days(one, changed)))

    def _days(self, one: Input, changed: Sequence[date]) -> Sequence[date]:
        """The days of a table that `one` stands for."""
        asked, settings = self.request.asked, self.settings
        taking = next((taking for taking in self.takings if one.of in taking.intake.table_names), None)
        reach = taking.intake.reach(settings) if taking else 0
        match one.part:
            case "window":
                return sorted({day for each in self.takings for day in each.intake.days(asked, settings).days})
            case "changed":
                return changed
            case "recent":
                return sorted({day - timedelta(n) for day in changed for n in range(reach + 1)})
            case "known" if taking:
                near = {day + timedelta(n) for day in taking.source.to_replace for n in range(-reach, reach + 1)}
                return sorted(near & set(taking.source.known))
        return taking.source.days(one.part) if taking else asked.days

    def _write_all(self, frames: Mapping[Table, DataFrame], days: Iterable[date]) -> None:
        _at_once(lambda item: self._write(item[1], item[0], days), frames.items())

    def _write(self, df: DataFrame, table: Table, days: Iterable[date]) -> None:
        """Replaces `days`, or the asked range, of `table` in the lake."""
        self.lake.write(table.conform(df), table, self._scope(table, days))

    def _timed(self, tables: Iterable[Table]) -> AbstractContextManager[None]:
        return self.report.timed(", ".join(table.name for table in tables), self.say)

    def _audit_scope(self, taking: Taking, days: Iterable[date]) -> Scope:
        return LOAD_AUDIT.scope(pipeline=taking.name, asked=self.request.asked, days=days)

    def _scope(self, table: Table, days: Iterable[date], extract_dates: Iterable[date] | None = None) -> Scope:
        if extract_dates is None:
            extract_dates = [day for taking in self.takings for day in taking.source.extract_dates]
        return table.scope(
            pipeline=self.pipeline.name, asked=self.request.asked, days=days, extract_dates=extract_dates
        )


def _values_of(settings: SourceSettings) -> dict[str, Any]:
    return {setting.name: getattr(settings, setting.name) for setting in fields(settings)}


def _made(step: Step, frames: Iterable[DataFrame], values: Mapping[str, Any]) -> dict[Table, DataFrame]:
    """What `step` makes of `frames`, with those of `values` that are its parameters."""
    made = step.transform(*frames, **{name: values[name] for name in step.parameters})
    return dict(zip(step.outputs, made if isinstance(made, tuple) else (made,), strict=True))


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
