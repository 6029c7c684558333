import json
import urllib.parse

import pytest
from hostile import Hostile, answer, raw

from tailrace.client.connections import Timeouts
from tailrace.client.making import Begun, begin, cancel, follow
from tailrace.client.service import Service
from tailrace.errors import ConnectionLost, Refused, TransferError

TIMEOUTS = Timeouts(connect_seconds=5, stall_seconds=5)
FILE = {"id": "f1", "links": [{"url": "http://host/l/TOKEN/a.txt"}]}


def accepted(file=FILE):
    return answer("202 Accepted", (), json.dumps(file).encode())


def service(server):
    return Service(server.url("/mount"), "secret", TIMEOUTS)


def test_a_run_is_begun_with_a_form_that_may_be_repeated():
    with Hostile(accepted()) as server:
        given = {"text": "a & b=c", "語": "你好"}
        assert begin(service(server), "speech", given) == Begun(
            "f1", "http://host/l/TOKEN/a.txt"
        )
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/mount/make/speech")
    assert request.fields["content-type"] == "application/x-www-form-urlencoded"
    assert request.fields["prefer"] == "respond-async"
    assert len(request.fields["idempotency-key"]) == 34
    assert int(request.fields["content-length"]) == len(urllib.parse.urlencode(given))


def test_the_name_of_a_producer_is_one_segment():
    with Hostile(accepted()) as server:
        begin(service(server), "a/../b", {})
    assert server.requests[0].target == "/mount/make/a%2F..%2Fb"


def test_a_refusal_is_told():
    with Hostile(answer("422 Unprocessable Content")) as server:
        with pytest.raises(Refused, match="422"):
            begin(service(server), "a", {})


@pytest.mark.parametrize("file", [{}, {"id": "x"}, {"id": "x", "links": []}, []])
def test_an_answer_without_a_link_is_told(file):
    with Hostile(accepted(file)) as server:
        with pytest.raises(TransferError, match="is it a tailrace service"):
            begin(service(server), "a", {})


def test_a_run_is_cancelled_by_deleting_its_file():
    with Hostile(answer("204 No Content")) as server:
        cancel(service(server), Begun("a/b", "http://host/l/T"))
    (request,) = server.requests
    assert (request.method, request.target) == ("DELETE", "/mount/files/a%2Fb")
    assert request.fields["authorization"] == "Bearer secret"


def followed(reply):
    written = bytearray()
    with Hostile(reply) as server:
        try:
            follow(server.url("/l/T"), written.extend, TIMEOUTS)
        finally:
            assert "authorization" not in server.requests[0].fields
    return bytes(written)


def test_what_comes_is_written():
    assert followed(answer("200 OK", (), b"content")) == b"content"


def test_what_is_cut_is_told_after_what_came():
    cut = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    with pytest.raises(ConnectionLost):
        followed(cut)


def test_what_was_given_up_is_told():
    with pytest.raises(Refused, match="410"):
        followed(answer("410 Gone"))
