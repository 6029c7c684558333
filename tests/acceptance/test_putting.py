"""`tailrace put` and the service, through the ends of both."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import urllib.parse

import pytest

CONTENT = os.urandom(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(CONTENT)
    return source


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_the_same_command_goes_on_whatever_became_of_either_side(
    serve, tailrace, source, started, run, http, until, tmp_path, end
):
    memory = tmp_path / "state/tailrace/uploads"
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(reading, "rb"), open(writing, "wb", 0) as full:
        while full.write(bytes(65536)):
            pass
        # Where nobody reads the link, no byte is sent.
        os.set_blocking(writing, True)
        with serve(tmp_path / "data") as before:
            put = [*tailrace, "put", source, "--to", before.address]
            putting = started(*put, stdout=writing, environment=state)
            until("the place is remembered", lambda: places(memory))
            [place] = places(memory)
            part = http.patch(
                place["location"],
                CONTENT[:1_000_000],
                headers={
                    "Content-Type": "application/partial-upload",
                    "Upload-Complete": "?0",
                    "Upload-Offset": "0",
                },
            )
            assert part.headers["Upload-Offset"] == "1000000"
            putting.send_signal(end)
            assert putting.wait(30) in (-signal.SIGKILL, 130)
            before.kill()
        port = str(urllib.parse.urlsplit(before.address).port)
        with serve(tmp_path / "data", "--port", port) as after:
            done = run(*put, environment=state)
            assert done.returncode == 0, done.stderr
            assert done.stdout == place["link"] + "\n"
            assert done.stderr.startswith(f"sha256 {SHA256} ")
            assert http.get(place["link"]).content == CONTENT
            assert [file["state"] for file in after.files()] == ["sealed"]
    assert list(memory.iterdir()) == []


def places(directory):
    """Return the places that are remembered, as far as they are written."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return [json.loads(path.read_bytes()) for path in directory.iterdir()]
    return []


def test_standard_input_can_be_followed_while_it_comes(service, tailrace, started, http, curl):
    put = [*tailrace, "put", "-", "--name", "log.txt", "--to", service.address]
    putting = started(*put, stdin=subprocess.PIPE)
    link = putting.stdout.readline().decode().strip()
    following = started(*curl, "-N", link)
    for line in (b"first\n", b"second\n"):
        putting.stdin.write(line)
        putting.stdin.flush()
        assert following.stdout.readline() == line
    putting.stdin.close()
    assert putting.wait(30) == 0
    assert following.wait(30) == 0
    assert http.get(link).content == b"first\nsecond\n"


def test_a_file_that_changes_while_it_is_sent_is_no_file_there(
    service, tailrace, source, started, until
):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(reading, "rb", 0) as link, open(writing, "wb", 0) as full:
        while full.write(bytes(65536)):
            pass
        os.set_blocking(writing, True)
        put = [*tailrace, "put", source, "--name", "changed", "--to", service.address]
        putting = started(*put, stdout=writing)
        until("it was begun", lambda: service.state("changed"))
        with source.open("r+b") as file:
            file.write(b"other")
        link.read(65536)  # now it may go on
        assert putting.wait(30) == 1
    assert b"the file changed while it was sent" in putting.stderr.read()
    assert service.state("changed") == "abandoned"
