"""Uploads to a service that cuts, refuses and forgets."""

import hashlib
import json
import os

import pytest
from hostile import Hostile, answer
from receiving import Receiving, cut_after, interim, lost_answer, refused

from tailrace.client.connections import Timeouts
from tailrace.client.uploads import upload
from tailrace.errors import (
    ConfigurationError,
    ConnectionLost,
    DigestMismatch,
    LengthMismatch,
    Refused,
    TransferError,
)

# More than the buffers of two sockets hold, so that a cut is felt.
CONTENT = bytes(range(256)) * 64 * 1024


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENT)
    return path


def test_a_file_is_uploaded(path, quick):
    with Receiving() as service:
        done = upload(path, service.address, **quick)
    assert bytes(service.content) == CONTENT
    assert done.link == service.link
    assert (done.length, done.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert service.methods == ["POST", "PATCH"]


def test_the_requests_are_those_of_the_draft(path, quick):
    with Receiving() as service:
        upload(path, service.address, **quick)
    creation, append = (request.fields for request in service.requests)
    assert creation["upload-complete"] == "?0"
    assert creation["upload-length"] == str(len(CONTENT))
    assert creation["content-length"] == "0"
    assert creation["content-disposition"] == 'attachment; filename="file.bin"'
    assert append["content-type"] == "application/partial-upload"
    assert append["upload-offset"] == "0"
    assert append["upload-complete"] == "?1"
    assert append["content-length"] == str(len(CONTENT))
    assert creation["upload-draft-interop-version"] == append["upload-draft-interop-version"]


def test_an_empty_file_is_uploaded(tmp_path, quick):
    (tmp_path / "empty").touch()
    with Receiving() as service:
        assert upload(tmp_path / "empty", service.address, **quick).length == 0
    assert service.methods == ["POST", "PATCH"]


def test_the_link_is_announced_before_any_byte_is_sent(path, quick):
    announced = []

    def announce(link):
        announced.append((link, list(service.methods)))

    with Receiving() as service:
        upload(path, service.address, announce=announce, **quick)
    assert announced == [(service.link, ["POST"])]


def test_progress_is_told_up_to_the_end(path, quick):
    told = []
    with Receiving() as service:
        upload(path, service.address, progress=lambda *numbers: told.append(numbers), **quick)
    assert told == sorted(told)
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_key_is_sent_with_each_request(path, quick):
    with Receiving() as service:
        upload(path, service.address, key="secret", **quick)
    assert {request.fields["authorization"] for request in service.requests} == {
        "Bearer secret"
    }


def test_an_open_file_is_uploaded_from_its_first_byte(path, quick):
    with Receiving() as service, path.open("rb") as file:
        file.seek(100)
        upload(file, service.address, **quick)
        assert not file.closed
    assert bytes(service.content) == CONTENT
    assert 'filename="file.bin"' in service.name


def test_a_name_and_a_media_type_may_be_given(path, quick):
    with Receiving() as service:
        upload(path, service.address, name="naïve", media_type="text/plain", **quick)
    assert "filename*=UTF-8''na%C3%AFve" in service.name
    assert service.requests[0].fields["content-type"] == "text/plain"


def test_interim_responses_do_not_stop_it(path, quick):
    with Receiving(interim) as service:
        upload(path, service.address, **quick)
    assert bytes(service.content) == CONTENT


# --- cuts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("count", [0, 1, 1_000_000])
def test_a_cut_is_taken_up_where_it_happened(path, quick, count, how):
    with Receiving(cut_after(count, how)) as service:
        upload(path, service.address, **quick)
    assert bytes(service.content) == CONTENT
    assert service.methods == ["POST", "PATCH", "HEAD", "PATCH"]
    assert service.requests[3].fields["upload-offset"] == str(count)


def test_a_lost_answer_is_asked_for_without_content(path, quick):
    with Receiving(lost_answer) as service:
        upload(path, service.address, **quick)
    assert service.requests[3].fields["content-length"] == "0"
    assert service.requests[3].fields["upload-offset"] == str(len(CONTENT))


def test_a_service_that_falls_silent_is_left(path, quick):
    quick["timeouts"] = Timeouts(stall_seconds=0.3)
    with Receiving(cut_after(1000, "stall")) as service:
        upload(path, service.address, **quick)
    assert bytes(service.content) == CONTENT
    assert service.requests[3].fields["upload-offset"] == "1000"


def test_an_upload_that_is_always_cut_is_given_up_and_cancelled(path, quick):
    with Receiving(*[cut_after(0)] * 9) as service:
        with pytest.raises(ConnectionLost, match="do it again"):
            upload(path, service.address, **quick)
    assert service.is_cancelled


def test_each_new_byte_renews_the_patience(path, quick):
    with Receiving(*[cut_after(1000)] * 9) as service:
        upload(path, service.address, **quick)
    assert bytes(service.content) == CONTENT


@pytest.mark.parametrize("status", ["423 Locked", "503 Service Unavailable", "409 Conflict"])
def test_what_may_pass_is_asked_again(path, quick, status):
    with Receiving(refused(status, ("Retry-After", "0"))) as service:
        upload(path, service.address, **quick)
    assert bytes(service.content) == CONTENT


# --- refusals -----------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1_000_000])
def test_a_refusal_while_bytes_are_still_sent_is_told(path, quick, after):
    problem = json.dumps({"detail": "at most 10 bytes are taken here"}).encode()
    fields = ("Content-Type", "application/problem+json")
    refusal = refused("413 Content Too Large", fields, content=problem, after=after)
    with Receiving(refusal) as service:
        with pytest.raises(Refused, match="413 Content Too Large: at most 10 bytes") as caught:
            upload(path, service.address, **quick)
    assert caught.value.status == 413
    assert len(service.content) == after
    assert service.is_cancelled


def test_a_service_that_wants_a_key_is_told_about(path, quick):
    with Hostile(answer("401 Unauthorized")) as service, pytest.raises(Refused, match="401"):
        upload(path, service.url("/"), **quick)
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ([("Location", "/uploads/KEY")], b"<html>"),
        ([("Location", "/uploads/KEY")], b"[]"),
        ([("Location", "/uploads/KEY")], b"{}"),
        ([("Location", "/uploads/KEY")], b'{"links": []}'),
        ([], b'{"links": [{"url": "http://host/l/TOKEN"}]}'),
    ],
)
def test_what_is_no_tailrace_service_is_told(path, quick, fields, content):
    with Hostile(answer("201 Created", fields, content)) as service:
        with pytest.raises(TransferError, match="is it a tailrace service"):
            upload(path, service.url("/"), **quick)


@pytest.mark.parametrize("offset", ["", "x", "-1", "?1", "16777217", "1.5"])
def test_an_offset_that_cannot_be_is_refused(path, quick, offset):
    def forget(service, connection, request):
        service.state = lambda: [("Upload-Offset", offset)]
        return cut_after(0)(service, connection, request)

    with Receiving(forget) as service, pytest.raises(TransferError, match="says that it has"):
        upload(path, service.address, **quick)


def test_an_upload_that_was_forgotten_is_given_up(path, quick):
    def forget(service, connection, request):
        service.replies = [answer("404 Not Found")]
        return cut_after(0)(service, connection, request)

    with Receiving(forget) as service, pytest.raises(Refused, match="404"):
        upload(path, service.address, **quick)


# --- the file -----------------------------------------------------------------------------


def test_other_bytes_at_the_service_are_told(path, quick):
    def spoil(service, connection, request):
        service.take(connection, request)
        service.content[5] ^= 1
        answer("200 OK", service.state(), service.description())(connection, request)
        return True

    with Receiving(spoil) as service, pytest.raises(DigestMismatch):
        upload(path, service.address, **quick)


@pytest.mark.parametrize("length", [0, 1000, len(CONTENT) - 1])
def test_a_file_that_shrinks_while_it_is_sent_fails(path, quick, length):
    said = f"it had {len(CONTENT)} bytes when that began, and has {length} now"
    with Receiving() as service, pytest.raises(LengthMismatch, match=said):
        upload(path, service.address, announce=lambda _: os.truncate(path, length), **quick)
    assert service.is_cancelled


def test_a_file_that_grows_while_it_is_sent_fails(path, quick):
    def grow(link):
        with path.open("ab") as file:
            file.write(b"more")

    said = f"and has {len(CONTENT) + 4} now"
    with Receiving() as service, pytest.raises(LengthMismatch, match=said):
        upload(path, service.address, announce=grow, **quick)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        upload(tmp_path / "missing", "http://127.0.0.1:1/")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TransferError, match="regular file"):
        upload(tmp_path / "pipe", "http://127.0.0.1:1/")


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(TransferError, match="regular file"):
        upload(tmp_path, "http://127.0.0.1:1/")


def test_an_open_file_without_a_path_needs_a_name(path):
    with path.open("rb") as file, os.fdopen(os.dup(file.fileno()), "rb") as nameless:
        with pytest.raises(ConfigurationError, match="name"):
            upload(nameless, "http://127.0.0.1:1/")


def test_an_address_that_is_none_is_refused(path):
    with pytest.raises(ConfigurationError):
        upload(path, "nowhere")
