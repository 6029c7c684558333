import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Table
from sqlalchemy.dialects import sqlite

from tailrace.catalogue import (
    CredentialRecord,
    FileRecord,
    JobRecord,
    LinkRecord,
    UploadRecord,
)
from tailrace.catalogue.tables import (
    UtcDateTime,
    credentials,
    files,
    jobs,
    links,
    metadata,
    uploads,
)


@pytest.mark.parametrize(
    ("table", "record"),
    [
        (files, FileRecord),
        (links, LinkRecord),
        (uploads, UploadRecord),
        (jobs, JobRecord),
        (credentials, CredentialRecord),
    ],
)
def test_a_table_has_the_fields_of_its_record_in_their_order(
    table: Table, record: type
) -> None:
    assert [column.name for column in table.c] == [
        field.name for field in dataclasses.fields(record)
    ]


def test_a_column_may_be_null_where_its_field_may_be_none() -> None:
    for table, record in (
        (files, FileRecord),
        (links, LinkRecord),
        (uploads, UploadRecord),
        (jobs, JobRecord),
    ):
        for field in dataclasses.fields(record):
            assert table.c[field.name].nullable == ("None" in str(field.type)), field.name


def test_every_constraint_and_index_has_a_name() -> None:
    for table in metadata.tables.values():
        assert all(index.name for index in table.indexes)
        assert all(constraint.name for constraint in table.constraints)


zones = st.builds(
    lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-14 * 60, 14 * 60)
)


def moments(first: datetime, last: datetime) -> st.SearchStrategy[datetime]:
    microseconds = st.integers(0, (last - first) // timedelta(microseconds=1))
    return st.builds(
        lambda after, zone: (first + timedelta(microseconds=after)).astimezone(zone),
        microseconds,
        zones,
    )


any_moments = moments(datetime(1970, 1, 3, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))
# About one new year, so that the fractions of one second and both years are compared.
near_moments = moments(
    datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC)
)


def as_text(moment: datetime) -> str:
    process = UtcDateTime().bind_processor(sqlite.dialect())
    assert process is not None
    return process(moment)


@settings(deadline=None)
@given(any_moments)
def test_a_moment_comes_back_from_text_as_the_same_moment_in_utc(moment: datetime) -> None:
    process = UtcDateTime().result_processor(sqlite.dialect(), None)
    assert process is not None
    again = process(as_text(moment))
    assert again == moment
    assert again.tzinfo is UTC


@settings(deadline=None)
@given(near_moments, near_moments)
def test_the_order_of_the_text_is_the_order_of_the_moments(a: datetime, b: datetime) -> None:
    assert (as_text(a) < as_text(b)) == (a < b)


def test_a_moment_that_the_database_gives_with_a_zone_is_turned_to_utc() -> None:
    given_back = datetime(2026, 6, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    again = UtcDateTime().process_result_value(given_back, sqlite.dialect())
    assert again is not None
    assert (again, again.tzinfo) == (given_back, UTC)


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        as_text(datetime(2026, 6, 1, tzinfo=UTC).replace(tzinfo=None))


def test_no_moment_stays_none() -> None:
    assert UtcDateTime().process_bind_param(None, sqlite.dialect()) is None
    assert UtcDateTime().process_result_value(None, sqlite.dialect()) is None
