"""Loads of the Redshift stand-in: what only Redshift has. What all warehouses have is in test_warehouses.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from pyspark.sql import SparkSession

from etl_spark.config import Credentials
from etl_spark.core.errors import EtlError, SchemaError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.sinks import RedshiftSink
from etl_spark.stores.redshift import Redshift
from tests.databases import Server
from tests.fault_proxy import fault_proxy, redshift_statements
from tests.stores.shop import ALL, PRODUCT, ROLE, Row, Shop, new_shop

pytestmark = pytest.mark.default_spark


@pytest.fixture(params=["redshift_copy", "redshift_jdbc"])
def shop(request: pytest.FixtureRequest, spark: SparkSession, databases: Mapping[str, Server], bucket: str) -> Shop:
    return new_shop(request.param, spark, databases, bucket)


@pytest.fixture
def by_driver(spark: SparkSession, databases: Mapping[str, Server]) -> Shop:
    return new_shop("redshift_jdbc", spark, databases, "")


@pytest.fixture
def by_copy(spark: SparkSession, databases: Mapping[str, Server], bucket: str) -> Shop:
    return new_shop("redshift_copy", spark, databases, bucket)


def objects(shop: Shop) -> list[str]:
    files = FileSystem(shop.spark, f"{shop.bucket}/{shop.name}")
    return [file.path for file in files.files(files.root)]


def test_a_table_is_made_with_comments(by_driver: Shop) -> None:
    by_driver.write(("a",))
    assert by_driver.rows("SELECT obj_description('product'::regclass), col_description('product'::regclass, 1)") == [
        (PRODUCT.doc, "the seller's code")
    ]


def test_a_table_that_differs_is_left_alone_and_the_alters_shown_would_mend_it(by_driver: Shop) -> None:
    by_driver.run(
        'CREATE TABLE product (code varchar(80) NOT NULL, "order" int, price decimal(38,4), sold bigint, share double '
        "precision, is_new boolean, since date, name varchar(10), extra int, PRIMARY KEY (code))"
    )
    with pytest.raises(SchemaError, match="nothing was loaded") as raised:
        by_driver.write(("a",))
    said = str(raised.value)
    assert 'product name is varchar(10), not varchar(64000): ALTER TABLE "product" ALTER COLUMN "name" TYPE' in said
    assert 'product has a column extra of its own: ALTER TABLE "product" DROP COLUMN "extra"' in said
    assert 'product has no column seen_at TIMESTAMP: ALTER TABLE "product" ADD COLUMN "seen_at" TIMESTAMP' in said
    assert by_driver.codes() == []
    with by_driver.store().session() as session:
        for part in said.partition("nothing was loaded: ")[2].split("; product "):
            session.run(part.partition(": ")[2])
    by_driver.write(("a",))
    assert by_driver.codes() == ["a"]


@pytest.mark.parametrize(
    ("settings", "row", "complaint"),
    [
        ({}, ("b\0c",), r"code cannot hold 'b\\x00c'"),
        ({"format": "csv"}, ("",), "code cannot hold ''"),
    ],
)
def test_text_that_redshift_does_not_know_is_refused_with_an_example(
    by_copy: Shop, settings: Mapping[str, str], row: Row, complaint: str
) -> None:
    by_copy.write(("z",))
    with pytest.raises(SchemaError, match=complaint):
        by_copy.write(("b",), row, **settings)
    assert by_copy.codes() == ["z"]


def test_text_of_more_bytes_than_redshift_takes_is_refused_with_an_example(shop: Shop) -> None:
    columns = tuple(replace(one, type="VARCHAR(20000)") if one.name == "name" else one for one in PRODUCT.columns)
    longer = replace(PRODUCT, columns=columns)
    fits, does_not = ("a", *(None,) * 7, "x" * 20_000), ("b", *(None,) * 7, "😀" * 16_384)
    shop.store().write(shop.frame(fits, table=longer), longer, ALL)
    with pytest.raises(SchemaError, match="name holds 65535 bytes, not '😀"):
        shop.store().write(shop.frame(fits, does_not, table=longer), longer, ALL)
    assert shop.codes() == ["a"]


def test_no_object_is_left_in_s3(by_copy: Shop) -> None:
    by_copy.write(("a",))
    assert objects(by_copy) == []
    by_copy.run("ALTER TABLE product ADD CONSTRAINT no_b CHECK (code <> 'b')")
    with pytest.raises(EtlError):
        by_copy.write(("b",))
    assert (objects(by_copy), by_copy.codes()) == ([], ["a"])
    by_copy.run("CREATE TABLE etl_staging_dead (a int)")
    FileSystem(by_copy.spark, f"{by_copy.bucket}/{by_copy.name}").write_text(
        f"{by_copy.bucket}/{by_copy.name}/etl_staging_dead/data/part", "x"
    )
    assert len(objects(by_copy)) == 1
    by_copy.run("ALTER TABLE product DROP CONSTRAINT no_b")
    by_copy.write(("b",))
    assert (objects(by_copy), by_copy.staging()) == ([], [])


def test_the_documented_rights_suffice_and_each_is_needed(shop: Shop) -> None:
    name, password = f"least_{shop.name}", "pass-word"
    shop.run(f"REVOKE ALL ON SCHEMA public FROM PUBLIC; CREATE USER {name} PASSWORD '{password}'")
    least = replace(shop, server=replace(shop.server, user=name, password=password))
    for lacking in ("USAGE", "CREATE"):
        shop.run(f"GRANT USAGE, CREATE ON SCHEMA public TO {name}; REVOKE {lacking} ON SCHEMA public FROM {name}")
        with pytest.raises(EtlError, match=r"permission denied|no schema has been selected") as raised:
            least.write(("a",))
        assert password not in str(raised.value)
    shop.run(f"GRANT USAGE, CREATE ON SCHEMA public TO {name}")
    for code in "ab":
        least.write((code,))
    assert (least.codes(), least.staging()) == (["b"], [])


def test_tls_is_required_of_every_other_machine(by_driver: Shop) -> None:
    """A server by an address that is not known to be this machine's; the stand-in has no TLS."""
    with fault_proxy(by_driver.server.host, by_driver.server.port, "127.0.0.2", redshift_statements) as proxy:
        user = Credentials(by_driver.server.user, by_driver.server.password)
        url = f"jdbc:redshift://127.0.0.2:{proxy.port}/{by_driver.name}"
        with pytest.raises(EtlError, match=r"cannot connect to .*does not support SSL"):
            Redshift(RedshiftSink(url, way="jdbc"), user, "run", by_driver.spark).verify()
        Redshift(RedshiftSink(f"{url}?sslmode=disable", way="jdbc"), user, "run", by_driver.spark).verify()


def test_who_is_not_let_in_is_told_so_in_one_line_without_the_password(by_driver: Shop) -> None:
    with pytest.raises(EtlError, match=r"cannot connect to jdbc:redshift://.*password authentication failed") as raised:
        by_driver.store(Credentials(by_driver.server.user, "geheim")).verify()
    assert "geheim" not in str(raised.value)
    assert "\n" not in str(raised.value)
    nowhere = RedshiftSink("jdbc:redshift://127.0.0.1:1/shop", way="jdbc")
    with pytest.raises(EtlError, match=r"cannot connect to jdbc:redshift://127\.0\.0\.1:1/shop: .*refused"):
        Redshift(nowhere, Credentials("etl", "geheim"), "run", by_driver.spark).verify()


def test_a_place_in_s3_that_is_not_there_is_said_at_once(by_copy: Shop) -> None:
    sink = RedshiftSink(by_copy.server.url(by_copy.name), temporary="s3a://not-there/x", iam_role=ROLE)
    user = Credentials(by_copy.server.user, by_copy.server.password)
    with pytest.raises(EtlError, match="not-there"):
        Redshift(sink, user, "run", by_copy.spark).verify()
