"""Uploads of a declared length go from the socket to the disk past the program."""

import base64
import hashlib
import os
import re
import socket
import struct
import urllib.parse
from pathlib import Path

import pytest

CONTENT = os.urandom(3 * 2**20 + 1)
DIGEST = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()


@pytest.fixture
def put(service):
    """Begin a PUT by hand; its head says what is given, whatever is sent of it."""
    address = urllib.parse.urlsplit(service.address)

    def put(name, length):
        connection = socket.create_connection((address.hostname, address.port), timeout=30)
        head = f"PUT /uploads/{name} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
        return connection

    return put


def written(process):
    """How many bytes a process has written, without those that the kernel has moved."""
    return int(re.search("wchar: ([0-9]+)", Path(f"/proc/{process.pid}/io").read_text())[1])


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_content_does_not_pass_through_the_program(service, http, method):
    before = written(service.process)
    path = "/uploads/a.bin" if method == "PUT" else "/uploads?name=a.bin"
    answer = http.request(
        method, service.url(path), data=CONTENT, headers={"Accept": "application/json"}
    )
    file = answer.json()
    assert (file["length"], file["state"]) == (len(CONTENT), "sealed")
    assert file["digest"] == {"sha-256": DIGEST}
    # What came with the head, and the catalogue's own.
    assert written(service.process) - before < len(CONTENT) / 2
    assert http.get(file["links"][0]["url"]).content == CONTENT


def test_a_resumed_upload_lands_behind_what_it_has(service, http):
    fields = {"Upload-Complete": "?0", "Upload-Length": str(len(CONTENT))}
    begun = http.post(service.url("/uploads?name=resumed"), data=CONTENT[:1000], headers=fields)
    fields = {"Content-Type": "application/partial-upload", "Upload-Complete": "?1"}
    end = http.patch(
        begun.headers["Location"],
        data=CONTENT[1000:],
        headers=fields | {"Upload-Offset": "1000", "Repr-Digest": f"sha-256=:{DIGEST}:"},
    )
    assert end.ok
    assert service.file("resumed")["digest"] == {"sha-256": DIGEST}
    assert http.get(service.link("resumed")).content == CONTENT


def test_a_wrong_digest_is_refused_after_landing(service, http):
    answer = http.put(
        service.url("/uploads/wrong"),
        data=CONTENT,
        headers={"Repr-Digest": f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"},
    )
    assert answer.status_code == 400
    assert service.state("wrong") == "abandoned"


def test_a_follower_has_each_byte_as_soon_as_it_lands(service, put, until, http):
    with put("followed", 1000) as connection:
        connection.sendall(b"first")
        until("it was begun", lambda: service.length("followed") == 5)
        with http.get(service.link("followed"), stream=True) as response:
            assert response.raw.read(5) == b"first"
            connection.sendall(b"-second")
            assert response.raw.read(7) == b"-second"
            connection.sendall(bytes(1000 - 12))
            assert response.raw.read() == bytes(1000 - 12)


@pytest.mark.parametrize("leaving", ["close", "reset"])
def test_an_upload_that_is_cut_off_tells_how_far_it_came(service, put, until, leaving):
    name = f"cut-by-{leaving}"
    with put(name, 1000) as connection:
        connection.sendall(b"first")
        until("it has landed", lambda: service.length(name) == 5)
        if leaving == "reset":
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    until("it was given up", lambda: service.state(name) == "abandoned")
    assert service.file(name)["reason"] == "its sender was cut off after 5 bytes"


def test_a_file_that_is_deleted_while_it_lands_ends_its_upload(service, put, until, http):
    with put("deleted", 2**30) as connection:
        connection.sendall(b"first")
        until("it has landed", lambda: service.length("deleted") == 5)
        http.delete(service.url(f"/files/{service.file('deleted')['id']}"))
        connection.sendall(b"more")
        assert connection.recv(12) == b"HTTP/1.1 410"


def test_many_slow_uploads_are_taken_at_once(service, put, until):
    connections = [put(f"slow-{number}", 10) for number in range(100)]
    for connection in connections:
        connection.sendall(b"first")
    until(
        "all have landed",
        lambda: (
            sum(file["name"][:5] == "slow-" and file["length"] == 5 for file in service.files())
            == 100
        ),
    )
    threads = len(os.listdir(f"/proc/{service.process.pid}/task"))
    for connection in connections:
        connection.sendall(b"-last")
        assert connection.recv(12) == b"HTTP/1.1 201"
        connection.close()
    assert threads < 50
