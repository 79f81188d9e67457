"""What stays of the rows of a customer who is to be forgotten: sums stay what they were, and who it was is gone.

A customer of the shop has one customer_id at all of its sources, and one customer_key, made of it. The people of other
jobs are other people, whatever their ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame

from etl_spark.core.errors import SchemaError
from etl_spark.core.keys import UNKNOWN, UNKNOWN_KEY
from etl_spark.core.table import Partition, Table

FORGOTTEN = "(forgotten)"
"""What stands for text that named the customer."""

_KEY, _ID = "customer_key", "customer_id"


@dataclass(frozen=True)
class Customer:
    """`key` is what surrogate_key() makes of `id`; `emails` are the addresses that the lake has of the customer."""

    id: str
    key: int
    emails: tuple[str, ...] = ()

    @property
    def columns(self) -> Mapping[str, str | int]:
        """The value of each column that names a customer."""
        return {_KEY: self.key, _ID: self.id}

    @property
    def words(self) -> tuple[str, ...]:
        """What names the customer in a text, as it is and as JSON may write it."""
        words = (self.id, *self.emails)
        written = (json.dumps(word, ensure_ascii=ascii)[1:-1] for word in words for ascii in (False, True))
        return tuple(dict.fromkeys((*words, *written)))


def whole_word(words: Iterable[str]) -> str:
    """A regular expression, for Java and for Python, that finds one of `words` where no letter or digit adjoins it."""
    return rf"(?<![0-9A-Za-z_])(?:{'|'.join(map(re.escape, words))})(?![0-9A-Za-z_])"


def named_by(table: Table, customer: Customer) -> Mapping[str, str | int]:
    """The columns of `table` that name a customer, each with its value for this one."""
    return {name: value for name, value in customer.columns.items() if name in table.column_names}


def is_merged(table: Table) -> bool:
    """Whether rows of `table` can become one when who they name is gone: that is part of their key."""
    return table.forgets in ("customer", "line") and unknown_in(table)[0] in table.grain


def names(table: Table, customer: Customer) -> Column:
    """Whether a row of `table` names the customer."""
    if table.forgets == "line":
        # A line may be bytes of any kind: one character for each.
        words = (word.encode().decode("latin-1") for word in customer.words)
        return F.decode("line", "ISO-8859-1").rlike(whole_word(words))
    return reduce(or_, (F.col(name).eqNullSafe(F.lit(value)) for name, value in named_by(table, customer).items()))


def touched(rows: DataFrame, table: Table, customer: Customer) -> list[tuple[Partition, int]]:
    """The partitions of `table` in which `rows` name the customer, and how many there."""
    counts = rows.where(names(table, customer)).groupBy(*table.replaces).agg(F.count(F.lit(1)).alias("named"))
    return [({name: row[name] for name in table.replaces}, row["named"]) for row in counts.collect() if row["named"]]


def forgotten(rows: DataFrame, table: Table, customer: Customer) -> DataFrame:
    """`rows` of `table` as they are without the customer.

    Rows that differ in who they named alone, or in a line that was turned away, are added up to one, or to none where
    that comes to nothing.
    """
    is_named = names(table, customer)
    if table.forgets == "row":
        return table.conform(rows.where(~is_named))
    column, unknown = unknown_in(table)
    value = F.lit(unknown).cast(rows.schema[column].dataType)
    without = rows.withColumn(column, F.when(is_named, value).otherwise(F.col(column)))
    if not is_merged(table):
        return table.conform(without)
    is_nobody = F.col(column) == value
    sums = {
        one.name: F.sum(F.when(is_nobody, 0).otherwise(F.col(one.name)) if one.needs_name else one.name)
        for one in table.columns
        if one.name not in table.grain
    }
    added = without.groupBy(*table.grain).agg(*(total.alias(name) for name, total in sums.items()))
    return table.conform(added.where(reduce(or_, (F.col(name) != 0 for name in sums))))


def unknown_in(table: Table) -> tuple[str, str | int | None]:
    """The column of `table` that names whom its rows are of, and what stands there for nobody known.

    Raises SchemaError where that is not one column.
    """
    if table.forgets == "line":
        return "line", FORGOTTEN
    columns = [column for column in table.columns if column.name in (_KEY, _ID)]
    if len(columns) != 1:
        raise SchemaError(f"{table.name}: nobody known is written in one column, not in {len(columns)}")
    (column,) = columns
    if column.nullable:
        return column.name, None
    return column.name, UNKNOWN_KEY if column.name == _KEY else UNKNOWN
