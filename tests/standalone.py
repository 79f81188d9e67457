"""A real standalone cluster of Spark on loopback, whose machines have nothing of this checkout's environment."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyspark

SPARK = Path(pyspark.__file__).parent


@dataclass(frozen=True)
class Cluster:
    """`master` is its URL. Executors keep what they do in `folder`."""

    folder: Path
    master: str


@contextmanager
def standalone_cluster(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """One master, and workers of one core each, in an environment that has Java alone."""
    folder.mkdir(parents=True)
    started: list[subprocess.Popen[bytes]] = []
    # No python3 but the system's, and no folder of this checkout's packages.
    environment = {"PATH": "/usr/bin:/bin", "SPARK_HOME": str(SPARK), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment |= {name: os.environ[name] for name in ("JAVA_HOME",) if name in os.environ}

    def start(name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(SPARK / "bin" / "spark-class"), *arguments],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started.append(process)
        return process

    try:
        start(
            "master", "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0"
        )
        cluster = Cluster(folder, said(folder / "master.log", r"Starting Spark master at (spark://\S+)"))
        for number in range(workers):
            settings = ("--host", "127.0.0.1", "--cores", "1", "--memory", "1g", "--webui-port", "0")
            work = ("--work-dir", str(folder / f"work{number}"))
            worker = "org.apache.spark.deploy.worker.Worker"
            start(f"worker{number}", worker, *settings, *work, cluster.master)
        for number in range(workers):
            said(folder / f"worker{number}.log", r"(Successfully registered) with master")
        yield cluster
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def said(log: Path, pattern: str) -> str:
    """What a server wrote, as soon as it has."""
    deadline = time.monotonic() + 60
    while not (found := re.search(pattern, log.read_text(errors="replace"))):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{log} never said {pattern}: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    return found[1]
