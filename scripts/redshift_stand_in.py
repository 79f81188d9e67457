"""A stand-in for Amazon Redshift, for development and tests: a TCP proxy before a PostgreSQL 15.

    redshift_stand_in.py --port PORT --postgresql HOST:PORT --s3 http://HOST:PORT

Redshift's own JDBC driver connects to it. Users, passwords and data are PostgreSQL's. On the way to it, statements are
held to Redshift's rules: what Redshift would not do is refused, what PostgreSQL says otherwise is translated, and a
COPY FROM 's3://...' is carried out here, with the rows going into PostgreSQL on the same connection and in the same
transaction. The S3 is asked with the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

Where it is not as Redshift:

- Foreign keys are enforced; Redshift takes them for granted. So are primary keys and unique constraints, but in a
  PostgreSQL of scripts/services.sh.
- What a SELECT may say is PostgreSQL's; of functions, GETDATE and SYSDATE are Redshift's.
- A VARBYTE is shown as bytea in information_schema, and the SVV_... views are not there.
- A table made by CREATE TABLE ... AS does not count the bytes of its texts.
- Any role is as good as another, and every object can be read.
- What is not spoken of here, PostgreSQL gets as it is: views, users, rights, constraints that are added.

As in Redshift, a transaction sees the data as they were when it began to read, and another that changes the same rows
meanwhile ends with an error; a backslash in a literal is an escape.
"""

from __future__ import annotations

import argparse
import base64
import csv
import gzip
import hashlib
import hmac
import io
import json
import mmap
import os
import re
import select
import shutil
import socket
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import IO, Any, Literal, NoReturn

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

SYNTAX_ERROR, UNSUPPORTED, IN_TRANSACTION, LOAD_FAILED = "42601", "0A000", "25001", "XX000"

REFUSED = "refused_by_the_stand_in"
"""PostgreSQL, given this for a statement, answers with an error that quotes it; the refusal's words take its place."""


BYTES_OF = "bytes of "
"""What the names of constraints begin with that count bytes."""


class RefusedError(Exception):
    """What the client is told instead of what it asked for, with an SQLSTATE."""

    def __init__(self, message: str, code: str = UNSUPPORTED) -> None:
        super().__init__(message)
        self.message, self.code = message, code


# Statements


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int = 0


_TOKENS = re.compile(
    r"""
      (?P<space>\s++|--[^\n]*+|/\*.*?\*/)
    | (?P<string>'(?:[^'\\]++|\\.|'')*+')
    | (?P<quoted>"(?:[^"]++|"")*+")
    | (?P<dollar>\$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?(tag)(?P=tag))\$)
    | (?P<word>[^\W\d][\w$]*+)
    | (?P<number>\d++(?:\.\d*+)?)
    | (?P<symbol>::|.)
    """,
    re.VERBOSE | re.DOTALL,
)

_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

_FOREIGN: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "LOCK": (("IN",),),
    **dict.fromkeys(("INSERT", "UPDATE", "DELETE", "WITH"), (("ON", "CONFLICT"), ("RETURNING",))),
}
"""By what a statement begins with, the words that Redshift does not know in it."""

_CLOCKS = {
    ("GETDATE", "(", ")"): "date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC')",
    ("SYSDATE",): "(transaction_timestamp() AT TIME ZONE 'UTC')",
}


def tokens(sql: str) -> list[Token]:
    return [Token(str(match.lastgroup), match.group(), match.start()) for match in _TOKENS.finditer(sql)]


def split(sql: str) -> list[str]:
    """The statements in `sql`, without those that are empty."""
    statements, current = [], ""
    for token in tokens(sql):
        if token.text == ";":
            statements.append(current)
            current = ""
        else:
            current += token.text
    return [one for one in (*statements, current) if any(token.kind != "space" for token in tokens(one))]


def folded(name: str) -> str:
    """In small letters, as Redshift has every name, quoted or not."""
    return "".join(character.lower() if character.isascii() else character for character in name)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


class Cursor:
    """Reads a statement, token by token."""

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._tokens = [token for token in tokens(sql) if token.kind != "space"]
        self._at = 0

    def next(self, ahead: int = 0) -> Token:
        place = self._at + ahead
        return self._tokens[place] if place < len(self._tokens) else Token("end", "end of input", len(self._sql))

    def is_at(self, *words: str) -> bool:
        return all(self.next(ahead).text.upper() == word for ahead, word in enumerate(words))

    def accept(self, *words: str) -> bool:
        """Whether these words come next; they are read then."""
        is_next = self.is_at(*words)
        if is_next:
            self._at += len(words)
        return is_next

    def skip(self) -> None:
        self._at += 1

    def require(self, *words: str) -> None:
        if not self.accept(*words):
            self.fail()

    def fail(self) -> NoReturn:
        raise RefusedError(f'syntax error at or near "{self.next().text}"', SYNTAX_ERROR)

    def take(self, *kinds: str) -> Token:
        token = self.next()
        if token.kind not in kinds:
            self.fail()
        self._at += 1
        return token

    def end(self) -> None:
        if self.next().kind != "end":
            self.fail()

    def text_since(self, first: Token) -> str:
        return self._sql[first.start : self.next().start]

    def name(self) -> str:
        token = self.take("word", "quoted")
        return folded(token.text if token.kind == "word" else token.text[1:-1].replace('""', '"'))

    def names(self) -> tuple[str, ...]:
        self.require("(")
        names = [self.name()]
        while self.accept(","):
            names.append(self.name())
        self.require(")")
        return tuple(names)

    def table(self) -> str:
        """A table's name, quoted, with its schema where it has one."""
        name = quoted(self.name())
        return f"{name}.{quoted(self.name())}" if self.accept(".") else name

    def string(self) -> str:
        inner = self.take("string").text[1:-1].replace("''", "'")
        return re.sub(r"\\(.)", lambda match: _ESCAPED.get(match.group(1), match.group(1)), inner, flags=re.DOTALL)

    def integer(self) -> int:
        token = self.take("number")
        if not token.text.isdecimal():
            raise RefusedError(f'syntax error at or near "{token.text}"', SYNTAX_ERROR)
        return int(token.text)


@dataclass(frozen=True)
class TargetColumn:
    """A column of a table that is there. `type` is in PostgreSQL's words, `check` the constraint that counts bytes."""

    name: str
    type: str
    check: str
    is_in_key: bool

    @property
    def length(self) -> int | None:
        """The bytes that a text may have."""
        match = re.fullmatch(r"character(?: varying)?\((\d+)\)", self.type)
        return int(match.group(1)) if match else None

    @property
    def is_text(self) -> bool:
        return self.type.startswith("character") or self.type == "text"


ColumnsOf = Callable[[str], Sequence[TargetColumn]]
"""The columns of a table, by its quoted name; none where it is not there."""


@dataclass(frozen=True)
class Copy:
    """A COPY from S3."""

    table: str
    columns: tuple[str, ...]
    bucket: str
    key: str
    format: Literal["CSV", "PARQUET"]
    manifest: bool = False
    gzip: bool = False
    delimiter: str = ","
    quote: str = '"'
    null: str = "\\N"
    header: int = 0

    @property
    def sql(self) -> str:
        columns = f" ({', '.join(map(quoted, self.columns))})" if self.columns else ""
        return f"COPY {self.table}{columns} FROM STDIN WITH (FORMAT csv)"


@dataclass(frozen=True)
class Statement:
    """What PostgreSQL is given for a statement, and what has to be known of it."""

    sql: str
    copy: Copy | None = None
    block: Literal["", "opened", "closed"] = ""
    """What it does to the transaction block."""
    refused_in_block: str = ""
    """Why it is refused in a transaction block, if it is."""


def translate(sql: str, columns_of: ColumnsOf) -> Statement:
    """One statement. Raises RefusedError."""
    plain = _in_postgresql(sql)
    cursor = Cursor(plain)
    match cursor.next().text.upper():
        case "COPY":
            copy = read_copy(Cursor(sql))
            return Statement(copy.sql, copy=copy)
        case "CREATE":
            return Statement(_create(cursor, plain))
        case "ALTER" if cursor.accept("ALTER", "TABLE"):
            return _alter_table(cursor, plain, columns_of)
        case "TRUNCATE":
            return Statement(plain, refused_in_block="TRUNCATE commits the transaction that it is in")
        case "BEGIN" | "START":
            return Statement(plain, block="opened")
        case "COMMIT" | "END" | "ROLLBACK" | "ABORT":
            if re.search(r"\bTO\b", plain, re.IGNORECASE):
                raise RefusedError("there are no savepoints")
            return Statement(plain, block="closed")
        case "SAVEPOINT" | "RELEASE":
            raise RefusedError("there are no savepoints")
    _refuse_foreign_words(cursor)
    return Statement(plain)


def _in_postgresql(sql: str) -> str:
    """With every name in small letters, and the clocks in PostgreSQL's words."""
    read = tokens(sql)
    words = [(place, token.text.upper()) for place, token in enumerate(read) if token.kind != "space"]
    texts = [folded(token.text) if token.kind == "quoted" else token.text for token in read]
    for clock, replacement in _CLOCKS.items():
        for first in range(len(words) - len(clock) + 1):
            found = words[first : first + len(clock)]
            if tuple(word for _, word in found) == clock and (first == 0 or words[first - 1][1] != "."):
                for place, _ in found:
                    texts[place] = ""
                texts[found[0][0]] = replacement
    return "".join(texts)


def _refuse_foreign_words(cursor: Cursor) -> None:
    """Refuses what PostgreSQL knows and Redshift does not."""
    foreign = _FOREIGN.get(cursor.next().text.upper(), ())
    while cursor.next().kind != "end":
        if any(cursor.is_at(*words) for words in foreign):
            cursor.fail()
        cursor.skip()


# Definitions

_TYPES = {
    "SMALLINT": "smallint",
    "INT2": "smallint",
    "INTEGER": "integer",
    "INT": "integer",
    "INT4": "integer",
    "BIGINT": "bigint",
    "INT8": "bigint",
    "REAL": "real",
    "FLOAT4": "real",
    "FLOAT": "double precision",
    "FLOAT8": "double precision",
    "BOOLEAN": "boolean",
    "BOOL": "boolean",
    "DATE": "date",
    "TIMESTAMPTZ": "timestamp with time zone",
    "TIMETZ": "time with time zone",
}

_PLACINGS = (
    ("DISTSTYLE",),
    ("DISTKEY",),
    ("SORTKEY", "AUTO"),
    ("SORTKEY",),
    ("COMPOUND", "SORTKEY"),
    ("INTERLEAVED", "SORTKEY"),
    ("ENCODE", "AUTO"),
    ("BACKUP",),
)

_COLUMN_ATTRIBUTE = re.compile(
    "NOT|NULL|DEFAULT|IDENTITY|GENERATED|ENCODE|DISTKEY|SORTKEY|UNIQUE|PRIMARY|REFERENCES|COLLATE", re.IGNORECASE
)


@dataclass(frozen=True)
class Type:
    """In PostgreSQL's words; `size` is the most bytes that a value may have, where that is counted."""

    name: str
    size: int | None = None
    is_varchar: bool = False


def _type(cursor: Cursor) -> Type:
    word = cursor.name().upper()
    if word == "CHARACTER" and cursor.accept("VARYING"):
        word = "VARCHAR"
    if word == "BINARY" and cursor.accept("VARYING"):
        word = "VARBYTE"
    match word:
        case "VARCHAR" | "NVARCHAR" | "TEXT":
            size = _size(cursor, 256, 65535)
            return Type(f"varchar({size})", size, is_varchar=True)
        case "CHAR" | "CHARACTER" | "NCHAR" | "BPCHAR":
            size = _size(cursor, 256 if word == "BPCHAR" else 1, 4096)
            return Type(f"character({size})", size)
        case "VARBYTE" | "VARBINARY":
            return Type("bytea", _size(cursor, 64000, 16777216))
        case "DECIMAL" | "NUMERIC":
            return Type(_decimal(cursor))
        case "DOUBLE":
            cursor.require("PRECISION")
            return Type("double precision")
        case "TIMESTAMP" | "TIME":
            zone = next((zone for zone in ("WITH", "WITHOUT") if cursor.accept(zone, "TIME", "ZONE")), "WITHOUT")
            return Type(f"{word} {zone} TIME ZONE".lower())
        case _ if word in _TYPES:
            return Type(_TYPES[word])
    raise RefusedError(f'type "{word.lower()}" does not exist', "42704")


def _size(cursor: Cursor, default: int, most: int) -> int:
    if not cursor.accept("("):
        return default
    size = most if cursor.accept("MAX") else cursor.integer()
    cursor.require(")")
    if not 1 <= size <= most:
        raise RefusedError(f"length {size} is none that the type can have, at most {most}", "22023")
    return size


def _decimal(cursor: Cursor) -> str:
    precision, scale = 18, 0
    if cursor.accept("("):
        precision = cursor.integer()
        scale = cursor.integer() if cursor.accept(",") else 0
        cursor.require(")")
    if not 1 <= precision <= 38 or scale > min(precision, 37):
        raise RefusedError(f"DECIMAL({precision},{scale}) is more than DECIMAL(38,37)", "22023")
    return f"numeric({precision},{scale})"


@dataclass(frozen=True)
class Definition:
    """Of a column."""

    name: str
    sql: str
    is_null_refused: bool
    has_default: bool
    places: frozenset[str]
    """Those of DISTKEY and SORTKEY that it is."""


def _definition(cursor: Cursor) -> Definition:
    name = cursor.name()
    kind = _type(cursor)
    parts, words, places = [quoted(name), kind.name], set(), set()
    while (word := cursor.next().text.upper()) not in (",", ")") and cursor.next().kind != "end":
        words.add(word)
        if cursor.accept("DISTKEY") or cursor.accept("SORTKEY"):
            places.add(word)
        elif cursor.accept("ENCODE"):
            cursor.name()
        else:
            parts.append(_attribute(cursor))
    if kind.size:
        parts.append(_byte_check(name, kind.size))
    return Definition(name, " ".join(parts), "NOT" in words, "DEFAULT" in words, frozenset(places))


def _attribute(cursor: Cursor) -> str:
    """One that PostgreSQL has too."""
    if cursor.accept("NOT", "NULL"):
        return "NOT NULL"
    if cursor.accept("NULL"):
        return "NULL"
    if cursor.accept("UNIQUE"):
        return "UNIQUE"
    if cursor.accept("PRIMARY", "KEY"):
        return "PRIMARY KEY"
    if cursor.accept("REFERENCES"):
        return _references(cursor)
    if cursor.accept("IDENTITY"):
        return f"GENERATED ALWAYS AS IDENTITY {_identity(cursor)}"
    if cursor.accept("GENERATED", "BY", "DEFAULT", "AS", "IDENTITY"):
        return f"GENERATED BY DEFAULT AS IDENTITY {_identity(cursor)}"
    cursor.require("DEFAULT")
    return f"DEFAULT {_expression(cursor)}"


def _references(cursor: Cursor) -> str:
    columns = f" ({', '.join(map(quoted, cursor.names()))})"
    return f"REFERENCES {cursor.table()}" + (columns if cursor.next().text == "(" else "")


def _identity(cursor: Cursor) -> str:
    cursor.require("(")
    seed = cursor.integer()
    cursor.require(",")
    step = cursor.integer()
    cursor.require(")")
    return f"(START {seed} MINVALUE {min(seed, 1)} INCREMENT {step})"


def _expression(cursor: Cursor) -> str:
    """Up to the next attribute, or the next column."""
    first, depth = cursor.next(), 0
    while cursor.next() is first or depth or not is_expression_over(cursor.next()):
        token = cursor.take("string", "quoted", "word", "number", "symbol")
        depth += (token.text == "(") - (token.text == ")")
    return cursor.text_since(first).strip()


def is_expression_over(token: Token) -> bool:
    return token.text in (",", ")") or token.kind == "end" or bool(_COLUMN_ATTRIBUTE.fullmatch(token.text))


def _byte_check(column: str, size: int) -> str:
    """Redshift counts bytes where PostgreSQL counts characters."""
    return f"CONSTRAINT {quoted(BYTES_OF + column)} CHECK (octet_length({quoted(column)}) <= {size})"


def _create(cursor: Cursor, plain: str) -> str:
    cursor.require("CREATE")
    if cursor.accept("INDEX") or cursor.accept("UNIQUE", "INDEX"):
        raise RefusedError('SQL command "CREATE INDEX" not supported')
    cursor.accept("LOCAL")
    temporary = "TEMPORARY " if cursor.accept("TEMPORARY") or cursor.accept("TEMP") else ""
    if not cursor.accept("TABLE"):
        return plain
    exists = "IF NOT EXISTS " if cursor.accept("IF", "NOT", "EXISTS") else ""
    table = cursor.table()
    items: list[str | Definition] = []
    if cursor.accept("("):
        items.append(_item(cursor))
        while cursor.accept(","):
            items.append(_item(cursor))
        cursor.require(")")
    _verify_placing(cursor, items)
    created = f"CREATE {temporary}TABLE {exists}{table}"
    if not items:
        first = cursor.next()
        cursor.require("AS")
        while cursor.next().kind != "end":
            cursor.skip()
        return f"{created} {cursor.text_since(first)}"
    cursor.end()
    return f"{created} ({', '.join(item if isinstance(item, str) else item.sql for item in items)})"


def _item(cursor: Cursor) -> str | Definition:
    """A column, or what else stands between the brackets."""
    if cursor.accept("LIKE"):
        table = cursor.table()
        defaults = " INCLUDING DEFAULTS" if cursor.accept("INCLUDING", "DEFAULTS") else ""
        cursor.accept("EXCLUDING", "DEFAULTS")
        return f"LIKE {table} INCLUDING CONSTRAINTS{defaults}"
    name = f"CONSTRAINT {quoted(cursor.name())} " if cursor.accept("CONSTRAINT") else ""
    for words in (("PRIMARY", "KEY"), ("UNIQUE",), ("FOREIGN", "KEY")):
        if cursor.accept(*words):
            constraint = f"{name}{' '.join(words)} ({', '.join(map(quoted, cursor.names()))})"
            if words[0] == "FOREIGN":
                cursor.require("REFERENCES")
                constraint += f" {_references(cursor)}"
            return constraint
    if name:
        cursor.fail()
    return _definition(cursor)


def _verify_placing(cursor: Cursor, items: Sequence[str | Definition]) -> None:
    """Reads where Redshift would put the rows, which PostgreSQL need not know: the columns must be there."""
    definitions = [item for item in items if isinstance(item, Definition)]
    placed = {place: [one.name for one in definitions if place in one.places] for place in ("DISTKEY", "SORTKEY")}
    style = ""
    while placing := next((words for words in _PLACINGS if cursor.accept(*words)), None):
        match placing[-1]:
            case "DISTSTYLE":
                style = cursor.name().upper()
            case "DISTKEY" | "SORTKEY":
                placed[placing[-1]] += cursor.names()
            case "BACKUP":
                cursor.name()
    for place, columns in placed.items():
        for name in columns:
            # Of a query or another table, the columns are not known here.
            if definitions and name not in {one.name for one in definitions}:
                raise RefusedError(f'{place} column "{name}" does not exist', "42703")
    if style not in ("", "AUTO", "EVEN", "KEY", "ALL"):
        raise RefusedError(f'syntax error at or near "{style}"', SYNTAX_ERROR)
    if len(placed["DISTKEY"]) > 1 or (style != "KEY" and style and placed["DISTKEY"]):
        raise RefusedError("there is one DISTKEY, with DISTSTYLE KEY", "42P16")
    if style == "KEY" and not placed["DISTKEY"]:
        raise RefusedError("DISTSTYLE KEY is there, and no DISTKEY", "42P16")


def _alter_table(cursor: Cursor, plain: str, columns_of: ColumnsOf) -> Statement:
    table = cursor.table()
    if cursor.accept("ADD"):
        if cursor.next().text.upper() in ("CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN"):
            return Statement(plain)
        cursor.accept("COLUMN")
        added = _definition(cursor)
        cursor.end()
        if added.is_null_refused and not added.has_default:
            raise RefusedError("ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression")
        return Statement(f"ALTER TABLE {table} ADD COLUMN {added.sql}")
    if cursor.accept("ALTER"):
        cursor.accept("COLUMN")
        name = cursor.name()
        cursor.require("TYPE")
        wanted = _type(cursor)
        cursor.end()
        return Statement(
            _widen(table, name, wanted, columns_of(table)) or plain,
            refused_in_block="ALTER TABLE ALTER COLUMN cannot run inside a transaction block",
        )
    if cursor.next().text.upper() not in ("RENAME", "DROP", "OWNER"):
        cursor.fail()
    return Statement(plain)


def _widen(table: str, name: str, wanted: Type, columns: Sequence[TargetColumn]) -> str:
    """The statement, or nothing where there is no such column, which PostgreSQL says well."""
    for column in columns:
        if column.name == name:
            if not wanted.is_varchar or not column.type.startswith("character varying"):
                raise RefusedError(f'column "{name}" is {column.type}: only the size of a VARCHAR can be changed')
            if column.is_in_key:
                raise RefusedError(f'column "{name}" is in a key: its size cannot be changed')
            if wanted.size and column.length and wanted.size < column.length:
                raise RefusedError(f'column "{name}" is {column.type}: it cannot be made shorter')
            drop = f"DROP CONSTRAINT {quoted(column.check)}, " if column.check else ""
            check = _byte_check(name, wanted.size or 0)
            return f"ALTER TABLE {table} {drop}ALTER COLUMN {quoted(name)} TYPE {wanted.name}, ADD {check}"
    return ""


# COPY

_ROLE = r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+"


def read_copy(cursor: Cursor) -> Copy:
    """The COPY that `cursor` is before. Raises RefusedError."""
    cursor.require("COPY")
    table = cursor.table()
    columns = cursor.names() if cursor.next().text == "(" else ()
    cursor.require("FROM")
    place = re.fullmatch(r"s3://([^/]+)/(.+)", cursor.string(), re.DOTALL)
    if not place:
        raise RefusedError("COPY takes from 's3://bucket/key' only")
    options = _copy_options(cursor)
    if "IAM_ROLE" not in options:
        raise RefusedError("COPY needs an IAM_ROLE: there are no credentials", "28000")
    if "FORMAT" not in options:
        raise RefusedError("COPY needs FORMAT PARQUET or CSV: this stand-in knows no other")
    if options["FORMAT"] == "PARQUET":
        for option in options.keys() - {"FORMAT", "IAM_ROLE", "MANIFEST"}:
            raise RefusedError(f"{option} argument is not supported for PARQUET based COPY")
    return Copy(
        table,
        columns,
        place.group(1),
        place.group(2),
        options["FORMAT"],
        manifest="MANIFEST" in options,
        gzip="GZIP" in options,
        delimiter=options.get("DELIMITER", ","),
        quote=options.get("QUOTE", '"'),
        null=options.get("NULL", "\\N"),
        header=options.get("IGNOREHEADER", 0),
    )


def _copy_options(cursor: Cursor) -> dict[str, Any]:
    options: dict[str, Any] = {}
    while cursor.next().kind != "end":
        if cursor.next(1).text.upper() == "CREDENTIALS":
            cursor.accept("WITH")
        word = cursor.next().text.upper()
        if word not in _COPY_OPTIONS:
            cursor.fail()
        cursor.take("word")
        name, read = _COPY_OPTIONS[word]
        if name in options:
            raise RefusedError(f"conflicting or redundant options: {name}", SYNTAX_ERROR)
        options[name] = read(cursor)
    return options


def _format(cursor: Cursor) -> str:
    cursor.accept("AS")
    if cursor.accept("PARQUET"):
        return "PARQUET"
    cursor.require("CSV")
    return "CSV"


def _text(cursor: Cursor) -> str:
    cursor.accept("AS")
    return cursor.string()


def _character(cursor: Cursor) -> str:
    value = _text(cursor)
    if len(value) != 1 or not value.isascii():
        raise RefusedError(f"'{value}' is not a single ASCII character")
    return value


def _null(cursor: Cursor) -> str:
    cursor.accept("AS")
    # '\N' and '\\N' both mean what Redshift's own default does.
    return "\\N" if cursor.next().text == r"'\N'" and cursor.take("string") else cursor.string()


def _lines(cursor: Cursor) -> int:
    cursor.accept("AS")
    return cursor.integer()


def _automatic(cursor: Cursor) -> str:
    value = _text(cursor)
    if value.lower() != "auto":
        raise RefusedError(f"'{value}': of formats, this stand-in knows 'auto' only")
    return value


def _encoding(cursor: Cursor) -> str:
    cursor.accept("AS")
    cursor.require("UTF8")
    return "UTF8"


def _switch(cursor: Cursor) -> str:
    return next((word for word in ("ON", "OFF", "TRUE", "FALSE") if cursor.accept(word)), "ON")


def _iam_role(cursor: Cursor) -> str:
    return "default" if cursor.accept("DEFAULT") else _role(cursor.string())


def _credentials(cursor: Cursor) -> str:
    match = re.fullmatch(r"aws_iam_role=(.*)", _text(cursor), re.DOTALL)
    if not match:
        raise RefusedError("CREDENTIALS: only 'aws_iam_role=...' is accepted", "28000")
    return _role(match.group(1))


def _role(arn: str) -> str:
    if not re.fullmatch(rf"{_ROLE}(,{_ROLE})*", arn):
        raise RefusedError(f"IAM_ROLE: {arn} is not the ARN of a role", "28000")
    return arn


_COPY_OPTIONS: Mapping[str, tuple[str, Callable[[Cursor], Any]]] = {
    "IAM_ROLE": ("IAM_ROLE", _iam_role),
    "CREDENTIALS": ("IAM_ROLE", _credentials),
    "FORMAT": ("FORMAT", _format),
    "CSV": ("FORMAT", lambda _: "CSV"),
    "MANIFEST": ("MANIFEST", lambda _: True),
    "GZIP": ("GZIP", lambda _: True),
    "DELIMITER": ("DELIMITER", _character),
    "QUOTE": ("QUOTE", _character),
    "NULL": ("NULL", _null),
    "IGNOREHEADER": ("IGNOREHEADER", _lines),
    "DATEFORMAT": ("DATEFORMAT", _automatic),
    "TIMEFORMAT": ("TIMEFORMAT", _automatic),
    "ENCODING": ("ENCODING", _encoding),
    "REGION": ("REGION", _text),
    "COMPUPDATE": ("COMPUPDATE", _switch),
    "STATUPDATE": ("STATUPDATE", _switch),
}
"""The words that may follow the place, what they say, and how that is read."""


# S3


@dataclass(frozen=True)
class Entry:
    """An object to be loaded; `size` is what the manifest says, where it says so."""

    bucket: str
    key: str
    is_mandatory: bool = True
    size: int | None = None

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Bucket:
    """What a COPY reads."""

    def __init__(self, endpoint: str) -> None:
        config = Config(
            s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=60, retries={"max_attempts": 2}
        )
        self._client: Any = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)

    def rows(self, copy: Copy, columns: Sequence[TargetColumn]) -> Iterator[bytes]:
        """The rows for `columns`, as PostgreSQL's CSV. Raises RefusedError."""
        found = False
        try:
            for entry in self._entries(copy):
                with tempfile.TemporaryFile() as file:
                    if self._download(entry, file, is_packed=copy.gzip):
                        found = True
                        for batch in read_object(copy, entry, file, columns):
                            yield as_csv(batch)
        except (ClientError, BotoCoreError) as error:
            raise RefusedError(f"S3ServiceException: {error}", LOAD_FAILED) from error
        if not found:
            raise RefusedError(f"The specified S3 prefix '{copy.key}' does not exist", LOAD_FAILED)

    def _entries(self, copy: Copy) -> Iterator[Entry]:
        if copy.manifest:
            with tempfile.TemporaryFile() as file:
                if self._download(Entry(copy.bucket, copy.key), file):
                    yield from manifest_entries(file.read(), copy)
            return
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=copy.bucket, Prefix=copy.key)
        for page in pages:
            for one in page.get("Contents", ()):
                yield Entry(copy.bucket, one["Key"])

    def _download(self, entry: Entry, file: IO[bytes], is_packed: bool = False) -> bool:
        """Whether the object is there. One of another size than the manifest's is refused."""
        try:
            answer = self._client.get_object(Bucket=entry.bucket, Key=entry.key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchKey", "NoSuchBucket", "404"):
                raise
            if entry.is_mandatory:
                raise RefusedError(f"{entry.url} does not exist, and is mandatory", LOAD_FAILED) from error
            return False
        if entry.size not in (None, answer["ContentLength"]):
            said = (
                f"{entry.url} has {answer['ContentLength']} bytes, and content_length in the manifest is {entry.size}"
            )
            raise RefusedError(said, LOAD_FAILED)
        try:
            with closing(answer["Body"]) as body:
                shutil.copyfileobj(gzip.GzipFile(fileobj=body) if is_packed else body, file, 1 << 20)
        except (OSError, EOFError, zlib.error) as error:
            raise RefusedError(f"{entry.url} cannot be read: {error}", LOAD_FAILED) from error
        file.seek(0)
        return True


def manifest_entries(text: bytes, copy: Copy) -> list[Entry]:
    """The entries of a manifest. Raises RefusedError."""
    try:
        return [_manifest_entry(one, copy) for one in json.loads(text)["entries"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"Problem reading manifest file - s3://{copy.bucket}/{copy.key}: {type(error).__name__}: {error}"
        raise RefusedError(said, LOAD_FAILED) from error


def _manifest_entry(given: Mapping[str, Any], copy: Copy) -> Entry:
    place = re.fullmatch(r"s3://([^/]+)/(.+)", given["url"], re.DOTALL)
    if not place:
        raise ValueError(f"{given['url']} is no s3://bucket/key")
    size = given.get("meta", {}).get("content_length")
    if copy.format == "PARQUET" and not isinstance(size, int):
        raise ValueError(f"content_length is missing in the meta of {given['url']}, and PARQUET needs it")
    return Entry(place.group(1), place.group(2), given.get("mandatory", False) is True, size)


def read_object(copy: Copy, entry: Entry, file: IO[bytes], columns: Sequence[TargetColumn]) -> Iterator[pa.RecordBatch]:
    """The rows of an object, checked, and ready for as_csv. Raises RefusedError."""
    read = _read_parquet if copy.format == "PARQUET" else _read_csv
    try:
        for batch in read(copy, entry, file, columns):
            arrays = [_checked(array, column, entry) for array, column in zip(batch.columns, columns, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])
    except (pa.ArrowException, OSError, csv.Error) as error:
        raise RefusedError(f"{entry.url} cannot be read: {error}", LOAD_FAILED) from error


def as_csv(batch: pa.RecordBatch) -> bytes:
    """As PostgreSQL reads it: quoted, and a null is an empty field without quotes."""
    out = pa.BufferOutputStream()
    pa.csv.write_csv(batch, out, pa.csv.WriteOptions(include_header=False, quoting_style="all_valid"))
    return bytes(out.getvalue().to_pybytes())


def _checked(array: pa.Array, column: TargetColumn, entry: Entry) -> pa.Array:
    """Texts with no character that a text cannot have, and of no more bytes than their column."""
    if not pa.types.is_string(array.type) and not pa.types.is_large_string(array.type):
        return array
    if column.is_text and pc.any(pc.match_substring(array, "\0")).as_py():
        raise RefusedError(f'column "{column.name}": a text in {entry.url} has a NUL character', LOAD_FAILED)
    longest = pc.max(pc.binary_length(array)).as_py() or 0
    if column.length is not None and longest > column.length:
        said = f'column "{column.name}" takes {column.length} bytes, and a text in {entry.url} has {longest}'
        raise RefusedError(f"String length exceeds DDL length: {said}", LOAD_FAILED)
    return array


def _read_parquet(
    copy: Copy, entry: Entry, file: IO[bytes], columns: Sequence[TargetColumn]
) -> Iterator[pa.RecordBatch]:
    parquet = pa.parquet.ParquetFile(file)
    schema = parquet.schema_arrow
    if len(schema) != len(columns):
        raise RefusedError(f"{entry.url} has {len(schema)} columns, and the table {len(columns)}", LOAD_FAILED)
    for field, column in zip(schema, columns, strict=True):
        if not _fits(field.type, column.type):
            said = f'column "{column.name}" is {column.type}, and "{field.name}" in {entry.url} is {field.type}'
            raise RefusedError(f"incompatible Parquet schema: {said}", LOAD_FAILED)
    for batch in parquet.iter_batches(batch_size=1 << 14):
        names = [str(place) for place in range(len(columns))]
        yield pa.RecordBatch.from_arrays([_from_parquet(array) for array in batch.columns], names=names)


def _fits(given: pa.DataType, wanted: str) -> bool:
    """Whether a column of a Parquet file can go into a column of the type `wanted`, in PostgreSQL's words."""
    types = pa.types
    match wanted.partition("(")[0]:
        case "character varying" | "character" | "text":
            return bool(types.is_string(given) or types.is_large_string(given))
        case "smallint" | "integer":
            return bool(types.is_int8(given) or types.is_int16(given) or types.is_int32(given))
        case "numeric":
            return bool(types.is_decimal(given)) and wanted == f"numeric({given.precision},{given.scale})"
        case "timestamp without time zone":
            return bool(types.is_timestamp(given)) and given.unit in ("us", "ns")
        case "bytea":
            return bool(types.is_binary(given) or types.is_large_binary(given))
    alike = {"bigint": pa.int64(), "boolean": pa.bool_(), "date": pa.date32()}
    alike |= {"double precision": pa.float64(), "real": pa.float32()}
    return bool(given == alike.get(wanted))


def _from_parquet(array: pa.Array) -> pa.Array:
    """What write_csv would not write as PostgreSQL reads it, otherwise."""
    if pa.types.is_timestamp(array.type):
        # Of an instant, the time in UTC is what is stored; and there are no nanoseconds.
        return array.cast(pa.timestamp(array.type.unit)).cast(pa.timestamp("us"), safe=False)
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        return pa.array([None if value is None else "\\x" + value.hex() for value in array.to_pylist()], pa.string())
    return array


def _read_csv(copy: Copy, entry: Entry, file: IO[bytes], columns: Sequence[TargetColumn]) -> Iterator[pa.RecordBatch]:
    for _ in range(copy.header):
        file.readline()
    start = file.tell()
    if not file.read(1):
        return
    file.seek(start)
    if len(columns) > 1 and _has_blank_line(copy, file):
        raise RefusedError(f"{entry.url} has a line without any field", LOAD_FAILED)
    file.seek(start)
    names = [str(place) for place in range(len(columns))]
    reader = pa.csv.open_csv(
        file,
        pa.csv.ReadOptions(column_names=names, block_size=1 << 23, use_threads=False),
        pa.csv.ParseOptions(
            delimiter=copy.delimiter, quote_char=copy.quote, newlines_in_values=True, ignore_empty_lines=False
        ),
        pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=[copy.null], strings_can_be_null=True
        ),
    )
    for batch in reader:
        arrays = [_from_csv(array, column, entry) for array, column in zip(batch.columns, columns, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, names=names)


def _has_blank_line(copy: Copy, file: IO[bytes]) -> bool:
    """Whether there is one from here on. PyArrow takes it for a row of empty fields, as many as there are columns."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = file.tell()
        is_likely = data[start : start + 2].startswith((b"\n", b"\r\n"))
        if not is_likely and data.find(b"\n\n", start) < 0 and data.find(b"\n\r\n", start) < 0:
            return False
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
    is_blank = any(not row for row in csv.reader(text, delimiter=copy.delimiter, quotechar=copy.quote))
    text.detach()
    return is_blank


def _from_csv(array: pa.Array, column: TargetColumn, entry: Entry) -> pa.Array:
    if column.is_text:
        return array
    value = pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)
    match column.type:
        case "boolean":
            known = pc.is_in(pc.utf8_lower(value), pa.array(["true", "false", "t", "f", "1", "0"]))
            if not pc.all(pc.or_(known, pc.is_null(value))).as_py():
                raise RefusedError(f'column "{column.name}": a value in {entry.url} is no boolean', LOAD_FAILED)
        case "bytea":
            return pc.binary_join_element_wise(pa.scalar("\\x"), value, pa.scalar(""))
    return value


# The protocol

_SSL_REQUEST, _ENCRYPTION_REQUEST, _CANCEL_REQUEST = 80877103, 80877104, 80877102

_LET_IN, _PASSWORD, _SASL = (struct.pack("!i", code) for code in (0, 3, 10))

_PARAMETER = re.compile(
    b"user|database|application_name|client_encoding|datestyle|extra_float_digits|search_path|statement_timeout|timezone",
    re.IGNORECASE,
)
"""Those of a start-up that go on to PostgreSQL, which refuses what it does not know."""

_SESSION = {
    # Redshift reads a backslash in a literal as an escape, and has no isolation level below this one.
    b"standard_conforming_strings": b"off",
    b"escape_string_warning": b"off",
    b"default_transaction_isolation": b"repeatable read",
    # By this, the servers of scripts/services.sh take keys for granted.
    b"redshift.stand_in": b"on",
}

_OWN = b"stand_in\0"
"""The name of the statements and portals that are the stand-in's own."""

_COLUMNS = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
    (SELECT c.conname FROM pg_catalog.pg_constraint c
     WHERE c.conrelid = a.attrelid AND c.contype = 'c' AND c.conkey = ARRAY[a.attnum] AND starts_with(c.conname, {})),
    EXISTS (SELECT FROM pg_catalog.pg_constraint c
            WHERE c.conrelid = a.attrelid AND c.contype IN ('p', 'u', 'f') AND a.attnum = ANY (c.conkey))
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = pg_catalog.to_regclass({}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


class GoneError(Exception):
    """The other side has ended the connection, or speaks no PostgreSQL."""


class Wire:
    """A connection on which messages are read whole."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._data, self._at = b"", 0

    def exactly(self, size: int) -> bytes:
        if size < 0:
            raise GoneError
        pieces = [self._data[self._at : self._at + size]]
        self._at += len(pieces[0])
        missing = size - len(pieces[0])
        while missing:
            self._data, self._at = self._connection.recv(1 << 18), 0
            if not self._data:
                raise GoneError
            pieces.append(self._data[:missing])
            self._at = len(pieces[-1])
            missing -= self._at
        return b"".join(pieces)

    def message(self) -> bytes:
        """One with its kind, in the first byte, and its length."""
        start = self._at
        if start + 5 <= len(self._data):
            end = start + 1 + int.from_bytes(self._data[start + 1 : start + 5], "big")
            # Most are: there may be millions.
            if start + 5 <= end <= len(self._data):
                self._at = end
                return self._data[start:end]
        head = self.exactly(5)
        return head + self.exactly(int.from_bytes(head[1:], "big") - 4)

    def is_waiting(self, seconds: float = 0) -> bool:
        """Whether there is something to read, or there is before `seconds` have gone."""
        return self.is_buffered or bool(select.select([self._connection], [], [], seconds)[0])

    @property
    def is_buffered(self) -> bool:
        return self._at < len(self._data)

    def wait_for_either(self, other: Wire) -> None:
        if not (self.is_buffered or other.is_buffered):
            select.select([self._connection, other._connection], [], [])

    def send(self, data: bytes | bytearray) -> None:
        if data:
            self._connection.sendall(data)

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def parse_message(name: bytes, sql: str, types: bytes = b"\0\0") -> bytes:
    return message(b"P", name + sql.encode() + b"\0" + types)


def error_message(refusal: RefusedError) -> bytes:
    fields = {b"S": "ERROR", b"V": "ERROR", b"C": refusal.code, b"M": refusal.message}
    return message(b"E", b"".join(key + value.encode() + b"\0" for key, value in fields.items()) + b"\0")


def error_fields(error: bytes) -> dict[str, str]:
    fields = error[5:].rstrip(b"\0").split(b"\0")
    return {field[:1].decode(): field[1:].decode("utf-8", "replace") for field in fields}


def row_values(row: bytes) -> list[str]:
    """The values of a DataRow, as text; nothing for a null."""
    values, at = [], 7
    for _ in range(int.from_bytes(row[5:7], "big")):
        size = int.from_bytes(row[at : at + 4], "big", signed=True)
        values.append(row[at + 4 : at + 4 + max(size, 0)].decode())
        at += 4 + max(size, 0)
    return values


def scram(server: Wire, password: bytes) -> bytes:
    """Logs in by SCRAM-SHA-256. What the server says in the end: that the client is let in, or an error."""
    first = b"n=,r=" + base64.b64encode(os.urandom(18))
    server.send(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first) + 3) + b"n,," + first))
    answer = server.message()
    if answer[:1] == b"R":
        server.send(message(b"p", scram_proof(password, first, answer[9:])))
        answer = server.message()
    # The server's own proof is not looked at: it is on this machine.
    return server.message() if answer[:1] == b"R" else answer


def scram_proof(password: bytes, first: bytes, challenge: bytes) -> bytes:
    given = dict(part.split(b"=", 1) for part in challenge.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(given[b"s"]), int(given[b"i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    final = b"c=biws,r=" + given[b"r"]
    signature = hmac.digest(hashlib.sha256(key).digest(), b",".join((first, challenge, final)), "sha256")
    proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
    return final + b",p=" + base64.b64encode(proof)


class Block:
    """Whether there is a transaction block, while statements come one after the other."""

    def __init__(self, is_open: bool) -> None:
        self._is_open = is_open

    def run(self, statement: Statement) -> None:
        if self._is_open and statement.refused_in_block:
            raise RefusedError(statement.refused_in_block, IN_TRANSACTION)
        self._is_open = (self._is_open or statement.block == "opened") and statement.block != "closed"


Step = tuple[bytes, tuple[Copy, Sequence[TargetColumn]] | None]
"""A message for PostgreSQL; and if it starts a COPY, which, with the columns that this fills."""


class Session:
    """A client's connection. What it sends is collected up to the point where it waits for an answer."""

    def __init__(self, client: Wire, server: Wire, bucket: Bucket) -> None:
        self._client, self._server, self._bucket = client, server, bucket
        self._statements: dict[bytes, Statement] = {}
        self._portals: dict[bytes, Statement] = {}
        self._status = b"I"
        self._refusal: RefusedError | None = None
        self._is_synced = True

    def serve(self) -> None:
        """Until the client leaves, or PostgreSQL does."""
        self._log_in()
        self._relay(b"Z")
        while True:
            group = self._group()
            if group[-1][:1] == b"Q":
                self._simple(group.pop())
            else:
                self._extended(group)

    def _log_in(self) -> None:
        while True:
            answer = self._server.message()
            if answer[:1] == b"R" and answer[5:9] == _SASL:
                # Redshift's driver knows no SCRAM: it is asked for the password, and PostgreSQL gets the proof.
                self._client.send(message(b"R", _PASSWORD))
                answer = scram(self._server, self._client.message()[5:-1])
            self._client.send(answer)
            if answer[:1] == b"R" and answer[5:9] == _LET_IN:
                return
            if answer[:1] == b"R":
                self._server.send(self._client.message())

    def _group(self) -> list[bytes]:
        """All up to a query, or to the end of what is to be answered together."""
        group = [self._client.message()]
        while group[-1][:1] not in (b"Q", b"S"):
            # A client that goes, or calls a function in a way that Redshift does not know.
            if group[-1][:1] in (b"X", b"F"):
                raise GoneError
            # Redshift's driver sends a flush and then a sync: that is no end.
            if group[-1][:1] == b"H" and not self._client.is_waiting(0.02):
                return group
            group.append(self._client.message())
        return group

    # A query that is one text.

    def _simple(self, query: bytes) -> None:
        self._refusal = None
        block = Block(self._status != b"I")
        try:
            statements = [translate(sql, self._columns_of) for sql in split(query[5:-1].decode())]
            for one in statements:
                block.run(one)
            copies = [(one.copy, self._targets(one.copy)) for one in statements if one.copy]
        except RefusedError as refusal:
            self._refusal = refusal
            statements, copies = [Statement(REFUSED)], []
        self._server.send(message(b"Q", "; ".join(one.sql for one in statements).encode() + b"\0"))
        while self._relay(b"GZ") == b"G":
            self._send_rows(*copies.pop(0))
        self._is_synced = True

    # Prepared statements.

    def _extended(self, group: Sequence[bytes]) -> None:
        out, has_failed = bytearray(), False
        for step, copy in self._steps(group):
            out += step
            if copy and not has_failed:
                self._server.send(out)
                out.clear()
                has_failed = self._relay(b"EG") == b"E" or not self._send_rows(*copy)
        self._server.send(out)
        self._is_synced = group[-1][:1] == b"S"
        if self._is_synced:
            self._relay(b"Z")
        else:
            self._relay_until_the_client_speaks()

    def _steps(self, group: Sequence[bytes]) -> list[Step]:
        """What PostgreSQL is to get. Of refusals the first counts: it answers no more then, up to the next sync."""
        steps: list[Step] = []
        self._refusal = None
        block = Block(self._status != b"I")
        for given in group:
            try:
                steps.append(self._step(given, block))
            except RefusedError as refusal:
                self._refusal = self._refusal or refusal
                steps.append((parse_message(b"\0", REFUSED), None))
        return steps

    def _step(self, given: bytes, block: Block) -> Step:
        match given[:1]:
            case b"P":
                return self._prepared(given), None
            case b"B":
                portal, name, _ = given[5:].split(b"\0", 2)
                self._portals[portal] = self._statements.get(name, Statement(""))
            case b"E":
                statement = self._portals.get(given[5:].split(b"\0", 1)[0], Statement(""))
                block.run(statement)
                if statement.copy:
                    return given, (statement.copy, self._targets(statement.copy))
        return given, None

    def _prepared(self, given: bytes) -> bytes:
        name, sql, types = given[5:].split(b"\0", 2)
        self._statements.pop(name, None)
        statements = [translate(one, self._columns_of) for one in split(sql.decode())]
        if len(statements) > 1:
            raise RefusedError("cannot insert multiple commands into a prepared statement", SYNTAX_ERROR)
        if not statements:
            return given
        self._statements[name] = statements[0]
        return parse_message(name + b"\0", statements[0].sql, types)

    # What both have in common.

    def _targets(self, copy: Copy) -> Sequence[TargetColumn]:
        """The columns that a COPY fills, in its order."""
        columns = self._columns_of(copy.table)
        if not copy.columns:
            return columns
        named = {column.name: column for column in columns}
        return [named[name] for name in copy.columns if name in named]

    def _columns_of(self, table: str) -> Sequence[TargetColumn]:
        if self._status == b"E":
            return ()
        if not self._is_synced:
            raise RefusedError("this stand-in has to look at a table first, which it cannot do after a flush")
        # Under a name of its own, and closed again: the client's statements stay as they are.
        self._server.send(
            parse_message(_OWN, _COLUMNS.format(literal(BYTES_OF), literal(table)))
            + message(b"B", _OWN + _OWN + bytes(6))
            + message(b"E", _OWN + bytes(4))
            + message(b"C", b"S" + _OWN)
            + message(b"C", b"P" + _OWN)
            + message(b"S", b"")
        )
        columns = []
        while (answer := self._server.message())[:1] != b"Z":
            if answer[:1] == b"D":
                name, kind, check, is_in_key = row_values(answer)
                columns.append(TargetColumn(name, kind, check, is_in_key == "t"))
            elif answer[:1] == b"E":
                raise RefusedError(error_fields(answer)["M"], error_fields(answer)["C"])
        return columns

    def _send_rows(self, copy: Copy, columns: Sequence[TargetColumn]) -> bool:
        """Whether all were sent; PostgreSQL is waiting for them."""
        try:
            if not columns:
                raise RefusedError(f"{copy.table} was not there when the stand-in looked: send the COPY on its own")
            for rows in self._bucket.rows(copy, columns):
                self._server.send(message(b"d", rows))
                if self._server.is_waiting():
                    # An error, most likely; whatever it is, half of the rows must not stay.
                    raise RefusedError("COPY was interrupted", LOAD_FAILED)
        except RefusedError as refusal:
            self._refusal = RefusedError(f"Load into table {copy.table} failed: {refusal.message}", refusal.code)
            self._server.send(message(b"f", REFUSED.encode() + b"\0"))
            return False
        self._server.send(message(b"c", b""))
        return True

    def _relay(self, until: bytes) -> bytes:
        """Passes on what PostgreSQL says, up to a message of one of these kinds: which?

        A G is not passed on: the client knows nothing of it.
        """
        out = bytearray()
        while True:
            answer = self._server.message()
            kind = answer[:1]
            if kind == b"E":
                answer = self._in_words_of_redshift(answer)
            elif kind == b"Z":
                self._status = answer[5:6]
            if kind != b"G":
                out += answer
            is_last = kind in until
            if is_last or not self._server.is_buffered:
                self._client.send(out)
                out.clear()
            if is_last:
                return kind

    def _relay_until_the_client_speaks(self) -> None:
        while not self._client.is_waiting():
            self._server.wait_for_either(self._client)
            if self._server.is_waiting():
                answer = self._server.message()
                self._client.send(self._in_words_of_redshift(answer) if answer[:1] == b"E" else answer)

    def _in_words_of_redshift(self, error: bytes) -> bytes:
        fields = error_fields(error)
        if self._refusal and REFUSED in fields["M"]:
            return error_message(self._refusal)
        if fields["C"] == "23514" and fields["n"].startswith(BYTES_OF):
            column = fields["n"].removeprefix(BYTES_OF)
            return error_message(RefusedError(f'value too long for column "{column}", in bytes', "22001"))
        return error


class StandIn:
    """Listens on `port` of the loopback."""

    def __init__(self, port: int, postgresql: tuple[str, int], s3: str) -> None:
        self._postgresql, self._bucket = postgresql, Bucket(s3)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])

    def run(self) -> NoReturn:
        while True:
            try:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(Wire(client),), daemon=True).start()
            except (OSError, RuntimeError) as error:
                # No more files can be opened, for example: that passes.
                print(f"a connection was not accepted: {error}", flush=True)
                time.sleep(0.1)

    def _serve(self, client: Wire) -> None:
        with closing(client), suppress(GoneError, OSError):
            while True:
                size, code = struct.unpack("!ii", client.exactly(8))
                body = client.exactly(min(size, 1 << 16) - 8)
                if code not in (_SSL_REQUEST, _ENCRYPTION_REQUEST):
                    break
                client.send(b"N")
            with closing(Wire(socket.create_connection(self._postgresql))) as server:
                if code == _CANCEL_REQUEST:
                    server.send(struct.pack("!ii", size, code) + body)
                    return
                server.send(start_up(code, body))
                Session(client, server, self._bucket).serve()


def start_up(version: int, body: bytes) -> bytes:
    """A client's first message, with what PostgreSQL knows of it."""
    given = body.split(b"\0")
    kept = {name: value for name, value in zip(given[::2], given[1::2], strict=False) if _PARAMETER.fullmatch(name)}
    packed = b"".join(name + b"\0" + value + b"\0" for name, value in {**kept, **_SESSION}.items()) + b"\0"
    return struct.pack("!ii", len(packed) + 8, version) + packed


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for Amazon Redshift, before a PostgreSQL and an S3.")
    parser.add_argument("--port", type=int, required=True, help="of 127.0.0.1; 0 for any that is free")
    parser.add_argument("--postgresql", required=True, metavar="HOST:PORT")
    parser.add_argument("--s3", required=True, metavar="URL")
    options = parser.parse_args()
    csv.field_size_limit(1 << 24)
    host, _, port = options.postgresql.rpartition(":")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if name not in os.environ:
            parser.error(f"{name} must be in the environment")
    stand_in = StandIn(options.port, (host, int(port)), options.s3)
    print(f"listening on {stand_in.port}", flush=True)
    stand_in.run()


if __name__ == "__main__":
    main()
