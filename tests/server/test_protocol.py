"""Limits, deadlines, refusals, and the order of what is answered."""

import asyncio
import math
import socket
import threading
import time

import pytest
from serving import (
    BODY,
    GET,
    PATH_SEND,
    Cut,
    Response,
    Served,
    Waiting,
    answering,
    sending,
    start,
    until,
)

from tailrace.server.protocol import _Phase

POST_10 = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


async def read_all(receive):
    content = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        content += message["body"]
        if not message["more_body"]:
            return content


async def echo(scope, receive, send):
    content = await read_all(receive)
    if content is not None:
        await answering(content)(scope, receive, send)


async def deaf(scope, receive, send):
    """Answers before it has read anything."""
    await answering(b"enough")(scope, receive, send)


# --- lengths and counts -------------------------------------------------------------------


def request(target=b"/", fields=()):
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: a", *fields, b"", b""]
    return b"\r\n".join(lines)


def test_a_target_as_long_as_the_limit_is_taken(served, limits):
    limits(target_bytes=100)
    served.app = answering(b"")
    assert served.get(request(b"/" + b"a" * 99)).status == 200


def test_a_longer_target_is_a_414(served, limits):
    limits(target_bytes=100)
    served.app = answering(b"")
    assert served.get(request(b"/" + b"a" * 100)).status == 414


@pytest.mark.parametrize("length", [200, 50_000])
def test_a_target_without_end_is_a_414(served, limits, length):
    limits(target_bytes=100)
    served.app = answering(b"")
    with served.connect() as client:
        client.send(b"GET /", b"a" * length)
        assert client.response().status == 414
        assert client.has_ended()


def test_as_many_field_lines_as_the_limit_are_taken(served, limits):
    limits(field_lines=10)
    served.app = answering(b"")
    assert served.get(request(fields=[b"X: y"] * 9)).status == 200


def test_one_field_line_more_is_a_431(served, limits):
    limits(field_lines=10)
    served.app = answering(b"")
    assert served.get(request(fields=[b"X: y"] * 10)).status == 431


def test_fields_as_long_as_the_limit_are_taken(served, limits):
    limits(head_bytes=1000)
    served.app = answering(b"")
    assert served.get(request(fields=[b"X: " + b"y" * 900])).status == 200


@pytest.mark.parametrize("lines", [[b"X: " + b"y" * 1000], [b"X: " + b"y" * 300] * 4])
def test_longer_fields_are_a_431(served, limits, lines):
    limits(head_bytes=1000)
    served.app = answering(b"")
    assert served.get(request(fields=lines)).status == 431


def test_the_limit_holds_for_a_request_behind_another_too(served, limits):
    limits(head_bytes=1000)
    served.app = answering(b"")
    with served.connect() as client:
        client.send(GET, request(fields=[b"X: " + b"y" * 1000]))
        assert [client.response().status for _ in range(2)] == [200, 431]


def test_what_comes_before_a_head_does_not_count_as_head(served, limits):
    limits(head_bytes=1000)
    served.app = echo
    content = b"x" * 5000
    with served.connect() as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + content + GET[:5]
        )
        assert client.response().content == content
        client.send(GET[5:])
        assert client.response().status == 200


def test_a_field_without_end_is_a_431(served, limits):
    limits(head_bytes=1000)
    served.app = answering(b"")
    with served.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        for _ in range(20):
            client.send(b"y" * 100)
        assert client.response().status == 431
        assert client.has_ended()


def test_content_does_not_count_as_head(served, limits):
    limits(head_bytes=1000)
    served.app = echo
    content = b"x" * 100_000
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    with served.connect() as client:
        client.send(head + content + head + content)
        assert client.response().content == content
        assert client.response().content == content


def test_small_chunks_do_not_count_as_head(served, limits):
    limits(head_bytes=1000)
    served.app = echo
    with served.connect() as client:
        client.send(CHUNKED, b"1\r\nx\r\n" * 1000, b"0\r\n\r\n")
        assert client.response().content == b"x" * 1000


@pytest.mark.parametrize("endless", [b"1;a=", b"0\r\nX: "], ids=["extension", "trailer field"])
def test_what_surrounds_chunks_is_limited(served, limits, endless):
    limits(head_bytes=1000)
    served.app = echo
    with served.connect() as client:
        client.send(CHUNKED, endless)
        for _ in range(30):
            client.send(b"y" * 100)
        assert client.response().status == 400
        assert client.has_ended()


def test_trailer_fields_stay_out_of_the_scope(served):
    seen = []

    async def app(scope, receive, send):
        content = await read_all(receive)
        seen.append([name for name, _ in scope["headers"]])
        await answering(content)(scope, receive, send)

    served.app = app
    assert (
        served.get(CHUNKED + b"1\r\nx\r\n0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n").status == 200
    )
    assert seen == [[b"host", b"transfer-encoding"]]


def test_more_waiting_requests_than_the_limit_are_a_429(served, limits):
    limits(pipelined_requests=3)
    served.app = app = Waiting()
    with served.connect() as client:
        client.send(GET * 6)
        app.may_answer.set()
        assert [client.response().status for _ in range(5)] == [200, 200, 200, 200, 429]
        assert client.has_ended()


# --- the order of answers -----------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(served, long_path, nothing_left):
    async def app(scope, receive, send):
        length = int(scope["query_string"])
        if scope["path"] == "/file":
            await send(start(content_length=length))
            await send({"type": PATH_SEND, "path": str(long_path), "count": length})
        else:
            await answering(b"x" * length)(scope, receive, send)

    served.app = app
    asked = [("/file", 1), ("/octets", 100_000), ("/file", 3_000_000), ("/octets", 5)] * 3
    whole = long_path.read_bytes()
    with served.connect() as client:
        client.send(
            b"".join(
                f"GET {path}?{length} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
                for path, length in asked
            )
        )
        for path, length in asked:
            expected = whole[:length] if path == "/file" else b"x" * length
            assert client.response().content == expected


def test_a_refusal_waits_for_the_responses_before_it(served):
    served.app = app = Waiting()
    with served.connect() as client:
        client.send(GET, GET, b"GET / HTTP/1.1\r\n\r\n", GET)
        app.has_begun.wait()
        app.may_answer.set()
        assert [client.response().status for _ in range(3)] == [200, 200, 400]
        assert client.has_ended()


def test_a_refusal_does_not_touch_a_file_being_sent(served, long_path):
    served.app = sending(
        start(content_length=long_path.stat().st_size),
        {"type": PATH_SEND, "path": str(long_path)},
    )
    with served.connect() as client:
        client.send(GET)
        assert client.head().status == 200
        client.send(b"no request at all\r\n\r\n")
        assert client._exactly(long_path.stat().st_size, b"") == long_path.read_bytes()
        assert client.response().status == 400
        assert client.has_ended()


def test_broken_content_of_a_waiting_request_is_refused_in_its_turn(served):
    served.app = app = Waiting()
    with served.connect() as client:
        client.send(GET, CHUNKED, b"no length\r\n")
        app.has_begun.wait()
        app.may_answer.set()
        assert [client.response().status for _ in range(2)] == [200, 400]
        assert client.has_ended()


def test_broken_content_is_a_400_and_a_disconnect_for_the_application(
    served, limits, nothing_left
):
    limits(closing_seconds=60)
    outcomes = []

    async def app(scope, receive, send):
        outcomes.append(await read_all(receive))
        await answering(b"a second answer")(scope, receive, send)
        outcomes.append("answered")

    served.app = app
    with served.connect() as client:
        client.send(CHUNKED, b"no length\r\n")
        assert client.response().status == 400
        until(lambda: outcomes == [None, "answered"])
        assert client.has_ended()


def test_broken_content_after_the_response_has_begun_cuts_it(served, nothing_left):
    async def app(scope, receive, send):
        await send(start(content_length=4))
        await send({"type": BODY, "body": b"ab", "more_body": True})
        await read_all(receive)

    served.app = app
    with served.connect() as client:
        client.send(CHUNKED)
        client.head()
        client.send(b"no length\r\n")
        with pytest.raises(Cut) as cut:
            client._exactly(4, b"")
    assert cut.value.content == b"ab"


def test_broken_content_after_the_response_has_ended_closes(served, nothing_left):
    served.app = deaf
    with served.connect() as client:
        client.send(CHUNKED)
        assert client.response().content == b"enough"
        client.send(b"no length\r\n")
        assert client.has_ended()


def test_behind_a_request_to_close_nothing_is_refused(served):
    served.app = answering(b"")
    with served.connect() as client:
        client.send(request(fields=[b"Connection: close"]), b"no request at all\r\n\r\n")
        assert client.response().status == 200
        assert client.has_ended()


def test_a_refusal_of_head_has_no_content(served):
    served.app = answering(b"")
    with served.connect() as client:
        client.send(b"HEAD / HTTP/1.1\r\n\r\n")
        assert client.response("HEAD").status == 400
        assert client.has_ended()


def test_the_first_of_two_applications_is_told_when_the_client_leaves(
    served, limits, nothing_left
):
    """uvicorn tells only the request that came last."""
    limits(half_closed_seconds=0.05)
    has_begun = threading.Event()
    outcomes = []

    async def app(scope, receive, send):
        await receive()
        has_begun.set()
        outcomes.append((await receive())["type"])

    served.app = app
    with served.connect() as client:
        client.send(GET, GET)
        assert has_begun.wait(10)
    until(lambda: outcomes)
    assert outcomes == ["http.disconnect"]


# --- upgrades -----------------------------------------------------------------------------

H2C = b"Connection: upgrade\r\nUpgrade: h2c\r\n"


def test_an_upgrade_that_is_not_done_is_answered_and_closed(served):
    served.app = answering(b"plain")
    with served.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n", H2C, b"\r\n", GET)
        response = client.response()
        assert (response.content, response.fields["connection"]) == (b"plain", "close")
        assert client.has_ended()


@pytest.mark.parametrize(
    ("upgrade", "framed"),
    [
        (H2C, b"Content-Length: 5\r\n\r\nlost?"),
        (H2C, b"Transfer-Encoding: chunked\r\n\r\n5\r\nlost?\r\n0\r\n\r\n"),
        (
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAQ\r\n",
            None,
        ),
        (b"Connection: upgrade\r\nUpgrade: websocket\r\n", None),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_where_there_is_content_an_upgrade_is_ignored(served, upgrade, framed, size):
    """RFC 9110 §7.8: a server may. Java's client asks with each of its requests."""
    served.app = echo
    framed = framed or b"Content-Length: 5\r\n\r\nlost?"
    first = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
    octets = first + b"POST / HTTP/1.1\r\nHost: a\r\n" + upgrade + framed
    with served.connect() as client:
        for _ in range(2):  # the connection is as good as before
            for at in range(0, len(octets), size):
                client.send(octets[at : at + size])
            assert client.response().content == b"first"
            assert client.response().content == b"lost?"


class EchoingWebSocket(asyncio.Protocol):
    """What uvicorn hands a connection over to; WebSocket itself is not its business."""

    def __init__(self, config, server_state, app_state):
        pass

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


def test_a_websocket_is_no_longer_ours():
    upgrade = b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
    with Served("uvloop", ws=EchoingWebSocket) as served, served.connect() as client:
        client.send(upgrade[:5])
        until(lambda: served.connections)
        (ours,) = served.connections
        until(lambda: ours._phase is _Phase.HEAD)
        client.send(upgrade[5:])
        assert client.file.read(len(upgrade)) == upgrade
        client.send(b"still there")
        assert client.file.read(11) == b"still there"
        assert (ours._deadlines._timer, ours._idling._timer) == (None, None)
        assert ours.transport.get_write_buffer_limits()[1] > 0


# --- deadlines ----------------------------------------------------------------------------
# How long each is, test_deadlines.py says; here, when it begins and what comes of it.


def connection_of(client, served):
    """Return the server's side of a connection."""

    def found():
        address = client.socket.getsockname()
        return [each for each in served.connections if each.client == address]

    until(found)
    return found()[0]


def has_deadline_in(connection, phase):
    return connection._phase is phase and connection._deadlines._timer is not None


def let_time_for_a_head_pass(served, connection):
    def passes():
        connection._deadlines.disarm()
        connection._deadlines._overdue()

    served.call(passes)


def let_time_for_content_pass(served, connection):
    def passes():
        deadlines = connection._deadlines
        deadlines.disarm()
        deadlines._content_at = -math.inf
        deadlines._look_for_content(connection._is_held_up)

    served.call(passes)


def test_a_connection_without_a_request_is_closed_in_time(served, limits, nothing_left):
    limits(head_seconds=0.05)
    with served.connect() as client:
        assert client.has_ended()


@pytest.mark.parametrize("beginning", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX"])
def test_a_head_that_does_not_end_in_time_is_a_408(served, beginning, nothing_left):
    with served.connect() as client:
        client.send(beginning)
        connection = connection_of(client, served)
        until(lambda: has_deadline_in(connection, _Phase.HEAD))
        let_time_for_a_head_pass(served, connection)
        response = client.response()
        assert (response.status, response.fields["connection"]) == (408, "close")
        assert client.has_ended()


def test_a_trickle_does_not_prolong_the_time_for_a_head(served):
    beginning = b"GET / HTTP/1.1\r\nX: "
    with served.connect() as client:
        connection = connection_of(client, served)
        since_it_was_made = connection._deadlines._timer
        client.send(beginning)
        for count in range(1, 6):
            client.send(b"y")
            until(lambda: connection._without_progress == len(beginning) + count)  # noqa: B023
            assert connection._deadlines._timer is since_it_was_made


def test_the_time_for_a_head_holds_for_later_requests_too(served, nothing_left):
    served.app = answering(b"first")
    with served.connect() as client:
        client.send(GET)
        assert client.response().content == b"first"
        client.send(b"GET")
        connection = connection_of(client, served)
        until(lambda: has_deadline_in(connection, _Phase.HEAD))
        let_time_for_a_head_pass(served, connection)
        assert client.response().status == 408


def test_an_idle_connection_is_closed_also_after_content_that_nobody_read(served, nothing_left):
    served.app = deaf
    with served.connect() as client:
        client.send(POST_10)
        assert client.response().content == b"enough"
        client.send(b"0123456789")
        connection = connection_of(client, served)
        until(lambda: has_deadline_in(connection, _Phase.IDLE))
        let_time_for_a_head_pass(served, connection)
        assert client.has_ended()


def test_half_a_request_does_not_disturb_the_response_before(served):
    served.app = app = Waiting()
    with served.connect() as client:
        client.send(GET, b"GET / HTTP/1.1\r\n")
        connection = connection_of(client, served)
        until(lambda: has_deadline_in(connection, _Phase.HEAD))
        let_time_for_a_head_pass(served, connection)
        app.may_answer.set()
        assert client.response().content == b"waited"
        client.send(b"Host: a\r\n\r\n")
        assert client.response().content == b"waited"


def test_half_a_request_has_its_time_from_the_response_before(served, nothing_left):
    served.app = app = Waiting()
    with served.connect() as client:
        client.send(GET, b"GET / HTTP/1.1\r\n")
        connection = connection_of(client, served)
        until(lambda: has_deadline_in(connection, _Phase.HEAD))
        let_time_for_a_head_pass(served, connection)
        assert connection._deadlines._timer is None
        app.may_answer.set()
        assert client.response().content == b"waited"
        until(lambda: has_deadline_in(connection, _Phase.HEAD))
        let_time_for_a_head_pass(served, connection)
        assert client.response().status == 408


@pytest.mark.parametrize("request_head", [POST_10, CHUNKED], ids=["length", "chunked"])
def test_content_that_stalls_is_a_408(served, limits, request_head, nothing_left):
    limits(content_stall_seconds=0.05)
    served.app = echo
    with served.connect() as client:
        client.send(request_head, b"5\r\n")
        assert client.response().status == 408
        assert client.has_ended()


def test_content_that_stalls_behind_a_response_cuts(served, limits, nothing_left):
    limits(content_stall_seconds=0.05)

    async def app(scope, receive, send):
        await send(start(content_length=10))
        await send({"type": BODY, "body": b"a", "more_body": True})
        await read_all(receive)

    served.app = app
    with served.connect() as client:
        client.send(POST_10, b"5")
        with pytest.raises(Cut):
            client.response()


def test_each_octet_of_content_renews_its_time(served):
    served.app = echo
    with served.connect() as client:
        client.send(POST_10, b"0")
        connection = connection_of(client, served)
        until(lambda: has_deadline_in(connection, _Phase.CONTENT))
        connection._deadlines._content_at = -math.inf
        client.send(b"1")
        until(lambda: connection._deadlines._content_at > -math.inf)
        client.send(b"23456789")
        assert client.response().content == b"0123456789"


def test_the_time_an_application_takes_to_read_is_not_the_clients(served):
    length = 8 * 1024 * 1024
    may_read = threading.Event()

    async def app(scope, receive, send):
        await receive()
        await asyncio.to_thread(may_read.wait)
        await read_all(receive)
        await answering(b"all of it")(scope, receive, send)

    served.app = app
    with served.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length)
        sender = threading.Thread(target=client.send, args=(bytes(length),))
        sender.start()
        connection = connection_of(client, served)
        until(lambda: has_deadline_in(connection, _Phase.CONTENT))
        until(lambda: connection.flow.read_paused)
        let_time_for_content_pass(served, connection)
        may_read.set()
        assert client.response().content == b"all of it"
        sender.join()


def test_a_client_that_waits_for_100_continue_is_not_cut(served):
    may_read = threading.Event()

    async def app(scope, receive, send):
        await asyncio.to_thread(may_read.wait)
        await echo(scope, receive, send)

    served.app = app
    with served.connect() as client:
        client.send(POST_10.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        connection = connection_of(client, served)
        until(lambda: has_deadline_in(connection, _Phase.CONTENT))
        let_time_for_content_pass(served, connection)
        may_read.set()
        assert client.head().status == 100
        client.send(b"0123456789")
        assert client.response().content == b"0123456789"


def test_content_that_may_never_come_is_not_waited_for(served):
    """RFC 9110 §10.1.1: the client may send it all the same, or not."""
    served.app = deaf
    with served.connect() as client:
        client.send(POST_10.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        response = client.response()
        assert (response.content, response.fields["connection"]) == (b"enough", "close")
        assert client.has_ended()


def test_content_that_came_all_the_same_keeps_the_connection(served):
    served.app = deaf
    with served.connect() as client:
        head = POST_10.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
        client.send(head + b"0123456789")
        assert "connection" not in client.response().fields
        client.send(GET)
        assert client.response().content == b"enough"


def test_once_a_response_has_begun_there_is_no_100_continue(served):
    async def app(scope, receive, send):
        await send(start(content_length=6))
        reading = asyncio.create_task(receive())
        await asyncio.sleep(0)
        await send({"type": BODY, "body": b"enough"})
        await reading

    served.app = app
    with served.connect() as client:
        client.send(POST_10.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        response = client.response()
        assert (response.status, response.content) == (200, b"enough")


# --- closing in stages --------------------------------------------------------------------


@pytest.mark.parametrize("refused_by", ["application", "server"])
def test_a_client_that_is_still_sending_can_read_why_it_is_refused(
    served, refused_by, nothing_left
):
    """RFC 9112 §9.6: closed at once, the connection would be reset, and the answer lost."""

    async def app(scope, receive, send):
        await send(start(413, connection="close", content_length=8))
        await send({"type": BODY, "body": b"too much"})

    served.app = app
    host = b"a" if refused_by == "application" else b"a b"
    with served.connect() as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 9000000\r\n\r\n"
        )
        client.send(bytes(4_000_000))
        response = client.response()
        assert response.status == (413 if refused_by == "application" else 400)
        assert client.has_ended()


def test_closing_does_not_go_on_for_ever(served, limits, nothing_left):
    limits(closing_seconds=0.05)
    served.app = answering(b"")
    with served.connect() as client:
        client.send(b"POST / HTTP/1.1\r\n\r\n")
        assert client.response().status == 400
        with pytest.raises(ConnectionError):
            client.send(bytes(1_000_000_000))


# --- clients that shut down their side ----------------------------------------------------


def test_a_client_that_has_shut_down_its_side_is_sent_all_of_a_file(
    served, long_path, nothing_left
):
    """RFC 9112 §9.6; uvicorn takes it for one that has left."""
    served.app = sending(
        start(content_length=long_path.stat().st_size),
        {"type": PATH_SEND, "path": str(long_path)},
    )
    with served.connect(receive_buffer=65536) as client:
        client.send(GET)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.response().content == long_path.read_bytes()
        assert client.has_ended()


def test_a_client_that_has_shut_down_its_side_may_read_slowly(served, limits, long_path):
    limits(half_closed_seconds=0.05)
    served.app = sending(
        start(content_length=long_path.stat().st_size),
        {"type": PATH_SEND, "path": str(long_path)},
    )
    with served.connect(receive_buffer=65536) as client:
        client.send(GET)
        client.socket.shutdown(socket.SHUT_WR)
        time.sleep(0.15)  # several times the limit; both buffers are full
        assert client.response().content == long_path.read_bytes()


@pytest.mark.parametrize("has_begun", [False, True])
def test_one_that_is_sent_nothing_any_more_is_taken_for_one_that_has_left(
    served, limits, nothing_left, has_begun
):
    limits(half_closed_seconds=0.05)
    outcomes = []

    async def app(scope, receive, send):
        if has_begun:
            await send(start())
            await send({"type": BODY, "body": b"a", "more_body": True})
        await receive()
        outcomes.append((await receive())["type"])

    served.app = app
    with served.connect() as client:
        client.send(GET)
        client.socket.shutdown(socket.SHUT_WR)
        until(lambda: outcomes)
        assert outcomes == ["http.disconnect"]
        with pytest.raises(Cut):
            client.response()


def test_one_that_has_refused_the_last_octets_is_noticed(served, limits, nothing_left):
    """Nobody reads from it any more, and so nobody would be told of the reset."""
    limits(half_closed_seconds=0.05)
    has_left = threading.Event()
    outcomes = []

    async def app(scope, receive, send):
        await receive()
        await send(start())
        await asyncio.to_thread(has_left.wait)
        await send({"type": BODY, "body": b"a", "more_body": True})
        outcomes.append((await receive())["type"])

    served.app = app
    with served.connect() as client:
        client.send(GET)
        client.file.readline()
    has_left.set()
    until(lambda: outcomes)
    assert outcomes == ["http.disconnect"]


def test_one_that_is_sent_something_from_time_to_time_is_believed(served, limits):
    limits(half_closed_seconds=60)
    may_go_on = threading.Event()

    async def app(scope, receive, send):
        await send(start())
        await send({"type": BODY, "body": b"a", "more_body": True})
        await asyncio.to_thread(may_go_on.wait)
        await send({"type": BODY, "body": b"b"})

    served.app = app
    with served.connect() as client:
        client.send(GET)
        client.socket.shutdown(socket.SHUT_WR)
        connection = connection_of(client, served)
        until(lambda: connection._phase is _Phase.OVER)
        before = 0
        client.head()
        until(lambda: connection._arrived() is not None)
        served.call(connection._deadlines._look_for_departure, connection._arrived, before)
        may_go_on.set()
        assert client._chunks(Response(200, {}, b"")) == b"ab"


def test_one_that_has_really_left_is_noticed_when_it_is_sent_something(
    served, limits, nothing_left
):
    limits(half_closed_seconds=60)
    outcomes = []

    async def app(scope, receive, send):
        await receive()
        leaving = asyncio.create_task(receive())
        await send(start())
        while not leaving.done():
            await send({"type": BODY, "body": b"a", "more_body": True})
            await asyncio.sleep(0.01)
        outcomes.append(leaving.result()["type"])

    served.app = app
    with served.connect() as client:
        client.send(GET)
        client.head()
    until(lambda: outcomes)
    assert outcomes == ["http.disconnect"]


# --- clients that leave, at every stage ---------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    "stage",
    [
        b"",
        b"GET / HT",
        GET,
        GET + b"GET",
        GET + GET,
        POST_10,
        POST_10 + b"12345",
        CHUNKED + b"5\r\n12",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_a_client_that_leaves_at_any_stage_leaves_nothing_behind(
    served, long_path, stage, how, nothing_left
):
    async def app(scope, receive, send):
        if await read_all(receive) is None:
            return
        await send(start())
        await send({"type": PATH_SEND, "path": str(long_path)})

    served.app = app
    client = served.connect(receive_buffer=65536)
    client.send(stage)
    until(lambda: served.connections)
    getattr(client, how)()
    served.settle()
    served.app = answering(b"well")
    assert served.get().content == b"well"


# --- what an idle connection takes ----------------------------------------------------------


def test_an_idle_connection_keeps_nothing_of_its_last_request(served):
    served.app = echo
    with served.connect() as client:
        client.send(POST_10 + b"1234567890")
        assert client.response().content == b"1234567890"
        (connection,) = served.connections
        until(lambda: connection.cycle is None)
        assert (connection.scope, connection.headers) == (None, None)
        client.send(POST_10 + b"0987654321")
        assert client.response().content == b"0987654321"


def test_connections_have_so_few_attributes_that_they_share_their_names(served):
    # SHARED_KEYS_MAX_SIZE of CPython (Include/internal/pycore_dict.h) is 30. Beyond it, each
    # instance has a dictionary of its own, of kilobytes.
    served.app = answering(b"well")
    with served.connect() as client:
        client.send(GET)
        client.response()
        (connection,) = served.connections
        assert len(vars(connection)) <= 30
