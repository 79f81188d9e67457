"""Random lines: each is accepted or quarantined exactly once, as an independent parser says, and totals are kept."""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import date
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.core.filesystem import FileSystem
from etl_spark.pipelines.viewing.logs import read_days
from etl_spark.pipelines.viewing.settings import LogRules
from etl_spark.sources.dated_files import find_files, read_files, read_lines
from tests.pipelines.viewing.log_lines import frame, judge, lines

DAY = date(2022, 4, 1)
LINES_A_RUN = 5_000


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(seed=1803)  # has a record with two `_source`, of which one is no object
@given(seed=st.integers(0, 2**32))
def test_every_line_is_accepted_or_quarantined_once(
    spark: SparkSession, rules: LogRules, tmp_path: Path, seed: int
) -> None:
    made = list(lines(LINES_A_RUN, seed))
    (tmp_path / "20220401.json").unlink(missing_ok=True)
    (tmp_path / "20220401.json.gz").unlink(missing_ok=True)
    if seed % 2:
        (tmp_path / "20220401.json").write_bytes(b"\n".join(made))
    else:
        (tmp_path / "20220401.json.gz").write_bytes(gzip.compress(b"\n".join(made) + b"\n", 1))
    if made[0].startswith(b"\xef\xbb\xbf"):
        made[0] = made[0][3:]  # A byte order mark at the start of a file is dropped, as documented.

    found = find_files(FileSystem(spark, str(tmp_path)), "%Y%m%d.json", DateRange(DAY, DAY).days, source_table="logs")
    daily, rejected, counts = read_days(read_files(spark, found), read_lines(spark, found), rules=rules)

    accepted: Counter[tuple[str, str]] = Counter()
    records: Counter[str] = Counter()
    refused: Counter[tuple[str, bytes]] = Counter()
    rows: Counter[str | None] = Counter()
    seconds: Counter[str | None] = Counter()
    for one in frame(b"\n".join(made)):
        verdict = judge(one)
        if verdict is None:
            continue
        rows[verdict.reason] += 1
        seconds[verdict.reason] += verdict.seconds
        if verdict.contract and verdict.category and verdict.reason is None:
            accepted[verdict.contract, verdict.category] += verdict.seconds
            records[verdict.contract] += 1
        else:
            refused[str(verdict.reason), one] += 1

    stored = Counter(
        {
            (row.contract, name): row[f"{name.lower()}_seconds"]
            for row in daily.collect()
            for name in ("TV", "Movie", "Child", "Relax", "Sport")
        }
    )
    assert +stored == accepted
    assert {row.contract: row.record_count for row in daily.collect()} == records
    assert {(row.reason, bytes(row.line)): row.line_count for row in rejected.collect()} == refused
    by_reason = [row for row in counts.collect() if row.rows]
    assert {row.reason: row.rows for row in by_reason} == rows
    assert {row.reason: int(row.amount) for row in by_reason} == {reason: seconds[reason] for reason in rows}
    spark.catalog.clearCache()
