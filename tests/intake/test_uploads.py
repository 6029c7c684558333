"""Uploads: commands of any dialect, carried out."""

import asyncio
import base64
import contextlib
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
    ContentDigestMismatch,
    DigestMismatch,
    FileEnded,
    LengthExceeded,
    LengthMismatch,
    OffsetMismatch,
    PartNotReady,
    StorageFull,
    StorageUnavailable,
    UploadComplete,
    UploadEnded,
    UploadNotKnown,
)
from tailrace.intake.progress import Upload
from tailrace.protocol.uploads import Append, Concatenate, ContentDigest, Create

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


async def grown_beyond(room, upload, length):
    async with room.store.open(upload.file.blob) as reader:
        await reader.wait_beyond(length)


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


@given(
    appends=st.lists(
        st.tuples(
            st.booleans(),
            st.integers(0, 4),
            st.sampled_from(["kept", "cut", "verified", "wrong"]),
        ),
        max_size=6,
    )
)
@hypothesis_settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_an_upload_agrees_with_its_model_whatever_dialect_its_requests_are_in(
    room, appends
):
    """In one dialect the length is the end, in the other only a word is."""
    model = b""
    upload = await room.uploads.create(beginning(complete_length=8), content())
    for ends_at_length, length, outcome in appends:
        rest = WHOLE[len(model) : len(model) + length]
        digests = {"verified": digest_of(rest), "wrong": digest_of(rest + b"!")}
        command = appending(
            len(model), ends_at_length=ends_at_length, content_digests=digests.get(outcome, ())
        )
        sent = cut(rest) if outcome == "cut" else content(rest)
        is_complete = ends_at_length and outcome in ("kept", "verified")
        with contextlib.suppress(ClientDisconnected, ContentDigestMismatch):
            await room.uploads.append(upload.key, command, sent)
            assert outcome in ("kept", "verified")
        model += b"" if outcome == "wrong" else rest
        got = await room.uploads.get(upload.key)
        assert got.progress.offset == len(model)
        assert got.progress.is_complete is (is_complete and model == WHOLE)
        if got.progress.is_complete:
            break
    ended = await room.uploads.append(
        upload.key,
        appending(len(model), is_complete=True, content_length=8 - len(model)),
        content(WHOLE[len(model) :]),
    )
    assert ended.progress.is_complete
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
    await grown_beyond(any_room, upload, 4)
    with pytest.raises(OffsetMismatch):
        await any_room.uploads.append(upload.key, appending(3), content(b"XY"))
    slow.may_end.set()
    assert (await first).progress.offset == 5
    await any_room.uploads.append(upload.key, appending(5, is_complete=True), content(b"f"))
    assert await any_room.content(upload.file.blob) == b"abcdef"
    await any_room.check()


async def test_a_second_writer_is_refused_while_the_first_sends(any_room):
    any_room.patience(20)
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    is_enough = asyncio.Event()

    async def trickling():
        while not is_enough.is_set():
            yield b"d"
            await asyncio.sleep(0.001)

    first = asyncio.create_task(any_room.uploads.append(upload.key, appending(3), trickling()))
    await grown_beyond(any_room, upload, 3)
    for _ in range(3):
        length = await any_room.length(upload.file.blob)
        with pytest.raises((BlobBusy, OffsetMismatch)):
            await any_room.uploads.append(upload.key, appending(length), content(b"XY"))
    is_enough.set()
    offset = (await first).progress.offset
    assert await any_room.content(upload.file.blob) == b"abc" + b"d" * (offset - 3)
    await any_room.check()


async def test_a_writer_that_is_silent_is_ended_for_the_next_at_its_offset(any_room):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    slow = Slow()
    first = asyncio.create_task(any_room.uploads.append(upload.key, appending(3), slow))
    await slow.has_begun.wait()
    second = await any_room.uploads.append(
        upload.key, appending(3, is_complete=True), content(b"de")
    )
    assert (second.progress.offset, second.progress.is_complete) == (5, True)
    with pytest.raises(BlobBusy, match="taken this upload over"):
        await first
    await any_room.check()


async def test_whoever_asks_for_the_offset_ends_the_writer_and_may_go_on(any_room):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    slow = Slow(b"de")
    first = asyncio.create_task(any_room.uploads.append(upload.key, appending(3), slow))
    await slow.has_begun.wait()
    await grown_beyond(any_room, upload, 4)
    assert (await any_room.uploads.get(upload.key)).progress.offset == 5
    with pytest.raises(BlobBusy, match="taken this upload over"):
        await first
    await any_room.uploads.append(upload.key, appending(5, is_complete=True), content(b"f"))
    assert await any_room.content(upload.file.blob) == b"abcdef"
    await any_room.check()


async def test_whoever_only_looks_ends_nobody(any_room):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    slow = Slow()
    first = asyncio.create_task(any_room.uploads.append(upload.key, appending(3), slow))
    await slow.has_begun.wait()
    assert (await any_room.uploads.look(upload.key)).progress.offset == 3
    slow.may_end.set()
    assert (await first).progress.offset == 3


async def test_whoever_only_looks_leaves_the_right_to_write_to_whoever_has_it(any_room):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    elsewhere = await any_room.store.resume(upload.file.blob)
    assert (await any_room.uploads.look(upload.key)).progress.offset == 3
    await elsewhere.release()


async def test_no_append_is_refused_because_somebody_looks(any_room):
    upload = await any_room.uploads.create(beginning(), content())
    for offset in range(20):
        *looked, appended = await asyncio.gather(
            *(any_room.uploads.look(upload.key) for _ in range(4)),
            any_room.uploads.append(upload.key, appending(offset), content(b"a")),
        )
        assert appended.progress.offset == offset + 1
        assert {seen.progress.offset for seen in looked} <= {offset, offset + 1}
    await any_room.check()


async def test_whoever_looks_at_what_was_given_up_is_told_so(any_room):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    await any_room.uploads.cancel(upload.key)
    with pytest.raises(UploadEnded):
        await any_room.uploads.look(upload.key)


async def test_on_a_full_disk_the_bytes_of_a_cancelled_upload_make_room_for_its_record(
    any_room, monkeypatch
):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    catalogue = type(any_room.catalogue)
    abandon_file = catalogue.abandon_file

    async def abandon_where_there_is_room(self, *arguments, **facts):
        if [key async for key in any_room.store.keys()]:
            raise StorageFull("there is no room left for the catalogue")
        return await abandon_file(self, *arguments, **facts)

    monkeypatch.setattr(catalogue, "abandon_file", abandon_where_there_is_room)
    await any_room.uploads.cancel(upload.key)
    assert await state(any_room) == (FileState.ABANDONED, "its upload was cancelled")
    await any_room.check()


async def test_a_cancelled_upload_is_read_no_further(any_room):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    slow = Slow()
    first = asyncio.create_task(any_room.uploads.append(upload.key, appending(3), slow))
    await slow.has_begun.wait()
    await any_room.uploads.cancel(upload.key)
    with pytest.raises((BlobBusy, BlobAbandoned)):
        await first
    await any_room.check()


async def test_a_writer_of_another_process_is_left_alone(any_room):
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    elsewhere = await any_room.store.resume(upload.file.blob)
    for asking in (
        any_room.uploads.get(upload.key),
        any_room.uploads.append(upload.key, appending(3), content(b"d")),
    ):
        with pytest.raises(BlobBusy):
            await asking
    await elsewhere.release()


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
        appending(3, ends_at_length=True),
        appending(3, ends_at_length=True, content_length=1),
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


# --- whole at a promised length -------------------------------------------------------------


def part(**facts):
    return beginning(is_partial=True, **facts)


def joining(*uploads, **facts):
    keys = tuple(upload.key for upload in uploads)
    command = Concatenate("whole.txt", None, {}, keys, (("Upload-Concat", "final;..."),))
    return dataclasses.replace(command, **facts)


async def test_an_upload_that_ends_at_its_length_is_sealed_there(any_room):
    upload = await any_room.uploads.create(
        beginning(complete_length=8, ends_at_length=True), content(WHOLE[:3])
    )
    assert not upload.progress.is_complete
    upload = await any_room.uploads.append(
        upload.key, appending(3, ends_at_length=True), content(WHOLE[3:])
    )
    assert upload.progress.is_complete
    await any_room.check()


async def test_an_upload_of_unknown_length_has_no_end(any_room):
    upload = await any_room.uploads.create(beginning(ends_at_length=True), content())
    assert not upload.progress.is_complete
    upload = await any_room.uploads.append(
        upload.key, appending(0, ends_at_length=True), content(b"abc")
    )
    assert not upload.progress.is_complete
    await any_room.check()


async def test_who_takes_the_length_for_the_end_is_right_even_after_a_crash(any_room):
    upload = await any_room.uploads.create(beginning(complete_length=8), content(WHOLE))
    assert not (await any_room.uploads.get(upload.key)).progress.is_complete
    got = await any_room.uploads.get(upload.key, ends_at_length=True)
    assert (got.progress.offset, got.progress.is_complete) == (8, True)
    assert await any_room.uploads.get(upload.key, ends_at_length=True) == got
    await any_room.check()


async def test_a_digest_is_held_also_against_what_ends_when_it_is_asked_for(any_room):
    digests = {"sha-256": bytes(32)}
    upload = await any_room.uploads.create(
        beginning(complete_length=8, digests=digests), content(WHOLE)
    )
    with pytest.raises(DigestMismatch):
        await any_room.uploads.get(upload.key, ends_at_length=True)
    await any_room.check()
    with pytest.raises(UploadEnded):
        await any_room.uploads.get(upload.key)


async def test_a_digest_of_the_whole_may_come_with_the_last_append(any_room):
    for digest, is_right in ((hashlib.sha256(WHOLE).digest(), True), (bytes(32), False)):
        upload = await any_room.uploads.create(beginning(), content(WHOLE[:3]))
        ending = appending(3, is_complete=True, digests={"sha-256": digest})
        if is_right:
            ended = await any_room.uploads.append(upload.key, ending, content(WHOLE[3:]))
            assert ended.progress.is_complete
        else:
            with pytest.raises(DigestMismatch):
                await any_room.uploads.append(upload.key, ending, content(WHOLE[3:]))
        await any_room.check()


# --- content with a digest of its own -------------------------------------------------------


def digest_of(data):
    return (ContentDigest("sha-1", hashlib.sha1(data).digest()),)


async def test_verified_content_is_appended_and_any_other_is_not(any_room):
    upload = await any_room.uploads.create(
        beginning(content_digests=digest_of(b"abc")), content(b"a", b"bc")
    )
    command = appending(3, is_complete=True, content_digests=digest_of(b"defgh"))
    with pytest.raises(ContentDigestMismatch):
        await any_room.uploads.append(upload.key, command, content(b"defgH"))
    await any_room.check()
    assert (await any_room.uploads.get(upload.key)).progress.offset == 3
    with pytest.raises(ClientDisconnected):
        await any_room.uploads.append(upload.key, command, cut(b"def"))
    assert (await any_room.uploads.get(upload.key)).progress.offset == 3
    await any_room.uploads.append(upload.key, command, content(b"def", b"gh"))
    assert await any_room.content(upload.file.blob) == WHOLE
    await any_room.check()


async def test_verified_content_keeps_to_the_promised_length(any_room):
    upload = await any_room.uploads.create(beginning(complete_length=5), content(b"abc"))
    command = appending(3, content_digests=digest_of(b"def"))
    with pytest.raises(LengthExceeded):
        await any_room.uploads.append(upload.key, command, content(b"def"))
    assert (await any_room.uploads.get(upload.key)).progress.offset == 3
    await any_room.check()


# --- joining --------------------------------------------------------------------------------


async def test_parts_are_joined_in_their_order_and_stay(any_room):
    first = await any_room.uploads.create(part(complete_length=3), content(b"abc"))
    second = await any_room.uploads.create(part(complete_length=2), content(b"d"))
    await any_room.uploads.append(second.key, appending(1, ends_at_length=True), content(b"e"))
    for order, whole in (((second, first), b"deabc"), ((first, first), b"abcabc")):
        joined = await any_room.uploads.concatenate(joining(*order))
        assert (joined.progress.offset, joined.progress.is_complete) == (len(whole), True)
        assert joined.progress.notes == (("Upload-Concat", "final;..."),)
        assert await any_room.content(joined.file.blob) == whole
    assert not (await any_room.uploads.get(first.key, ends_at_length=True)).progress.is_complete
    await any_room.check()


async def test_parts_that_were_joined_wait_no_longer_than_a_client_asks_again(any_room):
    first = await any_room.uploads.create(part(complete_length=3), content(b"abc"))
    any_room.clock.advance(timedelta(hours=1))
    joined = await any_room.uploads.concatenate(joining(first))
    any_room.clock.advance(timedelta(minutes=9))
    assert (await any_room.uploads.concatenate(joining(first))).file.length == 3
    any_room.clock.advance(timedelta(minutes=11))
    with pytest.raises(UploadEnded):
        await any_room.uploads.concatenate(joining(first))
    assert await any_room.content(joined.file.blob) == b"abc"


async def test_only_whole_parts_are_joined(any_room):
    unfinished = await any_room.uploads.create(part(complete_length=3), content(b"ab"))
    endless = await any_room.uploads.create(part(), content(b"ab"))
    file = await any_room.uploads.create(beginning(complete_length=2), content(b"ab"))
    for upload in (unfinished, endless, file):
        with pytest.raises(PartNotReady):
            await any_room.uploads.concatenate(joining(upload))
    await any_room.check()


async def test_what_is_joined_keeps_to_the_limit_and_to_its_digest(room):
    long = await room.uploads.create(part(complete_length=600), content(bytes(600)))
    with pytest.raises(LengthExceeded):
        await room.uploads.concatenate(joining(long, long))
    with pytest.raises(DigestMismatch):
        await room.uploads.concatenate(joining(long, digests={"sha-256": bytes(32)}))
    await room.check()


# --- what is told of the end ----------------------------------------------------------------


async def test_the_moment_of_the_end_is_told_and_moves_with_each_append(any_room):
    keep = any_room.settings.keep_uploads
    upload = await any_room.uploads.create(beginning(), content(b"abc"))
    assert upload.progress.expires_at == NOON + keep
    any_room.clock.advance(SECOND)
    got = await any_room.uploads.get(upload.key)
    assert got.progress.expires_at == NOON + keep
    assert got.progress.limits.lifetime == keep - SECOND
    appended = await any_room.uploads.append(upload.key, appending(3), content(b"d"))
    assert appended.progress.expires_at == NOON + SECOND + keep
    ended = await any_room.uploads.append(upload.key, appending(4, is_complete=True), content())
    assert ended.progress.expires_at is None


async def test_a_complete_file_ends_with_its_upload_only_where_that_is_asked_for(any_room):
    upload = await any_room.uploads.create(creation(), content(WHOLE))
    with pytest.raises(UploadComplete):
        await any_room.uploads.cancel(upload.key)
    await any_room.check()
    await any_room.uploads.cancel(upload.key, ends_file=True)
    await any_room.check()
    assert await any_room.records() == []
    with pytest.raises(UploadEnded):
        await any_room.uploads.cancel(upload.key, ends_file=True)


# --- told early -----------------------------------------------------------------------------


async def test_what_is_told_before_its_content_can_be_continued_though_it_was_to_be_all(
    any_room,
):
    told = []

    async def tell(upload):
        told.append(upload)
        assert await any_room.length(upload.file.blob) == 0

    with pytest.raises(ClientDisconnected):
        await any_room.uploads.create(creation(content_length=8), cut(WHOLE[:3]), tell)
    await any_room.check()
    [begun] = told
    assert (await any_room.uploads.get(begun.key)).progress.offset == 3
    ended = await any_room.uploads.append(
        begun.key, appending(3, is_complete=True), content(WHOLE[3:])
    )
    assert ended.progress.is_complete
    await any_room.check()


async def test_what_is_told_early_is_whole_when_its_content_is(any_room):
    async def tell(_):
        pass

    upload = await any_room.uploads.create(creation(), content(WHOLE), tell)
    assert (upload.progress.offset, upload.progress.is_complete) == (8, True)
    await any_room.check()


async def test_who_cannot_be_told_leaves_nothing_that_nobody_can_continue_for_long(any_room):
    async def tell(_):
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await any_room.uploads.create(creation(), content(WHOLE), tell)
    await any_room.check()
