"""What the benchmarks share: a command's time, CPU and peak memory, and what is said of the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from threading import Event, Thread

import psutil

from etl_spark.config import conf_file

SAMPLED_EVERY = 0.2


@dataclass(frozen=True)
class Days:
    """The days from `start` to `end`, both included."""

    start: date
    end: date

    def __len__(self) -> int:
        return (self.end - self.start).days + 1

    @property
    def options(self) -> tuple[str, ...]:
        return ("--start-date", str(self.start), "--end-date", str(self.end))


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds on the clock and of CPU, and the most memory (MB) its processes had together."""

    wall: float
    cpu: float
    memory: float


class Sampler(Thread):
    """Follows a process and all that descend from it, until it is stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(name=f"sampler of {pid}", daemon=True)
        self.root = psutil.Process(pid)
        self.stop = Event()
        self.peak_bytes = 0
        self.cpu_seconds: dict[psutil.Process, float] = {}
        """By process, as last seen."""

    def run(self) -> None:
        while not self.stop.wait(SAMPLED_EVERY):
            try:
                family = [self.root, *self.root.children(recursive=True)]
            except psutil.Error:
                return
            # Memory counts from a process's second sample on: until it becomes another program, a JVM's child runs in
            # the JVM's memory, and both tell all of it as their own.
            known = [one for one in family if one in self.cpu_seconds]
            resident = {one: self.sample(one) for one in family}
            # To ask for the PSS is work for the kernel, and it is never more than the RSS.
            if sum(resident[one] for one in known) > self.peak_bytes:
                self.peak_bytes = max(self.peak_bytes, sum(own_memory(one) for one in known))

    def sample(self, process: psutil.Process) -> int:
        """Notes the CPU time of `process` and returns its RSS; 0 where it is gone."""
        try:
            with process.oneshot():
                used = process.cpu_times()
                self.cpu_seconds[process] = used.user + used.system
                return process.memory_info().rss
        except psutil.Error:
            return 0


def own_memory(process: psutil.Process) -> int:
    """Bytes of `process`, of what it shares its part (PSS): only Linux tells, elsewhere it is the RSS."""
    try:
        memory = process.memory_full_info()
        return int(getattr(memory, "pss", memory.rss))
    except psutil.Error:
        return 0


def measured(command: Sequence[str], log: Path) -> Cost:
    """Runs `command` to its end. Raises RuntimeError where it fails."""
    with log.open("ab") as stream:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
        sampler = Sampler(process.pid)
        sampler.start()
        try:
            exit_code = process.wait()
            wall = time.monotonic() - started
        finally:
            process.terminate()
            sampler.stop.set()
            sampler.join()
    if exit_code != 0:
        raise RuntimeError(f"{command[1:4]} ended with {exit_code}, see {log}")
    return Cost(wall, sum(sampler.cpu_seconds.values()), sampler.peak_bytes / 1e6)


def job_command(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "etl_spark", *arguments)


def write_place(file: Path, driver_memory: str) -> None:
    """Writes what --config takes: this machine, as conf/local.toml has it, with `driver_memory`."""
    place = tomllib.loads(conf_file("local.toml").read_text(encoding="utf-8"))
    options = {**place["spark"], "spark.driver.memory": driver_memory}
    lines = (f"{json.dumps(key)} = {json.dumps(value)}" for key, value in options.items())
    file.write_text("\n".join(("[spark]", *lines)) + "\n", encoding="utf-8")


def add_work_options(parser: argparse.ArgumentParser, driver_memory: str = "2g") -> None:
    """What a benchmark of a job takes beside its sizes: --driver-memory, --work and --keep."""
    said = "spark.driver.memory (default: %(default)s)"
    parser.add_argument("--driver-memory", default=driver_memory, metavar="SIZE", help=said)
    parser.add_argument("--work", type=Path, metavar="DIR", help="a new folder to work in (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="keep that folder")


def new_folder(parser: argparse.ArgumentParser, options: argparse.Namespace, name: str) -> Path:
    """The folder of --work, or a temporary one, made now; from here on SIGTERM is as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    work: Path = (options.work or Path(tempfile.mkdtemp(prefix=f"{name}-")) / "work").resolve()
    if work.exists():
        parser.error(f"{work} exists")
    work.mkdir(parents=True)
    return work


def quoted(path: Path) -> str:
    """`path` as it stands in a string of SQL."""
    return str(path).replace("'", "''")


def cost_table(lines: Iterable[str]) -> str:
    """The Markdown table of `lines`, each by cost_line()."""
    head = "| case | wall s | ratio to DuckDB | CPU s | peak memory MB |"
    return "\n".join((head, "|---|---:|---:|---:|---:|", *lines))


def cost_line(name: str, cost: Cost, peer: Cost) -> str:
    """A row of cost_table(): what the case `name` took, beside `peer`."""
    return f"| {name} | {cost.wall:.1f} | {cost.wall / peer.wall:.1f} | {cost.cpu:.1f} | {cost.memory:,.0f} |"


def machine() -> str:
    """Cores, memory and versions."""
    memory = "PSS" if platform.system() == "Linux" else "RSS"
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr.partition("\n")[0]
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "delta-spark", "duckdb"))
    return (
        f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 1e9:.0f} GB of memory; "
        f"Python {platform.python_version()}, {packages}, {java}\n\n"
        f"Memory is the {memory} of the whole process tree, sampled every {SAMPLED_EVERY} s, as is the CPU time. The "
        f"absolute times are those of a shared machine"
    )
