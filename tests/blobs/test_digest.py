"""The digest of a blob, computed while its bytes arrive."""

import asyncio
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.blobs import BlobKey
from tailrace.blobs.digest import RunningDigest
from tailrace.blobs.memory import MemoryBlobs

pytestmark = pytest.mark.anyio

KEY = BlobKey("k")
ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}

# Where hashing goes to a thread (64 KiB), and where reading back takes two steps (1 MiB).
edges = st.sampled_from([2**16 - 1, 2**16, 2**16 + 1, 2**20 - 1, 2**20, 2**20 + 1])
lengths = st.one_of(st.integers(0, 5), edges)


def of_length(length):
    return (b"0123456789a" * (length // 11 + 1))[:length]


async def digest_of(store, running):
    async with store.open(KEY) as reader:
        return await running.complete(reader)


# FIPS 180-4's own examples: the messages "abc" and "".
@pytest.mark.parametrize(
    ("algorithm", "content", "digest"),
    [
        ("sha-256", b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("sha-256", b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (
            "sha-512",
            b"abc",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ],
)
async def test_the_algorithms_are_those_of_the_standard(algorithm, content, digest):
    store = MemoryBlobs()
    writer = await store.create(KEY)
    await writer.append(0, [content])
    assert (await digest_of(store, RunningDigest(algorithm))).hex() == digest


@given(
    st.lists(st.tuples(st.lists(lengths, max_size=3), st.booleans()), max_size=5),
    st.sampled_from([*ALGORITHMS]),
)
@settings(deadline=None, max_examples=60)
def test_it_is_the_same_for_any_chunking_and_whatever_it_did_not_see(appended, algorithm):
    appends = [([*map(of_length, lengths)], is_seen) for lengths, is_seen in appended]

    async def run():
        store = MemoryBlobs()
        writer = await store.create(KEY)
        running = RunningDigest(algorithm)
        for chunks, is_seen in appends:
            if is_seen:
                await running.update(writer.length, chunks)
            await writer.append(writer.length, chunks)
        return await digest_of(store, running)

    whole = b"".join(chunk for chunks, _ in appends for chunk in chunks)
    assert asyncio.run(run()) == ALGORITHMS[algorithm](whole).digest()


async def test_bytes_that_are_not_next_in_order_are_left_to_be_read_back():
    running = RunningDigest()
    await running.update(0, [b"ab"])
    await running.update(5, [b"fg"])
    assert running.covered == 2
    await running.update(2, [b"cd", b"e"])
    assert running.covered == 5


async def test_what_it_has_seen_is_not_read_again():
    store = MemoryBlobs()
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    running = RunningDigest()
    await running.update(0, [b"AB"])  # so that it shows which ones it took
    assert await digest_of(store, running) == hashlib.sha256(b"ABc").digest()


async def test_it_may_be_completed_and_gone_on_with():
    store = MemoryBlobs()
    writer = await store.create(KEY)
    running = RunningDigest()
    for chunk, whole in ((b"ab", b"ab"), (b"c", b"abc")):
        await writer.append(writer.length, [chunk])
        assert await digest_of(store, running) == hashlib.sha256(whole).digest()
    await writer.release()


async def test_large_chunks_do_not_hold_up_the_loop():
    running = RunningDigest()
    updating = asyncio.create_task(running.update(0, [bytes(64 * 2**20)]))
    turns = 0
    while not updating.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 2
    assert running.covered == 64 * 2**20


async def test_what_extends_it_counts_as_the_next_bytes():
    running = RunningDigest()
    store = MemoryBlobs()
    writer = await store.create(KEY)
    await writer.append(0, [b"abcdefgh"])
    await running.update(0, [b"ab"])
    running.extend(memoryview(b"cd"))
    assert running.covered == 4
    assert await digest_of(store, running) == hashlib.sha256(b"abcdefgh").digest()
