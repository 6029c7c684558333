"""A whole response as one message, whose content comes in pieces."""

import asyncio
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import BODY, GET, GET_1_0, HEAD, PATH_SEND, Cut, answering, sending, start, until

from tailrace import cached
from tailrace.errors import BlobAbandoned, StorageUnavailable
from tailrace.server import residency

KIB = 1024


@pytest.fixture(autouse=True)
def impatient(limits):
    """Soon it is believed that a client has left."""
    limits(half_closed_seconds=0.02)


requests = pytest.mark.parametrize("request_", [GET, GET_1_0], ids=["1.1", "1.0"])


def in_pieces(path, pieces, head=None):
    """An application; `pieces` makes the content."""

    async def app(scope, receive, send):
        with path.open("rb") as file:
            await send(head or start())
            await send({"type": PATH_SEND, "path": "", "file": file, "pieces": pieces()})

    return app


async def each(pieces):
    for piece in pieces:
        yield piece


class Steps:
    """An iterator that the test moves on, and that it can watch."""

    def __init__(self, served):
        self._served = served
        self._pieces = None
        self.taken = 0
        self.has_closed = threading.Event()
        self.ending = None

    async def pieces(self):
        self._pieces = asyncio.Queue()
        try:
            while (piece := await self._pieces.get()) is not None:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
                self.taken += 1
        except BaseException as exc:
            self.ending = exc
            raise
        finally:
            self.has_closed.set()

    def give(self, piece):
        until(lambda: self._pieces is not None)
        self._served.loop.call_soon_threadsafe(self._pieces.put_nowait, piece)


@pytest.fixture
def steps(served):
    return Steps(served)


# --- what arrives -------------------------------------------------------------------------

lengths = st.sampled_from([0, 1, 4096, 64 * KIB, 64 * KIB + 1, 200 * KIB])
octets = lengths.map(lambda length: b"x" * length)
spans = st.tuples(st.integers(0, 100 * KIB), lengths)


@requests
@given(pieces=st.lists(octets | spans, max_size=5), has_length=st.booleans())
@settings(max_examples=30, deadline=None)
def test_pieces_arrive_in_their_order(served, path, content, request_, pieces, has_length):
    expected = b"".join(
        piece if isinstance(piece, bytes) else content[piece[0] : sum(piece)]
        for piece in pieces
    )
    head = start(content_length=len(expected)) if has_length else start()
    served.app = in_pieces(path, lambda: each(pieces), head)
    assert served.get(request_).content == expected


def test_the_connection_goes_on_behind_them(served, path, content, nothing_left):
    served.app = in_pieces(path, lambda: each([(0, 200_000), b"and", (5, 5)]))
    with served.connect() as client:
        client.send(GET * 3)
        for _ in range(3):
            assert client.response().content == content[:200_000] + b"and" + content[5:10]


def test_a_descriptor_by_its_number_will_do(served, path, content):
    async def app(scope, receive, send):
        with path.open("rb") as file:
            await send(start())
            pieces = each([(0, 300_000)])
            message = {"type": PATH_SEND, "path": "", "file": file.fileno(), "pieces": pieces}
            await send(message)

    served.app = app
    assert served.get().content == content[:300_000]


def test_pieces_of_octets_alone_need_no_file(served):
    served.app = sending(start(), {"type": PATH_SEND, "path": "", "pieces": Once([b"a", b"b"])})
    assert served.get().content == b"ab"


class Once:
    """An iterator that cannot be closed: nothing but what the name says."""

    def __init__(self, pieces):
        self._pieces = iter(pieces)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return next(self._pieces)
        except StopIteration:
            raise StopAsyncIteration from None


@pytest.mark.parametrize("request_", [HEAD], ids=["HEAD"])
def test_nothing_is_asked_for_where_there_is_no_content(served, path, request_, nothing_left):
    async def never():
        raise AssertionError
        yield

    served.app = in_pieces(path, never)
    with served.connect() as client:
        for _ in range(2):
            client.send(request_)
            assert client.response("HEAD").status == 200


def test_what_the_application_closes_meanwhile_is_sent_all_the_same(
    served, long_path, nothing_left
):
    """The descriptor's number may be another file's by then."""

    async def app(scope, receive, send):
        with long_path.open("rb") as file:
            await send(start())
            message = {"type": PATH_SEND, "path": "", "file": file}
            whole = each([(0, long_path.stat().st_size)])
            task = asyncio.create_task(send(message | {"pieces": whole}))
            await asyncio.sleep(0.01)
        await task

    served.app = app
    with served.connect(receive_buffer=64 * KIB) as client:
        client.send(GET)
        assert client.response().content == long_path.read_bytes()


def test_a_piece_of_a_closed_file_is_not_that_of_another(served, path, tmp_path, nothing_left):
    async def app(scope, receive, send):
        file = path.open("rb")

        async def pieces():
            yield (0, 10)
            file.close()
            with (tmp_path / "another").open("wb+") as another:
                another.write(b"x" * 10)
                another.flush()
                yield (0, 10)

        await send(start())
        message = {"type": PATH_SEND, "path": "", "file": file, "pieces": pieces()}
        with pytest.raises(ValueError, match="closed file"):
            await send(message)

    served.app = app
    with pytest.raises(Cut) as cut:
        served.get()
    assert len(cut.value.content) == 10


# --- at the live edge ---------------------------------------------------------------------


def test_the_head_leaves_before_the_first_piece_is_there(served, path, steps):
    served.app = in_pieces(path, steps.pieces)
    with served.connect() as client:
        client.send(GET)
        assert client.head().status == 200
        steps.give(None)
        assert client.file.readline() == b"0\r\n"


def test_a_piece_leaves_before_the_next_one_is_there(served, path, content, steps):
    served.app = in_pieces(path, steps.pieces)
    with served.connect() as client:
        client.send(GET)
        client.head()
        for piece, expected in [
            (b"octets", b"octets"),
            ((0, 10), content[:10]),
            ((10, 70_000), content[10:70_010]),  # by the kernel
            (b"more", b"more"),
        ]:
            steps.give(piece)
            assert client.file.readline() == b"%x\r\n" % len(expected)
            assert client.file.read(len(expected) + 2) == expected + b"\r\n"
        steps.give(None)


def test_a_short_piece_is_one_packet(served, path, steps, monkeypatch):
    """With its framing: what is new leaves in one call."""
    calls = []
    writev = os.writev

    def counting(descriptor, pieces):
        calls.append(b"".join(pieces))
        return writev(descriptor, pieces)

    served.app = in_pieces(path, steps.pieces)
    with served.connect() as client:
        client.send(GET)
        client.head()
        monkeypatch.setattr(os, "writev", counting)
        steps.give(b"record\n")
        assert client.file.readline() == b"7\r\n"
        assert calls == [b"7\r\nrecord\n\r\n"]
        steps.give(None)


def test_the_next_piece_is_asked_for_when_the_kernel_has_the_last(served, long_path, steps):
    served.app = in_pieces(long_path, steps.pieces)
    length = long_path.stat().st_size
    with served.connect(receive_buffer=64 * KIB) as client:
        client.send(GET)
        client.head()
        steps.give((0, length))
        steps.give(None)
        client.file.readline()
        client.file.read(64 * KIB)
        assert steps.taken == 0
        client.file.read(length - 64 * KIB)
        until(lambda: steps.taken == 1)


def test_pieces_that_never_wait_let_others_have_their_turn(served, path):
    turns = []

    async def endless():
        asyncio.get_running_loop().call_soon(turns.append, "other")
        while not turns:
            yield (0, 70_000)

    served.app = in_pieces(path, endless)
    assert served.get().status == 200


# --- ends ---------------------------------------------------------------------------------


@pytest.fixture
def outcome(served):
    """Have an application served, and get what it ended with."""

    class Outcome:
        def of(self, app):
            self.error = None
            self.has_ended = threading.Event()

            async def observed(scope, receive, send):
                try:
                    await app(scope, receive, send)
                except BaseException as exc:
                    self.error = exc
                    raise
                finally:
                    self.has_ended.set()

            served.app = observed
            return self

        def get(self):
            assert self.has_ended.wait(10)
            return self.error

    return Outcome()


@requests
@pytest.mark.parametrize("error", [BlobAbandoned("given up"), RuntimeError("broken")])
def test_when_the_pieces_fail_the_connection_is_cut_and_the_error_told(
    served, path, steps, outcome, request_, error, nothing_left
):
    ended = outcome.of(in_pieces(path, steps.pieces))
    with served.connect() as client:
        client.send(request_)
        response = client.head()
        steps.give(b"part")
        steps.give(error)
        # To HTTP/1.0 the end of the connection would be that of the content, so it is reset.
        with pytest.raises((Cut, ConnectionResetError)):
            client._content(response)
    assert ended.get() is error


def test_pieces_that_fail_before_the_head_has_left_are_a_500(served, path, nothing_left):
    async def failing():
        raise BlobAbandoned("given up")
        yield

    served.app = in_pieces(path, failing)
    assert served.get().status == 500


def test_a_span_that_is_not_there_cuts_the_connection(served, path, content, outcome):
    ended = outcome.of(in_pieces(path, lambda: each([(0, 10), (0, len(content) + 1)])))
    with pytest.raises(Cut):
        served.get()
    assert isinstance(ended.get(), StorageUnavailable)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_ends_pieces_that_wait(
    served, path, steps, outcome, how, nothing_left
):
    ended = outcome.of(in_pieces(path, steps.pieces))
    client = served.connect()
    client.send(GET)
    client.head()
    getattr(client, how)()
    assert steps.has_closed.wait(10)
    assert isinstance(steps.ending, asyncio.CancelledError)
    assert ended.get() is None  # the application goes on to its own end


def test_a_client_that_leaves_in_the_middle_of_a_piece_ends_the_pieces(
    served, long_path, steps, outcome, nothing_left
):
    ended = outcome.of(in_pieces(long_path, steps.pieces))
    client = served.connect(receive_buffer=64 * KIB)
    client.send(GET)
    client.head()
    steps.give((0, long_path.stat().st_size))
    client.file.read(100)
    client.reset()
    assert steps.has_closed.wait(10)
    assert isinstance(steps.ending, GeneratorExit)
    assert steps.taken == 0
    assert ended.get() is None


def test_an_application_is_not_cancelled_by_a_client_that_left(served, path, steps):
    seen = []

    async def app(scope, receive, send):
        await in_pieces(path, steps.pieces)(scope, receive, send)
        seen.append(asyncio.current_task().cancelling())
        await asyncio.sleep(0)
        seen.append("went on")

    served.app = app
    with served.connect() as client:
        client.send(GET)
        client.head()
    until(lambda: seen == [0, "went on"])


def test_an_application_that_is_cancelled_has_its_connection_cut(served, path, steps):
    """Whatever it sends afterwards: it is not known how far the pieces came."""

    async def app(scope, receive, send):
        await send(start())
        message = {"type": PATH_SEND, "path": "", "pieces": steps.pieces()}
        try:
            async with asyncio.timeout(0.01):
                await send(message)
        except TimeoutError:
            await send({"type": BODY, "body": b"the end"})

    served.app = app
    with served.connect() as client:
        client.send(GET)
        response = client.head()
        with pytest.raises(Cut):
            client._content(response)


def test_pieces_that_are_shorter_than_promised_do_not_end(served, path, outcome):
    ended = outcome.of(in_pieces(path, lambda: each([b"four"]), start(content_length=5)))
    with pytest.raises(Cut):
        served.get()
    assert isinstance(ended.get(), RuntimeError)


def test_nothing_else_is_sent_meanwhile(served, path, steps, outcome):
    async def app(scope, receive, send):
        task = asyncio.create_task(in_pieces(path, steps.pieces)(scope, receive, send))
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="while a file is sent"):
            await send({"type": BODY, "body": b"in between"})
        steps.give(None)
        await task

    ended = outcome.of(app)
    assert served.get().content == b""
    assert ended.get() is None


def test_a_disk_that_is_slow_is_waited_for(served, path, content, monkeypatch):
    monkeypatch.setattr(cached, "read", lambda *_: None)
    monkeypatch.setattr(residency, "resident_stop", lambda descriptor, start, stop: start)
    served.app = in_pieces(path, lambda: each([(0, 10), (10, 200_000)]))
    assert served.get().content == content[:200_010]


def test_a_response_behind_them_is_not_delayed(served, path, steps, nothing_left):
    served.app = in_pieces(path, steps.pieces)
    with served.connect() as client:
        client.send(GET)
        response = client.head()
        steps.give((0, 200_000))
        steps.give(None)
        assert len(client._content(response)) == 200_000
        served.app = answering(b"next")
        client.send(GET)
        assert client.response().content == b"next"
