"""Jobs: every run ends its file, whatever becomes of the producer or of the service."""

import asyncio
import itertools
import threading

import pytest

from tailrace.blobs.memory import MemoryBlobs
from tailrace.catalogue import FileState, Origin
from tailrace.errors import (
    InvalidArguments,
    LengthExceeded,
    ProducerError,
    ServiceBusy,
    StorageFull,
    StorageUnavailable,
)
from tailrace.intake.jobs import STOPPED, Job, Jobs
from tailrace.intake.producers import producer

pytestmark = pytest.mark.anyio


@producer(media_type="text/plain", name=lambda arguments: f"../{arguments['count']}.txt")
async def lines(count: int = 3):
    for number in range(count):
        await asyncio.sleep(0)
        yield f"{number}\n".encode()


class Endless:
    """A producer that yields once and then waits until it is closed."""

    def __init__(self):
        self.begun = 0
        self.closed = 0

        @producer
        async def endless():
            self.begun += 1
            try:
                yield b"begun"
                await asyncio.Event().wait()
            finally:
                self.closed += 1

        self.producer = endless


@producer
async def failing(after: int = 0):
    for _ in range(after):
        yield b"x"
    raise ValueError("/secret/path")


async def pause():
    """Let threads run: a loop that only turns would keep the interpreter to itself."""
    await asyncio.sleep(0.001)


async def rounds(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def ended(room, jobs, job):
    """Wait for the end of a run and return the record of its file."""
    async with asyncio.timeout(30):
        while jobs.find(job.file.record.id) is job:
            await pause()
    return await room.catalogue.find_file(job.file.record.id)


async def begun(room, job):
    async with asyncio.timeout(30), room.store.open(job.file.record.blob) as reader:
        await reader.wait_beyond(0)


# --- one run --------------------------------------------------------------------------------


async def test_a_run_makes_a_file_that_says_where_it_is_from(any_room):
    async with Jobs(any_room.files, at_once=1) as jobs:
        job = await jobs.start(lines, {"count": "12"})
        assert job.file.record.state is FileState.GROWING
        assert jobs.find(job.file.record.id) is job
        record = await ended(any_room, jobs, job)
    assert (record.name, record.media_type, record.origin) == (
        "12.txt",
        "text/plain",
        Origin.JOB,
    )
    assert await any_room.content(record.blob) == b"".join(b"%d\n" % n for n in range(12))
    assert job.failure is None
    await any_room.check()


async def test_a_sync_producer_runs_beside_the_loop(any_room):
    may_go_on = threading.Event()

    @producer
    def slow():
        yield b"a"
        assert may_go_on.wait(30)
        yield b"b"

    async with Jobs(any_room.files, at_once=1) as jobs:
        job = await jobs.start(slow, {})
        await begun(any_room, job)
        may_go_on.set()
        record = await ended(any_room, jobs, job)
    assert await any_room.content(record.blob) == b"ab"
    await any_room.check()


async def test_wrong_arguments_make_nothing(room):
    async with Jobs(room.files, at_once=1) as jobs:
        with pytest.raises(InvalidArguments):
            await jobs.start(lines, {"count": "many"})
    assert await room.records() == []


# --- runs that fail -------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_producer_that_raises_gives_its_file_up(any_room, after):
    async with Jobs(any_room.files, at_once=1) as jobs:
        job = await jobs.start(failing, {"after": after})
        record = await ended(any_room, jobs, job)
    assert record.state is FileState.ABANDONED
    assert record.reason == f"its producer failed after {after} bytes (ValueError)"
    assert isinstance(job.failure, ProducerError)
    assert isinstance(job.failure.__cause__, ValueError)
    await any_room.check()


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_producer_that_exits_ends_itself_and_not_the_service(room, kind):
    @producer
    async def exits_in_a_task():
        yield b"x"
        raise SystemExit(2)

    @producer
    def exits_in_a_thread():
        yield b"x"
        raise SystemExit(2)

    async with Jobs(room.files, at_once=2) as jobs:
        exits = exits_in_a_task if kind == "async" else exits_in_a_thread
        job = await jobs.start(exits, {})
        record = await ended(room, jobs, await jobs.start(lines, {}))
    assert record.state is FileState.SEALED
    assert isinstance(job.failure, ProducerError)
    await room.check()


async def test_a_producer_of_more_than_the_limit_is_cut_off(room):
    endless = Endless()

    @producer
    async def too_long():
        yield bytes(room.settings.file_limit)
        async for chunk in endless.producer():
            yield chunk

    async with Jobs(room.files, at_once=1) as jobs:
        job = await jobs.start(too_long, {})
        record = await ended(room, jobs, job)
    assert isinstance(job.failure, LengthExceeded)
    assert record.reason == "at most 1000 bytes are taken here"
    await room.check()


async def test_a_full_store_ends_a_run_and_closes_its_producer(room):
    room.store = MemoryBlobs(limit_bytes=3)
    endless = Endless()
    async with Jobs(room.files, at_once=1) as jobs:
        job = await jobs.start(endless.producer, {})
        record = await ended(room, jobs, job)
        assert isinstance(job.failure, StorageFull)
    assert record.reason == "there was no room for more than 3 bytes"
    assert (endless.begun, endless.closed) == (1, 1)
    await room.check()


async def test_a_file_that_cannot_be_given_up_does_not_end_the_runs_beside_it(any_room, caplog):
    endless = Endless()
    async with Jobs(any_room.files, at_once=2) as jobs:
        beside = await jobs.start(endless.producer, {})
        await begun(any_room, beside)
        any_room.break_catalogue()
        job = await jobs.start(failing, {})
        await ended(any_room, jobs, job)
        assert f"file {job.file.record.id} could not be given up" in caplog.text
        any_room.repair_catalogue()
        assert jobs.find(beside.file.record.id) is beside
        sealed = await ended(any_room, jobs, await jobs.start(lines, {}))
        assert sealed.state is FileState.SEALED
        # Nobody holds the file, so that upkeep can give it up.
        writer = await any_room.store.resume(job.file.record.blob)
        await writer.release()
    assert (endless.begun, endless.closed) == (1, 1)


async def test_a_file_that_cannot_be_begun_starts_no_run(room):
    endless = Endless()
    room.break_catalogue("INSERT ON files")
    async with Jobs(room.files, at_once=1) as jobs:
        with pytest.raises(StorageUnavailable):
            await jobs.start(endless.producer, {})
    assert endless.begun == 0
    await room.check()


# --- cancelling -----------------------------------------------------------------------------


async def test_a_run_that_is_cancelled_closes_its_producer_and_says_why(any_room):
    endless = Endless()
    async with Jobs(any_room.files, at_once=1) as jobs:
        job = await jobs.start(endless.producer, {})
        await begun(any_room, job)
        job.cancel("its reader left")
        record = await ended(any_room, jobs, job)
    assert (record.state, record.reason) == (FileState.ABANDONED, "its reader left")
    assert endless.closed == 1
    assert isinstance(job.failure, asyncio.CancelledError)
    await any_room.check()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_run_that_is_cancelled_before_its_first_step_ends_its_file(any_room, times):
    endless = Endless()
    async with Jobs(any_room.files, at_once=1) as jobs:
        job = await jobs.start(endless.producer, {})
        for _ in range(times):
            job.cancel("at once")
        record = await ended(any_room, jobs, job)
    assert (record.state, record.reason) == (FileState.ABANDONED, "at once")
    assert endless.begun == 0
    await any_room.check()


async def test_a_run_that_is_cancelled_while_it_waits_for_its_turn_never_begins(room):
    first, second = Endless(), Endless()
    async with Jobs(room.files, at_once=1) as jobs:
        await begun(room, await jobs.start(first.producer, {}))
        waiting = await jobs.start(second.producer, {})
        await asyncio.sleep(0)
        waiting.cancel("not wanted any more")
        record = await ended(room, jobs, waiting)
    assert record.reason == "not wanted any more"
    assert second.begun == 0
    await room.check()


async def test_a_run_that_has_ended_cannot_be_cancelled(room):
    async with Jobs(room.files, at_once=1) as jobs:
        job = await jobs.start(lines, {})
        record = await ended(room, jobs, job)
        job.cancel("too late")
    assert await room.records() == [record]
    assert record.state is FileState.SEALED
    await room.check()


async def test_a_file_that_is_deleted_while_it_is_made_keeps_that_reason(any_room):
    endless = Endless()
    async with Jobs(any_room.files, at_once=1) as jobs:
        job = await jobs.start(endless.producer, {})
        await begun(any_room, job)
        file = job.file.record
        await any_room.catalogue.end_file(
            file.id, reason="it was deleted", at=any_room.clock.now
        )
        job.cancel("it was deleted, and its run is over")
        await any_room.store.remove(file.blob)
    record = await any_room.catalogue.find_file(file.id)
    assert (record.state, record.reason) == (FileState.ABANDONED, "it was deleted")
    assert endless.closed == 1
    await any_room.check()


# --- many runs ------------------------------------------------------------------------------


async def test_runs_over_the_limit_wait_for_their_turn_and_have_their_files_before(room):
    gates = [asyncio.Event() for _ in range(4)]
    begun_runs = []

    @producer
    async def gated(number: int):
        begun_runs.append(number)
        await gates[number].wait()
        yield b"x"

    async with Jobs(room.files, at_once=2) as jobs:
        started = [await jobs.start(gated, {"number": number}) for number in range(4)]
        assert len(await room.records()) == 4
        assert begun_runs == [0, 1]
        gates[1].set()
        await ended(room, jobs, started[1])
        assert begun_runs == [0, 1, 2]
        gates[0].set()
        await ended(room, jobs, started[0])
        assert begun_runs == [0, 1, 2, 3]
        for gate in gates:
            gate.set()
        for job in started:
            assert (await ended(room, jobs, job)).state is FileState.SEALED
    await room.check()


async def test_a_run_that_fails_frees_its_turn(room):
    async with Jobs(room.files, at_once=1) as jobs:
        for _ in range(3):
            await jobs.start(failing, {})
        assert (await ended(room, jobs, await jobs.start(lines, {}))).state is FileState.SEALED
    await room.check()


# --- stopping -------------------------------------------------------------------------------


async def test_the_end_of_jobs_is_the_end_of_them_all(any_room):
    endless = Endless()
    async with Jobs(any_room.files, at_once=2) as jobs:
        for _ in range(2):
            await begun(any_room, await jobs.start(endless.producer, {}))
        await jobs.start(endless.producer, {})  # waits for its turn
        await jobs.start(endless.producer, {})  # and this one has made no step
    assert [(record.state, record.reason) for record in await any_room.records()] == [
        (FileState.ABANDONED, STOPPED)
    ] * 4
    assert (endless.begun, endless.closed) == (2, 2)
    await any_room.check()


async def test_a_run_may_finish_within_the_grace_time(room):
    may_end = asyncio.Event()

    @producer
    async def waits():
        yield b"x"
        await may_end.wait()
        yield b"y"

    async with asyncio.timeout(30), Jobs(room.files, at_once=1, grace_seconds=3600) as jobs:
        await begun(room, await jobs.start(waits, {}))
        asyncio.get_running_loop().call_soon(may_end.set)
    assert [record.length for record in await room.records()] == [2]
    await room.check()


async def test_a_run_that_outlasts_the_grace_time_is_cancelled(room):
    endless = Endless()
    async with asyncio.timeout(30), Jobs(room.files, at_once=1, grace_seconds=0.01) as jobs:
        await begun(room, await jobs.start(endless.producer, {}))
    assert [record.reason for record in await room.records()] == [STOPPED]
    assert endless.closed == 1
    await room.check()


async def test_nothing_is_waited_for_where_nothing_runs(room):
    async with asyncio.timeout(30):
        async with Jobs(room.files, at_once=1, grace_seconds=3600):
            pass
        async with Jobs(room.files, at_once=1, grace_seconds=3600) as jobs:
            await jobs.start(lines, {})
    await room.check()


async def test_an_error_of_the_service_ends_them_as_well(room):
    async def serve():
        async with Jobs(room.files, at_once=1, grace_seconds=3600) as jobs:
            await jobs.start(Endless().producer, {})
            raise ValueError("the service's own")

    async with asyncio.timeout(30):
        with pytest.raises(ValueError, match="the service's own"):
            await serve()
    assert [record.reason for record in await room.records()] == [STOPPED]
    await room.check()


async def test_no_run_is_started_while_the_service_stops(room):
    endless = Endless()
    jobs = Jobs(room.files, at_once=1)
    async with jobs:
        pass
    with pytest.raises(ServiceBusy, match="stopping"):
        await jobs.start(endless.producer, {})
    assert endless.begun == 0
    await room.check()


async def test_no_more_runs_wait_than_may(room):
    async with Jobs(room.files, at_once=1, waiting=1) as jobs:
        await jobs.start(Endless().producer, {})
        await jobs.start(Endless().producer, {})
        with pytest.raises(ServiceBusy, match="2 runs"):
            await jobs.start(lines, {})
    async with Jobs(room.files, at_once=1, waiting=0) as jobs:
        for _ in range(3):  # whoever has ended has left room
            job = await jobs.start(lines, {})
            await ended(room, jobs, job)


async def test_whenever_the_service_is_cancelled_every_file_ends(
    any_room, cancelled_at_every_step
):
    async def attempt():
        async with Jobs(any_room.files, at_once=1) as jobs:
            await jobs.start(lines, {})
            await jobs.start(Endless().producer, {})
            await rounds(10)
            await jobs.start(lines, {})

    await cancelled_at_every_step(attempt, any_room.check)
    growing = await any_room.catalogue.growing_files()
    assert list(growing) == []


async def test_whenever_a_run_is_cancelled_its_file_ends(any_room, cancelled_at_every_step):
    sealed = itertools.count()

    async def attempt():
        file = await any_room.files.begin(name="a", media_type="text/plain", origin=Origin.JOB)
        job = Job(lines, {"count": 2}, file, any_room.scratch)
        try:
            await job.run(asyncio.Semaphore(1))
        finally:
            if job.failure is None and file.record.state is FileState.SEALED:
                next(sealed)

    await cancelled_at_every_step(attempt, any_room.check)
    assert list(await any_room.catalogue.growing_files()) == []
    assert next(sealed) > 0
