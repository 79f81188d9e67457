"""The 15 tables of a film-rental database in its three written forms: CSV, PostgreSQL's newer shape, MariaDB's older.

A cell is the text that PostgreSQL writes into a CSV, or None for NULL; the SQL forms are derived from it. PostgreSQL
has times with their zone, an enum, an array, a text-search vector, and payments partitioned by month. MariaDB has the
same moments as DATETIME in UTC, ENUM, SET, YEAR, BLOB and TINYINT(1), and neither `fulltext` nor `activebool`.

Both declare every key but those that the data do not keep: a payment's references, and the item of a rental.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from etl_spark.core.dates import DateRange

Column = Sequence[str | None]

BATCH = 1000
"""Rows of one INSERT: some 100 kB, far below what either server takes as one packet."""


@dataclass(frozen=True)
class Type:
    """A column's type in both databases; None where MariaDB's shape has no such column."""

    postgresql: str
    mariadb: str | None


# Keys that grow with the data are wider in MariaDB than the original's, which ends at 65,535 customers or payments. Its
# payment_date has parts of a second, which the original cuts off: so all three forms hold the same moments.
TYPES = {
    "key": Type("int NOT NULL", "INT UNSIGNED NOT NULL"),
    "key?": Type("int", "INT UNSIGNED"),
    "small_key": Type("int NOT NULL", "TINYINT UNSIGNED NOT NULL"),
    "small_key?": Type("int", "TINYINT UNSIGNED"),
    "time": Type("timestamptz NOT NULL", "DATETIME NOT NULL"),
    "time?": Type("timestamptz", "DATETIME"),
    "fine_time": Type("timestamptz NOT NULL", "DATETIME(6) NOT NULL"),
    "date": Type("date NOT NULL", "DATETIME NOT NULL"),
    "year?": Type("int", "YEAR"),
    "days": Type("smallint NOT NULL", "TINYINT UNSIGNED NOT NULL"),
    "minutes?": Type("smallint", "SMALLINT UNSIGNED"),
    "money4": Type("numeric(4,2) NOT NULL", "DECIMAL(4,2) NOT NULL"),
    "money5": Type("numeric(5,2) NOT NULL", "DECIMAL(5,2) NOT NULL"),
    "flag": Type("boolean NOT NULL", "TINYINT(1) NOT NULL"),
    "newer_flag": Type("boolean NOT NULL", None),
    "older_flag": Type("int", "TINYINT(1) NOT NULL"),
    "char20": Type("char(20) NOT NULL", "CHAR(20) NOT NULL"),
    **{f"text{n}": Type("text NOT NULL", f"VARCHAR({n}) NOT NULL") for n in (16, 20, 25, 45, 50, 128)},
    **{f"text{n}?": Type("text", f"VARCHAR({n})") for n in (10, 20, 50)},
    "text?": Type("text", "TEXT"),
    "password?": Type("text", "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
    "picture?": Type("bytea", "BLOB"),
    "rating?": Type("mpaa_rating", "ENUM('G','PG','PG-13','R','NC-17')"),
    "features?": Type("text[]", "SET('Trailers','Commentaries','Deleted Scenes','Behind the Scenes')"),
    "newer_words": Type("tsvector NOT NULL", None),
}


@dataclass(frozen=True)
class SourceTable:
    """`columns` in the order of the CSV; `references` says which column holds a key of which table."""

    name: str
    columns: Mapping[str, Type]
    key: Sequence[str]
    references: Mapping[str, str]


def _table(name: str, columns: str, *, key: str | None = None, references: Sequence[str] = ()) -> SourceTable:
    """From `column type, ...`, with the words of TYPES; a key of another table is called `TABLE_id` or ends so."""
    types = {column: TYPES[word] for column, word in (text.split() for text in columns.split(","))}
    to = {column: column.removesuffix("_id").removeprefix("original_") for column in references}
    return SourceTable(name, types, (key or f"{name}_id").split(), to)


# In an order in which what a table refers to is there before it; a store's manager refers to staff at the very end.
TABLES = (
    _table("country", "country_id key, country text50, last_update time"),
    _table("city", "city_id key, city text50, country_id key, last_update time", references=["country_id"]),
    _table(
        "address",
        "address_id key, address text50, address2 text50?, district text20, city_id key, postal_code text10?,"
        "phone text20?, last_update time",
        references=["city_id"],
    ),
    _table("language", "language_id small_key, name char20, last_update time"),
    _table("category", "category_id small_key, name text25, last_update time"),
    _table("actor", "actor_id key, first_name text45, last_name text45, last_update time"),
    _table(
        "film",
        "film_id key, title text128, description text?, release_year year?, language_id small_key,"
        "original_language_id small_key?, rental_duration days, rental_rate money4, length minutes?,"
        "replacement_cost money5, rating rating?, last_update time, special_features features?, fulltext newer_words",
        references=["language_id", "original_language_id"],
    ),
    _table(
        "film_actor",
        "actor_id key, film_id key, last_update time",
        key="actor_id film_id",
        references=["actor_id", "film_id"],
    ),
    _table(
        "film_category",
        "film_id key, category_id small_key, last_update time",
        key="film_id category_id",
        references=["film_id", "category_id"],
    ),
    _table(
        "store",
        "store_id small_key, manager_staff_id small_key, address_id key, last_update time",
        references=["address_id"],
    ),
    _table(
        "staff",
        "staff_id small_key, first_name text45, last_name text45, address_id key, email text50?, store_id small_key,"
        "active flag, username text16, password password?, last_update time, picture picture?",
        references=["address_id", "store_id"],
    ),
    _table(
        "customer",
        "customer_id key, store_id small_key, first_name text45, last_name text45, email text50?, address_id key,"
        "activebool newer_flag, create_date date, last_update time?, active older_flag",
        references=["address_id", "store_id"],
    ),
    _table(
        "inventory",
        "inventory_id key, film_id key, store_id small_key, last_update time",
        references=["film_id", "store_id"],
    ),
    _table(
        "rental",
        "rental_id key, rental_date time, inventory_id key, customer_id key, return_date time?, staff_id small_key,"
        "last_update time",
        references=["customer_id", "staff_id"],
    ),
    _table(
        "payment",
        "payment_id key, customer_id key, staff_id small_key, rental_id key?, amount money5, payment_date fine_time",
    ),
)

MANAGERS = "ALTER TABLE store ADD FOREIGN KEY (manager_staff_id) REFERENCES staff (staff_id);\n"


NEEDS_QUOTES = re.compile(r'[,"\n\r]')


def csv_head(table: SourceTable) -> str:
    return ",".join(table.columns) + "\n"


def csv_rows(columns: Sequence[Column]) -> str:
    """The rows as PostgreSQL's COPY writes them: NULL is nothing at all, an empty text is `""`."""
    return "".join(f"{','.join(row)}\n" for row in zip(*(map(_csv_cell, column) for column in columns), strict=True))


def _csv_cell(text: str | None) -> str:
    if text is None:
        return ""
    if not text or NEEDS_QUOTES.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


@dataclass(frozen=True)
class Dialect:
    """One SQL file: what comes before and after its INSERTs, and how it writes a value of a column's type."""

    file: str
    opening: Callable[[DateRange], str]
    closing: str
    of: Callable[[Type], str | None]
    literal: Callable[[Type], Callable[[str], str]]

    def inserts(self, table: SourceTable, columns: Sequence[Column]) -> Iterator[str]:
        """The rows as statements of at most BATCH rows, one row a line."""
        kept = {
            name: column for name, column in zip(table.columns, columns, strict=True) if self.of(table.columns[name])
        }
        head = f"INSERT INTO {table.name} ({','.join(kept)}) VALUES\n"
        written = [_literals(column, self.literal(table.columns[name])) for name, column in kept.items()]
        for start in range(0, len(columns[0]), BATCH):
            rows = zip(*(column[start : start + BATCH] for column in written), strict=True)
            yield head + ",\n".join(f"({','.join(row)})" for row in rows) + ";\n"


def _literals(column: Column, literal: Callable[[str], str]) -> list[str]:
    return ["NULL" if text is None else literal(text) for text in column]


def _is_number(kind: Type) -> bool:
    return kind.postgresql.startswith(("int", "smallint", "numeric"))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _postgresql_literal(kind: Type) -> Callable[[str], str]:
    return str if _is_number(kind) else _quoted


def _mariadb_literal(kind: Type) -> Callable[[str], str]:
    if _is_number(kind):
        return str
    by_type: dict[str, Callable[[str], str]] = {
        "boolean": lambda text: str(int(text == "t")),
        "timestamptz": lambda text: _quoted(text.removesuffix("+00")),
        "text[]": lambda text: _quoted(text.strip("{}").replace('"', "")),
        "bytea": lambda text: f"X'{text.removeprefix(chr(92) + 'x')}'",
    }
    return by_type.get(kind.postgresql.split()[0], lambda text: _quoted(text.replace("\\", "\\\\")))


def _create(table: SourceTable, types: Mapping[str, str | None], key: Sequence[str], suffix: str) -> str:
    lines = [f"{name} {type_}" for name, type_ in types.items() if type_]
    lines.append(f"PRIMARY KEY ({', '.join(key)})")
    lines += (f"FOREIGN KEY ({column}) REFERENCES {to} ({to}_id)" for column, to in table.references.items())
    body = ",\n    ".join(lines)
    return f"CREATE TABLE {table.name} (\n    {body}\n){suffix};\n"


def _postgresql_opening(asked: DateRange) -> str:
    def create(table: SourceTable) -> str:
        types = {name: kind.postgresql for name, kind in table.columns.items()}
        if table.name != "payment":
            return _create(table, types, table.key, "")
        # A partitioned table's key has to hold what it is partitioned by.
        return _create(table, types, ("payment_date", *table.key), " PARTITION BY RANGE (payment_date)")

    partitions = "".join(
        f"CREATE TABLE payment_{month.isoformat()[:7].replace('-', '_')} PARTITION OF payment FOR VALUES"
        f" FROM ('{month} 00:00:00+00') TO ('{_next_month(month)} 00:00:00+00');\n"
        for month in sorted({day.replace(day=1) for day in asked.days})
    )
    return (
        "-- The film-rental database in PostgreSQL's newer shape, for an empty database:\n"
        "--   psql -d DATABASE -v ON_ERROR_STOP=1 -f postgresql.sql\n"
        "BEGIN;\nSET LOCAL client_encoding = 'UTF8';\nSET LOCAL timezone = 'UTC';\n"
        "SET LOCAL standard_conforming_strings = on;\n"
        "CREATE TYPE mpaa_rating AS ENUM ('G', 'PG', 'PG-13', 'R', 'NC-17');\n"
        f"{''.join(map(create, TABLES))}{partitions}"
    )


def _next_month(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _mariadb_opening(_: DateRange) -> str:
    suffix = " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci"
    creates = (
        _create(table, {name: kind.mariadb for name, kind in table.columns.items()}, table.key, suffix)
        for table in TABLES
    )
    return (
        "-- The film-rental database in its older shape, for an empty MariaDB database:\n"
        "--   mariadb DATABASE < mariadb.sql\n"
        "-- Every DATETIME is in UTC.\n"
        "SET NAMES utf8mb4;\nSET SESSION sql_mode = 'TRADITIONAL';\nSET SESSION time_zone = '+00:00';\n"
        f"{''.join(creates)}START TRANSACTION;\n"
    )


POSTGRESQL = Dialect(
    "postgresql.sql", _postgresql_opening, f"{MANAGERS}COMMIT;\n", lambda kind: kind.postgresql, _postgresql_literal
)
# Its ALTER TABLE commits by itself, so it comes after the rows.
MARIADB = Dialect("mariadb.sql", _mariadb_opening, f"COMMIT;\n{MANAGERS}", lambda kind: kind.mariadb, _mariadb_literal)
DIALECTS = (POSTGRESQL, MARIADB)
