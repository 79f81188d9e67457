"""Runs a stream: what has arrived is taken in by batches of objects, each object exactly once.

Spark's checkpoint says which objects are new. A batch is written in three commits: the events, the rejected records,
and last load_audit, whose rows say that an object is done. After whatever died in between, the batch comes again: each
write replaces what its table holds of the same objects, and the id that Delta keeps of a batch makes it a no-op where
it was made. Without its checkpoint a stream sees all objects again, and those that load_audit has are left out.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from json import loads
from threading import Event, Lock
from types import FrameType
from typing import Any

import pyspark.sql.functions as F
from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from etl_spark.config import Config
from etl_spark.core.audit import ALL, LOAD_AUDIT, Reading, to_table
from etl_spark.core.days import SourceFile
from etl_spark.core.errors import EtlError, ReconciliationError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.request import StreamRequest
from etl_spark.core.step import Stream
from etl_spark.core.table import Scope, Table
from etl_spark.pipelines.churn.social import (
    RECORD,
    build_counts,
    build_events,
    build_rejected,
    judge_records,
    read_records,
    sound_ids,
    with_repeated,
)
from etl_spark.quality import Tally, tally
from etl_spark.sources.dated_files import readable
from etl_spark.sources.firehose import as_source_file, new_objects, read_objects, verify_root
from etl_spark.stores.lake import Batch, Lake

_LOOKS_SECONDS = 0.2
"""How often it is asked whether a stream has ended."""

Alone = Callable[[], AbstractContextManager[None]]


@dataclass
class StreamReport:
    """What a stream did so far."""

    batches: int = 0
    objects: int = 0
    known: int = 0
    """Objects seen that were done already."""
    strays: int = 0
    """Objects that are not where Firehose puts any."""
    total: Tally = field(default_factory=Tally)
    late_rows: int = 0
    latest_seconds: int = 0

    @property
    def coverage(self) -> dict[str, int]:
        """What the record has beside the total."""
        names = ("batches", "objects", "known", "strays", "late_rows", "latest_seconds")
        return {name: getattr(self, name) for name in names}


class StreamRun:
    """One run of a stream. `report` is filled on the way; `say` is told how far it is, and `warn` what is odd.

    `alone` holds the output while a batch is written.
    """

    def __init__(
        self,
        stream: Stream,
        request: StreamRequest,
        config: Config,
        spark: SparkSession,
        *,
        say: Callable[[str], None],
        warn: Callable[[str], None],
        alone: Alone = nullcontext,
    ) -> None:
        self.stream, self.request, self.spark = stream, request, spark
        self.say, self.warn, self.alone = say, warn, alone
        self.settings, self.glue_database = config.settings, config.glue_database
        self.report = StreamReport()
        self.source = FileSystem(spark, self.settings.source)
        self.output = FileSystem(spark, request.output, EtlError)
        self.lake = Lake(spark, self.output)
        self.checkpoint = self.output.path("_checkpoints", stream.name)
        self.tables = (stream.events, stream.quarantine, LOAD_AUDIT)
        self.failure: Exception | None = None
        self.asked_to_stop = Event()
        self.batch_under_way = Lock()

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(self.output.shown("lake", table.name) for table in self.tables)

    def go(self) -> None:
        """Runs until all is taken in, or until it is asked to stop, after the batch under way.

        Raises EtlError for what a user can do something about, and KeyboardInterrupt where it was to take in all.
        """
        verify_root(self.source)
        every = self.request.every
        trigger: dict[str, Any] = {"availableNow": True} if every is None else {"processingTime": f"{every} seconds"}
        with _stop_signals(self.asked_to_stop):
            query = (
                new_objects(self.spark, self.source, self.settings.max_objects)
                .writeStream.queryName(self.stream.name)
                .foreachBatch(self._take_in)
                .option("checkpointLocation", self.checkpoint)
                .trigger(**trigger)
                .start()
            )
            try:
                is_stopped = self._wait(query)
            finally:
                self._stop(query)
        if is_stopped and every is None:
            raise KeyboardInterrupt

    def _wait(self, query: StreamingQuery) -> bool:
        """Until the query has ended, or until it is asked to, which is returned."""
        while query.isActive:
            if self.asked_to_stop.wait(_LOOKS_SECONDS):
                return True
        try:
            query.awaitTermination()
        except Exception as error:
            raise self.failure or error from None
        return False

    def _stop(self, query: StreamingQuery) -> None:
        """Ends the query, but no batch half-way: what is not yet told to the checkpoint would only come again."""
        self.asked_to_stop.set()
        with self.batch_under_way:
            pass
        query.stop()

    def _take_in(self, batch: DataFrame, number: int) -> None:
        with self.batch_under_way:
            if self.asked_to_stop.is_set():
                raise InterruptedError("asked to stop")
            try:
                with self.alone():
                    self._take_in_objects(self._new(batch.collect()), number)
                if self.report.batches == 1:
                    self._register()
            except Exception as error:
                # Spark would tell of it as a text with two stack traces.
                self.failure = error
                raise

    def _new(self, found: Sequence[Row]) -> list[SourceFile]:
        """The objects of a batch that are not done yet."""
        as_file = partial(as_source_file, self.source, source_table=self.stream.events.name)
        files = [(row.path, as_file(row.path, row.size_bytes, row.modified_ms)) for row in found]
        strays = sorted(path for path, file in files if file is None)
        if strays:
            self.report.strays += len(strays)
            self.warn(f"{len(strays)} objects are left out, not being below YYYY/MM/DD/HH/, such as {strays[0]}")
        objects = sorted(file for _, file in files if file is not None)
        done = self._done(objects)
        self.report.known += len(done)
        return [one for one in objects if one.name not in done]

    def _done(self, objects: Sequence[SourceFile]) -> set[str]:
        """The names of those objects that load_audit has."""
        stored = self.lake.read(LOAD_AUDIT, self._scope(LOAD_AUDIT, objects))
        if not objects:
            return set()
        is_one = F.col("file").isin([one.name for one in objects])
        return {row.file for row in stored.where(is_one & (F.col("reason") == ALL)).select("file").collect()}

    def _take_in_objects(self, objects: Sequence[SourceFile], number: int) -> None:
        if not objects:
            return
        batch = Batch(self._name(), number)
        judged = judge_records(self._records(objects), self.settings).persist(StorageLevel.DISK_ONLY)
        try:
            with readable(self.spark, objects):
                stored = self._stored_ids(judged, objects)
            told = with_repeated(judged, stored).persist(StorageLevel.DISK_ONLY)
            counts = build_counts(told).persist()
            audit = self._reading().audit(objects, counts)
            total = tally(audit)
            self._write(build_events(told), self.stream.events, objects, batch)
            self._write(build_rejected(told), self.stream.quarantine, objects, batch)
            self._write(to_table(self.spark, audit), LOAD_AUDIT, objects, batch)
            self._verify_done(objects, number)
            self._report(number, len(objects), total, counts)
        finally:
            self.spark.catalog.clearCache()

    def _verify_done(self, objects: Sequence[SourceFile], number: int) -> None:
        """Raises ReconciliationError where Delta took the batch for another one, and wrote nothing."""
        lost = {one.name for one in objects} - self._done(objects)
        if lost:
            raise ReconciliationError(
                f"batch {number} was written before, and not with {min(lost)}: is the checkpoint an old copy? "
                f"Remove {self.output.shown('_checkpoints', self.stream.name)}, and run again"
            )

    def _records(self, objects: Sequence[SourceFile]) -> DataFrame:
        # By rows, and not by Arrow, whose batches hold 10,000 objects, and for which a cluster would need pyarrow.
        read = partial(_records_of, len(self.source.path("")))
        return self.spark.createDataFrame(
            read_objects(self.spark, objects).rdd.flatMap(read), RECORD, verifySchema=False
        )

    def _stored_ids(self, judged: DataFrame, objects: Sequence[SourceFile]) -> DataFrame:
        """event_id of the stored events of other objects, as far as they can be one of the batch's."""
        first, last = sound_ids(judged).agg(F.min("event_id"), F.max("event_id")).first() or (None, None)
        stored = self.lake.read(self.stream.events, ({},))
        # What was stored of the batch's own objects by one that died is themselves.
        others = ~F.col("file").isin([one.name for one in objects])
        # Delta knows the first and the last of each of its files.
        return stored.where(others & F.col("event_id").between(F.lit(first), F.lit(last))).select("event_id")

    def _reading(self) -> Reading:
        return Reading(
            pipeline=self.stream.name,
            source_uri=self.source.root,
            rules_version=self.settings.rules_version,
            run_id=self.request.run_id,
            measure="nothing",
        )

    def _write(self, df: DataFrame, table: Table, objects: Sequence[SourceFile], batch: Batch) -> None:
        scope = self._scope(table, objects)
        self.lake.write_files(table.conform(df), table, scope, [one.name for one in objects], batch)

    def _scope(self, table: Table, objects: Sequence[SourceFile]) -> Scope:
        days = sorted({one.day for one in objects})
        given: Mapping[str, str] = {"pipeline": self.stream.name} if "pipeline" in table.replaces else {}
        return tuple({**given, table.replaces[-1]: day} for day in days)

    def _name(self) -> str:
        """What Delta knows the batches of this checkpoint by. Judged by other rules they are other ones."""
        checkpoint = loads(self.output.read_text(f"{self.checkpoint}/metadata"))["id"]
        return f"{checkpoint} {self.settings.rules_version}"

    def _report(self, number: int, objects: int, total: Tally, counts: DataFrame) -> None:
        late = counts.agg(F.sum("late_rows"), F.max("latest_seconds")).first()
        late_rows, latest_seconds = (int(value or 0) for value in late or (0, 0))
        self.report.batches += 1
        self.report.objects += objects
        self.report.total += total
        self.report.late_rows += late_rows
        self.report.latest_seconds = max(self.report.latest_seconds, latest_seconds)
        self.say(
            f"batch {number}: {objects:,} objects, {total.rows_in:,} records = {total.rows_accepted:,} accepted + "
            f"{total.rows_rejected:,} rejected; {lateness(late_rows, latest_seconds)}"
        )
        limit = self.settings.max_rejected_share
        if total.rejected_share > limit:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in total.rejected.items())
            self.warn(f"batch {number}: more than {limit:.1%} of the records were rejected: {reasons}")

    def _register(self) -> None:
        if self.glue_database:
            # AWS' client is there only where it is needed.
            from etl_spark.stores.glue import register

            register(self.glue_database, [(table, self.lake.path(table)) for table in self.tables])


def lateness(rows: int, seconds: int) -> str:
    """How late events came: of how many it was after the hour they happened in, and by how much at most."""
    return f"{rows:,} late, by {seconds / 3_600:.1f} h at most" if rows else "none late"


def _records_of(root: int, row: Row) -> Iterator[tuple[object, ...]]:
    """The records of an object, whose path has the root's `root` characters before its name."""
    return read_records(row.path[root:], bytes(row.content))


@contextmanager
def _stop_signals(asked: Event) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM only sets `asked`; the second one is what it was."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number in numbers:
            signal.signal(number, before[number])

    def stop(_number: int, _frame: FrameType | None) -> None:
        asked.set()
        restore()

    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore()
