"""What an application may send, and what then arrives at a client."""

import asyncio
import logging
import os
import socket
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import (
    BODY,
    GET,
    GET_1_0,
    HEAD,
    PATH_SEND,
    TRAILERS,
    ZERO_COPY_SEND,
    Cut,
    answering,
    sending,
    start,
    until,
)

from tailrace.errors import ClientDisconnected, StorageUnavailable
from tailrace.server import Disconnected

KIB = 1024


def file_of(path):
    """An application that sends messages about an open file: `build` makes them."""

    def decorate(build):
        async def app(scope, receive, send):
            with path.open("rb") as file:
                for message in build(file):
                    await send(message)

        return app

    return decorate


# --- what is offered ----------------------------------------------------------------------


FILES = {ZERO_COPY_SEND: {}, PATH_SEND: {"offset": True, "count": True, "pieces": True}}


@pytest.mark.parametrize(
    ("request_", "offers"),
    [(GET, FILES | {TRAILERS: {}}), (GET_1_0, FILES)],
    ids=["1.1", "1.0"],
)
def test_files_are_offered_to_all_and_trailer_fields_only_where_they_can_be_sent(
    served, request_, offers
):
    offered = []

    async def app(scope, receive, send):
        offered.append(scope["extensions"])
        await answering(b"")(scope, receive, send)

    served.app = app
    served.get(request_)
    assert offered == [offers]


def test_what_an_application_does_to_its_scope_stays_in_its_request(served):
    seen = []

    async def app(scope, receive, send):
        seen.append(len(scope["extensions"]))
        scope["extensions"].clear()
        await answering(b"")(scope, receive, send)

    served.app = app
    with served.connect() as client:
        for _ in range(2):
            client.send(GET)
            client.response()
    assert seen == [3, 3]


# --- zerocopysend -------------------------------------------------------------------------


def test_a_whole_file_is_sent(served, path, content, nothing_left):
    @file_of(path)
    def app(file):
        yield start(content_length=len(content))
        yield {"type": ZERO_COPY_SEND, "file": file}

    served.app = app
    assert served.get().content == content


@pytest.mark.parametrize("length", [0, 1, 64 * KIB, 64 * KIB + 1, 299 * KIB])
def test_a_span_of_a_file_is_sent(served, path, content, length):
    @file_of(path)
    def app(file):
        yield start(content_length=length)
        yield {"type": ZERO_COPY_SEND, "file": file, "offset": 7, "count": length}

    served.app = app
    assert served.get().content == content[7 : 7 + length]


def test_without_an_offset_a_file_object_goes_on_where_it_was(served, path, content):
    async def app(scope, receive, send):
        with path.open("rb") as file:
            file.read(10)
            await send(start(content_length=200_005))
            for count in (5, 200_000):
                await send(
                    {"type": ZERO_COPY_SEND, "file": file, "count": count, "more_body": True}
                )
            assert file.tell() == 200_015
            await send({"type": BODY})

    served.app = app
    assert served.get().content == content[10:200_015]


def test_a_descriptor_by_its_number_goes_on_as_well(served, path, content):
    async def app(scope, receive, send):
        descriptor = os.open(path, os.O_RDONLY)
        os.lseek(descriptor, 10, os.SEEK_SET)
        await send(start(content_length=200_005))
        for count in (5, 200_000):
            await send(
                {"type": ZERO_COPY_SEND, "file": descriptor, "count": count, "more_body": True}
            )
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 200_015
        os.close(descriptor)
        await send({"type": BODY})

    served.app = app
    assert served.get().content == content[10:200_015]


def test_an_offset_leaves_the_position_alone(served, path, content):
    async def app(scope, receive, send):
        with path.open("rb") as file:
            await send(start(content_length=5))
            message = {"type": ZERO_COPY_SEND, "file": file, "offset": 100, "count": 5}
            await send(message | {"more_body": True})
            assert file.tell() == 0
            await send({"type": BODY})

    served.app = app
    assert served.get().content == content[100:105]


def test_without_content_length_a_file_is_chunked(served, path, content):
    @file_of(path)
    def app(file):
        yield start()
        yield {"type": ZERO_COPY_SEND, "file": file, "offset": 0}

    served.app = app
    response = served.get()
    assert response.fields["transfer-encoding"] == "chunked"
    assert response.content == content


# Sizes on both sides of what is copied, what is joined, and what a socket takes at once.
lengths = st.sampled_from([0, 1, 4096, 64 * KIB, 64 * KIB + 1, 200 * KIB])
parts = st.one_of(
    st.tuples(st.just(BODY), lengths),
    st.tuples(st.just(ZERO_COPY_SEND), st.integers(0, 100 * KIB), lengths),
)


@given(sequences=st.lists(st.lists(parts, max_size=5), min_size=1, max_size=3), data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_order_of_octets_and_files_arrives_in_this_order(
    served, path, content, sequences, data
):
    """On one connection, asked at once or one after the other, with and without length."""
    expected = [b"".join(_content_of(part, content) for part in parts) for parts in sequences]
    has_length = [data.draw(st.booleans()) for _ in sequences]
    ends_with_file = data.draw(st.booleans())
    waiting = iter(list(zip(sequences, expected, has_length, strict=True)))

    async def app(scope, receive, send):
        parts, whole, has_length = next(waiting)
        await send(start(content_length=len(whole)) if has_length else start())
        with path.open("rb") as file:
            for number, part in enumerate(parts):
                is_last = ends_with_file and number == len(parts) - 1
                await send(_message_of(part, file, content) | {"more_body": not is_last})
        if not (parts and ends_with_file):
            await send({"type": BODY})

    served.app = app
    with served.connect() as client:
        if data.draw(st.booleans(), label="pipelined"):
            client.send(GET * len(sequences))
            received = [client.response().content for _ in sequences]
        else:
            received = []
            for _ in sequences:
                client.send(GET)
                received.append(client.response().content)
    assert received == expected


def _content_of(part, content):
    return content[: part[1]] if part[0] == BODY else content[part[1] : part[1] + part[2]]


def _message_of(part, file, content):
    if part[0] == BODY:
        return {"type": BODY, "body": content[: part[1]]}
    return {"type": ZERO_COPY_SEND, "file": file, "offset": part[1], "count": part[2]}


# --- pathsend -----------------------------------------------------------------------------


def test_a_path_is_sent(served, path, content, nothing_left):
    served.app = sending(
        start(content_length=len(content)), {"type": PATH_SEND, "path": str(path)}
    )
    assert served.get().content == content


def test_a_span_of_a_path_is_sent(served, path, content):
    served.app = sending(
        start(content_length=150_000),
        {"type": PATH_SEND, "path": str(path), "offset": 100_000, "count": 150_000},
    )
    assert served.get().content == content[100_000:250_000]


def test_small_files_are_not_worth_a_sendfile(served, path, content, monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(os, "sendfile", fail)
    length = 64 * KIB
    served.app = sending(
        start(content_length=length), {"type": PATH_SEND, "path": str(path), "count": length}
    )
    assert served.get().content == content[:length]


def test_a_path_is_the_last_message_whatever_it_says(served, path, content):
    message = {"type": PATH_SEND, "path": str(path), "more_body": True}
    served.app = sending(start(), message)
    assert served.get().content == content


def test_a_path_ends_the_response(served, path):
    errors = []

    async def app(scope, receive, send):
        await send(start())
        await send({"type": PATH_SEND, "path": str(path), "count": 1})
        try:
            await send({"type": BODY})
        except RuntimeError as exc:
            errors.append(str(exc))

    served.app = app
    with served.connect() as client:
        client.send(GET)
        client.response()
        until(lambda: errors)
    assert errors == ["Unexpected ASGI message 'http.response.body', the response is complete."]


def test_a_file_that_grew_since_its_length_was_promised_is_sent_up_to_it(served, tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"promised, and more")
    served.app = sending(start(content_length=8), {"type": PATH_SEND, "path": str(path)})
    assert served.get().content == b"promised"


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "unreadable length"])
def test_a_path_that_is_no_file_to_be_sent_is_a_500(served, tmp_path, kind, nothing_left):
    path = tmp_path / "file"
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "unreadable length":
            path.write_bytes(b"short")
    served.app = sending(
        start(content_length=9), {"type": PATH_SEND, "path": str(path), "count": 9}
    )
    response = served.get()
    assert (response.status, response.content) == (500, b"Internal Server Error")


# --- the head -----------------------------------------------------------------------------


def data_segments(client):
    """How many packets with content have come."""
    return int.from_bytes(
        client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 156)[152:], "little"
    )


# On loopback a packet takes up to 32 KiB at first: half of what the client's buffer allows.
def test_head_and_octets_leave_in_one_packet(served, content):
    served.app = answering(content[: 20 * KIB])
    with served.connect() as client:
        client.send(GET)
        client.response()
        assert data_segments(client) == 1


@pytest.mark.parametrize(("length", "packets"), [(1, 1), (20 * KIB, 1), (80 * KIB, 3)])
def test_head_and_the_beginning_of_a_file_leave_in_one_packet(served, path, length, packets):
    served.app = sending(
        start(content_length=length), {"type": PATH_SEND, "path": str(path), "count": length}
    )
    with served.connect() as client:
        client.send(GET)
        client.response()
        assert data_segments(client) == packets


def test_the_head_does_not_wait_for_content_that_is_long_in_coming(served):
    has_come = threading.Event()

    async def app(scope, receive, send):
        await send(start(content_length=4))
        await asyncio.to_thread(has_come.wait)
        await send({"type": BODY, "body": b"late"})

    served.app = app
    with served.connect() as client:
        client.send(GET)
        head = client.head()
        has_come.set()
        assert head.status == 200
        assert client.file.read(4) == b"late"


def test_an_application_that_fails_between_head_and_content_is_a_500(served):
    async def app(scope, receive, send):
        await send(start())
        raise ValueError

    served.app = app
    response = served.get()
    assert (response.status, response.content) == (500, b"Internal Server Error")


def test_an_application_may_take_its_time_to_fail(served, tmp_path):
    """As one does that has middleware: the head must not leave meanwhile."""

    async def app(scope, receive, send):
        await send(start())
        try:
            await send({"type": PATH_SEND, "path": str(tmp_path / "missing")})
        finally:
            await asyncio.sleep(0.01)

    served.app = app
    assert served.get().status == 500


def test_a_head_that_is_held_is_dropped_when_the_server_has_answered_itself(served):
    may_end = threading.Event()

    async def app(scope, receive, send):
        await send(start())
        (connection,) = served.connections
        connection.cycle.disconnected = True  # as a refusal does
        await asyncio.to_thread(may_end.wait)
        connection.transport.close()

    served.app = app
    with served.connect() as client:
        client.send(GET)
        served.run(asyncio.sleep(0.01))
        may_end.set()
        assert client.has_ended()


def test_an_application_that_returns_between_head_and_content_is_a_500(served):
    served.app = sending(start())
    assert served.get().status == 500


def test_the_access_log_tells_of_each_request_once(served, path, caplog):
    caplog.set_level(logging.INFO, "uvicorn.access")
    served.app = sending(start(206), {"type": PATH_SEND, "path": str(path), "count": 1})
    served.get(b"GET /a%20b?c=d HTTP/1.1\r\nHost: a\r\n\r\n")
    (record,) = [record for record in caplog.records if record.name == "uvicorn.access"]
    assert record.getMessage().endswith('"GET /a%20b?c=d HTTP/1.1" 206')


# --- responses without content ------------------------------------------------------------


def test_head_is_answered_as_get_without_its_content(served, path, content, nothing_left):
    served.app = sending(
        start(content_length=len(content)), {"type": PATH_SEND, "path": str(path)}
    )
    with served.connect() as client:
        client.send(HEAD, GET)
        head = client.response("HEAD")
        assert head.fields["content-length"] == str(len(content))
        assert client.response().content == content


def test_of_a_head_request_the_file_is_not_even_opened(served, tmp_path):
    served.app = sending(
        start(content_length=9), {"type": PATH_SEND, "path": str(tmp_path / "missing")}
    )
    assert served.get(HEAD).status == 200


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_has_none_whatever_is_sent(served, path, status):
    @file_of(path)
    def app(file):
        yield start(status)
        yield {"type": BODY, "body": b"content", "more_body": True}
        yield {"type": ZERO_COPY_SEND, "file": file}

    served.app = app
    with served.connect() as client:
        client.send(GET, GET)
        for _ in range(2):
            assert client.response().status == status


# --- HTTP/1.0 -----------------------------------------------------------------------------


def test_http_1_0_gets_no_chunks_and_content_up_to_the_close(served, path, content):
    @file_of(path)
    def app(file):
        yield start()
        yield {"type": BODY, "body": b"before ", "more_body": True}
        yield {"type": ZERO_COPY_SEND, "file": file}

    served.app = app
    response = served.get(GET_1_0)
    assert "transfer-encoding" not in response.fields
    assert response.fields["connection"] == "close"
    assert response.content == b"before " + content


def test_where_the_close_ends_the_content_a_failure_resets(served):
    async def app(scope, receive, send):
        await send(start())
        await send({"type": BODY, "body": b"a part", "more_body": True})
        raise ValueError

    served.app = app
    with served.connect() as client:
        client.send(GET_1_0)
        with pytest.raises(ConnectionResetError):
            client.response()


def test_where_the_close_ends_the_content_a_process_that_is_killed_resets(served):
    """The kernel closes what it had open, in the way that each socket was told."""
    part_sent, may_end = threading.Event(), threading.Event()

    async def app(scope, receive, send):
        await send(start())
        await send({"type": BODY, "body": b"a part", "more_body": True})
        part_sent.set()
        await asyncio.to_thread(may_end.wait, 10)
        await send({"type": BODY})

    served.app = app
    with served.connect() as client:
        client.send(GET_1_0)
        assert part_sent.wait(10)
        (connection,) = served.connections
        sock = connection.transport.get_extra_info("socket")
        lingers = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        may_end.set()
        assert client.response().content == b"a part"
    assert struct.unpack("ii", lingers) == (1, 0)


# --- wrong messages -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([{"type": BODY, "body": b""}], id="content before the head"),
        pytest.param([start(), start()], id="two heads"),
        pytest.param([start(), {"type": "http.response.push"}], id="a message not offered"),
        pytest.param([start(content_length="4x")], id="a length that is no number"),
        pytest.param([start(x="a\r\nb: c")], id="a field value with a line end"),
        pytest.param([start(**{"x y": "a"})], id="a field name with a space"),
        pytest.param([start(transfer_encoding="gzip")], id="a coding we do not do"),
        pytest.param([start(transfer_encoding="chunked", content_length=4)], id="two framings"),
        pytest.param(
            [start(content_length=4), {"type": BODY, "body": b"12345"}], id="too long"
        ),
        pytest.param([start(content_length=4), {"type": BODY, "body": b"123"}], id="too short"),
        pytest.param(
            [start(), {"type": ZERO_COPY_SEND, "file": 0, "offset": -1, "count": 1}],
            id="an offset below 0",
        ),
    ],
)
def test_a_wrong_message_before_any_content_is_a_500(served, messages):
    errors = []

    async def app(scope, receive, send):
        try:
            await sending(*messages)(scope, receive, send)
        except (RuntimeError, ValueError) as exc:
            errors.append(exc)
            raise

    served.app = app
    assert served.get().status == 500
    assert len(errors) == 1


def test_content_beyond_the_promised_length_cuts_the_connection(served):
    served.app = sending(
        start(content_length=4),
        {"type": BODY, "body": b"123", "more_body": True},
        {"type": BODY, "body": b"45"},
    )
    with pytest.raises(Cut) as cut:
        served.get()
    assert cut.value.content == b"123"


def test_a_file_beyond_the_promised_length_is_not_sent(served, path):
    served.app = sending(
        start(content_length=4), {"type": PATH_SEND, "path": str(path), "count": 5}
    )
    assert served.get().status == 500


def test_an_application_that_never_completes_cuts_the_connection(served):
    served.app = sending(start(), {"type": BODY, "body": b"a part", "more_body": True})
    with pytest.raises(Cut) as cut:
        served.get()
    assert cut.value.content == b"a part"


def test_nothing_else_can_be_sent_while_a_file_is(served, long_path, nothing_left):
    errors = []

    async def app(scope, receive, send):
        await send(start())
        with long_path.open("rb") as file:
            first = asyncio.create_task(send({"type": ZERO_COPY_SEND, "file": file}))
            await asyncio.sleep(0)
            try:
                await send({"type": BODY})
            except RuntimeError as exc:
                errors.append(str(exc))
            await first

    served.app = app
    assert served.get().content == long_path.read_bytes()
    assert errors == ["Unexpected ASGI message 'http.response.body' while a file is sent."]


def test_two_tasks_may_send_octets_at_once(served, nothing_left):
    """As uvicorn has it: a stream, and a task beside it that keeps the client awake."""

    async def app(scope, receive, send):
        await send(start())
        message = {"type": BODY, "body": bytes(4 * KIB * KIB), "more_body": True}
        await asyncio.gather(send(message), send(message), send(message))
        await send({"type": BODY})

    served.app = app
    assert served.get().content == bytes(12 * KIB * KIB)


# --- files that fail ----------------------------------------------------------------------


def test_a_file_that_shrinks_meanwhile_cuts_the_connection(served, tmp_path, nothing_left):
    path = tmp_path / "shrinking"
    whole = os.urandom(16 * KIB * KIB)
    path.write_bytes(whole)
    errors = []

    async def app(scope, receive, send):
        await send(start(content_length=len(whole)))
        try:
            await send({"type": PATH_SEND, "path": str(path)})
        except StorageUnavailable as exc:
            errors.append(str(exc))
            raise

    served.app = app
    with served.connect() as client:
        client.send(GET)
        client.head()
        os.truncate(path, 15 * KIB * KIB)
        with pytest.raises(Cut) as cut:
            client._exactly(len(whole), b"")
    assert whole.startswith(cut.value.content)
    until(lambda: errors)
    assert errors == [f"the file ended at {15 * KIB * KIB}, before {16 * KIB * KIB}"]


# --- clients that leave -------------------------------------------------------------------


@pytest.fixture(params=["close", "reset"])
def leave(request):
    return lambda client: getattr(client, request.param)()


def leaving_in_the_middle(served, app, leave):
    """Ask, read a little, leave; the application's outcome is what it returns or raises."""
    outcomes = []

    async def observed(scope, receive, send):
        try:
            outcomes.append(await app(scope, receive, send))
        except BaseException as exc:
            outcomes.append(exc)
            raise

    served.app = observed
    client = served.connect(receive_buffer=64 * KIB)
    client.send(GET)
    client.head()
    leave(client)
    until(lambda: outcomes)
    return outcomes[0]


def test_zerocopysend_raises_when_the_client_leaves(
    served, long_path, leave, nothing_left, caplog
):
    @file_of(long_path)
    def app(file):
        yield start()
        yield {"type": ZERO_COPY_SEND, "file": file}

    outcome = leaving_in_the_middle(served, app, leave)
    assert isinstance(outcome, Disconnected)
    assert isinstance(outcome, OSError)
    assert isinstance(outcome, ClientDisconnected)
    assert not caplog.records


def test_zerocopysend_raises_again_after_the_client_has_left(
    served, long_path, leave, nothing_left
):
    async def app(scope, receive, send):
        await send(start())
        with long_path.open("rb") as file:
            message = {"type": ZERO_COPY_SEND, "file": file, "more_body": True}
            with pytest.raises(Disconnected):
                await send(message)
            await send(message)

    assert isinstance(leaving_in_the_middle(served, app, leave), Disconnected)


def test_pathsend_of_a_span_raises_when_the_client_leaves(
    served, long_path, leave, nothing_left
):
    app = sending(start(), {"type": PATH_SEND, "path": str(long_path), "offset": 0})
    assert isinstance(leaving_in_the_middle(served, app, leave), Disconnected)


def test_pathsend_of_the_standard_returns_when_the_client_leaves(
    served, long_path, leave, nothing_left, caplog
):
    app = sending(start(), {"type": PATH_SEND, "path": str(long_path)})
    assert leaving_in_the_middle(served, app, leave) is None
    assert not caplog.records


def test_body_returns_when_the_client_leaves(served, leave, nothing_left, caplog):
    async def app(scope, receive, send):
        await send(start())
        await send({"type": BODY, "body": bytes(16 * KIB * KIB), "more_body": True})
        await send({"type": BODY, "body": b"more", "more_body": True})

    assert leaving_in_the_middle(served, app, leave) is None
    assert not caplog.records


def test_receive_tells_when_the_response_is_complete(served, path, nothing_left):
    messages = []

    async def app(scope, receive, send):
        await receive()

        async def watch():
            messages.append((await receive())["type"])

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        await sending(start(), {"type": PATH_SEND, "path": str(path)})(scope, receive, send)
        await watching

    served.app = app
    with served.connect() as client:
        client.send(GET)
        client.response()
        until(lambda: messages)
    assert messages == ["http.disconnect"]


def test_receive_tells_while_a_file_is_being_sent(served, long_path, leave, nothing_left):
    messages = []

    async def app(scope, receive, send):
        await receive()
        await send(start())

        async def watch():
            messages.append((await receive())["type"])

        watching = asyncio.create_task(watch())
        await send({"type": PATH_SEND, "path": str(long_path)})
        await watching

    leaving_in_the_middle(served, app, leave)
    assert messages == ["http.disconnect"]


def test_an_application_that_never_waits_does_not_stop_the_others(served, leave):
    has_been_told = threading.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/other":
            await answering(b"other")(scope, receive, send)
            return
        await receive()

        async def watch():
            await receive()
            sending.cancel()
            has_been_told.set()

        async def send_for_ever():
            await send(start())
            while True:
                await send({"type": BODY, "body": bytes(KIB), "more_body": True})

        watching = asyncio.create_task(watch())
        sending = asyncio.create_task(send_for_ever())
        await asyncio.wait((watching, sending))

    served.app = app
    client = served.connect()
    client.send(GET)
    client.head()
    leave(client)
    assert has_been_told.wait(10)
    assert served.get(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n").content == b"other"
    served.settle()


# --- cancellation -------------------------------------------------------------------------


def test_a_cancelled_sending_leaves_nothing_behind(served, long_path, nothing_left):
    outcomes = []

    async def app(scope, receive, send):
        await send(start())
        with long_path.open("rb") as file:
            message = {"type": ZERO_COPY_SEND, "file": file, "more_body": True}
            try:
                async with asyncio.timeout(0.05):
                    await send(message)
            except TimeoutError:
                outcomes.append("cancelled")
            with pytest.raises(Disconnected):  # whoever goes on is not to be believed
                await send(message)
            outcomes.append("cut")

    served.app = app
    with served.connect(receive_buffer=64 * KIB) as client:
        client.send(GET)
        response = client.head()
        until(lambda: len(outcomes) == 2)
        with pytest.raises(Cut):
            client._content(response)
    assert outcomes == ["cancelled", "cut"]


# --- trailer fields -----------------------------------------------------------------------

TRAILING = {"type": TRAILERS, "headers": [(b"repr-digest", b"sha-256=:aa==:")]}


@pytest.mark.parametrize(
    "content",
    [
        [{"type": BODY, "body": b"content"}],
        [{"type": BODY, "body": b"con", "more_body": True}, {"type": BODY, "body": b"tent"}],
        [{"type": BODY, "body": b"content", "more_body": True}, {"type": BODY}],
    ],
)
def test_trailer_fields_follow_chunked_content(served, content, nothing_left):
    served.app = sending(start(trailer="repr-digest") | {"trailers": True}, *content, TRAILING)
    with served.connect() as client:
        for _ in range(2):
            client.send(GET)
            response = client.response()
            assert response.content == b"content"
            assert response.fields["trailer"] == "repr-digest"
            assert response.trailers == {"repr-digest": "sha-256=:aa==:"}


def test_trailer_fields_follow_a_file(served, path, content):
    message = {"type": PATH_SEND, "path": str(path)}
    served.app = sending(start() | {"trailers": True}, message, TRAILING)
    response = served.get()
    assert response.content == content
    assert response.trailers == {"repr-digest": "sha-256=:aa==:"}


def test_trailer_fields_may_come_in_several_messages(served):
    served.app = sending(
        start() | {"trailers": True},
        {"type": BODY},
        {"type": TRAILERS, "headers": [(b"one", b"1")], "more_trailers": True},
        {"type": TRAILERS, "headers": [(b"Two", b"2")]},
    )
    assert served.get().trailers == {"one": "1", "two": "2"}


@pytest.mark.parametrize(
    ("request_", "head"),
    [(GET, start(content_length=3)), (GET_1_0, start()), (HEAD, start())],
    ids=["of a known length", "to HTTP/1.0", "to HEAD"],
)
def test_where_trailer_fields_have_no_place_they_are_left_out(
    served, request_, head, nothing_left
):
    served.app = sending(head | {"trailers": True}, {"type": BODY, "body": b"abc"}, TRAILING)
    with served.connect() as client:
        client.send(request_)
        response = client.response(request_.split()[0].decode())
        assert response.trailers == {}
        assert response.content == (b"" if request_ is HEAD else b"abc")
        if request_ is GET_1_0:
            assert client.has_ended()


def test_a_response_whose_trailer_fields_do_not_come_does_not_end(served, nothing_left):
    served.app = sending(start() | {"trailers": True}, {"type": BODY, "body": b"abc"})
    with pytest.raises(Cut):
        served.get()


@pytest.mark.parametrize(
    "messages",
    [
        [TRAILING],
        [start(), TRAILING],
        [start() | {"trailers": True}, TRAILING],
        [start(), {"type": BODY, "more_body": True}, TRAILING],
        [start() | {"trailers": True}, {"type": BODY}, {"type": BODY}],
        [start() | {"trailers": True}, {"type": BODY}, TRAILING, TRAILING],
    ],
)
def test_trailer_fields_out_of_turn_are_an_error_of_the_application(served, messages):
    errors = []

    async def app(scope, receive, send):
        try:
            await sending(*messages)(scope, receive, send)
        except RuntimeError as exc:
            errors.append(exc)
            raise

    served.app = app
    try:
        served.get()
    except Cut:
        pass
    until(lambda: errors)


@pytest.mark.parametrize(
    "field",
    [(b"content-length", b"5"), (b"bad name", b""), (b"name", b"a\r\nb"), (b"trailer", b"a")],
)
def test_what_is_no_trailer_field_is_not_sent(served, field):
    """RFC 9110 §6.5.1: what frames, routes or describes content has no place there."""
    trailing = {"type": TRAILERS, "headers": [field]}
    served.app = sending(start() | {"trailers": True}, {"type": BODY, "body": b"abc"}, trailing)
    with pytest.raises(Cut):
        served.get()


# --- interim responses --------------------------------------------------------------------

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
INTERIM = "tailrace.response.interim"


def test_an_interim_response_arrives_before_any_content_was_sent(served):
    async def app(scope, receive, send):
        await scope["extensions"][INTERIM]["send"](104, [(b"location", b"/x")])
        message = await receive()
        await send(start(content_length=3))
        await send({"type": BODY, "body": message["body"]})

    served.app = app
    with served.connect() as client:
        client.send(POST)
        interim = client.head()
        assert (interim.status, interim.fields) == (104, {"location": "/x"})
        client.send(b"abc")
        assert client.response().content == b"abc"
        client.send(POST, b"def")  # and the connection is as good as before
        assert client.head().status == 104
        assert client.response().content == b"def"


def test_content_that_is_waited_for_is_still_asked_for_after_an_interim_response(served):
    async def app(scope, receive, send):
        await scope["extensions"][INTERIM]["send"](104, [])
        await receive()
        await answering(b"")(scope, receive, send)

    served.app = app
    with served.connect() as client:
        client.send(POST.replace(b"Host: a", b"Host: a\r\nExpect: 100-continue"))
        assert [client.head().status, client.head().status] == [104, 100]
        client.send(b"abc")
        assert client.response().status == 200


@pytest.mark.parametrize(
    "request_",
    [GET, HEAD, POST.replace(b"1.1", b"1.0").replace(b"Host: a\r\n", b"")],
    ids=["GET", "HEAD", "1.0"],
)
def test_interim_responses_are_offered_only_where_they_are_of_use(served, request_):
    offered = []

    async def app(scope, receive, send):
        offered.append(INTERIM in scope["extensions"])
        await answering(b"")(scope, receive, send)

    served.app = app
    with served.connect() as client:
        client.send(request_, b"" if request_ in (GET, HEAD) else b"abc")
        client.response("HEAD")
    assert offered == [False]


@pytest.mark.parametrize("status", [99, 100, 101, 200, 404])
def test_what_is_no_interim_response_is_not_sent_as_one(served, status):
    failures = []

    async def app(scope, receive, send):
        try:
            await scope["extensions"][INTERIM]["send"](status, [])
        except RuntimeError as error:
            failures.append(error)
        await answering(b"ok")(scope, receive, send)

    served.app = app
    with served.connect() as client:
        client.send(POST, b"abc")
        assert client.response().content == b"ok"
    assert len(failures) == 1


def test_no_interim_response_follows_the_final_one(served):
    failures = []

    async def app(scope, receive, send):
        await send(start(content_length=2))
        try:
            await scope["extensions"][INTERIM]["send"](104, [])
        except RuntimeError as error:
            failures.append(error)
        await send({"type": BODY, "body": b"ok"})

    served.app = app
    with served.connect() as client:
        client.send(POST, b"abc")
        assert client.response().content == b"ok"
    assert len(failures) == 1
