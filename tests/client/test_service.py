import json

import pytest
from hostile import Hostile, answer, raw

from tailrace.client.connections import Timeouts
from tailrace.client.service import Service
from tailrace.client.urls import Url
from tailrace.errors import ConnectionLost, Refused, TransferError

TIMEOUTS = Timeouts(connect_seconds=5, stall_seconds=5)


def page(names, following=None):
    content = {"files": [{"name": name} for name in names], "next": following}
    return answer(
        "200 OK", [("Content-Type", "application/json")], json.dumps(content).encode()
    )


def names_of(files):
    return [file["name"] for file in files]


def test_files_are_listed():
    with Hostile(page(["a", "b"])) as server:
        assert names_of(Service(server.url("/mount"), None, TIMEOUTS).files()) == ["a", "b"]
    (request,) = server.requests
    assert (request.method, request.target) == ("GET", "/mount/files")
    assert request.fields["accept"] == "application/json"


def test_pages_are_asked_for_as_they_are_used():
    with Hostile(page(["a", "b"], "b&c"), page(["c"])) as server:
        files = Service(server.url("/"), None, TIMEOUTS).files()
        assert [next(files)["name"], next(files)["name"]] == ["a", "b"]
        assert len(server.requests) == 1
        assert names_of(files) == ["c"]
    assert server.requests[1].target == "/files?after=b%26c"


def test_a_key_is_sent_to_its_origin_only():
    with Hostile(page([])) as server, Hostile(page([])) as other:
        service = Service(server.url("/"), "secret", TIMEOUTS)
        list(service.files())
        service.ask("GET", Url.parse(other.url("/"))).close()
    assert server.requests[0].fields["authorization"] == "Bearer secret"
    assert all("authorization" not in request.fields for request in other.requests)


def test_a_refusal_is_told():
    with Hostile(answer("401 Unauthorized")) as server, pytest.raises(Refused, match="401"):
        list(Service(server.url("/"), None, TIMEOUTS).files())


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"{}", b'{"files": 5}', b'{"files": [5]}', b"[" * 60000],
)
def test_what_is_no_tailrace_service_is_told(content):
    with Hostile(answer("200 OK", (), content)) as server:
        with pytest.raises(TransferError, match="is it a tailrace service"):
            list(Service(server.url("/"), None, TIMEOUTS).files())


def test_a_cut_is_told():
    with Hostile(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{")) as server:
        with pytest.raises(ConnectionLost):
            list(Service(server.url("/"), None, TIMEOUTS).files())
