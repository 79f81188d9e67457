"""The generator: same seed, same bytes; keys that resolve; every oddity there; one content in three written forms."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import UsageError
from etl_spark.pipelines.rental.generate import FAULTS, generate
from etl_spark.pipelines.rental.generate_masters import staff_password, staff_picture
from etl_spark.pipelines.rental.generate_sql import BATCH, TABLES
from tests.pipelines.rental.film_database import Row, csv_rows, in_older_shape, mariadb_rows, postgresql_rows
from tests.places import ROOT, SAMPLE

pytestmark = pytest.mark.default_spark
"""Without Spark."""

YEAR = DateRange(date(2022, 1, 1), date(2022, 12, 31))
SEED = 2022
HEADS = {
    "actor": "actor_id,first_name,last_name,last_update",
    "address": "address_id,address,address2,district,city_id,postal_code,phone,last_update",
    "category": "category_id,name,last_update",
    "city": "city_id,city,country_id,last_update",
    "country": "country_id,country,last_update",
    "customer": "customer_id,store_id,first_name,last_name,email,address_id,activebool,create_date,last_update,active",
    "film": "film_id,title,description,release_year,language_id,original_language_id,rental_duration,rental_rate,"
    "length,replacement_cost,rating,last_update,special_features,fulltext",
    "film_actor": "actor_id,film_id,last_update",
    "film_category": "film_id,category_id,last_update",
    "inventory": "inventory_id,film_id,store_id,last_update",
    "language": "language_id,name,last_update",
    "payment": "payment_id,customer_id,staff_id,rental_id,amount,payment_date",
    "rental": "rental_id,rental_date,inventory_id,customer_id,return_date,staff_id,last_update",
    "staff": "staff_id,first_name,last_name,address_id,email,store_id,active,username,password,last_update,picture",
    "store": "store_id,manager_staff_id,address_id,last_update",
}
REFERENCES = {
    **{(table.name, column): to for table in TABLES for column, to in table.references.items()},
    ("store", "manager_staff_id"): "staff",
    ("rental", "inventory_id"): "inventory",
    ("payment", "customer_id"): "customer",
    ("payment", "staff_id"): "staff",
    ("payment", "rental_id"): "rental",
}

Tables = dict[str, list[Row]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("rental")
    generate(YEAR, output, seed=SEED, films=60, customers=60, rentals_per_day=3)
    return output


@pytest.fixture(scope="module")
def extracts(made: Path) -> Tables:
    return {table: csv_rows(made / f"{table}.csv") for table in HEADS}


@pytest.fixture(scope="module")
def sound(extracts: Tables) -> Tables:
    return {table: rows[: len(rows) - faults_of(table)] for table, rows in extracts.items()}


def faults_of(table: str, *, in_sql: bool | None = None) -> int:
    return sum(fault.table == table and in_sql in (None, fault.in_sql) for fault in FAULTS)


def text(row: Row, column: str) -> str:
    cell = row[column]
    assert cell is not None
    return cell


def moment(row: Row, column: str) -> datetime:
    return datetime.fromisoformat(text(row, column))


def digests(folder: Path) -> dict[str, str]:
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_the_files_depend_on_seed_sizes_and_range_alone(tmp_path: Path) -> None:
    """Neither on how this process hashes, nor on its zone and language."""
    script = (
        "import sys; from datetime import date; from pathlib import Path; from etl_spark.core.dates import DateRange;"
        "from etl_spark.pipelines.rental.generate import generate;"
        "generate(DateRange(date(2024, 2, 1), date(2024, 3, 9)), Path(sys.argv[1]),"
        " seed=int(sys.argv[2]), films=12, customers=9, rentals_per_day=4)"
    )
    runs = {"one": ("7", "1", "UTC", "C"), "two": ("7", "2", "Asia/Tokyo", "C.UTF-8"), "other": ("8", "1", "UTC", "C")}
    for name, (seed, hashing, zone, language) in runs.items():
        settings = {"PYTHONHASHSEED": hashing, "TZ": zone, "LC_ALL": language}
        path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-c", script, str(tmp_path / name), seed]
        subprocess.run(command, env={**os.environ, **settings, "PYTHONPATH": path}, check=True)
    files = digests(tmp_path / "one")
    assert sorted(files) == sorted([*(f"{table}.csv" for table in HEADS), "postgresql.sql", "mariadb.sql"])
    assert files == digests(tmp_path / "two")
    others = digests(tmp_path / "other")
    assert all(files[name] != others[name] for name in ("rental.csv", "payment.csv", "customer.csv", "film.csv"))


def test_the_sample_is_what_the_generator_makes(made: Path) -> None:
    assert digests(made) == digests(SAMPLE / "rental")


def test_the_sample_is_small() -> None:
    assert sum(file.stat().st_size for file in (SAMPLE / "rental").iterdir()) < 700_000


def test_each_table_has_the_real_ones_columns(made: Path) -> None:
    for table, head in HEADS.items():
        assert (made / f"{table}.csv").read_text(encoding="utf-8").split("\n")[0] == head


def test_keys_are_unique_and_references_resolve(sound: Tables) -> None:
    keys = {table.name: [tuple(row[column] for column in table.key) for row in sound[table.name]] for table in TABLES}
    for table, values in keys.items():
        assert len(set(values)) == len(values), table
        assert all(None not in value for value in values), table
    for (table, column), to in REFERENCES.items():
        used = {(row[column],) for row in sound[table]} - {(None,)}
        assert used <= set(keys[to]), (table, column)


def test_an_item_is_rented_by_one_customer_at_a_time(sound: Tables) -> None:
    never = datetime.fromisoformat("9999-01-01 00:00:00+00")
    by_item: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for row in sound["rental"]:
        back = moment(row, "return_date") if row["return_date"] else never
        by_item[text(row, "inventory_id")].append((moment(row, "rental_date"), back))
    for times in by_item.values():
        times.sort()
        assert all(back <= next_out for (_, back), (next_out, _) in pairwise(times))
        assert all(out < back for out, back in times)


def test_every_oddity_of_rentals_is_there(sound: Tables) -> None:
    rentals, films = sound["rental"], {row["film_id"]: row for row in sound["film"]}
    items = {row["inventory_id"]: row for row in sound["inventory"]}
    days = {row["inventory_id"]: int(text(films[row["film_id"]], "rental_duration")) for row in items.values()}
    back = [row for row in rentals if row["return_date"]]
    late = [
        row
        for row in back
        if (moment(row, "return_date").date() - moment(row, "rental_date").date()).days > days[row["inventory_id"]]
    ]
    assert 0.005 < 1 - len(back) / len(rentals) < 0.025
    assert any(text(row, "rental_date") < "2022-12" for row in rentals if not row["return_date"])
    assert 0.1 < len(late) / len(back) < 0.2
    assert {row["inventory_id"] for row in rentals} < set(items)
    assert {row["film_id"] for row in items.values()} < set(films)
    assert {row["customer_id"] for row in rentals} < {row["customer_id"] for row in sound["customer"]}
    months = Counter(moment(row, "rental_date").month for row in rentals)
    assert months[12] > 1.2 * months[2]
    weekdays = Counter(moment(row, "rental_date").weekday() for row in rentals)
    assert weekdays[5] > 1.2 * weekdays[0]
    created = {row["customer_id"]: text(row, "create_date") for row in sound["customer"]}
    assert all(created[row["customer_id"]] <= text(row, "rental_date") for row in rentals)
    assert any(day > "2022-06" for day in created.values())


def test_every_oddity_of_payments_is_there(sound: Tables) -> None:
    rentals, payments = {row["rental_id"]: row for row in sound["rental"]}, sound["payment"]
    pairs = [(row, rentals[row["rental_id"]]) for row in payments if row["rental_id"]]
    per_rental = Counter(payment["rental_id"] for payment, _ in pairs)
    assert set(per_rental.values()) == {1, 2}
    assert 0.9 < sum(count == 1 for count in per_rental.values()) / len(rentals) < 1
    assert set(rentals) - set(per_rental)
    assert len(pairs) < len(payments)
    early = [payment for payment, rental in pairs if moment(payment, "payment_date") < moment(rental, "rental_date")]
    assert 0.01 < len(early) / len(pairs) < 0.03
    assert any(payment["customer_id"] != rental["customer_id"] for payment, rental in pairs)
    in_another_month = [p for p, r in pairs if text(p, "payment_date")[:7] != text(r, "rental_date")[:7]]
    assert len(in_another_month) > 10
    assert all(moment(payment, "payment_date").date() in YEAR.days for payment in payments)


def test_a_rental_costs_its_rate_and_a_fee_for_each_day_late(sound: Tables) -> None:
    paid: dict[str | None, Decimal] = defaultdict(Decimal)
    for payment in sound["payment"]:
        paid[payment["rental_id"]] += Decimal(text(payment, "amount"))
    films = {row["film_id"]: row for row in sound["film"]}
    film_of = {row["inventory_id"]: films[row["film_id"]] for row in sound["inventory"]}
    for rental in sound["rental"]:
        film = film_of[rental["inventory_id"]]
        fee = 0
        if rental["return_date"]:
            days = (moment(rental, "return_date").date() - moment(rental, "rental_date").date()).days
            fee = max(days - int(text(film, "rental_duration")), 0)
        assert paid.get(rental["rental_id"]) in (None, Decimal(text(film, "rental_rate")) + fee)


def test_every_oddity_of_films_people_and_places_is_there(sound: Tables, made: Path) -> None:
    films = {row["film_id"] for row in sound["film"]}
    categories = Counter(row["film_id"] for row in sound["film_category"])
    assert len(films - set(categories)) == 1
    assert set(categories.values()) == {1, 2, 3}
    assert len(films - {row["film_id"] for row in sound["film_actor"]}) == 1
    for column in ("description", "release_year", "original_language_id", "length", "rating", "special_features"):
        assert None in {row[column] for row in sound["film"]}, column
    assert "{}" in {row["special_features"] for row in sound["film"]}
    assert {None, ""} < {row["address2"] for row in sound["address"]}
    streets = "".join(text(row, "address") for row in sound["address"])
    assert all(mark in streets for mark in ",\"'\n\\é☕")
    assert any("🎬" in text(row, "description") for row in sound["film"] if row["description"])
    assert any(not text(row, "last_name").isascii() for row in sound["customer"])
    assert {row["active"] for row in sound["customer"]} == {"0", "1"}
    assert {row["active"] for row in sound["staff"]} == {"t", "f"}
    secrets = [staff_password(SEED, n) for n in range(1, 6)]
    assert [row["password"] for row in sound["staff"]] == secrets
    assert [row["picture"] for row in sound["staff"]] == [staff_picture(SEED, n) for n in range(1, 6)]
    for file in ("staff.csv", "postgresql.sql", "mariadb.sql"):
        assert all(secret in (made / file).read_text(encoding="utf-8") for secret in secrets)


def test_the_faults_stand_after_the_sound_rows(extracts: Tables, sound: Tables) -> None:
    for table in {fault.table for fault in FAULTS}:
        faults = [fault for fault in FAULTS if fault.table == table]
        for fault, row in zip(faults, extracts[table][len(sound[table]) :], strict=True):
            changed = {name for name in row if row[name] != sound[table][0][name]}
            assert changed <= {*fault.changes, f"{table}_id"}
            assert all(row[name] == value for name, value in fault.changes.items())
    keys = [row["rental_id"] for row in extracts["rental"] if row["rental_id"]]
    assert Counter(Counter(keys).values()) == {1: len(keys) - 2, 2: 1}
    with pytest.raises(InvalidOperation):
        Decimal(next(str(fault.changes["amount"]) for fault in FAULTS if fault.reason == "amount_not_a_number"))


def test_the_sql_files_hold_what_the_csv_files_do(made: Path, extracts: Tables) -> None:
    """All but the faults that no typed column or key takes."""
    held = {table: rows[: len(rows) - faults_of(table, in_sql=False)] for table, rows in extracts.items()}
    assert sum(map(len, extracts.values())) - sum(map(len, held.values())) == len(FAULTS) - 2
    assert postgresql_rows(made / "postgresql.sql") == held
    assert mariadb_rows(made / "mariadb.sql") == {table: in_older_shape(rows) for table, rows in held.items()}


def test_payments_have_a_partition_for_each_month(tmp_path: Path) -> None:
    generate(DateRange(date(2023, 11, 30), date(2024, 1, 1)), tmp_path, seed=1, films=3, customers=2, rentals_per_day=1)
    sql = (tmp_path / "postgresql.sql").read_text(encoding="utf-8")
    ranges = [
        ("payment_2023_11", "2023-11-01", "2023-12-01"),
        ("payment_2023_12", "2023-12-01", "2024-01-01"),
        ("payment_2024_01", "2024-01-01", "2024-02-01"),
    ]
    assert sql.count("PARTITION OF payment") == len(ranges)
    for name, start, end in ranges:
        assert f"{name} PARTITION OF payment FOR VALUES FROM ('{start} 00:00:00+00') TO ('{end} 00:00:00+00')" in sql


def test_an_insert_has_no_more_than_a_batch_of_rows(made: Path) -> None:
    sql = (made / "postgresql.sql").read_text(encoding="utf-8")
    inserts = [part for part in sql.split("INSERT INTO ") if part.startswith("rental ")]
    assert [part.count(",\n(") + 1 for part in inserts][:1] == [BATCH]
    assert len(inserts) == 3


@pytest.mark.parametrize(("films", "customers", "rentals_per_day"), [(1, 1, 1), (2, 1, 50), (1, 40, 1)])
def test_the_smallest_sizes_make_a_database_too(
    tmp_path: Path, films: int, customers: int, rentals_per_day: int
) -> None:
    week = DateRange(date(2022, 6, 1), date(2022, 6, 7))
    generate(week, tmp_path, seed=1, films=films, customers=customers, rentals_per_day=rentals_per_day)
    assert len(csv_rows(tmp_path / "customer.csv")) == customers + 1
    assert csv_rows(tmp_path / "rental.csv")


def test_years_that_mariadb_does_not_know_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1002"):
        generate(DateRange(date(1, 1, 1), date(1, 1, 2)), tmp_path, seed=1, films=1, customers=1, rentals_per_day=1)
