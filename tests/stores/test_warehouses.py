"""Loads of real servers: what does not fit is refused, what is cut off converges, nothing of anybody's is harmed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession

from etl_spark.core.errors import EtlError, SchemaError, UsageError
from etl_spark.core.forget import Customer
from etl_spark.core.local import local_frame
from etl_spark.pipelines.churn.tables import CUSTOMER_CATEGORY_DAILY
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, FACT_SALES
from tests.databases import Server
from tests.fault_proxy import FaultProxy, Moment, fault_proxy, mariadb_statements, redshift_statements
from tests.stores.shop import ALL, EXTREMES, KINDS, PRODUCT, Row, Shop, new_shop

pytestmark = pytest.mark.default_spark


@pytest.fixture(params=KINDS)
def shop(request: pytest.FixtureRequest, spark: SparkSession, databases: Mapping[str, Server], bucket: str) -> Shop:
    return new_shop(request.param, spark, databases, bucket)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("mysql", {}),
        ("mysql", {"driver": "mysql"}),
        ("redshift_copy", {}),
        ("redshift_copy", {"format": "csv"}),
        ("redshift_jdbc", {}),
    ],
)
def test_every_value_survives(
    spark: SparkSession, databases: Mapping[str, Server], bucket: str, kind: str, settings: Mapping[str, Any]
) -> None:
    shop = new_shop(kind, spark, databases, bucket)
    shop.write(*EXTREMES, **settings)
    plain = [
        tuple(value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row) for row in EXTREMES
    ]
    assert sorted(shop.rows("SELECT * FROM product"), key=str) == sorted(plain, key=str)


def test_a_missing_table_is_made_and_every_load_is_in_the_ledger(shop: Shop) -> None:
    shop.write(("a",), ("b",))
    shop.write(("b",))
    assert shop.codes() == ["b"]
    assert shop.rows("SELECT run_id, table_name, replaced, row_count FROM etl_load ORDER BY loaded_at") == [
        ("run-1", "product", "true", 2),
        ("run-1", "product", "true", 1),
    ]
    assert shop.staging() == []


def test_views_and_grants_survive(shop: Shop) -> None:
    shop.write(("a", 1), ("b", 2))
    reader = f"reader_{shop.name}" + ("@'127.0.0.1'" if shop.kind == "mysql" else "")
    shop.run(f"CREATE VIEW dear AS SELECT code FROM product; CREATE USER {reader}; GRANT SELECT ON product TO {reader}")
    shop.write(("a", 7), ("c", 3))
    assert shop.rows("SELECT code FROM dear ORDER BY code") == [("a",), ("c",)]
    granted = "SELECT grantee FROM information_schema.table_privileges WHERE table_name = 'product'"
    assert [who for (who,) in shop.rows(granted) if f"reader_{shop.name}" in who]


def test_what_cannot_be_held_is_refused_with_an_example(shop: Shop) -> None:
    shop.write(("z",))
    for row, complaint in (
        (("a", 1, None, None, float("nan")), "product was not loaded: share cannot hold 'NaN'"),
        (("a", 1, None, None, float("-inf")), "product was not loaded: share cannot hold '-Infinity'"),
        (("x" * 21,), f"product was not loaded: code holds 20 characters, not '{'x' * 21}'"),
    ):
        with pytest.raises(SchemaError, match=complaint):
            shop.write(("b",), row)
    assert shop.codes() == ["z"]


def test_rows_outside_of_the_scope_are_refused(
    spark: SparkSession, databases: Mapping[str, Server], bucket: str
) -> None:
    shop = new_shop("mysql", spark, databases, bucket)
    columns = tuple(replace(one, nullable=one.nullable and one.name != "since") for one in PRODUCT.columns)
    by_day = replace(PRODUCT, grain=("code", "since"), replaces=("since",), columns=columns)
    row = ("a", 1, None, None, None, None, date(2022, 4, 2))
    with pytest.raises(SchemaError, match=r"a row outside of what is to be replaced, 'a'"):
        shop.store().write(shop.frame(row, table=by_day), by_day, ({"since": date(2022, 4, 1)},))


SWAP = {
    "mysql": (
        "SELECT GET_LOCK",
        "SELECT 1 FROM `etl_load`",
        "DELETE FROM",
        "INSERT INTO `product`",
        "INSERT INTO `etl_load`",
        "COMMIT",
    ),
    "redshift_jdbc": (
        "LOCK TABLE",
        'SELECT 1 FROM "etl_load"',
        "DELETE FROM",
        'INSERT INTO "product"',
        'INSERT INTO "etl_load"',
        "COMMIT",
    ),
}
"""The statements of a swap, which is the same for both ways into Redshift; the first is no other's."""

BEFORE_THE_SWAP = {
    "mysql": ("CREATE TABLE IF NOT EXISTS `etl_staging", "START TRANSACTION", "SELECT COUNT(*)"),
    "redshift_copy": (
        'CREATE TABLE IF NOT EXISTS "etl_staging',
        'SELECT 1 FROM "etl_staging',
        "COPY",
        "SELECT COUNT(*)",
    ),
    "redshift_jdbc": ('INSERT INTO "etl_staging',),
}


@pytest.fixture(scope="module")
def proxied(
    spark: SparkSession, databases: Mapping[str, Server], bucket: str
) -> Iterator[Mapping[str, tuple[Shop, FaultProxy]]]:
    with (
        through_a_proxy(new_shop("mysql", spark, databases, bucket)) as mysql,
        through_a_proxy(new_shop("redshift_copy", spark, databases, bucket)) as copy,
    ):
        yield {
            "mysql": mysql,
            "redshift_copy": copy,
            "redshift_jdbc": (replace(copy[0], kind="redshift_jdbc"), copy[1]),
        }


@contextmanager
def through_a_proxy(shop: Shop) -> Iterator[tuple[Shop, FaultProxy]]:
    statements = mariadb_statements if shop.kind == "mysql" else redshift_statements
    shop.write(("old",))
    with fault_proxy(shop.server.host, shop.server.port, statements=statements) as proxy:
        yield shop.through(proxy.port), proxy


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("kind", "statement"), [(kind, one) for kind, all_of in SWAP.items() for one in all_of])
def test_a_connection_that_is_lost_in_the_swap_changes_nothing(
    proxied: Mapping[str, tuple[Shop, FaultProxy]], kind: str, statement: str, moment: Moment
) -> None:
    shop, proxy = proxied[kind]
    loads = shop.loads()
    proxy.cut_once(statement, moment, since=SWAP[kind][0])
    shop.write(("a",), ("b",))
    assert [one.startswith(statement) for one in proxy.cut[-1:]] == [True]
    assert shop.codes() == ["a", "b"]
    assert shop.loads() == loads + 1
    shop.write(("c",))
    assert (shop.codes(), shop.staging()) == (["c"], [])


@pytest.mark.parametrize("kind", SWAP)
def test_a_server_that_is_back_a_little_after_a_lost_commit_is_asked_what_became_of_it(
    proxied: Mapping[str, tuple[Shop, FaultProxy]], kind: str
) -> None:
    shop, proxy = proxied[kind]
    loads = shop.loads()
    proxy.cut_once("COMMIT", "after", since=SWAP[kind][0], away=2.5)
    shop.write(("d",))
    assert (shop.codes(), shop.loads()) == (["d"], loads + 1)


@pytest.mark.parametrize(
    ("kind", "statement"), [(kind, one) for kind, all_of in BEFORE_THE_SWAP.items() for one in all_of]
)
def test_a_connection_that_is_lost_before_the_swap_changes_nothing(
    proxied: Mapping[str, tuple[Shop, FaultProxy]], kind: str, statement: str
) -> None:
    shop, proxy = proxied[kind]
    before = shop.codes()
    proxy.cut_once(statement, "after")
    try:
        shop.write(("a",), ("b",))
    except EtlError as error:
        assert "product was not loaded: " in str(error)
        assert shop.codes() == before
    else:
        # Spark has tried the task once more.
        assert shop.codes() == ["a", "b"]
    assert proxy.cut[-1].startswith(statement)
    shop.write(("c",))
    assert (shop.codes(), shop.staging()) == (["c"], [])


def test_staging_of_dead_loads_is_swept_and_that_of_live_ones_is_not(shop: Shop) -> None:
    shop.run("CREATE TABLE etl_staging_dead (a int); CREATE TABLE etl_staging_live (a int)")
    with shop.server.connect(shop.name) as other:
        cursor = other.cursor()
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 FROM etl_staging_live")
        shop.write(("a",))
        assert shop.staging() == ["etl_staging_live"]
        cursor.execute("COMMIT")
    shop.write(("a",))
    assert shop.staging() == []


@pytest.mark.parametrize("kind", ["mysql", "redshift_copy"])
def test_a_staging_table_that_another_load_took_for_abandoned_is_made_anew(
    proxied: Mapping[str, tuple[Shop, FaultProxy]], kind: str
) -> None:
    shop, proxy = proxied[kind]
    dropped: list[str] = []

    def drop() -> None:
        dropped.extend(shop.staging())
        shop.run(f"DROP TABLE {dropped[0]}")

    proxy.meanwhile("SELECT 1 FROM " + ('"', "`")[kind == "mysql"] + "etl_staging", drop)
    shop.write(("e",))
    assert len(dropped) == 1
    assert (shop.codes(), shop.staging()) == (["e"], [])


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
    assert shop.loads() == 3
    assert shop.staging() == []


LOCK = {
    "mysql": "SELECT GET_LOCK(SHA2(CONCAT('etl_spark ', DATABASE(), ' product'), 224), 0)",
    "redshift": "LOCK TABLE etl_load",
}


def test_a_load_waits_for_another_one_no_longer_than_it_was_told(shop: Shop) -> None:
    shop.write(("a",))
    with shop.server.connect(shop.name) as other:
        cursor = other.cursor()
        cursor.execute("BEGIN")
        cursor.execute(LOCK[shop.kind.partition("_")[0]])
        with pytest.raises(EtlError, match=r"another run is loading.* to end"):
            shop.write(("b",), lock_seconds=1)
        cursor.execute("COMMIT")
    assert shop.codes() == ["a"]


@pytest.mark.parametrize("kind", ["mysql", "redshift_jdbc"])
def test_a_customer_is_forgotten_and_what_was_sold_stays(
    spark: SparkSession, databases: Mapping[str, Server], bucket: str, kind: str
) -> None:
    shop = new_shop(kind, spark, databases, bucket)
    store = shop.store()
    assert store.forget(DIM_CUSTOMER, Customer("C'1", 7)) == 0
    day = date(2024, 4, 1)
    customers = [(key, name, *[None] * 7) for key, name in ((7, "C'1"), (8, "C'12"), (-1, "(unknown)"))]
    sales = [(day, one, f"I{one}", "O1", key, 1, 20240401, 1, 2, 2, False) for one, key in enumerate((7, 8, -1, 7))]
    for table, rows in ((DIM_CUSTOMER, customers), (FACT_SALES, sales)):
        store.write(local_frame(spark, rows, table.schema), table, ALL)
    for counts in ([2, 1], [0, 0]):
        assert [store.forget(table, Customer("C'1", 7)) for table in (FACT_SALES, DIM_CUSTOMER)] == counts
    assert shop.rows("SELECT customer_id FROM dim_customer ORDER BY 1") == [("(unknown)",), ("C'12",)]
    assert shop.rows("SELECT customer_key FROM fact_sales ORDER BY sales_key") == [(-1,), (8,), (-1,), (-1,)]
    store.verify_forgetful([CUSTOMER_CATEGORY_DAILY])
    with shop.store().session() as session:
        store.prepare(session, CUSTOMER_CATEGORY_DAILY)
    with pytest.raises(UsageError, match="has customer_category_daily"):
        store.verify_forgetful([CUSTOMER_CATEGORY_DAILY])
