from pathlib import Path

import pytest

from tailrace.blobs.directory import DirectoryBlobs
from tailrace.delivery import Proxy, Representation, deliver
from tailrace.delivery.send import SMALL_CONTENT
from tailrace.protocol.disposition import ContentDisposition
from tailrace.protocol.validators import EntityTag, Validators

pytestmark = pytest.mark.anyio

ROOT = Path("/srv/blobs")
NGINX = Proxy("X-Accel-Redirect", ROOT, "/stored/")
LONG = bytes(SMALL_CONTENT + 1)
FILE = Representation(
    "text/plain",
    Validators(EntityTag("v1"), None),
    ContentDisposition("attachment", "a.txt"),
    sha256=bytes(32),
    cache_control="private",
)


@pytest.mark.parametrize(
    ("proxy", "field"),
    [
        (NGINX, ("X-Accel-Redirect", "/stored/ab/abcd")),
        (Proxy("X-Accel-Redirect", ROOT, "/stored"), ("X-Accel-Redirect", "/stored/ab/abcd")),
        (Proxy("X-Sendfile", ROOT, "/stored/"), ("X-Sendfile", "/srv/blobs/ab/abcd")),
    ],
)
def test_each_proxy_is_told_in_its_way(proxy, field):
    assert proxy.field("/srv/blobs/ab/abcd") == field


def test_what_a_location_would_read_in_another_way_is_escaped():
    assert NGINX.field("/srv/blobs/a b%?")[1] == "/stored/a%20b%25%3F"


def test_what_lies_elsewhere_is_not_told():
    with pytest.raises(ValueError, match="not in the subpath"):
        NGINX.field("/etc/passwd")


@pytest.fixture
async def directory(tmp_path):
    store = DirectoryBlobs(tmp_path / "blobs")
    yield store
    await store.close()


@pytest.fixture
def answered(exchange, directory, tmp_path):
    """Have a blob delivered, with a proxy in front."""

    async def answered(*fields, content=LONG, method="GET"):
        writer = await directory.create("blob")
        await writer.append(0, [content])
        await writer.seal()

        async def app(scope, receive, send):
            proxy = Proxy("X-Accel-Redirect", tmp_path / "blobs", "/stored/")
            async with directory.open("blob") as reader:
                await deliver(reader, FILE, scope, receive, send, proxy=proxy)

        return await exchange(method, fields).whole(app)

    return answered


@pytest.mark.parametrize("fields", [(), [("Range", "bytes=0-9")], [("Range", "bytes=0-1,5-6")]])
async def test_what_is_long_is_left_to_the_proxy_and_so_are_ranges(answered, fields):
    answer = await answered(*fields)
    assert (answer.status, answer.content) == (200, b"")
    assert answer.fields == {
        "x-accel-redirect": "/stored/bl/blob",
        "content-length": "0",
        "content-type": "text/plain",
        "content-disposition": 'attachment; filename="a.txt"',
        "cache-control": "private",
        "etag": '"v1"',
        "repr-digest": f"sha-256=:{'A' * 43}=:",
    }


async def test_what_is_short_is_sent_here(answered):
    answer = await answered(content=LONG[:-1])
    assert answer.content == LONG[:-1]
    assert "x-accel-redirect" not in answer.fields


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("If-Match", '"v1"')], 200),
        ([("If-None-Match", '"v0"')], 200),
        ([("If-None-Match", '"v1"')], 304),
        ([("If-Match", '"v0"')], 412),
        ([("If-Range", '"v1"'), ("Range", "bytes=0-9")], 206),
        ([("If-Modified-Since", "Sat, 29 Oct 1994 19:43:31 GMT")], 200),
        ([("If-Unmodified-Since", "Sat, 29 Oct 1994 19:43:31 GMT")], 200),
        ([("Range", f"bytes={len(LONG)}-")], 416),
    ],
)
async def test_what_the_proxy_would_decide_in_another_way_is_answered_here(
    answered, fields, status
):
    answer = await answered(*fields)
    assert answer.status == status
    assert "x-accel-redirect" not in answer.fields


async def test_head_is_answered_here(answered):
    answer = await answered(method="HEAD")
    assert answer.fields["content-length"] == str(len(LONG))


async def test_what_was_growing_when_it_was_asked_for_is_sent_here(
    exchange, directory, tmp_path
):
    writer = await directory.create("blob")
    await writer.append(0, [LONG])

    async def app(scope, receive, send):
        proxy = Proxy("X-Accel-Redirect", tmp_path / "blobs", "/stored/")
        async with directory.open("blob") as reader:
            await deliver(reader, FILE, scope, receive, sealing(send), proxy=proxy)

    def sealing(send):
        async def sealing(message):
            await writer.seal()
            await send(message)

        return sealing

    answer = await exchange().whole(app)
    assert answer.content == LONG
