"""Kills the churn job at random moments, and shows that nothing is lost or doubled.

    python benchmarks/churn_faults.py --kills 20

A shop's purchases and posts are in the lake. The churn job is started over one more week each time, and its whole
process group gets SIGKILL: after so many commits to the lake, or while it exports. The next start goes on from there.
At the end one run over all weeks must leave, row for row, the tables and exports of one that never had another before.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

# A script has its own folder on its path, and not the one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.faults import begun, connect, ended, exit_code, killed_at, trial_parser, write_place
from benchmarks.stream_faults import more_and_less, read
from etl_spark.core.dates import DateRange
from etl_spark.pipelines.churn.pipeline import CHURN
from etl_spark.stores.files import FORMATS

SHOP = DateRange(date(2024, 1, 1), date(2024, 7, 31))
"""The days of the shop: 90 before the first snapshot, and a label's after the last one."""

FIRST_SNAPSHOT = date(2024, 4, 1)


@dataclass(frozen=True)
class Kill:
    """The moment: `delay` seconds after so many `commits` to tables of the job."""

    commits: int
    delay: float


@dataclass(frozen=True)
class Outcome:
    """`commits` are those of the killed run, to any table."""

    kill: Kill
    was_running: bool
    commits: int

    def __str__(self) -> str:
        ending = "killed" if self.was_running else "ended before the kill"
        return f"{ending} {self.kill.delay:.2f} s after commit {self.kill.commits}; {self.commits} commits"


class Trial:
    """The job over sources that `places` name, as options, into `output`."""

    def __init__(self, output: Path, places: Sequence[str]) -> None:
        self.output, self.places = output, places

    def run_to_end(self, *arguments: str) -> None:
        """Any command of the application. Raises RuntimeError where it fails."""
        command = [sys.executable, "-m", "etl_spark", *arguments, *self.places, "--output", str(self.output)]
        code = subprocess.run(command, capture_output=True, check=False).returncode
        if code:
            raise RuntimeError(f"a run that nobody killed ended with {code}, see {self.output / '_runs'}")

    def commits(self) -> int:
        logs = (self.output / "lake" / table.name / "_delta_log" for table in CHURN.tables)
        return sum(file.name[0] != "." for log in logs for file in log.glob("*.json"))

    def kill(self, kill: Kill, days: Sequence[str]) -> Outcome:
        """Starts the job over `days`, and kills it at that moment, unless it has ended before."""
        before = self.commits()
        log = self.output.parent / "job.log"
        command = [sys.executable, "-m", "etl_spark", "churn", *days, *self.places, "--output", str(self.output)]
        with log.open("ab") as stream:
            started = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)
        with ended(started) as job:
            was_running = killed_at(job, lambda: self.commits() >= before + kill.commits, kill.delay, log)
        return Outcome(kill, was_running, self.commits() - before)

    def differences(self, reference: Path) -> list[str]:
        """What the job's tables and exports have more, or less, than those in `reference`."""
        wrong = []
        with connect() as db:
            for table in CHURN.tables:
                found, expected = (read(db, output, table) for output in (self.output, reference))
                wrong += more_and_less(f"lake/{table.name}", found, expected)
                for name in FORMATS if table.exported else ():
                    folders = (output / name / table.name for output in (self.output, reference))
                    wrong += more_and_less(f"{name}/{table.name}", *(_exported(db, one, name) for one in folders))
        return wrong


def _exported(db: duckdb.DuckDBPyConnection, folder: Path, file_format: str) -> Counter[tuple[Any, ...]]:
    """The rows of an export, without what differs between two runs; none where there is no file."""
    files = [str(file) for file in folder.rglob(f"data.{file_format}")]
    if not files:
        return Counter()
    names = "COLUMNS(name -> name NOT IN ('run_id', 'modified_at'))"
    text = ", all_varchar = true" if file_format == "csv" else ""
    query = f"SELECT {names} FROM read_{file_format}(?, hive_partitioning = true{text})"
    return Counter(db.execute(query, [files]).fetchall())


def weeks(count: int) -> list[str]:
    """The range of `count` snapshots, as options."""
    return ["--start-date", str(FIRST_SNAPSHOT), "--end-date", str(FIRST_SNAPSHOT + timedelta(weeks=count - 1))]


def random_kills(count: int, seed: int) -> Iterator[Kill]:
    """Of the first commits, when little is done, and of the last, after which only exports follow."""
    chance = random.Random(seed)
    for _ in range(count):
        yield Kill(chance.randint(0, 10), chance.uniform(0, 2))


def set_up(work: Path) -> Trial:
    """A small shop in `work`, whose purchases and posts are in the lake of the trial."""
    write_place(work)
    source = work / "source"
    sizes = ("--customers", "300", "--products", "40", "--orders-per-day", "8", "--visits-per-day", "12")
    days = ("--start-date", str(SHOP.start), "--end-date", str(SHOP.end))
    generated = [sys.executable, "-m", "etl_spark", "generate", "churn", *days, *sizes, "--output", str(source)]
    subprocess.run(generated, check=True, capture_output=True)
    place = work / "place.toml"
    jobs = {"sales": source / "sales", "social": source / "social", "churn": source}
    # So small a shop has more faults for its rows than a real one.
    text = "".join(f'[{job}]\nsource = "{folder}"\nmax_rejected_share = 1.0\n' for job, folder in jobs.items())
    place.write_text(text + place.read_text(encoding="utf-8"), encoding="utf-8")
    trial = Trial(work / "output", ("--config", str(place)))
    trial.run_to_end("sales", *days)
    trial.run_to_end("stream", "social", "--once")
    return trial


def run(trial: Trial, kills: Iterable[Kill], say: Callable[[str], None]) -> list[Outcome]:
    """Each of `kills` during a run over one more week, but for the last weeks, which have as many as there are."""
    outcomes = []
    for number, kill in enumerate(kills, start=1):
        outcomes.append(trial.kill(kill, weeks(min(number, 13))))
        say(f"{number:>3}  {outcomes[-1]}")
    return outcomes


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the trial and returns 1 if anything failed."""
    options, seed, work = begun(trial_parser(__doc__, kills=20), argv, "churn-faults")
    work.mkdir(parents=True)
    print(f"seed {seed}", flush=True)
    trial = set_up(work)
    reference = Trial(Path(shutil.copytree(trial.output, work / "reference")), trial.places)
    outcomes = run(trial, random_kills(options.kills, seed), lambda text: print(text, flush=True))
    for one in (trial, reference):
        one.run_to_end("churn", *weeks(13))
    wrong = trial.differences(reference.output)
    for text in wrong[:50]:
        print(text)
    killed = sum(outcome.was_running for outcome in outcomes)
    print(f"{'FAILED' if wrong else 'ok'}: {len(outcomes)} runs, {killed} killed before their end")
    return exit_code(options, work, is_failed=bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
