"""etl-spark forget: nothing names the customer any more, all sums are what they were, and the jobs run on."""

from __future__ import annotations

import base64
import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_spark.cli import main
from etl_spark.core.dates import DateRange
from etl_spark.core.errors import EtlError
from etl_spark.core.filesystem import FileSystem
from etl_spark.core.forget import Customer, is_merged, named_by, unknown_in, whole_word
from etl_spark.core.keys import surrogate_key
from etl_spark.core.local import local_frame
from etl_spark.core.table import MONEY, Scope, Table
from etl_spark.pipelines import all_tables
from etl_spark.pipelines.churn.generate import generate
from etl_spark.pipelines.churn.tables import CHURN_SCORING, SOCIAL_EVENT
from etl_spark.pipelines.rental.pipeline import RENTAL
from etl_spark.pipelines.rental.tables import DIM_RENTAL_CUSTOMER
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, FACT_SALES, RFM
from etl_spark.pipelines.viewing.pipeline import VIEWING
from etl_spark.stores.lake import Lake
from etl_spark.stores.records import RunRecord
from tests.databases import Server
from tests.leaks import written_in
from tests.short_jobs import activity_alone, star_alone

pytestmark = pytest.mark.default_spark

DAYS = DateRange(date(2024, 3, 30), date(2024, 3, 31))
SNAPSHOT = date(2024, 4, 1)
SALES_RUN = ("sales", "--start-date", str(DAYS.start), "--end-date", str(DAYS.end))
CHURN_RUN = ("churn", "--start-date", str(SNAPSHOT), "--end-date", str(SNAPSHOT), "--allow-missing-days")

OF_OTHER_PEOPLE = {*RENTAL.tables, *VIEWING.tables}
"""Tables of customers of other databases, which have ids of their own."""

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Person:
    id: str
    email: str
    name: str

    @property
    def words(self) -> tuple[str, ...]:
        return self.id, self.email, self.name


@dataclass(frozen=True)
class Shop:
    """An output of the sales and the churn job, the file of its place, and who is to be forgotten there."""

    spark: SparkSession
    output: Path
    place: Path
    person: Person

    def run(self, *arguments: str) -> int:
        return main([*arguments, "--output", str(self.output), "--config", str(self.place)])

    def forget(self) -> int:
        return self.run("forget", self.person.id, "--sink", "mysql")

    def lake(self) -> dict[Table, list[Row]]:
        """All rows of the tables of customers, and of the rental job's customers."""
        lake = Lake(self.spark, FileSystem(self.spark, str(self.output), EtlError))
        tables = [table for table in all_tables() if table.forgets or table is DIM_RENTAL_CUSTOMER]
        return {table: rows(lake.read(table, ({},))) for table in tables}


def rows(df: DataFrame) -> list[Row]:
    found = (tuple(bytes(one) if isinstance(one, bytearray) else one for one in row) for row in df.collect())
    return sorted(found, key=str)


@contextmanager
def short_jobs() -> Iterator[None]:
    """The jobs up to what later runs depend on."""
    with star_alone(), activity_alone():
        yield


@pytest.fixture(scope="module")
def shop(
    spark: SparkSession, databases: Mapping[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("forget")
    source, output, place = folder / "source", folder / "output", folder / "place.toml"
    generate(DAYS, source, seed=7, customers=12, products=6, orders_per_day=9, visits_per_day=4, posts_per_day=3)
    person = best_customer(source / "sales")
    spoil(source, person)
    server = databases["mariadb"]
    server.create("forget")
    place.write_text(
        f'[sales]\nsource = "{source / "sales"}"\nmax_rejected_share = 1.0\n'
        f'[churn]\nsource = "{source}"\nmax_rejected_share = 1.0\nexport_also = ["web_rejected"]\n'
        f'[sinks.mysql]\nurl = "{server.url("forget")}"\n'
    )
    shop = Shop(spark, output, place, person)
    write_more(shop)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.login("mysql").items():
            patch.setenv(name, value)
        with short_jobs():
            assert shop.run(*SALES_RUN, "--sink", "parquet", "--sink", "csv", "--sink", "mysql") == 0
            assert shop.run(*CHURN_RUN) == 0
        yield shop


def best_customer(source: Path) -> Person:
    """Who has the most orders."""
    with (source / "orders.csv").open(encoding="utf-8") as orders, (source / "customers.csv").open() as customers:
        ids = Counter(row["customer_id"] for row in csv.DictReader(orders))
        known = {row["customer_id"]: row for row in csv.DictReader(customers)}
    row = next(known[one] for one, _ in ids.most_common() if one in known and "@" in known[one]["email"])
    return Person(row["customer_id"], row["email"].strip(), row["name"].strip())


def spoil(source: Path, person: Person) -> None:
    """Adds lines that are turned away: some name the person, by id or address, one names another with a longer id."""
    with (source / "sales" / "customers.csv").open("a", encoding="utf-8") as stream:
        stream.write(f'{person.id},"{person.name}",{person.email},,,,2024-02-30\n,,{person.email},,,,\n')
    with (source / "web" / f"{DAYS.end:%Y%m%d}.json").open("a", encoding="utf-8") as stream:
        stream.writelines(f'{{"event_id":"X{id}","customer_id":"{id}"}}\n' for id in (person.id, f"{person.id}9"))


def write_more(shop: Shop) -> None:
    """What no run here writes: a post, results, a customer elsewhere with the same id, what a failed run tells of."""
    lake = Lake(shop.spark, FileSystem(shop.spark, str(shop.output), EtlError))
    write_row(lake, shop.spark, SOCIAL_EVENT, customer_id=shop.person.id, arrival_date=DAYS.end)
    write_row(lake, shop.spark, DIM_RENTAL_CUSTOMER, customer_id=shop.person.id)
    write_row(lake, shop.spark, CHURN_SCORING, customer_id=shop.person.id)
    (row,) = shop.spark.sql("SELECT :id AS id", {"id": shop.person.id}).select(surrogate_key("id")).collect()
    write_row(lake, shop.spark, RFM, customer_key=row[0])
    record = RunRecord(str(shop.output), "sales-1")
    told = f"such as: {shop.person.id},{shop.person.email}"
    record.save({"exit_code": 4, "error": told, "start_date": DAYS.start, "end_date": DAYS.end}, None)
    record.log.write_text(f'{{"message": "{told}"}}\n{{"message": "another line"}}\n')


def write_row(lake: Lake, spark: SparkSession, table: Table, **values: Any) -> None:
    of_type: dict[str, Any] = {"DATE": DAYS.end, "TIMESTAMP": datetime(2024, 3, 31, 12), "BOOLEAN": True}
    full = {one.name: of_type.get(one.type, "a" if one.length else 1) for one in table.columns} | values
    scope: Scope = ({name: full[name] for name in table.replaces},)
    df = local_frame(spark, [tuple(full.values())], table.schema)
    lake.write(table.conform(df), table, scope)


@dataclass(frozen=True)
class Outcome:
    """The tables before and after, what was written of the person before, and what the last record tells was found."""

    before: Mapping[Table, list[Row]]
    after: Mapping[Table, list[Row]]
    written: set[str]
    found: Mapping[tuple[str, str], int]


@pytest.fixture(scope="module")
def outcome(shop: Shop) -> Outcome:
    """Of a forget that died half-way, of a bug that told of the person, and was run again."""
    before, written = shop.lake(), written_in(shop.output, shop.person.words)
    whole_write = Lake.write

    def dies(lake: Lake, df: DataFrame, table: Table, scope: Scope) -> None:
        if table is FACT_SALES:
            raise RuntimeError(f"no room for {shop.person.id}")
        whole_write(lake, df, table, scope)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "write", dies)
        assert shop.forget() == 1
    (record,) = (shop.output / "_runs").glob("forget-*.json")
    assert "unexpected failure: no room for (forgotten)" in record.read_text()
    assert shop.forget() == 0
    last = max((shop.output / "_runs").glob("forget-*.json"), key=lambda file: file.stat().st_mtime_ns)
    found = {(Path(one["place"]).name, one["what"]): one["rows"] for one in json.loads(last.read_text())["found"]}
    return Outcome(before, shop.lake(), written, found)


def test_nothing_names_the_customer(shop: Shop, outcome: Outcome) -> None:
    assert outcome.written == set(shop.person.words)
    # The other shop's customer, and one whose id goes on.
    (shop.output / "lake" / DIM_RENTAL_CUSTOMER.name).rename(shop.output.parent / "rental")
    try:
        assert whole_words(shop.output, shop.person) == set()
        assert written_in(shop.output, [shop.person.email, shop.person.name]) == set()
    finally:
        (shop.output.parent / "rental").rename(shop.output / "lake" / DIM_RENTAL_CUSTOMER.name)
    assert written_in(shop.output, [f"{shop.person.id}9"])
    assert written_in(shop.output, ["another line"])


def whole_words(output: Path, person: Person) -> set[str]:
    """Which files have the id, as whole word, in their bytes, in rows of Parquet, or in the base64 of a CSV."""
    found = set()
    word = re.compile(whole_word([person.id]).encode())
    with duckdb.connect() as sql:
        for file in (file for file in output.rglob("*") if file.is_file()):
            content = file.read_bytes()
            if file.suffix == ".parquet":
                content += str(sql.execute("FROM read_parquet(?)", [str(file)]).fetchall()).encode()
            if file.suffix == ".csv":
                texts = re.findall(rb"(?:[A-Za-z0-9+/]{4}){5,}", content)
                content += b" ".join(map(base64.b64decode, texts))
            if word.search(content):
                found.add(str(file.relative_to(output)))
    return found


def test_all_that_is_of_others_is_as_before(shop: Shop, outcome: Outcome) -> None:
    ((key,),) = [row[:1] for row in outcome.before[DIM_CUSTOMER] if row[1] == shop.person.id]
    kinds = Counter[str]()
    for table, before in outcome.before.items():
        after = outcome.after[table]
        named = [row for row in before if {key, shop.person.id} & set(row) or names(row, shop.person)]
        if table is DIM_RENTAL_CUSTOMER:
            assert after == before
        elif table.forgets == "row":
            assert after == [row for row in before if row not in named]
        else:
            assert sums(table, after) == sums(table, before)
            column, unknown = unknown_in(table)
            place = table.column_names.index(column)
            nobody = (unknown.encode() if table.forgets == "line" and isinstance(unknown, str) else unknown,)
            expected = {(*row[:place], *nobody, *row[place + 1 :]) if row in named else row for row in before}
            if not is_merged(table):
                assert set(after) == expected
            assert {row for row in after if row[place] != nobody[0]} == {
                row for row in before if row not in named and row[place] != nobody[0]
            }
        kinds[table.forgets] += bool(named)
    assert kinds["row"] >= 4
    assert kinds["customer"] == 6
    assert kinds["line"] >= 2


def names(row: Row, person: Person) -> bool:
    lines = (value.decode("latin-1") for value in row if isinstance(value, bytes))
    return any(re.search(whole_word([person.id, person.email]), line) for line in lines)


def sums(table: Table, found: list[Row]) -> dict[str, Any]:
    """What the numbers of `table` add up to that are no keys; and how many rows there are, unless some became one."""
    columns = [
        (place, one.name)
        for place, one in enumerate(table.columns)
        if one.type in (MONEY, "BIGINT", "INT")
        and one.name not in (*table.grain, "customer_key")
        and not one.needs_name
    ]
    added = {name: sum(row[place] or 0 for row in found) for place, name in columns}
    return added if is_merged(table) else added | {"rows": len(found)}


def test_it_tells_what_it_found(shop: Shop, outcome: Outcome) -> None:
    (customer,) = (row for row in outcome.before[DIM_CUSTOMER] if row[1] == shop.person.id)
    lines = sum(row[FACT_SALES.column_names.index("customer_key")] == customer[0] for row in outcome.before[FACT_SALES])
    # The exports and the warehouse had been done when the first attempt died.
    assert outcome.found["lake", FACT_SALES.name] == lines
    assert ("parquet", FACT_SALES.name) not in outcome.found


def test_exports_and_warehouse_are_as_the_lake(shop: Shop, outcome: Outcome, databases: Mapping[str, Server]) -> None:
    for table in (DIM_CUSTOMER, FACT_SALES):
        loaded = databases["mariadb"].rows(f"SELECT customer_key FROM {table.name}", "forget")
        with duckdb.connect() as sql:
            for form in ("csv", "parquet"):
                files = f"read_{form}('{shop.output}/{form}/{table.name}/**/data.{form}', hive_partitioning = true)"
                exported = sql.execute(f"SELECT customer_key FROM {files}").fetchall()
                assert sorted(exported) == sorted(loaded)
        place = table.column_names.index("customer_key")
        assert sorted(loaded) == sorted((row[place],) for row in outcome.after[table])


def test_again_it_changes_nothing(shop: Shop, outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.run("forget", shop.person.id) == 0
    assert "nothing named the customer" in capsys.readouterr().out
    assert shop.lake() == outcome.after
    assert main(["forget", "(unknown)", "--output", str(shop.output)]) == 2
    assert main(["forget", "C1", "--output", str(shop.output.parent / "none")]) == 3


def test_jobs_run_on(shop: Shop, outcome: Outcome) -> None:
    forget_at_the_source(shop.place.parent / "source" / "sales", shop.person)
    with short_jobs():
        for run in (SALES_RUN, CHURN_RUN):
            assert shop.run(*run, "--sink", "csv") == 0
    # Worked out once more, the days of before come to the same.
    now = shop.lake()
    assert not [table.name for table in now if table.forgets == "customer" and now[table] != outcome.after[table]]
    assert {file.split("/")[1] for file in whole_words(shop.output, shop.person)} == {DIM_RENTAL_CUSTOMER.name}


def forget_at_the_source(source: Path, person: Person) -> None:
    word, orders, customers = whole_word(person.words), source / "orders.csv", source / "customers.csv"
    orders.write_text(re.sub(word, "", orders.read_text()))
    lines = customers.read_text().splitlines(keepends=True)
    customers.write_text("".join(line for line in lines if not re.search(word, line)))


@pytest.mark.parametrize("table", all_tables(), ids=lambda table: table.name)
def test_a_table_says_what_it_forgets(table: Table) -> None:
    telling = {"line", "email", "phone", "address", "contract"}
    of_customers = {name for name in table.column_names if name in telling or re.match("customer_(id|key|name)", name)}
    assert bool(table.forgets) == (bool(of_customers) and table not in OF_OTHER_PEOPLE)
    if table.forgets in ("row", "customer"):
        assert named_by(table, Customer("C1", 1))
    if table.forgets in ("customer", "line"):
        assert unknown_in(table)[0] in table.column_names
    if is_merged(table):
        of_type = {column.name: column.type for column in table.columns if column.name not in table.grain}
        assert all(of in ("BIGINT", "INT") or of.startswith("DECIMAL") for of in of_type.values())
