import itertools
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tailrace.protocol.dates import format_date
from tailrace.protocol.fields import Fields
from tailrace.protocol.preconditions import Outcome, evaluate, range_applies
from tailrace.protocol.validators import EntityTag, Validators

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "preconditions.json").read_text())
LAST_MODIFIED = "1994-10-29T19:43:31+00:00"


def vectors(key):
    """The vectors of one kind: each kind has a key of its own."""
    return [pytest.param(each, id=each["name"]) for each in VECTORS if key in each]


def validators_of(vector):
    """Of a representation tagged "v1" and modified at LAST_MODIFIED, but for what is given."""
    if not vector.get("exists", True):
        return None
    tag, date = vector.get("entity_tag", '"v1"'), vector.get("last_modified", LAST_MODIFIED)
    return Validators(
        tag and EntityTag.from_field(tag),
        date and datetime.fromisoformat(date),
    )


@pytest.mark.parametrize("vector", vectors("outcome"))
def test_preconditions_are_evaluated(vector):
    fields = Fields.of(*map(tuple, vector["fields"]))
    outcome = evaluate(vector["method"], fields, validators_of(vector))
    assert outcome is Outcome[vector["outcome"]]


@pytest.mark.parametrize("vector", vectors("applies"))
def test_if_range_is_evaluated(vector):
    fields = Fields.of(*(("If-Range", value) for value in vector["if_range"]))
    assert range_applies(fields, validators_of(vector)) is vector["applies"]


def outcome_by_the_book(method, if_match, if_unmodified, if_none_match, if_modified):
    """RFC 9110 §13.2.2 word for word; each condition is True, False or None for absent."""
    if if_match is not None:  # step 1
        step = 3 if if_match else 412
    elif if_unmodified is not None:  # step 2
        step = 3 if if_unmodified else 412
    else:
        step = 3
    if step == 3:
        if if_none_match is not None:
            step = 5 if if_none_match else (304 if method in ("GET", "HEAD") else 412)
        else:
            step = 4
    if step == 4 and method in ("GET", "HEAD") and if_modified is not None:
        step = 5 if if_modified else 304
    return {304: Outcome.NOT_MODIFIED, 412: Outcome.FAILED}.get(step, Outcome.PROCEED)


def test_any_mixture_of_preconditions_follows_the_book():
    modified = datetime.fromisoformat(LAST_MODIFIED)
    before = format_date(modified - timedelta(seconds=1))
    same = format_date(modified)
    lines = {
        "If-Match": {True: '"v1"', False: '"v2"'},
        "If-Unmodified-Since": {True: same, False: before},
        "If-None-Match": {True: '"v2"', False: 'W/"v1"'},
        "If-Modified-Since": {True: before, False: same},
    }
    validators = Validators(EntityTag("v1"), modified)
    for method, *conditions in itertools.product(
        ("GET", "HEAD", "POST", "PUT", "DELETE"), *[(True, False, None)] * 4
    ):
        fields = Fields.of(
            *(
                (name, values[condition])
                for (name, values), condition in zip(lines.items(), conditions, strict=True)
                if condition is not None
            )
        )
        expected = outcome_by_the_book(method, *conditions)
        assert evaluate(method, fields, validators) is expected, (method, fields)


def test_a_modification_date_in_another_time_zone_is_the_same_moment():
    elsewhere = datetime.fromisoformat("1994-10-29T21:43:31+02:00")
    fields = Fields.of(("If-Range", "Sat, 29 Oct 1994 19:43:31 GMT"))
    assert range_applies(fields, Validators(None, elsewhere))


def test_each_vector_is_of_one_kind():
    assert all(("outcome" in each) != ("applies" in each) for each in VECTORS)
