"""Runs of the social stream by the command line: whatever happened before, each record is taken in once."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any

import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main
from etl_spark.core.audit import ALL, LOAD_AUDIT
from etl_spark.core.table import Table
from etl_spark.pipelines.churn.tables import SOCIAL_EVENT, SOCIAL_REJECTED
from tests.pipelines.churn.activity import record

TABLES = (SOCIAL_EVENT, SOCIAL_REJECTED, LOAD_AUDIT)


class Place:
    """A source, an output, and what there is in both."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.source, self.output = folder / "source [1]", folder / "output"
        self.checkpoint = self.output / "_checkpoints" / "social"

    def deliver(self, name: str, content: bytes) -> None:
        """Puts an object there in one step, as Firehose does."""
        file = self.source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.source / "_draft"
        draft.write_bytes(content)
        draft.rename(file)

    def stream(self, *options: str) -> int:
        return main(["stream", "social", "--source", str(self.source), "--output", str(self.output), *options])

    def table(self, table: Table) -> list[Any]:
        return self.spark.read.format("delta").load(str(self.output / "lake" / table.name)).collect()

    def events(self) -> dict[int, str]:
        """The object of each event, by its number."""
        rows = self.table(SOCIAL_EVENT)
        found = {int(row.event_id[-8:]): row.file for row in rows}
        assert len(found) == len(rows)
        return found

    def rejected(self) -> list[tuple[str, str, int]]:
        return sorted((row.file, row.reason, row.line_count) for row in self.table(SOCIAL_REJECTED))

    def audit(self) -> dict[str, tuple[int, int, int]]:
        """What load_audit has of each object: records, accepted, rejected."""
        rows = [row for row in self.table(LOAD_AUDIT) if row.reason == ALL]
        found = {row.file: (row.rows_in, row.rows_accepted, row.rows_rejected) for row in rows}
        assert len(found) == len(rows)
        return found

    def commits(self) -> dict[str, int]:
        return {
            table.name: len(list((self.output / "lake" / table.name / "_delta_log").glob("*.json"))) for table in TABLES
        }

    def run_record(self) -> dict[str, Any]:
        newest = max((self.output / "_runs").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        found = json.loads(newest.read_text())
        assert isinstance(found, dict)
        return found


@pytest.fixture
def place(spark: SparkSession, tmp_path: Path) -> Place:
    found = Place(spark, tmp_path)
    found.source.mkdir()
    return found


def test_what_has_arrived_is_taken_in_once(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, three = "2024/04/01/08/it's \\1", "2024/04/01/09/two", "2024/04/02/00/three"
    place.deliver(one, record(1) + record(2) + b"\n" + record(3)[:-20] + record(4) + b"\n" + record(1))
    place.deliver(two, gzip.compress(record(2) + record(5, event_time="2024-03-30T09:00:00Z") + record(6, kind="like")))
    place.deliver("2024/04/01/10/blank", b" \n")
    place.deliver("processing-failed/2024/04/01/10/x", b"{}")

    assert place.stream("--once") == 0

    said = capsys.readouterr()
    assert "3 taken in, 1 left out" in said.out
    assert "8 read = 4 accepted + 4 rejected" in said.out
    assert "1 late, by 48.0 h at most" in said.out
    assert "batch 0: 3 objects, 8 records = 4 accepted + 4 rejected; 1 late, by 48.0 h at most" in said.err
    assert "more than 10.0% of the records were rejected" in said.err
    events, audit = {1: one, 2: one, 4: one, 5: two}, {one: (5, 3, 2), two: (3, 1, 2), "2024/04/01/10/blank": (0, 0, 0)}
    rejected = [
        (one, "event_repeated", 1),
        (one, "not_json_object", 1),
        (two, "event_repeated", 1),
        (two, "kind_unknown", 1),
    ]
    assert (place.events(), place.rejected(), place.audit()) == (events, rejected, audit)
    assert place.run_record()["total"]["rows_in"] == 8
    assert place.run_record()["exit_code"] == 0

    commits = place.commits()
    assert place.stream("--once") == 0
    assert place.commits() == commits

    place.deliver(three, record(4) + record(7) + record(6))
    assert place.stream("--once") == 0
    events, audit = {**events, 7: three, 6: three}, {**audit, three: (3, 2, 1)}
    rejected.append((three, "event_repeated", 1))
    assert (place.events(), place.rejected(), place.audit()) == (events, rejected, audit)


@pytest.mark.default_spark
def test_a_lost_checkpoint_and_a_batch_half_written(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, three = "2024/04/01/08/one", "2024/04/01/08/two", "2024/04/01/09/three"
    place.deliver(one, record(1) + b"broken")
    assert place.stream("--once") == 0
    place.deliver(two, record(2) + record(1) + b"broken")
    lake = place.output / "lake"
    (lake / "load_audit").rename(place.output / "aside")
    # The last of the three writes fails.
    (lake / "load_audit").write_bytes(b"")
    assert place.stream("--once") == 1
    (lake / "load_audit").unlink()
    (place.output / "aside").rename(lake / "load_audit")
    assert (place.events(), place.audit()) == ({1: one, 2: two}, {one: (2, 1, 1)})
    shutil.rmtree(place.checkpoint)
    place.deliver(three, record(2) + record(3))

    assert place.stream("--once") == 0

    events, audit = {1: one, 2: two, 3: three}, {one: (2, 1, 1), two: (3, 1, 2), three: (2, 1, 1)}
    rejected = [
        (one, "not_json_object", 1),
        (two, "event_repeated", 1),
        (two, "not_json_object", 1),
        (three, "event_repeated", 1),
    ]
    assert (place.events(), place.rejected(), place.audit()) == (events, rejected, audit)

    # A checkpoint put back: Delta takes the number of its next batch for one that it has.
    shutil.copytree(place.checkpoint, place.output / "copy")
    place.deliver("2024/04/01/09/four", record(4))
    assert place.stream("--once") == 0
    shutil.rmtree(place.checkpoint)
    (place.output / "copy").rename(place.checkpoint)
    place.deliver("2024/04/01/09/five", record(5))
    assert place.stream("--once") == 1
    assert "was written before, and not with 2024/04/01/09/five" in capsys.readouterr().err
    shutil.rmtree(place.checkpoint)
    assert place.stream("--once") == 0
    assert sorted(place.events()) == [1, 2, 3, 4, 5]


@pytest.mark.default_spark
def test_watching_ends_after_the_batch(place: Place) -> None:
    place.deliver("2024/04/01/08/one", record(1))

    def told(text: str) -> None:
        until = monotonic() + 120
        while monotonic() < until and not any(text in log.read_text() for log in place.output.glob("_runs/*.log")):
            sleep(0.05)

    def go_on() -> None:
        told("batch 0: 1 objects")
        place.deliver("2024/04/01/08/two", record(2) + record(1))
        told("batch 1: 1 objects, 2 records = 1 accepted + 1 rejected; none late")
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=go_on, daemon=True).start()

    assert place.stream("--watch", "--every", "1") == 0
    assert place.events() == {1: "2024/04/01/08/one", 2: "2024/04/01/08/two"}
    assert (place.run_record()["batches"], place.run_record()["total"]["rows_in"]) == (2, 3)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "one of the arguments --once --watch is required"),
        (("--once", "--watch"), "not allowed with argument"),
        (("--once", "--every", "5"), "--every is of --watch"),
        (("--watch", "--every", "0"), "'0' is not a number of at least 1"),
    ],
)
def test_wrong_usage(
    place: Place, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], complaint: str
) -> None:
    assert place.stream(*options) == 2
    assert complaint in capsys.readouterr().err


def test_a_source_that_is_none(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.deliver("social/2024/04/01/08/one", record(1))
    assert place.stream("--once") == 3
    assert "has no folder YYYY/MM/DD/HH: " in capsys.readouterr().err
    shutil.rmtree(place.source)
    assert place.stream("--once") == 3
    assert "there is no source at " in capsys.readouterr().err
    assert not place.checkpoint.exists()
