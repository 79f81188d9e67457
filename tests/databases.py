"""The real servers of a test run: where they are, who may log in, statements for them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import boto3
import psycopg
import pymysql


@dataclass(frozen=True)
class Server:
    """What scripts/services.sh has started: a PostgreSQL, a MariaDB or a stand-in for Redshift, with a database `etl`.

    Of an S3, `user` and `password` are the key. `certificate` is the file with the server's own, for TLS; of MariaDB
    alone.
    """

    kind: str
    host: str
    port: str
    user: str
    password: str
    certificate: str

    @classmethod
    def of(cls, kind: str, variables: Mapping[str, str]) -> Self:
        """By the variables that sourcing .services/env exports."""
        name = f"ETL_SPARK_{kind.upper()}"
        host, port, user, password = (variables[f"{name}_{part}"] for part in ("HOST", "PORT", "USER", "PASSWORD"))
        return cls(kind, host, port, user, password, variables.get(f"{name}_CERTIFICATE", ""))

    def url(self, database: str) -> str:
        return f"jdbc:{self.kind}://{self.host}:{self.port}/{database}"

    def login(self, pipeline: str) -> dict[str, str]:
        """The variables by which a run of the pipeline logs in."""
        name = f"ETL_SPARK_{pipeline.upper()}"
        return {f"{name}_USER": self.user, f"{name}_PASSWORD": self.password}

    def create(self, database: str) -> None:
        self.run(f"CREATE DATABASE {database}" + (" CHARACTER SET utf8mb4" if self.kind == "mariadb" else ""))

    def rows(self, sql: str, database: str) -> list[tuple[Any, ...]]:
        """What `sql` returns, as Python has it."""
        with self.connect(database) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall())

    def connect(self, database: str) -> Any:
        """A connection as the DB-API has it; each statement is a transaction of its own, unless it begins one."""
        login: dict[str, Any] = {"host": self.host, "port": int(self.port)}
        login |= {"user": self.user, "password": self.password, "autocommit": True}
        if self.kind == "mariadb":
            return pymysql.connect(**login, database=database)
        return psycopg.connect(**login, dbname=database)

    def run(self, sql: str, database: str = "etl", folder: Path | None = None) -> str:
        """What the server's own client prints of `sql`, run in `database`: a line a row, tabs between its values.

        The paths of files in it are those of `folder`.
        """
        match self.kind:
            case "postgresql" | "redshift":
                # Given by name in the environment: all that a process has among its arguments, everybody can read.
                given = {"PGHOST": self.host, "PGPORT": self.port, "PGUSER": self.user, "PGPASSWORD": self.password}
                command = ["psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1"]
            case _:
                given = {"MYSQL_PWD": self.password}
                command = ["mariadb", "--no-defaults", "--default-character-set=utf8mb4", "-N", "-B"]
                command += ["-h", self.host, "-P", self.port, "-u", self.user]
        return subprocess.run(
            [*command, database],
            env={**os.environ, **given},
            input=sql,
            text=True,
            check=True,
            stdout=subprocess.PIPE,
            cwd=folder,
        ).stdout


def exported_variables(env: Path) -> dict[str, str]:
    """What sourcing .services/env, written by scripts/services.sh, exports."""
    command = ["bash", "-euc", 'source "$0" && env -0', str(env)]
    printed = subprocess.check_output(command, env={"PATH": os.environ["PATH"]}, text=True)
    return dict(line.split("=", 1) for line in printed.split("\0") if line.startswith("ETL_SPARK_"))


def s3_client(server: Server) -> Any:
    """A client of an S3 that scripts/services.sh has started."""
    return aws_client("s3", server)


def aws_client(service: str, server: Server) -> Any:
    """A client of another service of the server that plays S3: it plays all of AWS."""
    return boto3.client(
        service,
        endpoint_url=f"http://{server.host}:{server.port}",
        region_name="us-east-1",
        aws_access_key_id=server.user,
        aws_secret_access_key=server.password,
    )


def s3a_settings(server: Server, bucket: str) -> dict[str, str]:
    """How Hadoop reaches `bucket` in an S3 that scripts/services.sh has started.

    A JVM goes on with the client that it first made for a bucket's name: two servers need two names.
    """
    settings = {
        "endpoint": f"http://{server.host}:{server.port}",
        "endpoint.region": "us-east-1",
        "path.style.access": "true",
        "connection.ssl.enabled": "false",
        "access.key": server.user,
        "secret.key": server.password,
    }
    return {f"fs.s3a.bucket.{bucket}.{name}": value for name, value in settings.items()}
