"""Where this checkout is, and the sample in it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample"
