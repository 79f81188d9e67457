"""What the sample of the churn job tells, read from its files with nothing of the job: rows for DuckDB."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

KINDS = {
    "view": "view",
    "search": "search",
    "add_to_cart": "add_to_cart",
    "checkout": "checkout",
    "login": "other",
    "remove_from_cart": "other",
}


def web_events(folder: Path) -> pd.DataFrame:
    """One row per event of the website, where it first arrived."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.json")):
        day = datetime.strptime(file.stem, "%Y%m%d").date()
        for line in sorted(file.read_bytes().split(b"\n")):
            event = _object(line)
            at = _time(event.get("event_time"))
            late = None if at is None else (day - at.date()).days
            if late is None or not 0 <= late <= 3 or not all(event.get(name) for name in ("event_id", "session_id")):
                continue
            if event.get("kind") in KINDS and event["event_id"] not in found:
                found[event["event_id"]] = {
                    "log_date": day,
                    "event_id": event["event_id"],
                    "event_at": at,
                    "session_id": event["session_id"],
                    "customer_id": event.get("customer_id"),
                    "kind": KINDS[event["kind"]],
                }
    return pd.DataFrame(found.values())


def profiles(folder: Path) -> pd.DataFrame:
    """One row per extract and sound item."""
    rows = []
    for file in sorted(folder.glob("dt=*/**/data/*.json.gz")):
        for line in gzip.decompress(file.read_bytes()).splitlines():
            item = {name: next(iter(value.items())) for name, value in _object(line).get("Item", {}).items()}
            types = {name: of for name, (of, _) in item.items()}
            created = _time(item["created_at"][1]) if "created_at" in item else None
            faults = (
                "customer_id" not in item,
                types.get("plan", "S") != "S",
                types.get("loyalty_points", "N") != "N"
                or not re.fullmatch(r"[0-9.]+", item.get("loyalty_points", "00")[1]),
                "created_at" in item and created is None,
            )
            if not any(faults):
                opt_ins = item["opt_ins"][1] if "opt_ins" in item else []
                rows.append(
                    {
                        "extract_date": date.fromisoformat(file.relative_to(folder).parts[0].removeprefix("dt=")),
                        "customer_id": item["customer_id"][1],
                        "registered_at": created,
                        "country": item["address"][1]["country"]["S"] if "address" in item else None,
                        "plan": item["plan"][1] if "plan" in item else None,
                        **{f"is_{one}_opt_in": one in opt_ins for one in ("email", "sms", "push")},
                        "loyalty_points": item["loyalty_points"][1] if "loyalty_points" in item else None,
                    }
                )
    return pd.DataFrame(rows)


def posts(folder: Path) -> pd.DataFrame:
    """One row per event of the social stream, where it was first delivered, with its text."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        arrived = datetime(*map(int, file.relative_to(folder).parts[:4]), tzinfo=UTC)  # type: ignore[arg-type,misc]
        body = file.read_bytes()
        for event in _objects((gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode(errors="replace")):
            at = _time(event.get("event_time"))
            if at is None or at >= arrived + timedelta(minutes=75) or event.get("kind") not in ("mention", "reply"):
                continue
            if event.get("event_id") and event["event_id"] not in found:
                found[event["event_id"]] = {
                    "arrival_date": arrived.date(),
                    "event_id": event["event_id"],
                    "event_at": at,
                    "customer_id": event.get("customer_id"),
                    "kind": event["kind"],
                    "text": event.get("text"),
                }
    return pd.DataFrame(found.values())


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line.decode())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects that stand one after the other, whatever is between them."""
    decoder, place = json.JSONDecoder(), text.find("{")
    while place >= 0:
        try:
            found, end = decoder.raw_decode(text, place)
        except ValueError:
            end = place + 1
        else:
            # An object within an array is no record.
            if "\ufffd" not in text[place:end] and text[place - 1 : place] != "[":
                yield found
        place = text.find("{", end)


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) and "T" in text else None
    except ValueError:
        return None
