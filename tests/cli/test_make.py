import json

import pytest
from hostile import Hostile, answer, raw


def accepted(server_url):
    file = {"id": "f1", "links": [{"url": server_url}]}
    return answer("202 Accepted", (), json.dumps(file).encode())


class Service:
    """A service that makes one file, and answers its link with what it is told to."""

    def __init__(self, *replies):
        self.server = Hostile()
        self.server.replies = [accepted(self.server.url("/l/T/a.txt")), *replies]


@pytest.fixture
def making(run):
    def making(*replies, words=("numbers",)):
        service = Service(*replies)
        with service.server as server:
            outcome = run("make", *words, "--to", server.url("/"))
        return outcome, [(each.method, each.target) for each in server.requests]

    return making


def test_what_is_made_goes_to_standard_output(making):
    outcome, requests = making(answer("200 OK", (), b"0\n1\n"))
    assert outcome == (0, "0\n1\n", "")
    assert requests == [("POST", "/make/numbers"), ("GET", "/l/T/a.txt")]


def test_it_goes_to_a_file_where_one_is_named(making, in_directory):
    reply = answer("200 OK", (), b"0\n1\n")
    (status, out, _), _ = making(reply, words=("numbers", "count=2", "-o", "out.csv"))
    assert (status, out) == (0, "out.csv\n")
    assert (in_directory / "out.csv").read_bytes() == b"0\n1\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("numbers", "count"), "'count' is no argument; write it as KEY=VALUE"),
        (("numbers", "=2"), "'=2' is no argument"),
        (("numbers", "a=1", "a=2"), "'a' is given twice"),
    ],
)
def test_arguments_that_are_none_are_refused_before_anything_is_asked(making, words, complaint):
    (status, out, err), requests = making(words=words)
    assert (status, out, requests) == (2, "", [])
    assert complaint in err


def test_a_run_that_fails_is_told_and_cleared_away(making):
    cut = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    (status, _, err), requests = making(cut, answer("204 No Content"))
    assert status == 1
    assert err
    assert requests[-1] == ("DELETE", "/files/f1")
