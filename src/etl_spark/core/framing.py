"""Bytes to JSON records that stand back to back, with or without newlines between them. One item per record."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

_GZIP = b"\x1f\x8b"
_WHITE_SPACE = " \t\r\n"
_NOT_WHITE = re.compile(r"[^ \t\r\n]")
_OBJECT = re.compile(r"\{")


@dataclass(frozen=True)
class Framed:
    """Some bytes, and what they say where they are one JSON object; None where they are anything else."""

    content: bytes
    value: dict[str, Any] | None


def unpack(content: bytes) -> bytes | None:
    """`content` itself, or what a gzip holds, told by its first bytes; None of a gzip that is cut or damaged."""
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return None


def frame(content: bytes) -> Iterator[Framed]:
    """The records of `content`, in order, and what is none between them. What is left out is white space alone.

    A record is a JSON value that begins with a bracket. Where none can be read, the next one begins at the next `{`
    from which a whole object can be read: whatever is broken ends there, and at its newlines, of which a JSON text has
    none within a string. So a record that is cut off costs itself only, whether a newline follows it or not.
    """
    # Every byte that is no UTF-8 becomes a character of its own, and the same byte again.
    text = content.decode("utf-8", "surrogateescape")
    unread = 0
    while (found := _next_value(text, unread)) is not None:
        value, start, end = found
        yield from _broken(text[unread:start])
        yield Framed(_bytes(text[start:end]), value if isinstance(value, dict) and _is_utf8(text[start:end]) else None)
        unread = end
    yield from _broken(text[unread:])


def _next_value(text: str, unread: int) -> tuple[Any, int, int] | None:
    """The next value that can be read, where it starts and where it ends."""
    for start in _starts(text, unread):
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        return value, start, end
    return None


def _starts(text: str, unread: int) -> Iterator[int]:
    """Where a value may start: an array only where one is due, an object anywhere."""
    due = _NOT_WHITE.search(text, unread)
    if due and due.group() == "[":
        yield due.start()
    yield from (match.start() for match in _OBJECT.finditer(text, unread))


def _broken(text: str) -> Iterator[Framed]:
    for line in text.split("\n"):
        if stripped := line.strip(_WHITE_SPACE):
            yield Framed(_bytes(stripped), None)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


# A number of any length is JSON, and nobody here wants its value. NaN is not JSON, whatever Python says.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_int=lambda _: 0, parse_float=lambda _: 0.0)
