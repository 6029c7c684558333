"""Resumable uploads by the clients that people have, tuspy and tus-js-client, and by hand."""

import base64
import hashlib
import json
import os
import socket
import urllib.parse

import pytest
import requests
from tusclient import client as tuspy
from tusclient.exceptions import TusCommunicationError

CONTENT = os.urandom(3_000_000)
VERSION = {"Tus-Resumable": "1.0.0"}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ä file.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def file(path):
    """The file, open: tuspy closes none that it opens by itself."""
    with path.open("rb") as file:
        yield file


@pytest.fixture
def file_at(http):
    """Return the file of an upload, which must be whole and be the content."""

    def file_at(location, content=CONTENT):
        file = http.get(location).json()
        assert (file["state"], file["length"]) == ("sealed", len(content))
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert file["digest"] == {"sha-256": digest}
        assert http.get(file["links"][0]["url"]).content == content
        return file

    return file_at


# --- tuspy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_length", [1_000_000, 10_000_000])
@pytest.mark.parametrize("with_checksums", [False, True])
def test_tuspy_uploads_a_file(service, path, file, file_at, chunk_length, with_checksums):
    uploader = tuspy.TusClient(service.url("/uploads")).uploader(
        file_stream=file,
        chunk_size=chunk_length,
        metadata={"filename": path.name},
        upload_checksum=with_checksums,
    )
    uploader.upload()
    assert file_at(uploader.url)["name"] == path.name


def test_tuspy_goes_on_where_another_stopped(service, file, file_at):
    client = tuspy.TusClient(service.url("/uploads"))
    first = client.uploader(file_stream=file, chunk_size=1_000_000)
    first.upload_chunk()
    second = client.uploader(file_stream=file, chunk_size=700_000, url=first.url)
    assert second.offset == 1_000_000
    second.upload()
    file_at(second.url)


def test_tuspy_goes_on_after_a_crash_of_the_service(serve, tmp_path, file, file_at):
    with serve(tmp_path / "data") as crashing:
        first = tuspy.TusClient(crashing.url("/uploads")).uploader(
            file_stream=file, chunk_size=1_000_000
        )
        first.upload_chunk()
        crashing.kill()
        with pytest.raises((TusCommunicationError, requests.RequestException)):
            first.upload_chunk()
    with serve(tmp_path / "data") as restarted:
        location = restarted.url(urllib.parse.urlsplit(first.url).path)
        second = tuspy.TusClient(restarted.url("/uploads")).uploader(
            file_stream=file, chunk_size=1_000_000, url=location
        )
        assert second.offset == 1_000_000
        second.upload()
        file_at(location)


def test_a_connection_that_hangs_is_taken_over_at_once(service, http, file, file_at):
    created = http.post(
        service.url("/uploads"), headers={**VERSION, "Upload-Length": str(len(CONTENT))}
    )
    location = created.headers["Location"]
    parts = urllib.parse.urlsplit(location)
    with socket.create_connection((parts.hostname, parts.port)) as hanging:
        hanging.sendall(
            f"PATCH {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nTus-Resumable: 1.0.0\r\n"
            "Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n"
            f"Content-Length: {len(CONTENT)}\r\n\r\n".encode()
            + CONTENT[:1000]
        )
        following = http.get(created.json()["links"][0]["url"], stream=True)
        assert following.raw.read(1000) == CONTENT[:1000]
        uploader = tuspy.TusClient(service.url("/uploads")).uploader(
            file_stream=file, url=location
        )
        assert uploader.offset == 1000
        uploader.upload()
        assert following.raw.read() == CONTENT[1000:]
    file_at(location)


def test_a_whole_file_that_is_cut_goes_on_where_its_client_was_told_early(
    service, http, file_at
):
    parts = urllib.parse.urlsplit(service.address)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as cut:
        cut.sendall(
            f"POST /uploads HTTP/1.1\r\nHost: {parts.netloc}\r\nUpload-Complete: ?1\r\n"
            "Upload-Draft-Interop-Version: 10\r\n"
            f"Content-Length: {len(CONTENT)}\r\n\r\n".encode()
            + CONTENT[:1000]
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += cut.recv(1)
    status_line, *lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines if line)
    assert status_line.split()[1] == "104"
    location = fields["location"]
    offset = int(http.head(location).headers["Upload-Offset"])
    assert offset <= 1000
    ended = http.patch(
        location,
        CONTENT[offset:],
        headers={
            "Upload-Offset": str(offset),
            "Upload-Complete": "?1",
            "Content-Type": "application/partial-upload",
        },
    )
    assert ended.status_code == 200
    file_at(location)


# --- tus-js-client --------------------------------------------------------------------------


@pytest.fixture
def tus_js_client(program, javascript, run, service, path):
    """Upload the file with tus-js-client, and return the address of the upload."""
    node = program("node")

    def tus_js_client(source="buffer", *, stop_at=None, **options):
        options = {"endpoint": service.url("/uploads"), **options}
        task = {"path": str(path), "as": source, "options": options}
        if stop_at is not None:
            task["stopAt"] = stop_at
        done = run(node, javascript / "upload.js", json.dumps(task))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return tus_js_client


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("buffer", {}),
        ("file", {"chunkSize": 1_000_000}),
        ("buffer", {"uploadDataDuringCreation": True, "chunkSize": 1_000_000}),
        ("file", {"uploadDataDuringCreation": True}),
        ("stream", {"uploadLengthDeferred": True, "chunkSize": 700_000}),
        ("buffer", {"overridePatchMethod": True, "chunkSize": 1_000_000}),
    ],
    ids=lambda given: given if isinstance(given, str) else "+".join(given) or "plain",
)
def test_tus_js_client_uploads_a_file(tus_js_client, file_at, path, source, options):
    metadata = {"filename": path.name, "filetype": "image/png"}
    file = file_at(tus_js_client(source, metadata=metadata, **options))
    assert (file["name"], file["media_type"]) == (path.name, "image/png")


def test_tus_js_client_goes_on_after_an_abort(tus_js_client, file_at):
    file_at(tus_js_client(stop_at=500_000, chunkSize=500_000))


def test_tus_js_client_uploads_parts_at_once_and_joins_them(tus_js_client, file_at, path):
    file = file_at(tus_js_client(parallelUploads=3, metadata={"filename": path.name}))
    assert file["name"] == path.name


@pytest.mark.parametrize("protocol", ["ietf-draft-03", "ietf-draft-05"])
@pytest.mark.parametrize("source", ["buffer", "file"])
@pytest.mark.parametrize("with_creation", [False, True])
def test_tus_js_client_speaks_the_drafts_of_the_ietf(
    tus_js_client, file_at, protocol, source, with_creation
):
    options = {"uploadDataDuringCreation": with_creation, "chunkSize": 1_000_000}
    file_at(tus_js_client(source, protocol=protocol, **options))


def test_tus_js_client_goes_on_after_an_abort_by_the_draft(tus_js_client, file_at):
    file_at(tus_js_client(stop_at=500_000, chunkSize=500_000, protocol="ietf-draft-05"))
