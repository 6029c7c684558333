import asyncio
import inspect
import json
import os
import re
import time
import zlib
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
import starlette.responses
from fastapi import BackgroundTasks, FastAPI, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware

import tailrace
from tailrace import BlobResponse, FileResponse, cached
from tailrace.blobs.memory import MemoryBlobs
from tailrace.delivery import Representation, response
from tailrace.errors import BlobAbandoned, BlobMissing, StorageUnavailable
from tailrace.protocol.disposition import ContentDisposition
from tailrace.protocol.validators import EntityTag, Validators

pytestmark = pytest.mark.anyio


def vectors(name):
    path = Path(__file__).parents[1] / "vectors" / name
    return [pytest.param(vector, id=vector["name"]) for vector in json.loads(path.read_text())]


RESPONSES = vectors("responses.json")
ANSWERS = [
    each
    for each in vectors("answers.json")
    if not each.values[0].get("growing") and each.values[0].get("method") != "POST"
]

DATE = datetime.fromisoformat("1994-10-29T19:43:31+00:00")
MEBIBYTE = 1024 * 1024


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.txt"
    path.write_bytes(b"0123456789")
    os.utime(path, (DATE.timestamp(), DATE.timestamp()))
    return path


@pytest.fixture
def some_time_later(monkeypatch):
    """Let it be a minute later, so that what was just written is no longer new."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 60)


async def sealed(content, representation=None, **options):
    """Return a response with a sealed blob, to be sent once."""
    store = MemoryBlobs()
    writer = await store.create("blob")
    await writer.append(0, [content])
    await writer.seal()
    representation = representation or Representation(
        "text/plain", Validators(EntityTag("v1"), DATE)
    )
    return BlobResponse(store.open("blob"), representation, **options)


class Ran:
    """A background task that tells whether it ran."""

    def __init__(self):
        self.count = 0
        self.task = BackgroundTask(self._run)

    async def _run(self):
        self.count += 1


# --- the table ----------------------------------------------------------------------------


async def as_a_blob(path):
    return await sealed(path.read_bytes())


async def as_a_file(path):
    return FileResponse(path)


async def as_a_file_with_a_tag_of_its_own(path):
    return FileResponse(path, headers={"ETag": '"v1"'})


async def as_a_file_looked_at_before(path):
    return FileResponse(path, stat_result=path.stat())


KINDS = [
    as_a_blob,
    as_a_file,
    as_a_file_with_a_tag_of_its_own,
    as_a_file_looked_at_before,
]


@pytest.mark.usefixtures("some_time_later")
@pytest.mark.parametrize("vector", ANSWERS)
async def test_a_request_for_a_file_is_answered_as_one_for_a_blob(exchange, path, vector):
    await check_answer(exchange, path, as_a_file, vector)


@pytest.mark.usefixtures("some_time_later")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vector", RESPONSES)
async def test_a_request_is_answered(exchange, path, kind, vector):
    await check_answer(exchange, path, kind, vector)


async def check_answer(exchange, path, kind, vector):
    content = os.urandom(vector.get("length", 10))
    path.write_bytes(content)
    os.utime(path, (DATE.timestamp(), DATE.timestamp()))
    tag = (await exchange().whole(await kind(path))).fields["etag"]

    fields = [
        (name, value.replace('"v1"', tag).replace("v1", tag.strip('"')))
        for name, value in vector["fields"]
    ]
    asked = exchange(vector.get("method", "GET"), fields)
    answer = await asked.whole(await kind(path))
    assert answer.status == vector["status"]
    check_content(answer, vector, content)
    if answer.status < 400:
        assert answer.fields["etag"] == tag
        assert answer.fields["last-modified"] == "Sat, 29 Oct 1994 19:43:31 GMT"


def check_content(answer, vector, content):
    is_head = vector.get("method") == "HEAD"
    spans = vector.get("content", [])
    if answer.status == 416:
        assert answer.fields["content-range"] == f"bytes */{len(content)}"
    elif answer.status == 206 and len(spans) == 1:
        start, stop = spans[0]
        assert answer.fields["content-range"] == f"bytes {start}-{stop - 1}/{len(content)}"
    else:
        assert "content-range" not in answer.fields
    if answer.status == 304:
        assert "content-length" not in answer.fields
    elif not is_head:
        assert int(answer.fields["content-length"]) == len(answer.content)
    elif answer.status == 200:
        assert int(answer.fields["content-length"]) == len(content)
    if not is_head and answer.status < 300:
        assert [part for _, part in parts_of(answer)] == [
            content[start:stop] for start, stop in spans or [[0, 0]]
        ]


def parts_of(answer):
    """Take content apart, if it is in parts, as strictly as RFC 2046 §5.1.1 writes it."""
    media_type, _, boundary = answer.fields["content-type"].partition("; boundary=")
    if media_type != "multipart/byteranges":
        return [(None, answer.content)]
    before, *parts, closing = (b"\r\n" + answer.content).split(f"\r\n--{boundary}".encode())
    assert (before, closing) == (b"", b"--")
    parted = []
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        assert first == ""
        fields = dict(line.split(": ", 1) for line in lines)
        assert list(fields) == ["Content-Type", "Content-Range"]
        parted.append((fields, content))
    return parted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("bytes=" + ",".join(f"{at}-{at}" for at in range(0, 1000, 2)), 200),
        ("bytes=" + ",".join(["0-"] * 100), 206),
        ("bytes=5-" + "9" * 5000, 206),
        ("bytes=" + "9" * 5000 + "-", 416),
        ("bytes=-" + "9" * 5000, 206),
    ],
    ids=["500 ranges", "100 times the whole", "a long last", "a long first", "a long suffix"],
)
async def test_a_range_made_to_be_a_burden_is_none(exchange, path, kind, value, status):
    path.write_bytes(bytes(1000))
    answer = await exchange(fields=[("Range", value)]).whole(await kind(path))
    assert answer.status == status
    assert len(answer.content) <= 1000


# --- a drop-in ----------------------------------------------------------------------------


def test_the_arguments_are_those_of_starlette():
    theirs = inspect.signature(starlette.responses.FileResponse.__init__).parameters
    ours = inspect.signature(FileResponse.__init__).parameters
    assert [(each.name, each.default, each.kind) for each in ours.values()] == [
        (each.name, each.default, each.kind) for each in theirs.values()
    ]


ARGUMENTS = [
    {},
    {"media_type": "image/jpeg"},
    {"media_type": "text/csv"},
    {"media_type": "text/csv; charset=latin-1"},
    {"media_type": "TEXT/CSV"},
    {"filename": "picture.png"},
    {"filename": "without-extension"},
    {"filename": "hello.txt", "content_disposition_type": "inline"},
    {"filename": "picture.png", "media_type": "image/jpeg"},
    {"headers": {"X-Mine": "1", "Cache-Control": "no-cache"}},
    {"headers": {"Content-Type": "text/html"}},
    {"headers": {"Content-Disposition": "inline"}, "filename": "a.txt"},
    {"headers": {"ETag": '"theirs"', "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}},
    {"headers": {"Accept-Ranges": "none"}},
    {"status_code": 404},
    {"status_code": 203},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
async def test_a_plain_get_is_answered_as_by_starlette(exchange, path, arguments):
    ours = FileResponse(path, **arguments)
    theirs = starlette.responses.FileResponse(path, **arguments)
    assert dict(ours.headers) == dict(theirs.headers)
    for name in ("path", "status_code", "filename", "media_type", "stat_result"):
        assert getattr(ours, name) == getattr(theirs, name)

    answer = await exchange().whole(ours)
    expected = await exchange().whole(theirs)
    assert answer.status == expected.status
    assert answer.content == expected.content
    if "ETag" not in arguments.get("headers", {}):
        assert "etag" in answer.fields
        expected.lines = [line for line in expected.lines if line[0] != "etag"]
        answer.lines = [line for line in answer.lines if line[0] != "etag"]
    assert answer.fields == expected.fields


@pytest.mark.parametrize(
    "name", ["a.txt", "a.html", "a.json", "a.tar.gz", "a.unknown", "a", "a.mp3", ".txt"]
)
async def test_the_media_type_is_guessed_as_by_starlette(exchange, tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    answer = await exchange().whole(FileResponse(tmp_path / name))
    theirs = starlette.responses.FileResponse(tmp_path / name)
    assert answer.fields["content-type"] == theirs.headers["content-type"]
    assert answer.content == b""
    assert answer.fields["content-length"] == "0"


async def test_a_path_may_be_text(exchange, path):
    response = FileResponse(str(path))
    assert response.path == str(path)
    assert (await exchange().whole(response)).content == b"0123456789"


async def test_a_response_may_be_sent_again(exchange, path):
    response = FileResponse(path)
    part = await exchange(fields=[("Range", "bytes=0-1")]).whole(response)
    whole = await exchange().whole(response)
    assert (part.status, part.content) == (206, b"01")
    assert (whole.status, whole.content) == (200, b"0123456789")
    assert "content-range" not in whole.fields


async def test_headers_may_be_changed_until_it_is_sent(exchange, path):
    response = FileResponse(path, filename="a.txt", stat_result=path.stat())
    response.headers["Cache-Control"] = "max-age=60"
    response.headers["ETag"] = '"mine"'
    response.headers["Content-Type"] = "text/csv"
    del response.headers["Content-Disposition"]
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    response.status_code = 203
    answer = await exchange().whole(response)
    assert answer.status == 203
    assert answer.fields["cache-control"] == "max-age=60"
    assert answer.fields["etag"] == '"mine"'
    assert answer.fields["content-type"] == "text/csv"
    assert "content-disposition" not in answer.fields
    assert [name for name, _ in answer.lines].count("set-cookie") == 2


@pytest.mark.parametrize("missing", ["missing", ""])
async def test_what_is_no_file_raises_what_starlette_raises(exchange, tmp_path, missing):
    raised = []
    for module in (tailrace, starlette.responses):
        asked = exchange()
        with pytest.raises(RuntimeError) as caught:
            await asked.of(module.FileResponse(tmp_path / missing))
        assert asked.status is None
        raised.append(str(caught.value))
    assert raised[0] == raised[1]


async def test_a_fifo_is_refused_and_not_waited_for(exchange, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    asked = exchange()
    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="is not a file"):
            await asked.of(FileResponse(tmp_path / "fifo"))
    assert asked.status is None


async def test_a_name_longer_than_can_be_is_that_of_a_missing_file(exchange, tmp_path):
    with pytest.raises(RuntimeError, match="does not exist"):
        await exchange().of(FileResponse(tmp_path / ("a" * 300)))


# --- what is at hand is answered at once --------------------------------------------------

tokens = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12)
values = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"),
    max_size=20,
)
own_fields = st.dictionaries(
    st.one_of(
        tokens,
        st.sampled_from(
            ["ETag", "Last-Modified", "Content-Type", "Content-Length", "Accept-Ranges"]
        ),
    ),
    st.one_of(
        values, st.sampled_from(['"v1"', 'W/"v1"', "Sun, 06 Nov 1994 08:49:37 GMT", "7"])
    ),
    max_size=4,
)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "status_code": st.sampled_from([200, 203, 404]),
        "headers": own_fields,
        "media_type": st.sampled_from(["text/plain", "image/png", "text/csv; charset=latin-1"]),
        "filename": st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        "content_disposition_type": st.sampled_from(["inline", "attachment"]),
    },
)
asked_fields = st.lists(
    st.one_of(
        st.tuples(tokens, values),
        st.tuples(st.just("Range"), st.sampled_from(["bytes=0-3", "bytes=-2", "bytes=99-"])),
        st.tuples(
            st.sampled_from(["If-Match", "If-None-Match", "If-Range"]),
            st.sampled_from(['"v1"', "*", '"other"']),
        ),
        st.tuples(
            st.sampled_from(["If-Modified-Since", "If-Unmodified-Since", "If-Range"]),
            st.sampled_from(["Sun, 06 Nov 1994 08:49:37 GMT", "Sat, 29 Oct 1994 19:43:31 GMT"]),
        ),
    ),
    max_size=3,
)


@given(
    arguments,
    st.sampled_from(["GET", "HEAD", "POST"]),
    asked_fields,
    st.sampled_from([0, 10, 65_536, 65_537]),
    st.booleans(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_at_hand_is_answered_as_what_is_not(
    exchange, path, arguments, method, fields, length, is_settled
):
    path.write_bytes(bytes(length))
    now = path.stat().st_ctime + 60 * is_settled

    async def answered():
        asked = exchange(method, fields)
        try:
            await asked.whole(FileResponse(path, **arguments))
        except ValueError as error:  # a field that cannot be sent
            return str(error)
        return asked.status, asked.lines, asked.content

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now)
        patch.setattr(time, "time_ns", lambda: round(now * 10**9))
        at_once = [asyncio.run(answered()) for _ in range(2)]  # the second is remembered
        patch.setattr(cached, "_syscall", None)
        by_a_thread = asyncio.run(answered())
    assert at_once == [by_a_thread, by_a_thread]


class NotOpened:
    """What a store would open, had anybody asked."""

    async def __aenter__(self):
        pytest.fail("it was opened")

    async def __aexit__(self, *_):
        pass


representations = st.builds(
    Representation,
    media_type=st.sampled_from(["text/plain", "image/png"]),
    validators=st.builds(
        Validators,
        st.none() | st.builds(EntityTag, st.just("v1")),
        st.sampled_from([None, DATE]),
    ),
    disposition=st.none() | st.just(ContentDisposition("attachment", "a \u2603.txt")),
    sha256=st.none() | st.just(bytes(32)),
    cache_control=st.none() | st.just("no-cache"),
    length=st.sampled_from([None, 10]),
)


@given(representations, own_fields, st.sampled_from(["GET", "HEAD", "POST"]), asked_fields)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_blob_at_hand_is_answered_as_one_that_is_opened(
    exchange, representation, headers, method, fields
):
    async def answered(*, is_at_hand):
        store = MemoryBlobs()
        writer = await store.create("blob")
        await writer.append(0, [b"0123456789"])
        await writer.seal()
        at_once = partial(store.read_at_once, "blob") if is_at_hand else None
        response = BlobResponse(
            store.open("blob"), representation, headers=headers, at_once=at_once
        )
        asked = exchange(method, fields)
        try:
            await asked.whole(response)
        except ValueError as error:  # a field that cannot be sent
            return str(error)
        return asked.status, asked.lines, asked.content

    at_once = asyncio.run(answered(is_at_hand=True))
    assert at_once == asyncio.run(answered(is_at_hand=False))


async def test_a_blob_at_hand_is_not_opened(exchange):
    representation = Representation("text/plain", Validators(None, None))
    response = BlobResponse(NotOpened(), representation, at_once=lambda limit: b"0123456789")
    assert (await exchange().whole(response)).content == b"0123456789"


async def test_a_blob_shorter_than_was_sealed_is_not_delivered_at_once_either(exchange):
    response = await sealed(
        b"012345678",
        Representation("text/plain", Validators(None, None), length=10),
        at_once=lambda limit: b"012345678",
    )
    asked = exchange()
    with pytest.raises(StorageUnavailable):
        await asked.of(response)
    assert asked.status is None


async def test_a_small_file_at_hand_takes_no_thread(exchange, path, monkeypatch, at):
    at(time.time() + 60)
    monkeypatch.setattr(cached, "read", lambda descriptor, start, stop: b"0123456789")
    monkeypatch.setattr(response, "open_file", None)
    assert (await exchange().whole(FileResponse(path))).content == b"0123456789"


async def test_what_is_added_to_one_answer_is_not_in_the_next(exchange, path):
    async def adding(scope, receive, send):
        async def send_more(message):
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-more", b"1"))
            await send(message)

        await FileResponse(path)(scope, receive, send_more)

    for _ in range(2):
        answer = await exchange().whole(adding)
        assert [name for name, _ in answer.lines].count("x-more") == 1


async def test_a_file_changed_between_two_requests_is_sent_as_it_is(exchange, path, at):
    at(time.time() + 60)
    first = await exchange().whole(FileResponse(path))
    path.write_bytes(b"ABCDEFGHIJ")
    second = await exchange().whole(FileResponse(path))
    assert (first.content, second.content) == (b"0123456789", b"ABCDEFGHIJ")
    assert first.fields["etag"] != second.fields["etag"]


# --- what was looked at before ------------------------------------------------------------


def test_what_was_looked_at_before_is_announced(path):
    found = path.stat()
    ours = FileResponse(path, stat_result=found).headers
    theirs = starlette.responses.FileResponse(path, stat_result=found).headers
    assert set(ours) == set(theirs)
    for name in ("content-length", "last-modified"):
        assert ours[name] == theirs[name]


@pytest.mark.usefixtures("some_time_later")
async def test_what_was_announced_is_what_is_sent(exchange, path):
    response = FileResponse(path, stat_result=path.stat())
    announced = dict(response.headers)
    assert (await exchange().whole(response)).fields == announced


@pytest.mark.usefixtures("some_time_later")
async def test_what_was_looked_at_before_is_not_taken_for_what_is_there(exchange, path):
    before = path.stat()
    path.write_bytes(b"longer than it was")
    response = FileResponse(path, stat_result=before)
    answer = await exchange(fields=[("If-None-Match", response.headers["etag"])]).whole(
        response
    )
    fresh = await exchange().whole(FileResponse(path))
    assert answer.fields == fresh.fields
    assert answer.content == b"longer than it was"


async def test_fields_given_go_before_what_was_looked_at(exchange, path):
    given = {"etag": '"mine"', "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT"}
    response = FileResponse(path, headers=given, stat_result=path.stat())
    answer = await exchange().whole(response)
    assert {name: answer.fields[name] for name in given} == given


# --- names --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filename", "field"),
    [
        ("a b.txt", 'attachment; filename="a b.txt"'),
        (
            "你好.txt",
            "attachment; filename=\"__.txt\"; filename*=UTF-8''%E4%BD%A0%E5%A5%BD.txt",
        ),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
        ("C:\\temp\\a.txt", 'attachment; filename="a.txt"'),
        ("a\r\nSet-Cookie: b.txt", 'attachment; filename="aSet-Cookie_ b.txt"'),
        ("", "attachment"),
        ("..", "attachment"),
    ],
)
async def test_a_name_is_sent_so_that_it_does_no_harm(exchange, path, filename, field):
    response = FileResponse(path, filename=filename)
    assert response.filename == filename
    answer = await exchange().whole(response)
    assert answer.fields["content-disposition"] == field


async def test_a_disposition_of_another_type_is_an_attachment(exchange, path):
    # As whoever does not know the type takes it (RFC 6266 §4.2).
    response = FileResponse(path, filename="a.txt", content_disposition_type="save")
    answer = await exchange().whole(response)
    assert answer.fields["content-disposition"] == 'attachment; filename="a.txt"'


# --- files that change --------------------------------------------------------------------

PART = ("Range", "bytes=5-")


@pytest.fixture
def at(monkeypatch):
    """Set the clock, to so many seconds since 1970."""

    def at(seconds):
        monkeypatch.setattr(time, "time", lambda: seconds)
        monkeypatch.setattr(time, "time_ns", lambda: round(seconds * 10**9))

    return at


async def test_a_file_just_made_can_be_resumed_by_its_tag(exchange, path):
    path.write_bytes(b"0123456789")
    tag = (await exchange().whole(FileResponse(path))).fields["etag"]
    answer = await exchange(fields=[PART, ("If-Range", tag)]).whole(FileResponse(path))
    assert (answer.status, answer.content) == (206, b"56789")


async def test_the_date_of_a_file_just_changed_splices_nothing(exchange, path, at):
    at(DATE.timestamp() + 0.6)
    os.utime(path, (DATE.timestamp() + 0.1, DATE.timestamp() + 0.1))
    first = await exchange().whole(FileResponse(path))
    path.write_bytes(b"something else")
    os.utime(path, (DATE.timestamp() + 0.5, DATE.timestamp() + 0.5))  # in the same second

    resumed = exchange(fields=[PART, ("If-Range", first.fields["last-modified"])])
    answer = await resumed.whole(FileResponse(path))
    assert (answer.status, answer.content) == (200, b"something else")
    assert answer.fields["last-modified"] == first.fields["last-modified"]


async def test_the_tag_of_a_file_just_changed_splices_nothing_ever(exchange, path, at):
    changed_at = path.stat().st_ctime
    at(changed_at)  # and so it stays, however long one waits
    tag = (await exchange().whole(FileResponse(path))).fields["etag"]
    assert tag.startswith('W/"')
    for later in (0, 60):
        at(changed_at + later)
        answer = await exchange(fields=[PART, ("If-Range", tag)]).whole(FileResponse(path))
        assert answer.status == 200


async def test_a_file_just_changed_is_confirmed_to_a_cache(exchange, path):
    response = FileResponse(path)
    tag = (await exchange().whole(response)).fields["etag"]
    answer = await exchange(fields=[("If-None-Match", tag)]).whole(response)
    assert answer.status == 304


@pytest.mark.usefixtures("some_time_later")
async def test_a_file_replaced_by_one_of_the_same_length_and_date_has_another_tag(
    exchange, path
):
    tag = (await exchange().whole(FileResponse(path))).fields["etag"]
    path.with_name("new").write_bytes(b"abcdefghij")
    os.utime(path.with_name("new"), (DATE.timestamp(), DATE.timestamp()))
    path.with_name("new").replace(path)
    answer = await exchange(fields=[PART, ("If-Range", tag)]).whole(FileResponse(path))
    assert (answer.status, answer.content) == (200, b"abcdefghij")


async def test_a_file_that_shrinks_while_it_is_sent_does_not_end_politely(exchange, path):
    os.truncate(path, 3 * MEBIBYTE)
    ran = Ran()
    asked = exchange()
    sending = asyncio.create_task(asked.of(FileResponse(path, background=ran.task)))
    await asked.has(MEBIBYTE)
    asked.stall()
    os.truncate(path, MEBIBYTE + 5)
    asked.go_on()
    with pytest.raises(StorageUnavailable, match="ended at"):
        await sending
    assert not asked.is_ended
    assert ran.count == 0


async def test_a_file_that_grows_while_it_is_sent_is_sent_as_long_as_promised(exchange, path):
    os.truncate(path, 3 * MEBIBYTE)
    asked = exchange()
    sending = asyncio.create_task(asked.whole(FileResponse(path)))
    await asked.has(MEBIBYTE)
    os.truncate(path, 4 * MEBIBYTE)
    assert len((await sending).content) == 3 * MEBIBYTE


# --- the client leaves, and what is done then ---------------------------------------------


@pytest.mark.parametrize("tells", [True, False])
async def test_a_client_that_leaves_ends_the_reading_and_not_the_background(
    exchange, path, open_files, tells
):
    os.truncate(path, 50 * MEBIBYTE)
    ran = Ran()
    asked = exchange(leaves_at=2 * MEBIBYTE, tells=tells)
    await asked.of(FileResponse(path, background=ran.task))
    assert not asked.is_ended
    assert len(asked.content) == 2 * MEBIBYTE
    assert ran.count == 1
    assert open_files() == []


@pytest.mark.parametrize("length", [10, MEBIBYTE])
@pytest.mark.parametrize("tells", [True, False])
async def test_a_client_that_left_before_the_answer_is_no_error(
    exchange, path, closed, length, tells
):
    os.truncate(path, length)
    ran = Ran()
    asked = exchange(tells=tells)
    asked.leave()
    await asked.of(FileResponse(path, background=ran.task))
    assert asked.status is None
    assert ran.count == 1
    await closed()


async def test_a_follower_that_leaves_ends_the_reading_and_not_the_background(exchange, store):
    writer = await store.create("blob")
    ran = Ran()
    asked = exchange()
    file = Representation("text/plain", Validators(None, None))
    response = BlobResponse(store.open("blob"), file, background=ran.task)
    following = asyncio.create_task(asked.of(response))
    await asked.begins()
    asked.leave()
    await following
    assert ran.count == 1
    await writer.append(0, [b"still growing"])
    await writer.abandon()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([], 200),
        ([PART], 206),
        ([("If-None-Match", "*")], 304),
        ([("If-Match", '"v0"')], 412),
        ([("Range", "bytes=99-")], 416),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_background_runs_once_after_each_response(
    exchange, path, method, fields, status
):
    for make in (lambda task: FileResponse(path, background=task), None):
        ran = Ran()
        response = make(ran.task) if make else await sealed(b"0123456789", background=ran.task)
        answer = await exchange(method, fields).whole(response)
        assert answer.status == (200 if method == "HEAD" and status in (206, 416) else status)
        assert ran.count == 1


async def test_the_background_may_remove_the_file(exchange, path):
    answer = await exchange().whole(FileResponse(path, background=BackgroundTask(path.unlink)))
    assert answer.content == b"0123456789"
    assert not path.exists()


# --- blobs --------------------------------------------------------------------------------


async def test_a_blob_is_opened_when_the_response_is_sent(exchange):
    opened = []
    store = MemoryBlobs()

    @asynccontextmanager
    async def opening():
        opened.append("opened")
        async with store.open("blob") as reader:
            yield reader
        opened.append("closed")

    response = BlobResponse(opening(), Representation("text/plain", Validators(None, None)))
    writer = await store.create("blob")
    await writer.append(0, [b"made later"])
    await writer.seal()
    assert opened == []
    assert (await exchange().whole(response)).content == b"made later"
    assert opened == ["opened", "closed"]


async def test_a_missing_blob_is_known_before_the_head(exchange):
    file = Representation("text/plain", Validators(None, None))
    asked = exchange()
    with pytest.raises(BlobMissing):
        await asked.of(BlobResponse(MemoryBlobs().open("blob"), file))
    assert asked.status is None


async def test_headers_of_a_blob_take_the_place_of_ours(exchange):
    response = await sealed(b"whole", headers={"ETag": '"v2"', "X-Mine": "1"})
    response.set_cookie("a", "1")
    answer = await exchange(fields=[("If-None-Match", '"v1"')]).whole(response)
    assert answer.status == 200
    assert answer.fields["etag"] == '"v2"'
    assert answer.fields["x-mine"] == "1"
    assert answer.fields["set-cookie"].startswith("a=1")


# --- FastAPI ------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [[], [PART]], ids=str)
async def test_an_endpoint_may_return_a_file(exchange, path, fields):
    ran = Ran()
    app = FastAPI()

    @app.get("/")
    async def endpoint(background: BackgroundTasks):
        background.add_task(ran.task)
        return FileResponse(path, filename="a.txt")

    answer = await exchange(fields=fields).whole(app)
    assert answer.status == (206 if fields else 200)
    assert answer.content == (b"56789" if fields else b"0123456789")
    assert answer.fields["content-disposition"] == 'attachment; filename="a.txt"'
    assert ran.count == 1


async def test_an_endpoint_may_return_the_path_of_a_file(exchange, path):
    app = FastAPI()

    @app.get("/", response_class=FileResponse, status_code=203)
    async def endpoint(response: Response):
        response.headers["X-Mine"] = "1"
        return str(path)

    answer = await exchange().whole(app)
    assert answer.status == 203
    assert answer.content == b"0123456789"
    assert answer.fields["x-mine"] == "1"
    assert "/" in app.openapi()["paths"]


async def test_an_endpoint_of_another_method_may_return_a_file(exchange, path):
    app = FastAPI()

    @app.post("/")
    async def endpoint():
        return FileResponse(path)

    answer = await exchange("POST", [PART, ("If-None-Match", "*")]).whole(app)
    assert (answer.status, answer.content) == (200, b"0123456789")


# --- under middleware, on a real server ---------------------------------------------------


async def passed_on(request, call_next):
    return await call_next(request)


def bare(app):
    return app


def under_base(app):
    return BaseHTTPMiddleware(app, passed_on)


def under_gzip(app):
    return GZipMiddleware(app)


def under_base_and_gzip(app):
    return BaseHTTPMiddleware(GZipMiddleware(app), passed_on)


def under_gzip_and_base(app):
    return GZipMiddleware(BaseHTTPMiddleware(app, passed_on))


def under_what_takes_content_alone(app):
    """What is often written: the content goes through a queue, and its end is the end."""

    async def middleware(scope, receive, send):
        queue = asyncio.Queue()

        async def below():
            with suppress(Exception):
                await app(scope, receive, queue.put)
            await queue.put({"type": "http.response.body", "body": b""})

        task = asyncio.create_task(below())
        await send(await queue.get())
        is_over = False
        while not is_over:
            message = await queue.get()
            if message["type"] == "http.response.body":
                await send({**message, "body": message["body"] or b""})
                is_over = not message.get("more_body", False)
        await task

    return middleware


MIDDLEWARE = [
    bare,
    under_base,
    under_gzip,
    under_base_and_gzip,
    under_gzip_and_base,
    under_what_takes_content_alone,
]
each_middleware = pytest.mark.parametrize("middleware", MIDDLEWARE)


def dechunked(content):
    """Return the bytes in chunks, and whether the last chunk came (RFC 9112 §7.1)."""
    found = b""
    while match := re.match(rb"([0-9a-f]+)\r\n", content):
        length = int(match[1], 16)
        if length == 0:
            return found, content[match.end() :] == b"\r\n"
        found += content[match.end() : match.end() + length]
        content = content[match.end() + length + 2 :]
    return found, False


def decoded(content, fields):
    if fields.get("content-encoding") != "gzip":
        return content
    return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(content)


class Growing:
    """An app that follows one blob which is being written."""

    def __init__(self, store):
        self._store = store
        self.ran = Ran()
        self.writer = None

    async def __call__(self, scope, receive, send):
        response = BlobResponse(
            self._store.open("blob"),
            Representation("text/plain", Validators(EntityTag("v1"), None)),
            background=self.ran.task,
        )
        await response(scope, receive, send)


@pytest.fixture
async def growing(store):
    growing = Growing(store)
    growing.writer = await store.create("blob")
    await growing.writer.append(0, [b"first" * 1000])
    return growing


ASKING = ("Accept-Encoding: gzip", "Connection: close")


@each_middleware
async def test_what_is_followed_to_its_seal_ends_whole(serve, growing, middleware):
    async with serve(middleware(growing)) as server, server.connection() as client:
        client.ask(*ASKING)
        status, fields = await client.head()
        await growing.writer.append(5000, [b"second" * 1000])
        await growing.writer.seal()
        content, is_ended = dechunked(await client.rest())
    assert status == 200
    assert decoded(content, fields) == b"first" * 1000 + b"second" * 1000
    assert is_ended
    assert growing.ran.count == 1


@each_middleware
async def test_what_is_abandoned_is_cut(serve, growing, middleware, caplog):
    async with serve(middleware(growing)) as server, server.connection() as client:
        client.ask(*ASKING)
        status, fields = await client.head()
        await growing.writer.abandon()
        content, is_ended = dechunked(await client.rest())
    assert status == 200
    assert (b"first" * 1000).startswith(decoded(content, fields))
    assert not is_ended, "a polite end before the end"
    assert growing.ran.count == 0
    told = [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert told == [BlobAbandoned]


@each_middleware
async def test_a_follower_that_leaves_is_noticed_by_a_real_server(
    serve, growing, middleware, open_files
):
    async with serve(middleware(growing)) as server:
        async with server.connection() as client:
            client.ask(*ASKING)
            await client.head()
        async with asyncio.timeout(10):
            await server.is_idle()
        assert growing.ran.count == 1
        await growing.writer.append(5000, [b"it goes on"])
        await growing.writer.seal()
    assert open_files() == []


@pytest.mark.parametrize("middleware", [bare, under_base])
async def test_a_file_that_shrinks_is_cut_by_a_real_server(serve, path, middleware, caplog):
    length = 64 * MEBIBYTE  # more than the kernel takes before the client reads
    os.truncate(path, length)
    async with serve(middleware(FileResponse(path))) as server, server.connection() as client:
        client.ask()
        status, fields = await client.head()
        os.truncate(path, 1)
        content = await client.rest()
    assert status == 200
    assert fields["content-length"] == str(length)
    assert len(content) < length
    told = [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert told == [StorageUnavailable]


@pytest.mark.parametrize("middleware", [bare, under_base])
async def test_a_client_that_leaves_is_noticed_by_a_real_server(
    serve, path, middleware, closed
):
    os.truncate(path, 64 * MEBIBYTE)
    ran = Ran()
    app = middleware(FileResponse(path, background=ran.task))
    async with serve(app) as server:
        async with server.connection() as client:
            client.ask()
            await client.head()
        async with asyncio.timeout(10):
            await server.is_idle()
    assert ran.count == 1
    await closed()


@each_middleware
async def test_a_file_goes_whole_through_middleware(serve, path, middleware):
    content = os.urandom(MEBIBYTE)
    path.write_bytes(content)
    async with serve(middleware(FileResponse(path))) as server, server.connection() as client:
        client.ask(*ASKING)
        status, fields = await client.head()
        received = await client.rest()
    assert status == 200
    if "content-length" in fields:
        assert len(received) == int(fields["content-length"])
    else:
        received, is_ended = dechunked(received)
        assert is_ended
    assert decoded(received, fields) == content


@each_middleware
async def test_a_small_file_has_one_length_through_middleware(serve, path, middleware):
    path.write_bytes(b"compressible" * 100)
    async with serve(middleware(FileResponse(path))) as server, server.connection() as client:
        client.ask(*ASKING)
        _, fields = await client.head()
        received = await client.rest()
    if middleware is not under_gzip_and_base:  # which hides from the former that it is small
        assert int(fields["content-length"]) == len(received)
        assert decoded(received, fields) == b"compressible" * 100


@pytest.mark.usefixtures("some_time_later")
async def test_a_connection_goes_on_after_each_kind_of_response(serve, path):
    async with serve(FileResponse(path)) as server, server.connection() as client:
        client.ask(method="HEAD")
        status, fields = await client.head()
        assert (status, fields["content-length"]) == (200, "10")

        client.ask(f"If-None-Match: {fields['etag']}")
        assert (await client.head())[0] == 304

        client.ask("Range: bytes=99-")
        status, refused = await client.head()
        assert (status, refused["content-range"]) == (416, "bytes */10")
        assert json.loads(await client.exactly(int(refused["content-length"])))

        client.ask("Range: bytes=0-1,8-9")
        status, parts = await client.head()
        assert status == 206
        assert b"bytes 8-9/10" in await client.exactly(int(parts["content-length"]))

        client.ask("Range: bytes=5-", f"If-Range: {fields['etag']}", "Connection: close")
        assert (await client.head())[0] == 206
        assert await client.rest() == b"56789"
