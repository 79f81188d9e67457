"""An independent reading of the film-rental database's files: CSV as PostgreSQL writes it, INSERTs of both dialects."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

Row = dict[str, str | None]

CSV_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\n]*))([,\n])')
INSERT = re.compile(r"INSERT INTO (\w+) \(([\w,]+)\) VALUES\n\(")
POSTGRESQL_TEXT, MARIADB_TEXT = r"'((?:[^']|'')*)'", r"'((?:[^'\\]|''|\\.)*)'"


def csv_rows(file: Path) -> list[Row]:
    """None is an empty field without quotes; an empty text has them."""
    text = file.read_text(encoding="utf-8")
    records: list[list[str | None]] = [[]]
    place = 0
    while place < len(text):
        cell = CSV_CELL.match(text, place)
        assert cell, text[place : place + 80]
        quoted, plain, end = cell.groups()
        records[-1].append(quoted.replace('""', '"') if quoted is not None else plain or None)
        if end == "\n":
            records.append([])
        place = cell.end()
    assert records.pop() == []
    head = [str(name) for name in records[0]]
    return [dict(zip(head, record, strict=True)) for record in records[1:]]


def postgresql_rows(file: Path) -> dict[str, list[Row]]:
    return _inserted(file.read_text(encoding="utf-8"), POSTGRESQL_TEXT)


def mariadb_rows(file: Path) -> dict[str, list[Row]]:
    """Cells as text; a binary one as `X'...'`. A backslash is gone, and what follows it stays."""
    rows = _inserted(file.read_text(encoding="utf-8"), MARIADB_TEXT)
    for row in (row for some in rows.values() for row in some):
        row.update({name: text and re.sub(r"\\(.)", r"\1", text) for name, text in row.items()})
    return rows


def _inserted(sql: str, quoted_text: str) -> dict[str, list[Row]]:
    value = re.compile(rf"(?:{quoted_text}|([-.\w]+|X'[0-9a-f]*'))(,|\),\n\(|\);\n)", re.DOTALL)
    tables: dict[str, list[Row]] = {}
    place = 0
    while insert := INSERT.search(sql, place):
        assert "\nINSERT" not in sql[place : insert.start()]
        place, end = insert.end(), ","
        cells: list[str | None] = []
        while not end.endswith(";\n"):
            cell = value.match(sql, place)
            assert cell, sql[place : place + 80]
            text, plain, end = cell.groups()
            cells.append(text.replace("''", "'") if plain is None else None if plain == "NULL" else plain)
            place = cell.end()
        names = insert[2].split(",")
        assert len(cells) % len(names) == 0
        rows = (cells[start : start + len(names)] for start in range(0, len(cells), len(names)))
        tables.setdefault(insert[1], []).extend(dict(zip(names, row, strict=True)) for row in rows)
    return tables


def in_older_shape(rows: Iterable[Row]) -> list[Row]:
    """Rows of the newer shape as the older one should hold them."""
    return [{name: _older(name, cell) for name, cell in row.items() if name not in NEWER_COLUMNS} for row in rows]


NEWER_COLUMNS = ("activebool", "fulltext")


def _older(name: str, cell: str | None) -> str | None:
    if cell is None:
        return None
    if name == "special_features":
        return ",".join(re.findall(r'[^{},"]+', cell))
    if name == "picture":
        return f"X'{cell[2:]}'"
    if name == "active":
        return {"t": "1", "f": "0"}.get(cell, cell)
    return cell.removesuffix("+00") if name.endswith(("_date", "last_update")) else cell
