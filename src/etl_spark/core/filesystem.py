"""Any file system that Spark reads (local, s3a, hdfs, ...), by Hadoop's own client in the session's JVM.

Paths are written unescaped, as Hadoop's Path takes them; an Entry's `uri` is the same path as Spark's scans report it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from py4j.java_gateway import is_instance_of
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from etl_spark.core.errors import EtlError, InputError
from etl_spark.core.uri import local_path


@dataclass(frozen=True)
class Entry:
    """A file or folder as a listing shows it."""

    path: str
    uri: str
    name: str
    is_folder: bool
    size_bytes: int
    modified_ms: int
    checksum: str

    @property
    def is_hidden(self) -> bool:
        """Hadoop's own rule: markers such as `_SUCCESS`, and what is still being written, are not data."""
        return self.name.startswith(("_", "."))


class FileSystem:
    """The file system that holds `root`. Raises `problem` where there is none, or it refuses to answer."""

    def __init__(self, spark: SparkSession, root: str, problem: type[EtlError] = InputError) -> None:
        self._problem = problem
        gateway: Any = spark.sparkContext._gateway
        self._gateway = gateway
        self._hadoop: Any = gateway.jvm.org.apache.hadoop.fs
        # A name below a package is looked up in the JVM each time it is written.
        self._path: Any = self._hadoop.Path
        self._conf: Any = spark._jsc.hadoopConfiguration()
        with self._plain_errors(root):
            self._fs: Any = self._path(root).getFileSystem(self._conf)
            self.root: str = self._fs.makeQualified(self._path(root)).toString()
        self.scheme: str = self._fs.getScheme()

    @property
    def is_local(self) -> bool:
        return self.scheme == "file"

    def path(self, *names: str) -> str:
        return "/".join((self.root.rstrip("/"), *names))

    def shown(self, *names: str) -> str:
        """The same place as a person would write it: without a scheme where it is on this machine."""
        path = self.path(*names)
        return str(_local(path)) if self.is_local else path

    def entry(self, path: str) -> Entry | None:
        """What stands at `path`, None where nothing does."""
        if self._is_absent_here(path):
            return None
        with self._plain_errors(path):
            try:
                return self._entry(self._fs.getFileStatus(self._path(path)))
            except Py4JJavaError as error:
                if _java_class(error) == "java.io.FileNotFoundException":
                    return None
                raise

    def entries(self, folder: str) -> list[Entry]:
        """What stands in `folder`, by name."""
        with self._plain_errors(folder):
            found = [self._entry(status) for status in self._fs.listStatus(self._path(folder))]
        return sorted(found, key=lambda entry: entry.name)

    def files(self, folder: str) -> Iterator[Entry]:
        """Every file below `folder`, at any depth, that is not hidden; nothing where there is no such folder."""
        if self.entry(folder) is not None:
            for entry in self.entries(folder):
                if entry.is_folder and not entry.is_hidden:
                    yield from self.files(entry.path)
                elif not entry.is_hidden:
                    yield entry

    def paths(self, folder: str) -> list[str]:
        """The path of everything in `folder` that is not hidden, in no order; nothing where there is no such folder.

        To ask for more than a path (an Entry) is a dozen calls into the JVM, for each of perhaps thousands of files.
        """
        if self._is_absent_here(folder):
            return []
        with self._plain_errors(folder):
            try:
                found = self._fs.listStatus(self._path(folder))
            except Py4JJavaError as error:
                if _java_class(error) == "java.io.FileNotFoundException":
                    return []
                raise
            paths = [status.getPath().toString() for status in found]
        return [path for path in paths if not path.rpartition("/")[2].startswith(("_", "."))]

    def remove(self, path: str) -> None:
        """Removes a file, or a folder with all it holds; nothing there is no error."""
        with self._plain_errors(path):
            self._fs.delete(self._path(path), True)

    def publish(self, source: str, target: str) -> None:
        """Puts the file `source` in the place of `target` in one step: a reader finds the old file or the new one.

        A rename that replaces, on a local file system and on HDFS. An object store has no rename, but an object is
        there whole or not at all, so there the bytes are put under the target's name.
        """
        if self.is_local:
            source_file, target_file = _local(source), _local(target)
            target_file.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source_file, target_file)
        elif self.scheme in ("hdfs", "viewfs"):
            self._fs.mkdirs(self._path(target).getParent())
            options = self._gateway.new_array(self._hadoop.Options.Rename, 1)
            options[0] = self._hadoop.Options.Rename.OVERWRITE
            context = self._hadoop.FileContext.getFileContext(self._fs.getUri(), self._conf)
            context.rename(self._path(source), self._path(target), options)
        else:
            paths = (self._fs, self._path(source), self._fs, self._path(target))
            self._hadoop.FileUtil.copy(*paths, True, True, self._conf)

    def read_text(self, path: str) -> str:
        """What a small file holds."""
        with self._plain_errors(path):
            stream = self._fs.open(self._path(path))
            try:
                return str(self._gateway.jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
            finally:
                stream.close()

    def md5(self, path: str) -> bytes:
        """The MD5 of a file as it stands, of any size. Its bytes pass through the driver."""
        with self._plain_errors(path):
            stream = self._fs.open(self._path(path))
            try:
                return bytes(self._gateway.jvm.org.apache.commons.codec.digest.DigestUtils.md5(stream))
            finally:
                stream.close()

    def write_text(self, path: str, text: str) -> None:
        """Writes a small file, whole or not at all."""
        draft = f"{path}.{os.getpid()}.{time.monotonic_ns()}.draft"
        with self._plain_errors(path):
            stream = self._fs.create(self._path(draft), True)
            stream.write(bytearray(text, "utf-8"))
            stream.close()
            self.publish(draft, path)

    def _is_absent_here(self, path: str) -> bool:
        """Whether this machine has nothing there: an error of the JVM is dozens of calls into it until it is known."""
        return self.is_local and not os.path.lexists(_local(path))

    @contextmanager
    def _plain_errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except Py4JJavaError as error:
            message = (error.java_exception.getMessage() or _java_class(error)).splitlines()[0]
            raise self._problem(f"cannot open {path}: {message}") from None

    def _entry(self, status: Any) -> Entry:
        path = status.getPath()
        has_etag = not self.is_local and is_instance_of(self._gateway, status, "org.apache.hadoop.fs.EtagSource")
        return Entry(
            path=path.toString(),
            uri=path.toUri().toString(),
            name=path.getName(),
            is_folder=status.isDirectory(),
            size_bytes=status.getLen(),
            modified_ms=status.getModificationTime(),
            checksum=(status.getEtag() or "") if has_etag else "",
        )


def _local(path: str) -> Path:
    found = local_path(path)
    if found is None:
        raise ValueError(f"{path} is not on this machine")
    return found


def _java_class(error: Py4JJavaError) -> str:
    return str(error.java_exception.getClass().getName())
