"""What a data mart is: tables, views and procedures that a warehouse keeps up to date on its own, without Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from etl_spark.core.table import Table


@dataclass(frozen=True)
class Procedure:
    """`body` is one statement, of MySQL's SQL; `parameters` are as the server has them, name and type.

    `call` is what an event of its name does every day.
    """

    name: str
    parameters: str
    body: str
    call: str
    doc: str


@dataclass(frozen=True)
class Mart:
    """`sources` are loaded tables that it is made of; `tables` its own, that `procedure` keeps; `views` are queries."""

    sources: tuple[Table, ...]
    views: Mapping[str, str]
    tables: tuple[Table, ...] = ()
    procedure: Procedure | None = None
