"""What `tailrace.intake.jobs.contract` promises, as tests; every queue must pass all.

A queue is one more entry in `QUEUES`: a function that returns the queue of a new worker
among those who share a catalogue.
"""

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tailrace.blobs import BlobKey
from tailrace.catalogue import (
    FileId,
    FileRecord,
    FileState,
    JobRecord,
    LinkId,
    LinkRecord,
    Origin,
)
from tailrace.catalogue.sql import open_catalogue
from tailrace.errors import JobKnown
from tailrace.intake.jobs import Queue
from tailrace.intake.jobs.embedded import LEASE, CatalogueQueue

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
QUEUES: dict[str, Callable[..., Queue]] = {"catalogue": CatalogueQueue}


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def catalogue(tmp_path):
    opened = await open_catalogue(f"sqlite:///{tmp_path / 'c.db'}", durability="crash")
    yield opened
    await opened.close()


@pytest.fixture(params=QUEUES)
def new_queue(request, catalogue, clock):
    return lambda: QUEUES[request.param](catalogue, clock)


@pytest.fixture
def queue(new_queue):
    return new_queue()


def a_file(name):
    return FileRecord(
        id=FileId(name),
        name=name,
        media_type="text/csv",
        blob=BlobKey(f"blob{name}"),
        state=FileState.GROWING,
        length=None,
        complete_length=None,
        sha256=None,
        origin=Origin.JOB,
        created_at=NOON,
        sealed_at=None,
        expires_at=None,
        ended_at=None,
        reason=None,
    )


def a_job(name, **facts):
    job = JobRecord(
        file_id=FileId(name),
        producer="p",
        arguments="{}",
        key_hash=None,
        is_for_reader=False,
        submitted_at=NOON,
        deadline_at=NOON + timedelta(days=1),
        due_at=NOON,
        worker=None,
        attempts=0,
        progress=None,
    )
    return dataclasses.replace(job, **facts)


async def submit(queue, name, *, is_claimed=False, **facts):
    link = LinkRecord(LinkId(name), FileId(name), name.encode(), NOON, None, None)
    await queue.submit(a_file(name), link, a_job(name, **facts), is_claimed=is_claimed)


async def names_due(queue, producers=("p",), limit=10):
    return [file.id for file, _ in await queue.due(producers, limit=limit)]


async def test_workers_have_names_of_their_own(new_queue):
    assert new_queue().worker != new_queue().worker


async def test_what_is_submitted_is_known_to_all_with_its_file(new_queue, catalogue):
    await submit(new_queue(), "a")
    other = new_queue()
    assert list(await other.due(["p"], limit=10)) == [(a_file("a"), a_job("a"))]
    assert await other.find(FileId("a")) == a_job("a")
    assert await other.waiting() == 1
    assert [link.id for link in await catalogue.find_links(FileId("a"))] == ["a"]
    assert await other.find(FileId("b")) is None


async def test_what_is_submitted_as_claimed_is_its_workers_first_attempt(new_queue):
    queue, other = new_queue(), new_queue()
    await submit(queue, "a", is_claimed=True)
    assert await names_due(other) == []
    assert await queue.held() == {"a"}
    assert (await queue.find(FileId("a"))).attempts == 1
    assert await queue.waiting() == 0


async def test_the_longest_due_comes_first_and_only_what_is_asked_for(queue):
    await submit(queue, "late", due_at=NOON)
    await submit(queue, "early", due_at=NOON - SECOND)
    await submit(queue, "later", due_at=NOON + SECOND)
    await submit(queue, "other", producer="q")
    assert await names_due(queue) == ["early", "late"]
    assert await names_due(queue, limit=1) == ["early"]
    assert await names_due(queue, ["q", "r"]) == ["other"]
    assert await names_due(queue, []) == []


async def test_of_several_claims_at_once_one_succeeds(new_queue):
    workers = [new_queue() for _ in range(5)]
    await submit(workers[0], "a")
    claims = await asyncio.gather(*(worker.claim(FileId("a")) for worker in workers))
    [claimed] = [claim for claim in claims if claim is not None]
    [holder] = [worker for worker in workers if await worker.held()]
    assert (claimed.worker, claimed.attempts) == (holder.worker, 1)


async def test_what_is_not_due_cannot_be_claimed(queue):
    await submit(queue, "a", due_at=NOON + SECOND)
    assert await queue.claim(FileId("a")) is None
    assert await queue.claim(FileId("unknown")) is None


async def test_without_a_beat_a_job_is_another_workers_after_a_while(new_queue, clock):
    lost, other = new_queue(), new_queue()
    await submit(lost, "a", is_claimed=True)
    clock.now += LEASE - SECOND
    assert await names_due(other) == []
    clock.now += SECOND
    assert await names_due(other) == ["a"]
    claimed = await other.claim(FileId("a"))
    assert (claimed.worker, claimed.attempts) == (other.worker, 2)
    assert await lost.held() == frozenset()
    assert await lost.beat(["a"], {}) == frozenset()
    assert (await other.find(FileId("a"))).worker == other.worker


async def test_a_beat_keeps_what_runs_and_only_that(new_queue, clock):
    queue, other = new_queue(), new_queue()
    await submit(queue, "runs", is_claimed=True)
    await submit(queue, "forgotten", is_claimed=True)
    clock.now += LEASE - SECOND
    assert await queue.beat([FileId("runs")], {}) == {"runs", "forgotten"}
    clock.now += SECOND
    assert await names_due(other) == ["forgotten"]


async def test_progress_is_kept_for_who_asks(queue):
    await submit(queue, "a", is_claimed=True)
    await queue.beat([FileId("a")], {FileId("a"): '{"done": 1}'})
    assert (await queue.find(FileId("a"))).progress == '{"done": 1}'


async def test_what_is_put_back_is_due_when_it_is_told_to_be(new_queue, clock):
    queue, other = new_queue(), new_queue()
    await submit(queue, "a", is_claimed=True)
    await queue.put_back(FileId("a"), due_at=NOON + SECOND, attempts=7)
    assert await queue.held() == frozenset()
    assert await names_due(other) == []
    clock.now += SECOND
    assert (await other.claim(FileId("a"))).attempts == 8


async def test_only_its_holder_puts_a_job_back(new_queue, clock):
    lost, other = new_queue(), new_queue()
    await submit(lost, "a", is_claimed=True)
    clock.now += LEASE
    claimed = await other.claim(FileId("a"))
    await lost.put_back(FileId("a"), due_at=clock.now, attempts=0)
    assert await other.find(FileId("a")) == claimed


@pytest.mark.parametrize("end", ["seal", "abandon", "delete"])
@pytest.mark.parametrize("is_claimed", [False, True])
async def test_a_job_ends_with_its_file(new_queue, catalogue, clock, end, is_claimed):
    queue = new_queue()
    await submit(queue, "a", is_claimed=is_claimed)
    if end == "seal":
        await catalogue.seal_file(FileId("a"), length=1, sha256=bytes(32), sealed_at=NOON)
    elif end == "abandon":
        await catalogue.abandon_file(FileId("a"), reason="no", at=NOON)
    else:
        await catalogue.end_file(FileId("a"), reason="no", at=NOON)
    assert await queue.held() == frozenset()
    assert await queue.beat([FileId("a")], {}) == frozenset()
    await queue.put_back(FileId("a"), due_at=NOON, attempts=0)
    clock.now += 2 * LEASE
    assert await names_due(new_queue()) == []
    assert await new_queue().claim(FileId("a")) is None
    assert await queue.waiting() == 0


async def test_a_key_stands_for_one_file_until_that_is_given_up(queue, catalogue):
    await submit(queue, "a", key_hash=b"k")
    with pytest.raises(JobKnown) as known:
        await submit(queue, "b", key_hash=b"k")
    assert known.value.file_id == "a"
    assert await catalogue.find_file(FileId("b")) is None
    await submit(queue, "c", key_hash=b"other")
    await catalogue.abandon_file(FileId("a"), reason="no", at=NOON)
    await submit(queue, "b", key_hash=b"k")
    await catalogue.seal_file(FileId("b"), length=1, sha256=bytes(32), sealed_at=NOON)
    with pytest.raises(JobKnown):
        await submit(queue, "d", key_hash=b"k")
