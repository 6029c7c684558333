"""Files are read while they are written: from the first moment, and never politely short."""

import os
import signal

import pytest

PART = os.urandom(100_000)
WHOLE = PART * 3

# "Transferred a partial file", of curl.
PARTIAL = 18


@pytest.fixture
def follow(started, curl):
    """Have curl follow a link."""
    return lambda link, *options: started(*curl, *options, link)


@pytest.fixture
def joined(until):
    """Wait until so many bytes have come to who follows to a path."""

    def joined(path, length):
        until(
            f"a follower had {length} bytes",
            lambda: path.exists() and path.stat().st_size >= length,
        )

    return joined


def output_of(process):
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    return output


def test_whoever_joins_gets_the_same_bytes(service, upload, follow, joined, tmp_path):
    uploading = upload(service, "joined")
    link = uploading.link
    followers = [follow(link, "-N", "-o", tmp_path / "start")]
    uploading.send(PART)
    joined(tmp_path / "start", len(PART))
    followers.append(follow(link, "-N", "-o", tmp_path / "middle"))
    joined(tmp_path / "middle", len(PART))
    uploading.send(PART)
    uploading.send(PART)
    assert uploading.finish() == link
    for follower in followers:
        output_of(follower)
    output_of(follow(link, "-o", tmp_path / "end"))
    for path in tmp_path.iterdir():
        assert path.read_bytes() == WHOLE, path


def test_a_link_works_before_its_first_byte(service, upload, http):
    uploading = upload(service, "empty yet")
    assert service.length("empty yet") == 0
    with http.get(uploading.link, stream=True) as response:
        assert response.status_code == 200
        uploading.send(b"now")
        uploading.finish()
        assert response.content == b"now"


def test_a_growing_file_is_never_answered_with_the_length_it_happens_to_have(
    service, upload, http
):
    uploading = upload(service, "growing")
    uploading.send(PART)
    for fields in ({}, {"Range": "bytes=0-"}, {"Range": "bytes=5-"}, {"Range": "bytes=-5"}):
        with http.get(uploading.link, headers=fields, stream=True) as response:
            assert "Content-Length" not in response.headers, fields
    head = http.head(uploading.link)
    assert head.status_code == 200
    assert "Content-Length" not in head.headers
    file = http.get(uploading.link.rpartition("/")[0], headers={"Accept": "application/json"})
    assert file.json()["length"] == len(PART)
    assert file.json()["complete_length"] is None
    uploading.finish()
    assert http.head(uploading.link).headers["Content-Length"] == str(len(PART))


def test_a_part_of_what_has_come_can_be_had_at_once(service, upload, http):
    uploading = upload(service, "a part")
    uploading.send(PART)
    part = http.get(uploading.link, headers={"Range": "bytes=10-19"})
    assert part.status_code == 206
    assert part.headers["Content-Range"] == "bytes 10-19/*"
    assert part.content == PART[10:20]
    beyond = http.get(uploading.link, headers={"Range": f"bytes={len(PART)}-{len(PART) + 9}"})
    assert beyond.status_code == 416
    assert "Content-Range" not in beyond.headers
    uploading.finish()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_writer_is_killed_its_followers_are_cut(
    service, upload, follow, joined, until, http, tmp_path, ending
):
    name = f"killed by {ending.name}"
    uploading = upload(service, name)
    link = uploading.link
    uploading.send(PART)
    follower = follow(link, "-N", "-o", tmp_path / "cut")
    joined(tmp_path / "cut", len(PART))
    uploading.process.send_signal(ending)
    assert follower.wait(30) == PARTIAL
    until("the file was abandoned", lambda: service.state(name) == "abandoned")
    assert (tmp_path / "cut").read_bytes() == PART
    reason = f"its sender was cut off after {len(PART)} bytes"
    assert service.file(name)["reason"] == reason
    gone = http.get(link)
    assert gone.status_code == 410
    assert gone.headers["Content-Type"] == "application/problem+json"
    assert reason in gone.json()["detail"]


def test_when_a_resumable_upload_is_cancelled_its_followers_are_cut(service, follow, http):
    begun = http.post(
        service.url("/uploads?name=cancelled"), data=PART, headers={"Upload-Complete": "?0"}
    )
    assert begun.status_code == 201
    link = begun.json()["links"][0]["url"]
    follower = follow(link, "-N")
    assert follower.stdout.read(len(PART)) == PART
    assert http.delete(begun.headers["Location"]).status_code == 204
    assert follower.wait(30) == PARTIAL
    assert "its upload was cancelled" in http.get(link).json()["detail"]


def test_a_run_that_fails_cuts_its_followers_and_says_why(service, follow, http, tmp_path):
    gate = tmp_path / "gate"
    made = http.post(
        service.url("/make/failing"), data={"gate": gate}, headers={"Prefer": "respond-async"}
    )
    link = made.json()["links"][0]["url"]
    follower = follow(link, "-N")
    assert follower.stdout.read(6) == b"first\n"
    gate.touch()
    assert follower.wait(30) == PARTIAL
    gone = http.get(link)
    assert gone.status_code == 410
    assert gone.json()["detail"].endswith("its producer failed after 6 bytes (RuntimeError)")


def test_a_run_whose_reader_leaves_is_finished_all_the_same(service, follow, until, tmp_path):
    gate = tmp_path / "gate"
    reader = follow(service.url("/make/gated"), "-N", "-d", f"gate={gate}")
    assert reader.stdout.read(6) == b"first\n"
    reader.kill()
    file = service.file("gated.txt")
    assert file["state"] == "growing"
    gate.touch()
    until("it was finished", lambda: service.state("gated.txt") == "sealed")
    assert service.file("gated.txt")["id"] == file["id"]
    assert output_of(follow(file["links"][0]["url"])) == b"first\nlast\n"


def test_a_run_that_is_for_its_reader_ends_when_he_leaves(service, follow, until, tmp_path):
    never = tmp_path / "never"
    reader = follow(service.url("/make/cancelled"), "-N", "-d", f"gate={never}")
    assert reader.stdout.read(6) == b"first\n"
    reader.kill()
    until("it was given up", lambda: service.state("cancelled.txt") == "abandoned")
    assert service.file("cancelled.txt")["reason"] == "its reader left"


def test_a_deleted_file_is_gone_and_its_followers_are_cut(service, follow, http, tmp_path):
    made = http.post(
        service.url("/make/gated"),
        data={"gate": tmp_path / "never"},
        headers={"Prefer": "respond-async"},
    ).json()
    link = made["links"][0]["url"]
    follower = follow(link, "-N")
    assert follower.stdout.read(6) == b"first\n"
    assert http.delete(service.url(f"/files/{made['id']}")).status_code == 204
    assert follower.wait(30) == PARTIAL
    gone = http.get(link)
    assert gone.status_code == 410
    assert "it was deleted" in gone.json()["detail"]


def test_a_reader_who_leaves_changes_nothing_for_the_others(service, upload, follow, http):
    uploading = upload(service, "left")
    uploading.send(PART)
    leaving, staying = follow(uploading.link, "-N"), follow(uploading.link, "-N")
    assert leaving.stdout.read(len(PART)) == PART
    leaving.kill()
    assert staying.stdout.read(len(PART)) == PART
    uploading.send(PART)
    uploading.finish()
    assert output_of(staying) == PART
