"""Applications that know nothing of this server, with Starlette's own responses."""

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import GET, HEAD, Cut, until
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, StreamingResponse
from starlette.routing import Route
from starlette.staticfiles import StaticFiles


async def untouched(request, call_next):
    return await call_next(request)


MIDDLEWARE = {
    "none": [],
    "gzip": [Middleware(GZipMiddleware)],
    "dispatch": [Middleware(BaseHTTPMiddleware, dispatch=untouched)],
    "both": [Middleware(GZipMiddleware), Middleware(BaseHTTPMiddleware, dispatch=untouched)],
}


def application(path, middleware=(), **options):
    async def endpoint(request):
        return FileResponse(path, **options)

    return Starlette(routes=[Route("/", endpoint)], middleware=middleware)


def get(*fields):
    return b"\r\n".join((b"GET / HTTP/1.1", b"Host: a", *fields, b"", b""))


@pytest.fixture(params=MIDDLEWARE)
def middleware(request):
    return MIDDLEWARE[request.param]


def test_a_file_arrives_through_any_middleware(served, path, content, middleware, nothing_left):
    served.app = application(path, middleware)
    with served.connect() as client:
        for _ in range(2):
            client.send(get(b"Accept-Encoding: gzip"))
            assert client.response().content == content
        client.send(HEAD)
        assert client.response("HEAD").fields["content-length"] == str(len(content))


def test_a_file_is_sent_by_the_kernel(served, long_path, monkeypatch):
    """And not by the application, in chunks."""
    sent = []
    sendfile = os.sendfile

    def counting(*arguments):
        sent.append(sendfile(*arguments))
        return sent[-1]

    monkeypatch.setattr(os, "sendfile", counting)
    served.app = application(long_path)
    assert served.get().content == long_path.read_bytes()
    assert sum(sent) == long_path.stat().st_size


positions = st.integers(0, 310 * 1024)
ranges = st.one_of(
    st.tuples(positions, positions).map(lambda pair: (min(pair), max(pair))),
    st.tuples(positions, st.none()),
    st.tuples(st.none(), positions.filter(bool)),
)


@given(st.lists(ranges, min_size=1, max_size=4), st.sampled_from(list(MIDDLEWARE)))
@settings(max_examples=40, deadline=None)
def test_ranges_are_those_of_the_file(served, path, content, ranges, middleware):
    served.app = application(path, MIDDLEWARE[middleware])
    asked = ",".join(
        f"{'' if first is None else first}-{'' if last is None else last}"
        for first, last in ranges
    )
    response = served.get(get(b"Range: bytes=" + asked.encode()))
    if response.status == 416:
        assert any(first is not None and first >= len(content) for first, _ in ranges)
        return
    assert response.status == 206
    parts = list(parts_of(response))
    for first, last, part in parts:
        assert part == content[first : last + 1]
    selected = {
        position for first, last in ranges for position in _edges(first, last, len(content))
    }
    covered = [(first, last) for first, last, _ in parts]
    assert all(any(first <= at <= last for first, last in covered) for at in selected)


def _edges(first, last, length):
    if first is None:
        return max(length - last, 0), length - 1
    return first, min(length - 1 if last is None else last, length - 1)


def parts_of(response):
    """The first and last position and the content of each part."""
    kind, _, boundary = response.fields["content-type"].partition("; boundary=")
    if kind != "multipart/byteranges":
        yield _part(response.fields["content-range"], response.content)
        return
    pieces = response.content.split(b"--" + boundary.encode())
    assert pieces[-1] == b"--"
    for piece in pieces[1:-1]:
        head, _, rest = piece.partition(b"\r\n\r\n")
        (field,) = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Range: ")]
        yield _part(field.partition(b": ")[2].decode(), rest.removesuffix(b"\r\n"))


def _part(content_range, content):
    first, _, last = content_range.removeprefix("bytes ").partition("/")[0].partition("-")
    return int(first), int(last), content


def test_static_files_are_served(served, path, content):
    served.app = StaticFiles(directory=path.parent)
    with served.connect() as client:
        request = f"GET /{path.name} HTTP/1.1\r\nHost: a\r\n".encode()
        client.send(request, b"\r\n")
        response = client.response()
        assert response.content == content
        client.send(request, b"If-None-Match: ", response.fields["etag"].encode(), b"\r\n\r\n")
        assert client.response().status == 304


@pytest.mark.parametrize("how", ["close", "reset"])
def test_clean_up_behind_a_file_runs_also_when_the_client_leaves(
    served, long_path, how, nothing_left
):
    cleaned_up = threading.Event()
    served.app = application(long_path, background=BackgroundTask(cleaned_up.set))
    client = served.connect(receive_buffer=65536)
    client.send(GET)
    client.head()
    getattr(client, how)()
    assert cleaned_up.wait(10)


def test_clean_up_behind_a_file_waits_until_it_is_sent(served, long_path, nothing_left):
    cleaned_up = threading.Event()
    served.app = application(long_path, background=BackgroundTask(cleaned_up.set))
    with served.connect(receive_buffer=65536) as client:
        client.send(GET)
        client.head()
        assert not cleaned_up.wait(0.05)
        client._exactly(long_path.stat().st_size, b"")
        assert cleaned_up.wait(10)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_generator_that_never_waits_ends_with_its_client(served, how, nothing_left):
    async def endless():
        while True:
            yield b"x" * 1000

    async def endpoint(request):
        return StreamingResponse(endless())

    served.app = Starlette(routes=[Route("/", endpoint)])
    client = served.connect()
    client.send(GET)
    client.head()
    getattr(client, how)()


def test_a_file_removed_before_it_is_sent_is_a_500(served, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    found = path.stat()
    path.unlink()
    served.app = application(path, stat_result=found)
    assert served.get().status == 500


def test_a_file_that_became_shorter_is_never_ended_politely(served, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000))
    found = path.stat()
    path.write_bytes(bytes(50_000))
    served.app = application(path, stat_result=found)
    assert served.get().status == 500  # all that was promised is no longer there
    with pytest.raises(Cut):  # Starlette itself sends ranges; here the head has left
        served.get(get(b"Range: bytes=10000-89999"))
    until(lambda: not served.connections)
