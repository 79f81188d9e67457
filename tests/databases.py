"""Statements for the databases of the fixture `databases`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping


def psql(databases: Mapping[str, str], sql: str, database: str) -> None:
    """Runs `sql` in `database` of the PostgreSQL."""
    names = {"HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD"}
    variables = {name: databases[f"ETL_SPARK_POSTGRESQL_{part}"] for part, name in names.items()}
    command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", database]
    subprocess.run(command, env={**os.environ, **variables}, input=sql, text=True, check=True)


def mariadb(databases: Mapping[str, str], sql: str, database: str) -> None:
    """Runs `sql` in `database` of the MariaDB."""
    host, port, user, password = (
        databases[f"ETL_SPARK_MARIADB_{part}"] for part in ("HOST", "PORT", "USER", "PASSWORD")
    )
    command = [
        "mariadb",
        "--no-defaults",
        "--default-character-set=utf8mb4",
        "-h",
        host,
        "-P",
        port,
        "-u",
        user,
        database,
    ]
    subprocess.run(command, env={**os.environ, "MYSQL_PWD": password}, input=sql, text=True, check=True)
