"""load_audit: one row per day and file that was read, and one per reason found there; written last, it says "done"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from functools import reduce
from typing import Any, Literal

import pyspark.sql.functions as F
from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark.core.days import Fingerprint, SourceFile
from etl_spark.core.local import local_frame
from etl_spark.core.table import Column, Table

ALL = "All"
"""The reason of the row that stands for a whole file; also the category and the segment of a total."""

Measure = Literal["seconds", "money", "nothing"]
"""What is reconciled of a source beside its rows."""

AMOUNT_PARTS = ("in", "accepted", "rejected")
_EXACT = Context(prec=2 * 38)
"""Python would round a sum of the widest decimals to 28 digits."""

_AMOUNTS: Mapping[Literal["seconds", "money"], tuple[str, str]] = {
    "seconds": ("DECIMAL(38,0)", "seconds of {}; null where the source has none"),
    "money": ("DECIMAL(38,4)", "money of {}; null where the source has none"),
}


def _amounts(measure: Literal["seconds", "money"]) -> tuple[Column, ...]:
    data_type, doc = _AMOUNTS[measure]
    rows = ("all rows that tell it", "the accepted rows", "the rejected rows that tell it")
    return tuple(
        Column(f"{measure}_{part}", data_type, doc.format(which), nullable=True)
        for part, which in zip(AMOUNT_PARTS, rows, strict=True)
    )


LOAD_AUDIT = Table(
    name="load_audit",
    doc="One row per pipeline, source_table, date, file and reason: 'All' for the whole file, then one per reason.",
    columns=(
        Column("pipeline", "VARCHAR(32)", "the job that read the file"),
        Column("source_table", "VARCHAR(64)", "what the file holds"),
        Column("date", "DATE", "the day of the rows; the last asked day for those of a table that has no days"),
        Column("file", "VARCHAR(1024)", "path of the file below the source"),
        Column("reason", "VARCHAR(64)", "'All', or why rows were rejected or flagged"),
        Column("source_uri", "VARCHAR(1024)", "root of the source"),
        Column("size_bytes", "BIGINT", "size as stored, compressed or not; null for a database", nullable=True),
        Column(
            "modified_at", "TIMESTAMP", "modification time, UTC, to the millisecond; null for a database", nullable=True
        ),
        Column("checksum", "VARCHAR(128)", "the object store's ETag; null elsewhere", nullable=True),
        Column("rules_version", "VARCHAR(64)", "fingerprint of the rules that judged the rows"),
        Column("rows_in", "BIGINT", "rows of the file; null in the rows of a reason", nullable=True),
        Column("rows_accepted", "BIGINT", "rows that went on; null in the rows of a reason", nullable=True),
        Column("rows_rejected", "BIGINT", "rows kept in quarantine"),
        Column("rows_flagged", "BIGINT", "accepted rows with a fault that is counted, not rejected"),
        Column("rows_outside", "BIGINT", "rows of days that were not asked for, neither accepted nor rejected"),
        *_amounts("seconds"),
        *_amounts("money"),
        Column("run_id", "VARCHAR(64)", "the run that read the file"),
    ),
    grain=("pipeline", "source_table", "date", "file", "reason"),
    replaces=("pipeline", "date"),
    # A day has a handful of rows: a file for each of a year of days is most of what a small run does.
    partitioned_by=("pipeline",),
)


def take_over(counts: DataFrame) -> DataFrame:
    """The counts for load_audit of what another job made: nothing is read again, and nothing turned away."""
    return counts


@dataclass(frozen=True)
class AuditRow:
    """A row of load_audit. A run has one per day, file and reason: few enough to hold, whatever the files' size.

    The amounts are of the row's `measure`; the table has columns for each but `nothing`, whose amounts are 0.
    """

    pipeline: str
    source_table: str
    date: date
    file: str
    reason: str
    source_uri: str
    size_bytes: int | None
    modified_at: datetime | None
    checksum: str | None
    rules_version: str
    rows_in: int | None
    rows_accepted: int | None
    rows_rejected: int
    rows_flagged: int
    rows_outside: int
    amount_in: Decimal | None
    amount_accepted: Decimal | None
    amount_rejected: Decimal
    run_id: str
    measure: Measure

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(
            source=self.source_uri,
            name=self.file,
            size_bytes=self.size_bytes,
            modified_ms=None if self.modified_at is None else round(self.modified_at.timestamp() * 1000),
            checksum=self.checksum or "",
            rules=self.rules_version,
        )


@dataclass(frozen=True)
class Reading:
    """What a run knows of all the files it reads."""

    pipeline: str
    source_uri: str
    rules_version: str
    run_id: str
    measure: Measure

    def audit(self, files: Iterable[SourceFile], counts: DataFrame) -> list[AuditRow]:
        """The audit of `files`, also of a file without a row.

        `counts` has one row per date, file and reason (null for accepted rows): rows, rows_flagged, amount; and one
        per file that holds rows of days not asked for, with rows_outside.
        """
        by_name = {file.name: file for file in files}
        found: dict[tuple[str, date], list[Row]] = {(file.name, file.day): [] for file in by_name.values()}
        for row in counts.collect():
            found.setdefault((row.file, row.date), []).append(row)
        return [row for (name, day), parts in found.items() for row in self._audit_file(by_name[name], day, parts)]

    def _audit_file(self, file: SourceFile, day: date, counts: Sequence[Row]) -> Iterator[AuditRow]:
        def row(reason: str, parts: Sequence[Row], *, whole: bool) -> AuditRow:
            rejected = [part for part in parts if part.reason is not None]
            accepted = [part for part in parts if part.reason is None]
            return AuditRow(
                **asdict(self),
                source_table=file.source_table,
                date=day,
                file=file.name,
                reason=reason,
                size_bytes=file.size_bytes,
                modified_at=None if file.modified_ms is None else from_milliseconds(file.modified_ms),
                checksum=file.checksum or None,
                rows_in=sum(part.rows for part in parts) if whole else None,
                rows_accepted=sum(part.rows for part in accepted) if whole else None,
                rows_rejected=sum(part.rows for part in rejected),
                rows_flagged=sum(part.rows_flagged for part in rejected),
                rows_outside=sum(part.rows_outside for part in parts),
                amount_in=exact_sum(part.amount for part in parts) if whole else None,
                amount_accepted=exact_sum(part.amount for part in accepted) if whole else None,
                amount_rejected=exact_sum(part.amount for part in rejected),
            )

        yield row(ALL, counts, whole=True)
        for part in sorted((part for part in counts if part.reason is not None), key=lambda one: str(one.reason)):
            yield row(part.reason, [part], whole=False)


def to_table(spark: SparkSession, audit: Iterable[AuditRow]) -> DataFrame:
    """`audit` as a DataFrame of load_audit."""
    rows = [tuple(_values(row).get(name) for name in LOAD_AUDIT.column_names) for row in audit]
    return local_frame(spark, rows, LOAD_AUDIT.schema)


def _values(row: AuditRow) -> dict[str, Any]:
    """The columns of load_audit that `row` has."""
    values = asdict(row)
    amounts = {f"{row.measure}_{part}": values.pop(f"amount_{part}") for part in AMOUNT_PARTS}
    return values | amounts


def from_table(stored: DataFrame, measure: Measure) -> list[AuditRow]:
    """The rows of load_audit, whose times come as UTC whatever the time zone of this process."""
    names = {f"{measure}_{part}": f"amount_{part}" for part in AMOUNT_PARTS}
    kept = [field.name for field in fields(AuditRow) if field.name != "measure"]
    rows = (
        stored.withColumnsRenamed(names).select(*kept).withColumn("modified_at", F.unix_millis("modified_at")).collect()
    )
    return [
        AuditRow(
            **{
                **row.asDict(),
                "modified_at": None if row.modified_at is None else from_milliseconds(row.modified_at),
                "measure": measure,
            }
        )
        for row in rows
    ]


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """The sum of `amounts`, to the last digit."""
    return reduce(_EXACT.add, amounts, Decimal(0))


def from_milliseconds(since_1970: int) -> datetime:
    """The moment in UTC, to the millisecond."""
    return datetime.fromtimestamp(since_1970 // 1000, UTC).replace(microsecond=since_1970 % 1000 * 1000)
