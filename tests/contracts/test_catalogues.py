"""What `tailrace.catalogue.contract` promises, as tests; every catalogue must pass all.

A catalogue is one more entry in `ADDRESSES`: a function that returns the URL of an empty
database.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tailrace.blobs import BlobKey
from tailrace.catalogue import (
    Catalogue,
    CredentialRecord,
    FileId,
    FileRecord,
    FileState,
    LinkId,
    LinkRecord,
    Origin,
    UploadRecord,
)
from tailrace.catalogue.sql import open_catalogue
from tailrace.errors import ConfigurationError, FileNotKnown, StorageError

pytestmark = pytest.mark.anyio

ADDRESSES: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda directory: f"sqlite:///{directory / 'catalogue.db'}",
}

NOON = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHA256 = bytes(range(32))


@pytest.fixture(params=sorted(ADDRESSES))
async def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Catalogue]:
    opened = await open_catalogue(ADDRESSES[request.param](tmp_path), durability="crash")
    yield opened
    await opened.close()


def a_file(name: str = "a", **facts: object) -> FileRecord:
    growing = FileRecord(
        id=FileId(f"id-{name}"),
        name=name,
        media_type="text/csv",
        blob=BlobKey(f"blob{name}"),
        state=FileState.GROWING,
        length=None,
        complete_length=None,
        sha256=None,
        origin=Origin.UPLOAD,
        created_at=NOON,
        sealed_at=None,
        expires_at=None,
        ended_at=None,
        reason=None,
    )
    return dataclasses.replace(growing, **facts)


def a_sealed_file(name: str = "a", **facts: object) -> FileRecord:
    sealed = a_file(
        name,
        state=FileState.SEALED,
        length=3,
        complete_length=3,
        sha256=SHA256,
        sealed_at=NOON,
    )
    return dataclasses.replace(sealed, **facts)


def a_link(file: FileRecord, name: str = "l", **facts: object) -> LinkRecord:
    link = LinkRecord(
        id=LinkId(f"{file.id}/{name}"),
        file_id=file.id,
        token_hash=f"hash of {file.id}/{name}".encode(),
        created_at=NOON,
        expires_at=None,
        revoked_at=None,
    )
    return dataclasses.replace(link, **facts)


def an_upload(file: FileRecord, expires_at: datetime | None = None) -> UploadRecord:
    return UploadRecord(
        key_hash=f"hash of key of {file.id}".encode(),
        file_id=file.id,
        created_at=NOON,
        expires_at=expires_at,
        repr_digest=None,
    )


# --- adding and finding -------------------------------------------------------------------


async def test_what_is_added_is_found_as_it_was(catalogue: Catalogue) -> None:
    file = FileRecord(
        id=FileId("f1"),
        name="f.csv",
        media_type="text/csv; charset=utf-8",
        blob=BlobKey("b1"),
        state=FileState.ABANDONED,
        length=1,
        complete_length=2,
        sha256=SHA256,
        origin=Origin.JOB,
        created_at=NOON,
        sealed_at=NOON + HOUR,
        expires_at=NOON + 2 * HOUR,
        ended_at=NOON + 3 * HOUR,
        reason="the producer raised",
        abandoned_at=NOON + 4 * HOUR,
    )
    link = LinkRecord(LinkId("l1"), file.id, b"\0\xff", NOON, NOON + HOUR, NOON + 2 * HOUR)
    upload = UploadRecord(
        b"\xff\0", file.id, NOON, NOON + HOUR, "sha-256=:AAEC:", '[["X", "\u00e4"]]', True
    )
    await catalogue.add_file(file, [link], upload)
    assert await catalogue.find_file(file.id) == file
    assert await catalogue.find_links(file.id) == [link]
    assert await catalogue.find_link(link.token_hash) == (link, file)
    assert catalogue.link_at_hand(link.token_hash) in ((link, file), None)
    assert await catalogue.find_upload(upload.key_hash) == (upload, file)


@pytest.mark.parametrize("state", FileState)
async def test_every_state_is_kept(catalogue: Catalogue, state: FileState) -> None:
    await catalogue.add_file(a_file(state=state), [])
    assert await catalogue.find_file(a_file().id) == a_file(state=state)


@pytest.mark.parametrize("origin", Origin)
async def test_every_origin_is_kept(catalogue: Catalogue, origin: Origin) -> None:
    await catalogue.add_file(a_file(origin=origin), [])
    assert await catalogue.find_file(a_file().id) == a_file(origin=origin)


@pytest.mark.parametrize(
    "name", ["", "naïve 報告書 📦.csv", "'; DROP TABLE files; --", "a%sb:c?d", "a\nb\\"]
)
async def test_a_name_comes_back_sign_for_sign(catalogue: Catalogue, name: str) -> None:
    await catalogue.add_file(a_file(name), [])
    assert await catalogue.find_file(a_file(name).id) == a_file(name)


async def test_lengths_beyond_four_gigabytes_are_kept(catalogue: Catalogue) -> None:
    file = a_file(length=2**63 - 1, complete_length=2**32)
    await catalogue.add_file(file, [])
    assert await catalogue.find_file(file.id) == file


async def test_a_moment_of_another_zone_comes_back_in_utc(catalogue: Catalogue) -> None:
    in_delhi = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    await catalogue.add_file(a_file(created_at=in_delhi), [])
    found = await catalogue.find_file(a_file().id)
    assert found is not None
    assert (found.created_at, found.created_at.tzinfo) == (NOON, UTC)


async def test_a_moment_without_a_zone_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(ValueError, match="time zone"):
        await catalogue.add_file(a_file(created_at=NOON.replace(tzinfo=None)), [])
    assert await catalogue.find_file(a_file().id) is None


async def test_what_is_not_known_is_none(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_file(), [a_link(a_file())], an_upload(a_file()))
    assert await catalogue.find_file(FileId("stranger")) is None
    assert await catalogue.find_link(b"stranger") is None
    assert catalogue.link_at_hand(b"stranger") is None
    assert await catalogue.find_upload(b"stranger") is None
    assert await catalogue.find_links(FileId("stranger")) == []


async def test_a_key_to_write_is_no_token_to_read(catalogue: Catalogue) -> None:
    link, upload = a_link(a_file()), an_upload(a_file())
    await catalogue.add_file(a_file(), [link], upload)
    assert await catalogue.find_link(upload.key_hash) is None
    assert await catalogue.find_upload(link.token_hash) is None


async def test_a_file_is_added_whole_or_not_at_all(catalogue: Catalogue) -> None:
    first, second = a_file("first"), a_file("second")
    taken = a_link(first)
    await catalogue.add_file(first, [taken])
    links = [a_link(second), a_link(second, "double", token_hash=taken.token_hash)]
    with pytest.raises(StorageError):
        await catalogue.add_file(second, links, an_upload(second))
    assert await catalogue.find_file(second.id) is None
    assert await catalogue.find_link(links[0].token_hash) is None
    assert await catalogue.find_link(taken.token_hash) == (taken, first)


async def test_an_id_taken_twice_changes_nothing_of_the_first(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_file(), [])
    with pytest.raises(StorageError):
        await catalogue.add_file(a_file(name="other", id=a_file().id), [])
    assert await catalogue.find_file(a_file().id) == a_file()


# --- links and uploads --------------------------------------------------------------------


async def test_links_are_found_oldest_first(catalogue: Catalogue) -> None:
    file = a_file()
    old, middle, new = (
        a_link(file, n, created_at=NOON + i * HOUR) for i, n in enumerate("zyx")
    )
    await catalogue.add_file(file, [middle])
    await catalogue.add_link(new)
    await catalogue.add_link(old)
    assert await catalogue.find_links(file.id) == [old, middle, new]


async def test_links_are_found_with_their_own_file_only(catalogue: Catalogue) -> None:
    first, second = a_file("first"), a_file("second")
    await catalogue.add_file(first, [a_link(first)])
    await catalogue.add_file(second, [a_link(second)])
    assert await catalogue.find_links(second.id) == [a_link(second)]
    assert await catalogue.find_link(a_link(second).token_hash) == (a_link(second), second)


async def test_a_link_added_later_finds_its_file(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_file(), [])
    await catalogue.add_link(a_link(a_file()))
    assert await catalogue.find_link(a_link(a_file()).token_hash) == (
        a_link(a_file()),
        a_file(),
    )


async def test_a_link_to_an_unknown_file_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(FileNotKnown):
        await catalogue.add_link(a_link(a_file()))
    assert await catalogue.find_link(a_link(a_file()).token_hash) is None


async def test_links_that_have_ended_are_found_as_well(catalogue: Catalogue) -> None:
    # What an ended link means is for others to say.
    file = a_sealed_file(ended_at=NOON, reason="expired")
    link = a_link(file, expires_at=NOON - HOUR, revoked_at=NOON - HOUR)
    await catalogue.add_file(file, [link])
    assert await catalogue.find_link(link.token_hash) == (link, file)


@pytest.mark.parametrize("later", [NOON + HOUR, None])
async def test_an_upload_is_extended(catalogue: Catalogue, later: datetime | None) -> None:
    file, other = a_file("a"), a_file("b")
    await catalogue.add_file(file, [], an_upload(file, NOON))
    await catalogue.add_file(other, [], an_upload(other, NOON))
    await catalogue.extend_upload(an_upload(file).key_hash, later)
    assert await catalogue.find_upload(an_upload(file).key_hash) == (
        an_upload(file, later),
        file,
    )
    assert await catalogue.find_upload(an_upload(other).key_hash) == (
        an_upload(other, NOON),
        other,
    )


async def test_extending_an_unknown_upload_does_nothing(catalogue: Catalogue) -> None:
    await catalogue.extend_upload(b"stranger", NOON)
    assert await catalogue.find_upload(b"stranger") is None


# --- states -------------------------------------------------------------------------------


async def test_a_promised_length_is_noted(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_file("a"), [])
    await catalogue.add_file(a_file("b"), [])
    await catalogue.promise_length(a_file("a").id, 2**40)
    assert await catalogue.find_file(a_file("a").id) == a_file("a", complete_length=2**40)
    assert await catalogue.find_file(a_file("b").id) == a_file("b")


@pytest.mark.parametrize("state", [FileState.SEALED, FileState.ABANDONED])
async def test_of_a_file_that_does_not_grow_no_length_is_promised(
    catalogue: Catalogue, state: FileState
) -> None:
    await catalogue.add_file(a_file(state=state, complete_length=3), [])
    await catalogue.promise_length(a_file().id, 4)
    assert await catalogue.find_file(a_file().id) == a_file(state=state, complete_length=3)


async def test_a_growing_file_is_sealed(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_file("a"), [])
    await catalogue.add_file(a_file("b"), [])
    sealed = await catalogue.seal_file(
        a_file("a").id, length=2**40, sha256=SHA256, sealed_at=NOON + HOUR
    )
    assert sealed == a_file(
        "a",
        state=FileState.SEALED,
        length=2**40,
        complete_length=2**40,
        sha256=SHA256,
        sealed_at=NOON + HOUR,
    )
    assert await catalogue.find_file(a_file("a").id) == sealed
    assert await catalogue.find_file(a_file("b").id) == a_file("b")


async def test_the_time_for_which_a_file_is_kept_begins_with_its_seal(
    catalogue: Catalogue,
) -> None:
    file = a_file(expires_at=NOON + HOUR)
    with_it = a_link(file, "with it", expires_at=NOON + HOUR)
    before_it = a_link(file, "before it", expires_at=NOON + HOUR / 2)
    endless = a_link(file, "endless")
    await catalogue.add_file(file, [with_it, before_it, endless])
    for _ in range(2):  # a repeated call moves nothing
        sealed = await catalogue.seal_file(
            file.id, length=1, sha256=SHA256, sealed_at=NOON + 3 * HOUR
        )
        assert sealed.expires_at == NOON + 4 * HOUR
        ends = {link.id: link.expires_at for link in await catalogue.find_links(file.id)}
        assert ends == {
            with_it.id: NOON + 4 * HOUR,
            before_it.id: NOON + HOUR / 2,
            endless.id: None,
        }


async def test_a_growing_file_is_abandoned(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_file("a"), [])
    await catalogue.add_file(a_file("b"), [])
    abandoned = await catalogue.abandon_file(
        a_file("a").id, reason="the disk was full", at=NOON + HOUR
    )
    assert abandoned == a_file(
        "a", state=FileState.ABANDONED, reason="the disk was full", abandoned_at=NOON + HOUR
    )
    assert await catalogue.find_file(a_file("a").id) == abandoned
    assert await catalogue.find_file(a_file("b").id) == a_file("b")


NO_LONGER_GROWING = [
    pytest.param(a_sealed_file(), id="sealed"),
    pytest.param(
        a_file(state=FileState.ABANDONED, reason="first", abandoned_at=NOON), id="abandoned"
    ),
    pytest.param(a_sealed_file(ended_at=NOON, reason="first"), id="ended"),
]


@pytest.mark.parametrize("file", NO_LONGER_GROWING)
async def test_sealing_what_does_not_grow_changes_nothing(
    catalogue: Catalogue, file: FileRecord
) -> None:
    await catalogue.add_file(file, [])
    again = await catalogue.seal_file(
        file.id, length=9, sha256=bytes(32), sealed_at=NOON + HOUR
    )
    assert again == file
    assert await catalogue.find_file(file.id) == file


@pytest.mark.parametrize("file", NO_LONGER_GROWING)
async def test_abandoning_what_does_not_grow_changes_nothing(
    catalogue: Catalogue, file: FileRecord
) -> None:
    await catalogue.add_file(file, [])
    assert await catalogue.abandon_file(file.id, reason="second", at=NOON + HOUR) == file
    assert await catalogue.find_file(file.id) == file


async def test_of_a_seal_and_an_abandonment_at_once_one_wins(catalogue: Catalogue) -> None:
    for name in map(str, range(20)):
        await catalogue.add_file(a_file(name), [])
        file_id = a_file(name).id
        answers = await asyncio.gather(
            catalogue.seal_file(file_id, length=3, sha256=SHA256, sealed_at=NOON),
            catalogue.abandon_file(file_id, reason="left", at=NOON),
        )
        assert answers[0] == answers[1]
        assert answers[0] in (
            a_sealed_file(name),
            a_file(name, state=FileState.ABANDONED, reason="left", abandoned_at=NOON),
        )


async def test_a_sealed_file_ends_and_stays_sealed(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_sealed_file("a"), [])
    await catalogue.add_file(a_sealed_file("b"), [])
    ended = await catalogue.end_file(a_file("a").id, reason="deleted", at=NOON + HOUR)
    assert ended == a_sealed_file("a", ended_at=NOON + HOUR, reason="deleted")
    assert await catalogue.find_file(a_file("a").id) == ended
    assert await catalogue.find_file(a_file("b").id) == a_sealed_file("b")


async def test_a_growing_file_that_ends_is_abandoned(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_file(), [])
    ended = await catalogue.end_file(a_file().id, reason="deleted", at=NOON)
    assert ended == a_file(
        state=FileState.ABANDONED, abandoned_at=NOON, ended_at=NOON, reason="deleted"
    )


async def test_an_abandoned_file_that_ends_keeps_its_reason(catalogue: Catalogue) -> None:
    abandoned = a_file(state=FileState.ABANDONED, reason="the disk was full", abandoned_at=NOON)
    await catalogue.add_file(abandoned, [])
    ended = await catalogue.end_file(abandoned.id, reason="expired", at=NOON + HOUR)
    assert ended == dataclasses.replace(abandoned, ended_at=NOON + HOUR)


async def test_a_file_ends_once(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_sealed_file(), [])
    first = await catalogue.end_file(a_file().id, reason="first", at=NOON)
    assert await catalogue.end_file(a_file().id, reason="second", at=NOON + HOUR) == first
    assert await catalogue.find_file(a_file().id) == first


async def test_an_unknown_file_changes_no_state(catalogue: Catalogue) -> None:
    unknown = FileId("stranger")
    with pytest.raises(FileNotKnown):
        await catalogue.seal_file(unknown, length=1, sha256=SHA256, sealed_at=NOON)
    with pytest.raises(FileNotKnown):
        await catalogue.abandon_file(unknown, reason="left", at=NOON)
    with pytest.raises(FileNotKnown):
        await catalogue.end_file(unknown, reason="deleted", at=NOON)
    await catalogue.promise_length(unknown, 1)
    assert await catalogue.find_file(unknown) is None


# --- listing ------------------------------------------------------------------------------


async def test_files_are_listed_newest_first_each_with_its_links(catalogue: Catalogue) -> None:
    old = a_file("old", created_at=NOON - HOUR)
    new = a_sealed_file("new", created_at=NOON + HOUR)
    middle = a_file("middle", state=FileState.ABANDONED)
    links = [a_link(old, n, created_at=NOON + i * HOUR) for i, n in enumerate("zyx")]
    await catalogue.add_file(middle, [])
    await catalogue.add_file(old, list(reversed(links)))
    await catalogue.add_file(new, [a_link(new)])
    assert await catalogue.list_files(limit=10) == [
        (new, [a_link(new)]),
        (middle, []),
        (old, links),
    ]


async def test_files_that_have_ended_are_not_listed(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_sealed_file("ended", ended_at=NOON, reason="deleted"), [])
    await catalogue.add_file(a_file("alive"), [])
    assert await catalogue.list_files(limit=10) == [(a_file("alive"), [])]


async def test_parts_of_files_to_come_are_not_listed(catalogue: Catalogue) -> None:
    part, file = a_file("part"), a_file("file")
    await catalogue.add_file(
        part, [a_link(part)], dataclasses.replace(an_upload(part), is_partial=True)
    )
    await catalogue.add_file(file, [], an_upload(file))
    assert await catalogue.list_files(limit=10) == [(file, [])]
    assert await catalogue.find_file(part.id) == part


async def test_the_limit_counts_files_and_not_links(catalogue: Catalogue) -> None:
    for name in "abc":
        file = a_file(name)
        await catalogue.add_file(file, [a_link(file, n) for n in "xyz"])
    page = await catalogue.list_files(limit=2)
    assert [len(links) for _, links in page] == [3, 3]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_cover_all_files_once_though_moments_are_equal(
    catalogue: Catalogue, limit: int
) -> None:
    for number in range(7):
        moment = NOON + (number // 3) * HOUR
        file = a_file(str(number), created_at=moment)
        await catalogue.add_file(file, [a_link(file)])
    seen: list[FileRecord] = []
    after = None
    while page := await catalogue.list_files(limit=limit, after=after):
        assert len(page) <= limit
        seen += [file for file, _ in page]
        after = seen[-1].id
    assert [file.id for file in seen] == [f"id-{n}" for n in (6, 5, 4, 3, 2, 1, 0)]


async def test_a_page_goes_on_after_a_file_that_has_ended_since(catalogue: Catalogue) -> None:
    old, new = a_file("old", created_at=NOON - HOUR), a_file("new")
    await catalogue.add_file(old, [])
    await catalogue.add_file(new, [])
    await catalogue.end_file(new.id, reason="deleted", at=NOON)
    assert await catalogue.list_files(limit=10, after=new.id) == [(old, [])]


async def test_after_an_unknown_file_there_are_none(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_file(), [])
    assert await catalogue.list_files(limit=10, after=FileId("stranger")) == []


# --- what upkeep asks ---------------------------------------------------------------------


async def test_growing_files_come_with_their_uploads(catalogue: Catalogue) -> None:
    uploaded = a_file("uploaded")
    made = a_file("made", created_at=NOON + HOUR, origin=Origin.JOB)
    await catalogue.add_file(made, [a_link(made, "1"), a_link(made, "2")])
    await catalogue.add_file(uploaded, [a_link(uploaded)], an_upload(uploaded, NOON))
    sealed = a_sealed_file("sealed")
    await catalogue.add_file(sealed, [], an_upload(sealed))
    await catalogue.add_file(a_file("abandoned", state=FileState.ABANDONED), [])
    assert await catalogue.growing_files() == [
        (uploaded, an_upload(uploaded, NOON)),
        (made, None),
    ]


async def test_files_expire_at_the_moment_that_was_set_oldest_first(
    catalogue: Catalogue,
) -> None:
    second = a_sealed_file("2nd", expires_at=NOON)
    first = a_file("1st", state=FileState.ABANDONED, expires_at=NOON - HOUR)
    await catalogue.add_file(second, [])
    await catalogue.add_file(first, [])
    await catalogue.add_file(
        a_sealed_file("later", expires_at=NOON + timedelta(microseconds=1)), []
    )
    await catalogue.add_file(a_sealed_file("never"), [])
    await catalogue.add_file(a_file("growing", expires_at=NOON - HOUR), [])
    await catalogue.add_file(
        a_sealed_file("ended", expires_at=NOON - HOUR, ended_at=NOON, reason="deleted"), []
    )
    assert await catalogue.expired_files(NOON, limit=10) == [first, second]
    assert await catalogue.expired_files(NOON, limit=1) == [first]


async def test_a_moment_on_the_whole_second_is_in_order(catalogue: Catalogue) -> None:
    whole = NOON.replace(microsecond=0)
    file = a_sealed_file(expires_at=whole)
    await catalogue.add_file(file, [])
    assert await catalogue.expired_files(whole, limit=1) == [file]
    assert await catalogue.expired_files(whole - timedelta(microseconds=1), limit=1) == []


async def test_only_the_blobs_of_living_files_are_known(catalogue: Catalogue) -> None:
    growing, sealed = a_file("growing"), a_sealed_file("sealed")
    ended = a_sealed_file("ended", ended_at=NOON, reason="deleted")
    abandoned = a_file("abandoned", state=FileState.ABANDONED)
    unasked = a_file("unasked")
    for file in (growing, sealed, ended, abandoned, unasked):
        await catalogue.add_file(file, [])
    keys = [growing.blob, sealed.blob, ended.blob, abandoned.blob, "stranger"]
    assert await catalogue.known_blobs(keys) == {growing.blob, sealed.blob}


async def test_of_no_keys_none_is_known(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_file(), [])
    assert await catalogue.known_blobs([]) == frozenset()


async def test_any_number_of_keys_may_be_asked_for(catalogue: Catalogue) -> None:
    await catalogue.add_file(a_file("first"), [])
    await catalogue.add_file(a_file("last"), [])
    strangers = [f"stranger{number}" for number in range(40_000)]
    keys = [a_file("first").blob, *strangers, a_file("last").blob]
    assert await catalogue.known_blobs(keys) == {keys[0], keys[-1]}


async def test_ended_files_are_forgotten_with_all_that_hangs_on_them(
    catalogue: Catalogue,
) -> None:
    ended = a_sealed_file("ended", ended_at=NOON - HOUR, reason="deleted")
    alive = a_file("alive")
    for file in (ended, alive):
        await catalogue.add_file(file, [a_link(file)], an_upload(file))
    assert await catalogue.forget_files(NOON, limit=10) == 1
    assert await catalogue.find_file(ended.id) is None
    assert await catalogue.find_link(a_link(ended).token_hash) is None
    assert await catalogue.find_links(ended.id) == []
    assert await catalogue.find_upload(an_upload(ended).key_hash) is None
    assert await catalogue.find_link(a_link(alive).token_hash) == (a_link(alive), alive)
    assert await catalogue.find_upload(an_upload(alive).key_hash) == (an_upload(alive), alive)


async def test_a_forgotten_file_leaves_its_names_free(catalogue: Catalogue) -> None:
    file = a_sealed_file(ended_at=NOON - HOUR, reason="deleted")
    await catalogue.add_file(file, [a_link(file)], an_upload(file))
    await catalogue.forget_files(NOON, limit=10)
    await catalogue.add_file(file, [a_link(file)], an_upload(file))
    assert await catalogue.find_link(a_link(file).token_hash) == (a_link(file), file)


async def test_files_that_ended_at_the_moment_or_after_are_remembered(
    catalogue: Catalogue,
) -> None:
    await catalogue.add_file(a_sealed_file("then", ended_at=NOON, reason="deleted"), [])
    await catalogue.add_file(a_sealed_file("alive", created_at=NOON - HOUR), [])
    assert await catalogue.forget_files(NOON, limit=10) == 0
    assert await catalogue.find_file(a_file("then").id) is not None


async def test_at_most_limit_files_are_forgotten_at_once(catalogue: Catalogue) -> None:
    for name in "abc":
        await catalogue.add_file(a_sealed_file(name, ended_at=NOON, reason="x"), [])
    later = NOON + HOUR
    assert [await catalogue.forget_files(later, limit=2) for _ in range(3)] == [2, 1, 0]


# --- credentials --------------------------------------------------------------------------


async def test_credentials_are_kept(catalogue: Catalogue) -> None:
    assert await catalogue.credentials() == []
    laptop = CredentialRecord("laptop", b"\0one", NOON)
    robot = CredentialRecord("robot", b"\0two", NOON + HOUR)
    await catalogue.add_credential(robot)
    await catalogue.add_credential(laptop)
    assert await catalogue.credentials() == [laptop, robot]


async def test_a_name_of_a_credential_is_taken_once(catalogue: Catalogue) -> None:
    first = CredentialRecord("laptop", b"one", NOON)
    await catalogue.add_credential(first)
    with pytest.raises(ConfigurationError, match="'laptop'"):
        await catalogue.add_credential(CredentialRecord("laptop", b"two", NOON))
    assert await catalogue.credentials() == [first]


# --- the whole ----------------------------------------------------------------------------


async def test_calls_at_once_are_all_answered(catalogue: Catalogue) -> None:
    files = [a_file(str(number)) for number in range(50)]
    await asyncio.gather(*(catalogue.add_file(file, [a_link(file)]) for file in files))
    found = await asyncio.gather(
        *(catalogue.find_link(a_link(file).token_hash) for file in files)
    )
    assert found == [(a_link(file), file) for file in files]


async def test_a_cancelled_call_is_kept_whole_or_not_at_all(catalogue: Catalogue) -> None:
    files = [a_file(str(number)) for number in range(30)]
    for turns, file in enumerate(files):
        call = asyncio.ensure_future(catalogue.add_file(file, [a_link(file)], an_upload(file)))
        for _ in range(turns % 6):  # so that it is cancelled before, while and after it runs
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
    later = a_file("later")
    await catalogue.add_file(later, [])
    assert await catalogue.find_file(later.id) == later
    for file in files:
        parts = [
            await catalogue.find_file(file.id),
            await catalogue.find_link(a_link(file).token_hash),
            await catalogue.find_upload(an_upload(file).key_hash),
        ]
        assert all(parts) or not any(parts)


async def test_what_was_answered_is_there_when_it_is_opened_again(
    catalogue: Catalogue, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    await catalogue.add_file(a_file(), [a_link(a_file())])
    await catalogue.close()
    address = ADDRESSES[request.node.callspec.params["catalogue"]](tmp_path)
    again = await open_catalogue(address, durability="crash")
    assert await again.find_link(a_link(a_file()).token_hash) == (a_link(a_file()), a_file())
    await again.close()


async def test_closing_twice_is_closing_once(catalogue: Catalogue) -> None:
    await catalogue.close()
    await catalogue.close()
