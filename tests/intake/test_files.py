"""Files that are being written: blob, record and link agree, however it goes."""

import asyncio
import hashlib
from datetime import timedelta

import pytest

from tailrace.blobs import BlobState
from tailrace.catalogue import FileState, Origin, UploadRecord
from tailrace.errors import (
    BlobAbandoned,
    BlobBusy,
    BlobMissing,
    FileEnded,
    LengthExceeded,
    LengthMismatch,
    StorageUnavailable,
)
from tailrace.intake.reasons import failure_reason

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


async def begin(room, **given):
    facts = {"name": "a.txt", "media_type": "text/plain", "origin": Origin.JOB}
    return await room.files.begin(**facts | given)


def resumable(room):
    """Say of an upload that it can be resumed."""

    def upload(file_id):
        return UploadRecord(
            key_hash=f"hash of {file_id}".encode(),
            file_id=file_id,
            created_at=room.clock.now,
            expires_at=room.clock.now + HOUR,
            repr_digest=None,
        )

    return upload


async def source(*chunks):
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


# --- beginning ------------------------------------------------------------------------------


async def test_a_file_has_its_blob_its_record_and_its_link_from_the_first_moment(any_room):
    file = await begin(any_room, complete_length=7)
    assert await any_room.records() == [file.record]
    assert (file.record.state, file.record.complete_length) == (FileState.GROWING, 7)
    assert (await any_room.store.status(file.record.blob)).state is BlobState.GROWING
    found = await any_room.catalogue.find_link(file.link.token_hash)
    assert found == (file.link, file.record)
    await file.abandon("the test is over")


@pytest.mark.parametrize("keep", [HOUR, None])
async def test_a_file_and_its_link_live_as_long_as_the_settings_say(room, make_settings, keep):
    room.settings = make_settings(keep_files=keep)
    file = await begin(room)
    expected = None if keep is None else room.clock.now + keep
    assert (file.record.expires_at, file.link.expires_at) == (expected, expected)
    await file.abandon("the test is over")


async def test_no_two_files_share_an_id_a_blob_or_a_link(room):
    files = [await begin(room) for _ in range(20)]
    for facts in (
        {file.record.id for file in files},
        {file.record.blob for file in files},
        {file.link.token_hash for file in files},
    ):
        assert len(facts) == 20
    for file in files:
        await file.abandon("the test is over")


async def test_a_promise_of_the_limit_is_taken_and_one_of_more_refused_at_once(room):
    file = await begin(room, complete_length=room.settings.file_limit)
    await file.abandon("the test is over")
    with pytest.raises(LengthExceeded) as refusal:
        await begin(room, complete_length=room.settings.file_limit + 1)
    assert (refusal.value.limit, refusal.value.received) == (1000, 1001)
    assert await room.records() == [file.record]


async def test_a_blob_whose_record_cannot_be_made_is_freed(any_room):
    any_room.break_catalogue("INSERT ON links")
    with pytest.raises(StorageUnavailable):
        await begin(any_room)
    assert await any_room.records() == []
    await any_room.check()


# --- filling --------------------------------------------------------------------------------


@pytest.mark.parametrize(("promised", "limit"), [(None, 1000), (5, 5), (1000, 1000)])
async def test_a_file_takes_as_much_as_was_promised_or_as_the_limit(room, promised, limit):
    file = await begin(room, complete_length=promised)
    with pytest.raises(LengthExceeded) as refusal:
        await file.fill(source(bytes(limit), b"x"))
    assert refusal.value.limit == limit
    assert file.length == limit
    await file.abandon("the test is over")


# --- promising ------------------------------------------------------------------------------


async def test_a_promise_is_noted_and_may_be_repeated(room):
    file = await begin(room)
    await file.fill(source(b"abc"))
    await file.promise(3)
    await file.promise(3)
    assert file.record.complete_length == 3
    assert [record.complete_length for record in await room.records()] == [3]
    await file.seal()


async def test_another_promise_contradicts_the_first(room):
    file = await begin(room, complete_length=4)
    with pytest.raises(LengthMismatch) as refusal:
        await file.promise(5)
    assert (refusal.value.expected, refusal.value.received) == (4, 5)
    await file.abandon("the test is over")


@pytest.mark.parametrize(
    ("promised", "error"), [(1001, LengthExceeded), (2, LengthMismatch), (0, LengthMismatch)]
)
async def test_a_promise_over_the_limit_or_below_the_length_is_not_noted(room, promised, error):
    file = await begin(room)
    await file.fill(source(b"abc"))
    with pytest.raises(error):
        await file.promise(promised)
    assert [record.complete_length for record in await room.records()] == [None]
    await file.abandon("the test is over")


async def test_the_refusal_of_a_promise_below_the_length_names_both_in_order(room):
    file = await begin(room)
    await file.fill(source(b"abc"))
    with pytest.raises(LengthMismatch) as refusal:
        await file.promise(2)
    assert (refusal.value.expected, refusal.value.received) == (2, 3)
    await file.abandon("the test is over")


# --- sealing --------------------------------------------------------------------------------


async def test_a_sealed_file_has_its_length_and_its_digest(any_room):
    file = await begin(any_room, complete_length=5)
    await file.fill(source(b"abc", b"de"))
    any_room.clock.advance(HOUR)
    record = await file.seal()
    assert [record] == await any_room.records()
    assert record.sha256 == hashlib.sha256(b"abcde").digest()
    assert (record.state, record.length) == (FileState.SEALED, 5)
    assert record.sealed_at == any_room.clock.now
    assert await any_room.content(record.blob) == b"abcde"
    await any_room.check()


@pytest.mark.parametrize("chunks", [[], [b"ab"]])
async def test_a_file_shorter_than_promised_is_not_sealed_and_goes_on_growing(room, chunks):
    file = await begin(room, complete_length=3)
    await file.fill(source(*chunks))
    with pytest.raises(LengthMismatch) as refusal:
        await file.seal()
    assert (refusal.value.expected, refusal.value.received) == (3, len(b"".join(chunks)))
    await file.fill(source(b"abc"[file.length :]))
    assert (await file.seal()).state is FileState.SEALED
    await room.check()


async def test_digests_are_of_all_there_is(any_room):
    file = await begin(any_room)
    await file.fill(source(b"abc"))
    assert await file.digest("sha-256") == hashlib.sha256(b"abc").digest()
    assert await file.digest("sha-512") == hashlib.sha512(b"abc").digest()
    await file.fill(source(b"de"))
    assert await file.digest("sha-512") == hashlib.sha512(b"abcde").digest()
    assert await file.digest("sha-256") == hashlib.sha256(b"abcde").digest()
    await file.seal()


async def test_where_no_digest_is_kept_each_is_computed_when_it_is_asked_for(
    any_room, make_settings
):
    any_room.settings = make_settings(digest=None)
    file = await begin(any_room)
    await file.fill(source(b"abc"))
    assert await file.digest("sha-256") == hashlib.sha256(b"abc").digest()
    assert (await file.seal()).sha256 is None
    await any_room.check()


@pytest.mark.parametrize("bytes_go_first", [False, True])
async def test_a_file_that_was_deleted_meanwhile_is_not_sealed(any_room, bytes_go_first):
    file = await begin(any_room)
    await file.fill(source(b"abc"))
    await any_room.catalogue.end_file(
        file.record.id, reason="it was deleted", at=any_room.clock.now
    )
    if bytes_go_first:
        await any_room.store.remove(file.record.blob)
    with pytest.raises(BlobAbandoned if bytes_go_first else FileEnded):
        await file.seal()
    await file.abandon("the test is over")
    await any_room.store.remove(file.record.blob)
    record = await any_room.catalogue.find_file(file.record.id)
    assert (record.state, record.reason) == (FileState.ABANDONED, "it was deleted")
    await any_room.check()


# --- abandoning and releasing ---------------------------------------------------------------


async def test_an_abandoned_file_has_its_reason_and_no_bytes(any_room):
    file = await begin(any_room)
    await file.fill(source(b"abc"))
    async with any_room.store.open(file.record.blob) as reader:
        await file.abandon("first")
        await file.abandon("second")
        assert reader.status.state is BlobState.ABANDONED
    assert [(record.state, record.reason) for record in await any_room.records()] == [
        (FileState.ABANDONED, "first")
    ]
    await any_room.check()


async def test_the_reason_is_known_before_the_bytes_go(room):
    file = await begin(room)
    async with room.store.open(file.record.blob) as reader:

        async def follow():
            await reader.wait_beyond(0)
            return await room.catalogue.find_file(file.record.id)

        following = asyncio.create_task(follow())
        await asyncio.sleep(0)
        await file.abandon("the reason")
        assert (await following).reason == "the reason"


async def test_a_sealed_file_cannot_be_abandoned(any_room):
    file = await begin(any_room)
    await file.fill(source(b"abc"))
    sealed = await file.seal()
    await file.abandon("too late")
    assert await any_room.records() == [sealed]
    await any_room.check()


@pytest.mark.parametrize("end", ["abandon", "seal"])
async def test_where_the_catalogue_fails_the_writer_is_let_go_all_the_same(any_room, end):
    file = await begin(any_room, upload=resumable(any_room))
    any_room.break_catalogue()
    if end == "seal":
        with pytest.raises(StorageUnavailable):
            await file.seal()
    with pytest.raises(StorageUnavailable):
        await file.abandon("the reason")
    any_room.repair_catalogue()
    if end == "seal":
        assert (await any_room.store.status(file.record.blob)).state is BlobState.SEALED
    else:
        await any_room.check()


async def test_a_released_file_can_be_gone_on_with(any_room):
    first = await begin(any_room, upload=resumable(any_room))
    await first.fill(source(b"abc"))
    await first.release()
    await any_room.check()
    second = await any_room.files.resume(first.record)
    assert (second.record, second.link, second.length) == (first.record, first.link, 3)
    await second.fill(source(b"de"))
    record = await second.seal()
    assert record.sha256 == hashlib.sha256(b"abcde").digest()
    await any_room.check()


async def test_a_file_that_somebody_else_writes_cannot_be_resumed(any_room):
    file = await begin(any_room)
    with pytest.raises(BlobBusy):
        await any_room.files.resume(file.record)
    await file.abandon("the test is over")
    with pytest.raises(BlobMissing):
        await any_room.files.resume(file.record)


async def test_who_resumes_keeps_to_what_another_promised_meanwhile(room):
    file = await begin(room, upload=resumable(room))
    before = file.record
    await file.promise(3)
    await file.release()
    resumed = await room.files.resume(before)
    assert resumed.record.complete_length == 3
    with pytest.raises(LengthMismatch):
        await resumed.promise(4)
    await resumed.release()


async def test_a_file_that_was_given_up_meanwhile_is_not_resumed_and_not_held(any_room):
    file = await begin(any_room)
    before = file.record
    await file.release()
    await any_room.catalogue.abandon_file(
        before.id, reason="it was deleted", at=any_room.clock.now
    )
    with pytest.raises(FileEnded):
        await any_room.files.resume(before)
    writer = await any_room.store.resume(before.blob)
    await writer.abandon()


# --- those who are writing ------------------------------------------------------------------


async def is_waiting(task):
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


@pytest.mark.parametrize("end", ["seal", "abandon", "release"])
async def test_who_waits_for_the_writers_waits_for_the_last_of_them(any_room, end):
    first = await begin(any_room)
    second = await begin(any_room)
    waiting = asyncio.create_task(any_room.writers.ended())
    assert await is_waiting(waiting)
    await first.abandon("the test is over")
    assert await is_waiting(waiting)
    await (second.abandon("the test is over") if end == "abandon" else getattr(second, end)())
    async with asyncio.timeout(30):
        await waiting


async def test_who_begins_or_resumes_is_a_writer_and_who_fails_to_is_none(any_room):
    file = await begin(any_room)
    with pytest.raises(BlobBusy):
        await any_room.files.resume(file.record)
    await file.release()
    async with asyncio.timeout(30):
        await any_room.writers.ended()
    resumed = await any_room.files.resume(file.record)
    await file.release()  # once more, by who was there before
    waiting = asyncio.create_task(any_room.writers.ended())
    assert await is_waiting(waiting)
    await resumed.abandon("the test is over")
    async with asyncio.timeout(30):
        await waiting


# --- cancellation ---------------------------------------------------------------------------


async def test_whenever_a_whole_file_is_cancelled_it_is_sealed_or_abandoned(
    any_room, cancelled_at_every_step
):
    async def attempt():
        any_room.clock.advance(HOUR)
        file = await begin(any_room, complete_length=5)
        try:
            await file.fill(source(b"abc", b"de"))
            await file.seal()
        except BaseException as exc:
            await file.abandon(failure_reason(exc, file.length))
            raise

    await cancelled_at_every_step(attempt, any_room.check)
    states = [record.state for record in await any_room.records()]
    assert states[-1] is FileState.SEALED
    assert FileState.ABANDONED in states
    assert FileState.GROWING not in states


async def test_whenever_a_part_of_a_file_is_cancelled_it_can_be_gone_on_with(
    any_room, cancelled_at_every_step
):
    async def attempt():
        any_room.clock.advance(timedelta(seconds=1))
        file = await begin(any_room, upload=resumable(any_room))
        try:
            await file.fill(source(b"abc", b"de"))
            await file.promise(7)
        finally:
            await file.release()
        file = await any_room.files.resume(file.record)
        try:
            await file.fill(source(b"fg"))
            await file.sync()
        finally:
            await file.release()

    await cancelled_at_every_step(attempt, any_room.check)
    record = (await any_room.records())[-1]
    assert await any_room.content(record.blob) == b"abcdefg"


# --- reasons --------------------------------------------------------------------------------


# --- the digest, for those who follow -------------------------------------------------------


async def test_who_follows_a_file_to_its_seal_learns_its_digest_once_it_is_recorded(any_room):
    files = any_room.files
    file = await files.begin(name="a.txt", media_type="text/plain", origin=Origin.JOB)
    await file.fill(source(b"content"))

    async def follow():
        async with any_room.store.open(file.record.blob) as reader:
            await reader.wait_beyond(7)
            sha256 = await files.sha256(file.record)
            recorded = await any_room.catalogue.find_file(file.record.id)
            return sha256, recorded.state

    followers = [asyncio.create_task(follow()) for _ in range(3)]
    await asyncio.sleep(0)
    followers[0].cancel()  # which is nothing to the others
    await file.seal()
    expected = hashlib.sha256(b"content").digest(), FileState.SEALED
    assert await asyncio.gather(*followers[1:]) == [expected] * 2


async def test_the_digest_of_a_file_that_was_sealed_before_is_that_of_its_record(any_room):
    file = await begin(any_room)
    await file.fill(source(b"content"))
    await file.seal()
    digest = hashlib.sha256(b"content").digest()
    assert await any_room.files.sha256(file.record) == digest


async def test_a_file_that_was_given_up_has_no_digest(any_room):
    file = await begin(any_room)
    await file.abandon("no more")
    assert await any_room.files.sha256(file.record) is None
