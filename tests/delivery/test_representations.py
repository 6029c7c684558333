from datetime import datetime

import pytest

from tailrace.delivery.representations import Representation
from tailrace.protocol.disposition import ContentDisposition
from tailrace.protocol.fields import Fields
from tailrace.protocol.validators import EntityTag, Validators

TAG = EntityTag("v1")
DATE = datetime.fromisoformat("1994-10-29T19:43:31+00:00")
FILE = Representation(
    "text/plain",
    Validators(TAG, DATE),
    ContentDisposition("attachment", "a.txt"),
    sha256=bytes(32),
    cache_control="private",
)
BARE = Representation("text/plain", Validators(None, None))


def test_a_304_has_what_updates_a_cache_and_nothing_else():
    assert FILE.validating_fields() == [
        ("ETag", '"v1"'),
        ("Last-Modified", "Sat, 29 Oct 1994 19:43:31 GMT"),
        ("Cache-Control", "private"),
    ]


def test_content_has_its_name_and_digest_as_well():
    assert FILE.describing_fields() == [
        *FILE.validating_fields(),
        ("Content-Disposition", 'attachment; filename="a.txt"'),
        ("Repr-Digest", f"sha-256=:{'A' * 43}=:"),
    ]


def test_what_is_not_known_is_not_said():
    assert BARE.validating_fields() == BARE.describing_fields() == []


def test_what_grows_keeps_its_tag_and_its_name():
    growing = FILE.while_growing()
    assert growing.validators == Validators(TAG, None)
    assert growing.describing_fields() == [
        ("ETag", '"v1"'),
        ("Cache-Control", "no-store"),
        ("Content-Disposition", 'attachment; filename="a.txt"'),
    ]


@pytest.mark.parametrize(
    ("lines", "validators"),
    [
        ([], Validators(TAG, DATE)),
        ([("ETag", '"theirs"')], Validators(EntityTag("theirs"), DATE)),
        ([("etag", 'W/"theirs"')], Validators(EntityTag("theirs", weak=True), DATE)),
        ([("ETag", "no tag")], Validators(None, DATE)),
        (
            [("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")],
            Validators(TAG, datetime.fromisoformat("1994-11-06T08:49:37+00:00")),
        ),
        ([("Last-Modified", "yesterday")], Validators(TAG, None)),
        ([("Content-Type", "text/html")], Validators(TAG, DATE)),
    ],
)
def test_other_fields_may_give_the_validators(lines, validators):
    assert FILE.with_validators_of(Fields.of(*lines)).validators == validators


def test_a_date_that_others_give_is_theirs_to_vouch_for():
    found = Representation("text/plain", Validators(TAG, DATE), has_weak_date=True)
    date = Fields.of(("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"))
    assert not found.with_validators_of(date).has_weak_date
    assert found.with_validators_of(Fields.of(("ETag", '"theirs"'))).has_weak_date
