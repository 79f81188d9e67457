"""What is shown of the viewing job: the overview of a range, those who are picked from it, and one contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from etl_spark.core.dates import DateRange
from etl_spark.dashboard import charts
from etl_spark.dashboard.queries import Condition, between, of_range, select, within
from etl_spark.dashboard.results import Query, Row, Rows
from etl_spark.dashboard.shown import (
    Chart,
    Figure,
    Read,
    Section,
    Sheet,
    change,
    count,
    decimal,
    exactly,
    hours,
    in_hours,
    percent,
    ratio,
    sentence,
)

CATEGORIES = ("TV", "Movie", "Child", "Relax", "Sport")
SEGMENTS = ("At Risk", "Need Attention", "Valuable", "Loyal")
"""From the least active; a configuration may name others, which come after."""
MOST_SHOWN = 100
MOST_DOWNLOADED = 100_000
NOTHING_WATCHED = "nothing"
"""The category of who watched nothing in a range."""

DEFINITIONS: Mapping[str, str] = {
    "Users": "contracts that watched anything in the range",
    "Hours": "accepted seconds of viewing / 3,600",
    "Hours / person / month": "hours / users, as the source document defines it; not scaled to the range",
    "Hours / person / week": "the monthly figure / 4",
    "Hours / person / day": "the weekly figure / 7",
    "Hours / active day": "hours / active days of all users: fit to compare ranges of different length",
    "Active days / person": "days with an accepted line, summed over users / users",
    "Activeness": "active days / days of the range, in percent",
    "Segment": "by active days out of 30: At Risk below 7, Need Attention 7 to 13, Valuable 14 to 20, Loyal 21 and "
    "more; other ranges are scaled",
    "Most watched": "the category with the most seconds; of equal ones the first of TV, Movie, Child, Relax, Sport",
    "Taste": "the categories with more than 0 seconds",
    "Range before": "as many days, ending the day before the range starts; compared only where all its days are there",
}


@dataclass(frozen=True)
class Picked:
    """Those users of a range who are in one of the segments, most watch one of the categories, and have the taste.

    Empty is any.
    """

    segments: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    taste: str = ""

    def conditions(self, table: str) -> tuple[Condition, ...]:
        return (
            *within(f"{table}.segment", "segment", self.segments),
            *within(f"{table}.most_watch", "category", self.categories),
            *within(f"{table}.taste", "taste", (self.taste,) if self.taste else ()),
        )

    def __bool__(self) -> bool:
        return bool(self.segments or self.categories or self.taste)


def summary(asked: DateRange) -> Query:
    """viewing_summary of the range: a row per segment, and one for All."""
    return select(
        "SELECT s.segment, s.contract_count, s.total_seconds, s.avg_seconds_per_person_month, "
        "s.avg_seconds_per_person_week, s.avg_seconds_per_person_day, s.avg_seconds_per_active_day, s.days_asked, "
        "s.days_found FROM viewing_summary s",
        [of_range(asked, "s")],
        "ORDER BY s.segment",
    )


def before(asked: DateRange) -> Query:
    """Users and seconds of the range before, and how many of its days were found."""
    return select(
        "SELECT COUNT(t.previous_total_seconds) AS users, SUM(t.previous_total_seconds) AS seconds, "
        "MAX(t.previous_days_found) AS days_found FROM viewing_trend t",
        [of_range(asked, "t")],
    )


def activity(asked: DateRange, picked: Picked) -> Query:
    """Users by their active days, with their seconds."""
    return select(
        "SELECT p.active_days, COUNT(*) AS users, SUM(p.total_seconds) AS seconds FROM viewing_profile p",
        [of_range(asked, "p"), *picked.conditions("p")],
        "GROUP BY p.active_days ORDER BY p.active_days",
    )


def by_day(asked: DateRange, categories: Sequence[str]) -> Query:
    """Viewers and seconds by day and category; of all categories, and All, where none is named."""
    return select(
        "SELECT v.log_date AS day, v.category, v.viewer_count AS viewers, v.total_seconds AS seconds "
        "FROM viewing_statistics v",
        [between("v.log_date", asked), *within("v.category", "category", categories)],
        "ORDER BY v.log_date, v.category",
    )


def most_watched(asked: DateRange, picked: Picked) -> Query:
    """Users and seconds by the category that they watch most."""
    return select(
        "SELECT p.most_watch AS category, COUNT(*) AS users, SUM(p.total_seconds) AS seconds FROM viewing_profile p",
        [of_range(asked, "p"), *picked.conditions("p")],
        "GROUP BY p.most_watch ORDER BY COUNT(*) DESC, p.most_watch",
    )


def seconds_by_category(asked: DateRange, picked: Picked) -> Query:
    """One row: users, and the seconds of each category."""
    sums = ", ".join(f"SUM(p.{one.lower()}_seconds) AS {one.lower()}_seconds" for one in CATEGORIES)
    return select(
        f"SELECT COUNT(*) AS users, SUM(p.total_seconds) AS seconds, SUM(p.active_days) AS active_days, {sums} "
        "FROM viewing_profile p",
        [of_range(asked, "p"), *picked.conditions("p")],
    )


def tastes(asked: DateRange, picked: Picked) -> Query:
    """Users by taste, the most frequent first."""
    return select(
        "SELECT p.taste, COUNT(*) AS users FROM viewing_profile p",
        [of_range(asked, "p"), *picked.conditions("p")],
        "GROUP BY p.taste ORDER BY COUNT(*) DESC, p.taste",
    )


def segments_there(asked: DateRange) -> Query:
    """The names of the segments of the range."""
    return select("SELECT DISTINCT p.segment FROM viewing_profile p", [of_range(asked, "p")])


def moves(asked: DateRange, picked: Picked) -> Query:
    """Users by what they watched most in the range before and in this one; null where they watched nothing.

    Of those who are picked, only those who watch now are known.
    """
    profile = (
        " JOIN viewing_profile p ON p.start_date = t.start_date AND p.end_date = t.end_date AND p.contract = t.contract"
    )
    return select(
        "SELECT t.previous_most_watch AS from_category, t.most_watch AS to_category, t.change AS how, "
        f"COUNT(*) AS users FROM viewing_trend t{profile if picked else ''}",
        [of_range(asked, "t"), *picked.conditions("p")],
        "GROUP BY t.previous_most_watch, t.most_watch, t.change",
    )


def segment_moves(asked: DateRange, picked: Picked) -> Query:
    """Users by their segment in the range before, null where they have no profile there, and in this one."""
    previous = asked.previous()
    return select(
        "SELECT b.segment AS from_segment, p.segment AS to_segment, COUNT(*) AS users FROM viewing_profile p "
        "LEFT JOIN viewing_profile b ON b.contract = p.contract AND b.start_date = :before_start "
        "AND b.end_date = :before_end",
        [of_range(asked, "p"), *picked.conditions("p")],
        "GROUP BY b.segment, p.segment",
        before_start=previous.start,
        before_end=previous.end,
    )


def users(asked: DateRange, picked: Picked, most: int) -> Query:
    """The profiles of those picked, who watched most first."""
    seconds = ", ".join(f"p.{one.lower()}_seconds" for one in CATEGORIES)
    return select(
        f"SELECT p.contract, p.segment, p.most_watch, p.taste, p.active_days, p.activeness, p.total_seconds, {seconds} "
        "FROM viewing_profile p",
        [of_range(asked, "p"), *picked.conditions("p")],
        "ORDER BY p.total_seconds DESC, p.contract LIMIT :most",
        most=most,
    )


def one_contract(contract: str) -> Query:
    """All profiles of a contract, the newest range first."""
    seconds = ", ".join(f"p.{one.lower()}_seconds" for one in CATEGORIES)
    return select(
        "SELECT p.start_date, p.end_date, p.segment, p.most_watch, p.taste, p.active_days, p.activeness, "
        f"p.total_seconds, {seconds} FROM viewing_profile p",
        [Condition("p.contract = :contract", {"contract": contract})],
        "ORDER BY p.end_date DESC, p.start_date",
    )


def days_of_contract(contract: str, asked: DateRange) -> Query:
    """Seconds by day and category of a contract; of viewing_daily, which is exported where a configuration says so."""
    seconds = ", ".join(f"d.{one.lower()}_seconds" for one in CATEGORIES)
    return select(
        f"SELECT d.log_date AS day, d.record_count, {seconds} FROM viewing_daily d",
        [Condition("d.contract = :contract", {"contract": contract}), between("d.log_date", asked)],
        "ORDER BY d.log_date",
    )


@dataclass(frozen=True)
class Overview:
    """The whole of a range; `days_found` of its days were there."""

    figures: Sequence[Figure]
    note: str
    sections: Sequence[Section]


def overview(read: Read, asked: DateRange, categories: Sequence[str] = ()) -> Overview:
    """The figures and charts of a range; those by day of the named categories, or of all."""
    rows = read(summary(asked))
    everybody = next((row for row in rows if row["segment"] == "All"), None)
    active = read(activity(asked, Picked()))
    days = sum(row["active_days"] * row["users"] for row in active)
    (earlier,) = read(before(asked))
    comparable = earlier["days_found"] == len(asked) and earlier["users"]
    return Overview(
        figures=_figures(everybody, days, earlier if comparable else None),
        note=_compared(asked, earlier["days_found"], bool(comparable)),
        sections=(
            _daily(read, asked, categories),
            _segments([row for row in rows if row["segment"] != "All"]),
            _habits(read, asked, active),
        ),
    )


def _compared(asked: DateRange, found: int | None, comparable: bool) -> str:
    previous = asked.previous()
    if comparable:
        return f"Changes are against the range before, {previous}."
    return (
        f"No change is shown: of the {len(asked)} days before, {previous}, the source had {found or 0}, "
        "and ranges are compared only where both are whole."
    )


def _figures(row: Row | None, active_days: int, earlier: Row | None) -> tuple[Figure, ...]:
    if row is None or not row["contract_count"]:
        return ()
    people, seconds = row["contract_count"], row["total_seconds"]
    was = earlier or {"users": None, "seconds": None}
    each = ratio(was["seconds"], was["users"])

    def average(name: str, per: str, compared: Decimal | None = None) -> Figure:
        value = row[f"avg_seconds_per_{per}"]
        exact = "" if value is None else f"{exactly(value)} seconds"
        return Figure(name, hours(value), DEFINITIONS[name], exact, change(value, compared))

    return (
        _users(people, change(people, was["users"])),
        _hours(seconds, change(seconds, was["seconds"])),
        average("Hours / person / month", "person_month", each),
        average("Hours / person / week", "person_week", each and each / 4),
        average("Hours / person / day", "person_day", each and each / 28),
        average("Hours / active day", "active_day"),
        _active_days(active_days, people),
    )


def _users(people: int, changed: str = "") -> Figure:
    return Figure("Users", count(people), DEFINITIONS["Users"], exactly(people), changed)


def _hours(seconds: int, changed: str = "") -> Figure:
    return Figure("Hours", hours(seconds), DEFINITIONS["Hours"], f"{exactly(seconds)} seconds", changed)


def _active_days(days: int, people: int) -> Figure:
    name = "Active days / person"
    return Figure(name, decimal(ratio(days, people)), DEFINITIONS[name], f"{exactly(days)} days")


def _daily(read: Read, asked: DateRange, categories: Sequence[str]) -> Section:
    rows = read(by_day(asked, categories))
    parts = [{**row, "hours": in_hours(row["seconds"])} for row in rows if categories or row["category"] in CATEGORIES]
    order = ("All", *CATEGORIES)
    return Section(
        "By day",
        charts=(
            Chart(
                "Hours watched, by day and category",
                charts.stacked_days(
                    charts.by_name(parts, "category", "day", "hours", order), x="Day", y="Hours watched", unit="hours"
                ),
            ),
            Chart(
                "Viewers, by day and category",
                charts.lines(
                    charts.by_name(rows, "category", "day", "viewers", order), x="Day", y="Viewers", unit="viewers"
                ),
                "Who watched two categories counts in both, and once in All.",
            ),
        ),
    )


def _segments(rows: Rows) -> Section:
    by = {row["segment"]: row for row in rows}
    ordered = [by[one] for one in (*SEGMENTS, *sorted(set(by) - set(SEGMENTS))) if one in by]
    total = sum(row["contract_count"] for row in rows), sum(row["total_seconds"] for row in rows)
    told = [
        {
            **row,
            "hours": in_hours(row["total_seconds"]),
            "share": ratio(row["contract_count"], total[0]),
            "share_of_hours": ratio(row["total_seconds"], total[1]),
        }
        for row in ordered
    ]
    return Section(
        "Segments",
        charts=(
            Chart(
                "Users in each segment",
                charts.bars(told, "segment", "contract_count", x="Users", y="Segment", unit="users", colours=True),
            ),
            Chart(
                "Hours watched by each segment",
                charts.bars(told, "segment", "hours", x="Hours watched", y="Segment", unit="hours", colours=True),
            ),
        ),
        sheets=(
            Sheet(
                "Segments in numbers",
                {
                    "segment": ("Segment", "text"),
                    "contract_count": ("Users", "count"),
                    "share": ("Share of users", "percent"),
                    "total_seconds": ("Hours", "hours"),
                    "share_of_hours": ("Share of hours", "percent"),
                    "avg_seconds_per_person_month": ("Hours / person / month", "hours"),
                },
                told,
            ),
        ),
        note=sentence(DEFINITIONS["Segment"]),
    )


def _habits(read: Read, asked: DateRange, active: Rows) -> Section:
    watched = read(most_watched(asked, Picked()))
    return Section(
        "Habits",
        charts=(
            Chart(
                "Users by the category they watch most",
                charts.bars(watched, "category", "users", x="Users", y="Category", unit="users", colours=True),
            ),
            activeness_chart(active, len(asked)),
        ),
    )


def activeness_chart(active: Rows, days: int) -> Chart:
    """How many users watched on how large a part of the days, in tenths."""
    bins = [0] * 10
    for row in active:
        # 10 % is of the bin that begins there, and who watched every day is of the last one.
        bins[min(row["active_days"] * 10 // days, 9)] += row["users"]
    labels = [f"{place * 10}–{place * 10 + 10}" for place in range(10)]  # noqa: RUF001
    return Chart(
        "Users by activeness",
        charts.histogram(list(zip(labels, bins, strict=True)), x="Active days, % of all days", y="Users", unit="users"),
    )


@dataclass(frozen=True)
class Detail:
    """Those who are picked: who they are and how they moved."""

    figures: Sequence[Figure]
    who: Section
    moved: Section


def detail(read: Read, asked: DateRange, picked: Picked, ranges: Sequence[DateRange]) -> Detail:
    """Of those picked from a range; `ranges` are all that there are."""
    (whole,) = read(seconds_by_category(asked, picked))
    people = whole["users"]
    if not people:
        return Detail((), Section("Who they are"), Section("How they moved"))
    active = read(activity(asked, picked))
    kinds: list[dict[str, Any]] = [
        {"category": one, "hours": in_hours(whole[f"{one.lower()}_seconds"])}
        for one in CATEGORIES
        if whole[f"{one.lower()}_seconds"]
    ]
    kinds.sort(key=lambda row: -row["hours"])
    top = read(tastes(asked, picked))
    figures = (
        _users(people),
        _hours(whole["seconds"]),
        Figure(
            "Hours / person",
            hours(ratio(whole["seconds"], people)),
            "hours / users, over the whole range",
        ),
        _active_days(whole["active_days"], people),
        Figure(
            "Activeness",
            percent(ratio(whole["active_days"], people * len(asked))),
            "active days / days of the range, of all of them together",
        ),
    )
    who = Section(
        "Who they are",
        charts=(
            Chart(
                "Hours by category",
                charts.bars(kinds, "category", "hours", x="Hours watched", y="Category", unit="hours", colours=True),
            ),
            activeness_chart(active, len(asked)),
            Chart(
                "Top tastes",
                charts.bars(top[:10], "taste", "users", x="Users", y="Categories watched", unit="users"),
                f"{min(10, len(top))} of {len(top)} combinations of categories.",
            ),
        ),
    )
    return Detail(figures, who, _moved(read, asked, picked, ranges))


def _moved(read: Read, asked: DateRange, picked: Picked, ranges: Sequence[DateRange]) -> Section:
    rows = read(moves(asked, picked))
    shown: list[Chart] = []
    notes = []
    previous = asked.previous()
    if any(row["how"] for row in rows):
        by_change = {one: sum(row["users"] for row in rows if row["how"] == one) for one in _CHANGES}
        shown = [
            Chart(
                "What became of them",
                charts.bars(
                    [{"how": how, "users": number} for how, number in by_change.items()],
                    "how",
                    "users",
                    x="Users",
                    y="Since the range before",
                    unit="users",
                    colours=True,
                ),
                "New watched in this range only, Lost in the one before only; Changed and Unchanged are by the "
                "category most watched." + (" Who is lost has no segment now, and is in no selection." * bool(picked)),
            ),
            _matrix("category", rows, CATEGORIES),
        ]
    else:
        notes.append(f"How they moved is not known: it takes all {len(asked)} days of the range before, {previous}.")
    if previous in ranges:
        found = read(segment_moves(asked, picked))
        shown.append(_matrix("segment", found, SEGMENTS))
    else:
        notes.append(
            "For moves between segments the range before needs a run of its own: ./scripts/submit.sh viewing "
            f"--start-date {previous.start} --end-date {previous.end}"
        )
    return Section("How they moved since the range before", charts=shown, note=" ".join(notes))


_CHANGES = ("New", "Lost", "Changed", "Unchanged")


def _matrix(what: Literal["category", "segment"], rows: Rows, order: Sequence[str]) -> Chart:
    """Users by where they were (down) and are (across)."""

    def named(value: Any) -> str:
        return NOTHING_WATCHED if value is None else str(value)

    values: dict[tuple[str, str], int] = {}
    for row in rows:
        place = named(row[f"from_{what}"]), named(row[f"to_{what}"])
        values[place] = values.get(place, 0) + row["users"]
    froms, tos = ({place[side] for place in values} for side in (0, 1))
    known = (*order, NOTHING_WATCHED)
    down, across = ([one for one in known if one in names] + sorted(names - set(known)) for names in (froms, tos))
    total = {one: sum(number for (start, _), number in values.items() if start == one) for one in down}
    hover = {
        (start, end): f"{start} to {end}: {number:,} users, {percent(ratio(number, total[start]))} of {start}"
        for (start, end), number in values.items()
    }
    title, axis = {
        "category": ("Moves between categories", "Most watched"),
        "segment": ("Moves between segments", "Segment"),
    }[what]
    return Chart(
        title,
        charts.heat_map(
            across,
            down,
            values,
            x=f"{axis} in this range",
            y=f"{axis} in the range before",
            scale="Users",
            shown={place: charts.short(number) for place, number in values.items()},
            hover=hover,
        ),
        f"Rows are where users were, columns where they are; “{NOTHING_WATCHED}” is who watched nothing.",
    )


PROFILE_COLUMNS: Mapping[str, tuple[str, Any]] = {
    "contract": ("Contract", "text"),
    "segment": ("Segment", "text"),
    "most_watch": ("Most watched", "text"),
    "taste": ("Taste", "text"),
    "active_days": ("Active days", "count"),
    "activeness": ("Activeness %", "money"),
    "total_seconds": ("Hours", "hours"),
    **{f"{one.lower()}_seconds": (f"{one} hours", "hours") for one in CATEGORIES},
}


def sheet_of_users(rows: Rows, found: int) -> Sheet:
    """The picked users, or the first of them."""
    note = f"The {len(rows):,} who watched most, of {found:,}." if found > len(rows) else ""
    return Sheet("The users", PROFILE_COLUMNS, rows, note)


def sheet_of_contract(rows: Rows) -> Sheet:
    """The profiles of one contract."""
    columns = {"start_date": ("From", "day"), "end_date": ("To", "day"), **PROFILE_COLUMNS}
    del columns["contract"]
    return Sheet("Profile, by range", columns, rows)


def chart_of_days(rows: Rows) -> Chart:
    """The days of one contract."""
    series = {
        one: ([row["day"] for row in rows], [in_hours(row[f"{one.lower()}_seconds"]) for row in rows])
        for one in CATEGORIES
        if any(row[f"{one.lower()}_seconds"] for row in rows)
    }
    return Chart("Hours by day and category", charts.stacked_days(series, x="Day", y="Hours watched", unit="hours"))
