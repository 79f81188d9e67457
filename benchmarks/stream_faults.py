"""Kills the social stream at random moments, and shows that each record is taken in exactly once.

    python benchmarks/stream_faults.py --kills 20

A source of small objects has records without a fault, repeated ones and broken ones, in every form that Firehose
delivers. For each kill more objects arrive, the stream is started, a few objects a batch, and its whole process group
gets SIGKILL: by turns at the commits of each of its three tables, and at any moment of a batch. The next start goes on
from there; every fifth time the checkpoint is lost as well. At the end the tables must be, row for row, those of one
run from nothing over the same source, which takes in all at once.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

# A script has its own folder on its path, and not the one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.faults import begun, connect, ended, exit_code, killed_at, told, trial_parser, write_place
from etl_spark import cli
from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.table import Table
from etl_spark.pipelines.churn.tables import SOCIAL_EVENT, SOCIAL_REJECTED

TABLES = (SOCIAL_EVENT, SOCIAL_REJECTED, LOAD_AUDIT)
"""In the order in which a batch is written."""

A_BATCH = 2
"""Objects of one."""


@dataclass(frozen=True)
class Kill:
    """The moment: `delay` seconds after `commits` more commits to the table of that number among TABLES."""

    table: int
    commits: int
    delay: float

    def __str__(self) -> str:
        return f"{self.delay:.2f} s after commit {self.commits} of {TABLES[self.table].name}"


@dataclass(frozen=True)
class Outcome:
    """`commits` are those to each of TABLES, of all runs so far; they differ where a batch was cut through."""

    kill: Kill
    was_running: bool
    commits: tuple[int, ...]
    batches: int

    @property
    def was_within(self) -> bool:
        return self.was_running and len(set(self.commits)) > 1


class Trial:
    """A source in `work`, a stream over it, and what its tables must hold at the end."""

    def __init__(self, work: Path, *, spark_here: bool) -> None:
        self.work, self.spark_here = work, spark_here
        self.source, self.output = work / "source", work / "output"
        self.source.mkdir(parents=True)
        self.delivered = 0
        write_place(work, f"\n[social]\nmax_objects = {A_BATCH}\n")
        place = (work / "place.toml").read_text(encoding="utf-8")
        (work / "at_once.toml").write_text(place.replace(f"max_objects = {A_BATCH}", "max_objects = 10_000"))

    def deliver(self, objects: int, *, records: int = 40) -> None:
        """Puts so many more objects there, each in one step, and each later than those before."""
        for number in range(self.delivered, self.delivered + objects):
            day, hour = 1 + number // 24, number % 24
            file = self.source / f"2024/04/{day:02}/{hour:02}/social-1-{number:06}"
            file.parent.mkdir(parents=True, exist_ok=True)
            draft = self.source / "_draft"
            draft.write_bytes(content(number, records))
            os.utime(draft, (1_712_000_000 + number,) * 2)
            draft.rename(file)
        self.delivered += objects

    def arguments(self, output: Path, *, at_once: bool = False) -> list[str]:
        config = self.work / ("at_once.toml" if at_once else "place.toml")
        places = ("--source", str(self.source), "--output", str(output), "--config", str(config))
        return ["stream", "social", "--once", *places]

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "etl_spark", *self.arguments(self.output)]
        with (self.work / "job.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def run_to_end(self, output: Path, *, at_once: bool = False) -> None:
        arguments = self.arguments(output, at_once=at_once)
        if self.spark_here:
            code = cli.main(arguments)
        else:
            command = [sys.executable, "-m", "etl_spark", *arguments]
            code = subprocess.run(command, capture_output=True, check=False).returncode
        if code:
            raise RuntimeError(f"a run that nobody killed ended with {code}, see {output / '_runs'}")

    def commits(self) -> tuple[int, ...]:
        logs = (self.output / "lake" / table.name / "_delta_log" for table in TABLES)
        return tuple(len([file for file in log.glob("*.json") if file.name[0] != "."]) for log in logs)

    def kill(self, kill: Kill) -> Outcome:
        """Starts the stream, and kills it at that moment, unless it has ended before."""
        known, before = set(self.logs()), self.commits()
        with ended(self.start()) as job:
            until = before[kill.table] + kill.commits
            log = self.work / "job.log"
            was_running = killed_at(job, lambda: self.commits()[kill.table] >= until, kill.delay, log)
        batches = sum(message.startswith("batch ") for log in set(self.logs()) - known for message in told(log))
        return Outcome(kill, was_running, self.commits(), batches)

    def logs(self) -> Iterable[Path]:
        return (self.output / "_runs").glob("*.log")

    def forget(self) -> None:
        """Removes the checkpoint."""
        shutil.rmtree(self.output / "_checkpoints", ignore_errors=True)

    def differences(self) -> list[str]:
        """What is wrong at the end, after one more run: with the tables, and with what was to be counted."""
        self.run_to_end(self.output)
        reference = self.work / "reference"
        self.run_to_end(reference, at_once=True)
        wrong = []
        with connect() as db:
            for table in TABLES:
                found, expected = (read(db, place, table) for place in (self.output, reference))
                wrong += more_and_less(table.name, found, expected)
            ids = Counter(row[TABLES[0].column_names.index("event_id")] for row in read(db, self.output, SOCIAL_EVENT))
            wrong += [f"event {name} stands there {count} times" for name, count in ids.items() if count > 1]
        return wrong


def content(number: int, records: int) -> bytes:
    """An object: new records, one that came before, one that is cut off; two a line, without newlines, or a gzip."""
    chance = random.Random(number)
    lines = [_record(number * records + one) for one in range(records)]
    lines.append(_record(chance.randrange((number + 1) * records)))
    lines.append(_record(number)[: chance.randint(1, 80)])
    chance.shuffle(lines)
    match number % 3:
        case 0:
            return b"".join(line + b"\n" * (place % 2) for place, line in enumerate(lines))
        case 1:
            return b"".join(lines)
        case _:
            return gzip.compress(b"\n".join(lines), mtime=0)


def _record(number: int) -> bytes:
    fields = {
        "event_id": f"T{number:016}",
        "event_time": f"2024-03-{1 + number % 31:02}T08:15:30.123Z",
        "platform": "chirp",
        "kind": ("mention", "reply")[number % 2],
        "customer_id": f"C{number % 97:06}",
        "author": "@somebody",
        "text": ("a good shop", "the worst delivery", "it came")[number % 3],
    }
    return json.dumps(fields).encode()


def read(db: duckdb.DuckDBPyConnection, output: Path, table: Table) -> Counter[tuple[Any, ...]]:
    """The rows of a table of the lake, by Delta's log alone, without what differs between two runs."""
    files: set[str] = set()
    folder = output / "lake" / table.name
    for commit in sorted((folder / "_delta_log").glob("*.json")):
        for line in commit.read_text(encoding="utf-8").splitlines():
            action = json.loads(line)
            if "add" in action:
                files.add(action["add"]["path"])
            elif "remove" in action:
                files.discard(action["remove"]["path"])
    if not files:
        return Counter()
    names = ", ".join(name for name in table.column_names if name != "run_id")
    paths = [str(folder / file) for file in files]
    rows = db.execute(f"SELECT {names} FROM read_parquet(?, hive_partitioning = true)", [paths]).fetchall()
    return Counter(rows)


def more_and_less(name: str, found: Counter[Any], expected: Counter[Any]) -> list[str]:
    """The rows that `found` has and should not have, and those that it lacks."""
    more = [f"{name} has {count} more of {row}" for row, count in (found - expected).items()]
    return more + [f"{name} has {count} less of {row}" for row, count in (expected - found).items()]


def random_kills(count: int, seed: int) -> Iterator[Kill]:
    """By turns: right after the events of a batch, after its rejected records, after its audit, at any moment of it."""
    chance = random.Random(seed)
    for number in range(count):
        table = min(number % 4, 2)
        delay = chance.uniform(0, 3) if number % 4 == 3 else chance.uniform(0, 0.02)
        yield Kill(table, chance.randint(1, 2), delay)


def run(trial: Trial, kills: Iterable[Kill], say: Callable[[str], None]) -> list[Outcome]:
    """Each of `kills`, with more objects before each; every fifth time the checkpoint is lost as well."""
    outcomes = []
    trial.deliver(A_BATCH)
    for number, kill in enumerate(kills, start=1):
        trial.deliver(A_BATCH * kill.commits)
        outcomes.append(trial.kill(kill))
        say(line_of(number, outcomes[-1]))
        if number % 5 == 0:
            trial.forget()
    return outcomes


def line_of(number: int, outcome: Outcome) -> str:
    ending = "killed" if outcome.was_running else "ended before the kill"
    within = ", within a batch" if outcome.was_within else ""
    commits = " ".join(map(str, outcome.commits))
    return f"{number:>3}  {ending}{within}, {outcome.kill}; batches {outcome.batches}, commits {commits}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the trial and returns 1 if anything failed."""
    options, seed, work = begun(trial_parser(__doc__, kills=20), argv, "stream-faults")
    trial = Trial(work, spark_here=False)
    print(f"seed {seed}", flush=True)
    outcomes = run(trial, random_kills(options.kills, seed), lambda text: print(text, flush=True))
    wrong = trial.differences()
    killed = [outcome for outcome in outcomes if outcome.was_running]
    for text in wrong:
        print(text)
    print(
        f"{'FAILED' if wrong else 'ok'}: {len(outcomes)} runs, {len(killed)} killed before their end, "
        f"{sum(outcome.was_within for outcome in killed)} of them within a batch; {trial.delivered} objects"
    )
    return exit_code(options, work, is_failed=bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
