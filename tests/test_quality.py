"""What an audit adds up to, and when it is too much."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from etl_spark.core.audit import ALL, AuditRow
from etl_spark.core.errors import ReconciliationError
from etl_spark.quality import days_over_limit, tally

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
    seconds_in=100,
    seconds_accepted=95,
    seconds_rejected=5,
    run_id="x",
)
PART = replace(
    WHOLE,
    reason="bad",
    rows_in=None,
    rows_accepted=None,
    rows_flagged=0,
    seconds_in=None,
    seconds_accepted=None,
)
FLAG = replace(PART, reason="odd", rows_rejected=0, seconds_rejected=0, rows_flagged=2)


def test_a_tally_sums_files_and_keeps_reasons_apart() -> None:
    other = replace(WHOLE, file="g"), replace(PART, file="g", reason="worse")
    total = tally([WHOLE, PART, FLAG, *other])
    assert (total.rows_in, total.rows_accepted, total.rows_rejected) == (20, 18, 2)
    assert (total.seconds_in, total.seconds_accepted, total.seconds_rejected) == (200, 190, 10)
    assert (total.rejected, total.flagged) == ({"bad": 1, "worse": 1}, {"odd": 2})


@pytest.mark.parametrize(
    "wrong",
    [
        [replace(WHOLE, rows_in=11), PART],
        [replace(WHOLE, seconds_accepted=96), PART],
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
    assert list(days_over_limit(rows, 0.1)) == [worse.date]
    assert list(days_over_limit(rows, 0.0)) == [DAY, worse.date]
    assert list(days_over_limit(rows, 1.0)) == []


def test_an_empty_day_is_over_no_limit() -> None:
    empty = replace(WHOLE, rows_in=0, rows_accepted=0, rows_rejected=0, seconds_in=0, seconds_accepted=0)
    assert days_over_limit([replace(empty, seconds_rejected=0)], 0.0) == {}
