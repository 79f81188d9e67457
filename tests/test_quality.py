"""What an audit adds up to, and when it is too much."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from etl_spark.core.audit import ALL, AuditRow
from etl_spark.core.errors import ReconciliationError
from etl_spark.quality import over_limit, tally

DAY = date(2022, 4, 1)
WHOLE = AuditRow(
    pipeline="p",
    source_table="s",
    date=DAY,
    file="f",
    reason=ALL,
    source_uri="/s",
    size_bytes=1,
    modified_at=datetime(2022, 4, 2, tzinfo=UTC),
    checksum=None,
    rules_version="r",
    rows_in=10,
    rows_accepted=9,
    rows_rejected=1,
    rows_flagged=2,
    rows_outside=0,
    amount_in=Decimal(100),
    amount_accepted=Decimal(95),
    amount_rejected=Decimal(5),
    run_id="x",
    measure="seconds",
)
PART = replace(
    WHOLE,
    reason="bad",
    rows_in=None,
    rows_accepted=None,
    rows_flagged=0,
    amount_in=None,
    amount_accepted=None,
)
FLAG = replace(PART, reason="odd", rows_rejected=0, amount_rejected=Decimal(0), rows_flagged=2)


def by_day(row: AuditRow) -> str:
    return str(row.date)


def test_a_tally_sums_files_and_keeps_reasons_apart() -> None:
    other = replace(WHOLE, file="g"), replace(PART, file="g", reason="worse")
    total = tally([WHOLE, PART, FLAG, *other])
    assert (total.rows_in, total.rows_accepted, total.rows_rejected) == (20, 18, 2)
    assert [total.amount_in, total.amount_accepted, total.amount_rejected] == [Decimal(200), Decimal(190), Decimal(10)]
    assert (total.rejected, total.flagged) == ({"bad": 1, "worse": 1}, {"odd": 2})


@pytest.mark.parametrize(
    "wrong",
    [
        [replace(WHOLE, rows_in=11), PART],
        [replace(WHOLE, amount_accepted=Decimal(96)), PART],
        [WHOLE],
        [WHOLE, replace(PART, rows_rejected=2)],
    ],
)
def test_what_does_not_add_up_is_raised(wrong: list[AuditRow]) -> None:
    with pytest.raises(ReconciliationError, match="do not add up"):
        tally(wrong)


def test_the_limit_itself_is_allowed_and_one_more_row_is_not() -> None:
    worse = replace(WHOLE, date=date(2022, 4, 2), rows_in=9, rows_accepted=8)
    rows = [WHOLE, PART, worse, replace(PART, date=worse.date)]
    assert list(over_limit(rows, 0.1, by_day)) == ["2022-04-02"]
    assert list(over_limit(rows, 0.0, by_day)) == ["2022-04-01", "2022-04-02"]
    assert list(over_limit(rows, 1.0, by_day)) == []


def test_an_empty_day_is_over_no_limit() -> None:
    empty = replace(
        WHOLE, rows_in=0, rows_accepted=0, rows_rejected=0, amount_in=Decimal(0), amount_accepted=Decimal(0)
    )
    assert over_limit([replace(empty, amount_rejected=Decimal(0))], 0.0, by_day) == {}
