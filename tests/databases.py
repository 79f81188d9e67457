"""Statements for the databases of the fixture `databases`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping


def psql_environment(databases: Mapping[str, str]) -> dict[str, str]:
    """What PostgreSQL's own programs need to find the server and log in."""
    names = {"HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD"}
    return {name: databases[f"ETL_SPARK_POSTGRESQL_{part}"] for part, name in names.items()}


def psql(databases: Mapping[str, str], sql: str, database: str) -> None:
    """Runs `sql` in `database` of the PostgreSQL."""
    command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", database]
    subprocess.run(command, env={**os.environ, **psql_environment(databases)}, input=sql, text=True, check=True)


def mariadb(databases: Mapping[str, str], sql: str, database: str) -> None:
    """Runs `sql` in `database` of the MariaDB; in none where that is empty."""
    host, port, user, password = (
        databases[f"ETL_SPARK_MARIADB_{part}"] for part in ("HOST", "PORT", "USER", "PASSWORD")
    )
    command = ["mariadb", "--no-defaults", "--default-character-set=utf8mb4", "-h", host, "-P", port, "-u", user]
    given = {**os.environ, "MYSQL_PWD": password}
    subprocess.run([*command, *filter(None, [database])], env=given, input=sql, text=True, check=True)
