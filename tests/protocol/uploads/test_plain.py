import json
from pathlib import Path

import pytest

from tailrace import errors
from tailrace.protocol.fields import Fields
from tailrace.protocol.uploads import plain
from tailrace.protocol.uploads.commands import Create
from tailrace.protocol.uploads.dialect import Refusal, RequestHead, ResponseHead
from tailrace.protocol.uploads.outcomes import Cancelled, Created, Limits, Progress

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "uploads_plain.json").read_text())
LIMITS = Limits(length=10, lifetime=None)


def vectors(key):
    return [pytest.param(each, id=each["name"]) for each in VECTORS if key in each]


def head_of(vector):
    lines = [(name.encode(), value.encode()) for name, value in vector.get("fields", [])]
    lines += [
        (name.encode(), value.encode("latin-1"))
        for name, value in vector.get("latin_1_fields", [])
    ]
    return RequestHead(vector["method"], Fields.from_raw(lines), vector["target_name"])


@pytest.mark.parametrize("vector", vectors("command"))
def test_a_plain_request_creates_a_whole_file(vector):
    told = vector["command"]
    assert plain.parse(head_of(vector)) == Create(
        name=told["name"],
        media_type=told["media_type"],
        complete_length=told["content_length"],
        is_complete=True,
        content_length=told["content_length"],
        digests={name: bytes.fromhex(it) for name, it in told.get("digests", {}).items()},
    )


@pytest.mark.parametrize("vector", vectors("error"))
def test_a_request_that_breaks_a_rule_is_refused(vector):
    with pytest.raises(getattr(errors, vector["error"])) as raised:
        plain.parse(head_of(vector))
    assert type(raised.value).__name__ == vector["error"]
    assert vector["says"] in str(raised.value)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_carries_a_file_can_be_plain(method):
    assert plain.recognizes(RequestHead(method, Fields()))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_else_can_be_plain(method):
    assert not plain.recognizes(RequestHead(method, Fields()))


def test_a_created_file_is_answered_with_its_place_and_its_link():
    outcome = Created("/uploads/k", "/l/t", Progress(3, True, 3, LIMITS))
    assert plain.answer(outcome) == ResponseHead(
        201, (("Location", "/uploads/k"), ("Link", '</l/t>; rel="alternate"'))
    )


def test_no_other_outcome_can_come_of_a_plain_upload():
    with pytest.raises(ValueError, match="Cancelled"):
        plain.answer(Cancelled())


def test_errors_are_told_as_the_general_table_tells_them():
    assert plain.refuse(errors.LengthExceeded(10), LIMITS) == Refusal(problem=None, fields=())


def test_a_plain_upload_needs_no_announcement():
    assert plain.announce(LIMITS) == ()
