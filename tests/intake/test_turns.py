import asyncio

import pytest

from tailrace.blobs import BlobKey
from tailrace.blobs.memory import MemoryBlobs
from tailrace.catalogue import FileId
from tailrace.errors import BlobBusy, BlobMissing
from tailrace.intake.turns import Turns

pytestmark = pytest.mark.anyio

FILE = FileId("file")
BLOB = BlobKey("blob")


class Writing:
    """A request that has its turn until it is ended, and then takes a while to let go."""

    def __init__(self, turns):
        self.turns = turns
        self.has_begun = asyncio.Event()
        self.was_ended = False
        self.may_let_go = asyncio.Event()
        self.task = asyncio.create_task(self.write())

    async def write(self):
        with self.turns.taking(FILE) as turn:
            try:
                await turn.run(self.read())
            finally:
                await self.may_let_go.wait()

    async def read(self):
        self.has_begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.was_ended = True


@pytest.fixture
def store():
    return MemoryBlobs()


@pytest.fixture
def turns(store):
    return Turns(store, silent_seconds=0.02)


async def test_what_runs_in_a_turn_gives_its_result(turns):
    async def read():
        return 5

    with turns.taking(FILE) as turn:
        assert turns.is_under_way(FILE)
        assert await turn.run(read()) == 5
    assert not turns.is_under_way(FILE)


async def test_what_fails_in_a_turn_raises_its_error(turns):
    async def read():
        raise ZeroDivisionError

    with turns.taking(FILE) as turn, pytest.raises(ZeroDivisionError):
        await turn.run(read())


async def test_to_end_a_turn_that_is_not_under_way_does_nothing(turns):
    await turns.end(FILE)


async def test_who_ends_a_turn_waits_until_it_has_let_go(turns):
    writing = Writing(turns)
    await writing.has_begun.wait()
    ending = asyncio.create_task(turns.end(FILE))
    done, _ = await asyncio.wait((ending,), timeout=0.01)
    assert writing.was_ended
    assert not done
    writing.may_let_go.set()
    await ending
    with pytest.raises(BlobBusy):
        await writing.task
    assert not turns.is_under_way(FILE)


async def test_a_turn_that_is_ended_before_it_reads_never_reads(turns):
    async def read():
        raise AssertionError("it was read")

    with turns.taking(FILE) as turn:
        ending = asyncio.create_task(turns.end(FILE))
        await asyncio.sleep(0)
        with pytest.raises(BlobBusy):
            await turn.run(read())
    await ending


async def test_a_request_that_is_cancelled_ends_its_reading_first(turns):
    writing = Writing(turns)
    writing.may_let_go.set()
    await writing.has_begun.wait()
    writing.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing.task
    assert writing.was_ended


async def test_a_silent_turn_is_ended(store, turns):
    writer = await store.create(BLOB)
    writing = Writing(turns)
    writing.may_let_go.set()
    await writing.has_begun.wait()
    await turns.end_if_silent(FILE, BLOB, 0)
    assert writing.was_ended
    with pytest.raises(BlobBusy):
        await writing.task
    await writer.abandon()


async def test_a_turn_in_which_the_blob_grows_is_left_alone(store):
    turns = Turns(store, silent_seconds=20)
    writer = await store.create(BLOB)
    writing = Writing(turns)
    writing.may_let_go.set()
    await writing.has_begun.wait()
    asking = asyncio.create_task(turns.end_if_silent(FILE, BLOB, 0))
    await asyncio.sleep(0)
    await writer.append(0, [b"a"])
    with pytest.raises(BlobBusy):
        await asking
    assert not writing.was_ended
    writing.task.cancel()
    await asyncio.wait((writing.task,))
    await writer.abandon()


async def test_of_a_blob_that_is_gone_nobody_writes(turns):
    with pytest.raises(BlobMissing):
        await turns.end_if_silent(FILE, BLOB, 0)


async def test_a_later_turn_is_not_forgotten_with_an_earlier_one(turns):
    with turns.taking(FILE) as first:
        later = turns.taking(FILE)
        later.__enter__()
        first.let_go()
    assert turns.is_under_way(FILE)
    later.__exit__(None, None, None)
    assert not turns.is_under_way(FILE)
