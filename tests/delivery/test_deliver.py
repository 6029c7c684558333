import asyncio
import json
import random
import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.blobs import BlobState
from tailrace.blobs.memory import MemoryBlobs
from tailrace.delivery import Representation, deliver
from tailrace.errors import BlobAbandoned
from tailrace.protocol.disposition import ContentDisposition
from tailrace.protocol.validators import EntityTag, Validators

pytestmark = pytest.mark.anyio

VECTORS = [
    pytest.param(vector, id=vector["name"])
    for vector in json.loads(
        (Path(__file__).parents[1] / "vectors" / "answers.json").read_text()
    )
    # Whoever performs another method evaluates its conditions before (RFC 9110 §13.2.1).
    if vector.get("method", "GET") in ("GET", "HEAD") or vector["status"] == 200
]
OF_COMPLETE = [each for each in VECTORS if not each.values[0].get("growing")]

DATE = datetime.fromisoformat("1994-10-29T19:43:31+00:00")
FILE = Representation(
    "text/plain",
    Validators(EntityTag("v1"), DATE),
    ContentDisposition("attachment", "a.txt"),
    sha256=bytes(32),
    cache_control="private",
)
VALIDATING = {
    "etag": '"v1"',
    "last-modified": "Sat, 29 Oct 1994 19:43:31 GMT",
    "cache-control": "private",
}
DESCRIBING = VALIDATING | {
    "content-disposition": 'attachment; filename="a.txt"',
    "repr-digest": f"sha-256=:{'A' * 43}=:",
}
PART = ("Range", "bytes=2-5")
PARTS = ("Range", "bytes=0-1,8-9")


def bytes_of(length):
    return random.Random(1).randbytes(length)


async def blob_of(content, *, is_sealed=True, store=None):
    """Return a store with one blob, and its writer."""
    store = store or MemoryBlobs()
    writer = await store.create("blob")
    await writer.append(0, [content])
    if is_sealed:
        await writer.seal()
    return store, writer


def delivering(store, representation=FILE, **options):
    async def app(scope, receive, send):
        async with store.open("blob") as reader:
            await deliver(reader, representation, scope, receive, send, **options)

    return app


async def answered(exchange, *fields, method="GET", content=b"0123456789", **options):
    """Return the exchange about a sealed blob."""
    store, _ = await blob_of(content)
    return await exchange(method, fields).whole(delivering(store, **options))


def parts_of(answer):
    """Take multipart content apart, as strictly as RFC 2046 §5.1.1 writes it."""
    media_type, boundary = answer.fields["content-type"].split("; boundary=")
    assert media_type == "multipart/byteranges"
    before, *parts, closing = (b"\r\n" + answer.content).split(f"\r\n--{boundary}".encode())
    assert before == b""
    assert closing == b"--"
    parted = []
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        assert first == ""
        parted.append((dict(line.split(": ", 1) for line in lines), content))
    return parted


# --- the table ----------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS)
async def test_a_request_is_answered(exchange, store, vector):
    length = vector.get("length", 10)
    is_growing = vector.get("growing", False)
    follows_from = vector.get("follows_from")
    end = max(length, follows_from or 0) + (5 if is_growing else 0)
    whole = bytes_of(end)
    _, writer = await blob_of(whole[:length], is_sealed=not is_growing, store=store)
    method = vector.get("method", "GET")

    asked = exchange(method, vector["fields"])
    answering = asyncio.create_task(asked.whole(delivering(store)))
    await asked.begins()
    if is_growing:
        await writer.append(length, [whole[length:]])
        await writer.seal()
    answer = await answering

    assert answer.status == vector["status"]
    check_fields(answer, vector, end)
    spans = vector.get("content")
    if method == "HEAD" or answer.status == 304:
        assert answer.content == b""
    elif answer.status >= 400:
        assert json.loads(answer.content)["status"] == answer.status
    elif follows_from is not None:
        assert answer.content == whole[follows_from:]
    elif len(spans) > 1:
        check_parts(answer, whole, spans, length)
    else:
        assert answer.content == b"".join(whole[start:stop] for start, stop in spans)


def check_fields(answer, vector, end):
    fields, status = answer.fields, answer.status
    says = {name.lower(): value for name, value in vector["says"].items()}
    assert fields.get("content-range") == says.get("content-range")
    has_length = "content-length" in says or status >= 400 or len(vector.get("content", [])) > 1
    assert ("content-length" in fields) == has_length
    if "content-length" in says:
        assert fields["content-length"] == says["content-length"]
    elif has_length:
        assert int(fields["content-length"]) == len(answer.content)
    assert fields.get("accept-ranges") == (None if status in (304, 412) else "bytes")

    expected = {200: DESCRIBING, 206: DESCRIBING, 304: VALIDATING, 412: {}, 416: {}}[status]
    if vector.get("growing") and expected:
        expected = expected | {"cache-control": "no-store"}
        expected = {
            n: v for n, v in expected.items() if n not in ("last-modified", "repr-digest")
        }
    said = {name: fields[name] for name in DESCRIBING if name in fields}
    assert said == expected


def check_parts(answer, whole, spans, length):
    parts = parts_of(answer)
    assert [content for _, content in parts] == [whole[start:stop] for start, stop in spans]
    assert [fields for fields, _ in parts] == [
        {
            "Content-Type": "text/plain",
            "Content-Range": f"bytes {start}-{stop - 1}/{length}",
        }
        for start, stop in spans
    ]


@pytest.mark.parametrize("vector", OF_COMPLETE)
async def test_a_head_has_the_fields_of_the_get_without_range(exchange, vector):
    fields = [line for line in vector["fields"] if line[0] != "Range"]
    content = bytes_of(vector.get("length", 10))
    get = await answered(exchange, *fields, content=content)
    head = await answered(exchange, *vector["fields"], method="HEAD", content=content)
    assert (head.status, head.lines, head.content) == (get.status, get.lines, b"")


async def test_two_multipart_contents_have_two_boundaries(exchange):
    types = [(await answered(exchange, PARTS)).fields["content-type"] for _ in range(2)]
    assert re.fullmatch(r"multipart/byteranges; boundary=[0-9a-f]{26}", types[0])
    assert types[0] != types[1]


@pytest.mark.parametrize("fields", [[], [PART], [PARTS], [("Range", "bytes=99-")]], ids=str)
async def test_a_problem_and_content_have_the_length_promised(exchange, fields):
    answer = await answered(exchange, *fields)
    assert int(answer.fields["content-length"]) == len(answer.content)


@pytest.mark.parametrize(
    ("field", "status", "kind", "members"),
    [
        (("If-Match", '"v0"'), 412, "precondition-failed", {}),
        (
            ("Range", "bytes=99-"),
            416,
            "range-not-satisfiable",
            {"length": 10, "complete_length": 10},
        ),
    ],
)
async def test_a_refusal_is_a_problem(exchange, field, status, kind, members):
    answer = await answered(exchange, field)
    assert answer.fields["content-type"] == "application/problem+json"
    problem = json.loads(answer.content)
    assert problem["type"] == f"urn:tailrace:{kind}"
    assert problem["status"] == status
    assert {name: problem[name] for name in members} == members


# --- whatever is asked --------------------------------------------------------------------

numerals = st.one_of(st.integers(0, 40).map(str), st.just("9" * 30), st.just(""))
specs = st.builds("{}-{}".format, numerals, numerals)
ranges = st.lists(specs, min_size=1, max_size=6).map(lambda each: "bytes=" + ",".join(each))


@settings(deadline=None)
@given(ranges, st.integers(0, 30))
async def test_whatever_range_is_asked_the_bytes_are_those_it_is_said_they_are(
    exchange, value, length
):
    content = bytes_of(length)
    answer = await answered(exchange, ("Range", value), content=content)
    if answer.status == 416:
        assert answer.fields["content-range"] == f"bytes */{length}"
    elif answer.status == 200:
        assert answer.content == content
    elif "content-range" in answer.fields:
        check_said(answer.fields["content-range"], answer.content, content)
    else:
        for fields, part in parts_of(answer):
            check_said(fields["Content-Range"], part, content)


def check_said(content_range, part, content):
    first, last, length = map(
        int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range).groups()
    )
    assert length == len(content)
    assert part == content[first : last + 1]
    assert len(part) == last + 1 - first


# --- what is growing ----------------------------------------------------------------------


async def test_several_hundred_followers_all_get_the_whole_and_leave_nothing(
    exchange, store, open_files
):
    whole = bytes_of(50_000)
    store, writer = await blob_of(whole[:1000], is_sealed=False, store=store)
    before = asyncio.all_tasks()
    asked = [exchange(fields=[("Range", f"bytes={n}-")]) for n in range(300)]
    leaving = [exchange(leaves_at=n) for n in range(1, 51)]
    following = [
        asyncio.create_task(delivering(store)(each.scope, each.receive, each.send))
        for each in asked + leaving
    ]
    for offset in range(1000, 50_000, 7000):
        await writer.append(offset, [whole[offset : offset + 7000]])
    await writer.seal()
    ends = await asyncio.gather(*following, return_exceptions=True)

    for start, each in enumerate(asked):
        assert each.is_ended
        assert each.content == whole[start:]
    assert not any(each.is_ended for each in leaving)
    assert [type(end).__name__ for end in ends[300:]] == ["ClientDisconnected"] * 50
    assert set(ends[:300]) == {None}
    assert asyncio.all_tasks() == before
    assert open_files() == []


async def test_when_the_writer_gives_up_no_follower_ends_politely(exchange, store):
    store, writer = await blob_of(bytes(1000), is_sealed=False, store=store)
    before = asyncio.all_tasks()
    asked = [exchange() for _ in range(200)]
    following = [
        asyncio.create_task(delivering(store)(each.scope, each.receive, each.send))
        for each in asked
    ]
    for each in asked:
        await each.has(1000)
    await writer.abandon()
    ends = await asyncio.gather(*following, return_exceptions=True)
    assert {type(end) for end in ends} == {BlobAbandoned}
    assert not any(each.is_ended for each in asked)
    assert asyncio.all_tasks() == before


async def test_a_blob_abandoned_before_is_known_before_the_head(exchange):
    store, writer = await blob_of(b"part", is_sealed=False)
    asked = exchange()
    async with store.open("blob") as reader:
        await writer.abandon()
        with pytest.raises(BlobAbandoned, match="offset 4"):
            await deliver(reader, FILE, asked.scope, asked.receive, asked.send)
    assert asked.status is None


async def test_a_blob_sealed_before_the_range_begins_does_not_end_politely(exchange):
    store, writer = await blob_of(b"0123456789", is_sealed=False)
    asked = exchange(fields=[("Range", "bytes=20-")])
    following = asyncio.create_task(asked.of(delivering(store)))
    await asked.begins()
    await writer.seal()
    with pytest.raises(BlobAbandoned):
        await following
    assert asked.status == 206
    assert not asked.is_ended


# --- further fields -----------------------------------------------------------------------


async def test_further_fields_take_the_place_of_ours(exchange):
    further = [("Cache-Control", "max-age=60"), ("x-mine", "1")]
    answer = await answered(exchange, further=further)
    assert answer.fields["cache-control"] == "max-age=60"
    assert answer.fields["x-mine"] == "1"


async def test_further_fields_may_come_more_than_once(exchange):
    answer = await answered(exchange, further=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    assert answer.lines[-2:] == [("set-cookie", "a=1"), ("set-cookie", "b=2")]


@pytest.mark.parametrize("fields", [[], [PART], [PARTS], [("Range", "bytes=99-")]], ids=str)
async def test_no_further_field_says_which_bytes_are_sent(exchange, fields):
    lies = [
        ("Content-Length", "3"),
        ("Content-Range", "bytes 0-2/3"),
        ("Content-Type", "x/y"),
    ]
    answer = await answered(exchange, *fields, further=lies)
    plain = await answered(exchange, *fields)
    assert set(answer.fields) == set(plain.fields)
    assert not {value for _, value in lies} & set(answer.fields.values())


DESCRIBING_FURTHER = {
    "content-encoding": "gzip",
    "content-language": "de",
    "content-disposition": "inline",
    "content-location": "/a",
    "cache-control": "max-age=60",
    "expires": "Sat, 29 Oct 1994 19:43:31 GMT",
    "etag": '"v2"',
    "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT",
}
OF_EVERY_RESPONSE = {"content-security-policy": "sandbox", "vary": "Accept", "x-mine": "1"}


@pytest.mark.parametrize(
    ("fields", "status", "left_out"),
    [
        ([], 200, set()),
        ([PART], 206, set()),
        (
            [("If-None-Match", '"v2"')],
            304,
            {"content-encoding", "content-language", "content-disposition"},
        ),
        ([("If-Match", '"v1"')], 412, set(DESCRIBING_FURTHER)),
        ([("Range", "bytes=99-")], 416, set(DESCRIBING_FURTHER)),
    ],
    ids=str,
)
async def test_further_fields_go_only_with_what_they_describe(
    exchange, fields, status, left_out
):
    further = DESCRIBING_FURTHER | OF_EVERY_RESPONSE
    answer = await answered(exchange, *fields, further=list(further.items()))
    assert answer.status == status
    said = {name: answer.fields[name] for name in further if name in answer.fields}
    assert said == {name: value for name, value in further.items() if name not in left_out}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("If-None-Match", '"theirs"')], 304),
        ([("If-None-Match", '"v1"')], 200),
        ([("If-Match", '"theirs"')], 200),
        ([PART, ("If-Range", '"theirs"')], 206),
        ([PART, ("If-Range", '"v1"')], 200),
        ([PART, ("If-Range", "Sun, 06 Nov 1994 08:49:37 GMT")], 206),
        ([PART, ("If-Range", "Sat, 29 Oct 1994 19:43:31 GMT")], 200),
    ],
    ids=str,
)
async def test_conditions_are_about_the_validators_that_are_sent(exchange, fields, status):
    further = [("ETag", '"theirs"'), ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")]
    answer = await answered(exchange, *fields, further=further)
    assert answer.status == status
    assert answer.fields["etag"] == '"theirs"'


@pytest.mark.parametrize(
    "line", [("x-mine", "a\r\nset-cookie: b"), ("x mine", "a"), ("x", "中")]
)
async def test_a_field_that_cannot_be_sent_is_known_before_the_head(exchange, line):
    store, _ = await blob_of(b"whole")
    asked = exchange()
    with pytest.raises(ValueError, match=line[0]):
        await asked.of(delivering(store, further=[line]))
    assert asked.status is None


# --- what conditions and ranges do not speak of -------------------------------------------

ASKING_FOR_LESS = [PART, ("If-None-Match", "*"), ("If-Match", '"v0"')]


@pytest.mark.parametrize("field", ASKING_FOR_LESS, ids=str)
@pytest.mark.parametrize(
    ("method", "options", "status"),
    [
        ("GET", {"conditional": False}, 200),
        ("GET", {"status_code": 404}, 404),
        ("HEAD", {"status_code": 404}, 404),
        ("POST", {}, 200),
        ("PUT", {"status_code": 201}, 201),
    ],
)
async def test_what_is_no_plain_get_is_answered_with_the_whole(
    exchange, field, method, options, status
):
    answer = await answered(exchange, field, method=method, **options)
    assert answer.status == status
    assert answer.fields["content-length"] == "10"
    assert answer.content == (b"" if method == "HEAD" else b"0123456789")


# --- dates that may be of two contents ----------------------------------------------------

WEAK_DATE = Representation(
    "text/plain", Validators(EntityTag("v1", weak=True), DATE), has_weak_date=True
)
SAME = "Sat, 29 Oct 1994 19:43:31 GMT"
BEFORE = "Sat, 29 Oct 1994 19:43:30 GMT"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([PART], 206),
        ([PART, ("If-Range", SAME)], 200),
        ([PARTS, ("If-Range", SAME)], 200),
        ([("Range", "bytes=99-"), ("If-Range", SAME)], 200),
        ([PART, ("If-Range", 'W/"v1"')], 200),
        ([PART, ("If-Range", '"v1"')], 200),
        # The other conditions compare it as before.
        ([("If-Modified-Since", SAME)], 304),
        ([("If-Unmodified-Since", BEFORE)], 412),
        ([PART, ("If-Unmodified-Since", BEFORE)], 412),
        ([PART, ("If-Unmodified-Since", SAME)], 206),
        ([PART, ("If-Unmodified-Since", SAME), ("If-Range", SAME)], 200),
        ([PART, ("If-Modified-Since", BEFORE), ("If-Range", SAME)], 200),
        ([("Range", "bytes=99-")], 416),
    ],
    ids=str,
)
async def test_a_weak_date_does_for_conditions_but_not_for_if_range(exchange, fields, status):
    answer = await answered(exchange, *fields, representation=WEAK_DATE)
    assert answer.status == status
    if status != 412 and status != 416:
        assert answer.fields["last-modified"] == SAME
    if status == 200:
        assert answer.content == b"0123456789"


# --- the digest of what was followed ------------------------------------------------------

TRAILERS = "http.response.trailers"


async def followed(exchange, digest, *fields, extensions=(TRAILERS,)):
    """Follow a blob to its seal, of which `digest` is known then."""
    store, writer = await blob_of(b"0123456789", is_sealed=False)

    async def sealed_sha256():
        async with store.open("blob") as reader:
            assert reader.status.state is BlobState.SEALED
        return digest

    asked = exchange(fields=fields, extensions=extensions)
    app = delivering(store, sealed_sha256=sealed_sha256)
    task = asyncio.create_task(asked.whole(app))
    await asked.begins()
    await writer.seal()
    await task
    return asked


@pytest.mark.parametrize("fields", [(), [("Range", "bytes=3-")]])
async def test_the_digest_of_the_whole_follows_what_was_followed(exchange, fields):
    """RFC 9530 §3: of the representation, also where a part of it was sent."""
    answer = await followed(exchange, bytes(32), *fields)
    assert answer.fields["trailer"] == "repr-digest"
    assert "repr-digest" not in answer.fields
    assert answer.trailers == [(b"repr-digest", f"sha-256=:{'A' * 43}=:".encode())]


async def test_a_digest_that_nobody_knows_is_left_out(exchange):
    assert (await followed(exchange, None)).trailers == []


async def test_where_the_server_sends_no_trailer_fields_none_are_announced(exchange):
    answer = await followed(exchange, bytes(32), extensions=())
    assert "trailer" not in answer.fields
    assert answer.trailers is None


async def test_a_sealed_blob_has_its_digest_in_the_head(exchange):
    store, _ = await blob_of(b"0123456789")
    asked = exchange(extensions=(TRAILERS,))
    answer = await asked.whole(delivering(store, sealed_sha256=None))
    assert "repr-digest" in answer.fields
    assert "trailer" not in answer.fields


async def test_what_is_followed_is_buffered_by_no_proxy(exchange):
    answer = await followed(exchange, None)
    assert answer.fields["x-accel-buffering"] == "no"
