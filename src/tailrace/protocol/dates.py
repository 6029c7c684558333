"""HTTP-date: moments in fields, in whole seconds of UTC (RFC 9110 §5.6.7).

    IMF-fixdate    Sun, 06 Nov 1994 08:49:37 GMT     the only form that is written
    rfc850-date    Sunday, 06-Nov-94 08:49:37 GMT    obsolete, read
    asctime-date   Sun Nov  6 08:49:37 1994          obsolete, read

The two-digit year. The RFC settles its century by the recipient's clock; this room has none.
But the day of the week tells: a date falls on another weekday in the next century. So of
19yy and 20yy that year is taken in which the date falls on the day named. Where the year is
whole the day-name adds nothing and is not compared.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
_DAYS_IN_FULL = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

_DAY_NAME = rf"(?P<day_name>{'|'.join(_DAYS)})"
_DAY_NAME_L = rf"(?P<day_name>{'|'.join(_DAYS_IN_FULL)})"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_DAY = r"(?P<day>[0-9]{2})"
_TIME_OF_DAY = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"

_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"{_DAY_NAME}, {_DAY} {_MONTH} (?P<year>[0-9]{{4}}) {_TIME_OF_DAY} GMT",
        rf"{_DAY_NAME_L}, {_DAY}-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME_OF_DAY} GMT",
        rf"{_DAY_NAME} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME_OF_DAY} (?P<year>[0-9]{{4}})",
    )
)


def parse_date(value: str) -> datetime | None:
    """Read an HTTP-date; None where it is none.

    A leap second is read as the second before it, for `datetime` has none.
    """
    for form in _FORMS:
        match = form.fullmatch(value)
        if match is not None:
            return _resolve(match)
    return None


def format_date(moment: datetime) -> str:
    """Write a moment as an IMF-fixdate; a part of a second is dropped.

    Raises:
        ValueError: the moment is naive, so it is none.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    utc = moment.astimezone(UTC)
    # Not strftime: its names follow the locale.
    return (
        f"{_DAYS[utc.weekday()]}, {utc.day:02} {_MONTHS[utc.month - 1]} {utc.year:04}"
        f" {utc.hour:02}:{utc.minute:02}:{utc.second:02} GMT"
    )


def _resolve(match: re.Match[str]) -> datetime | None:
    digits = match["year"]
    if len(digits) == 4:
        return _moment(match, int(digits))
    for century in (1900, 2000):
        moment = _moment(match, century + int(digits))
        if moment is not None and _DAYS_IN_FULL[moment.weekday()] == match["day_name"]:
            return moment
    return None


def _moment(match: re.Match[str], year: int) -> datetime | None:
    second = int(match["second"])
    try:
        return datetime(
            year,
            _MONTHS.index(match["month"]) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            59 if second == 60 else second,
            tzinfo=UTC,
        )
    except ValueError:  # no such day or time of day
        return None
