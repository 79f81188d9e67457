"""What is shown of the rental job: revenue, what is overdue, and how much the copies of films are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from etl_spark.core.dates import DateRange
from etl_spark.dashboard import charts
from etl_spark.dashboard.queries import Condition, of_range, select, within
from etl_spark.dashboard.results import Query, Rows
from etl_spark.dashboard.shown import (
    Chart,
    Figure,
    Read,
    Section,
    Sheet,
    count,
    exactly,
    money,
    percent,
    ratio,
    sentence,
)

DEFINITIONS: Mapping[str, str] = {
    "Revenue": "payments of the range, in the currency of the source, each on its own day; a film of several "
    "categories is shared out to them",
    "Open": "rentals of the range that were not back at the latest extract",
    "Overdue": "of these, those that were to be back before the day of that extract",
    "At stake": "the price of replacing the overdue copies",
    "Utilisation": "days that copies were out / (copies x days of the range)",
}
MOST_OVERDUE = 500


@dataclass(frozen=True)
class Filters:
    """Which payments of the range are meant; empty is any."""

    asked: DateRange
    stores: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return (
            of_range(self.asked, "r"),
            *within("r.store_id", "store", self.stores),
            *within("r.category", "category", self.categories),
            *within("r.country", "country", self.countries),
        )


def choices(column: str, asked: DateRange) -> Query:
    """The stores, categories or countries with a payment in the range."""
    assert column in ("store_id", "category", "country")
    return select(
        f"SELECT DISTINCT r.{column} AS choice FROM rental_revenue r", [of_range(asked, "r")], f"ORDER BY r.{column}"
    )


def revenue_by(column: str, filters: Filters) -> Query:
    """Revenue by month, store, category or country."""
    assert column in ("month", "store_id", "category", "country")
    order = "r.month" if column == "month" else f"SUM(r.revenue) DESC, r.{column}"
    return select(
        f"SELECT r.{column} AS part, SUM(r.revenue) AS revenue FROM rental_revenue r",
        filters.conditions,
        f"GROUP BY r.{column} ORDER BY {order}",
    )


def open_rentals(asked: DateRange, stores: Sequence[str]) -> Query:
    """One row: how many rentals are open and overdue, and what the overdue copies cost."""
    return select(
        "SELECT COUNT(*) AS open_count, SUM(CASE WHEN o.is_overdue THEN 1 ELSE 0 END) AS overdue_count, "
        "SUM(CASE WHEN o.is_overdue THEN o.replacement_cost ELSE 0 END) AS at_stake, MAX(o.days_overdue) AS longest, "
        "MAX(o.as_of) AS as_of FROM open_rental o",
        [of_range(asked, "o"), *within("o.store_id", "store", stores)],
    )


def overdue(asked: DateRange, stores: Sequence[str], most: int) -> Query:
    """The overdue rentals, the longest first. Who has them is told by name, and not by address, phone or e-mail."""
    return select(
        "SELECT o.days_overdue, o.due_date, o.rental_date, o.title, o.store_id, o.customer_id, o.customer_name, "
        "o.replacement_cost, o.rental_id FROM open_rental o",
        [of_range(asked, "o"), Condition("o.is_overdue"), *within("o.store_id", "store", stores)],
        "ORDER BY o.days_overdue DESC, o.rental_id LIMIT :most",
        most=most,
    )


def overdue_by_age(asked: DateRange, stores: Sequence[str]) -> Query:
    """Overdue rentals by how long they are."""
    age = (
        "CASE WHEN o.days_overdue <= 7 THEN 0 WHEN o.days_overdue <= 30 THEN 1 WHEN o.days_overdue <= 90 THEN 2 "
        "WHEN o.days_overdue <= 180 THEN 3 ELSE 4 END"
    )
    return select(
        f"SELECT {age} AS place, COUNT(*) AS rentals FROM open_rental o",
        [of_range(asked, "o"), Condition("o.is_overdue"), *within("o.store_id", "store", stores)],
        f"GROUP BY {age}",
    )


AGES = ("1 – 7", "8 – 30", "31 – 90", "91 – 180", "over 180")  # noqa: RUF001
"""The bins of `overdue_by_age`, in days."""


def _films(categories: Sequence[str]) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            "u.film_id IN (SELECT d.film_id FROM dim_film d JOIN bridge_film_category b ON b.film_key = d.film_key "
            f"WHERE {one.sql})",
            one.parameters,
        )
        for one in within("b.category", "category", categories)
    )


def use_of_all(asked: DateRange, categories: Sequence[str]) -> Query:
    """One row: copies, rentals and days out of the films of the categories."""
    return select(
        "SELECT SUM(u.copy_count) AS copies, SUM(u.rental_count) AS rentals, SUM(u.late_count) AS late, "
        "SUM(CASE WHEN u.copy_days > 0 THEN u.days_out ELSE 0 END) AS days_out, SUM(u.copy_days) AS copy_days "
        "FROM film_utilisation u",
        [of_range(asked, "u"), *_films(categories)],
    )


def use_by_film(asked: DateRange, categories: Sequence[str], most: int, *, least_used: bool = False) -> Query:
    """The films whose copies are out most, or least."""
    return select(
        "SELECT COALESCE(u.title, u.film_id) AS film, u.copy_count, u.rental_count, u.late_count, u.days_out, "
        "u.utilisation, u.amount_paid FROM film_utilisation u",
        [of_range(asked, "u"), Condition("u.utilisation IS NOT NULL"), *_films(categories)],
        f"ORDER BY u.utilisation {'' if least_used else 'DESC'}, u.film_id LIMIT :most",
        most=most,
    )


def spread_of_use(asked: DateRange, categories: Sequence[str]) -> Query:
    """Films by the tenth of their utilisation; the last one is 90 % and more."""
    tenth = "CASE WHEN u.utilisation >= 0.9 THEN 9 ELSE FLOOR(u.utilisation * 10) END"
    return select(
        f"SELECT {tenth} AS place, COUNT(*) AS films FROM film_utilisation u",
        [of_range(asked, "u"), Condition("u.utilisation IS NOT NULL"), *_films(categories)],
        f"GROUP BY {tenth}",
    )


def revenue(read: Read, filters: Filters) -> Section:
    """Revenue by month, store, category and country, of what is filtered."""
    months = read(revenue_by("month", filters))
    if not months:
        return Section("Revenue")
    total = sum(row["revenue"] for row in months)
    parts = {column: read(revenue_by(column, filters)) for column in ("store_id", "category", "country")}
    stores = [{**row, "part": _store(row["part"])} for row in parts["store_id"]]
    return Section(
        "Revenue",
        (
            Figure("Revenue", money(total), DEFINITIONS["Revenue"], exactly(total)),
            Figure("Months", str(len(months)), "months with a payment"),
            Figure("Per month", money(ratio(total, len(months))), "revenue / months"),
            Figure("Countries", str(len(parts["country"])), "countries of the customers who paid"),
        ),
        (
            Chart(
                "Revenue by month",
                charts.histogram(
                    [(f"{row['part']:%b}\n{row['part']:%Y}", row["revenue"]) for row in months], x="Month", y="Revenue"
                ),
            ),
            Chart("Revenue by store", charts.bars(stores, "part", "revenue", x="Revenue", y="Store")),
            Chart(
                "Revenue by category of films",
                charts.bars(parts["category"], "part", "revenue", x="Revenue", y="Category"),
            ),
            Chart(
                "Revenue by country of customers",
                charts.bars(parts["country"][:25], "part", "revenue", x="Revenue", y="Country"),
                f"The first 25 of {len(parts['country'])}." if len(parts["country"]) > 25 else "",
            ),
        ),
        note=sentence(DEFINITIONS["Revenue"]),
    )


def _store(store: str) -> str:
    return f"Store {store}" if store.isdigit() else store


def late(read: Read, asked: DateRange, stores: Sequence[str]) -> Section:
    """What is out and should not be."""
    (row,) = read(open_rentals(asked, stores))
    if not row["open_count"]:
        return Section("Overdue", note="Every rental of the range is back.")
    rows = read(overdue(asked, stores, MOST_OVERDUE))
    ages = {one["place"]: one["rentals"] for one in read(overdue_by_age(asked, stores))}
    more = f"The longest {MOST_OVERDUE} of {row['overdue_count']:,}." if row["overdue_count"] > len(rows) else ""
    return Section(
        "Overdue",
        (
            Figure("Open rentals", count(row["open_count"]), DEFINITIONS["Open"], exactly(row["open_count"])),
            Figure("Overdue", count(row["overdue_count"]), DEFINITIONS["Overdue"], exactly(row["overdue_count"])),
            Figure("At stake", money(row["at_stake"]), DEFINITIONS["At stake"], exactly(row["at_stake"])),
            Figure("Longest, days", count(row["longest"]), "days from the due day to the latest extract"),
        ),
        (
            Chart(
                "Overdue rentals by age",
                charts.histogram(
                    [(name, ages.get(place, 0)) for place, name in enumerate(AGES)],
                    x="Days overdue",
                    y="Rentals",
                    unit="rentals",
                ),
            ),
        )
        if rows
        else (),
        (
            Sheet(
                "The overdue rentals",
                {
                    "days_overdue": ("Days overdue", "count"),
                    "due_date": ("Due", "day"),
                    "title": ("Film", "text"),
                    "store_id": ("Store", "text"),
                    "customer_name": ("Customer", "text"),
                    "customer_id": ("Customer no.", "text"),
                    "replacement_cost": ("Replacement", "money"),
                    "rental_id": ("Rental", "text"),
                },
                rows,
                more,
            ),
        )
        if rows
        else (),
        f"As of {row['as_of']}, the day of the latest extract.",
    )


def use(read: Read, asked: DateRange, categories: Sequence[str], top: int) -> Section:
    """How much copies are out."""
    (row,) = read(use_of_all(asked, categories))
    if not row["copies"]:
        return Section("Utilisation")
    spread = {int(one["place"]): one["films"] for one in read(spread_of_use(asked, categories))}
    last = max(spread)
    bins = [
        (f"{place * 10}–{place * 10 + 10}" if place < 9 else "over 90", spread.get(place, 0))  # noqa: RUF001
        for place in range(last + 1)
    ]
    films: Rows = read(use_by_film(asked, categories, top))
    least: Rows = read(use_by_film(asked, categories, top, least_used=True))
    return Section(
        "Utilisation",
        (
            Figure("Utilisation", percent(ratio(row["days_out"], row["copy_days"])), DEFINITIONS["Utilisation"]),
            Figure("Copies", count(row["copies"]), "copies of these films", exactly(row["copies"])),
            Figure("Rentals", count(row["rentals"]), "rentals of the range", exactly(row["rentals"])),
            Figure(
                "Late",
                percent(ratio(row["late"], row["rentals"])),
                "rentals that came back late or are overdue / rentals",
                exactly(row["late"]),
            ),
        ),
        (
            _used("The most used films", films),
            _used("The least used films", least),
            Chart(
                "Films by utilisation",
                charts.histogram(bins, x="Utilisation of their copies, %", y="Films", unit="films"),
            ),
        ),
        note=sentence(DEFINITIONS["Utilisation"]),
    )


def _used(title: str, rows: Rows) -> Chart:
    told = [{**row, "share": row["utilisation"] * 100} for row in rows]
    return Chart(
        title,
        charts.bars(told, "film", "share", x="Utilisation, %", y="Film", unit="%", one_colour=charts.SKY),
    )
