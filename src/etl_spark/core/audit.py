"""load_audit: one row per file a run has read, and one more per reason found in it. It is written last, and marks a day done."""

from __future__ import annotations

import pyspark.sql.functions as F
from pyspark.sql import DataFrame

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
        Column("checksum", "VARCHAR(128)", "the object store's ETag; null where the file system has none", nullable=True),
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


def with_run(
    audit: DataFrame, *, pipeline: str, source_table: str, source_uri: str, rules_version: str, run_id: str
) -> DataFrame:
    """The audit rows of a reader, which knows its files, with what only the run knows."""
    return audit.withColumns(
        {
            "pipeline": F.lit(pipeline),
            "source_table": F.lit(source_table),
            "source_uri": F.lit(source_uri),
            "rules_version": F.lit(rules_version),
            "run_id": F.lit(run_id),
        }
    )
