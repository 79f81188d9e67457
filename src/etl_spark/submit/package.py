"""What a cluster is given: the code and its configuration as a zip, the jobs' entries, and third-party packages.

The same code and configuration are the same bytes, on every machine: what is unchanged need not be uploaded again.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from etl_spark.core.errors import EtlError

ROOT = Path(__file__).parents[3]
"""The checkout. An installed package cannot be submitted: it has no lock of its requirements."""

CODE, ENVIRONMENT = "etl_spark.zip", "environment.tar.gz"
"""What the files of a package are called, wherever they go."""
UNPACKED = "environment"
"""The folder, beside the driver and the executors, that ENVIRONMENT is unpacked to."""
PLACE, MAPPING = "place", "mapping"
"""What the configuration files that a user named are called there: `--config place`, `--mapping mapping`."""

PACKAGES = ("dacite", "findspark", "PyMySQL", "SQLAlchemy", "boto3", "scipy", "textblob")
"""The third-party packages that a run of any job may import. pyspark and Delta are the cluster's."""

LOCKS = {"3.5": "spark-3.5.txt", "4.0": "spark-4.0.txt"}


@dataclass(frozen=True)
class Package:
    """Files by name."""

    files: Mapping[str, bytes]

    @property
    def hash(self) -> str:
        """Of the names and of what is in the files."""
        parts = [f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in sorted(self.files.items())]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Python:
    """That of a cluster: its version, and the processor that it runs on, as wheels name it."""

    version: str = "3.11"
    machine: str = "x86_64"


def build(
    spark: str, python: Python, *, requires: tuple[str, ...], place: Path, mapping: Path | None, cache: Path
) -> Package:
    """All that a job needs on a cluster of that Spark line.

    `requires` are the packages that it alone needs. `place` is the configuration of the place, and `mapping` that of a
    flat file. Third-party packages are kept in `cache`. Raises EtlError where they cannot be had.
    """
    entries = sorted((ROOT / "jobs").glob("*.py"))
    if not entries:
        raise EtlError(f"there is no {ROOT / 'jobs'}: a job is submitted from a checkout")
    return Package(
        {
            CODE: code(place, mapping),
            ENVIRONMENT: environment(ROOT / "requirements" / LOCKS[spark], python, (*PACKAGES, *requires), cache),
            **{entry.name: entry.read_bytes() for entry in entries},
        }
    )


def code(place: Path, mapping: Path | None) -> bytes:
    """The package, and conf/ beside it, as a zip."""
    sources = ROOT / "src"
    files = {str(file.relative_to(sources)): file for file in (sources / "etl_spark").rglob("*.py")}
    files |= {str(file.relative_to(ROOT)): file for file in (ROOT / "conf").rglob("*") if file.is_file()}
    files[f"conf/{PLACE}.toml"] = place
    if mapping:
        files[f"conf/flat/{MAPPING}.toml"] = mapping
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in sorted(files.items()):
            # The first moment that a zip can tell.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), file.read_bytes(), zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def environment(lock: Path, python: Python, packages: tuple[str, ...], cache: Path) -> bytes:
    """`packages` and what they need, at the versions of `lock`, as wheels for `python`, in a tar.gz.

    It works in any folder, on any Linux with that Python: it has no interpreter, and no path of this machine.
    """
    key = hashlib.sha256(f"{lock.read_text(encoding='utf-8')}{packages}{python}".encode()).hexdigest()[:16]
    kept = cache / f"environment-{key}.tar.gz"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _install(lock, python, packages, Path(folder) / "packages")
            draft = Path(folder) / kept.name
            draft.write_bytes(packed(Path(folder) / "packages"))
            os.replace(draft, kept)
    return kept.read_bytes()


def _install(lock: Path, python: Python, packages: tuple[str, ...], folder: Path) -> None:
    platforms = [f"manylinux{one}_{python.machine}" for one in ("2014", "_2_17", "_2_28")]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile", "--target", str(folder)),
        *("--only-binary=:all:", "--implementation", "cp", "--python-version", python.version),
        *(argument for platform in platforms for argument in ("--platform", platform)),
        *("--constraint", str(lock), *packages),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if run.returncode:
        said = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EtlError(f"pip cannot get {', '.join(packages)} for Python {python.version}, is there a network? {said}")


def packed(folder: Path) -> bytes:
    """All files below `folder` as a tar.gz that depends on their names and contents alone."""
    stream = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as archive,
    ):
        for file in sorted(_files(folder)):
            entry = tarfile.TarInfo(str(file.relative_to(folder)))
            entry.size, entry.mode = file.stat().st_size, 0o644
            with file.open("rb") as content:
                archive.addfile(entry, content)
    return stream.getvalue()


def _files(folder: Path) -> Iterable[Path]:
    # Commands name the interpreter of this machine in their first line; records have paths, and change with pip.
    left_out = ("RECORD", "INSTALLER", "REQUESTED")
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts
        if file.is_file() and parts[0] != "bin" and "__pycache__" not in parts and file.name not in left_out:
            yield file


def write(package: Package, folder: Path) -> None:
    """Puts the files of `package` into `folder`, for a spark-submit that takes them from there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in package.files.items():
        (folder / name).write_bytes(content)
