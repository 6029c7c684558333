"""What an application may do with `tailrace.request.land`, and what then lies in its file."""

import asyncio
import hashlib
import itertools
import os
import resource
import threading
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import BODY, GET, SECONDS_FOR_ANYTHING, answering, start, until

from tailrace.errors import ClientDisconnected, StorageFull, StorageUnavailable
from tailrace.server import Disconnected
from tailrace.server.receiving import keep_uncopied

LAND = "tailrace.request.land"
KIB = 1024


def put(content=b"", length=None, *fields):
    length = len(content) if length is None else length
    lines = [b"PUT / HTTP/1.1", b"Host: a", b"Content-Length: %d" % length, *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


async def answer(send, text):
    await answering(str(text).encode())(None, None, send)


async def received(receive):
    """The rest of the content, as `receive` gives it."""
    content = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        content += message["body"]
        if not message["more_body"]:
            return content


class Ground:
    """A file, and an application that lands content in it."""

    def __init__(self, path):
        self.path = path
        self.progress = []
        self.begun = asyncio.Event()
        self.landed = []
        self.failure = None

    @property
    def content(self):
        return self.path.read_bytes()

    async def __call__(self, scope, receive, send):
        with self.path.open("w+b", buffering=0) as file:
            await self.land(scope, file.fileno())
        await answer(send, self.landed[-1])

    async def land(self, scope, descriptor, offset=0, count=None, **how):
        land = scope["extensions"][LAND]["land"]
        try:
            landed = await land(descriptor, offset, count, on_progress=self._note, **how)
        except BaseException as exc:
            self.failure = exc
            raise
        self.landed.append(landed)
        return landed

    def _note(self, count):
        self.progress.append(count)
        self.begun.set()


@pytest.fixture
def ground(served, tmp_path):
    served.app = ground = Ground(tmp_path / "ground")
    return ground


@pytest.fixture
def nothing_left(served):
    """The test leaves no connection, task, socket or file behind; pipes belong to threads."""

    def held():
        names = []
        for descriptor in os.listdir("/proc/self/fd"):
            try:
                names.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            except FileNotFoundError:  # that of the listing itself
                continue
        return sorted(name for name in names if not name.startswith("pipe:"))

    served.settle()
    before = held()
    yield
    served.settle()
    assert held() == before


# --- what is offered ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_head", "is_offered"),
    [
        (put(b"abc"), True),
        (b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", True),
        (GET, False),
        (b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
    ],
    ids=["PUT", "HTTP/1.0", "GET", "no content", "chunked"],
)
def test_it_is_offered_where_the_length_is_declared(served, request_head, is_offered):
    offered = []

    async def app(scope, receive, send):
        offered.append(LAND in scope["extensions"])
        await answering(b"")(scope, receive, send)

    served.app = app
    served.get(request_head)
    assert offered == [is_offered]


def test_it_tells_which_receive_it_stands_for(served):
    found = []

    async def app(scope, receive, send):
        found.append(scope["extensions"][LAND]["receive"] is receive)
        await answer(send, await received(receive))

    served.app = app
    assert served.get(put(b"abc")).content == b"b'abc'"
    assert found == [True]


# --- what lands ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "length", [0, 1, 64 * KIB, 64 * KIB + 1, 256 * KIB, 256 * KIB + 1, 5 * KIB * KIB]
)
def test_the_content_lands_whole(served, ground, length, nothing_left):
    content = os.urandom(length)
    with served.connect() as client:
        client.send(put(length=length))
        client.send(content)
        assert client.response().content == b"%d" % length
    assert ground.content == content
    assert ground.progress == sorted(set(ground.progress))
    assert ground.progress[-1:] == ([length] if length else [])


def test_what_came_with_the_head_lands_before_the_rest(served, ground):
    with served.connect() as client:
        client.send(put(b"<first>", 14))
        until(lambda: ground.progress)
        client.send(b"<second")
        client.response()
    assert ground.content == b"<first><second"
    assert ground.progress == [7, 14]


def test_content_lands_at_the_offset_and_nowhere_else(served, ground):
    async def app(scope, receive, send):
        with ground.path.open("w+b") as file:
            file.write(b"..........")
            file.flush()
            await ground.land(scope, file.fileno(), offset=3)
        await answer(send, "")

    served.app = app
    served.get(put(b"abc"))
    assert ground.content == b"...abc...."


def test_where_the_file_knows_no_splice_content_lands_as_well(served, ground, nothing_left):
    # A descriptor that appends is refused by splice as such file systems are: by EINVAL.
    async def app(scope, receive, send):
        with ground.path.open("ab") as file:
            await ground.land(scope, file.fileno())
        await answer(send, "")

    content = os.urandom(3 * KIB * KIB)
    served.app = app
    served.get(put(content))
    assert ground.content == content


@pytest.mark.parametrize("length", [1, 64 * KIB, 5 * KIB * KIB + 1])
def test_update_sees_every_byte_in_order(served, ground, length):
    digest = hashlib.sha256()
    content = os.urandom(length)

    async def app(scope, receive, send):
        with ground.path.open("w+b") as file:
            await ground.land(scope, file.fileno(), update=digest.update)
            found = digest.hexdigest()
        await answer(send, found)

    served.app = app
    found = served.get(put(content)).content.decode()
    assert found == hashlib.sha256(content).hexdigest()
    assert ground.content == content


def test_progress_is_told_on_the_loop_and_update_called_elsewhere(served, ground):
    told, updated = [], []

    async def app(scope, receive, send):
        with ground.path.open("w+b") as file:
            await scope["extensions"][LAND]["land"](
                file.fileno(),
                0,
                on_progress=lambda _: told.append(threading.get_ident()),
                update=lambda _: updated.append(threading.get_ident()),
            )
        await answer(send, threading.get_ident())

    served.app = app
    loop_thread = int(served.get(put(b"abc")).content)
    assert told == [loop_thread]
    assert len(updated) == 1
    assert updated != [loop_thread]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=st.binary(min_size=1, max_size=300),
    steps=st.lists(st.one_of(st.just("receive"), st.integers(0, 120)), max_size=6),
    cuts=st.lists(st.integers(0, 500), max_size=3),
)
def test_landing_and_receiving_share_the_content_in_any_order(
    served, ground, content, steps, cuts
):
    async def app(scope, receive, send):
        if scope["method"] == "GET":
            return await answer(send, "next")
        taken = b""
        for step in [*steps, "receive"]:
            if step == "receive" and len(taken) < len(content):
                taken += (await receive())["body"]
            elif step != "receive":
                with ground.path.open("w+b") as file:
                    landed = await ground.land(scope, file.fileno(), count=step)
                    assert landed == min(step, len(content) - len(taken))
                taken += ground.content
        while len(taken) < len(content):
            taken += (await receive())["body"]
        await answer(send, taken.hex())

    served.app = app
    octets = put(content) + GET  # the next request, however the two are cut
    pieces = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    with served.connect() as client:
        for begin, end in itertools.pairwise(pieces):
            client.send(octets[begin:end])
        assert client.response().content == content.hex().encode()
        assert client.response().content == b"next"


def test_a_landing_and_a_pending_receive_do_not_disturb_each_other(served, ground):
    content = os.urandom(2 * KIB * KIB)
    is_landing = threading.Event()

    async def app(scope, receive, send):
        watching = asyncio.create_task(received(receive))
        with ground.path.open("w+b") as file:
            await asyncio.sleep(0)
            landing = asyncio.create_task(ground.land(scope, file.fileno()))
            await asyncio.sleep(0)
            watching_as_well = asyncio.create_task(receive())
            is_landing.set()
            await landing
        assert await watching == b""
        watching_as_well.cancel()
        await answer(send, "")

    served.app = app
    with served.connect() as client:
        client.send(put(length=len(content)))
        assert is_landing.wait(SECONDS_FOR_ANYTHING)
        client.send(content)
        client.response()
    assert ground.content == content


def test_two_landings_at_once_are_an_error(served, ground):
    async def app(scope, receive, send):
        with ground.path.open("w+b") as file:
            first = asyncio.create_task(ground.land(scope, file.fileno()))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="already landing"):
                await scope["extensions"][LAND]["land"](file.fileno(), 0)
            await first
        await answer(send, "")

    served.app = app
    with served.connect() as client:
        client.send(put(length=3))
        until(lambda: ground.path.exists())
        client.send(b"abc")
        assert client.response().status == 200


@pytest.mark.parametrize(("length", "stays"), [(64 * KIB, False), (64 * KIB + 1, True)])
def test_longer_content_stays_in_the_kernel_until_it_is_asked_for(served, length, stays):
    paused = []

    async def app(scope, receive, send):
        [protocol] = served.connections
        paused.append(protocol.flow.read_paused)
        await answer(send, len(await received(receive)))

    served.settle()
    served.app = app
    with served.connect() as client:
        client.send(put(length=length))
        until(lambda: paused)
        client.send(bytes(length))
        assert client.response().content == b"%d" % length
    assert paused == [stays]


@given(
    pieces=st.lists(st.binary(max_size=200), max_size=8),
    asked_at=st.lists(st.integers(0, 8), max_size=4),
)
def test_pieces_that_wait_together_are_received_in_order(pieces, asked_at):
    cycle = SimpleNamespace(body=bytearray())
    received = b""
    for number, piece in enumerate(pieces):
        keep_uncopied(cycle)
        cycle.body += piece  # as uvicorn does
        if number in asked_at:
            received, cycle.body = received + bytes(cycle.body), bytearray()
    assert received + bytes(cycle.body) == b"".join(pieces)


def test_a_piece_that_comes_alone_is_not_copied():
    cycle = SimpleNamespace(body=bytearray())
    piece = b"a piece"
    keep_uncopied(cycle)
    cycle.body += piece
    assert bytes(cycle.body) is piece


@pytest.mark.parametrize("framing", [b"Content-Length: 9000000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("connection", [b"close", b"keep-alive"])
def test_content_that_nobody_asks_for_does_not_keep_the_answer_from_the_client(
    served, framing, connection, nothing_left
):
    served.app = answering(b"no, thanks")
    fields = b"\r\n".join([b"Host: a", b"Connection: " + connection, framing])
    with served.connect() as client:
        client.send(b"PUT / HTTP/1.1\r\n", fields, b"\r\n\r\n")
        client.send(b"10\r\n0123456789abcdef\r\n" * 200_000)
        assert client.response().content == b"no, thanks"


@pytest.mark.parametrize("framing", [b"Content-Length: 70000", b"Transfer-Encoding: chunked"])
def test_a_client_that_leaves_when_all_was_received_is_seen(served, framing, nothing_left):
    seen = []

    async def app(scope, receive, send):
        seen.append(len(await received(receive)))
        seen.append((await receive())["type"])

    served.app = app
    content = b"11170\r\n" + bytes(70_000) + b"\r\n0\r\n\r\n"
    with served.connect() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\n", framing, b"\r\n\r\n")
        client.send(content if b"chunked" in framing else bytes(70_000))
        until(lambda: seen)
        client.reset()
        until(lambda: len(seen) > 1)
    assert seen == [70_000, "http.disconnect"]


# --- what comes after ---------------------------------------------------------------------


def test_the_connection_goes_on_with_the_next_request(served, ground, nothing_left):
    with served.connect() as client:
        for length in (1, 3 * KIB * KIB, 5):
            content = os.urandom(length)
            client.send(put(content))
            assert client.response().content == b"%d" % length
            assert ground.content == content


def test_requests_pipelined_behind_content_are_answered(served, ground):
    first, second = os.urandom(700 * KIB), os.urandom(400 * KIB)
    with served.connect() as client:
        sender = threading.Thread(target=client.send, args=(put(first), put(second), put(b"x")))
        sender.start()
        lengths = [int(client.response().content) for _ in range(3)]
        sender.join()
    assert lengths == [700 * KIB, 400 * KIB, 1]
    assert ground.content == b"x"


def test_content_that_is_left_over_does_not_reach_the_next_request(served, ground):
    async def app(scope, receive, send):
        if scope["method"] == "GET":
            await answer(send, "next")
            return
        with ground.path.open("w+b") as file:
            await ground.land(scope, file.fileno(), count=100 * KIB)
        await answer(send, "")

    served.app = app
    with served.connect() as client:
        sender = threading.Thread(target=client.send, args=(put(bytes(2 * KIB * KIB)), GET))
        sender.start()
        client.response()
        assert client.response().content == b"next"
        sender.join()


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(served, ground):
    with served.connect() as client:
        client.send(put(b"", 3, b"Expect: 100-continue"))
        assert client.head().status == 100
        client.send(b"abc")
        assert client.response().content == b"3"


# --- endings ------------------------------------------------------------------------------


@pytest.mark.parametrize("leaving", ["close", "reset"])
def test_when_the_client_leaves_what_came_is_there(served, ground, leaving, nothing_left):
    with served.connect() as client:
        client.send(put(b"abc", 10))
        until(lambda: ground.progress)
        getattr(client, leaving)()
        until(lambda: ground.failure)
    assert isinstance(ground.failure, Disconnected)
    assert ground.content == b"abc"
    assert ground.progress == [3]


def test_after_the_client_has_left_landing_tells_so(served, ground, nothing_left):
    failures = []

    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        try:
            await scope["extensions"][LAND]["land"](0, 0)
        except ClientDisconnected as exc:
            failures.append(exc)

    served.app = app
    with served.connect() as client:
        client.send(put(b"abc", 10))
    until(lambda: failures)


def test_content_that_stalls_is_a_408(served, ground, limits, nothing_left):
    limits(content_stall_seconds=0.05)
    with served.connect() as client:
        client.send(put(b"abc", 10))
        assert client.response().status == 408
        assert client.has_ended()
    until(lambda: ground.failure)
    assert isinstance(ground.failure, Disconnected)
    assert ground.content == b"abc"


def test_content_that_is_slow_but_moves_lands(served, ground, limits):
    limits(content_stall_seconds=0.3)
    with served.connect() as client:
        client.send(put(length=8))
        for count in range(8):
            until(lambda: len(ground.progress) == count)  # noqa: B023
            client.send(b"x")
        assert client.response().content == b"8"


def test_what_a_cancelled_landing_leaves_can_be_received(served, ground, nothing_left):
    content = os.urandom(900 * KIB)

    async def app(scope, receive, send):
        with ground.path.open("w+b") as file:
            landing = asyncio.create_task(ground.land(scope, file.fileno()))
            await ground.begun.wait()
            landing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await landing
        landed = ground.progress[-1]
        assert ground.path.stat().st_size == landed
        await answer(send, (ground.content + await received(receive)).hex())

    served.app = app
    with served.connect() as client:
        client.send(put(content[: 100 * KIB], len(content)))
        until(lambda: isinstance(ground.failure, asyncio.CancelledError))
        client.send(content[100 * KIB :])
        assert client.response().content == content.hex().encode()


@pytest.fixture
def room():
    """Limit the length of files in this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda length: resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("mode", ["w+b", "ab"], ids=["splice", "no splice"])
@pytest.mark.parametrize("length", [10 * KIB + 1, 10 * KIB + 77, 700 * KIB])
def test_where_there_is_no_room_what_fits_is_kept_and_the_rest_can_be_received(
    served, ground, room, length, mode, nothing_left
):
    content = os.urandom(length)
    room(10 * KIB)

    async def app(scope, receive, send):
        with ground.path.open(mode) as file:
            with pytest.raises(StorageFull):
                await ground.land(scope, file.fileno())
        kept = ground.content
        assert ground.progress[-1] == len(kept) == 10 * KIB
        await answer(send, (kept + await received(receive)).hex())

    served.app = app
    with served.connect() as client:
        client.send(put(length=length))
        client.send(content)
        assert client.response().content == content.hex().encode()


@pytest.mark.parametrize("length", [1, 700 * KIB])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_lost(served, ground, length):
    content = os.urandom(length)

    async def app(scope, receive, send):
        ground.path.touch()
        with ground.path.open("rb") as file, pytest.raises(StorageUnavailable):
            await ground.land(scope, file.fileno())
        await answer(send, (await received(receive)).hex())

    served.app = app
    assert served.get(put(content)).content == content.hex().encode()
    assert ground.progress == []


def test_a_digest_of_a_file_that_cannot_be_read_fails(served, ground):
    async def app(scope, receive, send):
        with ground.path.open("wb") as file, pytest.raises(StorageUnavailable):
            await ground.land(scope, file.fileno(), update=bytes)
        await answer(send, "told")

    served.app = app
    assert served.get(put(b"abc")).content == b"told"


@pytest.mark.parametrize("who", ["on_progress", "update"])
def test_who_is_told_of_the_bytes_may_stop_the_landing(served, ground, who, nothing_left):
    class Enough(Exception):
        pass

    def enough(_):
        raise Enough

    async def app(scope, receive, send):
        land = scope["extensions"][LAND]["land"]
        with ground.path.open("w+b") as file, pytest.raises(Enough):
            await land(file.fileno(), 0, **{who: enough})
        await answer(send, "stopped")

    served.app = app
    with served.connect() as client:
        client.send(put(b"abc", 10))
        assert client.response().content == b"stopped"


# --- many at once -------------------------------------------------------------------------


def test_idle_uploads_hold_no_thread(served, tmp_path, nothing_left):
    grounds = {}

    async def app(scope, receive, send):
        name = scope["path"][1:]
        grounds[name] = ground = Ground(tmp_path / name)
        await ground(scope, receive, send)

    def head(name, length):
        return put(b"", length).replace(b" / ", b" /%s " % name.encode())

    served.app = app
    idle = [served.connect() for _ in range(40)]  # five times as many as threads
    for number, client in enumerate(idle):
        client.send(head(f"{number}", 10), b"first")
    until(lambda: len(grounds) == 40 and all(ground.progress for ground in grounds.values()))
    with served.connect() as client:
        client.send(head("other", 300 * KIB), bytes(300 * KIB))
        client.response()
    for client in idle:
        client.send(b"-last")
        assert client.response().content == b"10"
        client.close()
    assert {ground.content for name, ground in grounds.items() if name != "other"} == {
        b"first-last"
    }
    names = [thread.name for thread in threading.enumerate()]
    assert sum(name.startswith("tailrace-landing") for name in names) <= 8


def test_an_application_that_starts_its_response_first_may_land_as_well(served, ground):
    async def app(scope, receive, send):
        await send(start())
        with ground.path.open("w+b") as file:
            landed = await ground.land(scope, file.fileno())
        await send({"type": BODY, "body": b"%d" % landed})

    served.app = app
    content = os.urandom(KIB * KIB)
    with served.connect() as client:
        client.send(put(length=len(content)))
        assert client.head().status == 200
        client.send(content)
        until(lambda: ground.landed)
    assert ground.content == content
