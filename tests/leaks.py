"""Looks for what must not be in any file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb


def written_in(output: Path, secrets: Iterable[str]) -> set[str]:
    """Which of `secrets` stand in a file below `output`: in its bytes, or in the rows of the Parquet files there."""
    contents = [file.read_bytes() for file in output.rglob("*") if file.is_file()]
    with duckdb.connect() as sql:
        for table in (table for store in ("lake", "parquet") for table in (output / store).iterdir()):
            # Rows that a run replaced are still in their files: each file is read, not the table.
            files = [str(file) for file in table.rglob("*.parquet")]
            if files:
                rows = sql.execute("FROM read_parquet(?, union_by_name = true)", [files]).fetchall()
                contents.append(str(rows).encode())
    text = b"\n".join(contents)
    return {secret for secret in secrets if secret.encode() in text}
