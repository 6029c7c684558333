"""The service is killed and started again: what was acknowledged is there, and no part of a
file passes for the whole."""

import os
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest

from tailrace.client import upload

PART = os.urandom(100_000)
PARTIAL_UPLOAD = "application/partial-upload"

# "Transferred a partial file", of curl.
PARTIAL = 18


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def moved(url, service):
    """An address of a service that has moved to another port since."""
    return service.url(urllib.parse.urlsplit(url).path)


def test_an_upload_that_a_crash_broke_off_is_abandoned_with_the_reason(
    serve, data, upload, started, curl, http
):
    with serve(data) as before:
        uploading = upload(before, "broken off")
        uploading.send(PART)
        link = uploading.link
        follower = started(*curl, "-N", link)
        assert follower.stdout.read(len(PART)) == PART
        before.kill()
        assert follower.wait(30) == PARTIAL
    with serve(data) as after:
        file = after.file("broken off")
        assert file["state"] == "abandoned"
        assert file["reason"] == f"its writer was lost after {len(PART)} bytes"
        gone = http.get(moved(link, after))
        assert gone.status_code == 410
        assert file["reason"] in gone.json()["detail"]
        assert after.blobs() == set()


def test_a_resumable_upload_goes_on_after_a_crash(serve, data, started, curl, http, tmp_path):
    with serve(data) as before:
        begun = http.post(
            before.url("/uploads?name=resumable"),
            headers={"Upload-Complete": "?0", "Upload-Length": str(3 * len(PART))},
        )
        upload, link = begun.headers["Location"], begun.json()["links"][0]["url"]
        fields = {"Content-Type": PARTIAL_UPLOAD, "Upload-Complete": "?0"}
        kept = http.patch(upload, data=PART, headers=fields | {"Upload-Offset": "0"})
        assert kept.headers["Upload-Offset"] == str(len(PART))
        # The crash comes in the middle of another append, of which a part has arrived.
        sending = started(
            *curl,
            *("-X", "PATCH", "-T", "-", "-H", f"Content-Type: {PARTIAL_UPLOAD}"),
            *("-H", "Upload-Complete: ?0", "-H", f"Upload-Offset: {len(PART)}"),
            upload,
            stdin=-1,
        )
        sending.stdin.write(PART[:5000])
        sending.stdin.flush()
        follower = started(*curl, "-N", link)
        assert follower.stdout.read(len(PART) + 5000) == PART + PART[:5000]
        before.kill()
        assert follower.wait(30) == PARTIAL
    with serve(data) as after:
        assert after.state("resumable") == "growing"
        told = http.head(moved(upload, after))
        assert told.status_code == 204
        assert told.headers["Upload-Length"] == str(3 * len(PART))
        offset = int(told.headers["Upload-Offset"])
        assert offset == len(PART) + 5000
        begun = tmp_path / "begun"
        begun.write_bytes(PART)
        resuming = started(*curl, "-N", "-C", "-", "-o", begun, moved(link, after))
        ended = http.patch(
            moved(upload, after),
            data=(PART * 3)[offset:],
            headers={
                "Content-Type": PARTIAL_UPLOAD,
                "Upload-Complete": "?1",
                "Upload-Offset": str(offset),
            },
        )
        assert ended.status_code == 200
        assert ended.headers["Upload-Complete"] == "?1"
        assert resuming.wait(30) == 0
        assert begun.read_bytes() == PART * 3
        assert http.get(moved(link, after)).content == PART * 3


def test_a_run_that_a_crash_broke_off_is_made_anew_for_the_same_link(
    serve, data, http, tmp_path, until, curl, started
):
    gate = tmp_path / "gate"
    with serve(data, "--producers", "mill") as before:
        accepted = http.post(
            before.url("/make/gated"),
            data={"gate": gate},
            headers={"Prefer": "respond-async"},
        )
        link = accepted.headers["Location"]
        until("it began", lambda: before.length("gated.txt") == 6)
        follower = started(*curl, "-N", link)
        assert follower.stdout.read(6) == b"first\n"
        before.kill()
        assert follower.wait(30) == PARTIAL
    gate.touch()
    with serve(data, "--producers", "mill") as after:
        until("it was made", lambda: after.state("gated.txt") == "sealed")
        assert http.get(moved(link, after)).content == b"first\nlast\n"
        assert len(after.blobs()) == 1


def test_a_run_that_makes_the_same_again_goes_on_where_a_crash_broke_it_off(
    serve, data, http, tmp_path, until, curl, started
):
    gate = tmp_path / "gate"
    with serve(data, "--producers", "mill") as before:
        accepted = http.post(
            before.url("/make/steady"),
            data={"gate": gate},
            headers={"Prefer": "respond-async"},
        )
        link = accepted.headers["Location"]
        until("it began", lambda: before.length("steady.txt") == 6)
        blobs = before.blobs()
        before.kill()
    with serve(data, "--producers", "mill") as after:
        follower = started(*curl, "-N", moved(link, after))
        assert follower.stdout.read(6) == b"first\n"
        gate.touch()
        assert follower.stdout.read() == b"last\n"
        assert follower.wait(30) == 0
        assert after.blobs() == blobs


def test_what_waited_for_its_turn_runs_after_a_crash(serve, data, http, tmp_path, until):
    gate = tmp_path / "gate"
    with serve(data, "--producers", "mill", JOBS="1") as before:
        for _ in range(3):
            http.post(
                before.url("/make/gated"),
                data={"gate": gate},
                headers={"Prefer": "respond-async"},
            )
        before.kill()
    gate.touch()
    with serve(data, "--producers", "mill", JOBS="1") as after:
        until(
            "all were made",
            lambda: [file["state"] for file in after.files()] == ["sealed"] * 3,
        )


def test_a_sealed_file_and_its_link_survive_a_crash(serve, data, upload, http):
    with serve(data) as before:
        uploading = upload(before, "sealed")
        uploading.send(PART)
        link = uploading.finish()
        before.kill()
    with serve(data) as after:
        response = http.get(moved(link, after))
        assert response.content == PART
        assert after.file("sealed")["digest"] is not None


def test_our_client_goes_on_when_the_service_is_back(serve, data, until, http, tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(PART * 80)
    told, reached, is_back = [], threading.Event(), threading.Event()

    def hold_back(offset, _):
        told.append(offset)
        reached.set()
        assert is_back.wait(30)

    with ThreadPoolExecutor(1) as pool, serve(data) as before:
        uploading = pool.submit(upload, source, before.address, progress=hold_back)
        try:
            assert reached.wait(30)
            until("it arrived", lambda: before.length("source.bin") == told[0])
            before.kill()
            with serve(
                data, "--port", str(urllib.parse.urlsplit(before.address).port)
            ) as after:
                is_back.set()
                uploaded = uploading.result(30)
                assert http.get(uploaded.link).content == PART * 80
                assert after.file("source.bin")["length"] == len(PART) * 80
        finally:
            is_back.set()
    assert 0 < told[0] < told[1]
