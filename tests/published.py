"""Loads what a run has left in the lake into a warehouse, and compares it with the exports of the same run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from etl_spark.cli import main
from etl_spark.core.step import Pipeline
from etl_spark.core.table import Table
from tests.committed import of_job
from tests.databases import Server

SINKS = ("mysql", "redshift")

_AS_TEXT: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "mysql": ("CAST(`{}` AS CHAR)", {}),
    "redshift": (
        'CAST("{}" AS VARCHAR)',
        {
            "TIMESTAMP": "TO_CHAR(\"{}\", 'YYYY-MM-DD HH24:MI:SS.US')",
            "BOOLEAN": 'CAST(CAST("{}" AS INT) AS VARCHAR)',
        },
    ),
}
"""A column as text, in the SQL of each, and where a type has it another way."""


@dataclass(frozen=True)
class Published:
    """What a run has left, in a warehouse on `server`; `more` is what [sinks] says of it beside its url."""

    sink: str
    server: Server
    more: str = ""

    def assert_holds_the_same(
        self, pipeline: Pipeline, days: tuple[str, str], output: Path, monkeypatch: pytest.MonkeyPatch, times: int = 2
    ) -> None:
        """Of each exported table, row by row; loaded twice, if not said otherwise, and still the same."""
        database = f"published_{pipeline.name}"
        self.server.create(database)
        place = output / f"{self.sink}.toml"
        place.write_text(f'[sinks.{self.sink}]\nurl = "{self.server.url(database)}"\n{self.more}')
        for name, value in self.server.login(self.sink).items():
            monkeypatch.setenv(name, value)
        options = ["--start-date", days[0], "--end-date", days[1], "--output", str(output), "--config", str(place)]
        for _ in range(times):
            assert main(["publish", pipeline.name, *options, "--sink", self.sink]) == 0
        default, others = _AS_TEXT[self.sink]
        for table in (table for table in pipeline.tables if table.exported):
            names = ", ".join(others.get(one.type, default).format(one.name) for one in table.columns)
            found = self.server.rows(f"SELECT {names} FROM {table.name}", database)
            expected = exported(output, table, pipeline.name)
            assert _numbered(found, table) == _numbered(expected, table), table.name
            assert found


def _numbered(rows: Sequence[Sequence[str | None]], table: Table) -> list[tuple[str | float | None, ...]]:
    """In order, with each DOUBLE as the number that its text is of: not all write it alike."""
    doubles = [column.type == "DOUBLE" for column in table.columns]
    numbered = (
        tuple(float(value) if is_double and value else value for value, is_double in zip(row, doubles, strict=True))
        for row in rows
    )
    return sorted(numbered, key=str)


def exported(output: Path, table: Table, job: str) -> list[tuple[str | None, ...]]:
    """The exported rows, as text; of load_audit, those of `job`."""
    text = {
        "TIMESTAMP": "strftime({}, '%Y-%m-%d %H:%M:%S.%f')",
        "BOOLEAN": "{}::INT",
    }
    columns = ", ".join(f"""{text.get(one.type, "{}").format(f'"{one.name}"')}::VARCHAR""" for one in table.columns)
    files = f"'{output}/parquet/{table.name}/**/data.parquet'"
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        rows = f"read_parquet({files}, hive_partitioning = true)"
        return connection.execute(f"SELECT {columns} FROM {rows} WHERE {of_job(job, table)}").fetchall()
