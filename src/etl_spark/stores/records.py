"""_runs: one JSON file per run, `<output>/_runs/<run_id>.json`, and the run's log beside it where that is local."""

from __future__ import annotations

import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import EtlError, InputError, UsageError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.forget import FORGOTTEN
from etl_spark.core.uri import local_path


class RunRecord:
    """The record of one run. A local one stands from the run's first moment; one elsewhere once Spark is there.

    Raises UsageError where the output cannot be made.
    """

    def __init__(self, output: str, run_id: str) -> None:
        self._output = output
        self._run_id = run_id
        self._folder = local_path(output)
        if self._folder is None:
            self.log = Path(tempfile.mkdtemp(prefix="etl_spark-")) / f"{run_id}.log"
            self.place = f"{output.rstrip('/')}/_runs/{run_id}.json"
        else:
            runs = self._folder / "_runs"
            try:
                runs.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"cannot write to {output}: {error.strerror}") from None
            self.log = runs / f"{run_id}.log"
            self.place = str(runs / f"{run_id}.json")

    def save(self, values: Mapping[str, Any], spark: SparkSession | None) -> None:
        """Puts `values` in the place of what the record held."""
        text = json.dumps(values, indent=2, default=str, ensure_ascii=False) + "\n"
        if self._folder is not None:
            draft = Path(f"{self.place}.draft")
            draft.write_text(text, encoding="utf-8")
            os.replace(draft, self.place)
        elif spark is not None:
            FileSystem(spark, self._output).write_text(self.place, text)

    @contextmanager
    def alone(self, part: str = "", *, waits: bool = False) -> Iterator[None]:
        """Holds the output, or a `part` of it, for this run. A local one is locked, until the process ends in any way.

        Where another run holds it, it `waits`, or raises EtlError. On S3 and HDFS it is for the scheduler to run one at
        a time.
        """
        if self._folder is None:
            yield
            return
        with (self._folder / "_runs" / f".{part}lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise EtlError(f"another run is writing to {self._output}: wait for it to end") from None
            yield


def forget_in_records(output: FileSystem, words: str) -> int:
    """Removes what the regular expression `words` finds in records, and in lines of logs; returns how many of these.

    A run that fails may tell of a row. Of a log the whole line goes, of a record the value.
    """
    count = 0
    for path in output.paths(output.path("_runs")):
        text = output.read_text(path)
        found = sum(1 for line in text.splitlines() if re.search(words, line))
        count += found
        log = local_path(path)
        if found and path.endswith(".json"):
            output.write_text(path, json.dumps(_without(json.loads(text), words), indent=2, ensure_ascii=False) + "\n")
        elif found and log is not None:
            # In its place: this run's own log stays open, and is written on behind its end.
            kept = "".join(line for line in text.splitlines(keepends=True) if not re.search(words, line))
            with log.open("r+", encoding="utf-8", newline="") as stream:
                stream.write(kept)
                stream.truncate()
    return count


def _without(value: Any, words: str) -> Any:
    match value:
        case dict():
            return {name: _without(one, words) for name, one in value.items()}
        case list():
            return [_without(one, words) for one in value]
        case str() if re.search(words, value):
            return FORGOTTEN
    return value


def require_completed_run(output: FileSystem, pipeline: str, asked: DateRange) -> None:
    """Raises InputError where no run of `pipeline` over `asked` has completed, or a later one near it has failed."""
    for days, exit_code in _runs(output, pipeline):
        if exit_code == 0 and days == asked:
            return
        if exit_code in _HALF_DONE and days.start <= asked.end and asked.start <= days.end:
            raise InputError(f"the last run of {pipeline} over {days} did not complete: run it again, then publish")
    raise InputError(f"{output.root} has no completed run of {pipeline} over {asked}: run it first")


def completed_days(output: FileSystem, pipeline: str) -> frozenset[date]:
    """The days that the last run of `pipeline` over each has completed."""
    done: set[date] = set()
    half_done: set[date] = set()
    for days, exit_code in _runs(output, pipeline):
        if exit_code == 0:
            done |= set(days.days) - half_done
        elif exit_code in _HALF_DONE:
            half_done |= set(days.days) - done
    return frozenset(done)


_HALF_DONE = (1, None)
"""Exit codes of a run that may have changed some tables and not others; None is of one that still goes on, or died."""


def _runs(output: FileSystem, pipeline: str) -> Iterator[tuple[DateRange, int | None]]:
    """The range and the exit code of each run of `pipeline`, the last one first."""
    folder = output.path("_runs")
    names = [path.rpartition("/")[2] for path in output.paths(folder)]
    # A run's id is its pipeline and when it began.
    for name in sorted((name for name in names if re.fullmatch(rf"{pipeline}-\d{{8}}T.*\.json", name)), reverse=True):
        record = json.loads(output.read_text(f"{folder}/{name}"))
        yield DateRange(*(date.fromisoformat(record[part]) for part in ("start_date", "end_date"))), record["exit_code"]
