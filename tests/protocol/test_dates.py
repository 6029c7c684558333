import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.protocol.dates import format_date, parse_date

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "dates.json").read_text())

moments = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0))
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_date_is_read(vector):
    expected = vector["moment"] and datetime.fromisoformat(vector["moment"])
    assert parse_date(vector["value"]) == expected


def test_a_moment_is_written_as_an_imf_fixdate():
    """RFC 9110 §5.6.7."""
    moment = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    assert format_date(moment) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_a_moment_of_another_time_zone_is_written_in_utc():
    moment = datetime(1994, 11, 6, 9, 49, 37, tzinfo=timezone(timedelta(hours=1)))
    assert format_date(moment) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_a_part_of_a_second_is_dropped_and_never_rounded_up():
    moment = datetime(1994, 11, 6, 8, 49, 37, 999_999, tzinfo=UTC)
    assert format_date(moment) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_a_year_has_four_digits():
    assert format_date(datetime(9, 1, 1, tzinfo=UTC)) == "Thu, 01 Jan 0009 00:00:00 GMT"


def test_a_naive_datetime_is_no_moment():
    with pytest.raises(ValueError, match="no time zone"):
        format_date(datetime(1994, 11, 6))  # noqa: DTZ001  the naive one is what is tested


@given(moments)
def test_a_date_that_is_written_is_read_back(moment):
    assert parse_date(format_date(moment)) == moment


@given(moments.filter(lambda moment: 1900 <= moment.year <= 2099))
def test_a_two_digit_year_is_read_in_the_century_that_its_day_tells(moment):
    imf = format_date(moment)
    day_name = DAYS[moment.weekday()]
    value = f"{day_name}, {imf[5:7]}-{imf[8:11]}-{imf[14:16]} {imf[17:25]} GMT"
    assert parse_date(value) == moment
