"""Whatever bytes come, each is in one record, in one broken piece, or white space; and what is sound is found."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl_spark.core.framing import frame, unpack

VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
RECORDS = st.dictionaries(st.text(), VALUES, min_size=1).map(lambda record: json.dumps(record).encode())
READABLE = st.dictionaries(st.text(), VALUES).map(lambda record: json.dumps(record, ensure_ascii=False))
SEPARATORS = st.text(" \t\r\n", max_size=3).map(str.encode)

# What is cut off, and noise without a bracket: neither can close what a broken record has opened.
CUT = st.tuples(RECORDS.filter(lambda one: b"}" not in one[:-1]), st.integers(1, 50)).map(lambda of: of[0][: -of[1]])
NOISE = st.binary(max_size=20).map(lambda noise: noise.translate(None, b"{}[]"))


def said(content: bytes) -> dict[str, Any] | None:
    """What an independent reading makes of the whole of `content`: an object, or None."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        value = json.loads(content.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def assert_all_is_accounted_for(content: bytes) -> None:
    place = 0
    for one in frame(content):
        start = content.index(one.content, place)
        assert not content[place:start].strip(b" \t\r\n")
        assert one.content
        assert (one.value is not None) == (said(one.content) is not None)
        place = start + len(one.content)
    assert not content[place:].strip(b" \t\r\n")


@given(
    st.lists(st.tuples(RECORDS | CUT | NOISE | READABLE.map(lambda text: text.encode("utf-8", "replace")), SEPARATORS))
)
def test_every_byte_is_accounted_for(pieces: list[tuple[bytes, bytes]]) -> None:
    assert_all_is_accounted_for(b"".join(piece + separator for piece, separator in pieces))


@given(st.binary() | st.text('{}[]":,\\ \n0a').map(str.encode))
def test_every_byte_of_anything_is_accounted_for(content: bytes) -> None:
    assert_all_is_accounted_for(content)


@given(
    st.lists(st.tuples(RECORDS.map(lambda one: (one, True)) | (CUT | NOISE).map(lambda one: (one, False)), SEPARATORS))
)
def test_what_is_broken_takes_nothing_with_it(pieces: list[tuple[tuple[bytes, bool], bytes]]) -> None:
    content = b"".join(piece + separator for (piece, _), separator in pieces)
    sound = [piece for (piece, is_sound), _ in pieces if is_sound]
    assert [one.content for one in frame(content) if one.value is not None] == sound


@pytest.mark.parametrize(
    ("content", "records", "broken"),
    [
        (b"", 0, []),
        (b" \r\n\t", 0, []),
        (b'{"a":1}{"b":2}\n{"c":{"d":[]}}', 3, []),
        (b'{"a":"}{"}{"b":"\\"{"}', 2, []),
        (b'{"a":1,"te{"b":2}', 1, [b'{"a":1,"te']),
        (b'{"a":1,"text":"cut\n{"b":2}', 1, [b'{"a":1,"text":"cut']),
        (b'one\ntwo{"b":2}three', 1, [b"one", b"two", b"three"]),
        (b'[{"a":1},{"b":2}]{"c":3}', 1, [b'[{"a":1},{"b":2}]']),
        (b'[{"a":1},{"b":2}', 2, [b"[", b","]),
        (b'{"a":NaN}{"b":Infinity}', 0, [b'{"a":NaN}{"b":Infinity}']),
        (b'{"a":"\xff"}{"b":1}', 1, [b'{"a":"\xff"}']),
        (b'\xef\xbb\xbf{"a":1}', 1, [b"\xef\xbb\xbf"]),
        (b'{"a":' + b"1" * 5_000 + b"}", 1, []),
        (b'{"a":' * 2_000 + b'{"b":1}', 1, [b'{"a":' * 2_000]),
    ],
)
def test_where_a_record_ends(content: bytes, records: int, broken: list[bytes]) -> None:
    framed = list(frame(content))
    assert len([one for one in framed if one.value is not None]) == records
    assert [one.content for one in framed if one.value is None] == broken


def test_a_gzip_is_told_by_its_first_bytes() -> None:
    packed = gzip.compress(b'{"a":1}')
    assert unpack(b'{"a":1}') == unpack(packed) == b'{"a":1}'
    assert unpack(packed + packed) == b'{"a":1}{"a":1}'
    assert [
        unpack(one) for one in (packed[:-3], packed[:12], b"\x1f\x8b", packed[:10] + b"\xff" * 20, packed + b"x")
    ] == ([None] * 5)
