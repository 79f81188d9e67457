"""Loads of a real MariaDB: what users added survives, what does not fit is refused, what is cut off converges."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_spark.config import Credentials
from etl_spark.core.errors import EtlError, SchemaError
from etl_spark.core.sinks import MySqlSink
from etl_spark.core.table import Column, Scope, Table
from etl_spark.stores.mysql import LOADING_RIGHTS, MySql
from tests.databases import Server
from tests.fault_proxy import FaultProxy, Moment, fault_proxy

pytestmark = pytest.mark.default_spark

PRODUCT = Table(
    name="product",
    doc="One row per code; it's a test's.",
    columns=(
        Column("code", "VARCHAR(20)", "the seller's code"),
        Column("order", "INT", "a reserved word", nullable=True),
        Column("price", "DECIMAL(38,4)", "", nullable=True),
        Column("sold", "BIGINT", "", nullable=True),
        Column("share", "DOUBLE", "", nullable=True),
        Column("is_new", "BOOLEAN", "", nullable=True),
        Column("since", "DATE", "", nullable=True),
        Column("seen_at", "TIMESTAMP", "", nullable=True),
        Column("name", "VARCHAR(16000)", "", nullable=True),
    ),
    grain=("code",),
    replaces=(),
)
ALL: Scope = ({},)
OURS = "table_schema = DATABASE() AND table_name = 'product'"
NUMBERS = count()

Row = tuple[Any, ...]


@dataclass
class Shop:
    """A database of its own, and a store on it."""

    spark: SparkSession
    server: Server
    name: str
    store: MySql

    def write(self, *rows: Row, table: Table = PRODUCT) -> None:
        self.store.write(self.frame(*rows, table=table), table, ALL)

    def frame(self, *rows: Row, table: Table = PRODUCT) -> DataFrame:
        full = [row + (None,) * (len(table.columns) - len(row)) for row in rows]
        return self.spark.createDataFrame(full, table.schema)

    def rows(self, sql: str = "SELECT * FROM product ORDER BY code") -> list[Row]:
        return self.server.rows(sql, self.name)

    def codes(self) -> list[str]:
        return [code for (code,) in self.rows("SELECT code FROM product ORDER BY code")]

    def run(self, sql: str) -> None:
        self.server.run(sql, self.name)

    def staging(self) -> list[str]:
        return [name for (name,) in self.rows("SHOW TABLES LIKE 'etl\\_staging%'")]


def store_on(server: Server, name: str, **settings: Any) -> MySql:
    return MySql(MySqlSink(server.url(name), **settings), Credentials(server.user, server.password), "run-1")


@pytest.fixture
def shop(spark: SparkSession, databases: Mapping[str, Server]) -> Shop:
    server = databases["mariadb"]
    name = f"shop{next(NUMBERS)}"
    server.create(name)
    return Shop(spark, server, name, store_on(server, name))


EXTREMES: list[Row] = [
    ("a", 1, Decimal("9" * 34 + ".9999"), 2**63 - 1, 1.5, True, date(1, 1, 1), datetime(1, 1, 1, tzinfo=UTC), "😀" * 9),
    ("A", -1, Decimal("-" + "9" * 34 + ".9999"), -(2**63), -0.1, False, date(9999, 12, 31), None, "\\N"),
    ("á", None, None, None, None, None, None, datetime(2022, 3, 27, 2, 30, 0, 1, tzinfo=UTC), "'\"\\`;--\n\t\r\x00"),
    (
        "b",
        0,
        Decimal("0.0001"),
        0,
        1e300,
        None,
        date(1582, 10, 10),
        datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
        "",
    ),
    ("c", None, None, None, None, None, date(1969, 12, 31), datetime(1969, 12, 31, 23, 59, 59, 1, UTC), "x" * 16_000),
]


@pytest.mark.parametrize("driver", ["mariadb", "mysql"])
def test_every_value_survives(shop: Shop, driver: str) -> None:
    store = store_on(shop.server, shop.name, driver=driver)
    store.write(shop.frame(*EXTREMES), PRODUCT, ALL)
    plain = [
        tuple(value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row) for row in EXTREMES
    ]
    assert sorted(shop.rows(), key=str) == sorted(plain, key=str)


def test_a_missing_table_is_made_as_defined_and_every_load_is_in_the_ledger(shop: Shop) -> None:
    shop.write(("a",), ("b",))
    shop.write(("b",))
    assert shop.codes() == ["b"]
    assert shop.rows("SELECT run_id, table_name, replaced, row_count FROM etl_load ORDER BY loaded_at") == [
        ("run-1", "product", "true", 2),
        ("run-1", "product", "true", 1),
    ]
    assert shop.staging() == []
    ((made,),) = shop.rows(f"SELECT table_comment FROM information_schema.tables WHERE {OURS}")
    assert made == PRODUCT.doc
    comments: dict[str, str] = dict(
        shop.rows(f"SELECT column_name, column_comment FROM information_schema.columns WHERE {OURS}")
    )
    assert comments["code"] == "the seller's code"


def test_a_table_that_differs_is_left_alone_and_the_alters_shown_would_mend_it(shop: Shop) -> None:
    shop.run(
        "CREATE TABLE product (code varchar(10) CHARACTER SET latin1 NOT NULL, `order` int, price decimal(38,4), "
        "sold int, share double, is_new tinyint(1), since date NOT NULL, seen_at datetime(6), extra int)"
    )
    with pytest.raises(SchemaError, match="nothing was loaded") as raised:
        shop.write(("a",))
    said = str(raised.value)
    assert "product code is varchar(10) collate latin1_swedish_ci not null, not varchar(20) collate utf8mb4_bin" in said
    assert "product has a column extra of its own: ALTER TABLE `product` DROP COLUMN `extra`;" in said
    assert "product sold is int, not bigint: ALTER TABLE `product` MODIFY COLUMN `sold` BIGINT" in said
    assert "product has the primary key none, not code" in said
    assert shop.codes() == []
    for part in said.partition("nothing was loaded: ")[2].split("; product "):
        shop.run(part.partition(": ")[2])
    shop.write(("a",))
    assert shop.codes() == ["a"]


def test_what_users_added_survives(shop: Shop) -> None:
    shop.write(("a", 1), ("b", 2))
    shop.run(
        "CREATE INDEX by_order ON product (`order`); CREATE VIEW dear AS SELECT code FROM product;"
        "CREATE TABLE sale (id int PRIMARY KEY, code varchar(20) COLLATE utf8mb4_bin, CONSTRAINT sold_product "
        "FOREIGN KEY (code) REFERENCES product (code) ON DELETE CASCADE);"
        "INSERT INTO sale VALUES (1, 'a'), (2, 'a'), (3, NULL)"
    )
    shop.write(("a", 7), ("c", 3))
    assert shop.rows("SELECT code FROM dear ORDER BY code") == [("a",), ("c",)]
    assert len(shop.rows("SHOW INDEX FROM product WHERE key_name = 'by_order'")) == 1
    assert shop.rows("SELECT count(*) FROM sale") == [(3,)]
    complaint = "the foreign key sold_product would not hold: sale refers to a, which product does not have"
    with pytest.raises(EtlError, match=complaint):
        shop.write(("c", 4))
    assert shop.codes() == ["a", "c"]
    assert shop.staging() == []


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (("a", 1, None, None, float("nan")), "product was not loaded: share cannot hold 'NaN'"),
        (("a", 1, None, None, float("-inf")), "product was not loaded: share cannot hold '-Infinity'"),
        (("x" * 21,), f"product was not loaded: code holds 20 characters, not '{'x' * 21}'"),
    ],
)
def test_what_cannot_be_held_is_refused_with_an_example(shop: Shop, row: Row, complaint: str) -> None:
    shop.write(("z",))
    with pytest.raises(SchemaError, match=complaint):
        shop.write(("b",), row)
    assert shop.codes() == ["z"]


def test_rows_outside_of_the_scope_are_refused(shop: Shop) -> None:
    by_day = replace(
        PRODUCT,
        grain=("code", "since"),
        replaces=("since",),
        columns=tuple(
            replace(column, nullable=column.nullable and column.name != "since") for column in PRODUCT.columns
        ),
    )
    row = ("a", 1, None, None, None, None, date(2022, 4, 2))
    with pytest.raises(SchemaError, match=r"a row outside of what is to be replaced, 'a'"):
        shop.store.write(shop.frame(row, table=by_day), by_day, ({"since": date(2022, 4, 1)},))


STATEMENTS = (
    "SELECT GET_LOCK",
    "SELECT 1 FROM `etl_load`",
    "DELETE FROM",
    "INSERT INTO `product`",
    "INSERT INTO `etl_load`",
    "COMMIT",
)


@pytest.fixture(scope="module")
def proxied(spark: SparkSession, databases: Mapping[str, Server]) -> Iterator[tuple[Shop, FaultProxy]]:
    server = databases["mariadb"]
    server.create("cut_off")
    with fault_proxy(server.host, server.port) as proxy:
        behind = replace(server, port=str(proxy.port))
        yield Shop(spark, server, "cut_off", store_on(behind, "cut_off")), proxy


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_connection_that_is_lost_in_the_swap_changes_nothing(
    proxied: tuple[Shop, FaultProxy], statement: str, moment: Moment
) -> None:
    shop, proxy = proxied
    shop.write(("old",))
    loads = len(shop.rows("SELECT 1 FROM etl_load"))
    proxy.cut_once(statement, moment, since="SELECT GET_LOCK")
    shop.write(("a",), ("b",))
    assert [one.startswith(statement) for one in proxy.cut[-1:]] == [True]
    assert shop.codes() == ["a", "b"]
    assert len(shop.rows("SELECT 1 FROM etl_load")) == loads + 1
    shop.write(("c",))
    assert shop.staging() == []


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE IF NOT EXISTS `etl_staging", "START TRANSACTION", "SELECT COUNT(*)"]
)
def test_a_connection_that_is_lost_before_the_swap_changes_nothing(
    proxied: tuple[Shop, FaultProxy], statement: str
) -> None:
    shop, proxy = proxied
    shop.write(("old",))
    proxy.cut_once(statement, "after")
    with pytest.raises(EtlError, match="product was not loaded: "):
        shop.write(("a",), ("b",))
    assert shop.codes() == ["old"]
    shop.write(("c",))
    assert (shop.codes(), shop.staging()) == (["c"], [])


def test_staging_of_dead_loads_is_swept_and_that_of_live_ones_is_not(shop: Shop) -> None:
    shop.run("CREATE TABLE etl_staging_dead (a int); CREATE TABLE etl_staging_live (a int)")
    with shop.server.connect(shop.name) as other:
        other.begin()
        other.cursor().execute("SELECT 1 FROM etl_staging_live")
        shop.write(("a",))
        assert shop.staging() == ["etl_staging_live"]
    shop.write(("a",))
    assert shop.staging() == []


def test_a_staging_table_that_another_load_took_for_abandoned_is_made_anew(proxied: tuple[Shop, FaultProxy]) -> None:
    shop, proxy = proxied
    shop.write(("old",))
    dropped: list[str] = []

    def drop() -> None:
        dropped.extend(shop.staging())
        shop.run(f"DROP TABLE {dropped[0]}")

    proxy.meanwhile("SELECT 1 FROM `etl_staging", drop)
    shop.write(("a",))
    assert len(dropped) == 1
    assert (shop.codes(), shop.staging()) == (["a"], [])


def test_two_loads_at_once_end_as_one_after_the_other(shop: Shop) -> None:
    shop.write(("a",))
    versions = [tuple((f"{name}{n}",) for n in range(300)) for name in "xy"]
    failures: list[BaseException] = []

    def write(rows: tuple[Row, ...]) -> None:
        try:
            shop.write(*rows)
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(rows,)) for rows in versions]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    assert [(code,) for code in shop.codes()] in [sorted(rows) for rows in versions]
    assert len(shop.rows("SELECT 1 FROM etl_load")) == 3


def test_a_load_waits_for_another_one_no_longer_than_it_was_told(shop: Shop) -> None:
    shop.write(("a",))
    with shop.server.connect(shop.name) as other:
        other.cursor().execute("SELECT GET_LOCK(SHA2(CONCAT('etl_spark ', DATABASE(), ' product'), 224), 0)")
        with pytest.raises(EtlError, match="another run is loading product: wait for it to end"):
            store_on(shop.server, shop.name, lock_seconds=1).write(shop.frame(("b",)), PRODUCT, ALL)
    assert shop.codes() == ["a"]


def test_the_documented_rights_suffice_and_each_is_needed(shop: Shop) -> None:
    user = Credentials(f"least_{shop.name}", "pass-word")
    who, rights = f"{user.user}@'127.0.0.1'", ", ".join(LOADING_RIGHTS)
    shop.run(f"CREATE USER {who} IDENTIFIED BY '{user.password}'")
    store = MySql(MySqlSink(shop.server.url(shop.name)), user, "run")
    for lacking in LOADING_RIGHTS:
        shop.run(f"GRANT {rights} ON {shop.name}.* TO {who}; REVOKE {lacking} ON {shop.name}.* FROM {who}")
        with pytest.raises(EtlError, match=f"(?i){lacking} command denied|Access denied") as raised:
            # Staging that cannot be dropped is for the next load to complain of.
            for _ in range(2):
                store.write(shop.frame(("a",)), PRODUCT, ALL)
        assert user.password not in str(raised.value)
    shop.run(f"GRANT {rights} ON {shop.name}.* TO {who}")
    for codes in (("a",), ("b",)):
        store.write(shop.frame(codes), PRODUCT, ALL)
    assert (shop.codes(), shop.staging()) == (["b"], [])


@pytest.mark.parametrize(
    ("driver", "options"),
    [("mariadb", "sslMode=verify-full&serverSslCert={}"), ("mariadb", "sslMode=trust"), ("mysql", "sslMode=trust")],
)
def test_a_load_over_tls(shop: Shop, driver: str, options: str) -> None:
    user = Credentials(f"tls_{shop.name}", "pass-word")
    shop.run(f"CREATE USER {user.user}@'127.0.0.1' IDENTIFIED BY '{user.password}' REQUIRE SSL")
    shop.run(f"GRANT {', '.join(LOADING_RIGHTS)} ON {shop.name}.* TO {user.user}@'127.0.0.1'")
    url = f"{shop.server.url(shop.name)}?{options.format(shop.server.certificate)}"
    MySql(MySqlSink(url, driver=driver), user, "run").write(shop.frame(("a",)), PRODUCT, ALL)  # type: ignore[arg-type]
    assert shop.codes() == ["a"]
    with pytest.raises(EtlError, match="cannot connect to"):
        MySql(MySqlSink(shop.server.url(shop.name)), user, "run").verify()
    unknown = f"{shop.server.url(shop.name)}?sslMode=verify-full"
    with pytest.raises(EtlError, match="certificate verify failed"):
        MySql(MySqlSink(unknown), user, "run").verify()


def test_tls_is_required_of_every_other_machine(shop: Shop) -> None:
    """A server by an address that is not known to be this machine's."""
    user = Credentials(shop.server.user, shop.server.password)
    with fault_proxy(shop.server.host, shop.server.port, "127.0.0.2") as proxy:
        url = f"jdbc:mysql://127.0.0.2:{proxy.port}/{shop.name}"
        for options, complaint in (
            ("", "certificate verify failed"),
            (f"?serverSslCert={shop.server.certificate}", "IP address mismatch"),
        ):
            with pytest.raises(EtlError, match=complaint):
                MySql(MySqlSink(url + options), user, "run").verify()
        for options in (f"?serverSslCert={shop.server.certificate}&sslMode=verify-ca", "?sslMode=disable"):
            MySql(MySqlSink(url + options), user, "run").write(shop.frame(("a",)), PRODUCT, ALL)
    assert shop.codes() == ["a"]


def test_who_is_not_let_in_is_told_so_in_one_line_without_the_password(shop: Shop) -> None:
    sink = MySqlSink(shop.server.url(shop.name))
    with pytest.raises(EtlError, match=r"cannot connect to jdbc:mysql://.*Access denied") as raised:
        MySql(sink, Credentials(shop.server.user, "geheim"), "run").verify()
    assert "geheim" not in str(raised.value)
    assert "\n" not in str(raised.value)
    nowhere = MySqlSink("jdbc:mysql://127.0.0.1:1/shop")
    with pytest.raises(EtlError, match=r"cannot connect to jdbc:mysql://127\.0\.0\.1:1/shop: Can't connect"):
        MySql(nowhere, Credentials("etl", "geheim"), "run").verify()
