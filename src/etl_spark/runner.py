"""Runs any pipeline: plan the days, then read -> transform -> conform -> judge -> write -> check.

Nothing is written before every day that must be read was read to its end and found good enough. load_audit is written
last: its rows mark days as done, and are taken away before anything of those days is replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import date

import pyspark.sql.functions as F
from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.audit import LOAD_AUDIT, Reading, from_table, to_table
from etl_spark.core.dates import DateRange
from etl_spark.core.days import DayPlan, Fingerprint, SourceFile, plan_days
from etl_spark.core.errors import EtlError, InputError, QualityError, ReconciliationError, UsageError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.settings import DailySettings
from etl_spark.core.step import Input, Pipeline, Step
from etl_spark.core.table import Scope, Table
from etl_spark.quality import Tally, days_over_limit, tally, too_many_rejected
from etl_spark.sources.dated_files import find_files, read_files, read_lines, readable
from etl_spark.stores.files import FORMATS, Exports, sweep_staging
from etl_spark.stores.lake import Lake

SINKS = FORMATS
"""What tables can be exported to; the lake has them always."""


@dataclass(frozen=True)
class Request:
    """What the user asks for."""

    run_id: str
    asked: DateRange
    output: str
    sinks: tuple[str, ...] = SINKS
    allow_missing_days: bool = False
    refresh: bool = False


@dataclass
class Report:
    """What a run did so far; one that fails leaves it half-filled. `total` is of the days found in the asked range."""

    days_asked: int = 0
    days_found: int = 0
    days_missing: tuple[date, ...] = ()
    days_read: tuple[date, ...] = ()
    previous_days_found: int = 0
    total: Tally = field(default_factory=Tally)
    places: tuple[str, ...] = ()
    times: dict[str, float] = field(default_factory=dict)
    """Seconds each part took."""


class Run:
    """One run of a pipeline. `report` is filled on the way; `say` is told how far it is."""

    def __init__(
        self,
        pipeline: Pipeline,
        request: Request,
        settings: DailySettings,
        spark: SparkSession,
        *,
        say: Callable[[str], None],
    ) -> None:
        self.pipeline, self.request, self.settings, self.spark, self.say = pipeline, request, settings, spark, say
        self.report = Report()
        self.tables = {table.name: table for table in pipeline.tables}
        self.source = FileSystem(spark, settings.source)
        self.output = FileSystem(spark, request.output, EtlError)
        self.lake = Lake(spark, self.output)
        self.exports = [Exports(self.output, sink, request.run_id) for sink in request.sinks]

    def go(self) -> None:
        """Runs to the end. Raises EtlError for what a user can do something about."""
        strangers = sorted(set(self.settings.export_also) - set(self.tables))
        if strangers:
            raise UsageError(f"export_also: {self.pipeline.name} has no table {', '.join(strangers)}")
        sweep_staging(self.output)
        self.plan = self._plan_days()
        try:
            for step in self.pipeline.steps:
                if LOAD_AUDIT in step.outputs:
                    self._read_days(step)
                else:
                    self._build(step)
            self._check()
            self._export(table for table in self.pipeline.tables if table is not LOAD_AUDIT)
            self._mark_days_done()
        finally:
            self.spark.catalog.clearCache()
            sweep_staging(self.output)
        self.report.places = tuple(self.output.shown(name) for name in ("lake", *self.request.sinks))

    def _plan_days(self) -> DayPlan:
        asked, source = self.request.asked, self.source.root
        stored = self.lake.read(LOAD_AUDIT, self._scope(LOAD_AUDIT, (*asked.previous().days, *asked.days)))
        self.known_audit = from_table(stored)
        accounted: dict[date, set[Fingerprint]] = {}
        for row in self.known_audit:
            accounted.setdefault(row.date, set()).add(row.fingerprint)
        plan = plan_days(
            asked,
            self._find_files(),
            accounted,
            source=source,
            rules=self.settings.rules_version,
            refresh=self.request.refresh,
        )
        self.report.days_asked, self.report.days_found = len(asked), len(plan.found)
        self.report.days_read, self.report.days_missing = plan.to_read, plan.missing
        self.report.previous_days_found = len(plan.previous_found)
        if plan.missing and not (self.request.allow_missing_days and plan.found):
            missing = ", ".join(str(day) for day in plan.missing)
            raise InputError(f"{len(plan.missing)} of {len(asked)} days have no file at {source}: {missing}")
        self.say(
            f"{len(plan.found)} of {len(asked)} days found, and {len(plan.previous_found)} of as many before: "
            f"{len(plan.to_read)} to read, {len(plan.known)} known"
        )
        return plan

    def _find_files(self) -> tuple[SourceFile, ...]:
        asked = self.request.asked
        return find_files(self.source, self.settings.layout, (*asked.previous().days, *asked.days))

    def _read_days(self, step: Step) -> None:
        """The step that reads the source: judges all there is to read, then replaces the days it is of."""
        # Nothing new is common, a second range over known days, and even no lines take Spark seconds to judge.
        frames = self._transform(step) if self.plan.to_replace else {}
        reading = Reading(
            pipeline=self.pipeline.name,
            source_table=self.pipeline.source.name,
            source_uri=self.source.root,
            rules_version=self.settings.rules_version,
            run_id=self.request.run_id,
        )
        with self._timed("reading"), readable(self.spark, self.plan.files_to_read):
            self.new_audit = reading.audit(self.plan.files_to_read, frames.pop(LOAD_AUDIT)) if frames else []
        self.audit = [row for row in self.known_audit if row.date in self.plan.known] + self.new_audit
        self._judge(frames.get(self.pipeline.quarantine))
        self.lake.clear(LOAD_AUDIT, self._scope(LOAD_AUDIT, self.plan.to_replace))
        for table, df in frames.items():
            self._write(df, table, self.plan.to_replace)

    def _judge(self, quarantine: DataFrame | None) -> None:
        """Counts what was read; whatever is wrong with it is raised here, before anything is written."""
        self.report.total = tally(row for row in self.audit if row.date in self.plan.found)
        limit = self.settings.max_rejected_share
        bad_days = days_over_limit(self.audit, limit)
        if bad_days:
            table = self.pipeline.quarantine
            rejected = self.lake.read(table, self._scope(table, bad_days.keys() - set(self.plan.to_read)))
            if quarantine is not None:
                rejected = rejected.unionByName(table.conform(quarantine))
            bad = rejected.where(F.col(table.replaces[0]).isin(*bad_days))
            raise QualityError(too_many_rejected(bad_days, limit, bad))
        if set(self._find_files()) != {file for files in self.plan.files.values() for file in files}:
            raise InputError(f"files at {self.source.root} changed while they were read: run again")

    def _build(self, step: Step) -> None:
        """Any other step: replaces what its tables hold of the asked range."""
        for table, df in self._transform(step).items():
            self._write(df, table, self.request.asked.days)

    def _check(self) -> None:
        for check in self.pipeline.checks:
            name = check.query.__name__
            with self._timed(name):
                failures = check.query(*(self._read(one) for one in check.inputs)).limit(5).collect()
            if failures:
                rows = "; ".join(", ".join(f"{key} {value}" for key, value in row.asDict().items()) for row in failures)
                raise ReconciliationError(f"{name} does not hold, run again with --refresh: {rows}")

    def _export(self, tables: Iterable[Table]) -> None:
        """What the lake has of the asked range, into every sink. Tables at once: a small one leaves the cores idle."""
        wanted = [table for table in tables if table.exported or table.name in self.settings.export_also]
        with self._timed(f"exporting {', '.join(table.name for table in wanted)}"), ThreadPoolExecutor(4) as pool:
            list(pool.map(self._export_table, wanted))

    def _export_table(self, table: Table) -> None:
        asked = self._scope(table, self.request.asked.days)
        for export in self.exports:
            export.write(self.lake.read(table, asked), table, asked)

    def _mark_days_done(self) -> None:
        self._write(to_table(self.spark, self.new_audit), LOAD_AUDIT, self.plan.to_replace)
        self._export([LOAD_AUDIT])

    def _transform(self, step: Step) -> dict[Table, DataFrame]:
        values = {
            "asked": self.request.asked,
            "days_found": len(self.plan.found),
            "previous_days_found": len(self.plan.previous_found),
        } | {setting.name: getattr(self.settings, setting.name) for setting in fields(self.settings)}
        parameters = {name: values[name] for name in step.parameters}
        made = step.transform(*(self._read(one) for one in step.inputs), **parameters)
        return dict(zip(step.outputs, made if isinstance(made, tuple) else (made,), strict=True))

    def _read(self, one: Input) -> DataFrame:
        match one.part:
            case "files":
                return read_files(self.spark, self.plan.files_to_read)
            case "lines":
                return read_lines(self.spark, self.plan.files_to_read)
            case "asked" if one.of == LOAD_AUDIT.name:
                return to_table(self.spark, [row for row in self.audit if row.date in self.plan.found])
            case "asked":
                days = self.plan.found
            case "previous":
                days = self.plan.previous_found
        return self.lake.read(self.tables[one.of], self._scope(self.tables[one.of], days))

    def _write(self, df: DataFrame, table: Table, days: Iterable[date]) -> None:
        """Replaces `days`, or the asked range, of `table` in the lake."""
        with self._timed(table.name):
            self.lake.write(table.conform(df), table, self._scope(table, days))

    def _scope(self, table: Table, days: Iterable[date]) -> Scope:
        return table.scope(pipeline=self.pipeline.name, asked=self.request.asked, days=days)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.report.times[what] = round(time.monotonic() - started, 3)
        self.say(f"{what}: {self.report.times[what]:.1f} s")
