"""The tables of the rental job, each with one row per what."""

from __future__ import annotations

from etl_spark.core.extract import AS_OF
from etl_spark.core.table import END_DATE, MONEY, START_DATE, Column, Table


def text(name: str, length: int, doc: str) -> Column:
    return Column(name, f"VARCHAR({length})", doc, nullable=True)


def identifier(name: str, doc: str, *, nullable: bool = False) -> Column:
    return Column(name, "VARCHAR(32)", doc, nullable)


_ADDRESS = (
    text("address", 200, "street and number"),
    text("address2", 200, "second line of the address"),
    text("district", 100, "district"),
    text("postal_code", 20, "postal code"),
    text("city", 100, "city"),
    text("country", 100, "country"),
)

DIM_FILM = Table(
    name="dim_film",
    doc="One row per film of any extract, as the latest has it, and one for the unknown (-1).",
    columns=(
        Column("film_key", "BIGINT", "made of film_id; -1 for the unknown"),
        identifier("film_id", "the film's id at the source"),
        text("title", 255, "title"),
        text("description", 4000, "what it is about"),
        Column("release_year", "INT", "year of its release", nullable=True),
        text("language", 60, "language"),
        text("original_language", 60, "language it was made in, where it is another"),
        text("rating", 10, "who may see it: G, PG, PG-13, R, NC-17"),
        Column("length_minutes", "INT", "length in minutes", nullable=True),
        Column("rental_duration_days", "INT", "days it is let for", nullable=True),
        Column("rental_rate", MONEY, "price of a rental", nullable=True),
        Column("replacement_cost", MONEY, "price of a lost copy", nullable=True),
        text("special_features", 400, "extras, by name, with a comma and a blank between"),
        AS_OF,
    ),
    grain=("film_key",),
    replaces=(),
)

DIM_ACTOR = Table(
    name="dim_actor",
    doc="One row per actor of any extract, as the latest has it, and one for the unknown (-1).",
    columns=(
        Column("actor_key", "BIGINT", "made of actor_id; -1 for the unknown"),
        identifier("actor_id", "the actor's id at the source"),
        text("first_name", 100, "first name"),
        text("last_name", 100, "last name"),
        AS_OF,
    ),
    grain=("actor_key",),
    replaces=(),
)

DIM_RENTAL_CUSTOMER = Table(
    name="dim_rental_customer",
    doc="One row per customer of any extract, as the latest has it, and one for the unknown (-1).",
    columns=(
        Column("customer_key", "BIGINT", "made of customer_id; -1 for the unknown"),
        identifier("customer_id", "the customer's id at the source"),
        text("first_name", 100, "first name"),
        text("last_name", 100, "last name"),
        text("email", 320, "e-mail address"),
        Column("is_active", "BOOLEAN", "whether the customer is active", nullable=True),
        Column("create_date", "DATE", "day the customer was entered", nullable=True),
        identifier("store_id", "the customer's home store", nullable=True),
        *_ADDRESS,
        text("phone", 40, "phone number"),
        AS_OF,
    ),
    grain=("customer_key",),
    replaces=(),
    distributed_by="customer_key",
)

DIM_STORE = Table(
    name="dim_store",
    doc="One row per store of any extract, as the latest has it, and one for the unknown (-1).",
    columns=(
        Column("store_key", "BIGINT", "made of store_id; -1 for the unknown"),
        identifier("store_id", "the store's id at the source"),
        text("manager_name", 201, "first and last name of its manager"),
        *_ADDRESS,
        AS_OF,
    ),
    grain=("store_key",),
    replaces=(),
)

DIM_STAFF = Table(
    name="dim_staff",
    doc="One row per member of the staff of any extract, as the latest has it, and one for the unknown (-1).",
    columns=(
        Column("staff_key", "BIGINT", "made of staff_id; -1 for the unknown"),
        identifier("staff_id", "the member's id at the source"),
        text("first_name", 100, "first name"),
        text("last_name", 100, "last name"),
        text("email", 320, "e-mail address"),
        Column("is_active", "BOOLEAN", "whether they still work there", nullable=True),
        identifier("store_id", "where they work", nullable=True),
        text("city", 100, "city they live in"),
        text("country", 100, "country they live in"),
        AS_OF,
    ),
    grain=("staff_key",),
    replaces=(),
)

BRIDGE_FILM_CATEGORY = Table(
    name="bridge_film_category",
    doc="One row per film and category, and one with the unknown category per film that has none.",
    columns=(
        Column("film_key", "BIGINT", "of dim_film"),
        identifier("category_id", "the category's id at the source"),
        Column("category", "VARCHAR(100)", "the category's name"),
        Column("weight", "DECIMAL(10,9)", "the category's share of the film; of each film they sum to 1"),
    ),
    grain=("film_key", "category_id"),
    replaces=(),
)

BRIDGE_FILM_ACTOR = Table(
    name="bridge_film_actor",
    doc="One row per film and actor who plays in it.",
    columns=(Column("film_key", "BIGINT", "of dim_film"), Column("actor_key", "BIGINT", "of dim_actor")),
    grain=("film_key", "actor_key"),
    replaces=(),
)

_OF_RENTAL = (
    Column("customer_key", "BIGINT", "of dim_rental_customer; -1 where that has no such customer"),
    Column("film_key", "BIGINT", "of dim_film, by the copy; -1 where that is not known"),
    Column("store_key", "BIGINT", "of dim_store: the one that has the copy; -1 where that is not known"),
    Column("staff_key", "BIGINT", "of dim_staff; -1 where that has no such member"),
)

FACT_RENTAL = Table(
    name="fact_rental",
    doc="One row per rental of the asked days.",
    columns=(
        Column("rental_date", "DATE", "day the film was taken, UTC"),
        Column("rental_key", "BIGINT", "made of rental_id"),
        identifier("rental_id", "the rental's id at the source"),
        Column("date_key", "INT", "of dim_date: the day the film was taken"),
        *_OF_RENTAL,
        identifier("inventory_id", "the copy's id at the source", nullable=True),
        Column("rented_at", "TIMESTAMP", "when the film was taken, UTC"),
        Column("due_date", "DATE", "day it is to be back; null for an unknown film", nullable=True),
        Column("returned_at", "TIMESTAMP", "when it came back, UTC; null while it is out", nullable=True),
        Column("is_returned", "BOOLEAN", "whether it is back"),
        Column("days_out", "INT", "days from taking it to its return; null while it is out", nullable=True),
        Column("days_late", "INT", "days from due_date to its return, 0 if in time; null while out", nullable=True),
        Column("amount_paid", MONEY, "all payments for it, whatever their dates"),
        Column("payment_count", "BIGINT", "payments for it"),
    ),
    grain=("rental_date", "rental_id"),
    replaces=("rental_date",),
    distributed_by="customer_key",
)

FACT_PAYMENT = Table(
    name="fact_payment",
    doc="One row per payment of the asked days.",
    columns=(
        Column("payment_date", "DATE", "day of the payment, UTC"),
        Column("payment_key", "BIGINT", "made of payment_id"),
        identifier("payment_id", "the payment's id at the source"),
        identifier("rental_id", "what it is for, as the source has it", nullable=True),
        Column("date_key", "INT", "of dim_date: the day of the payment"),
        *_OF_RENTAL,
        Column("paid_at", "TIMESTAMP", "when it was paid, UTC"),
        Column("amount", MONEY, "what was paid"),
        Column("is_without_rental", "BOOLEAN", "whether there is no such rental"),
        Column("is_before_rental", "BOOLEAN", "whether it was paid before the film was taken"),
        Column("is_by_other_customer", "BOOLEAN", "whether another customer paid than the one who took the film"),
    ),
    grain=("payment_date", "payment_id"),
    replaces=("payment_date",),
    distributed_by="customer_key",
)

RENTAL_REVENUE = Table(
    name="rental_revenue",
    doc="One row per asked range, month, store, category and country with a payment.",
    columns=(
        START_DATE,
        END_DATE,
        Column("month", "DATE", "first day of the month of the payments; of the asked days only"),
        identifier("store_id", "store that has the copy; (unknown) where that is not known"),
        identifier("category_id", "category of the film; (unknown) where it has none"),
        Column("category", "VARCHAR(100)", "its name"),
        Column("country", "VARCHAR(100)", "country of the customer who paid; (unknown) where that is not known"),
        Column("revenue", MONEY, "payments; a film's are shared out to its categories by their weights"),
    ),
    grain=("start_date", "end_date", "month", "store_id", "category_id", "country"),
    replaces=("start_date", "end_date"),
)

OPEN_RENTAL = Table(
    name="open_rental",
    doc="One row per rental of the asked days that is not back.",
    columns=(
        START_DATE,
        END_DATE,
        identifier("rental_id", "the rental's id at the source"),
        Column("rental_date", "DATE", "day the film was taken, UTC"),
        Column("due_date", "DATE", "day it is to be back; null for an unknown film", nullable=True),
        Column("as_of", "DATE", "day of the latest extract"),
        Column("is_overdue", "BOOLEAN", "whether it was to be back before as_of"),
        Column("days_overdue", "INT", "days from due_date to as_of, 0 if it is not yet due", nullable=True),
        identifier("customer_id", "who has it; (unknown) where that is not known"),
        text("customer_name", 201, "first and last name"),
        text("email", 320, "e-mail address"),
        text("phone", 40, "phone number"),
        identifier("film_id", "the film; (unknown) where that is not known"),
        text("title", 255, "its title"),
        identifier("store_id", "the store that has the copy; (unknown) where that is not known"),
        Column("replacement_cost", MONEY, "price of the copy", nullable=True),
    ),
    grain=("start_date", "end_date", "rental_id"),
    replaces=("start_date", "end_date"),
)

FILM_UTILISATION = Table(
    name="film_utilisation",
    doc="One row per asked range and film that has a copy or a rental in it.",
    columns=(
        START_DATE,
        END_DATE,
        identifier("film_id", "the film; (unknown) where that is not known"),
        text("title", 255, "its title"),
        Column("copy_count", "BIGINT", "copies there are"),
        Column("rental_count", "BIGINT", "rentals of the asked days"),
        Column("late_count", "BIGINT", "of these, those that came back late or are overdue at the latest extract"),
        Column("days_out", "BIGINT", "days from taking a copy to its return, within the range, of these rentals"),
        Column("copy_days", "BIGINT", "copy_count x days of the range"),
        Column("utilisation", "DECIMAL(9,4)", "days_out / copy_days; null without a copy", nullable=True),
        Column("amount_paid", MONEY, "all payments for these rentals"),
    ),
    grain=("start_date", "end_date", "film_id"),
    replaces=("start_date", "end_date"),
)
