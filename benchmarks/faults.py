"""Kills the viewing job at random moments, and shows that nothing is lost and that no reader ever fails.

    python benchmarks/faults.py --kills 30

The input has two versions, A and B, which differ in every other day. For each kill the source is flipped to the other
version, the job is started, and its whole process group gets SIGKILL; then the job runs again, to its end. All the time
one thread for each export format reads all its tables, opening each file once. Every partition it sees must be the one
of A or the one of B, row for row, and once a run is complete the one of that run. A reference is a run from nothing
into a folder of its own. The lake is read with Spark: every few kills right after the kill, and at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from threading import Event, Thread
from typing import Any

import duckdb
import psutil

from etl_spark import cli, session
from etl_spark.config import conf_file
from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.dates import DateRange
from etl_spark.core.table import Table
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.viewing.generate import generate
from etl_spark.stores.files import FORMATS, STAGING

TABLES = PIPELINES["viewing"].tables
EXPORTED = (LOAD_AUDIT, *(table for table in TABLES if table.exported and table is not LOAD_AUDIT))
"""load_audit first: a reader that finds it complete must find everything it reads after that complete too."""

RUN_COLUMNS = ("run_id", "modified_at")
"""What differs between two runs over the same content."""

Parts = Mapping[tuple[str, ...], tuple[int, int]]
"""What a reader saw of a table, by partition: its rows' number and the sum of their hashes."""

LATEST = 1.05
"""The last moment for a kill, as a share of what a complete run takes."""


@dataclass(frozen=True)
class Kill:
    """The moment: `delay` seconds after the start, or after the log has said `after`, or `published` files are new."""

    delay: float = 0.0
    after: str = ""
    published: int = 0

    def __str__(self) -> str:
        since = f" after {self.after}" if self.after else f" after {self.published} files" if self.published else ""
        return f"{self.delay:.2f} s{since}"


@dataclass(frozen=True)
class Outcome:
    """`after` is what the killed run had told of last; `was_running` is false where it ended before the kill."""

    kill: Kill
    seconds: float
    after: str
    was_running: bool
    published: int
    reads: int
    failures: tuple[str, ...]


@dataclass(frozen=True)
class State:
    """What readers may find: the `allowed` versions; before the first run is complete, also less than all of it."""

    flip: int
    target: str
    allowed: frozenset[str]
    is_complete: bool


def differences(found: Parts, allowed: Sequence[Parts], *, may_miss: bool) -> list[str]:
    """What is wrong with `found`, where each partition has to be as in one of `allowed`."""
    known = set[tuple[str, ...]]().union(*allowed)
    always = known.intersection(*allowed)
    wrong = [f"{'/'.join(part)} should not be there" for part in found.keys() - known]
    if not may_miss:
        wrong += [f"{'/'.join(part) or 'the table'} is missing" for part in always - found.keys()]
    for part in found.keys() & known:
        if found[part] not in [one[part] for one in allowed if part in one]:
            wrong.append(f"{'/'.join(part)} is of no allowed version: {found[part][0]} rows")
    return sorted(wrong)


def read_export(db: duckdb.DuckDBPyConnection, output: Path, file_format: str, table: Table) -> Parts:
    """An exported table as any reader opens it. Raises duckdb.Error where that fails."""
    pattern = str(output / file_format / table.name / "**" / f"data.{file_format}").replace("'", "''")
    options = "header = true, all_varchar = true, " if file_format == "csv" else ""
    keys = ", ".join(table.replaces)
    rows = db.execute(
        f"SELECT {keys}, count(*), sum(hash({', '.join(_content(table))})) FROM read_{file_format}("
        f"'{pattern}', {options}hive_partitioning = true, hive_types_autocast = false) GROUP BY {keys}"
    ).fetchall()
    return {row[:-2]: (row[-2], int(row[-1])) for row in rows}


def read_lake(options: Mapping[str, str], output: str, log: str) -> dict[str, Parts]:
    """Every table of the lake at `output`, read by Spark; nothing for a table that is not there yet."""
    import pyspark.sql.functions as F
    from delta.tables import DeltaTable

    spark = session.start("faults", options, run_id="faults", log=Path(log))
    found: dict[str, Parts] = {}
    for table in TABLES:
        path = f"{output}/lake/{table.name}"
        if DeltaTable.isDeltaTable(spark, path):
            rows = (
                spark.read.format("delta")
                .load(path)
                .groupBy(*(F.col(name).cast("string") for name in table.replaces))
                .agg(F.count(F.lit(1)), F.sum(F.xxhash64(*_content(table)).cast("decimal(38,0)")))
                .collect()
            )
            found[table.name] = {tuple(row[:-2]): (row[-2], int(row[-1])) for row in rows}
    return found


def _content(table: Table) -> list[str]:
    return [name for name in table.column_names if name not in (*table.replaces, *RUN_COLUMNS)]


def connect() -> duckdb.DuckDBPyConnection:
    # No cache of file contents: what is on the disk is to be judged, not what is remembered of it.
    return duckdb.connect(config={"threads": 1, "enable_external_file_cache": False})


@dataclass
class Trial:
    """A source with two versions, a job over it, and what its tables must hold; `set_up` makes one.

    `spark_here`: what is not to be killed uses the Spark session of this process, which saves its start.
    """

    work: Path
    asked: DateRange
    options: Mapping[str, str]
    spark_here: bool
    expected: dict[str, dict[tuple[str, str], Parts]] = field(default_factory=dict)
    """By version, and by store (an export format or `lake`) and table."""
    run_seconds: float = 0.0
    """What a complete run takes."""
    messages: tuple[str, ...] = ()
    """What a complete run tells of, in order."""
    state: State = State(0, "", frozenset(), False)

    @property
    def output(self) -> Path:
        return self.work / "output"

    def arguments(self, output: Path) -> list[str]:
        asked = ("--start-date", str(self.asked.start), "--end-date", str(self.asked.end))
        places = ("--source", str(self.work / "source"), "--output", str(output))
        return ["viewing", *asked, *places, "--config", str(self.work / "place.toml")]

    def start(self, output: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "etl_spark", *self.arguments(output)]
        with (self.work / "job.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def run_to_end(self, output: Path) -> int:
        """Runs the job and returns its exit code."""
        if self.spark_here:
            return cli.main(self.arguments(output))
        with ended(self.start(output)) as job:
            return job.wait()

    def flip(self, version: str) -> None:
        """Puts the files of `version` into the source, each in one step, and with a modification time of its own."""
        source = self.work / "source"
        source.mkdir(exist_ok=True)
        for file in sorted((self.work / version).iterdir()):
            target = source / file.name
            if not target.exists() or target.read_bytes() != file.read_bytes():
                draft = source / f".{file.name}.draft"
                shutil.copyfile(file, draft)
                os.replace(draft, target)

    def make_reference(self, version: str) -> None:
        """Runs the job over `version` from nothing, and keeps what its tables hold."""
        output = self.work / f"reference_{version}"
        self.flip(version)
        started = time.monotonic()
        exit_code = self.run_to_end(output)
        if exit_code != 0:
            raise RuntimeError(f"the reference run ended with {exit_code}, see {self.work / 'job.log'}")
        self.run_seconds = time.monotonic() - started
        (log,) = (output / "_runs").glob("*.log")
        self.messages = tuple(told(log))
        with connect() as db:
            exports = {(one, table.name): read_export(db, output, one, table) for one in FORMATS for table in EXPORTED}
        lake = {("lake", name): parts for name, parts in self.read_lake(output).items()}
        self.expected[version] = exports | lake

    def read_lake(self, output: Path) -> dict[str, Parts]:
        arguments = (dict(self.options), str(output), str(self.work / "lake.log"))
        if self.spark_here:
            return read_lake(*arguments)
        # Spark stays as long as the process that asked for it: one of its own, so that only one JVM runs at a time.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            return process.submit(read_lake, *arguments).result()

    def check_exports(self, version: str) -> list[str]:
        """What is wrong with the exports and the folders after a complete run over `version`."""
        wrong: list[str] = []
        with connect() as db:
            for one in FORMATS:
                for table in EXPORTED:
                    try:
                        found = read_export(db, self.output, one, table)
                    except duckdb.Error as error:
                        wrong.append(f"{one} {table.name} cannot be read: {error}")
                        continue
                    expected = [self.expected[version][one, table.name]]
                    wrong += [f"{one} {table.name} {text}" for text in differences(found, expected, may_miss=False)]
                wrong += [
                    f"{file.relative_to(self.output)} was left behind"
                    for file in sorted((self.output / one).rglob("*"))
                    if file.is_file() and file.name != f"data.{one}"
                ]
        left = [str(one.relative_to(self.output)) for one in sorted((self.output / STAGING).rglob("*"))]
        if (self.output / STAGING).exists():
            wrong.append(f"{STAGING} was left behind{': ' if left else ''}{', '.join(left)}")
        return wrong

    def check_lake(self, versions: Iterable[str]) -> list[str]:
        """What is wrong with the lake, where each partition is to be of one of `versions`."""
        allowed = [self.expected[version] for version in versions]
        found = self.read_lake(self.output)
        return [
            f"lake {table.name} {text}"
            for table in TABLES
            for text in differences(
                found.get(table.name, {}),
                [one["lake", table.name] for one in allowed],
                # Days that are being replaced are not done: their audit is taken away first.
                may_miss=table is LOAD_AUDIT and len(allowed) > 1,
            )
        ]

    def run(self, kills: Iterable[Kill], *, lake_every: int = 0, say: Callable[[str], None] = print) -> list[Outcome]:
        """Flip, kill, look, run to the end, look: for each kill. The lake is read after every `lake_every`th kill."""
        readers = [Reader(self, one) for one in FORMATS]
        outcomes: list[Outcome] = []
        for reader in readers:
            reader.start()
        try:
            for number, kill in enumerate(kills, start=1):
                with_lake = bool(lake_every) and number % lake_every == 0 and self.state.is_complete
                outcome = self.kill_once(kill, readers, with_lake=with_lake)
                outcomes.append(outcome)
                say(line_of(number, outcome))
        finally:
            for reader in readers:
                reader.stop.set()
            for reader in readers:
                reader.join()
        late = tuple(text for reader in readers for text in reader.take_failures())
        if late and outcomes:
            outcomes[-1] = replace(outcomes[-1], failures=outcomes[-1].failures + late)
        return outcomes

    def kill_once(self, kill: Kill, readers: Sequence[Reader], *, with_lake: bool) -> Outcome:
        before, reads = self.state, sum(reader.reads for reader in readers)
        version = "B" if before.target == "A" else "A"
        old = {before.target} if before.target else set[str]()
        self.state = State(before.flip + 1, version, frozenset(old | {version}), before.is_complete)
        self.flip(version)

        failures: list[str] = []
        known_logs, known_files = self.logs(), self.files()
        started = time.monotonic()
        with ended(self.start(self.output)) as job:
            self.wait_for(job, kill, known_logs, known_files)
            was_running = job.poll() is None
            seconds = time.monotonic() - started
        if not was_running and job.returncode != 0:
            failures.append(f"the job ended by itself with {job.returncode}")
        published = len(self.files() - known_files)
        messages = [message for log in self.logs() - known_logs for message in told(log)]
        if with_lake:
            failures += self.check_lake(sorted(self.state.allowed))

        exit_code = self.run_to_end(self.output)
        if exit_code == 0:
            self.state = State(self.state.flip, version, frozenset({version}), True)
        else:
            failures.append(f"the run after the kill ended with {exit_code}")
        failures += self.check_exports(version)
        for reader in readers:
            failures += reader.take_failures()
        reads = sum(reader.reads for reader in readers) - reads
        if not reads:
            failures.append("nothing was read meanwhile")
        after = messages[-1] if messages else "nothing"
        return Outcome(kill, seconds, after, was_running, published, reads, tuple(failures))

    def wait_for(
        self, job: subprocess.Popen[bytes], kill: Kill, known_logs: set[Path], known_files: set[tuple[str, int, int]]
    ) -> None:
        """Returns at the moment of `kill`, or when the job has ended."""

        def has_come() -> bool:
            if kill.published:
                return len(self.files() - known_files) >= kill.published
            return not kill.after or any(kill.after in told(log) for log in self.logs() - known_logs)

        while job.poll() is None and not has_come():
            time.sleep(0.005)
        until = time.monotonic() + kill.delay
        while job.poll() is None and time.monotonic() < until:
            time.sleep(min(0.01, max(until - time.monotonic(), 0)))

    def logs(self) -> set[Path]:
        return set((self.output / "_runs").glob("*.log"))

    def files(self) -> set[tuple[str, int, int]]:
        """The exported files, each as told from what stood in its place before."""
        found = set()
        for file_format in FORMATS:
            for file in (self.output / file_format).rglob(f"data.{file_format}"):
                status = file.stat()
                found.add((str(file), status.st_ino, status.st_mtime_ns))
        return found


class Reader(Thread):
    """Reads all exported tables in one format, again and again, and judges each by the trial's state."""

    def __init__(self, trial: Trial, file_format: str) -> None:
        super().__init__(name=f"reader of {file_format}", daemon=True)
        self.trial, self.file_format = trial, file_format
        self.stop = Event()
        self.reads = 0
        self.failures: list[str] = []
        self.taken = 0

    def run(self) -> None:
        with connect() as db:
            # Not without a pause: the job shares the cores.
            while not self.stop.wait(0.1):
                try:
                    self.look(db)
                except Exception as error:  # A reader that dies in silence would prove anything.
                    self.failures.append(f"reader of {self.file_format}: {error!r}")

    def look(self, db: duckdb.DuckDBPyConnection) -> None:
        """Reads every table once."""
        before = self.trial.state
        if not before.allowed:
            return
        marked: str | None = None
        for table in EXPORTED:
            found = self.read(db, table, may_miss=not before.is_complete)
            if found is None:
                continue
            after = self.trial.state
            allowed = before.allowed | after.allowed
            if marked and before.flip == after.flip:
                allowed = frozenset({marked})
            versions = [self.trial.expected[version][self.file_format, table.name] for version in sorted(allowed)]
            may_miss = not before.is_complete and not marked
            wrong = differences(found, versions, may_miss=may_miss)
            self.failures += [f"{self.file_format} {table.name} {text} (of {', '.join(allowed)})" for text in wrong]
            if table is LOAD_AUDIT and found == self.trial.expected[before.target][self.file_format, table.name]:
                marked = before.target

    def read(self, db: duckdb.DuckDBPyConnection, table: Table, *, may_miss: bool) -> Parts | None:
        """The table as it stands; None where it cannot be read, which is a failure unless it may not be there yet.

        Each file is opened once, and read to its end. (DuckDB itself opens a Parquet file twice in a query, for its
        footer and for its rows: it says so where another file took its place in between.)
        """
        self.reads += 1
        place = self.trial.output / self.file_format / table.name
        with tempfile.TemporaryDirectory(dir=self.trial.work) as seen:
            try:
                for file in place.rglob(f"data.{self.file_format}"):
                    copy = Path(seen, self.file_format, table.name, file.relative_to(place))
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, copy)
                return read_export(db, Path(seen), self.file_format, table)
            except (duckdb.Error, OSError) as error:
                if not (may_miss and "No files found" in str(error)):
                    self.failures.append(f"{self.file_format} {table.name} cannot be read: {error}")
                return None

    def take_failures(self) -> list[str]:
        """The failures since the last call, each once."""
        new = self.failures[self.taken :]
        self.taken += len(new)
        return [f"{text} ({times} times)" for text, times in Counter(new).items()]


@contextmanager
def ended(job: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Kills the process group of `job`, and all its children, at the end of the block, and waits until it is gone."""
    try:
        yield job
    finally:
        if job.poll() is None:
            # Python's workers have a process group of their own.
            family = psutil.Process(job.pid).children(recursive=True)
            os.killpg(job.pid, signal.SIGKILL)
            for one in family:
                if one.is_running():
                    one.kill()
            job.wait()
            psutil.wait_procs(family, timeout=30)


def killed_at(job: subprocess.Popen[bytes], is_there: Callable[[], bool], delay: float, log: Path) -> bool:
    """Waits for the moment `delay` seconds after `is_there`; whether the job is still running then, to be killed.

    Raises RuntimeError where it has failed by itself before, as `log` tells.
    """
    while job.poll() is None and not is_there():
        time.sleep(0.002)
    until = time.monotonic() + delay
    while job.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    code = job.poll()
    if code:
        raise RuntimeError(f"a run ended by itself with {code}, see {log}")
    return code is None


def told(log: Path) -> list[str]:
    """What the program itself has said in a run's log, without the times; the last line may be half of one."""
    messages = []
    for text in log.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(text)
        except ValueError:
            continue
        if isinstance(entry, dict) and "message" in entry and "logger" not in entry:
            message = re.sub(r": [\d.]+ s$", "", entry["message"])
            messages.append("planning" if " days found" in message else message)
    return messages


def write_place(work: Path, more: str = "") -> dict[str, str]:
    """Writes place.toml, the configuration of many short runs in `work`, with `more` in it. Returns Spark's options."""
    (work / "java").mkdir(parents=True)
    options: dict[str, Any] = {
        **tomllib.loads(conf_file("local.toml").read_text(encoding="utf-8"))["spark"],
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": "2",
        # A killed JVM does not clear what it left there.
        "spark.local.dir": str(work / "java"),
        # The runs are too short for a good compiler to pay.
        "spark.driver.extraJavaOptions": f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Djava.io.tmpdir={work / 'java'}",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }
    lines = (f"{json.dumps(key)} = {json.dumps(value)}" for key, value in options.items())
    (work / "place.toml").write_text("\n".join(("[spark]", *lines)) + "\n" + more, encoding="utf-8")
    return {key: str(value) for key, value in options.items()}


def set_up(
    work: Path, *, days: int = 8, rows_per_day: int = 300, contracts: int = 400, spark_here: bool = False
) -> Trial:
    """Generates both versions of `days` days, the second half of which is asked for, and makes the references."""
    options = write_place(work)
    first = date(2022, 4, 1)
    everything = DateRange(first, date.fromordinal(first.toordinal() + days - 1))
    for seed, version in enumerate(("A", "B"), start=1):
        generate(everything, work / version, seed=seed, rows_per_day=rows_per_day, contracts=contracts)
    for day in everything.days[::2]:
        shutil.copyfile(work / "A" / f"{day:%Y%m%d}.json", work / "B" / f"{day:%Y%m%d}.json")

    asked = DateRange(everything.days[days // 2], everything.end)
    trial = Trial(work, asked, options, spark_here)
    for version in ("B", "A"):
        trial.make_reference(version)
    same = [key for key, parts in trial.expected["A"].items() if parts == trial.expected["B"][key]]
    if same:
        raise RuntimeError(f"A and B must differ in every table, and do not in {same}")
    # So that the first flip, to A, changes files.
    trial.flip("B")
    return trial


def random_kills(count: int, run_seconds: float, files: int, seed: int) -> Iterator[Kill]:
    """A third at any time of a run, a third in its second half, a third while it publishes its `files`."""
    chance = random.Random(seed)
    for number in range(count):
        match number % 3:
            case 0:
                yield Kill(chance.uniform(0, LATEST * run_seconds))
            case 1:
                yield Kill(chance.uniform(run_seconds / 2, LATEST * run_seconds))
            case _:
                yield Kill(chance.uniform(0, 0.05), published=chance.randint(1, files))


def line_of(number: int, outcome: Outcome) -> str:
    ending = "killed" if outcome.was_running else "ended before the kill"
    failed = "ok" if not outcome.failures else "FAILED\n  " + "\n  ".join(outcome.failures)
    return (
        f"{number:>3}  {ending} at {outcome.seconds:5.1f} s ({outcome.kill}), last told: {outcome.after}; "
        f"{outcome.published} files published, {outcome.reads} reads: {failed}"
    )


def summary(outcomes: Sequence[Outcome], order: Sequence[str], lake: Sequence[str]) -> str:
    killed = [outcome for outcome in outcomes if outcome.was_running]
    after = Counter(outcome.after for outcome in killed)
    places = sorted(after, key=lambda name: order.index(name) if name in order else -1)
    half_way = sum(outcome.published > 0 for outcome in killed)
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    return "\n".join(
        (
            f"last told before the kill: {'; '.join(f'{name} {after[name]}' for name in places)}",
            f"the lake at the end: {'ok' if not lake else 'FAILED'}",
            *(f"  {text}" for text in lake),
            f"{'FAILED' if failed or lake else 'ok'}: {len(outcomes)} runs, {len(killed)} killed before their end, "
            f"{half_way} of them with some files published; {sum(outcome.reads for outcome in outcomes):,} reads; "
            f"{failed} runs with failures",
        )
    )


def trial_parser(doc: str | None, *, kills: int) -> argparse.ArgumentParser:
    """The options of a trial that kills: how often, at which moments, and where it works."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=kills, metavar="N", help=f"how often to kill (default: {kills})")
    parser.add_argument("--seed", type=int, metavar="N", help="draws the same moments again (default: other ones)")
    parser.add_argument("--work", type=Path, metavar="DIR", help="a new folder, to keep (default: a temporary one)")
    return parser


def begun(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, name: str
) -> tuple[argparse.Namespace, int, Path]:
    """The options of the trial `name`, its seed, and the folder to work in, which is not there yet."""
    options = parser.parse_args(argv)
    # A job under way has a process group of its own, and would outlive this process.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    work = (options.work or Path(tempfile.mkdtemp(prefix=f"{name}-")) / "work").resolve()
    if work.exists():
        parser.error(f"{work} exists")
    return options, seed, work


def exit_code(options: argparse.Namespace, work: Path, *, is_failed: bool) -> int:
    """1 where the trial has failed, and its folder is kept then."""
    if is_failed:
        print(f"all is kept in {work}")
    elif not options.work:
        # The JVM of the last look may be removing its own files at this very moment.
        shutil.rmtree(work.parent, ignore_errors=True)
    return int(is_failed)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the trial and returns 1 if anything failed."""
    parser = trial_parser(__doc__, kills=30)
    parser.add_argument("--lake-every", type=int, default=10, metavar="N", help="kills between two looks at the lake")
    options, seed, work = begun(parser, argv, "faults")
    trial = set_up(work)
    files = sum(len(parts) for (store, _), parts in trial.expected["A"].items() if store in FORMATS)
    print(f"seed {seed}; a complete run takes {trial.run_seconds:.1f} s and publishes {files} files", flush=True)
    outcomes = trial.run(
        random_kills(options.kills, trial.run_seconds, files, seed),
        lake_every=options.lake_every,
        say=lambda text: print(text, flush=True),
    )
    lake = trial.check_lake([trial.state.target]) if trial.state.is_complete else ["no run was complete"]
    print(summary(outcomes, trial.messages, lake))
    return exit_code(options, work, is_failed=bool(lake) or any(outcome.failures for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
