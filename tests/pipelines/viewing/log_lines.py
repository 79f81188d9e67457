"""An independent reading of the rules of log lines, in plain Python, and lines to try them on."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

CATEGORIES = {
    "CHANNEL": "TV",
    "KPLUS": "TV",
    "MOVIE": "Movie",
    "VOD": "Movie",
    "FIMS": "Movie",
    "BHD": "Movie",
    "CHILD": "Child",
    "RELAX": "Relax",
    "SPORT": "Sport",
}


@dataclass(frozen=True)
class Verdict:
    """What becomes of a line; `seconds` is its duration where that is an integer."""

    reason: str | None
    contract: str | None = None
    category: str | None = None
    seconds: int = 0


def frame(content: bytes) -> list[bytes]:
    """The lines of a file: they end at a newline, and one carriage return before that is dropped."""
    return [line.removesuffix(b"\r") for line in content.split(b"\n")]


def judge(line: bytes) -> Verdict | None:
    """The verdict on one line as it stands between two newlines, None where it is no row. Written from the issue."""
    if not line.strip(b" \t\r\f\v"):
        return None
    record = _object(line)
    if record is None:
        return Verdict("not_json_object")
    source = record.get("_source")
    source = source if isinstance(source, dict) else {}
    contract, duration, app = (source.get(name) for name in ("Contract", "TotalDuration", "AppName"))
    is_integer = isinstance(duration, int) and not isinstance(duration, bool)
    seconds = int(duration) if is_integer and duration else 0
    if contract is None:
        return Verdict("contract_missing", seconds=seconds)
    code = contract.strip(" \t\n\r\f\v").upper() if isinstance(contract, str) else ""
    if not re.fullmatch(r"[A-Z]{2,6}[0-9]{4,8}", code):
        return Verdict("contract_not_a_code", seconds=seconds)
    if not is_integer:
        return Verdict("duration_not_integer")
    if seconds <= 0:
        return Verdict("duration_not_positive", seconds=seconds)
    if seconds > 86_400:
        return Verdict("duration_too_long", seconds=seconds)
    category = CATEGORIES.get(app) if isinstance(app, str) else None
    if category is None:
        return Verdict("app_unknown", seconds=seconds)
    return Verdict(None, code, category, seconds)


def _object(line: bytes) -> dict[str, object] | None:
    def refuse(constant: str) -> object:
        raise ValueError(constant)

    def last_wins(pairs: list[tuple[str, object]]) -> dict[str, object]:
        # The customer of a record that has `_source` twice, and once as no object, is not told.
        if any(key == "_source" and not isinstance(value, dict | None) for key, value in pairs):
            return {**dict(pairs), "_source": None}
        return dict(pairs)

    if len(line) > 1 << 20:
        return None
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=refuse, object_pairs_hook=last_wins)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def line(contract: object = "HNH579912", seconds: object = 254, app: object = "KPLUS", **source: object) -> bytes:
    fields = {"Contract": contract, "Mac": "0C96E62FC55C", "TotalDuration": seconds, "AppName": app} | source
    return json.dumps({"_index": "history", "_id": "AX_1", "_score": 0, "_source": fields}).encode()


ODD_VALUES: tuple[object, ...] = (
    None, True, False, 0, -1, 1, 86_400, 86_401, 254.0, 1e3, -0.0, 10**18, 2**63 - 1, 2**63, -(2**63) - 1, 10**27,
    -(10**27), "", " ", "254", "NaN", "0", "PAYTV", "qad014541", " hnh579912\t", "HNH579912\n", "H1", "HNHHNHH1234",
    "192.168.1.1", "\ufffd", "ÄÖ1234", "null", "CHANNEL", "channel", "VOD", "SPORT ", "RADIO", [], [1], {}, {"a": 1},
    "{}", "\ud800",
)  # fmt: skip

ODD_BYTES = (
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u12", b"'", b"\r", b"\t", b" ", b"\x00", b"\x1f", b"\x7f",
    b"\x80", b"\xff", b"\xc3", b"\xc3\xa9", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xef\xbf\xbd", b"\xf0\x9f\x98\x80",
    b"\xc2\xa0", b"0", b"-", b"1e5", b".5", b"NaN", b"Infinity", b"null", b"true", b"//", b"/*", b"#", b"{}", b"[]",
    b'"_source"', b'"proof":1', b'},{"proof":',
)  # fmt: skip


def lines(count: int, seed: int) -> Iterator[bytes]:
    """Lines without a newline within: sound ones, odd values, mutated bytes, glued lines, and plain noise."""
    chance = random.Random(seed)
    for _ in range(count):
        kind = chance.random()
        odd = {
            name: chance.choice(ODD_VALUES)
            for name in ("contract", "seconds", "app", "Mac", "extra")
            if chance.random() < 0.25
        }
        made = line(**odd)
        if kind < 0.2:
            made = line(seconds=chance.randint(-5, 90_000), app=chance.choice(list(CATEGORIES)))
        elif kind < 0.6:
            for _ in range(chance.randint(1, 3)):
                made = _mutated(made, chance)
        elif kind < 0.65:
            made += chance.choice((b"", b" ", b",")) + line()
        elif kind < 0.7:
            made = chance.randbytes(chance.randint(0, 40))
        yield made.replace(b"\n", b" ")


def _mutated(text: bytes, chance: random.Random) -> bytes:
    start = chance.randint(0, len(text))
    end = chance.choice((start, start + 1, start + chance.randint(0, 20), len(text)))
    return text[:start] + chance.choice((b"", *ODD_BYTES)) + text[end:]
