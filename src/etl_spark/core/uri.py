"""Paths and URIs, told from their text alone."""

from __future__ import annotations

import re
from pathlib import Path

from etl_spark.core.errors import UsageError


def refuse_credentials(uri: str) -> str:
    """`uri` itself. Raises UsageError, without showing it, where it carries a password: paths are logged and stored."""
    if re.search(r"://[^/]*:[^/]*@|[?&;](user|username|password|pwd|passwd|token|secret)=|^jdbc:.*@", uri, re.I):
        raise UsageError("a URI with a user and a password in it is refused: give credentials in the environment")
    return uri


def as_pattern(path: str) -> str:
    r"""The pattern that fits `path` alone: Spark takes every path with one of `[]{}*?\` for a pattern.

    Its option to take none for one (__globPaths__) reads each of n such files n times.
    """
    return re.sub(r"([\\\[\]{}*?])", r"\\\1", path)


def local_path(uri: str) -> Path | None:
    """The place of a path or file: URI on this machine, told without asking Hadoop; None for any other scheme."""
    scheme, colon, rest = uri.partition(":")
    if not colon or "/" in scheme:
        return Path(uri)
    return Path("/" + rest.lstrip("/")) if scheme == "file" else None
