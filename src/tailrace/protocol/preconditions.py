"""Preconditions: whether a request with If-* fields is to be performed (RFC 9110 §13).

Evaluate after all checks that would refuse the same request without its conditions, and
before anything is done (§13.2.1).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import datetime

from tailrace.protocol.dates import parse_date
from tailrace.protocol.fields import Fields
from tailrace.protocol.validators import (
    AnyTag,
    EntityTag,
    Validators,
    parse_entity_tags,
)


class Outcome(enum.Enum):
    """What follows from the preconditions of a request."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not modified"
    """The client has it already: 304."""
    FAILED = "failed"
    """Not the state the client thought of: 412."""


def evaluate(method: str, fields: Fields, validators: Validators | None) -> Outcome:
    """Evaluate all preconditions but If-Range, in the order of RFC 9110 §13.2.2.

    `validators` are those of the selected representation, or None where there is no
    current one. A field that is malformed counts as absent if it is a date, and as a list
    without members if it is one of entity tags.
    """
    if method in ("CONNECT", "OPTIONS", "TRACE"):  # they select no representation (§13.2.1)
        return Outcome.PROCEED
    is_read = method in ("GET", "HEAD")
    if_match, if_none_match = fields.get("If-Match"), fields.get("If-None-Match")

    # 1. If-Match, or else 2. If-Unmodified-Since.
    if if_match is not None:
        condition = _is_listed(validators, if_match, EntityTag.matches_strongly)
    else:
        since = fields.get("If-Unmodified-Since")
        condition = _is_unmodified_since(validators, since) is not False
    if not condition:
        return Outcome.FAILED

    # 3. If-None-Match, or else 4. If-Modified-Since, which counts for GET and HEAD alone.
    if if_none_match is not None:
        condition = not _is_listed(validators, if_none_match, EntityTag.matches_weakly)
    else:
        since = fields.get("If-Modified-Since") if is_read else None
        condition = _is_unmodified_since(validators, since) is not True
    if not condition:
        return Outcome.NOT_MODIFIED if is_read else Outcome.FAILED

    # 5. If-Range only decides on Range: `range_applies`. 6. The method is performed.
    return Outcome.PROCEED


def range_applies(fields: Fields, validators: Validators) -> bool:
    """Tell whether the Range field of a GET may be heeded, as far as If-Range goes.

    What is malformed, weak, or not exactly the validator of the selected representation
    means no: the client holds a part of something else, or we cannot tell (§13.1.5).
    """
    if_range = fields.get("If-Range")
    if if_range is None:
        return True
    if '"' in if_range[:3]:  # how §13.1.5 tells a tag from a date
        tag = EntityTag.from_field(if_range)
        current = validators.entity_tag
        return tag is not None and current is not None and tag.matches_strongly(current)
    date = parse_date(if_range)
    return date is not None and date == _last_modified(validators)


def _is_listed(
    validators: Validators | None,
    field_value: str,
    matches: Callable[[EntityTag, EntityTag], bool],
) -> bool:
    listed = parse_entity_tags(field_value)
    if validators is None:
        return False
    if listed is AnyTag.ANY:
        return True
    current = validators.entity_tag
    return current is not None and any(matches(tag, current) for tag in listed)


def _is_unmodified_since(validators: Validators | None, field_value: str | None) -> bool | None:
    """None where the field is to be ignored: absent, no date, or no date to compare with."""
    date = None if field_value is None else parse_date(field_value)
    last_modified = None if validators is None else _last_modified(validators)
    if date is None or last_modified is None:
        return None
    return last_modified <= date


def _last_modified(validators: Validators) -> datetime | None:
    """The date as the Last-Modified field says it, in whole seconds."""
    return validators.last_modified and validators.last_modified.replace(microsecond=0)
