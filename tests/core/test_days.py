"""Which days are read, known, missing and gone."""

from dataclasses import replace
from datetime import date
from typing import Any

from etl_spark.core.dates import DateRange
from etl_spark.core.days import DayPlan, Fingerprint, SourceFile, plan_days

D1, D2, D3, D4 = (date(2022, 4, day) for day in (1, 2, 3, 4))
ASKED = DateRange(D3, D4)


def file(day: date, name: str = "", **changes: Any) -> SourceFile:
    name = name or f"{day:%Y%m%d}.json"
    return replace(
        SourceFile(day, name, f"/logs/{name}", f"file:///logs/{name}", "logs", 100, 1_650_000_000_123), **changes
    )


def plan(*files: SourceFile, known: tuple[SourceFile, ...] = (), rules: str = "r1", refresh: bool = False) -> DayPlan:
    accounted: dict[date, set[Fingerprint]] = {}
    for one in known:
        accounted.setdefault(one.day, set()).add(Fingerprint.of(one, "/logs", "r1"))
    return plan_days(ASKED, files, accounted, source="/logs", rules=rules, refresh=refresh)


def test_new_days_are_read_earlier_ones_too() -> None:
    made = plan(file(D1), file(D3), file(D4))
    assert made.to_read == (D1, D3, D4)
    assert (made.found, made.missing, made.previous_found) == ((D3, D4), (), (D1,))


def test_an_unchanged_day_is_not_read_again() -> None:
    made = plan(file(D3), file(D4), known=(file(D3), file(D4)))
    assert (made.to_read, made.known, made.to_replace) == ((), (D3, D4), ())


def test_a_day_is_read_again_when_anything_about_its_files_changed() -> None:
    for now in (
        file(D3, size_bytes=101),
        file(D3, modified_ms=1_650_000_000_124),
        file(D3, checksum="etag"),
        file(D3, name="20220403.json.gz"),
    ):
        assert plan(now, file(D4), known=(file(D3), file(D4))).to_read == (D3,)


def test_a_day_is_read_again_when_a_file_joined_or_left_it() -> None:
    one, two = file(D3, "d/1"), file(D3, "d/2")
    assert plan(one, two, file(D4), known=(one, file(D4))).to_read == (D3,)
    assert plan(one, file(D4), known=(one, two, file(D4))).to_read == (D3,)


def test_other_rules_and_refresh_read_everything() -> None:
    assert plan(file(D3), file(D4), known=(file(D3), file(D4)), rules="r2").to_read == (D3, D4)
    assert plan(file(D3), file(D4), known=(file(D3), file(D4)), refresh=True).to_read == (D3, D4)


def test_of_a_missing_day_nothing_stays_if_it_is_asked_for() -> None:
    made = plan(file(D3), known=(file(D1), file(D3), file(D4)))
    assert (made.missing, made.to_read, made.to_replace) == ((D4,), (), (D4,))
