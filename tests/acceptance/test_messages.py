"""Message syntax and connections (RFC 9112), octet by octet, on both event loops.

What is refused must be refused before an application sees it, so what it sees is told.
"""

import json
from pathlib import Path

import pytest
from wire import Cut, Wire

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "messages.json").read_text())


@pytest.fixture(scope="session", params=["uvloop", "asyncio"])
def port(shop, request):
    return shop("tailrace.server:Protocol", request.param).port


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_messages_are_answered_as_the_standard_says(port, vector):
    with Wire(port) as wire:
        wire.send(vector["request"].encode("latin-1"))
        if vector.get("half_closed"):
            wire.half_close()
        for expected in vector["answers"]:
            response = wire.response()
            assert response.status == expected["status"]
            for name, value in expected.get("says", {}).items():
                assert response.get(name) == value
            if "seen" in expected:
                seen = json.loads(response.content)
                assert seen | expected["seen"] == seen
        if vector["then"] == "closed":
            assert wire.has_ended()
        else:
            assert wire.ask("GET", "/next").status == 200


def test_a_response_that_closes_says_so(port):
    with Wire(port) as wire:
        assert wire.ask("GET", "/", ("Connection", "close")).get("Connection") == "close"
        assert wire.has_ended()


@pytest.mark.parametrize("split_at", range(1, 60, 3))
def test_a_request_may_come_in_pieces(port, split_at):
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    octets = head + b"3\r\nabc\r\n0\r\n\r\n"
    with Wire(port) as wire:
        wire.send(octets[:split_at])
        wire.send(octets[split_at:])
        assert json.loads(wire.response().content)["content"] == "abc"


def test_a_client_that_shuts_down_its_side_gets_a_file_of_any_length(port, shop):
    """`printf 'GET ...' | nc`: the response takes longer than both socket buffers."""
    content = bytes(range(256)) * 40_000
    for server in ("uvloop", "asyncio"):
        files = shop("tailrace.server:Protocol", server).files
        (files / "long.bin").write_bytes(content)
    with Wire(port) as wire:
        wire.send(b"GET /file/long.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        wire.half_close()
        assert wire.response().content == content
        assert wire.has_ended()


def test_a_client_that_has_left_gets_no_second_chance(port):
    with Wire(port) as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc")
        wire.half_close()
        with pytest.raises(Cut):
            wire.response()
