"""The fifteen extracts of the rental job: their raw tables, what is turned away, and the counts for load_audit."""

from __future__ import annotations

from datetime import date

import pyspark.sql.functions as F
from pyspark.sql import DataFrame

from etl_spark.core.dates import DateRange
from etl_spark.core.extract import Extract, Through, rejected_table
from etl_spark.core.table import MONEY, Column
from etl_spark.extracts import (
    Judged,
    clean,
    is_accepted,
    is_of,
    negative,
    reject,
    split,
    with_latest_day,
    with_orphans,
    with_related,
    without_day,
)
from etl_spark.pipelines.calendar.dim_date import in_calendar
from etl_spark.pipelines.rental.tables import identifier, text
from etl_spark.quality import Rule

PIPELINE = "rental"

LAST_UPDATE = Column("last_update", "TIMESTAMP", "when the row last changed, UTC", nullable=True)


def _extract(
    name: str, doc: str, *columns: Column, key: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> Extract:
    """A table that is read whole."""
    return Extract(
        name, doc, (*columns, LAST_UPDATE), key or (f"{name}_id",), optional=optional, updated=LAST_UPDATE.name
    )


ACTOR = _extract(
    "actor",
    "the actors",
    identifier("actor_id", "the actor's id"),
    text("first_name", 100, "first name"),
    text("last_name", 100, "last name"),
)
ADDRESS = _extract(
    "address",
    "addresses of customers, staff and stores",
    identifier("address_id", "the address's id"),
    text("address", 200, "street and number"),
    text("address2", 200, "second line"),
    text("district", 100, "district"),
    identifier("city_id", "its city", nullable=True),
    text("postal_code", 20, "postal code"),
    text("phone", 40, "phone number"),
)
CATEGORY = _extract(
    "category", "the film categories", identifier("category_id", "its id"), text("name", 100, "its name")
)
CITY = _extract(
    "city",
    "the cities",
    identifier("city_id", "the city's id"),
    text("city", 100, "its name"),
    identifier("country_id", "its country", nullable=True),
)
COUNTRY = _extract("country", "the countries", identifier("country_id", "its id"), text("country", 100, "its name"))
CUSTOMER = _extract(
    "customer",
    "the customers",
    identifier("customer_id", "the customer's id"),
    identifier("store_id", "the customer's home store", nullable=True),
    text("first_name", 100, "first name"),
    text("last_name", 100, "last name"),
    text("email", 320, "e-mail address"),
    identifier("address_id", "the customer's address", nullable=True),
    Column("activebool", "BOOLEAN", "whether the customer is active, in the newer shape", nullable=True),
    Column("create_date", "DATE", "day the customer was entered", nullable=True),
    Column("active", "BOOLEAN", "whether the customer is active", nullable=True),
    optional=("activebool",),
)
FILM = _extract(
    "film",
    "the films",
    identifier("film_id", "the film's id"),
    text("title", 255, "title"),
    text("description", 4000, "what it is about"),
    Column("release_year", "INT", "year of its release", nullable=True),
    identifier("language_id", "its language", nullable=True),
    identifier("original_language_id", "the language it was made in", nullable=True),
    Column("rental_duration", "INT", "days it is let for", nullable=True),
    Column("rental_rate", MONEY, "price of a rental", nullable=True),
    Column("length", "INT", "minutes", nullable=True),
    Column("replacement_cost", MONEY, "price of a lost copy", nullable=True),
    text("rating", 10, "who may see it"),
    text("special_features", 400, "extras, as the source writes a list"),
    optional=("original_language_id",),
)
FILM_ACTOR = _extract(
    "film_actor",
    "which actor plays in which film",
    identifier("actor_id", "the actor"),
    identifier("film_id", "the film"),
    key=("actor_id", "film_id"),
)
FILM_CATEGORY = _extract(
    "film_category",
    "which film is of which category",
    identifier("film_id", "the film"),
    identifier("category_id", "the category"),
    key=("film_id", "category_id"),
)
INVENTORY = _extract(
    "inventory",
    "the copies of the films",
    identifier("inventory_id", "the copy's id"),
    identifier("film_id", "its film", nullable=True),
    identifier("store_id", "the store that has it", nullable=True),
)
LANGUAGE = _extract("language", "the languages", identifier("language_id", "its id"), text("name", 60, "its name"))
PAYMENT = Extract(
    "payment",
    "the payments",
    columns=(
        identifier("payment_id", "the payment's id"),
        identifier("customer_id", "who paid", nullable=True),
        identifier("staff_id", "who took it", nullable=True),
        identifier("rental_id", "what it is for", nullable=True),
        Column("amount", MONEY, "what was paid"),
        Column("payment_date", "TIMESTAMP", "when it was paid, UTC"),
        LAST_UPDATE,
    ),
    key=("payment_id",),
    day="payment_date",
    through=(Through("rental", "rental_id"),),
    optional=(LAST_UPDATE.name,),
    updated=LAST_UPDATE.name,
)
RENTAL = Extract(
    "rental",
    "the rentals",
    columns=(
        identifier("rental_id", "the rental's id"),
        Column("rental_date", "TIMESTAMP", "when it was taken, UTC"),
        identifier("inventory_id", "the copy", nullable=True),
        identifier("customer_id", "who took it", nullable=True),
        Column("return_date", "TIMESTAMP", "when it came back, UTC; null while it is out", nullable=True),
        identifier("staff_id", "who gave it out", nullable=True),
        LAST_UPDATE,
    ),
    key=("rental_id",),
    day="rental_date",
    through=(Through("payment", "rental_id"),),
    updated=LAST_UPDATE.name,
)
# Of staff, user name, password and picture are never read.
STAFF = _extract(
    "staff",
    "the staff",
    identifier("staff_id", "the member's id"),
    text("first_name", 100, "first name"),
    text("last_name", 100, "last name"),
    identifier("address_id", "home address", nullable=True),
    text("email", 320, "e-mail address"),
    identifier("store_id", "where they work", nullable=True),
    Column("active", "BOOLEAN", "whether they still work there", nullable=True),
)
STORE = _extract(
    "store",
    "the stores",
    identifier("store_id", "the store's id"),
    identifier("manager_staff_id", "who runs it", nullable=True),
    identifier("address_id", "its address", nullable=True),
)

EXTRACTS = (
    ACTOR,
    ADDRESS,
    CATEGORY,
    CITY,
    COUNTRY,
    CUSTOMER,
    FILM,
    FILM_ACTOR,
    FILM_CATEGORY,
    INVENTORY,
    LANGUAGE,
    PAYMENT,
    RENTAL,
    STAFF,
    STORE,
)
RAW = {extract: extract.raw_table(PIPELINE) for extract in EXTRACTS}
"""Of each extract, the table of the lake that keeps its sound rows."""

LINKS = {FILM_ACTOR: (ACTOR, FILM), FILM_CATEGORY: (CATEGORY, FILM)}
"""What the rows of a table link; without one of the two they are rejected."""
ORPHANS = {INVENTORY: (FILM, STORE), RENTAL: (INVENTORY, CUSTOMER, STAFF), PAYMENT: (CUSTOMER, STAFF, RENTAL)}
"""What the rows of a table refer to; those without are counted, and have the unknown member in the star."""

RENTAL_REJECTED = rejected_table(PIPELINE)


def read_extracts(
    *tables: DataFrame, asked: DateRange, extract_dates: tuple[date, ...], date_formats: tuple[str, ...]
) -> tuple[DataFrame, ...]:
    """The raw table of each of EXTRACTS, in their order, rental_rejected, and the counts for load_audit.

    `tables` are the rows of EXTRACTS. Of rentals and payments of other days than the asked, those are kept raw that
    belong to a payment, or a rental, of the asked days; they count as outside of these.
    """
    rules = {FILM: (negative("rental_rate"), negative("replacement_cost"), negative("rental_duration"))}
    judged = {
        extract: without_day(clean(rows, extract, rules=rules.get(extract, ()), date_formats=date_formats))
        for extract, rows in zip(EXTRACTS, tables, strict=True)
        if extract.is_whole
    }
    texts = dict(zip(EXTRACTS, tables, strict=True))
    rentals = clean_rentals(texts[RENTAL], extract_dates=extract_dates, date_formats=date_formats)
    payments = clean_payments(texts[PAYMENT], extract_dates=extract_dates, date_formats=date_formats)

    def asked_rows(rows: DataFrame) -> DataFrame:
        return rows.where(is_accepted() & is_of(asked))

    judged[RENTAL] = with_related(rentals, RENTAL, asked_rows(payments), "rental_id")
    judged[PAYMENT] = with_related(payments, PAYMENT, asked_rows(rentals), "rental_id")
    for link, linked in LINKS.items():
        for parent in linked:
            judged[link] = without_orphans(judged[link], link, judged[parent], parent)
    for extract, parents in ORPHANS.items():
        for parent in parents:
            judged[extract] = with_orphans(judged[extract], judged[parent], parent.key[0], not_found(parent))
    parts = tuple(
        Judged(
            extract,
            judged[extract],
            flags=tuple(not_found(parent) for parent in ORPHANS.get(extract, ())),
            related="is_related" if extract.through else None,
        )
        for extract in EXTRACTS
    )
    return split(parts, asked)


def not_found(parent: Extract) -> str:
    """The name of the fault that a row refers to a row of `parent` that is not there."""
    return f"{parent.name}_not_found"


def without_orphans(links: DataFrame, extract: Extract, parents: DataFrame, parent: Extract) -> DataFrame:
    """`links`, rejected where one of the two that it links is not there: it would link nothing."""
    marked = with_orphans(links, parents, parent.key[0], not_found(parent))
    return reject(marked, extract, Rule(not_found(parent), F.col(not_found(parent)))).drop(not_found(parent))


def clean_rentals(rentals: DataFrame, *, extract_dates: tuple[date, ...], date_formats: tuple[str, ...]) -> DataFrame:
    """The rentals judged, of the days on which the films were taken."""
    rules = (Rule("rental_date_not_in_calendar", ~in_calendar("rental_date")),)
    judged = clean(rentals, RENTAL, rules=rules, date_formats=date_formats)
    with_day = judged.withColumns({"day": F.to_date("rental_date"), "amount": F.lit(None).cast(MONEY)})
    return with_latest_day(with_day, RENTAL, extract_dates)


def clean_payments(payments: DataFrame, *, extract_dates: tuple[date, ...], date_formats: tuple[str, ...]) -> DataFrame:
    """The payments judged, of the days on which they were made."""
    rules = (Rule("payment_date_not_in_calendar", ~in_calendar("payment_date")),)
    judged = clean(payments, PAYMENT, rules=rules, date_formats=date_formats)
    return with_latest_day(judged.withColumn("day", F.to_date("payment_date")), PAYMENT, extract_dates)
