"""Loads what a run has left in the lake into a warehouse, and compares it with the exports of the same run."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from etl_spark.cli import main
from etl_spark.core.step import Pipeline
from tests.databases import Server


def assert_mariadb_holds_the_same(
    pipeline: Pipeline, days: tuple[str, str], output: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each exported table, row by row; loaded twice, and still the same."""
    database = f"published_{pipeline.name}"
    server.create(database)
    place = output / "mysql.toml"
    place.write_text(f'[sinks.mysql]\nurl = "{server.url(database)}"\n')
    for name, value in server.login("mysql").items():
        monkeypatch.setenv(name, value)
    options = ["--start-date", days[0], "--end-date", days[1], "--output", str(output), "--config", str(place)]
    for _ in range(2):
        assert main(["publish", pipeline.name, *options, "--sink", "mysql"]) == 0
    for table in (table for table in pipeline.tables if table.exported):
        with duckdb.connect() as connection:
            connection.execute("SET timezone = 'UTC'")
            text = {"TIMESTAMP": "strftime({}, '%Y-%m-%d %H:%M:%S.%f')", "BOOLEAN": "{}::INT"}
            columns = ", ".join(
                f"""{text.get(one.type, "{}").format(f'"{one.name}"')}::VARCHAR""" for one in table.columns
            )
            files = f"'{output}/parquet/{table.name}/**/data.parquet'"
            exported = connection.execute(f"SELECT {columns} FROM read_parquet({files}, hive_partitioning = true)")
            expected = exported.fetchall()
        names = ", ".join(f"CAST(`{one.name}` AS CHAR)" for one in table.columns)
        found = server.rows(f"SELECT {names} FROM {table.name}", database)
        assert sorted(found, key=str) == sorted(expected, key=str), table.name
        assert found
