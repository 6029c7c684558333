import asyncio
import hashlib

import pytest

from tailrace.blobs.digest import RunningDigest
from tailrace.blobs.memory import MemoryBlobs
from tailrace.intake.waiting_digests import WaitingDigests

pytestmark = pytest.mark.anyio


async def covering(content):
    digest = RunningDigest()
    await digest.update(0, [content])
    return digest


async def test_a_digest_waits_for_who_goes_on_and_only_once():
    waiting = WaitingDigests()
    digest = await covering(b"abc")
    waiting.keep("blob", digest, 3)
    assert waiting.take("blob") is digest
    assert waiting.take("blob").covered == 0


async def test_a_digest_that_is_behind_its_blob_may_wait():
    waiting = WaitingDigests()
    digest = await covering(b"abc")
    waiting.keep("blob", digest, 5)
    assert waiting.take("blob") is digest


async def test_a_digest_that_saw_more_than_the_blob_has_does_not_wait():
    waiting = WaitingDigests()
    waiting.keep("blob", await covering(b"abc"), 2)
    assert waiting.take("blob").covered == 0


async def test_a_digest_that_stopped_halfway_does_not_wait():
    waiting = WaitingDigests()
    digest = RunningDigest()
    updating = asyncio.create_task(digest.update(0, [bytes(1_000_000)]))
    await asyncio.sleep(0)
    updating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await updating
    waiting.keep("blob", digest, 1_000_000)
    assert waiting.take("blob") is not digest


async def test_no_more_wait_than_are_let():
    waiting = WaitingDigests(most=2)
    for key in ("a", "b", "c"):
        waiting.keep(key, await covering(key.encode()), 1)
    assert [waiting.take(key).covered for key in ("a", "b", "c")] == [0, 1, 1]


class CountingReader:
    """A reader that counts what is read."""

    def __init__(self, reader):
        self._reader = reader
        self.status = reader.status
        self.count = 0

    async def read(self, span):
        self.count += span.length
        return await self._reader.read(span)


async def test_with_a_digest_that_waited_nothing_is_read_again():
    store, waiting = MemoryBlobs(), WaitingDigests()
    writer = await store.create("blob")
    for offset, part in ((0, b"abc"), (3, b"def")):
        digest = waiting.take("blob")
        await digest.update(offset, [part])
        await writer.append(offset, [part])
        waiting.keep("blob", digest, writer.length)
    async with store.open("blob") as reader:
        counting = CountingReader(reader)
        actual = await waiting.take("blob").complete(counting)
    assert (actual, counting.count) == (hashlib.sha256(b"abcdef").digest(), 0)
    await writer.abandon()
