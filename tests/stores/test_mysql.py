"""Loads of a real MariaDB: what only MySQL and MariaDB have. What all warehouses have is in test_warehouses.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from etl_spark.config import Credentials
from etl_spark.core.errors import EtlError, SchemaError
from etl_spark.core.sinks import MySqlSink
from etl_spark.stores.mysql import LOADING_RIGHTS, MySql
from tests.databases import Server
from tests.fault_proxy import fault_proxy
from tests.stores.shop import ALL, EXTREMES, PRODUCT, Shop, own_name

pytestmark = pytest.mark.default_spark

OURS = "table_schema = DATABASE() AND table_name = 'product'"


@pytest.fixture
def shop(spark: SparkSession, databases: Mapping[str, Server]) -> Shop:
    server, name = databases["mariadb"], own_name("shop")
    server.create(name)
    return Shop("mysql", spark, server, name, "")


def test_rows_go_by_the_driver_where_the_server_takes_no_files(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a cluster, too: the choice is turned, and the way is real."""
    shop.write(*EXTREMES)
    as_files = sorted(shop.rows("SELECT * FROM product"), key=str)
    monkeypatch.setattr(MySql, "_takes_files", lambda self, spark: False)
    shop.write(*EXTREMES)
    assert sorted(shop.rows("SELECT * FROM product"), key=str) == as_files
    assert len(as_files) == len(EXTREMES)


def test_what_the_server_would_change_on_its_way_from_a_file_is_refused(
    shop: Shop, spark: SparkSession, tmp_path: Path
) -> None:
    """With LOCAL it only warns."""
    shop.write(("a",))
    shop.run("CREATE TABLE etl_staging_x LIKE product; ALTER TABLE etl_staging_x DROP PRIMARY KEY")
    file = tmp_path / "a folder" / "rows"
    file.parent.mkdir()
    file.write_text("\t".join(["x" * 30, *["\\N"] * (len(PRODUCT.columns) - 1)]) + "\n")
    store = shop.store()
    assert isinstance(store, MySql)
    with pytest.raises(EtlError, match="product was not loaded: Data truncated for column 'code'"):
        store._load_file(spark, PRODUCT, "etl_staging_x", file)
    shop.run("DROP TABLE etl_staging_x")


def test_a_table_is_made_with_comments(shop: Shop) -> None:
    shop.write(("a",))
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


def test_indexes_and_foreign_keys_survive(shop: Shop) -> None:
    shop.write(("a", 1), ("b", 2))
    shop.run(
        "CREATE INDEX by_order ON product (`order`);"
        "CREATE TABLE sale (id int PRIMARY KEY, code varchar(20) COLLATE utf8mb4_bin, CONSTRAINT sold_product "
        "FOREIGN KEY (code) REFERENCES product (code) ON DELETE CASCADE);"
        "INSERT INTO sale VALUES (1, 'a'), (2, 'a'), (3, NULL)"
    )
    shop.write(("a", 7), ("c", 3))
    assert shop.codes() == ["a", "c"]
    assert len(shop.rows("SHOW INDEX FROM product WHERE key_name = 'by_order'")) == 1
    assert shop.rows("SELECT count(*) FROM sale") == [(3,)]
    complaint = "the foreign key sold_product would not hold: sale refers to a, which product does not have"
    with pytest.raises(EtlError, match=complaint):
        shop.write(("c", 4))
    assert shop.codes() == ["a", "c"]
    assert shop.staging() == []


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
