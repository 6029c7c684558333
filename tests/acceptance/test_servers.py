"""The same application, with middleware in front, on every server that people run.

On each, a file and a link are answered whole and in part, a growing file is followed, and what
is given up is cut: the ways the bytes take are different on each.
"""

import base64
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

HERE = Path(__file__).parent
SECONDS_TO_START = 30

UVICORN = ("-m", "uvicorn", "--app-dir", HERE, "--log-level", "error", "--port", "{port}")
TLS = ("--ssl-keyfile", "{place}/key.pem", "--ssl-certfile", "{place}/certificate.pem")
SERVERS = {
    "tailrace": (*UVICORN, "--http", "tailrace.server:Protocol", "mounted:app"),
    "tailrace with TLS": (*UVICORN, "--http", "tailrace.server:Protocol", *TLS, "mounted:app"),
    "httptools": (*UVICORN, "--http", "httptools", "mounted:app"),
    "h11": (*UVICORN, "--http", "h11", "mounted:app"),
    "hypercorn": ("-m", "hypercorn", "--bind", "127.0.0.1:{port}", "mounted:app"),
    "granian": (
        *("-m", "granian", "--interface", "asgi", "--working-dir", HERE),
        *("--port", "{port}", "--log-level", "error", "mounted:app"),
    ),
}

CONTENT = os.urandom(3 * 1024 * 1024)
PART = os.urandom(200_000)


class Running:
    """A server that runs, as one client sees it."""

    def __init__(self, name, origin, session):
        self.name = name
        self.session = session
        self.origin = origin

    def get(self, path, method="GET", timeout=30, **fields):
        names = {name.replace("_", "-"): value for name, value in fields.items()}
        fields = {"Accept-Encoding": "identity"} | names
        url = path if path.startswith("http") else self.origin + path
        return self.session.request(method, url, headers=fields, stream=True, timeout=timeout)

    def begin(self, name, content):
        """Begin an upload; return its address and its link."""
        begun = self.session.post(
            f"{self.origin}/share/uploads?name={name}",
            data=content,
            headers={"Upload-Complete": "?0"},
            timeout=30,
        )
        assert begun.status_code == 201, begun.text
        return begun.headers["Location"], begun.json()["links"][0]["url"]

    def append(self, address, offset, content, *, is_last):
        appended = self.session.patch(
            address,
            data=content,
            headers={
                "Content-Type": "application/partial-upload",
                "Upload-Offset": str(offset),
                "Upload-Complete": "?1" if is_last else "?0",
            },
            timeout=30,
        )
        assert appended.status_code < 300, appended.text


@pytest.fixture(scope="module", params=SERVERS)
def server(request, program, tmp_path_factory):
    place = tmp_path_factory.mktemp("mounted")
    (place / "file.bin").write_bytes(CONTENT)
    command = SERVERS[request.param]
    has_tls = TLS[0] in command
    if has_tls:
        make_certificate(program("openssl"), place)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, *(str(word).format(port=port, place=place) for word in command)],
        cwd=HERE,
        env=os.environ | {"MOUNTED_PLACE": str(place)},
    )
    with process, requests.Session() as session:
        session.trust_env = False
        session.verify = str(place / "certificate.pem") if has_tls else True
        try:
            wait_for(port, process)
            scheme = "https" if has_tls else "http"
            yield Running(request.param, f"{scheme}://127.0.0.1:{port}", session)
        finally:
            session.close()
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def make_certificate(openssl, place):
    subprocess.run(
        (
            *(openssl, "req", "-x509", "-nodes", "-subj", "/CN=127.0.0.1"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", place / "key.pem", "-out", place / "certificate.pem"),
        ),
        check=True,
        capture_output=True,
    )


def wait_for(port, process):
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        assert process.poll() is None, "the server has ended"
        assert time.monotonic() < deadline, "the server does not listen"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def link(server):
    """The link of a sealed file."""
    put = server.session.put(f"{server.origin}/share/uploads/a.bin", data=CONTENT, timeout=30)
    assert put.status_code == 201, put.text
    return put.text.strip()


@pytest.fixture(params=["file", "link"])
def address(request, server):
    return "/file" if request.param == "file" else request.getfixturevalue("link")


# --- what is whole ------------------------------------------------------------------------


def test_the_whole_arrives(server, address):
    response = server.get(address)
    assert response.status_code == 200
    assert response.headers["Content-Length"] == str(len(CONTENT))
    assert response.content == CONTENT


def test_the_whole_arrives_where_it_may_be_compressed(server, address):
    response = server.get(address, Accept_Encoding="gzip")
    assert response.content == CONTENT


def test_a_link_tells_the_digest(server, link):
    digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert server.get(link).headers["Repr-Digest"] == f"sha-256=:{digest}:"


def test_a_part_arrives(server, address):
    response = server.get(address, Range="bytes=100000-1999999")
    assert response.status_code == 206
    assert response.headers["Content-Range"] == f"bytes 100000-1999999/{len(CONTENT)}"
    assert response.content == CONTENT[100_000:2_000_000]


def test_several_parts_arrive(server, address):
    response = server.get(address, Range="bytes=0-99999,1000000-1099999,-9")
    assert response.status_code == 206
    boundary = response.headers["Content-Type"].partition("boundary=")[2].encode()
    content = response.content
    assert len(content) == int(response.headers["Content-Length"])
    found = [
        piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        for piece in content.split(b"--" + boundary)[1:-1]
    ]
    assert found == [CONTENT[:100_000], CONTENT[1_000_000:1_100_000], CONTENT[-9:]]


def test_head_has_the_fields_of_get_and_no_content(server, address):
    head = server.get(address, method="HEAD")
    assert head.status_code == 200
    assert head.content == b""
    whole = server.get(address)
    whole.content  # noqa: B018  # to its end, so that the connection can be used again
    for name in ("Content-Length", "ETag", "Accept-Ranges", "Content-Type"):
        assert head.headers[name] == whole.headers[name]


def test_a_connection_is_used_again(server, address):
    for _ in range(3):
        assert server.get(address, Range="bytes=5-9").content == CONTENT[5:10]
        assert server.get(address).content == CONTENT


# --- what is growing ----------------------------------------------------------------------


def test_a_growing_file_is_followed_to_its_seal(server):
    upload, link = server.begin("followed", PART)
    with server.get(link) as response:
        assert response.status_code == 200
        assert "Content-Length" not in response.headers
        assert response.raw.read(len(PART)) == PART
        server.append(upload, len(PART), b"more", is_last=False)
        assert response.raw.read(4) == b"more"
        server.append(upload, len(PART) + 4, PART, is_last=True)
        assert response.raw.read() == PART


def test_the_head_comes_before_the_first_byte(server, request):
    if server.name == "granian":
        reason = "it holds the head until some content comes, and BaseHTTPMiddleware drops b''"
        request.applymarker(pytest.mark.xfail(raises=requests.ReadTimeout, reason=reason))
    upload, link = server.begin("empty yet", b"")
    with server.get(link, timeout=3) as response:
        assert response.status_code == 200
        server.append(upload, 0, b"first", is_last=True)
        assert response.content == b"first"


def test_a_growing_file_is_followed_from_where_one_asks(server):
    upload, link = server.begin("resumed", PART)
    with server.get(link, Range="bytes=199990-") as response:
        assert response.status_code == 206
        assert response.raw.read(10) == PART[-10:]
        server.append(upload, len(PART), b"more", is_last=True)
        assert response.raw.read() == b"more"


def test_what_is_given_up_is_cut(server):
    upload, link = server.begin("given up", PART)
    with server.get(link) as response:
        assert response.raw.read(len(PART)) == PART
        assert server.session.delete(upload, timeout=30).status_code == 204
        with pytest.raises(
            (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
        ):
            response.content  # noqa: B018
    assert server.get(link).status_code == 410


def test_a_reader_that_leaves_leaves_nothing_behind(server):
    upload, link = server.begin("left", PART)
    staying = server.get(link)
    assert staying.raw.read(len(PART)) == PART
    with server.get(link) as leaving:
        assert leaving.raw.read(10) == PART[:10]
    server.append(upload, len(PART), b"more", is_last=True)
    assert staying.raw.read() == b"more"
    assert server.get(link).content == PART + b"more"
