"""Memory is the same for any length."""

import hashlib
import os
import re
from pathlib import Path

import pytest

MEBIBYTE = 2**20
LENGTH = 300 * MEBIBYTE
LIMIT_KIB = 110 * 1024


@pytest.fixture
def source(tmp_path):
    """A large file, no two blocks of which are the same."""
    path = tmp_path / "large.bin"
    noise = os.urandom(MEBIBYTE)
    with path.open("wb") as file:
        for n in range(LENGTH // MEBIBYTE):
            file.write(n.to_bytes(8) + noise[8:])
    yield path
    path.unlink()


def most_memory(process):
    """The most that a process had in memory at any time, in KiB."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("this system does not tell how much memory a process had")
    return int(re.search(r"VmHWM:\s+([0-9]+) kB", status.read_text())[1])


def test_a_large_file_is_uploaded_followed_and_downloaded_in_little_memory(
    serve, started, curl, until, http, source, sha256, tmp_path
):
    with serve(tmp_path / "data") as service:
        uploading = started(
            *curl, "-T", source, "--limit-rate", "200M", service.url("/uploads/")
        )
        until("the upload began", lambda: service.state("large.bin") == "growing")
        file = service.file("large.bin")
        followed = hashlib.sha256()
        with http.get(file["links"][0]["url"], stream=True) as response:
            for chunk in response.iter_content(MEBIBYTE):
                followed.update(chunk)
        assert uploading.wait(30) == 0
        downloaded = hashlib.sha256()
        with http.get(file["links"][0]["url"], stream=True) as response:
            assert int(response.headers["Content-Length"]) == LENGTH
            for chunk in response.iter_content(MEBIBYTE):
                downloaded.update(chunk)
        assert followed.hexdigest() == downloaded.hexdigest() == sha256(source)
        most = most_memory(service.process)
        http.delete(service.url(f"/files/{file['id']}"))
    assert most < LIMIT_KIB
