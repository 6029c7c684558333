import hashlib
from datetime import UTC, datetime

import pytest

from tailrace.asgi.access import hash_of, new_key
from tailrace.catalogue import CredentialRecord

pytestmark = pytest.mark.anyio

KEY = "tr_the-key-of-this-test"


@pytest.fixture
async def owned(tailrace):
    """There are two owners; the second one has the key."""
    for name, key in (("one", new_key()), ("two", KEY)):
        await tailrace.service.catalogue.add_credential(
            CredentialRecord(name, hash_of(key), datetime.now(UTC))
        )


def test_a_key_is_random_and_can_be_put_in_a_field():
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        assert key.startswith("tr_")
        assert len(key) == 3 + 43  # 256 bits in base64url
        assert key.isascii()
        assert key.isprintable()


def test_a_key_is_kept_as_its_hash():
    assert hash_of(KEY) == hashlib.sha256(KEY.encode()).digest()
    assert len(hash_of("\udcff")) == 32, "whatever came in the field"


async def test_where_there_is_no_key_none_is_asked_for(client):
    assert (await client.get("/files")).status == 200
    assert (await client.get("/files", authorization="Bearer anything")).status == 200


@pytest.mark.usefixtures("owned")
@pytest.mark.parametrize("value", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER  {KEY} "])
async def test_who_has_a_key_passes(client, value):
    """RFC 9110 §11.1: the scheme in any case."""
    assert (await client.get("/files", authorization=value)).status == 200


@pytest.mark.usefixtures("owned")
@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY} {KEY}",
        f"Bearer {hash_of(KEY).hex()}",
        f"Basic {KEY}",
        KEY,
    ],
)
async def test_who_has_none_is_told_how_to_come_in(client, value):
    refused = await client.get(
        "/files", **({"authorization": value} if value is not None else {})
    )
    assert (refused.status, refused.problem) == (401, "access-denied")
    assert refused.fields["www-authenticate"] == 'Bearer realm="tailrace"'
    assert KEY.encode() not in refused.content


@pytest.mark.usefixtures("owned")
async def test_a_key_that_is_no_text_is_a_wrong_one(client):
    lines = [(b"host", b"a"), (b"authorization", b"Bearer \xff\xfe")]
    assert (await client.ask("GET", "/files", headers=lines)).status == 401


@pytest.mark.usefixtures("owned")
async def test_a_key_in_the_query_is_none(client):
    assert (await client.get(f"/files?key={KEY}&access_token={KEY}")).status == 401


@pytest.mark.usefixtures("owned")
async def test_nothing_of_a_refused_request_is_read(client):
    asked = client.begin("POST", "/uploads", content=None)
    await asked.ends()  # though no content came
    assert asked.status == 401


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 201),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://test"}, 201),
        ({"Sec-Fetch-Site": "none"}, 201),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_without_a_key_no_foreign_page_may_write(client, fields, status):
    assert (await client.ask("PUT", "/uploads/a", fields, content=b"a")).status == status
