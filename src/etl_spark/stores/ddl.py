"""DDL of the warehouses, as text: what makes a Table there, and what would mend one that differs."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from etl_spark.core.table import Column, Table


@dataclass(frozen=True)
class Found:
    """A column of a table that is there: its type in the words of `Ddl.type_of`, in small letters."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True)
class Difference:
    """What is not as defined, and the statement that would make it so."""

    what: str
    mend: str


class Ddl(ABC):
    """What the warehouses have in common. Each says how it writes names, types, and what stands around the columns."""

    quote: str
    types: dict[str, str]

    def quoted(self, name: str) -> str:
        return f"{self.quote}{name}{self.quote}"

    def listed(self, names: Sequence[str]) -> str:
        return ", ".join(map(self.quoted, names))

    def type_of(self, column: Column) -> str:
        """The warehouse's type for `column`."""
        return self.types.get(column.type, column.type)

    @abstractmethod
    def create(self, table: Table) -> tuple[str, ...]:
        """The statements that make `table`, empty, where there is none of its name."""

    def create_staging(self, table: Table, name: str) -> str:
        """The statement that makes `name`, with the columns of `table` and nothing that would slow a load down."""
        columns = ", ".join(f"{self.quoted(column.name)} {self.type_of(column)}" for column in table.columns)
        return f"CREATE TABLE IF NOT EXISTS {self.quoted(name)} ({columns})"

    def differences(self, table: Table, found: Sequence[Found], key: Sequence[str]) -> tuple[Difference, ...]:
        """How a table that is there, with the columns `found` and the primary key `key`, differs from `table`."""
        there, wanted = {column.name: column for column in found}, {column.name: column for column in table.columns}
        differences = [
            Difference(f"has no column {column.name} {self.type_of(column)}", self._add(table, column))
            for column in table.columns
            if column.name not in there
        ]
        differences += [
            Difference(
                f"{one.name} is {_described(one)}, not {_described(self._expected(wanted[one.name]))}",
                self._change(table, one, wanted[one.name]),
            )
            for one in found
            if one.name in wanted and one != self._expected(wanted[one.name])
        ]
        differences += [
            Difference(
                f"has a column {one.name} of its own", self._alter(table, f"DROP COLUMN {self.quoted(one.name)}")
            )
            for one in found
            if one.name not in wanted
        ]
        if tuple(key) != self.primary_key(table):
            wanted_key = ", ".join(self.primary_key(table)) or "none"
            what = f"has the primary key {', '.join(key) or 'none'}, not {wanted_key}"
            differences.append(Difference(what, self._rekey(table, key)))
        return tuple(differences)

    def primary_key(self, table: Table) -> tuple[str, ...]:
        return table.grain

    def _expected(self, column: Column) -> Found:
        return Found(column.name, self.type_of(column).lower(), column.nullable)

    def _definition(self, column: Column) -> str:
        return f"{self.quoted(column.name)} {self.type_of(column)}{'' if column.nullable else ' NOT NULL'}"

    def _alter(self, table: Table, how: str) -> str:
        return f"ALTER TABLE {self.quoted(table.name)} {how}"

    def _add(self, table: Table, column: Column) -> str:
        return self._alter(table, f"ADD COLUMN {self._definition(column)}")

    @abstractmethod
    def _change(self, table: Table, found: Found, wanted: Column) -> str:
        """The statement that makes a column of what was `found` what is `wanted`."""

    @abstractmethod
    def _rekey(self, table: Table, found: Sequence[str]) -> str:
        """The statement that gives `table`, with the primary key `found`, its own."""


class MySqlDdl(Ddl):
    """For MySQL 8 and MariaDB: what both know.

    Text is compared by its bytes, as Spark does: codes that differ by case only stay two, in keys and in GROUP BY.
    """

    quote = "`"
    collation = "utf8mb4_bin"
    types = {  # noqa: RUF012
        "BINARY": "LONGBLOB",
        "BOOLEAN": "TINYINT(1)",
        # A TIMESTAMP would end in 2038, and be shown in the zone of whoever looks.
        "TIMESTAMP": "DATETIME(6)",
    }
    key_bytes = 3072
    """The longest key of InnoDB; a character may be 4 bytes."""

    def create(self, table: Table) -> tuple[str, ...]:
        key, others = self.primary_key(table), table.replaces
        lines = [self._definition(column) for column in table.columns]
        if key:
            lines.append(f"PRIMARY KEY ({self.listed(key)})")
        if others and others != key[: len(others)]:
            lines.append(f"KEY {self.quoted('replaced')} ({self.listed(others)})")
        return (
            f"CREATE TABLE IF NOT EXISTS {self.quoted(table.name)} (\n  "
            + ",\n  ".join(lines)
            + f"\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={self.collation} COMMENT={literal(table.doc)}",
        )

    def create_staging(self, table: Table, name: str) -> str:
        return f"{super().create_staging(table, name)} ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={self.collation}"

    def primary_key(self, table: Table) -> tuple[str, ...]:
        """The grain; nothing where that is longer than a key may be."""
        columns = {column.name: column for column in table.columns}
        size = sum(4 * (columns[name].length or 2) for name in table.grain)
        return table.grain if size <= self.key_bytes else ()

    def _definition(self, column: Column) -> str:
        collation = f" CHARACTER SET utf8mb4 COLLATE {self.collation}" if column.length else ""
        null = "" if column.nullable else " NOT NULL"
        return f"{self.quoted(column.name)} {self.type_of(column)}{collation}{null} COMMENT {literal(column.doc)}"

    def _expected(self, column: Column) -> Found:
        collation = f" collate {self.collation}" if column.length else ""
        return Found(column.name, self.type_of(column).lower() + collation, column.nullable)

    def found_type(self, column_type: str, collation: str | None) -> str:
        """`column_type` as information_schema has it, as MySQL 8 would say it: MariaDB adds a width to integers."""
        plain = re.sub(r"^(int|bigint)\(\d+\)", r"\1", column_type.lower())
        return f"{plain} collate {collation}" if collation else plain

    def _change(self, table: Table, found: Found, wanted: Column) -> str:
        return self._alter(table, f"MODIFY COLUMN {self._definition(wanted)}")

    def _rekey(self, table: Table, found: Sequence[str]) -> str:
        wanted = self.primary_key(table)
        parts = ["DROP PRIMARY KEY"] * bool(found) + [f"ADD PRIMARY KEY ({self.listed(wanted)})"] * bool(wanted)
        return self._alter(table, ", ".join(parts))


class RedshiftDdl(Ddl):
    """For Redshift. A VARCHAR counts bytes there: four for each character, so that every text of the lake fits.

    Primary keys are not enforced, but the planner relies on them; every run checks that they hold.
    """

    quote = '"'
    most_text = 65535
    """The most bytes that a VARCHAR may be declared with."""
    types = {  # noqa: RUF012
        "BINARY": "VARBYTE(1024000)",
        "DOUBLE": "DOUBLE PRECISION",
        "INT": "INTEGER",
    }

    def type_of(self, column: Column) -> str:
        return f"VARCHAR({self.bytes_of(column)})" if column.length else super().type_of(column)

    def bytes_of(self, column: Column) -> int:
        """How many bytes a text column holds."""
        return min(4 * (column.length or 0), self.most_text)

    def create_staging(self, table: Table, name: str) -> str:
        return f"{super().create_staging(table, name)} {self._placed(table)}"

    def create(self, table: Table) -> tuple[str, ...]:
        lines = [self._definition(column) for column in table.columns]
        lines.append(f"PRIMARY KEY ({self.listed(table.grain)})")
        name = self.quoted(table.name)
        return (
            f"CREATE TABLE IF NOT EXISTS {name} (\n  "
            + ",\n  ".join(lines)
            + f"\n) {self._placed(table)} SORTKEY ({self.listed(table.replaces or table.grain)})",
            f"COMMENT ON TABLE {name} IS {literal(table.doc)}",
            *(f"COMMENT ON COLUMN {name}.{self.quoted(one.name)} IS {literal(one.doc)}" for one in table.columns),
        )

    def _placed(self, table: Table) -> str:
        return f"DISTKEY ({self.quoted(table.distributed_by)})" if table.distributed_by else "DISTSTYLE AUTO"

    def found_type(self, data_type: str, length: int | None, precision: int | None, scale: int | None) -> str:
        """The type that information_schema has in these parts, in the words of `type_of`."""
        match data_type:
            case "character varying":
                return f"varchar({length})"
            case "numeric":
                return f"decimal({precision},{scale})"
        return data_type.removesuffix(" without time zone")

    def _add(self, table: Table, column: Column) -> str:
        """Redshift adds no column that must have a value, also where there is no row."""
        return super()._add(table, column) if column.nullable else self._move_away(table)

    def _change(self, table: Table, found: Found, wanted: Column) -> str:
        """Redshift can make a text longer that is in no key, and nothing else."""
        length, expected = re.fullmatch(r"varchar\((\d+)\)", found.type), self._expected(wanted)
        is_shorter = length and wanted.length and int(length.group(1)) < self.bytes_of(wanted)
        if is_shorter and found.nullable == expected.nullable and wanted.name not in table.grain:
            return self._alter(table, f"ALTER COLUMN {self.quoted(wanted.name)} TYPE {self.type_of(wanted)}")
        return self._move_away(table)

    def _rekey(self, table: Table, found: Sequence[str]) -> str:
        return self._move_away(table)

    def _move_away(self, table: Table) -> str:
        """Then the next load makes it anew."""
        return self._alter(table, f"RENAME TO {self.quoted(f'{table.name}_old')}")


def _described(column: Found) -> str:
    return f"{column.type}{'' if column.nullable else ' not null'}"


def literal(value: str) -> str:
    """A literal; a backslash is an escape in all of them."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
