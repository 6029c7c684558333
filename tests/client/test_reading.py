"""Reading from a server that does what it is told: every byte once and in order, or loud."""

import pytest
from hostile import Hostile, answer, chunked, cut, honest, raw, response, whole

from tailrace.client.cancellation import Cancellation, Cancelled
from tailrace.client.downloads import Session
from tailrace.errors import (
    ConnectionLost,
    MalformedContent,
    Refused,
    RepresentationChanged,
    TransferError,
)

CONTENT = bytes(range(256)) * 400
OTHER = bytes(reversed(range(256))) * 400
ETAG = ("ETag", '"one"')
OTHER_ETAG = ("ETag", '"two"')
CHUNKED = ("Transfer-Encoding", "chunked")


def read(server, quick, **options):
    """Return all that is given, and the error that ended it, if one did."""
    given = b""
    with Session(**quick) as session:
        try:
            for piece in session.stream(server.url(), **options):
                given += piece
        except TransferError as exc:
            return given, exc
        except MalformedContent as exc:
            return given, exc
    return given, None


def test_a_file_is_read(quick):
    with Hostile(whole(CONTENT)) as server:
        assert read(server, quick) == (CONTENT, None)


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_cut_is_resumed_where_it_was(quick, then):
    replies = cut(CONTENT, 5000, ETAG, then=then), honest(CONTENT, ETAG)
    with Hostile(*replies) as server:
        assert read(server, quick) == (CONTENT, None)
    assert server.requests[1].fields["if-range"] == '"one"'


@pytest.mark.parametrize("offset", [0, 1, 5000, len(CONTENT) - 1, len(CONTENT)])
def test_it_begins_where_it_is_asked_to(quick, offset):
    with Hostile(honest(CONTENT, ETAG)) as server:
        assert read(server, quick, offset=offset) == (CONTENT[offset:], None)


@pytest.mark.parametrize("offset", [1, 5000, 70_000])
def test_a_server_without_ranges_is_read_from_its_beginning_but_not_given(quick, offset):
    with Hostile(whole(CONTENT)) as server:
        assert read(server, quick, offset=offset) == (CONTENT[offset:], None)


def test_what_grows_is_followed_and_resumed_to_its_end(quick):
    begun = response("200 OK", [ETAG, CHUNKED], chunked(b"one", b"two", is_complete=False))
    span = ("Content-Range", f"bytes 6-{2**53 - 1}/*")
    followed = response("206 Partial Content", [ETAG, CHUNKED, span], chunked(b"three"))
    with Hostile(raw(begun), raw(followed)) as server:
        assert read(server, quick) == (b"onetwothree", None)


def test_a_file_cut_just_before_its_end_is_whole(quick):
    begun = response("200 OK", [ETAG, CHUNKED], chunked(CONTENT, is_complete=False))
    with Hostile(raw(begun), honest(CONTENT, ETAG)) as server:
        assert read(server, quick) == (CONTENT, None)


def test_another_file_that_ends_there_is_no_proof_of_the_end(quick):
    begun = response("200 OK", [ETAG, CHUNKED], chunked(CONTENT, is_complete=False))
    with Hostile(raw(begun), honest(OTHER, OTHER_ETAG)) as server:
        given, error = read(server, quick)
    assert given == CONTENT
    assert isinstance(error, RepresentationChanged)


def test_the_end_by_now_is_where_only_what_comes_is_given(quick):
    piece = ("Content-Range", "bytes 0-5/*")
    now = answer("206 Partial Content", [ETAG, piece], b"onetwo")
    span = ("Content-Range", f"bytes 6-{2**53 - 1}/*")
    followed = raw(response("206 Partial Content", [ETAG, CHUNKED, span], chunked(b"three")))
    with Hostile(now, followed) as server:
        assert read(server, quick, offset=None) == (b"three", None)
    assert server.requests[0].fields["range"] == "bytes=0-999999999998"


@pytest.mark.parametrize(
    "reply", [honest(CONTENT, ETAG), whole(CONTENT)], ids=["ranges", "no ranges"]
)
def test_after_the_end_of_what_does_not_grow_nothing_comes(quick, reply):
    with Hostile(reply) as server:
        assert read(server, quick, offset=None) == (b"", None)


def test_a_weak_tag_does_not_let_resume(quick):
    weak = ("ETag", 'W/"one"')
    with Hostile(cut(CONTENT, 5000, weak), whole(CONTENT, weak)) as server:
        given, error = read(server, quick)
    assert given == CONTENT[:5000]
    assert isinstance(error, ConnectionLost)
    assert "no way to resume" in str(error)


def test_before_the_first_byte_anything_may_be_begun_anew(quick):
    with Hostile(cut(CONTENT, 0, ETAG), whole(OTHER, OTHER_ETAG)) as server:
        assert read(server, quick) == (OTHER, None)


def part(content, start, *fields):
    span = ("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    return answer("206 Partial Content", (span, *fields), content[start:])


BAD_ENDS = {
    "another file": honest(OTHER, OTHER_ETAG),
    "another file's part": part(OTHER, 5000, OTHER_ETAG),
    "a part without a tag": part(OTHER, 5000),
    "another part": part(CONTENT, 4999, ETAG),
    "a part that does not say which": answer("206 Partial Content", [ETAG], CONTENT[5000:]),
    "an ended link": answer("410 Gone"),
    "a 416 of another length": answer(
        "416 Range Not Satisfiable", [("Content-Range", "bytes */9")]
    ),
    "a 204": answer("204 No Content"),
    "a 304": raw(response("304 Not Modified", [ETAG])),
    "a coding": answer("200 OK", [ETAG, ("Content-Encoding", "gzip")], CONTENT),
    "garbage": raw(b"\x00\x01\r\n\r\n"),
    "silence for ever": raw(b""),
    "503 for ever": answer("503 Service Unavailable"),
    "an hour": answer("503 Service Unavailable", [("Retry-After", "3600")]),
    "a circle": answer("302 Found", [("Location", "/file.bin")]),
    "a broken chunk": raw(
        response("206 Partial Content", [ETAG, CHUNKED, ("Content-Range", "bytes 5000-9/*")])
    ),
}


@pytest.mark.parametrize("reply", BAD_ENDS.values(), ids=BAD_ENDS)
def test_what_does_not_go_on_in_the_same_file_fails_and_gives_nothing_wrong(quick, reply):
    with Hostile(cut(CONTENT, 5000, ETAG), reply) as server:
        given, error = read(server, quick)
    assert given == CONTENT[:5000]
    assert error is not None


def test_a_close_is_no_proof_of_the_end(quick):
    with Hostile(raw(response("200 OK", [], CONTENT))) as server:
        given, error = read(server, quick)
    assert given == CONTENT
    assert "nothing tells" in str(error)


def test_a_wrong_address_is_not_waited_for(quick):
    with Hostile() as server:
        pass
    assert "no connection" in str(read(server, quick)[1])


def test_an_error_is_told(quick):
    with Hostile(answer("404 Not Found")) as server:
        _, error = read(server, quick)
    assert isinstance(error, Refused)


def test_another_thread_may_stop_it(quick):
    cancellation = Cancellation()
    with Hostile(cut(CONTENT, 5000, then="stall")) as server:
        with Session(**quick, cancellation=cancellation) as session:
            pieces = session.stream(server.url())
            next(pieces)
            cancellation.cancel()
            with pytest.raises(Cancelled):
                list(pieces)
