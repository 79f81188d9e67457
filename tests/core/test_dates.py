"""Days and ranges of them."""

from datetime import date

import pytest

from etl_spark.core.dates import EVER, DateRange, parse_date
from etl_spark.core.errors import UsageError


@pytest.mark.parametrize("text", ["2022-04-01", "20220401"])
def test_a_date_is_written_with_or_without_hyphens(text: str) -> None:
    assert parse_date(text) == date(2022, 4, 1)


@pytest.mark.parametrize(
    "text", ["", "2022-4-1", "2022-13-01", "20220230", "2022/04/01", "220401", "2022-0401", "٢٠٢٢٠٤٠١", "2022-04-01 "]
)
def test_anything_else_is_refused_and_named(text: str) -> None:
    with pytest.raises(UsageError, match="is not a date"):
        parse_date(text)


def test_a_range_includes_both_ends() -> None:
    one = DateRange(date(2024, 2, 28), date(2024, 3, 1))
    assert len(one) == 3
    assert one.days == (date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1))


def test_the_range_before_is_as_long_and_ends_the_day_before() -> None:
    assert DateRange(date(2022, 4, 1), date(2022, 4, 30)).previous() == DateRange(date(2022, 3, 2), date(2022, 3, 31))


def test_a_range_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(UsageError, match="after the end date"):
        DateRange(date(2022, 4, 2), date(2022, 4, 1))


def test_before_the_first_day_of_all_there_is_nothing() -> None:
    with pytest.raises(UsageError, match="there is no range"):
        DateRange(date.min, date.min).previous()


def test_a_range_without_an_end_is_closed_by_what_is_there() -> None:
    first, last, asked = date(2024, 4, 1), date(2024, 6, 24), date(2024, 6, 30)
    assert EVER.closed(first, last) == DateRange(first, last)
    assert DateRange(EVER.start, asked).closed(first, last) == DateRange(first, asked)
    assert DateRange(first, asked).closed(last, last) == DateRange(first, asked)
