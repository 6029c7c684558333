"""One attempt: from the producer's bytes to a sealed file, from wherever the last one ended."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.catalogue import FileState, Origin
from tailrace.errors import ProducerError, TimeLimitExceeded
from tailrace.intake.jobs.filling import NotReproduced, make
from tailrace.intake.producers import Run, producer

pytestmark = pytest.mark.anyio


@producer(deterministic=True)
async def spelled(chunks: list[str]):
    for chunk in chunks:
        yield chunk.encode()


async def begun(room, content):
    """Return a file with bytes of an attempt that was lost."""
    file = await room.files.begin(name="a", media_type="text/plain", origin=Origin.JOB)

    async def source():
        yield content

    await file.fill(source())
    await file.release()
    return await room.files.resume(file.record)


async def made(room, file, chunks, seconds=60):
    run = Run(name="a", media_type="text/plain", scratch=room.scratch)
    await make(spelled, {"chunks": chunks}, run, file, seconds=seconds)
    return await room.content(file.record.blob)


chunkings = st.lists(st.text("abc", max_size=4), max_size=6)


@given(chunkings, st.integers(0, 24))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_wherever_it_was_broken_off_the_file_becomes_what_is_made(room, chunks, length):
    content = "".join(chunks).encode()
    file = await begun(room, content[:length])
    assert await made(room, file, chunks) == content
    assert file.record.state is FileState.SEALED


@pytest.mark.parametrize("chunks", [[], ["a"], ["a", "x"], ["axc", "d"], ["xbcd"]])
async def test_what_differs_or_ends_before_is_not_appended_to(any_room, chunks):
    file = await begun(any_room, b"abc")
    with pytest.raises(NotReproduced, match="the first 3 bytes"):
        await made(any_room, file, chunks)
    assert await any_room.content(file.record.blob) == b"abc"
    await file.abandon("it is over")


async def test_an_attempt_ends_with_its_time_and_keeps_what_there_is(any_room):
    @producer
    async def slow():
        yield b"a"
        await asyncio.Event().wait()

    file = await begun(any_room, b"")
    run = Run(name="a", media_type="text/plain", scratch=any_room.scratch)
    with pytest.raises(TimeLimitExceeded, match=r"0\.01 seconds"):
        await make(slow, {}, run, file, seconds=0.01)
    assert (file.record.state, file.length) == (FileState.GROWING, 1)
    await file.abandon("it is over")


async def test_a_failure_leaves_the_file_growing(any_room):
    file = await begun(any_room, b"")
    with pytest.raises(ProducerError):
        await made(any_room, file, ["a", "\ud800"])
    assert file.record.state is FileState.GROWING
    assert file.length == 1
    await file.abandon("it is over")
