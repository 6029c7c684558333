"""What is handed to a server that reads files itself; under middleware: test_response.py."""

import asyncio
import os

import pytest

from tailrace.delivery import handing
from tailrace.delivery.follow import follow
from tailrace.delivery.handing import hand_over, path_of, takes_path, takes_pieces
from tailrace.delivery.local import open_file
from tailrace.delivery.pieces import in_turn
from tailrace.errors import BlobAbandoned, ClientDisconnected
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

PATH_SEND = "http.response.pathsend"


@pytest.mark.parametrize(
    ("extensions", "takes"),
    [
        ({}, False),
        ({"extensions": None}, False),
        ({"extensions": {}}, False),
        ({"extensions": {PATH_SEND: None}}, False),
        ({"extensions": {PATH_SEND: {}}}, False),  # the standard's
        ({"extensions": {PATH_SEND: {"pieces": True}}}, True),
    ],
)
def test_pieces_are_taken_by_who_says_so(extensions, takes):
    assert takes_pieces({"type": "http"} | extensions) is takes


@pytest.mark.parametrize(
    ("extensions", "takes"),
    [({}, False), ({PATH_SEND: {}}, True), ({PATH_SEND: {"pieces": True}}, False)],
)
def test_a_path_is_for_who_knows_no_more_than_the_standard(extensions, takes):
    assert takes_path({"type": "http", "extensions": extensions}) is takes


async def test_a_whole_sealed_blob_is_where_its_path_says(sealed, bytes_of):
    async with sealed(100) as reader:
        path = path_of(reader, [Span(0, 100)])
        if reader.fileno() is None:
            assert path is None
        else:
            found = os.stat(path)
            assert os.path.samestat(found, os.fstat(reader.fileno()))


@pytest.mark.parametrize(
    "pieces", [[Span(0, 99)], [Span(1, 100)], [b"", Span(0, 100)], [Span(0, 50), Span(50, 100)]]
)
async def test_a_part_has_no_path(sealed, pieces):
    async with sealed(100) as reader:
        assert path_of(reader, pieces) is None


async def test_what_is_growing_has_no_path(store, writer):
    await writer.append(0, [b"part"])
    async with store.open("blob") as reader:
        assert path_of(reader, [Span(0, 4)]) is None
    await writer.abandon()


async def test_a_local_file_has_no_path_for_another_may_be_there_by_then(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    async with open_file(tmp_path / "file") as reader:
        assert path_of(reader, [Span(0, 7)]) is None


class Taking:
    """A server that takes all pieces, or so many."""

    def __init__(self, count=None):
        self.message = None
        self.pieces = []
        self._count = count

    async def send(self, message):
        self.message = message
        pieces = message["pieces"]
        while self._count is None or len(self.pieces) < self._count:
            try:
                self.pieces.append(await anext(pieces))
            except StopAsyncIteration:
                break
        await pieces.aclose()


async def ignoring(message):
    """Middleware that passes on what it knows, and nothing else."""


async def test_all_of_a_response_is_one_message(sealed):
    server = Taking()
    async with sealed(100) as reader:
        pieces = [b"head", Span(0, 5), b"", Span(7, 9)]
        assert await hand_over(reader, in_turn(pieces), server.send)
        if reader.fileno() is None:
            content = await reader.read(Span(0, 9))
            assert server.pieces == [b"head", content[0:5], b"", content[7:9]]
        else:
            assert server.pieces == [b"head", (0, 5), b"", (7, 2)]
            assert server.message["file"].fileno() == reader.fileno()


async def test_whoever_does_not_know_pieces_finds_nothing_at_the_path(sealed):
    server = Taking()
    async with sealed(100) as reader:
        await hand_over(reader, in_turn([Span(0, 100)]), server.send)
    with pytest.raises(OSError, match="Not a directory"):
        os.stat(server.message["path"])


async def test_pieces_that_were_not_all_taken_are_no_delivery(sealed):
    async with sealed(100) as reader:
        with pytest.raises(ClientDisconnected):
            await hand_over(reader, in_turn([Span(0, 5), Span(5, 10)]), Taking(count=1).send)


async def test_all_of_them_are_a_delivery_only_once_the_end_was_asked_for(sealed):
    """For the last piece has been sent when the next one is asked for."""
    async with sealed(100) as reader:
        with pytest.raises(ClientDisconnected):
            await hand_over(reader, in_turn([Span(0, 5), Span(5, 10)]), Taking(count=2).send)


async def test_what_is_left_is_closed(sealed):
    has_closed = False

    async def pieces():
        nonlocal has_closed
        try:
            yield b"one"
            yield b"two"
        finally:
            has_closed = True

    async with sealed(1) as reader:
        with pytest.raises(ClientDisconnected):
            await hand_over(reader, pieces(), Taking(count=1).send)
    assert has_closed


async def test_what_fails_is_told_also_where_the_message_was_taken_by_another_task(
    store, writer
):
    """As by middleware with a queue, where `send` returns at once."""
    tasks = []
    is_queued = asyncio.Event()

    async def queueing(message):
        tasks.append(asyncio.create_task(Taking().send(message)))
        is_queued.set()

    async with store.open("blob") as reader:
        handing_over = asyncio.create_task(hand_over(reader, follow(reader, 0), queueing))
        await is_queued.wait()
        await writer.append(0, [b"part"])
        await writer.abandon()
        with pytest.raises(BlobAbandoned):
            await handing_over
        with pytest.raises(BlobAbandoned):
            await tasks[0]


async def test_a_queue_is_waited_for(sealed):
    server = Taking()
    tasks = []

    async def queueing(message):
        tasks.append(asyncio.create_task(server.send(message)))

    async with sealed(100) as reader:
        assert await hand_over(reader, in_turn([b"all"]), queueing)
    await tasks[0]
    assert server.pieces == [b"all"]


async def test_what_nobody_takes_is_left_for_another_way(sealed, monkeypatch):
    monkeypatch.setattr(handing, "_SECONDS_IN_A_QUEUE", 0)
    async with sealed(100) as reader:
        pieces = in_turn([b"one", b"two"])
        assert not await hand_over(reader, pieces, ignoring)
        assert [piece async for piece in pieces] == [b"one", b"two"]


async def test_what_is_taken_too_late_fails_and_is_not_sent_twice(sealed, monkeypatch):
    monkeypatch.setattr(handing, "_SECONDS_IN_A_QUEUE", 0)
    kept = []

    async def keeping(message):
        kept.append(message)

    async with sealed(100) as reader:
        pieces = in_turn([b"one", b"two"])
        assert not await hand_over(reader, pieces, keeping)
        with pytest.raises(RuntimeError, match="too late"):
            await Taking().send(kept[0])
        await pieces.aclose()
