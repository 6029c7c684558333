import httptools
import pytest

from tailrace.server import Limits, heads, refusals

HOST = (b"host", b"a")


def settle(target, *fields, method=b"GET", most_octets=100, **limits):
    parser = heads.new_parser(object())
    lines = [b"%s: %s" % line for line in fields]
    octets = b"\r\n".join([b"%s %s HTTP/1.1" % (method, target), *lines]) + b"\r\n\r\n"
    try:
        parser.feed_data(octets)
    except httptools.HttpParserUpgrade:
        pass
    given = list(fields)
    return heads.settle(parser, target, given, Limits(**limits), most_octets), given


@pytest.mark.parametrize("target", [b"/", b"/a?b", b"//a"])
def test_an_origin_form_stays_as_it_is(target):
    assert settle(target, HOST) == (target, [HOST])


# RFC 9112 §3.2.2: the authority of an absolute form counts in place of Host.
def test_of_an_absolute_form_the_path_is_the_target_and_the_authority_the_host():
    assert settle(b"http://b/c?d", (b"x", b"y"), HOST) == (
        b"/c?d",
        [(b"host", b"b"), (b"x", b"y")],
    )


@pytest.mark.parametrize(
    ("method", "target", "fields", "refusal"),
    [
        (b"GET", b"/", [], refusals.HOST_NOT_ONE),
        (b"CONNECT", b"a:1", [HOST], refusals.CONNECT),
        (b"GET", b"http:///", [HOST], refusals.TARGET_INVALID),
    ],
)
def test_what_cannot_be_served_is_refused(method, target, fields, refusal):
    assert settle(target, *fields, method=method)[0] is refusal


@pytest.mark.parametrize(("limit", "is_refused"), [(15, False), (14, True)])
def test_a_head_is_measured_where_it_may_be_too_long(limit, is_refused):
    # Six octets of a target, and nine of a field with its end of line.
    found, _ = settle(b"/long0", HOST, most_octets=100, head_bytes=limit)
    assert (found is refusals.HEAD_TOO_LARGE) is is_refused
    assert settle(b"/long0", HOST, most_octets=limit, head_bytes=limit)[0] == b"/long0"
