"""Links: unguessable capabilities to read one file."""

import base64
import dataclasses
import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tailrace.blobs import BlobKey
from tailrace.catalogue import FileId, FileRecord, FileState, LinkId, Origin
from tailrace.catalogue.sql import open_catalogue
from tailrace.errors import FileEnded, LinkExpired, LinkNotKnown, LinkRevoked
from tailrace.links import Links

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
SECRET = bytes(range(32))


def a_file(**facts):
    growing = FileRecord(
        id=FileId("f1"),
        name="a",
        media_type="text/csv",
        blob=BlobKey("b1"),
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


SEALED = {
    "state": FileState.SEALED,
    "length": 0,
    "complete_length": 0,
    "sha256": hashlib.sha256(b"").digest(),
    "sealed_at": NOON,
}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'catalogue.db'}"


@pytest.fixture
async def catalogue(url):
    catalogue = await open_catalogue(url, durability="crash")
    yield catalogue
    await catalogue.close()


def links_at(now, catalogue, secret=SECRET):
    return Links(catalogue, secret, lambda: now)


async def given_link(catalogue, file, expires_at=None, revoked_at=None):
    """Make a file and a link known, and return the link's token."""
    links = links_at(NOON, catalogue)
    link = dataclasses.replace(links.make(file.id, expires_at), revoked_at=revoked_at)
    await catalogue.add_file(file, [link])
    return links.token(link.id)


# --- tokens ---------------------------------------------------------------------------------


def test_a_token_is_128_bits_in_base64url():
    links = links_at(NOON, None)
    token = links.token(links.make(FileId("f1"), None).id)
    assert len(token) == 22
    assert len(base64.urlsafe_b64decode(token + "==")) == 16


def test_no_token_equals_another():
    links = links_at(NOON, None)
    made = [links.make(FileId("f1"), None) for _ in range(2000)]
    assert len({links.token(link.id) for link in made}) == 2000
    assert len({link.token_hash for link in made}) == 2000


def test_the_bits_of_tokens_are_even():
    links = links_at(NOON, None)
    ones = Counter()
    for number in range(2000):
        token = base64.urlsafe_b64decode(links.token(LinkId(str(number))) + "==")
        bits = int.from_bytes(token, "big")
        ones.update(place for place in range(128) if bits >> place & 1)
    # Six standard deviations about a half of 2000; a bit that never changes is far out.
    assert all(865 < ones[place] < 1135 for place in range(128))


def test_a_token_follows_from_the_secret_and_the_link_and_from_nothing_else():
    """RFC 2104, HMAC-SHA256, cut to its left half as its section 5 allows."""
    links = links_at(NOON, None)
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in SECRET.ljust(64, b"\0")) + b"abc").digest()
    mac = hashlib.sha256(bytes(b ^ 0x5C for b in SECRET.ljust(64, b"\0")) + inner).digest()
    token = base64.urlsafe_b64encode(mac[:16]).rstrip(b"=").decode()
    assert links.token(LinkId("abc")) == token
    assert links_at(NOON + HOUR, None).token(LinkId("abc")) == token
    assert links_at(NOON, None, bytes(32)).token(LinkId("abc")) != token


async def test_the_catalogue_has_the_hash_of_a_token_and_not_the_token(catalogue, tmp_path):
    token = await given_link(catalogue, a_file())
    await catalogue.close()
    kept = (tmp_path / "catalogue.db").read_bytes()
    assert hashlib.sha256(token.encode()).digest() in kept
    assert token.encode() not in kept
    assert base64.urlsafe_b64decode(token + "==") not in kept
    assert SECRET not in kept


def test_a_new_link_says_what_was_asked_for():
    link = links_at(NOON, None).make(FileId("f1"), NOON + HOUR)
    assert (link.file_id, link.created_at, link.expires_at, link.revoked_at) == (
        FileId("f1"),
        NOON,
        NOON + HOUR,
        None,
    )


# --- finding --------------------------------------------------------------------------------


@pytest.mark.parametrize("facts", [{}, SEALED])
async def test_a_link_leads_to_its_file_while_it_grows_and_when_it_is_sealed(catalogue, facts):
    file = a_file(**facts)
    token = await given_link(catalogue, file)
    link, found = await links_at(NOON, catalogue).get(token)
    assert (link.file_id, found) == (file.id, file)


async def test_one_file_may_have_many_links(catalogue):
    first = await given_link(catalogue, a_file())
    links = links_at(NOON, catalogue)
    link = links.make(FileId("f1"), None)
    await catalogue.add_link(link)
    second = links.token(link.id)
    assert (await links.get(first))[0].id != (await links.get(second))[0].id
    assert (await links.get(first))[1] == (await links.get(second))[1]


async def test_a_token_that_nobody_was_given_is_not_known(catalogue):
    token = await given_link(catalogue, a_file())
    for other in ("", token[:-1], token + "=", token + "A", token.swapcase(), f" {token}"):
        with pytest.raises(LinkNotKnown):
            await links_at(NOON, catalogue).get(other)


@given(token=st.text(st.characters()))
@example(token="\ud800")  # a lone surrogate, as some decode what is not UTF-8
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_text_at_all_may_be_asked_for(catalogue, token):
    with pytest.raises(LinkNotKnown):
        await links_at(NOON, catalogue).get(token)


@pytest.mark.parametrize("expires", ["link", "file"])
async def test_a_link_ends_exactly_at_its_moment_and_so_does_a_file(catalogue, expires):
    end = NOON + HOUR
    file = a_file(**SEALED, expires_at=end if expires == "file" else None)
    token = await given_link(catalogue, file, end if expires == "link" else None)
    error = LinkExpired if expires == "link" else FileEnded
    before = links_at(end - timedelta(microseconds=1), catalogue)
    await before.get(token)
    assert before.file_at_hand(token) in (file, None)
    for now in (end, end + SECOND, end + 1000 * HOUR):
        assert links_at(now, catalogue).file_at_hand(token) is None
        with pytest.raises(error, match="2026-06-01 13:00:00 UTC"):
            await links_at(now, catalogue).get(token)


async def test_a_link_that_was_taken_back_says_when(catalogue):
    token = await given_link(catalogue, a_file(), revoked_at=NOON + SECOND)
    for _ in range(2):
        assert links_at(NOON + HOUR, catalogue).file_at_hand(token) is None
        with pytest.raises(LinkRevoked, match="2026-06-01 12:00:01 UTC"):
            await links_at(NOON + HOUR, catalogue).get(token)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {"state": FileState.ABANDONED, "reason": "its sender was cut off"},
            "was given up: its sender was cut off",
        ),
        (
            SEALED | {"ended_at": NOON + SECOND, "reason": "it was deleted"},
            "ended at 2026-06-01 12:00:01 UTC: it was deleted",
        ),
        (
            {"state": FileState.ABANDONED, "ended_at": NOON, "reason": "it failed"},
            "was given up: it failed",
        ),
    ],
)
async def test_a_link_to_a_file_that_has_ended_says_why(catalogue, facts, words):
    token = await given_link(catalogue, a_file(**facts))
    with pytest.raises(FileEnded, match=words):
        await links_at(NOON + HOUR, catalogue).get(token)


async def test_of_two_reasons_the_one_that_the_owner_chose_is_told(catalogue):
    file = a_file(**SEALED, ended_at=NOON, reason="it was deleted")
    token = await given_link(catalogue, file, expires_at=NOON, revoked_at=NOON)
    with pytest.raises(LinkRevoked):
        await links_at(NOON + HOUR, catalogue).get(token)
