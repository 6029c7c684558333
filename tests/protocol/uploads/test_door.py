from datetime import timedelta

import pytest

from tailrace.errors import UnsupportedDialect
from tailrace.protocol import uploads
from tailrace.protocol.fields import Fields
from tailrace.protocol.uploads import Limits, RequestHead, plain, rufh, tus


@pytest.mark.parametrize(
    ("method", "fields", "dialect"),
    [
        ("POST", (), plain),
        ("PUT", (), plain),
        ("PUT", (("Content-Length", "5"), ("Content-Type", "image/png")), plain),
        ("POST", (("Upload-Complete", "yes"),), plain),
        ("PUT", (("Tus-Resumable", "1.0.0"),), plain),
        ("POST", (("Tus-Resumable", "1.0.0"),), tus),
        ("HEAD", (("Tus-Resumable", "0.2.2"),), tus),
        ("GET", (("Tus-Resumable", "1.0.0"),), tus),
        ("PATCH", (("Tus-Resumable", "1.0.0"), ("Upload-Complete", "?1")), tus),
        ("DELETE", (("Tus-Resumable", "1.0.0"),), tus),
        ("POST", (("Upload-Complete", "?0"),), rufh),
        ("PUT", (("Upload-Complete", "?1"),), rufh),
        ("POST", (("Content-Type", "application/partial-upload"),), rufh),
        ("POST", (("Upload-Offset", "5"),), rufh),
        ("HEAD", (), rufh),
        ("GET", (), rufh),
        ("PATCH", (), rufh),
        ("DELETE", (), rufh),
    ],
)
def test_the_fields_tell_the_dialect(method, fields, dialect):
    assert uploads.dialect_of(RequestHead(method, Fields.of(*fields))) is dialect


def test_a_method_that_no_dialect_has_is_refused():
    with pytest.raises(UnsupportedDialect, match="OPTIONS"):
        uploads.dialect_of(RequestHead("OPTIONS", Fields()))


def test_options_announces_what_every_dialect_says_of_itself():
    head = uploads.announce(Limits(length=1000, lifetime=timedelta(hours=1)))
    assert head.status == 204
    fields = dict(head.fields)
    assert fields["Upload-Limit"] == "max-size=1000, max-age=3600"
    assert fields["Tus-Max-Size"] == "1000"


def test_the_door_has_all_it_names():
    assert all(hasattr(uploads, name) for name in uploads.__all__)
