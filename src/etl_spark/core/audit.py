"""load_audit: one row per file that was read, and one per reason found in it; written last, it marks a day done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

import pyspark.sql.functions as F
from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark.core.days import Fingerprint, SourceFile
from etl_spark.core.local import local_frame
from etl_spark.core.table import Column, Table

ALL = "All"
"""The reason of the row that stands for a whole file; also the category and the segment of a total."""

LOAD_AUDIT = Table(
    name="load_audit",
    doc="One row per pipeline, source_table, date, file and reason: 'All' for the whole file, then one per reason.",
    columns=(
        Column("pipeline", "VARCHAR(32)", "the job that read the file"),
        Column("source_table", "VARCHAR(64)", "what the file holds"),
        Column("date", "DATE", "the day of the file"),
        Column("file", "VARCHAR(1024)", "path of the file below the source"),
        Column("reason", "VARCHAR(32)", "'All', or why rows were rejected or flagged"),
        Column("source_uri", "VARCHAR(1024)", "root of the source"),
        Column("size_bytes", "BIGINT", "size as stored, compressed or not"),
        Column("modified_at", "TIMESTAMP", "modification time of the file, UTC, to the millisecond"),
        Column("checksum", "VARCHAR(128)", "the object store's ETag; null elsewhere", nullable=True),
        Column("rules_version", "VARCHAR(64)", "fingerprint of the rules that judged the rows"),
        Column("rows_in", "BIGINT", "rows of the file; null in the rows of a reason", nullable=True),
        Column("rows_accepted", "BIGINT", "rows that went on; null in the rows of a reason", nullable=True),
        Column("rows_rejected", "BIGINT", "rows kept in quarantine"),
        Column("rows_flagged", "BIGINT", "accepted rows with a fault that is counted, not rejected"),
        Column("seconds_in", "DECIMAL(38,0)", "seconds of all rows whose duration is an integer", nullable=True),
        Column("seconds_accepted", "DECIMAL(38,0)", "seconds of the accepted rows", nullable=True),
        Column("seconds_rejected", "DECIMAL(38,0)", "seconds of the rejected rows whose duration is an integer"),
        Column("run_id", "VARCHAR(64)", "the run that read the file"),
    ),
    grain=("pipeline", "source_table", "date", "file", "reason"),
    replaces=("pipeline", "date"),
)


@dataclass(frozen=True)
class AuditRow:
    """A row of load_audit. A run has one per file and reason: few enough to hold, whatever the files' size."""

    pipeline: str
    source_table: str
    date: date
    file: str
    reason: str
    source_uri: str
    size_bytes: int
    modified_at: datetime
    checksum: str | None
    rules_version: str
    rows_in: int | None
    rows_accepted: int | None
    rows_rejected: int
    rows_flagged: int
    seconds_in: int | None
    seconds_accepted: int | None
    seconds_rejected: int
    run_id: str

    @property
    def fingerprint(self) -> Fingerprint:
        modified_ms = round(self.modified_at.timestamp() * 1000)
        return Fingerprint(
            self.source_uri, self.file, self.size_bytes, modified_ms, self.checksum or "", self.rules_version
        )


@dataclass(frozen=True)
class Reading:
    """What a run knows of all the files it reads."""

    pipeline: str
    source_table: str
    source_uri: str
    rules_version: str
    run_id: str

    def audit(self, files: Iterable[SourceFile], counts: DataFrame) -> list[AuditRow]:
        """The audit of `files`, also of a file without a row.

        `counts` has one row per date, file and reason (null for accepted rows): rows, rows_flagged, seconds.
        """
        by_file: dict[tuple[date, str], list[Row]] = {}
        for row in counts.collect():
            by_file.setdefault((row.date, row.file), []).append(row)
        return [row for file in files for row in self._audit_file(file, by_file.get((file.day, file.name), []))]

    def _audit_file(self, file: SourceFile, counts: Sequence[Row]) -> Iterator[AuditRow]:
        def row(reason: str, parts: Sequence[Row], **whole: int | None) -> AuditRow:
            return AuditRow(
                **asdict(self),
                date=file.day,
                file=file.name,
                reason=reason,
                size_bytes=file.size_bytes,
                modified_at=datetime.fromtimestamp(file.modified_ms / 1000, UTC),
                checksum=file.checksum or None,
                rows_rejected=sum(part.rows for part in parts),
                rows_flagged=sum(part.rows_flagged for part in parts),
                seconds_rejected=int(sum(part.seconds for part in parts)),
                rows_in=whole.get("rows_in"),
                rows_accepted=whole.get("rows_accepted"),
                seconds_in=whole.get("seconds_in"),
                seconds_accepted=whole.get("seconds_accepted"),
            )

        accepted = [part for part in counts if part.reason is None]
        others = [part for part in counts if part.reason is not None]
        yield row(
            ALL,
            others,
            rows_in=sum(part.rows for part in counts),
            rows_accepted=sum(part.rows for part in accepted),
            seconds_in=int(sum(part.seconds for part in counts)),
            seconds_accepted=int(sum(part.seconds for part in accepted)),
        )
        for part in sorted(others, key=lambda one: str(one.reason)):
            yield row(part.reason, [part])


def to_table(spark: SparkSession, audit: Iterable[AuditRow]) -> DataFrame:
    """`audit` as a DataFrame of load_audit."""
    rows = [tuple(getattr(row, name) for name in LOAD_AUDIT.column_names) for row in audit]
    return local_frame(spark, rows, LOAD_AUDIT.schema)


def from_table(stored: DataFrame) -> list[AuditRow]:
    """The rows of load_audit, whose times come as UTC whatever the time zone of this process."""
    rows = stored.withColumn("modified_at", F.unix_millis("modified_at")).collect()
    return [
        AuditRow(**{**row.asDict(), "modified_at": datetime.fromtimestamp(row.modified_at / 1000, UTC)}) for row in rows
    ]
