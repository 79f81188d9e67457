"""A real standalone cluster of Spark on loopback, whose machines have nothing of this checkout's environment."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyspark

from etl_spark.pipelines import PIPELINES
from tests.places import SAMPLE

SPARK = Path(pyspark.__file__).parent
WORKERS = ("worker0", "worker1")


class Cluster:
    """One master, whose URL is `master`, and workers of one core each, in an environment that has Java alone.

    A worker and its executors keep what they do in a folder of the worker's name in `folder`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        address = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        self.master = self._start("master", r"Starting Spark master at (spark://\S+)", "master.Master", *address)

    def write_place(self, file: Path, sources: Path) -> None:
        """The configuration of jobs here, whose sources are in `sources`: little for each executor, and none begins
        without both of them."""
        jobs = "".join(f'[{job}]\nsource = "{sources / job}"\n' for job in PIPELINES)
        file.write_text(
            f'{jobs}[submit]\nmaster = "{self.master}"\n[spark]\n"spark.executor.memory" = "600m"\n'
            '"spark.driver.memory" = "1g"\n"spark.sql.shuffle.partitions" = "2"\n"spark.ui.enabled" = "false"\n'
            '"spark.databricks.delta.snapshotPartitions" = "1"\n"spark.driver.host" = "localhost"\n'
            '"spark.driver.extraJavaOptions" = "-XX:TieredStopAtLevel=1"\n'
            '"spark.executor.extraJavaOptions" = "-XX:TieredStopAtLevel=1"\n'
            '"spark.cores.max" = "2"\n"spark.scheduler.minRegisteredResourcesRatio" = "1.0"\n'
            '"spark.scheduler.maxRegisteredResourcesWaitingTime" = "600s"\n'
        )

    def start_worker(self, name: str) -> None:
        """Returns once it is the master's."""
        machine = ("--host", "127.0.0.1", "--webui-port", "0", "--cores", "1", "--memory", "1g")
        work = ("--work-dir", str(self._folder / name))
        self._start(name, r"(Successfully registered) with master", "worker.Worker", *machine, *work, self.master)

    def kill(self, name: str) -> None:
        """A worker takes its executors with it: they are of its process group."""
        os.killpg(self._servers[name].pid, signal.SIGKILL)
        self._servers.pop(name).wait()

    def stop(self) -> None:
        for name in list(self._servers):
            self.kill(name)

    def tasks_done(self, worker: str) -> int:
        """By the executors of a worker, for the application that was last."""
        applications = {folder.name for folder in self._folder.glob("worker*/app-*")}
        # Their ids begin with the time.
        logs = (self._folder / worker / max(applications, default="none")).glob("*/stderr")
        return sum(log.read_text(errors="replace").count("Finished task") for log in logs)

    def _start(self, name: str, says: str, server: str, *arguments: str) -> str:
        """Returns what it said, as soon as it has."""
        # No python3 but the system's, and no folder of this checkout's packages.
        environment = {"PATH": "/usr/bin:/bin", "SPARK_HOME": str(SPARK), "SPARK_LOCAL_IP": "127.0.0.1"}
        environment |= {name: os.environ[name] for name in ("JAVA_HOME",) if name in os.environ}
        log = self._folder / f"{name}.log"
        with log.open("wb") as stream:
            self._servers[name] = subprocess.Popen(
                [str(SPARK / "bin" / "spark-class"), f"org.apache.spark.deploy.{server}", *arguments],
                env=environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        deadline = time.monotonic() + 180
        while not (found := re.search(says, log.read_text(errors="replace"))):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{log} never said {says}: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        return found[1]


@contextmanager
def standalone_cluster(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    try:
        for worker in WORKERS:
            cluster.start_worker(worker)
        yield cluster
    finally:
        cluster.stop()


@dataclass(frozen=True)
class Finished:
    """What a run on a cluster has said, and how many tasks each of the workers has done of it."""

    stdout: str
    stderr: str
    tasks: Sequence[int]


Meanwhile = Callable[[Cluster, subprocess.Popen[str]], None]
"""What befalls a cluster while a run goes on there."""


def run_on_cluster(folder: Path, sources: Path, *arguments: str, meanwhile: Meanwhile | None = None) -> Finished:
    """A run of the application over `sources`, on a cluster of its own in `folder`, that must succeed."""
    with standalone_cluster(folder / "machines") as cluster:
        cluster.write_place(folder / "place.toml", sources)
        running = submit(*arguments, "--config", str(folder / "place.toml"))
        if meanwhile:
            meanwhile(cluster, running)
        stdout, stderr = running.communicate(timeout=1200)
        assert running.returncode == 0, stderr[-3000:]
        return Finished(stdout, stderr, [cluster.tasks_done(worker) for worker in WORKERS])


def sample_elsewhere(folder: Path) -> Path:
    """The sample, in a folder whose name is not easy."""
    return shutil.copytree(SAMPLE, folder / "sour ce's" / "sample")


def submit(*arguments: str) -> subprocess.Popen[str]:
    """As scripts/submit.sh does it."""
    return subprocess.Popen(
        [sys.executable, "-m", "etl_spark.submit", "--target", "standalone", *arguments],
        env={**os.environ, "PYTHONSAFEPATH": "1", "SPARK_LOCAL_IP": "127.0.0.1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
