"""Runs any pipeline: plan the days, then read -> transform -> conform -> check -> write, table by table.

Nothing is written before every day that must be read was read to its end and judged good enough. load_audit is written
last: its rows mark days as done, and are taken away before anything of those days is replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any

import pyspark.sql.functions as F
from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark.core.audit import ALL, LOAD_AUDIT, with_run
from etl_spark.core.dates import DateRange
from etl_spark.core.days import DayPlan, Fingerprint, SourceFile, plan_days
from etl_spark.core.errors import InputError, QualityError, ReconciliationError, UsageError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.settings import DailySettings
from etl_spark.core.step import Input, Pipeline, Step
from etl_spark.core.table import Scope, Table
from etl_spark.quality import Tally, days_over_limit, tally
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
    """What a run did so far; a run that fails leaves it half-filled. Rows and seconds are those of the asked range."""

    days_asked: int = 0
    days_found: int = 0
    days_read: tuple[date, ...] = ()
    days_missing: tuple[date, ...] = ()
    previous_days_found: int = 0
    total: Tally = field(default_factory=Tally)
    tables: dict[str, int] = field(default_factory=dict)
    """Rows of each table within the run's scope."""
    places: tuple[str, ...] = ()
    times: dict[str, float] = field(default_factory=dict)
    """Seconds by table written."""


def run(
    pipeline: Pipeline,
    request: Request,
    settings: DailySettings,
    spark: SparkSession,
    report: Report,
    say: Callable[[str], None],
) -> None:
    """Runs `pipeline` as `request` asks, filling `report`, and says how far it is. Raises EtlError."""
    one = _Run(pipeline, request, settings, spark, report, say)
    try:
        for step in pipeline.steps:
            one.read_days(step) if LOAD_AUDIT in step.outputs else one.build(step)
        one.check()
        one.finish()
    finally:
        spark.catalog.clearCache()


class _Run:
    def __init__(
        self,
        pipeline: Pipeline,
        request: Request,
        settings: DailySettings,
        spark: SparkSession,
        report: Report,
        say: Callable[[str], None],
    ) -> None:
        self.pipeline, self.request, self.settings, self.spark = pipeline, request, settings, spark
        self.report, self.say = report, say
        self.tables = {table.name: table for table in pipeline.tables}
        strangers = sorted(set(settings.export_also) - set(self.tables))
        if strangers:
            raise UsageError(f"export_also: {pipeline.name} has no table {', '.join(strangers)}")
        self.source = FileSystem(spark, settings.source)
        self.output = FileSystem(spark, request.output)
        sweep_staging(self.output)
        self.lake = Lake(spark, self.output)
        self.exports = [Exports(self.output, sink, request.run_id) for sink in request.sinks]
        self.plan, known = self.plan_days()
        self.audit = self.lake.read(LOAD_AUDIT, self.scope(LOAD_AUDIT, known))
        report.places = (self.output.path("lake"), *(self.output.path(sink) for sink in request.sinks))

    def plan_days(self) -> tuple[DayPlan, tuple[date, ...]]:
        """What to do with each day, and the days that need not be read. Raises InputError for missing days."""
        asked, source, rules = self.request.asked, self.source.root, self.settings.rules_version
        days = (*asked.previous().days, *asked.days)
        plan = plan_days(
            asked, self.find_files(), self.accounted(days), source=source, rules=rules, refresh=self.request.refresh
        )
        if plan.missing and not (self.request.allow_missing_days and plan.found):
            missing = ", ".join(str(day) for day in plan.missing)
            raise InputError(f"{len(plan.missing)} of {len(asked)} days have no file at {source}: {missing}")
        known = tuple(day for day in plan.files if day not in plan.to_read)
        self.report.days_asked, self.report.days_found = len(asked), len(plan.found)
        self.report.days_read, self.report.days_missing = plan.to_read, plan.missing
        self.report.previous_days_found = len(plan.previous_found)
        self.say(
            f"{len(plan.found)} of {len(asked)} days found, and {len(plan.previous_found)} before them: "
            f"{len(plan.to_read)} to read, {len(known)} known"
        )
        return plan, known

    def find_files(self) -> tuple[SourceFile, ...]:
        asked = self.request.asked
        return find_files(self.source, self.settings.layout, (*asked.previous().days, *asked.days))

    def accounted(self, days: tuple[date, ...]) -> dict[date, frozenset[Fingerprint]]:
        """The files that load_audit holds, by day."""
        by_day: dict[date, set[Fingerprint]] = {}
        audit = self.lake.read(LOAD_AUDIT, self.scope(LOAD_AUDIT, days)).where(F.col("reason") == ALL)
        for row in audit.withColumn("modified_ms", F.unix_millis("modified_at")).collect():
            file = Fingerprint(
                row.source_uri, row.file, row.size_bytes, row.modified_ms, row.checksum or "", row.rules_version
            )
            by_day.setdefault(row.date, set()).add(file)
        return {day: frozenset(files) for day, files in by_day.items()}

    def read_days(self, step: Step) -> None:
        """The step that reads the source: judges all there is to read, then replaces the days it is of."""
        frames = self.transform(step)
        audit = with_run(
            frames.pop(LOAD_AUDIT),
            pipeline=self.pipeline.name,
            source_table=self.pipeline.source.name,
            source_uri=self.source.root,
            rules_version=self.settings.rules_version,
            run_id=self.request.run_id,
        )
        self.new_audit = LOAD_AUDIT.conform(audit)
        with self.timed("reading"), readable(self.plan.files_to_read):
            rows = self.audit.collect() + self.new_audit.collect()
        self.judge(rows, frames[self.pipeline.quarantine])
        self.audit = self.audit.unionByName(self.new_audit)
        self.lake.clear(LOAD_AUDIT, self.scope(LOAD_AUDIT, self.plan.to_replace))
        for table, df in frames.items():
            self.write(df, table, self.scope(table, self.plan.to_replace))

    def build(self, step: Step) -> None:
        """Any other step: replaces what the asked range has of its tables."""
        for table, df in self.transform(step).items():
            self.write(df, table, self.scope(table, self.request.asked.days))

    def check(self) -> None:
        """Raises ReconciliationError where a check of the pipeline finds a row."""
        for check in self.pipeline.checks:
            with self.timed(check.query.__name__):
                failures = check.query(*(self.read(one) for one in check.inputs)).limit(5).collect()
            if failures:
                raise ReconciliationError(
                    f"{check.query.__name__} does not hold, run again with --refresh: "
                    + "; ".join(", ".join(f"{name} {value}" for name, value in row.asDict().items()) for row in failures)
                )

    def finish(self) -> None:
        """Marks the days that were read as done."""
        self.write(self.new_audit, LOAD_AUDIT, self.scope(LOAD_AUDIT, self.plan.to_replace))

    def judge(self, audit: list[Row], quarantine: DataFrame) -> None:
        """Counts what was read. Raises QualityError, InputError or ReconciliationError before anything is written."""
        asked = set(self.request.asked.days)
        self.report.total = tally(row for row in audit if row.date in asked)
        if not tally(audit).reconciles:
            raise ReconciliationError(f"rows or seconds do not add up: {tally(audit)}")
        too_bad = days_over_limit(audit, self.settings.max_rejected_share)
        if too_bad:
            raise QualityError(self.explain(too_bad, quarantine))
        if set(self.find_files()) != {file for files in self.plan.files.values() for file in files}:
            raise InputError(f"files at {self.source.root} changed while they were read: run again")

    def explain(self, too_bad: dict[date, Tally], quarantine: DataFrame) -> str:
        """The reasons for which the days' rows were rejected, with an example each, in lines of text."""
        table = self.pipeline.quarantine
        known = self.lake.read(table, self.scope(table, tuple(set(too_bad) - set(self.plan.to_read))))
        examples = (
            known.unionByName(table.conform(quarantine))
            .where(F.col(table.replaces[0]).isin(*too_bad))
            .groupBy("reason")
            .agg(F.sum("line_count").alias("rows"), F.min_by("line", F.struct(F.octet_length("line"), "line")).alias("line"))
            .orderBy(F.desc("rows"), "reason")
        )
        limit = f"{self.settings.max_rejected_share:.1%}"
        days = (f"{day} {one.rows_rejected} of {one.rows_in} rows ({one.rejected_share:.1%})" for day, one in too_bad.items())
        reasons = (f"  {row.reason}: {row.rows} rows, such as {_shown(row.line)}" for row in examples.collect())
        return "\n".join((f"more than {limit} of the rows were rejected, no table was changed: {', '.join(days)}", *reasons))

    def transform(self, step: Step) -> dict[Table, DataFrame]:
        values = {
            "asked": self.request.asked,
            "days_found": len(self.plan.found),
            "previous_days_found": len(self.plan.previous_found),
        } | {setting.name: getattr(self.settings, setting.name) for setting in fields(self.settings)}
        parameters = {name: values[name] for name in step.parameters}
        made = step.transform(*(self.read(one) for one in step.inputs), **parameters)
        return dict(zip(step.outputs, made if isinstance(made, tuple) else (made,), strict=True))

    def read(self, one: Input) -> DataFrame:
        match one.part:
            case "files":
                return read_files(self.spark, self.plan.files_to_read)
            case "lines":
                return read_lines(self.spark, self.plan.files_to_read)
            case "asked" if one.of == LOAD_AUDIT.name:
                return self.audit.where(F.col("date").isin(*self.plan.found))
            case "asked":
                return self.lake.read(self.tables[one.of], self.scope(self.tables[one.of], self.plan.found))
            case "previous":
                return self.lake.read(self.tables[one.of], self.scope(self.tables[one.of], self.plan.previous_found))

    def write(self, df: DataFrame, table: Table, scope: Scope) -> None:
        """Into the lake, and from there, not computed again, into the exports."""
        with self.timed(table.name):
            self.lake.write(table.conform(df), table, scope)
            asked = self.scope(table, self.request.asked.days)
            self.report.tables[table.name] = self.lake.read(table, asked).count()
            if table.exported or table.name in self.settings.export_also:
                for export in self.exports:
                    export.write(self.lake.read(table, asked), table, asked)

    def scope(self, table: Table, days: Iterable[date]) -> Scope:
        return table.scope(pipeline=self.pipeline.name, asked=self.request.asked, days=days)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        took = time.monotonic() - started
        self.report.times[what] = round(took, 3)
        rows = f" {self.report.tables[what]:,} rows," if what in self.report.tables else ""
        self.say(f"{what}:{rows} {took:.1f} s")


def _shown(line: bytes) -> str:
    """Bytes as printable text, cut to what fits a terminal."""
    text = line[:160].decode("utf-8", "backslashreplace")
    return repr(text)[1:-1] + ("..." if len(line) > 160 else "")
