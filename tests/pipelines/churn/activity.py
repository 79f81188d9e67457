"""Records of social activity as they come."""

from __future__ import annotations

import json
from typing import Any


def record(number: int, **changes: Any) -> bytes:
    """One without a fault, but for `changes`; what is changed to ... is left out."""
    fields = {
        "event_id": f"T20240401{number:08}",
        "event_time": "2024-04-01T08:15:30.123Z",
        "platform": "chirp",
        "kind": "mention",
        "customer_id": f"C{number % 50:06}",
        "author": "@somebody",
        "text": "a good shop",
    }
    return json.dumps({name: value for name, value in (fields | changes).items() if value is not ...}).encode()
