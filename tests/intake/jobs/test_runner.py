"""Jobs: every run ends its file or is left for the next worker, whatever becomes of both."""

import asyncio
import threading
from datetime import timedelta

import pytest

from tailrace.blobs import BlobState
from tailrace.blobs.memory import MemoryBlobs
from tailrace.catalogue import FileState, Origin
from tailrace.errors import (
    InvalidArguments,
    KeyReused,
    LengthExceeded,
    ProducerError,
    ServiceBusy,
    StorageFull,
    StorageUnavailable,
    TimeLimitExceeded,
)
from tailrace.intake.jobs import LOST_WITH_READER, STOPPED
from tailrace.intake.jobs.embedded import LEASE
from tailrace.intake.producers import Progress, Run, producer

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


async def until(holds):
    async with asyncio.timeout(30):
        while not holds():  # a test waits for what it does not own
            await pause()


async def rounds(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def ended(room, jobs, job):
    """Wait for the end of a run and return the record of its file."""
    async with asyncio.timeout(30):
        while (file := await room.catalogue.find_file(job.file_id)).state is FileState.GROWING:
            await pause()
        while jobs.find(job.file_id) is job:
            await pause()
    return file


async def begun(room, job):
    async with asyncio.timeout(30), room.store.open(job.file.blob) as reader:
        await reader.wait_beyond(0)


# --- one run --------------------------------------------------------------------------------


async def test_a_run_makes_a_file_that_says_where_it_is_from(any_room):
    async with any_room.jobs(at_once=1) as jobs:
        job = await jobs.start(lines, {"count": "12"})
        assert job.file.state is FileState.GROWING
        assert jobs.find(job.file_id) is job
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

    async with any_room.jobs(at_once=1) as jobs:
        job = await jobs.start(slow, {})
        await begun(any_room, job)
        may_go_on.set()
        record = await ended(any_room, jobs, job)
    assert await any_room.content(record.blob) == b"ab"
    await any_room.check()


async def test_wrong_arguments_make_nothing(room):
    async with room.jobs(at_once=1) as jobs:
        with pytest.raises(InvalidArguments):
            await jobs.start(lines, {"count": "many"})
    assert await room.records() == []


# --- runs that fail -------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_producer_that_raises_gives_its_file_up(any_room, after):
    async with any_room.jobs(at_once=1) as jobs:
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

    async with room.jobs(at_once=2) as jobs:
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

    async with room.jobs(at_once=1) as jobs:
        job = await jobs.start(too_long, {})
        record = await ended(room, jobs, job)
    assert isinstance(job.failure, LengthExceeded)
    assert record.reason == "at most 1000 bytes are taken here"
    await room.check()


async def test_a_full_store_ends_a_run_and_closes_its_producer(room):
    room.store = MemoryBlobs(limit_bytes=3)
    endless = Endless()
    async with room.jobs(at_once=1) as jobs:
        job = await jobs.start(endless.producer, {})
        record = await ended(room, jobs, job)
        assert isinstance(job.failure, StorageFull)
    assert record.reason == "there was no room for more than 3 bytes"
    assert (endless.begun, endless.closed) == (1, 1)
    await room.check()


async def test_a_file_that_cannot_be_given_up_does_not_end_the_runs_beside_it(any_room, caplog):
    endless = Endless()
    async with any_room.jobs(at_once=2) as jobs:
        beside = await jobs.start(endless.producer, {})
        await begun(any_room, beside)
        any_room.break_catalogue()
        job = await jobs.start(failing, {})
        await until(lambda: jobs.find(job.file_id) is None)
        assert f"file {job.file_id} could not be given up" in caplog.text
        any_room.repair_catalogue()
        assert jobs.find(beside.file_id) is beside
        sealed = await ended(any_room, jobs, await jobs.start(lines, {}))
        assert sealed.state is FileState.SEALED
        # Nobody holds the file, so that upkeep can give it up.
        writer = await any_room.store.resume(job.file.blob)
        await writer.release()
        assert endless.closed == 0
    assert (endless.begun, endless.closed) == (1, 1)


async def test_a_file_that_cannot_be_begun_starts_no_run(room):
    endless = Endless()
    room.break_catalogue("INSERT ON files")
    async with room.jobs(at_once=1) as jobs:
        with pytest.raises(StorageUnavailable):
            await jobs.start(endless.producer, {})
    assert endless.begun == 0
    await room.check()


# --- cancelling -----------------------------------------------------------------------------


async def test_a_run_that_is_cancelled_closes_its_producer_and_says_why(any_room):
    endless = Endless()
    async with any_room.jobs(at_once=1) as jobs:
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
    async with any_room.jobs(at_once=1) as jobs:
        job = await jobs.start(endless.producer, {})
        for _ in range(times):
            job.cancel("at once")
        record = await ended(any_room, jobs, job)
    assert (record.state, record.reason) == (FileState.ABANDONED, "at once")
    assert endless.begun == 0
    await any_room.check()


async def test_a_run_that_is_cancelled_while_it_waits_for_its_turn_never_begins(room):
    first, second = Endless(), Endless()
    async with room.jobs(second.producer, at_once=1) as jobs:
        await begun(room, await jobs.start(first.producer, {}))
        waiting = await jobs.start(second.producer, {})
        await jobs.cancel(waiting, "not wanted any more")
        record = await room.catalogue.find_file(waiting.file_id)
    assert (record.state, record.reason) == (FileState.ABANDONED, "not wanted any more")
    assert second.begun == 0
    await room.check()


async def test_a_run_that_has_ended_cannot_be_cancelled(room):
    async with room.jobs(at_once=1) as jobs:
        job = await jobs.start(lines, {})
        record = await ended(room, jobs, job)
        job.cancel("too late")
    assert await room.records() == [record]
    assert record.state is FileState.SEALED
    await room.check()


async def test_a_file_that_is_deleted_while_it_is_made_keeps_that_reason(any_room):
    endless = Endless()
    async with any_room.jobs(at_once=1) as jobs:
        job = await jobs.start(endless.producer, {})
        await begun(any_room, job)
        file = job.file
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

    async with room.jobs(gated, at_once=2) as jobs:
        started = [await jobs.start(gated, {"number": number}) for number in range(4)]
        assert len(await room.records()) == 4
        assert begun_runs == [0, 1]
        gates[1].set()
        await until(lambda: begun_runs == [0, 1, 2])
        gates[0].set()
        await until(lambda: begun_runs == [0, 1, 2, 3])
        for gate in gates:
            gate.set()
        for job in started:
            assert (await ended(room, jobs, job)).state is FileState.SEALED
    await room.check()


async def test_a_run_that_fails_frees_its_turn(room):
    async with room.jobs(failing, lines, at_once=1) as jobs:
        for _ in range(3):
            await jobs.start(failing, {})
        assert (await ended(room, jobs, await jobs.start(lines, {}))).state is FileState.SEALED
    await room.check()


async def test_of_one_producer_no_more_run_than_it_may(room):
    gate = asyncio.Event()
    begun_runs = []

    @producer(at_once=1)
    async def gated(number: int):
        begun_runs.append(number)
        await gate.wait()
        yield b"x"

    async with room.jobs(gated, lines, at_once=4) as jobs:
        started = [await jobs.start(gated, {"number": number}) for number in range(3)]
        # Another one has its turn beside them.
        assert (await ended(room, jobs, await jobs.start(lines, {}))).state is FileState.SEALED
        assert begun_runs == [0]
        gate.set()
        for job in started:
            await ended(room, jobs, job)
    assert begun_runs == [0, 1, 2]
    await room.check()


async def test_no_more_runs_wait_than_may(room):
    endless = Endless()
    async with room.jobs(at_once=1, waiting=1) as jobs:
        await jobs.start(endless.producer, {})
        await jobs.start(endless.producer, {})
        with pytest.raises(ServiceBusy, match="1 runs are waiting"):
            await jobs.start(lines, {})
    async with room.jobs(at_once=1, waiting=0) as jobs:
        for _ in range(3):  # whoever has ended has left room
            await ended(room, jobs, await jobs.start(lines, {}))


# --- the same run asked for again -----------------------------------------------------------


async def test_who_asks_again_by_the_same_key_gets_the_same_file(room):
    endless = Endless()
    async with room.jobs(lines, endless.producer, at_once=1) as jobs:
        first = await jobs.start(lines, {"count": 2}, key_hash=b"k")
        again = await jobs.start(lines, {"count": 2}, key_hash=b"k")
        assert again.file_id == first.file_id
        await ended(room, jobs, first)
        later = await jobs.start(lines, {"count": 2}, key_hash=b"k")
        assert (later.file_id, later.link) == (first.file_id, first.link)
        other = await jobs.start(lines, {"count": 2}, key_hash=b"other")
        assert other.file_id != first.file_id
        with pytest.raises(KeyReused):
            await jobs.start(lines, {"count": 3}, key_hash=b"k")
        assert (await ended(room, jobs, await jobs.start(lines, {}))).state is FileState.SEALED
    await room.check()


async def test_a_key_whose_run_failed_may_be_used_again(room):
    async with room.jobs(failing, at_once=1) as jobs:
        first = await jobs.start(failing, {}, key_hash=b"k")
        await ended(room, jobs, first)
        again = await jobs.start(failing, {}, key_hash=b"k")
        assert again.file_id != first.file_id
        await ended(room, jobs, again)
    await room.check()


# --- what is said while it runs -------------------------------------------------------------


async def test_a_run_says_what_it_makes(any_room):
    @producer(media_type="text/plain")
    async def told(run: Run):
        run.name, run.media_type, run.length = "../b.csv", "text/csv", 4
        run.progress(1, 2, "half")
        yield b"12"
        yield b"34"

    async with any_room.jobs(at_once=1) as jobs:
        job = await jobs.start(told, {})
        assert job.file.name == "told"
        record = await ended(any_room, jobs, job)
        assert job.run.told == Progress(1, 2, "half")
    assert (record.name, record.media_type, record.length) == ("b.csv", "text/csv", 4)
    await any_room.check()


@pytest.mark.parametrize("content", [b"", b"123", b"12345"])
async def test_a_run_is_held_to_the_length_that_it_promised(room, content):
    @producer
    async def told(run: Run):
        run.length = 4
        yield content

    async with room.jobs(at_once=1) as jobs:
        record = await ended(room, jobs, await jobs.start(told, {}))
    assert record.state is FileState.ABANDONED
    await room.check()


async def test_a_scratch_directory_ends_with_its_run(room):
    endless = asyncio.Event()

    @producer
    async def scratching(fate: str, run: Run):
        (run.scratch / "a").write_bytes(b"x")
        yield b"x"
        if fate == "fail":
            raise ValueError
        if fate == "wait":
            await endless.wait()

    async with room.jobs(at_once=3) as jobs:
        started = [await jobs.start(scratching, {"fate": f}) for f in ("end", "fail", "wait")]
        await begun(room, started[2])
        started[2].cancel("not wanted")
        for job in started:
            await ended(room, jobs, job)
    await room.check()


# --- limits and retries ---------------------------------------------------------------------


async def test_a_run_that_takes_too_long_is_stopped(any_room):
    closed = []

    @producer(time_limit=timedelta(milliseconds=20))
    async def slow():
        try:
            yield b"x"
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async with any_room.jobs(at_once=1) as jobs:
        job = await jobs.start(slow, {})
        record = await ended(any_room, jobs, job)
    assert isinstance(job.failure, TimeLimitExceeded)
    assert record.reason == (
        "it was stopped after 1 bytes: it took longer than the 0.02 seconds that it may"
    )
    assert closed == [True]
    await any_room.check()


async def test_a_run_makes_no_more_than_its_producer_may(room):
    @producer(length_limit=2)
    async def long():
        yield b"123"

    async with room.jobs(at_once=1) as jobs:
        record = await ended(room, jobs, await jobs.start(long, {}))
    assert record.reason == "at most 2 bytes are taken here"
    await room.check()


@pytest.mark.parametrize("is_deterministic", [False, True])
async def test_a_run_that_fails_is_tried_again_after_a_pause(any_room, is_deterministic):
    attempts = []

    @producer(retries=2, deterministic=is_deterministic)
    async def moody(run: Run):
        attempts.append(run.attempt)
        yield b"same "
        if run.attempt < 3:
            raise ValueError("a bad mood")
        yield b"end"

    async with any_room.jobs(moody, at_once=1) as jobs:
        job = await jobs.start(moody, {})
        first_blob = job.file.blob
        for attempt, seconds in ((1, 1), (2, 2)):
            await until(lambda: jobs.find(job.file_id) is None)
            assert attempts == list(range(1, attempt + 1))
            record = await any_room.catalogue.find_job(job.file_id)
            assert record.due_at == any_room.clock.now + timedelta(seconds=seconds)
            any_room.clock.advance(timedelta(seconds=seconds))
            jobs.look()
            await until(lambda attempt=attempt: len(attempts) > attempt)
        sealed = await ended(any_room, jobs, job)
    assert await any_room.content(sealed.blob) == b"same end"
    assert (sealed.blob == first_blob) is is_deterministic
    await any_room.check()


async def test_a_run_is_given_up_when_it_has_failed_too_often(room):
    @producer(retries=1)
    async def bad():
        yield b"x"
        raise ValueError

    async with room.jobs(bad, at_once=1) as jobs:
        job = await jobs.start(bad, {})
        await until(lambda: jobs.find(job.file_id) is None)
        room.clock.advance(timedelta(seconds=1))
        jobs.look()
        record = await ended(room, jobs, job)
    assert record.reason == "its producer failed after 1 bytes (ValueError)"
    await room.check()


async def test_what_is_not_the_producers_fault_is_not_tried_again(room):
    @producer(retries=5)
    async def long():
        yield bytes(room.settings.file_limit + 1)

    async with room.jobs(at_once=1) as jobs:
        record = await ended(room, jobs, await jobs.start(long, {}))
    assert record.state is FileState.ABANDONED
    await room.check()


# --- stopping -------------------------------------------------------------------------------


async def test_at_the_end_all_runs_have_ended_and_are_left_for_the_next_worker(any_room):
    endless = Endless()
    async with any_room.jobs(endless.producer, at_once=2) as jobs:
        for _ in range(2):
            await begun(any_room, await jobs.start(endless.producer, {}))
        await jobs.start(endless.producer, {})  # waits for its turn
        await jobs.start(endless.producer, {})  # and so does this one
    assert (endless.begun, endless.closed) == (2, 2)
    assert {record.state for record in await any_room.records()} == {FileState.GROWING}
    waiting = await any_room.catalogue.unfinished_jobs()
    assert [(job.worker, job.attempts) for job in waiting] == [(None, 0)] * 4
    await any_room.check()


async def test_the_next_worker_takes_up_what_the_last_one_left(any_room):
    is_second = False

    @producer
    async def patient(text: str):
        yield b"a"
        if not is_second:
            await asyncio.Event().wait()
        yield text.encode()

    async with any_room.jobs(patient, at_once=1) as jobs:
        first = await jobs.start(patient, {"text": "b"})
        second = await jobs.start(patient, {"text": "c"})
        await begun(any_room, first)
    is_second = True
    async with any_room.jobs(patient, at_once=1) as jobs:
        for job, content in ((first, b"ab"), (second, b"ac")):
            assert await any_room.content((await ended(any_room, jobs, job)).blob) == content
    await any_room.check()


async def test_a_run_for_a_reader_ends_with_the_service(room):
    endless = Endless()
    async with room.jobs(at_once=1) as jobs:
        await begun(room, await jobs.start(endless.producer, {}, for_reader=True))
    assert [(record.state, record.reason) for record in await room.records()] == [
        (FileState.ABANDONED, STOPPED)
    ]
    await room.check()


async def test_a_run_may_finish_within_the_grace_time(room):
    may_end = asyncio.Event()

    @producer
    async def waits():
        yield b"x"
        await may_end.wait()
        yield b"y"

    async with asyncio.timeout(30), room.jobs(at_once=1, grace_seconds=3600) as jobs:
        await begun(room, await jobs.start(waits, {}))
        asyncio.get_running_loop().call_soon(may_end.set)
    assert [record.length for record in await room.records()] == [2]
    await room.check()


async def test_a_run_that_outlasts_the_grace_time_is_ended(room):
    endless = Endless()
    async with asyncio.timeout(30), room.jobs(at_once=1, grace_seconds=0.01) as jobs:
        await begun(room, await jobs.start(endless.producer, {}))
    assert endless.closed == 1
    await room.check()


async def test_nothing_is_waited_for_where_nothing_runs(room):
    async with asyncio.timeout(30):
        async with room.jobs(at_once=1, grace_seconds=3600):
            pass
        async with room.jobs(at_once=1, grace_seconds=3600) as jobs:
            await jobs.start(lines, {})
    await room.check()


async def test_an_error_of_the_service_ends_them_as_well(room):
    endless = Endless()

    async def serve():
        async with room.jobs(at_once=1, grace_seconds=3600) as jobs:
            await begun(room, await jobs.start(endless.producer, {}))
            raise ValueError("the service's own")

    async with asyncio.timeout(30):
        with pytest.raises(ValueError, match="the service's own"):
            await serve()
    assert endless.closed == 1
    await room.check()


async def test_no_run_is_started_while_the_service_stops(room):
    endless = Endless()
    jobs = room.jobs(at_once=1)
    async with jobs:
        pass
    with pytest.raises(ServiceBusy, match="stopping"):
        await jobs.start(endless.producer, {})
    assert endless.begun == 0
    await room.check()


# --- workers that are lost ------------------------------------------------------------------


@pytest.mark.parametrize("is_deterministic", [False, True])
async def test_what_a_lost_worker_ran_is_taken_up_when_its_lease_ends(
    any_room, is_deterministic
):
    @producer(deterministic=is_deterministic)
    async def counted(run: Run):
        yield b"%d" % (1 if is_deterministic else run.attempt)
        yield b" end"

    file, _ = await any_room.lost_job(counted, content=b"1", attempts=1)
    async with any_room.jobs(counted, at_once=1) as jobs:
        await pause()
        assert jobs.find(file.id) is None  # it may be alive
        any_room.clock.advance(LEASE)
        jobs.look()
        sealed = await sealed_file(any_room, file)
    content = b"1 end" if is_deterministic else b"2 end"
    assert await any_room.content(sealed.blob) == content
    assert (sealed.blob == file.blob) is is_deterministic
    await any_room.check()


async def test_who_followed_a_lost_attempt_is_cut_and_never_gets_parts_of_two(any_room):
    @producer
    async def counted(run: Run):
        yield b"attempt %d" % run.attempt

    file, _ = await any_room.lost_job(counted, content=b"attempt", attempts=1)
    any_room.clock.advance(LEASE)
    async with any_room.store.open(file.blob) as reader:
        async with any_room.jobs(counted, at_once=1):
            async with asyncio.timeout(30):
                status = await reader.wait_beyond(7)
            assert (status.state, status.length) == (BlobState.ABANDONED, 7)
            await sealed_file(any_room, file)
    await any_room.check()


async def test_a_deterministic_producer_that_was_not_is_made_anew(any_room, caplog):
    @producer(deterministic=True)
    async def liar(run: Run):
        yield b"attempt %d, all of it" % run.attempt

    file, _ = await any_room.lost_job(liar, content=b"attempt 1, all", attempts=1)
    any_room.clock.advance(LEASE)
    async with any_room.jobs(liar, at_once=1):
        sealed = await sealed_file(any_room, file)
    assert await any_room.content(sealed.blob) == b"attempt 2, all of it"
    assert sealed.blob != file.blob
    assert "others than before" in caplog.text
    await any_room.check()


async def test_a_job_whose_writer_lives_is_not_taken_whatever_its_lease(any_room):
    file, writer = await any_room.lost_job(lines, content=b"", attempts=1, lives=True)
    any_room.clock.advance(2 * LEASE)
    async with any_room.jobs(lines, at_once=1) as jobs:
        jobs.look()
        await rounds(50)
        assert jobs.find(file.id) is None
        await writer.release()
        jobs.look()
        await sealed_file(any_room, file)
    await any_room.check()


async def test_a_run_that_is_lost_again_and_again_is_given_up(any_room):
    file, _ = await any_room.lost_job(lines, content=b"", attempts=4)
    any_room.clock.advance(LEASE)
    async with any_room.jobs(lines, at_once=1):
        record = await given_up(any_room, file)
    assert record.reason == "it was begun 4 times and lost each time"
    await any_room.check()


async def test_a_run_for_a_reader_is_not_taken_up_without_him(any_room):
    file, _ = await any_room.lost_job(lines, content=b"", attempts=1, is_for_reader=True)
    any_room.clock.advance(LEASE)
    async with any_room.jobs(lines, at_once=1):
        record = await given_up(any_room, file)
    assert record.reason == LOST_WITH_READER
    await any_room.check()


async def test_a_job_whose_arguments_are_not_taken_any_more_is_given_up(any_room):
    file, _ = await any_room.lost_job(lines, content=b"", attempts=1, arguments='{"size": 1}')
    any_room.clock.advance(LEASE)
    async with any_room.jobs(lines, at_once=1):
        record = await given_up(any_room, file)
    assert "does not take its arguments any more: size" in record.reason
    await any_room.check()


async def test_a_job_of_a_producer_that_is_not_here_is_left_for_others(any_room):
    await any_room.lost_job(lines, content=b"", attempts=0, worker=None)
    async with any_room.jobs(failing, at_once=1) as jobs:
        jobs.look()
        await rounds(50)
        assert len(await any_room.records()) == 1
    await any_room.check()


async def test_two_workers_never_run_one_job(any_room):
    begun_runs = []

    @producer
    async def counted(number: int):
        begun_runs.append(number)
        await asyncio.sleep(0)
        yield b"x"

    async with any_room.jobs(counted, at_once=2) as one, any_room.jobs(counted, at_once=2):
        started = [await one.start(counted, {"number": number}) for number in range(20)]
        for job in started:
            await sealed_file(any_room, job.file)
    assert sorted(begun_runs) == list(range(20))
    await any_room.check()


async def test_a_run_whose_file_ends_elsewhere_is_cancelled_soon(any_room):
    endless = Endless()
    async with any_room.jobs(at_once=1) as jobs:
        job = await jobs.start(endless.producer, {})
        await begun(any_room, job)
        await any_room.catalogue.end_file(
            job.file_id, reason="it was deleted", at=any_room.clock.now
        )
        await any_room.store.remove(job.file.blob)
        async with asyncio.timeout(1):
            while not endless.closed:
                await pause()
    await any_room.check()


# --- cancelled at any step ------------------------------------------------------------------


async def test_whenever_the_service_is_cancelled_every_file_ends_or_waits(
    any_room, cancelled_at_every_step
):
    async def attempt():
        async with any_room.jobs(at_once=1) as jobs:
            await jobs.start(lines, {})
            await jobs.start(Endless().producer, {})
            await rounds(10)
            await jobs.start(lines, {})

    await cancelled_at_every_step(attempt, any_room.check)


async def sealed_file(room, file):
    async with asyncio.timeout(30):
        while (newest := await room.catalogue.find_file(file.id)).state is FileState.GROWING:
            await pause()
    assert newest.state is FileState.SEALED, newest.reason
    return newest


async def given_up(room, file):
    async with asyncio.timeout(30):
        while (newest := await room.catalogue.find_file(file.id)).state is FileState.GROWING:
            await pause()
    assert newest.state is FileState.ABANDONED
    return newest
