import json
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from tailrace.client.connections import Response
from tailrace.client.heads import describe
from tailrace.client.messages import ResponseHead
from tailrace.client.moves import Framing
from tailrace.errors import ConnectionLost
from tailrace.protocol.dates import format_date
from tailrace.protocol.fields import Fields
from tailrace.protocol.ranges import ContentRange
from tailrace.protocol.validators import EntityTag
from tailrace.spans import Span


class Text:
    """Content that is there already."""

    def __init__(self, text):
        self.left = text

    def readinto(self, buffer):
        if isinstance(self.left, Exception):
            raise self.left
        piece, self.left = self.left[: len(buffer)], self.left[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


def head_of(*lines, status=200, content=b""):
    head = ResponseHead(1, status, "Reason", Fields.of(*lines))
    return describe(Response(None, head, Framing.LENGTH, 5, Text(content)))


def test_a_bare_head_says_little():
    head = head_of()
    assert (head.status, head.reason, head.framing, head.content_length) == (
        200,
        "Reason",
        Framing.LENGTH,
        5,
    )
    assert head.content_range is head.entity_tag is head.content_coding is None
    assert head.retry_after_seconds is head.problem is None
    assert head.digests == {}


def test_what_identifies_the_bytes_is_read():
    head = head_of(
        ("ETag", 'W/"x"'),
        ("Content-Range", "bytes 5-9/10"),
        ("Repr-Digest", "sha-256=:" + "A" * 43 + "=:, md5=:AAAA:"),
    )
    assert head.entity_tag == EntityTag("x", weak=True)
    assert head.content_range == ContentRange(Span(5, 10), 10)
    assert head.digests == {"sha-256": bytes(32)}


@pytest.mark.parametrize(
    ("name", "value", "fact"),
    [
        ("ETag", "unquoted", "entity_tag"),
        ("Content-Range", "bytes 9-5/10", "content_range"),
        ("Repr-Digest", "sha-256=:AAAA:", "digests"),
        ("Repr-Digest", "no digest", "digests"),
        ("Retry-After", "soon", "retry_after_seconds"),
        ("Retry-After", "-5", "retry_after_seconds"),
        ("Content-Encoding", "identity", "content_coding"),
        ("Content-Encoding", "Identity", "content_coding"),
    ],
)
def test_what_cannot_be_read_is_as_good_as_absent(name, value, fact):
    assert not getattr(head_of((name, value)), fact)


def test_a_content_coding_is_seen():
    assert head_of(("Content-Encoding", "GZIP")).content_coding == "gzip"


def test_retry_after_may_be_a_number():
    assert head_of(("Retry-After", "120")).retry_after_seconds == 120


def test_retry_after_may_be_a_date():
    moment = datetime.now(UTC) + timedelta(seconds=100)
    seconds = head_of(("Retry-After", format_date(moment))).retry_after_seconds
    assert 90 < seconds <= 100


def test_a_date_that_has_passed_is_now():
    assert head_of(("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")).retry_after_seconds == 0


class TestProblems:
    type_line: ClassVar = ("Content-Type", "Application/Problem+JSON; charset=utf-8")

    def test_the_problem_of_an_error_is_read(self):
        problem = {"title": "Gone", "detail": "it was deleted"}
        content = json.dumps(problem).encode()
        assert head_of(self.type_line, status=410, content=content).problem == problem

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 60_000, ConnectionLost("cut")],
    )
    def test_a_problem_that_cannot_be_read_is_none(self, content):
        assert head_of(self.type_line, status=410, content=content).problem is None

    def test_a_page_is_no_problem(self):
        assert head_of(("Content-Type", "text/html"), status=410, content=b"{}").problem is None

    def test_without_an_error_there_is_no_problem(self):
        assert head_of(self.type_line, content=b"{}").problem is None
