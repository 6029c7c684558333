"""What we write, read by h11."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.server import framing
from tailrace.server.framing import Framing


def head(status=200, fields=(), *, method="GET", http_version="1.1", keep_alive=True):
    return framing.response_head(
        status, fields, method=method, http_version=http_version, keep_alive=keep_alive
    )


LENGTH_4 = [(b"content-length", b"4")]


@pytest.mark.parametrize(
    ("expected", "arguments"),
    [
        (Framing.LENGTH, {"fields": LENGTH_4}),
        (Framing.LENGTH, {"fields": LENGTH_4, "http_version": "1.0"}),
        (Framing.CHUNKED, {}),
        (Framing.CHUNKED, {"fields": [(b"Transfer-Encoding", b"Chunked")]}),
        (Framing.CLOSE, {"http_version": "1.0"}),
        (
            Framing.CLOSE,
            {"http_version": "1.0", "fields": [(b"transfer-encoding", b"chunked")]},
        ),
        (Framing.NONE, {"method": "HEAD"}),
        (Framing.NONE, {"method": "HEAD", "fields": LENGTH_4}),
        (Framing.NONE, {"status": 204}),
        (Framing.NONE, {"status": 304, "fields": LENGTH_4}),
    ],
)
def test_the_framing_follows_rfc_9112_6_3(expected, arguments):
    assert head(**arguments).framing is expected


def test_the_length_counts_only_where_it_frames():
    assert head(fields=LENGTH_4).content_length == 4
    assert head(304, LENGTH_4).content_length is None
    assert b"content-length: 4\r\n" in head(304, LENGTH_4).octets


@pytest.mark.parametrize("status", [101, 103, 204])
def test_a_length_is_not_written_where_there_is_never_content(status):
    """RFC 9110 §8.6."""
    assert b"content-length" not in head(status, [(b"Content-Length", b"0")]).octets


def test_the_lines_of_a_head_may_be_lists():
    """ASGI: an iterable of two-item iterables."""
    assert head(fields=[list(line) for line in LENGTH_4]) == head(fields=LENGTH_4)


def test_a_head_that_is_wrong_is_wrong_each_time():
    for _ in range(2):
        with pytest.raises(RuntimeError):
            head(fields=[(b"a b", b"1")])


def test_heads_that_differ_in_anything_are_told_apart():
    kinds = [
        {},
        {"status": 404},
        {"fields": LENGTH_4},
        {"fields": [(b"content-length", b"5")]},
        {"method": "HEAD"},
        {"http_version": "1.0"},
        {"keep_alive": False},
    ]
    first = [head(**kind) for kind in kinds]
    assert len(set(first)) == len(kinds)
    assert [head(**kind) for kind in kinds] == first


def test_http_1_0_is_told_that_the_connection_stays():
    """RFC 9112 §9.3: otherwise it would take it that it does not."""
    written = head(fields=LENGTH_4, http_version="1.0")
    assert written.keep_alive
    assert b"connection: keep-alive\r\n" in written.octets


def test_http_1_0_is_told_nothing_of_a_connection_that_does_not_stay():
    for written in (
        head(http_version="1.0"),  # its end is the end of the content
        head(fields=LENGTH_4, http_version="1.0", keep_alive=False),
    ):
        assert not written.keep_alive
        assert b"keep-alive" not in written.octets


DEFAULTS = [(b"date", b"Sat, 29 Oct 1994 19:43:31 GMT"), (b"server", b"uvicorn")]


def test_what_the_application_says_is_not_said_again_by_the_server():
    """RFC 9110 §5.3: neither may stand twice."""
    given = [(b"Date", b"Sun, 30 Oct 1994 00:00:00 GMT"), *LENGTH_4]
    written = framing.response_head(
        200, given, DEFAULTS, method="GET", http_version="1.1", keep_alive=True
    ).octets
    assert written.count(b"date: ") == 1
    assert b"date: Sun, 30 Oct 1994 00:00:00 GMT\r\n" in written
    assert b"server: uvicorn\r\n" in written


def test_the_date_is_that_of_the_response():
    assert framing.dated(DEFAULTS, 784111777.9) == [
        (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (b"server", b"uvicorn"),
    ]


def test_a_date_that_is_not_wanted_is_not_added():
    assert framing.dated([], 784111777) == []


@pytest.mark.parametrize("http_version", ["1.0", "1.1"])
@pytest.mark.parametrize("status", [200, 204, 304])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_transfer_encoding_is_written_where_it_is_used_and_nowhere_else(
    http_version, status, method
):
    written = head(
        status,
        [(b"transfer-encoding", b"chunked")],
        method=method,
        http_version=http_version,
    )
    count = written.octets.count(b"transfer-encoding: chunked\r\n")
    assert count == (written.framing is Framing.CHUNKED)


@pytest.mark.parametrize("value", [b"close", b"Close", b"keep-alive, close", b"close,x"])
def test_an_application_can_have_the_connection_closed(value):
    written = head(fields=[(b"connection", value)])
    assert not written.keep_alive
    assert written.octets.count(b"connection:") == 1


@pytest.mark.parametrize("arguments", [{"keep_alive": False}, {"http_version": "1.0"}])
def test_a_connection_that_will_be_closed_is_said_to_be(arguments):
    written = head(**arguments)
    assert not written.keep_alive
    assert b"connection: close\r\n" in written.octets


@pytest.mark.parametrize("status", [299, 599])
def test_a_status_without_a_name_is_written_all_the_same(status):
    assert head(status).octets.startswith(b"HTTP/1.1 %d \r\n" % status)


@pytest.mark.parametrize(
    "field",
    [
        (b"", b"x"),
        (b"a b", b"x"),
        (b"a:", b"x"),
        (b"a\r\nb", b"x"),
        (b"\xe9", b"x"),
        (b"a", b"x\r\nb: c"),
        (b"a", b"x\ny"),
        (b"a", b"x\ry"),
        (b"a", b"x\x00"),
        (b"a", b"x\x7f"),
        (b"content-length", b""),
        (b"content-length", b"+4"),
        (b"content-length", b"4 "),
        (b"content-length", b"4_0"),
        (b"transfer-encoding", b"gzip, chunked"),
    ],
)
def test_a_field_that_must_not_be_sent_is_not_written(field):
    with pytest.raises(RuntimeError):
        head(fields=[field])


def test_two_framings_at_once_are_not_written():
    with pytest.raises(RuntimeError):
        head(fields=[*LENGTH_4, (b"transfer-encoding", b"chunked")])


tokens = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=10).filter(
    lambda name: name.lower() not in ("connection", "content-length", "transfer-encoding")
)
values = st.text('\t !~\x80\xff09azAZ,;="', max_size=20).map(str.strip)
fields = st.lists(st.tuples(tokens, values), max_size=5)
pieces = st.lists(st.binary(max_size=300), max_size=5)


@given(st.sampled_from([200, 206, 404]), fields, pieces, st.booleans())
def test_head_and_content_are_read_as_they_were_written(status, fields, pieces, has_length):
    written = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    if has_length:
        written.append((b"Content-Length", b"%d" % sum(map(len, pieces))))
    start = head(status, written)
    octets = start.octets
    for number, piece in enumerate(pieces):
        before, after = framing.around(
            start.framing, len(piece), is_last=number == len(pieces) - 1
        )
        octets += before + piece + after
    if not pieces:
        octets += b"".join(framing.around(start.framing, 0, is_last=True))

    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(octets)
    response = client.next_event()
    assert response.status_code == status
    expected = [(name.lower(), value) for name, value in written]
    assert [pair for pair in response.headers if pair in expected] == expected
    content = b""
    while isinstance(event := client.next_event(), h11.Data):
        content += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert content == b"".join(pieces)
    assert client.trailing_data == (b"", False)


@pytest.mark.parametrize(("method", "content"), [("GET", b"Why."), ("HEAD", b"")])
def test_a_refusal_is_a_whole_response_that_closes(method, content):
    octets = framing.refusal(431, "Why.", [(b"date", b"today")], method=method)
    head, _, rest = octets.partition(b"\r\n\r\n")
    assert rest == content
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 431 Request Header Fields Too Large",
        b"date: today",
        b"content-type: text/plain; charset=utf-8",
        b"content-length: 4",
        b"connection: close",
    ]
