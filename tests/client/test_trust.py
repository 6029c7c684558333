import pytest

from tailrace.client.moves import Ask, Framing, Head, Representation
from tailrace.client.trust import agrees, is_asked_for, is_piece, strong
from tailrace.protocol.ranges import ContentRange
from tailrace.protocol.validators import EntityTag
from tailrace.spans import Span

TAG = EntityTag("one")
KNOWN = Representation(TAG, 100, {"sha-256": b"right"})
ASK = Ask(10, TAG, 20)
GOOD = Head(
    status=206,
    reason="",
    framing=Framing.LENGTH,
    content_length=10,
    content_range=ContentRange(Span(10, 20), 100),
    entity_tag=TAG,
    digests={},
    content_coding=None,
    retry_after_seconds=None,
    problem=None,
)


def test_the_part_that_was_asked_for_is_taken():
    assert is_piece(KNOWN, ASK, GOOD)


def test_less_than_was_asked_for_is_taken():
    less = GOOD._replace(content_range=ContentRange(Span(10, 15), 100), content_length=5)
    assert is_piece(KNOWN, ASK, less)


BAD = {
    "the whole": {"status": 200, "content_range": None, "content_length": 100},
    "no Content-Range": {"content_range": None},
    "a 416's Content-Range": {"content_range": ContentRange.unsatisfied(100)},
    "another start": {"content_range": ContentRange(Span(9, 19), 100)},
    "more": {"content_range": ContentRange(Span(10, 21), 100), "content_length": 11},
    "another complete length": {"content_range": ContentRange(Span(10, 20), 101)},
    "no complete length": {"content_range": ContentRange(Span(10, 20), None)},
    "no length": {"content_length": None, "framing": Framing.CHUNKED},
    "a length that is not the part's": {"content_length": 9},
    "another tag": {"entity_tag": EntityTag("two")},
    "a weak tag": {"entity_tag": EntityTag("one", weak=True)},
    "no tag": {"entity_tag": None},
    "another digest": {"digests": {"sha-256": b"wrong"}},
    "a content coding": {"content_coding": "gzip"},
}


@pytest.mark.parametrize("said", BAD.values(), ids=BAD)
def test_what_may_be_something_else_is_not_taken(said):
    assert not is_piece(KNOWN, ASK, GOOD._replace(**said))


def test_without_a_tag_to_pin_it_no_piece_is_taken():
    untagged = GOOD._replace(entity_tag=None)
    assert not is_piece(KNOWN._replace(entity_tag=None), Ask(10, None, 20), untagged)


def test_a_part_need_not_tell_its_length_twice():
    assert is_asked_for(ASK, GOOD._replace(content_length=None))


def test_what_is_unknown_contradicts_nothing():
    assert agrees(KNOWN, GOOD, None)
    assert agrees(KNOWN._replace(complete_length=None), GOOD, 7)
    assert not agrees(KNOWN, GOOD, 99)


def test_a_weak_tag_is_no_strong_one():
    assert strong(EntityTag("one", weak=True)) is None
    assert strong(TAG) == TAG
    assert strong(None) is None
