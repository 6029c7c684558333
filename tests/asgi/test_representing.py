import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from tailrace.asgi.representing import Addresses, moment, representation_of
from tailrace.blobs import BlobKey
from tailrace.catalogue import FileId, FileRecord, FileState, Origin

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)

SEALED = FileRecord(
    id=FileId("f1"),
    name="a.txt",
    media_type="text/plain",
    blob=BlobKey("b1"),
    state=FileState.SEALED,
    length=3,
    complete_length=3,
    sha256=bytes(32),
    origin=Origin.JOB,
    created_at=NOON,
    sealed_at=NOON,
    expires_at=None,
    ended_at=None,
    reason=None,
)


@pytest.fixture
def addresses(tailrace):
    return Addresses("http://a/share", tailrace.service)


def test_a_moment_is_told_in_utc_to_the_second():
    """RFC 3339 §5.6."""
    assert moment(NOON + timedelta(microseconds=999_999)) == "2026-06-01T12:00:00Z"
    assert moment(None) is None


def test_the_tag_is_of_the_blob_and_stays_when_it_is_sealed():
    growing = dataclasses.replace(SEALED, state=FileState.GROWING, sealed_at=None, sha256=None)
    tags = [representation_of(file, download=False).validators for file in (growing, SEALED)]
    assert tags[0].entity_tag == tags[1].entity_tag
    assert not tags[0].entity_tag.weak
    assert [tag.last_modified for tag in tags] == [None, NOON]


@pytest.mark.parametrize(
    ("media_type", "download", "kind"),
    [
        ("text/plain", False, "inline"),
        ("text/plain", True, "attachment"),
        ("text/html", False, "attachment"),
        ("image/svg+xml", False, "attachment"),
        ("nonsense", False, "attachment"),
    ],
)
def test_only_what_no_browser_runs_is_shown_in_one(media_type, download, kind):
    file = dataclasses.replace(SEALED, media_type=media_type)
    disposition = representation_of(file, download=download).disposition
    assert (disposition.kind, disposition.filename) == (kind, "a.txt")


async def test_the_address_of_a_link_ends_in_the_name_quoted(addresses, tailrace):
    link = tailrace.service.links.make(SEALED.id, None)
    token = tailrace.service.links.token(link.id)
    for name, quoted in (
        ("a.txt", "a.txt"),
        ("a b?#%.txt", "a%20b%3F%23%25.txt"),
        ("你", "%E4%BD%A0"),
    ):
        file = dataclasses.replace(SEALED, name=name)
        assert addresses.link(link, file) == f"http://a/share/l/{token}/{quoted}"


async def test_a_file_is_told_with_the_links_that_were_not_taken_back(addresses, tailrace):
    links = [tailrace.service.links.make(SEALED.id, NOON) for _ in range(2)]
    links.append(dataclasses.replace(links[0], revoked_at=NOON))
    told = await addresses.file(SEALED, links)
    assert told["links"] == [
        {
            "url": addresses.link(link, SEALED),
            "expires_at": "2026-06-01T12:00:00Z",
            "deliveries_left": None,
        }
        for link in links[:2]
    ]
    assert told["digest"] == {"sha-256": "A" * 43 + "="}
    assert (told["state"], told["origin"], told["length"]) == ("sealed", "job", 3)
    assert (told["created_at"], told["expires_at"]) == ("2026-06-01T12:00:00Z", None)


async def test_the_length_of_a_growing_file_is_what_its_blob_has_by_now(addresses, tailrace):
    growing = dataclasses.replace(SEALED, state=FileState.GROWING, length=None)
    assert (await addresses.file(growing, []))["length"] == 0, "it has none any more"
    writer = await tailrace.service.store.create(growing.blob)
    await writer.append(0, [b"12345"])
    assert (await addresses.file(growing, []))["length"] == 5
    await writer.abandon()
    given_up = dataclasses.replace(growing, state=FileState.ABANDONED)
    assert (await addresses.file(given_up, []))["length"] == 0
