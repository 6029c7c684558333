"""Uploads: commands of any dialect, carried out."""

import asyncio
import base64
import dataclasses
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tailrace.catalogue import FileState, Origin
from tailrace.errors import (
    BlobAbandoned,
    BlobBusy,
    ClientDisconnected,
    DigestMismatch,
    FileEnded,
    LengthExceeded,
    LengthMismatch,
    OffsetMismatch,
    StorageFull,
    StorageUnavailable,
    UploadEnded,
    UploadNotKnown,
)
from tailrace.intake.uploads import Upload
from tailrace.protocol.uploads import Append, Create

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WHOLE = b"abcdefgh"


def creation(**facts):
    """A request whose content is the whole file."""
    command = Create(
        name="a.txt",
        media_type=None,
        complete_length=None,
        is_complete=True,
        content_length=None,
        digests={},
    )
    return dataclasses.replace(command, **facts)


def beginning(**facts):
    """A request that begins a file which is to be continued."""
    return creation(is_complete=False, **facts)


def appending(offset, **facts):
    command = Append(
        offset=offset, complete_length=None, is_complete=False, content_length=None
    )
    return dataclasses.replace(command, **facts)


async def content(*chunks):
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


async def cut(*chunks):
    for chunk in chunks:
        yield chunk
    raise ClientDisconnected("the sender was cut off")


class Slow:
    """Content that comes only when it is let."""

    def __init__(self, *chunks):
        self.has_begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self._chunks = chunks

    async def __aiter__(self):
        self.has_begun.set()
        for chunk in self._chunks:
            yield chunk
        await self.may_end.wait()


async def state(room):
    [record] = await room.records()
    return record.state, record.reason


# --- whole in one request -------------------------------------------------------------------


async def test_what_comes_whole_is_sealed(any_room):
    upload = await any_room.uploads.create(
        creation(content_length=8), content(WHOLE[:3], WHOLE[3:])
    )
    assert upload.file.state is FileState.SEALED
    assert upload.file.origin is Origin.UPLOAD
    assert (upload.progress.offset, upload.progress.is_complete) == (8, True)
    assert upload.progress.limits == any_room.uploads.limits
    assert await any_room.content(upload.file.blob) == WHOLE
    await any_room.check()


@pytest.mark.parametrize("declared", [None, 0])
async def test_an_empty_file_is_a_file(room, declared):
    upload = await room.uploads.create(creation(content_length=declared), content())
    assert (upload.file.length, upload.progress.is_complete) == (0, True)
    assert upload.file.sha256 == hashlib.sha256(b"").digest()
    await room.check()


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("a.csv", None, "text/csv"),
        ("a.csv", "application/octet-stream", "text/csv"),
        ("a.csv", "text/plain;charset=utf-8", "text/plain;charset=utf-8"),
        ("a", None, "application/octet-stream"),
    ],
)
async def test_a_type_that_says_nothing_is_guessed_from_the_name(room, name, given, expected):
    upload = await room.uploads.create(creation(name=name, media_type=given), content())
    assert (upload.file.name, upload.file.media_type) == (name, expected)


async def test_a_file_of_exactly_the_limit_is_taken(room):
    limit = room.settings.file_limit
    for declared in (None, limit):
        upload = await room.uploads.create(
            creation(content_length=declared), content(bytes(limit))
        )
        assert upload.file.length == limit
    await room.check()


async def test_one_byte_over_the_limit_is_refused_before_it_comes_where_it_is_declared(room):
    async def never_asked_for():
        pytest.fail("the content was read")
        yield b""

    limit = room.settings.file_limit
    for command in (
        creation(content_length=limit + 1),
        creation(complete_length=limit + 1),
        beginning(complete_length=limit + 1),
    ):
        with pytest.raises(LengthExceeded) as refusal:
            await room.uploads.create(command, never_asked_for())
        assert (refusal.value.limit, refusal.value.received) == (limit, limit + 1)
    assert await room.records() == []


async def test_one_byte_over_the_limit_that_nobody_declared_is_refused_when_it_comes(room):
    with pytest.raises(LengthExceeded):
        await room.uploads.create(creation(), content(bytes(1000), b"x"))
    assert await state(room) == (FileState.ABANDONED, "at most 1000 bytes are taken here")
    await room.check()


@pytest.mark.parametrize(
    ("source", "error", "reason"),
    [
        (lambda: cut(b"abc"), ClientDisconnected, "its sender was cut off after 3 bytes"),
        (lambda: cut(), ClientDisconnected, "its sender was cut off after 0 bytes"),
        (lambda: content(b"abc"), LengthMismatch, "8 bytes were promised, 3 came"),
        (lambda: content(b"123456789"), LengthExceeded, "at most 8 bytes are taken here"),
    ],
    ids=["cut", "cut at once", "shorter", "longer"],
)
async def test_what_does_not_come_whole_is_given_up(any_room, source, error, reason):
    with pytest.raises(error):
        await any_room.uploads.create(creation(content_length=8), source())
    assert await state(any_room) == (FileState.ABANDONED, reason)
    await any_room.check()


async def test_a_full_store_gives_up_what_must_come_whole_and_keeps_what_can_go_on(room):
    room.store = type(room.store)(limit_bytes=3)
    with pytest.raises(StorageFull):
        await room.uploads.create(creation(), content(WHOLE))
    assert await state(room) == (
        FileState.ABANDONED,
        "there was no room for more than 3 bytes",
    )
    upload = await room.uploads.create(beginning(complete_length=8), content())
    with pytest.raises(StorageFull):
        await room.uploads.append(upload.key, appending(0), content(WHOLE))
    assert (await room.uploads.get(upload.key)).progress.offset == 3
    await room.check()


async def test_where_a_reader_follows_it_sees_each_chunk_as_it_comes(any_room):
    slow = Slow(b"abc")
    creating = asyncio.create_task(any_room.uploads.create(creation(), slow))
    await slow.has_begun.wait()
    [record] = await any_room.records()
    async with asyncio.timeout(30), any_room.store.open(record.blob) as reader:
        assert (await reader.wait_beyond(2)).length == 3
    slow.may_end.set()
    assert (await creating).file.length == 3


# --- digests --------------------------------------------------------------------------------

RIGHT = {
    "sha-256": hashlib.sha256(WHOLE).digest(),
    "sha-512": hashlib.sha512(WHOLE).digest(),
}
WRONG = {"sha-256": bytes(32), "sha-512": bytes(64)}
choices = pytest.mark.parametrize("algorithms", [["sha-256"], ["sha-512"], [*RIGHT]])


@choices
async def test_what_is_as_its_digests_say_is_sealed(any_room, algorithms):
    digests = {algorithm: RIGHT[algorithm] for algorithm in algorithms}
    upload = await any_room.uploads.create(creation(digests=digests), content(WHOLE))
    assert upload.file.state is FileState.SEALED
    begun = await any_room.uploads.create(beginning(digests=digests), content(WHOLE[:3]))
    ended = await any_room.uploads.append(
        begun.key, appending(3, is_complete=True), content(WHOLE[3:])
    )
    assert ended.file.state is FileState.SEALED
    await any_room.check()


@choices
async def test_what_is_not_as_its_digests_say_is_not_kept(any_room, algorithms):
    digests = RIGHT | {algorithms[-1]: WRONG[algorithms[-1]]}
    with pytest.raises(DigestMismatch) as refusal:
        await any_room.uploads.create(creation(digests=digests), content(WHOLE))
    assert refusal.value.algorithm == algorithms[-1]
    assert refusal.value.expected == WRONG[algorithms[-1]].hex()
    assert refusal.value.actual == RIGHT[algorithms[-1]].hex()
    begun = await any_room.uploads.create(beginning(digests=digests), content(WHOLE[:3]))
    with pytest.raises(DigestMismatch):
        await any_room.uploads.append(
            begun.key, appending(3, is_complete=True), content(WHOLE[3:])
        )
    for record in await any_room.records():
        assert record.state is FileState.ABANDONED
        assert record.reason.startswith(f"the {algorithms[-1]} digest is ")
    with pytest.raises(UploadEnded):
        await any_room.uploads.get(begun.key)
    await any_room.check()


async def test_where_no_digest_is_kept_what_a_sender_gives_is_verified(room, make_settings):
    room.settings = make_settings(digest=None)
    upload = await room.uploads.create(creation(digests=RIGHT), content(WHOLE))
    assert (upload.file.state, upload.file.sha256) == (FileState.SEALED, None)
    with pytest.raises(DigestMismatch):
        await room.uploads.create(creation(digests=WRONG), content(WHOLE))
    await room.check()


async def test_digests_are_kept_in_the_words_of_rfc_9530(room):
    begun = await room.uploads.create(beginning(digests=RIGHT), content())
    found, _ = await room.catalogue.find_upload(hashlib.sha256(begun.key.encode()).digest())
    assert found.repr_digest == ", ".join(
        f"{algorithm}=:{base64.b64encode(digest).decode()}:"
        for algorithm, digest in RIGHT.items()
    )


# --- continued ------------------------------------------------------------------------------


async def test_an_upload_goes_on_where_it_was_until_it_is_complete(any_room):
    upload = await any_room.uploads.create(
        beginning(complete_length=8, content_length=2), content(WHOLE[:2])
    )
    assert (upload.progress.offset, upload.progress.is_complete) == (2, False)
    await any_room.check()
    for start, stop in ((2, 3), (3, 8)):
        got = await any_room.uploads.get(upload.key)
        assert (got.key, got.file.id, got.link) == (upload.key, upload.file.id, upload.link)
        assert got.progress.offset == start
        got = await any_room.uploads.append(
            upload.key, appending(start, is_complete=stop == 8), content(WHOLE[start:stop])
        )
        assert isinstance(got, Upload)
        assert (got.progress.offset, got.progress.is_complete) == (stop, stop == 8)
        await any_room.check()
    assert await any_room.content(upload.file.blob) == WHOLE
    assert (await any_room.uploads.get(upload.key)).progress == got.progress


@given(
    begins_with=st.integers(0, len(WHOLE)),
    sent=st.lists(st.integers(0, len(WHOLE)), max_size=4),
    promised=st.sampled_from([None, len(WHOLE)]),
)
@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_however_often_it_is_cut_an_upload_ends_whole(room, begins_with, sent, promised):
    """As a client goes on: ask how much is kept, send what is left of it, be cut off."""
    command = beginning(complete_length=promised, digests=RIGHT)
    upload = await room.uploads.create(command, content(WHOLE[:begins_with]))
    for length in sent:
        offset = (await room.uploads.get(upload.key)).progress.offset
        rest = WHOLE[offset : offset + length]
        with pytest.raises(ClientDisconnected):
            await room.uploads.append(upload.key, appending(offset), cut(rest))
        assert (await room.uploads.get(upload.key)).progress.offset == offset + len(rest)
    offset = (await room.uploads.get(upload.key)).progress.offset
    await room.uploads.append(
        upload.key, appending(offset, is_complete=True), content(WHOLE[offset:])
    )
    assert await room.content(upload.file.blob) == WHOLE
    await room.check()


async def test_a_creation_that_is_cut_keeps_what_came(any_room):
    with pytest.raises(ClientDisconnected):
        await any_room.uploads.create(beginning(), cut(WHOLE[:3]))
    [record] = await any_room.records()
    assert await any_room.content(record.blob) == WHOLE[:3]
    await any_room.check()


@pytest.mark.parametrize("offset", [0, 2, 4, 10**15])
async def test_an_append_elsewhere_than_at_the_end_is_refused_and_changes_nothing(
    any_room, offset
):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    with pytest.raises(OffsetMismatch) as refusal:
        await any_room.uploads.append(
            upload.key,
            appending(offset, is_complete=True, complete_length=5),
            content(b"de"),
        )
    assert (refusal.value.expected, refusal.value.received) == (3, offset)
    got = await any_room.uploads.get(upload.key)
    assert (got.progress.offset, got.progress.complete_length) == (3, None)
    await any_room.check()


async def test_two_writers_at_once_are_one_too_many_and_nothing_is_lost(any_room):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    slow = Slow(b"de")
    first = asyncio.create_task(any_room.uploads.append(upload.key, appending(3), slow))
    await slow.has_begun.wait()
    with pytest.raises(BlobBusy):
        await any_room.uploads.append(upload.key, appending(3), content(b"XY"))
    with pytest.raises(BlobBusy):
        await any_room.uploads.get(upload.key)
    slow.may_end.set()
    assert (await first).progress.offset == 5
    await any_room.uploads.append(upload.key, appending(5, is_complete=True), content(b"f"))
    assert await any_room.content(upload.file.blob) == b"abcdef"
    await any_room.check()


async def test_a_length_can_be_promised_later_but_once(any_room):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    await any_room.uploads.append(upload.key, appending(3, complete_length=5), content())
    with pytest.raises(LengthMismatch):
        await any_room.uploads.append(
            upload.key, appending(3, complete_length=6), content(b"def")
        )
    got = await any_room.uploads.get(upload.key)
    assert (got.progress.offset, got.progress.complete_length) == (3, 5)
    await any_room.check()


async def test_an_end_before_the_promised_length_leaves_the_upload_open(any_room):
    upload = await any_room.uploads.create(beginning(complete_length=5), content(b"abc"))
    with pytest.raises(LengthMismatch):
        await any_room.uploads.append(upload.key, appending(3, is_complete=True), content())
    await any_room.check()
    ended = await any_room.uploads.append(
        upload.key, appending(3, is_complete=True), content(b"de")
    )
    assert ended.file.length == 5
    await any_room.check()


async def test_no_more_is_taken_than_was_promised_and_what_fits_is_kept(any_room):
    upload = await any_room.uploads.create(beginning(complete_length=5), content(b"abc"))
    with pytest.raises(LengthExceeded) as refusal:
        await any_room.uploads.append(upload.key, appending(3), content(b"def"))
    assert refusal.value.limit == 5
    assert (await any_room.uploads.get(upload.key)).progress.offset == 5
    await any_room.check()


async def test_the_limit_holds_over_all_appends(room):
    upload = await room.uploads.create(beginning(), content(bytes(600)))
    with pytest.raises(LengthExceeded):
        await room.uploads.append(upload.key, appending(600), content(bytes(401)))
    assert (await room.uploads.get(upload.key)).progress.offset == 1000


@pytest.mark.parametrize("how", ["whole", "continued"])
async def test_a_repeated_end_is_answered_as_the_first_time(any_room, how):
    if how == "whole":
        first = await any_room.uploads.create(creation(), content(b"abc"))
    else:
        begun = await any_room.uploads.create(beginning(), content(b"abc"))
        first = await any_room.uploads.append(
            begun.key, appending(3, is_complete=True), content()
        )
    again = await any_room.uploads.append(
        first.key, appending(3, is_complete=True, content_length=0), content()
    )
    assert again == first
    await any_room.check()


@pytest.mark.parametrize(
    "command",
    [
        appending(3, is_complete=True, content_length=1),
        appending(3, is_complete=True),
        appending(3, content_length=0),
        appending(2, is_complete=True, content_length=0),
    ],
)
async def test_a_complete_upload_takes_nothing_else(room, command):
    upload = await room.uploads.create(creation(), content(b"abc"))
    with pytest.raises(UploadEnded):
        await room.uploads.append(upload.key, command, content(b"d"))
    assert await room.content(upload.file.blob) == b"abc"


@pytest.mark.parametrize("key", ["", "unknown", "a" * 10_000, "\ud800", "é", "\0"])
async def test_a_key_that_nobody_has_is_not_known(room, key):
    for call in (
        room.uploads.get(key),
        room.uploads.cancel(key),
        room.uploads.append(key, appending(0), content()),
    ):
        with pytest.raises(UploadNotKnown):
            await call


async def test_a_key_has_128_bits_and_is_known_to_the_catalogue_by_its_hash_only(room):
    keys = set()
    for _ in range(5):
        upload = await room.uploads.create(beginning(), content())
        keys.add(upload.key)
        assert len(base64.urlsafe_b64decode(upload.key + "==")) == 16
        assert upload.key.encode() not in room.database.read_bytes()
        assert upload.file.id not in upload.key
    assert len(keys) == 5


# --- ends -----------------------------------------------------------------------------------


async def test_a_cancelled_upload_has_no_bytes_and_takes_no_more(any_room):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    await any_room.uploads.cancel(upload.key)
    assert await state(any_room) == (FileState.ABANDONED, "its upload was cancelled")
    await any_room.check()
    for call in (
        any_room.uploads.get(upload.key),
        any_room.uploads.cancel(upload.key),
        any_room.uploads.append(upload.key, appending(3), content()),
    ):
        with pytest.raises(UploadEnded):
            await call


async def test_a_complete_upload_cannot_be_cancelled(any_room):
    upload = await any_room.uploads.create(creation(), content(b"abc"))
    with pytest.raises(UploadEnded):
        await any_room.uploads.cancel(upload.key)
    assert await any_room.content(upload.file.blob) == b"abc"


@pytest.mark.parametrize("is_complete", [False, True])
@pytest.mark.parametrize("chunks", [[], [b"de"]])
async def test_an_upload_that_is_cancelled_while_it_is_written_is_not_held(
    any_room, chunks, is_complete
):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    slow = Slow()

    async def source():
        async for chunk in slow:
            yield chunk
        for chunk in chunks:
            yield chunk

    command = appending(3, is_complete=is_complete)
    writing = asyncio.create_task(any_room.uploads.append(upload.key, command, source()))
    await slow.has_begun.wait()
    await any_room.uploads.cancel(upload.key)
    slow.may_end.set()
    with pytest.raises((BlobAbandoned, FileEnded)):
        await writing
    assert await state(any_room) == (FileState.ABANDONED, "its upload was cancelled")
    await any_room.check()


async def test_an_upload_ends_when_nothing_came_for_as_long_as_it_is_kept(room):
    keep = room.settings.keep_uploads
    upload = await room.uploads.create(beginning(), content(b"abc"))
    room.clock.advance(keep - SECOND)
    assert (await room.uploads.get(upload.key)).progress.offset == 3
    room.clock.advance(SECOND)
    for call in (
        room.uploads.get(upload.key),
        room.uploads.cancel(upload.key),
        room.uploads.append(upload.key, appending(3), content()),
    ):
        with pytest.raises(UploadEnded):
            await call


@pytest.mark.parametrize("breaks_off", [False, True])
@pytest.mark.parametrize("in_creation", [False, True])
async def test_it_is_kept_from_its_last_byte_on(room, in_creation, breaks_off):
    keep = room.settings.keep_uploads

    async def late():
        room.clock.advance(keep - SECOND)
        yield b"x"
        room.clock.advance(keep)
        if breaks_off:
            raise ClientDisconnected("the sender was cut off")

    key = None
    try:
        if in_creation:
            await room.uploads.create(beginning(), late())
        else:
            key = (await room.uploads.create(beginning(), content())).key
            await room.uploads.append(key, appending(0), late())
    except ClientDisconnected:
        assert breaks_off
    [(_, upload)] = await room.catalogue.growing_files()
    assert upload.expires_at == room.clock.now + keep
    await room.check()


async def test_it_is_kept_from_its_last_byte_on_whenever_it_is_cancelled(
    room, cancelled_at_every_step
):
    async def late():
        yield b"abc"
        await asyncio.sleep(0)
        room.clock.advance(SECOND)
        yield b"def"

    async def attempt():
        await room.uploads.create(beginning(), late())

    async def check():
        for file, upload in await room.catalogue.growing_files():
            if (await room.store.status(file.blob)).length == 6:
                assert upload.expires_at == room.clock.now + room.settings.keep_uploads
            await room.catalogue.end_file(file.id, reason="the test is over", at=NOON)

    await cancelled_at_every_step(attempt, check)


# --- whatever fails -------------------------------------------------------------------------


async def test_where_the_catalogue_fails_no_writer_is_left(any_room):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    for change, call in (
        ("UPDATE ON uploads", any_room.uploads.append(upload.key, appending(3), content())),
        (
            "UPDATE ON files",
            any_room.uploads.append(upload.key, appending(3, complete_length=9), content()),
        ),
        ("INSERT ON uploads", any_room.uploads.create(beginning(), content(b"abc"))),
        ("UPDATE ON files", any_room.uploads.cancel(upload.key)),
    ):
        any_room.break_catalogue(change)
        with pytest.raises(StorageUnavailable):
            await call
        any_room.repair_catalogue()
        await any_room.check()
    assert (await any_room.uploads.get(upload.key)).progress.offset == 3


async def test_whenever_a_whole_upload_is_cancelled_nothing_dangles(
    any_room, cancelled_at_every_step
):
    async def attempt():
        await any_room.uploads.create(creation(digests=RIGHT), content(WHOLE[:3], WHOLE[3:]))

    await cancelled_at_every_step(attempt, any_room.check)
    records = await any_room.records()
    assert {record.state for record in records} == {FileState.SEALED, FileState.ABANDONED}


async def test_whenever_a_continued_upload_is_cancelled_it_can_be_gone_on_with(
    any_room, cancelled_at_every_step
):
    keys = []

    async def attempt():
        upload = await any_room.uploads.create(beginning(), content(b"abc"))
        keys.append(upload.key)
        await any_room.uploads.append(upload.key, appending(3), content(b"de"))
        await any_room.uploads.get(upload.key)

    await cancelled_at_every_step(attempt, any_room.check)
    for key in keys:
        offset = (await any_room.uploads.get(key)).progress.offset
        assert 3 <= offset <= 5


async def test_whenever_an_end_is_cancelled_it_is_reached_or_can_be_repeated(
    any_room, cancelled_at_every_step
):
    keys = []

    async def attempt():
        upload = await any_room.uploads.create(beginning(), content(b"abc"))
        keys.append(upload.key)
        await any_room.uploads.append(
            upload.key, appending(3, is_complete=True), content(b"de")
        )

    await cancelled_at_every_step(attempt, any_room.check)
    for key in keys:
        progress = (await any_room.uploads.get(key)).progress
        if not progress.is_complete:
            await any_room.uploads.append(
                key,
                appending(progress.offset, is_complete=True),
                content(b"abcde"[progress.offset :]),
            )
        assert (await any_room.uploads.get(key)).file.length == 5
    await any_room.check()


async def test_whenever_a_cancel_is_cancelled_record_and_bytes_agree(
    any_room, cancelled_at_every_step
):
    async def attempt():
        upload = await any_room.uploads.create(beginning(), content(b"abc"))
        await any_room.uploads.cancel(upload.key)

    await cancelled_at_every_step(attempt, any_room.check)
    states = {record.state for record in await any_room.records()}
    assert FileState.ABANDONED in states
