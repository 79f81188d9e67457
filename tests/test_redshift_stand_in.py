"""scripts/redshift_stand_in.py: Redshift's rules, as a client sees them that speaks PostgreSQL's protocol."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg import errors

from tests.databases import Server, s3_client

STAND_IN = Path(__file__).parents[1] / "scripts" / "redshift_stand_in.py"
BUCKET = "etl-spark"
ROLE = "IAM_ROLE 'arn:aws:iam::123456789012:role/Reader'"
PARQUET = f"{ROLE} FORMAT AS PARQUET"
CSV = f"{ROLE} FORMAT AS CSV"

Rows = list[tuple[Any, ...]]

pytestmark = pytest.mark.default_spark


class Warehouse:
    """A connection to a database of the stand-in, each statement a transaction of its own."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def rows(self, sql: str, **options: Any) -> Rows:
        cursor = self.connection.execute(sql.encode(), **options)
        return cursor.fetchall() if cursor.description else []

    def run(self, *statements: str) -> None:
        for sql in statements:
            self.rows(sql)

    def columns(self, table: str) -> Rows:
        return self.rows(
            "SELECT column_name, data_type, character_maximum_length, is_nullable FROM information_schema.columns "
            f"WHERE table_name = '{table}' ORDER BY ordinal_position"
        )


@dataclass(frozen=True)
class S3:
    client: Any

    def put(self, key: str, content: bytes | str) -> int:
        """The size of the object made."""
        data = content.encode() if isinstance(content, str) else content
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)
        return len(data)

    def put_parquet(self, key: str, table: pa.Table, **options: Any) -> int:
        file = io.BytesIO()
        pq.write_table(table, file, **options)
        return self.put(key, file.getvalue())

    def put_manifest(self, key: str, *entries: Mapping[str, Any]) -> None:
        self.put(key, json.dumps({"entries": entries}))


def entry(key: str, size: int | None = None, mandatory: bool = True) -> dict[str, Any]:
    meta = {} if size is None else {"meta": {"content_length": size}}
    return {"url": f"s3://{BUCKET}/{key}", "mandatory": mandatory, **meta}


@pytest.fixture(scope="module")
def server(databases: Mapping[str, Server]) -> Server:
    databases["redshift"].create("stand_in")
    return databases["redshift"]


@pytest.fixture
def warehouse(server: Server) -> Iterator[Warehouse]:
    """An empty database."""
    with server.connect("stand_in") as connection:
        opened = Warehouse(connection)
        for (table,) in opened.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"):
            opened.run(f'DROP TABLE "{table}"')
        yield opened


@pytest.fixture(scope="module")
def s3(databases: Mapping[str, Server]) -> S3:
    return S3(s3_client(databases["s3"]))


@contextmanager
def another(server: Server) -> Iterator[Warehouse]:
    with server.connect("stand_in") as connection:
        yield Warehouse(connection)


# Who comes in


def test_login(server: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        replace(server, password="wrong").connect("stand_in")
    with pytest.raises(psycopg.OperationalError, match='database "nowhere" does not exist'):
        server.connect("nowhere")


def test_start_up_parameters_that_postgresql_does_not_know_are_dropped(server: Server) -> None:
    given = {"user": server.user, "database": "stand_in", "driver_version": "Redshift JDBC 2", "application_name": "x"}
    packed = b"".join(f"{name}\0{value}\0".encode() for name, value in given.items()) + b"\0"
    with socket.create_connection((server.host, int(server.port))) as client:
        client.sendall(struct.pack("!ii", 8, 80877103))
        assert client.recv(1) == b"N"
        client.sendall(struct.pack("!ii", len(packed) + 8, 196608) + packed)
        # Redshift's driver knows no SCRAM: the password is asked for as it is.
        assert client.recv(100) == b"R" + struct.pack("!ii", 8, 3)


def test_a_statement_is_cancelled(warehouse: Warehouse) -> None:
    timer = threading.Timer(0.5, warehouse.connection.cancel_safe)
    timer.start()
    with pytest.raises(errors.QueryCanceled):
        warehouse.rows("SELECT pg_sleep(20)")
    timer.join()
    warehouse.run("SET statement_timeout TO 100")
    with pytest.raises(errors.QueryCanceled):
        warehouse.rows("SELECT pg_sleep(20)")
    assert warehouse.rows("SELECT 1") == [(1,)]


@pytest.mark.parametrize("garbage", [b"", b"\0\0", b"\0\0\0\1\0\0\0\1", b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 70_000])
def test_a_client_that_goes_away_or_talks_nonsense_disturbs_nobody(server: Server, garbage: bytes) -> None:
    with socket.create_connection((server.host, int(server.port))) as client:
        client.sendall(garbage)
    with another(server) as warehouse:
        assert warehouse.rows("SELECT 1") == [(1,)]


# Statements


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN; LOCK t; LOCK TABLE t; COMMIT",
        "SET statement_timeout TO 60000",
        "SET timezone TO 'UTC'",
        "COMMENT ON TABLE t IS 'ON CONFLICT; RETURNING'",
        "COMMENT ON COLUMN t.a IS 'it''s'",
        "INSERT INTO t SELECT a, b FROM t",
        "DELETE FROM t WHERE a = 1",
        "TRUNCATE t",
        "DROP TABLE t",
        "ALTER TABLE t DROP COLUMN b",
        "ALTER TABLE t RENAME TO u",
        "SELECT 1; -- nothing comes; after this",
        "/* SERIAL */ SELECT 1;;",
        "",
    ],
)
def test_statements_that_both_know(warehouse: Warehouse, sql: str) -> None:
    warehouse.run("CREATE TABLE t (a int, b varchar(10))", sql)


@pytest.mark.parametrize("options", [{}, {"prepare": True}], ids=["simple", "prepared"])
@pytest.mark.parametrize(
    ("sql", "error", "complaint"),
    [
        ("TRUNCATE t", errors.ActiveSqlTransaction, "TRUNCATE commits"),
        (
            "ALTER TABLE t ALTER COLUMN b TYPE VARCHAR(11)",
            errors.ActiveSqlTransaction,
            "cannot run inside a transaction block",
        ),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", errors.SyntaxError, 'at or near "ON"'),
        ("INSERT INTO t VALUES (1) RETURNING a", errors.SyntaxError, 'at or near "RETURNING"'),
        ("LOCK TABLE t IN EXCLUSIVE MODE", errors.SyntaxError, 'at or near "IN"'),
        ("CREATE UNIQUE INDEX i ON t (a)", errors.FeatureNotSupported, "CREATE INDEX"),
        ("CREATE TABLE u (a SERIAL)", errors.UndefinedObject, 'type "serial" does not exist'),
        ("CREATE TABLE u (a int CHECK (a > 0))", errors.SyntaxError, 'at or near "CHECK"'),
        ("CREATE TABLE u (a int", errors.SyntaxError, "end of input"),
        ("CREATE TABLE u (a int) TABLESPACE x", errors.SyntaxError, 'at or near "TABLESPACE"'),
        ("CREATE TABLE u (a varchar(65536))", errors.InvalidParameterValue, "length 65536 .* at most 65535"),
        ("CREATE TABLE u (a decimal(39,2))", errors.InvalidParameterValue, r"DECIMAL\(39,2\)"),
        ("CREATE TABLE u (a int) DISTKEY (b)", errors.UndefinedColumn, 'DISTKEY column "b" does not exist'),
        ("CREATE TABLE u (a int) SORTKEY (a, b)", errors.UndefinedColumn, 'SORTKEY column "b" does not exist'),
        ("CREATE TABLE u (a int) DISTSTYLE ALL DISTKEY (a)", errors.InvalidTableDefinition, "one DISTKEY"),
        ("ALTER TABLE t ADD COLUMN c int NOT NULL", errors.FeatureNotSupported, "non-null default"),
        ("ALTER TABLE t ALTER COLUMN b SET NOT NULL", errors.SyntaxError, 'at or near "SET"'),
        ("SAVEPOINT s", errors.FeatureNotSupported, "savepoints"),
        ("COPY t FROM STDIN", errors.SyntaxError, 'at or near "STDIN"'),
        ("COPY t TO '/tmp/x'", errors.SyntaxError, 'at or near "TO"'),
    ],
)
def test_a_refused_statement_fails_its_transaction(
    warehouse: Warehouse, sql: str, error: type[Exception], complaint: str, options: dict[str, Any]
) -> None:
    warehouse.run("CREATE TABLE t (a int, b varchar(10))", "BEGIN", "INSERT INTO t VALUES (1)")
    with pytest.raises(error, match=complaint):
        warehouse.rows(sql, **options)
    with pytest.raises(errors.InFailedSqlTransaction):
        warehouse.rows("SELECT 1")
    warehouse.run("COMMIT")
    assert warehouse.rows("SELECT * FROM t") == []


def test_a_refused_statement_with_parameters(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE t (a int)")
    with pytest.raises(errors.SyntaxError, match='at or near "ON"'):
        warehouse.rows("INSERT INTO t VALUES (%s) ON CONFLICT DO NOTHING", params=(1,))


def test_of_several_statements_none_is_done_if_one_is_refused(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE t (a int)")
    for sql in ("INSERT INTO t VALUES (1); CREATE INDEX i ON t (a)", "BEGIN; INSERT INTO t VALUES (1); TRUNCATE t"):
        with pytest.raises((errors.FeatureNotSupported, errors.ActiveSqlTransaction)):
            warehouse.run(sql)
    assert warehouse.rows("SELECT * FROM t") == []
    with warehouse.connection.pipeline(), pytest.raises(errors.ActiveSqlTransaction):
        for sql in ("BEGIN", "INSERT INTO t VALUES (1)", "TRUNCATE t", "COMMIT"):
            warehouse.connection.execute(sql.encode())
        warehouse.connection.execute(b"SELECT 1").fetchall()
    warehouse.run("ROLLBACK")
    assert warehouse.rows("SELECT * FROM t") == []


def test_clocks(warehouse: Warehouse) -> None:
    ((now, start, text),) = warehouse.rows("""SELECT GETDATE(), sysdate, 'GETDATE()' AS "SYSDATE" """)
    for clock in (now, start):
        assert abs(clock - datetime.now(UTC).replace(tzinfo=None)).total_seconds() < 60
    assert (now.microsecond, text) == (0, "GETDATE()")
    warehouse.run("CREATE TABLE t (a int, at timestamp DEFAULT GETDATE() NOT NULL)", "INSERT INTO t VALUES (1)")
    assert warehouse.rows("SELECT count(at) FROM t WHERE at <= GETDATE()") == [(1,)]


def test_names_are_in_small_letters_also_where_they_are_quoted(warehouse: Warehouse) -> None:
    warehouse.run('CREATE TABLE "Tab Le" ("Order" int)', 'INSERT INTO "TAB LE" ("ORDER") VALUES (1)')
    cursor = warehouse.connection.execute(b'SELECT "oRDER" AS "An Order" FROM "tab lE"')
    assert (cursor.fetchall(), [column.name for column in cursor.description or ()]) == ([(1,)], ["an order"])


def test_a_backslash_in_a_literal_is_an_escape(warehouse: Warehouse) -> None:
    assert warehouse.rows(r"SELECT 'a\\b\';', 'c'") == [("a\\b';", "c")]


def test_a_transaction_sees_the_data_as_they_were_when_it_began_to_read(server: Server, warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)", "BEGIN")
    assert warehouse.rows("SELECT a FROM t") == [(1,)]
    with another(server) as other:
        other.run("UPDATE t SET a = 2")
    assert warehouse.rows("SELECT a FROM t") == [(1,)]
    with pytest.raises(errors.SerializationFailure):
        warehouse.run("DELETE FROM t")


# Definitions


def test_create_table(warehouse: Warehouse) -> None:
    sql = """CREATE TABLE IF NOT EXISTS "T" (
        "Day" DATE NOT NULL, a VARCHAR(5) ENCODE zstd NOT NULL DEFAULT 'x', b TEXT, c VARCHAR(MAX), d VARCHAR,
        e DECIMAL, f DECIMAL(38,2) DEFAULT 1.5 + (2 * 3), g DOUBLE PRECISION, h INT8, i TIMESTAMP, j TIMESTAMPTZ,
        k VARBYTE(10), l CHARACTER VARYING(7), m BOOL, n REAL, o CHAR(2), PRIMARY KEY ("day", A)
    ) DISTSTYLE KEY DISTKEY ("a") COMPOUND SORTKEY ("day", "A")"""
    warehouse.run(sql, sql)
    text = "character varying"
    assert warehouse.columns("t") == [
        ("day", "date", None, "NO"),
        ("a", text, 5, "NO"),
        ("b", text, 256, "YES"),
        ("c", text, 65535, "YES"),
        ("d", text, 256, "YES"),
        ("e", "numeric", None, "YES"),
        ("f", "numeric", None, "YES"),
        ("g", "double precision", None, "YES"),
        ("h", "bigint", None, "YES"),
        ("i", "timestamp without time zone", None, "YES"),
        ("j", "timestamp with time zone", None, "YES"),
        ("k", "bytea", None, "YES"),
        ("l", text, 7, "YES"),
        ("m", "boolean", None, "YES"),
        ("n", "real", None, "YES"),
        ("o", "character", 2, "YES"),
    ]
    scales = "SELECT numeric_precision, numeric_scale FROM information_schema.columns WHERE table_name = 't'"
    assert warehouse.rows(f"{scales} AND data_type = 'numeric' ORDER BY 1") == [(18, 0), (38, 2)]
    warehouse.run("INSERT INTO t (day) VALUES ('2022-04-01')")
    assert warehouse.rows("SELECT a, f FROM t") == [("x", Decimal("7.50"))]


@pytest.mark.parametrize("placing", ["DISTSTYLE AUTO SORTKEY AUTO", "DISTSTYLE EVEN INTERLEAVED SORTKEY (a)", ""])
def test_tables_of_queries_and_temporary_tables(warehouse: Warehouse, placing: str) -> None:
    warehouse.run("CREATE TABLE t (a int DISTKEY SORTKEY)", "INSERT INTO t VALUES (1), (2)")
    warehouse.run(f"CREATE TEMP TABLE u {placing} AS SELECT a FROM t WHERE a >= 2")
    assert warehouse.rows("SELECT a FROM u") == [(2,)]


@pytest.mark.parametrize("made", ["CREATE TABLE t (a VARCHAR(4))", "CREATE TABLE t (LIKE u)"])
def test_a_varchar_counts_bytes(warehouse: Warehouse, made: str) -> None:
    warehouse.run("CREATE TABLE u (a VARCHAR(4))", made, "INSERT INTO t VALUES ('abcd'), ('😀'), (NULL)")
    for long in ("żabc", "😀a", "abcde"):
        with pytest.raises(errors.StringDataRightTruncation, match="value too long"):
            warehouse.run(f"INSERT INTO t VALUES ('{long}')")
    assert warehouse.rows("SELECT count(*) FROM t") == [(3,)]


def test_a_varchar_is_made_longer_and_nothing_else(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE t (k VARCHAR(4) NOT NULL, a VARCHAR(4), i INT, PRIMARY KEY (k))")
    warehouse.run("ALTER TABLE t ALTER COLUMN a TYPE VARCHAR(8)", "INSERT INTO t VALUES ('k', '😀😀')")
    with pytest.raises(errors.StringDataRightTruncation):
        warehouse.run("INSERT INTO t VALUES ('k', '😀😀a')")
    warehouse.run("ALTER TABLE t RENAME COLUMN a TO b", 'ALTER TABLE t ALTER "B" TYPE VARCHAR(12)')
    warehouse.run("UPDATE t SET b = '😀😀😀'")
    for column, kind, complaint in (
        ("b", "VARCHAR(11)", "cannot be made shorter"),
        ("b", "INT", "only the size of a VARCHAR"),
        ("i", "BIGINT", "only the size of a VARCHAR"),
        ("k", "VARCHAR(8)", "is in a key"),
    ):
        with pytest.raises(errors.FeatureNotSupported, match=complaint):
            warehouse.run(f"ALTER TABLE t ALTER COLUMN {column} TYPE {kind}")
    with pytest.raises(errors.UndefinedColumn):
        warehouse.run("ALTER TABLE t ALTER COLUMN x TYPE VARCHAR(8)")
    with pytest.raises(errors.UndefinedTable):
        warehouse.run("ALTER TABLE nowhere ALTER COLUMN x TYPE VARCHAR(8)")


def test_a_column_is_added(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE t (a INT)", "ALTER TABLE t ADD COLUMN b VARCHAR(2) NOT NULL DEFAULT 'x' ENCODE lzo")
    warehouse.run("ALTER TABLE t ADD c TEXT", "INSERT INTO t VALUES (1, 'ż', 'c')")
    assert warehouse.columns("t")[1:] == [("b", "character varying", 2, "NO"), ("c", "character varying", 256, "YES")]
    with pytest.raises(errors.StringDataRightTruncation):
        warehouse.run("UPDATE t SET b = 'żż'")


def test_a_primary_key_is_there_and_is_taken_for_granted(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE t (a INT NOT NULL, b INT UNIQUE, PRIMARY KEY (a))", "INSERT INTO t VALUES (1, 1)")
    warehouse.run("INSERT INTO t VALUES (1, 1)", "ALTER TABLE t RENAME TO u", "INSERT INTO u VALUES (1, 1)")
    assert warehouse.rows("SELECT a, b FROM u WHERE a = 1") == [(1, 1)] * 3
    keys = "SELECT column_name FROM information_schema.key_column_usage WHERE table_name = 'u' ORDER BY 1"
    assert warehouse.rows(keys) == [("a",), ("b",)]
    with pytest.raises(errors.NotNullViolation):
        warehouse.run("INSERT INTO u VALUES (NULL)")


def test_primary_keys_hold_where_a_table_is_not_redshifts(databases: Mapping[str, Server]) -> None:
    with databases["postgresql"].connect("etl") as connection:
        connection.execute("CREATE TEMP TABLE t (a INT PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(errors.UniqueViolation):
            connection.execute("INSERT INTO t VALUES (1)")


def test_another_user_makes_tables(server: Server, warehouse: Warehouse) -> None:
    warehouse.run("CREATE USER maker PASSWORD 'a-maker'", "GRANT USAGE, CREATE ON SCHEMA public TO maker")
    try:
        with another(replace(server, user="maker", password="a-maker")) as maker:
            maker.run("CREATE TABLE t (a INT, PRIMARY KEY (a))", "INSERT INTO t VALUES (1), (1)", "DROP TABLE t")
    finally:
        warehouse.run("REVOKE ALL ON SCHEMA public FROM maker", "DROP USER maker")


# COPY of Parquet

EVERY_TYPE: Mapping[str, tuple[pa.DataType, Sequence[Any]]] = {
    "smallint": (pa.int32(), (1, -32768, None)),
    "integer": (pa.int32(), (1, -(2**31), None)),
    "bigint": (pa.int64(), (2**63 - 1, -(2**63), None)),
    "decimal(38,4)": (pa.decimal128(38, 4), (Decimal("9" * 34 + ".9999"), Decimal("-0.0001"), None)),
    "decimal(18,2)": (pa.decimal128(18, 2), (Decimal("0.10"), Decimal("0.00"), None)),
    "varchar(40)": (pa.string(), ("", "\\N", None)),
    "varchar(41)": (pa.string(), ("NULL", "a\n\\.\nb", None)),
    "varchar(42)": (pa.large_string(), ("'\"\\`;--,\n\t\r\n", "😀" * 10, None)),
    "varchar(43)": (pa.string(), ('"', '""', "")),
    "text": (pa.string(), ("\\.", "é" * 128, None)),
    "boolean": (pa.bool_(), (True, False, None)),
    "double precision": (pa.float64(), (1e300, 5e-324, None)),
    "float": (pa.float64(), (0.1, -0.0, None)),
    "real": (pa.float32(), (0.5, -1024.25, None)),
    "date": (pa.date32(), (date(1, 1, 1), date(9999, 12, 31), None)),
    "timestamp": (pa.timestamp("us"), (datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), None)),
    "timestamp without time zone": (
        pa.timestamp("us", "UTC"),
        (datetime(1969, 12, 31, 23, 59, 59, 1), datetime(2022, 3, 27, 2, 30), None),
    ),
    "varbyte(10)": (pa.binary(), (b"", b"\x00\xff\\x0", None)),
}


def test_values_survive_a_copy(warehouse: Warehouse, s3: S3) -> None:
    names = [f"c{place}" for place in range(len(EVERY_TYPE))]
    rows = list(zip(*(values for _, values in EVERY_TYPE.values()), strict=True))
    arrays = [pa.array(values, kind) for kind, values in EVERY_TYPE.values()]
    s3.put_parquet("types/1", pa.Table.from_arrays(arrays, names=["another name"] * len(names)))
    warehouse.run(f"CREATE TABLE t ({', '.join(' '.join(one) for one in zip(names, EVERY_TYPE, strict=True))})")
    warehouse.run(f"COPY t FROM 's3://{BUCKET}/types/' {PARQUET}")
    assert warehouse.rows("SELECT * FROM t ORDER BY c0 NULLS FIRST") == [rows[2], rows[1], rows[0]]


def test_nanoseconds_and_int96(warehouse: Warehouse, s3: S3) -> None:
    warehouse.run("CREATE TABLE t (at timestamp)")
    moments = pa.table({"at": pa.array([1_000_001_999], pa.timestamp("ns"))})
    s3.put_parquet("nanoseconds/1", moments)
    s3.put_parquet("nanoseconds/2", moments, use_deprecated_int96_timestamps=True)
    warehouse.run(f"COPY t FROM 's3://{BUCKET}/nanoseconds/' {PARQUET}")
    assert warehouse.rows("SELECT * FROM t") == [(datetime(1970, 1, 1, 0, 0, 1, 1),)] * 2


@pytest.mark.parametrize(
    ("column", "array", "complaint"),
    [
        ("bigint", pa.array([1], pa.int32()), 'column "b" is bigint, and "y" in .* is int32'),
        ("integer", pa.array([1], pa.int64()), 'column "b" is integer'),
        ("decimal(18,2)", pa.array([Decimal("1.25")], pa.decimal128(18, 3)), 'column "b" is numeric'),
        ("decimal(18,2)", pa.array([1.25]), 'column "b" is numeric'),
        ("varchar(10)", pa.array([1], pa.int32()), 'column "b" is character varying'),
        ("varchar(10)", pa.array([b"x"]), 'column "b" is character varying'),
        ("double precision", pa.array([1], pa.float32()), 'column "b" is double precision'),
        ("real", pa.array([1.5]), 'column "b" is real'),
        ("date", pa.array(["2022-04-01"]), 'column "b" is date'),
        ("date", pa.array([date(2022, 4, 1)], pa.date64()).cast(pa.timestamp("us")), 'column "b" is date'),
        ("timestamp", pa.array([0], pa.timestamp("ms")), 'column "b" is timestamp'),
        ("boolean", pa.array([1], pa.int32()), 'column "b" is boolean'),
        ("varchar(4)", pa.array(["abcd", "żabc"]), 'column "b" takes 4 bytes, and a text in .* has 5'),
        ("varchar(4)", pa.array(["a\0b"]), 'column "b": .* NUL'),
        ("varbyte(2)", pa.array([b"abc"]), 'value too long for column "b"'),
        ("smallint", pa.array([40_000], pa.int32()), "out of range for type smallint"),
        ("int not null", pa.array([None], pa.int32()), "null value"),
    ],
)
def test_what_does_not_fit_is_refused(
    warehouse: Warehouse, s3: S3, column: str, array: pa.Array, complaint: str
) -> None:
    s3.put_parquet("unfit", pa.table({"x": pa.array([1] * len(array), pa.int32()), "y": array}))
    warehouse.run(f"CREATE TABLE t (a int, b {column})", "BEGIN")
    with pytest.raises(psycopg.Error, match=complaint):
        warehouse.run(f"COPY t FROM 's3://{BUCKET}/unfit' {PARQUET}")
    with pytest.raises(errors.InFailedSqlTransaction):
        warehouse.run("SELECT 1")
    warehouse.run("ROLLBACK")
    assert warehouse.rows("SELECT * FROM t") == []


def test_columns_are_taken_by_position_and_counted(warehouse: Warehouse, s3: S3) -> None:
    s3.put_parquet("two", pa.table({"b": pa.array([1], pa.int32()), "a": pa.array([2], pa.int32())}))
    warehouse.run("CREATE TABLE t (a int, b int, c int)", f"COPY t (c, a) FROM 's3://{BUCKET}/two' {PARQUET}")
    assert warehouse.rows("SELECT a, b, c FROM t") == [(2, None, 1)]
    for columns in ("", "(a)"):
        with pytest.raises(errors.InternalError_, match=r"has 2 columns, and the table [13]"):
            warehouse.run(f"COPY t {columns} FROM 's3://{BUCKET}/two' {PARQUET}")
    with pytest.raises(errors.UndefinedColumn):
        warehouse.run(f"COPY t (a, x) FROM 's3://{BUCKET}/two' {PARQUET}")
    with pytest.raises(errors.UndefinedTable):
        warehouse.run(f"COPY nowhere FROM 's3://{BUCKET}/two' {PARQUET}")


def ints(*values: int) -> pa.Table:
    return pa.table({"a": pa.array(values, pa.int32())})


def test_a_path_is_a_prefix_and_a_manifest_is_none(warehouse: Warehouse, s3: S3) -> None:
    sizes = [s3.put_parquet(f"many/{number}", ints(number)) for number in range(3)]
    s3.put_manifest("manifest", entry("many/0", sizes[0]), entry("many/2", sizes[2]), entry("many/9", 1, False))
    warehouse.run("CREATE TABLE t (a int)", f"COPY t FROM 's3://{BUCKET}/many' {PARQUET}")
    assert warehouse.rows("SELECT a FROM t ORDER BY a") == [(0,), (1,), (2,)]
    warehouse.run("DELETE FROM t", f"COPY t FROM 's3://{BUCKET}/manifest' MANIFEST {PARQUET}")
    assert warehouse.rows("SELECT a FROM t ORDER BY a") == [(0,), (2,)]


@pytest.mark.parametrize(
    ("manifest", "complaint"),
    [
        ('{"entries": [{"url": "s3://etl-spark/one", "mandatory": true}]}', "content_length is missing"),
        (
            '{"entries": [{"url": "s3://etl-spark/one", "meta": {"content_length": 1}}]}',
            "content_length in the manifest is 1",
        ),
        (
            '{"entries": [{"url": "s3://etl-spark/gone", "mandatory": true, "meta": {"content_length": 1}}]}',
            "s3://etl-spark/gone does not exist",
        ),
        ('{"entries": [{"url": "s3://etl-spark/gone", "meta": {"content_length": 1}}]}', "does not exist"),
        ('{"entries": [{"url": "one", "meta": {"content_length": 1}}]}', "Problem reading manifest"),
        ('{"entries": []}', "does not exist"),
        ("{}", "Problem reading manifest"),
        ("[", "Problem reading manifest"),
        (None, "s3://etl-spark/bad does not exist"),
    ],
)
def test_manifests(warehouse: Warehouse, s3: S3, manifest: str | None, complaint: str) -> None:
    s3.put_parquet("one", ints(1))
    s3.client.delete_object(Bucket=BUCKET, Key="bad")
    if manifest is not None:
        s3.put("bad", manifest)
    warehouse.run("CREATE TABLE t (a int)")
    with pytest.raises(errors.InternalError_, match=complaint):
        warehouse.run(f"COPY t FROM 's3://{BUCKET}/bad' {PARQUET} MANIFEST")
    assert warehouse.rows("SELECT * FROM t") == []


def test_a_file_that_is_no_parquet(warehouse: Warehouse, s3: S3) -> None:
    s3.put("broken", "no Parquet at all")
    warehouse.run("CREATE TABLE t (a int)")
    with pytest.raises(errors.InternalError_, match=f"s3://{BUCKET}/broken cannot be read"):
        warehouse.run(f"COPY t FROM 's3://{BUCKET}/broken' {PARQUET}")


@pytest.mark.parametrize(
    "options",
    [
        "IAM_ROLE default FORMAT PARQUET",
        f"FORMAT AS PARQUET {ROLE}",
        "CREDENTIALS 'aws_iam_role=arn:aws:iam::123456789012:role/a/b' FORMAT PARQUET",
        "WITH CREDENTIALS AS 'aws_iam_role=arn:aws-cn:iam::123456789012:role/a,arn:aws-cn:iam::123456789012:role/b' "
        "FORMAT PARQUET",
    ],
)
def test_roles_that_are_taken(warehouse: Warehouse, s3: S3, options: str) -> None:
    s3.put_parquet("one", ints(1))
    warehouse.run("CREATE TABLE t (a int)", f"copy public.t from 's3://{BUCKET}/one' {options}")
    assert warehouse.rows("SELECT * FROM t") == [(1,)]


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ("FORMAT PARQUET", errors.InvalidAuthorizationSpecification, "needs an IAM_ROLE"),
        ("IAM_ROLE 'x' FORMAT PARQUET", errors.InvalidAuthorizationSpecification, "x is not the ARN"),
        (
            "CREDENTIALS 'aws_access_key_id=a;aws_secret_access_key=b' FORMAT PARQUET",
            errors.InvalidAuthorizationSpecification,
            "aws_iam_role",
        ),
        (ROLE, errors.FeatureNotSupported, "FORMAT PARQUET or CSV"),
        (f"{PARQUET} REGION 'us-east-1'", errors.FeatureNotSupported, "REGION argument is not supported for PARQUET"),
        (f"{PARQUET} COMPUPDATE OFF", errors.FeatureNotSupported, "COMPUPDATE argument"),
        (f"{PARQUET} STATUPDATE OFF", errors.FeatureNotSupported, "STATUPDATE argument"),
        (f"{PARQUET} GZIP", errors.FeatureNotSupported, "GZIP argument"),
        (f"{PARQUET} MANIFEST MANIFEST", errors.SyntaxError, "redundant"),
        (f"{PARQUET} FILLRECORD", errors.SyntaxError, 'at or near "FILLRECORD"'),
        (f"{PARQUET} x", errors.SyntaxError, 'at or near "x"'),
        (f"{CSV} DELIMITER 'ab'", errors.FeatureNotSupported, "single ASCII character"),
        (f"{CSV} DATEFORMAT 'DD'", errors.FeatureNotSupported, "'auto' only"),
        (f"{CSV} IGNOREHEADER 1.5", errors.SyntaxError, "1.5"),
        (f"{CSV} ENCODING UTF16", errors.SyntaxError, "UTF16"),
    ],
)
def test_options_of_copy_that_are_refused(
    warehouse: Warehouse, options: str, error: type[Exception], complaint: str
) -> None:
    warehouse.run("CREATE TABLE t (a int)")
    with pytest.raises(error, match=complaint):
        warehouse.run(f"COPY t FROM 's3://{BUCKET}/one' {options}")


# COPY of CSV

EVERY_OPTION = (
    "REGION AS 'eu-west-1' DATEFORMAT 'auto' TIMEFORMAT AS 'auto' ENCODING UTF8 COMPUPDATE OFF STATUPDATE OFF "
    r"NULL AS '\\N' DELIMITER ',' QUOTE AS '\"' IGNOREHEADER AS 1 GZIP"
)


def test_csv(warehouse: Warehouse, s3: S3) -> None:
    text = 'a,b,c,d,e,f\r\n1,"a ""b"",\n\r\n😀",true,2022-04-01,1.5,00ff\r\n,,,,,\n'
    text += '\\N,\\N,\\N,\\N,\\N,"\\N"\n2,NULL,0,,1e300,'
    s3.put("text/1", gzip.compress(text.encode()))
    s3.put("text/2", gzip.compress(b"a header\n"))
    warehouse.run("CREATE TABLE t (a bigint, b varchar(20), c boolean, d date, e float, f varbyte(9))")
    warehouse.run(f"COPY t FROM 's3://{BUCKET}/text/' {CSV} {EVERY_OPTION}")
    assert sorted(warehouse.rows("SELECT * FROM t"), key=str) == [
        (1, 'a "b",\n\r\n😀', True, date(2022, 4, 1), 1.5, b"\x00\xff"),
        (2, "NULL", False, None, 1e300, None),
        (None, "", None, None, None, None),
        (None, None, None, None, None, None),
    ]


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"1\n" * 1000)[:-9]], ids=["no gzip", "cut off"])
def test_gzip_that_is_broken(warehouse: Warehouse, s3: S3, content: bytes) -> None:
    s3.put("broken.gz", content)
    warehouse.run("CREATE TABLE t (a int)")
    with pytest.raises(errors.InternalError_, match=f"s3://{BUCKET}/broken.gz cannot be read"):
        warehouse.run(f"COPY t FROM 's3://{BUCKET}/broken.gz' {CSV} GZIP")
    assert warehouse.rows("SELECT * FROM t") == []


def test_blank_lines_of_one_column(warehouse: Warehouse, s3: S3) -> None:
    s3.put("blank", "1\n\n3\n")
    warehouse.run("CREATE TABLE t (a int)", f"COPY t FROM 's3://{BUCKET}/blank' {CSV}")
    assert warehouse.rows("SELECT * FROM t") == [(1,), (None,), (3,)]


def test_other_characters_in_csv(warehouse: Warehouse, s3: S3) -> None:
    s3.put("others", "1|'a|''b'\n2|none\n")
    warehouse.run("CREATE TABLE t (a int, b varchar(20))")
    warehouse.run(f"COPY t FROM 's3://{BUCKET}/others' {ROLE} CSV QUOTE '\\'' DELIMITER AS '|' NULL 'none'")
    assert warehouse.rows("SELECT * FROM t ORDER BY a") == [(1, "a|'b"), (2, None)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1,a\n2\n", "Expected 2 columns, got 1"),
        ("1,a\n2,b,c\n", "Expected 2 columns, got 3"),
        ('1,"a\n\nb"\n\n2,b\n', "a line without any field"),
        ("\n1,a\n", "a line without any field"),
        ("x,a\n", "invalid input syntax for type integer"),
        ("1,żabc\n", 'column "b" takes 4 bytes'),
        ("1,a\0\n", 'column "b": .* NUL'),
    ],
)
def test_csv_that_is_refused(warehouse: Warehouse, s3: S3, text: str, complaint: str) -> None:
    s3.put("bad.csv", text)
    warehouse.run("CREATE TABLE t (a int, b varchar(4))")
    with pytest.raises(psycopg.Error, match=complaint):
        warehouse.run(f"COPY t FROM 's3://{BUCKET}/bad.csv' {CSV}")
    assert warehouse.rows("SELECT * FROM t") == []


def test_a_boolean_in_csv(warehouse: Warehouse, s3: S3) -> None:
    warehouse.run("CREATE TABLE t (a boolean)")
    s3.put("yes", "yes\n")
    with pytest.raises(errors.InternalError_, match=r'column "a": .* no boolean'):
        warehouse.run(f"COPY t FROM 's3://{BUCKET}/yes' {CSV}")


# COPY and transactions


def test_a_copy_belongs_to_its_transaction(server: Server, warehouse: Warehouse, s3: S3) -> None:
    s3.put_parquet("one", ints(1))
    copy = f"COPY t FROM 's3://{BUCKET}/one' {PARQUET}"
    warehouse.run("BEGIN", "CREATE TABLE t (a int)", copy)
    assert warehouse.rows("SELECT * FROM t") == [(1,)]
    warehouse.run("ROLLBACK", "CREATE TABLE t (a int)", f"BEGIN; {copy}", copy)
    with another(server) as other:
        assert other.rows("SELECT * FROM t") == []
    warehouse.run("COMMIT")
    with another(server) as other:
        assert other.rows("SELECT * FROM t") == [(1,)] * 2


def test_a_copy_in_the_extended_protocol(warehouse: Warehouse, s3: S3) -> None:
    s3.put_parquet("one", ints(1))
    warehouse.run("CREATE TABLE t (a int)")
    copy = f"COPY t FROM 's3://{BUCKET}/one' {PARQUET}"
    for _ in range(3):
        assert warehouse.connection.execute(copy.encode(), prepare=True).statusmessage == "COPY 1"
    # One group of messages: a BEGIN, and the COPY.
    with warehouse.connection.pipeline():
        warehouse.connection.execute(b"BEGIN")
        copied = warehouse.connection.execute(copy.encode())
    assert (copied.statusmessage, copied.description) == ("COPY 1", None)
    warehouse.run("ROLLBACK")
    assert warehouse.rows("SELECT count(*) FROM t") == [(3,)]
    with pytest.raises(errors.InternalError_, match="gone"), warehouse.connection.pipeline():
        warehouse.connection.execute(b"BEGIN")
        warehouse.connection.execute(copy.replace("/one", "/gone").encode())
        warehouse.connection.execute(b"INSERT INTO t VALUES (2)")
    warehouse.run("ROLLBACK")
    assert warehouse.rows("SELECT count(*) FROM t") == [(3,)]


def test_a_connection_that_postgresql_ends_during_a_copy(
    server: Server, warehouse: Warehouse, s3: S3, databases: Mapping[str, Server]
) -> None:
    rows = 1_000_000
    s3.put_parquet("large", pa.table({f"c{n}": pa.array(range(rows), pa.int64()) for n in range(5)}))
    warehouse.run(f"CREATE TABLE t ({', '.join(f'c{n} bigint' for n in range(5))})")

    def end_it() -> None:
        with databases["postgresql"].connect("stand_in") as behind:
            while not behind.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_copy WHERE tuples_processed > 0"
            ).fetchall():
                time.sleep(0.02)

    ending = threading.Thread(target=end_it)
    ending.start()
    with pytest.raises(psycopg.OperationalError):
        warehouse.run(f"COPY t FROM 's3://{BUCKET}/large' {PARQUET}")
    ending.join()
    assert warehouse.connection.closed
    with another(server) as later:
        assert later.rows("SELECT count(*) FROM t") == [(0,)]


def test_a_postgresql_that_comes_later(databases: Mapping[str, Server]) -> None:
    s3, behind = databases["s3"], databases["postgresql"]
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    variables = {"PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": s3.user, "AWS_SECRET_ACCESS_KEY": s3.password}
    command = [sys.executable, str(STAND_IN), "--port", "0", "--postgresql", f"127.0.0.1:{port}"]
    command += ["--s3", f"http://{s3.host}:{s3.port}"]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as stand_in:
        assert stand_in.stdout
        words = stand_in.stdout.readline().split()
        assert words[:2] == ["listening", "on"]
        server = replace(behind, port=words[2])
        for _ in range(2):
            with pytest.raises(psycopg.OperationalError):
                server.connect("etl")
            with forwarded(port, (behind.host, int(behind.port))), server.connect("etl") as connection:
                assert connection.execute("SELECT 1").fetchall() == [(1,)]
        stand_in.terminate()


@contextmanager
def forwarded(port: int, target: tuple[str, int]) -> Iterator[None]:
    """One connection to `port` goes to `target`, while this lasts."""

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with listener.accept()[0] as client, socket.create_connection(target) as server:
            back = threading.Thread(target=pass_on, args=(server, client))
            back.start()
            pass_on(client, server)
            back.join()

    with closing(socket.create_server(("127.0.0.1", port))) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    "change",
    [
        lambda command: command[:-2],
        lambda command: [*command, "--more"],
    ],
)
def test_usage(change: Callable[[list[str]], list[str]]) -> None:
    command = [
        sys.executable,
        str(STAND_IN),
        "--port",
        "0",
        "--postgresql",
        "127.0.0.1:1",
        "--s3",
        "http://127.0.0.1:1",
    ]
    run = subprocess.run(change(command), env={"AWS_ACCESS_KEY_ID": "a"}, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr.startswith("usage: redshift_stand_in.py")) == (2, True)
