from datetime import timedelta

import pytest

from tailrace.errors import UnsupportedDialect
from tailrace.protocol import uploads
from tailrace.protocol.fields import Fields
from tailrace.protocol.uploads import Limits, RequestHead, plain, rufh


@pytest.mark.parametrize(
    ("method", "fields", "dialect"),
    [
        ("POST", (), plain),
        ("PUT", (), plain),
        ("PUT", (("Content-Length", "5"), ("Content-Type", "image/png")), plain),
        ("POST", (("Upload-Complete", "yes"),), plain),
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


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_tus_is_refused_with_what_to_do_instead(method):
    head = RequestHead(method, Fields.of(("Tus-Resumable", "1.0.0"), ("Upload-Offset", "0")))
    with pytest.raises(UnsupportedDialect, match="Upload-Complete"):
        uploads.dialect_of(head)


def test_a_method_that_no_dialect_has_is_refused():
    with pytest.raises(UnsupportedDialect, match="OPTIONS"):
        uploads.dialect_of(RequestHead("OPTIONS", Fields()))


def test_options_announces_the_limits_of_resumable_uploads():
    head = uploads.announce(Limits(length=1000, lifetime=timedelta(hours=1)))
    assert head.status == 204
    assert head.fields == (("Upload-Limit", "max-size=1000, max-age=3600"),)


def test_the_door_has_all_it_names():
    assert all(hasattr(uploads, name) for name in uploads.__all__)
