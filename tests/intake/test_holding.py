import asyncio
import contextlib
import hashlib

import pytest

from tailrace.blobs.directory import DirectoryBlobs
from tailrace.blobs.memory import MemoryBlobs
from tailrace.errors import ClientDisconnected, ContentDigestMismatch, LengthExceeded
from tailrace.intake.holding import held
from tailrace.protocol.uploads import ContentDigest
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

CONTENT = b"hello world"


def digest_of(content, algorithm="sha-1"):
    name = algorithm.replace("-", "")
    return ContentDigest(algorithm, hashlib.new(name, content).digest())


async def source(*chunks, error=None):
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk
    if error is not None:
        raise error


@pytest.fixture(params=["memory", "directory"])
async def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryBlobs()
    else:
        store = DirectoryBlobs(tmp_path)
        yield store
        await store.close()


async def keys_of(store):
    return [key async for key in store.keys()]


@pytest.mark.parametrize("algorithm", ["md5", "sha-1", "sha-256", "sha-512"])
async def test_content_that_has_its_digest_can_be_read_until_the_end(store, algorithm):
    expected = [digest_of(CONTENT, algorithm)]
    async with held(store, source(b"hello", b" world"), expected, limit=11) as reader:
        assert await reader.read(Span(0, reader.status.length)) == CONTENT
        assert len(await keys_of(store)) == 1
    assert await keys_of(store) == []


async def test_content_must_have_each_of_its_digests(store):
    expected = [digest_of(CONTENT, "sha-256"), digest_of(b"other", "sha-512")]
    with pytest.raises(ContentDigestMismatch) as refused:
        async with held(store, source(CONTENT), expected, limit=11):
            raise AssertionError("it was given out")
    assert refused.value.algorithm == "sha-512"
    assert refused.value.actual == hashlib.sha512(CONTENT).hexdigest()
    assert await keys_of(store) == []


async def test_no_more_is_held_than_is_taken(store):
    with pytest.raises(LengthExceeded):
        async with held(store, source(CONTENT), [digest_of(CONTENT)], limit=10):
            raise AssertionError("it was given out")
    assert await keys_of(store) == []


async def test_content_that_breaks_off_leaves_nothing(store):
    breaking = source(b"hello", error=ClientDisconnected("cut"))
    with pytest.raises(ClientDisconnected):
        async with held(store, breaking, [digest_of(CONTENT)], limit=11):
            raise AssertionError("it was given out")
    assert await keys_of(store) == []


@pytest.mark.parametrize("steps", range(25))
async def test_a_cancellation_at_any_step_leaves_nothing(store, steps):
    async def hold():
        async with held(store, source(b"hello", b" world"), [digest_of(CONTENT)], limit=11):
            pass

    task = asyncio.create_task(hold())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await keys_of(store) == []
