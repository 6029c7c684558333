"""SIGTERM: nobody new comes in, what is under way may end, and every writer does end."""

import contextlib
import os
import signal
import socket
import sqlite3
import time
import urllib.parse

import pytest

PART = os.urandom(100_000)

# "Transferred a partial file", of curl.
PARTIAL = 18


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def refuses(until):
    """Wait until a service takes no more connections."""

    def is_refused(served):
        address = urllib.parse.urlsplit(served.address)
        try:
            socket.create_connection((address.hostname, address.port)).close()
        except ConnectionRefusedError:
            return True
        return False

    return lambda served: until("new connections were refused", lambda: is_refused(served))


def test_an_idle_service_stops_at_once_though_a_connection_is_kept(serve, data, http):
    with serve(data) as served:
        http.get(served.url("/files"))
        begun_at = time.monotonic()
        served.stop()
        assert time.monotonic() - begun_at < 10  # of a grace of 30 seconds
    assert served.log.read_text().count("\n") == 4, "it had nothing to tell"


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_transfers_that_end_in_their_grace_are_whole(
    serve, data, upload, started, curl, refuses, asked
):
    with serve(data) as served:
        uploading = upload(served, "in grace")
        link = uploading.link
        uploading.send(PART)
        follower = started(*curl, "-N", link)
        assert follower.stdout.read(len(PART)) == PART
        served.process.send_signal(asked)
        refuses(served)
        # Not by `send` and `finish`, which ask the service how far it is.
        output, _ = uploading.process.communicate(PART, timeout=30)
        assert output.decode().strip() == link
        assert follower.stdout.read() == PART
        assert follower.wait(30) == 0
        if asked == signal.SIGINT:
            served.has_ended = True
            assert served.process.wait(30) == 130
        else:
            served.wait()
    with serve(data) as again:
        assert again.state("in grace") == "sealed"


def test_transfers_that_outlast_their_grace_are_cut(
    serve, data, upload, started, curl, refuses, http
):
    with serve(data, GRACE_SECONDS="1") as served:
        uploading = upload(served, "too slow")
        link = uploading.link
        uploading.send(PART)
        follower = started(*curl, "-N", link)
        assert follower.stdout.read(len(PART)) == PART
        asked_at = time.monotonic()
        served.stop()
        assert time.monotonic() - asked_at >= 1
        assert follower.wait(30) == PARTIAL
        output, _ = uploading.process.communicate(timeout=30)
        assert link.encode() not in output
    # Before upkeep could put right what a lost end would leave.
    with contextlib.closing(sqlite3.connect(data / "catalogue.sqlite3")) as catalogue:
        ends = catalogue.execute("select state, reason from files").fetchall()
    assert ends == [("abandoned", f"the service was stopped after {len(PART)} bytes")]
    with serve(data) as again:
        assert http.get(again.url(urllib.parse.urlsplit(link).path)).status_code == 410
        assert again.blobs() == set()


@pytest.mark.parametrize("is_read", [True, False], ids=["read", "not read"])
def test_a_run_that_ends_in_its_grace_is_sealed(
    serve, data, started, curl, until, refuses, tmp_path, is_read
):
    gate = tmp_path / "gate"
    with serve(data, "--producers", "mill") as served:
        preference = [] if is_read else ["-H", "Prefer: respond-async"]
        reader = started(
            *curl, "-N", "-d", f"gate={gate}", *preference, served.url("/make/gated")
        )
        until("it began", lambda: served.length("gated.txt") == len(b"first\n"))
        served.process.send_signal(signal.SIGTERM)
        refuses(served)
        gate.touch()
        output, _ = reader.communicate(timeout=30)
        assert reader.returncode == 0
        assert output == b"first\nlast\n" or not is_read
        served.wait()
    with serve(data) as again:
        assert again.state("gated.txt") == "sealed"


def test_a_run_that_outlasts_its_grace_is_taken_up_by_the_next_service(
    serve, data, http, until, tmp_path
):
    gate = tmp_path / "gate"
    with serve(data, "--producers", "mill", GRACE_SECONDS="1") as served:
        made = http.post(
            served.url("/make/gated"),
            data={"gate": gate},
            headers={"Prefer": "respond-async"},
        )
        until("it began", lambda: served.length("gated.txt") == len(b"first\n"))
        served.stop()
    gate.touch()
    with serve(data, "--producers", "mill") as again:
        link = again.url(urllib.parse.urlsplit(made.headers["Location"]).path)
        assert http.get(link).content == b"first\nlast\n"


def test_a_resumable_upload_waits_for_the_next_service(serve, data, http):
    with serve(data) as served:
        begun = http.post(
            served.url("/uploads?name=waits"), data=PART, headers={"Upload-Complete": "?0"}
        )
        served.stop()
    with serve(data) as again:
        resource = again.url(urllib.parse.urlsplit(begun.headers["Location"]).path)
        assert http.head(resource).headers["Upload-Offset"] == str(len(PART))
