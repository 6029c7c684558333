import ipaddress
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.server import Limits, refusals

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "request_heads.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_head_is_answered_or_refused(served, vector):
    """By the server as a whole: some of it is the parser's work."""
    served.app = _ok
    with served.connect() as client:
        client.send(vector["head"].encode("latin-1"))
        response = client.response()
        assert response.status == vector["status"]
        if response.status != 200:
            assert response.fields["connection"] == "close"
            assert client.has_ended()


async def _ok(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


def test_what_the_parser_refuses_as_well_is_refused_by_us():
    fields = [(b"host", b"a"), (b"content-length", b"5"), (b"transfer-encoding", b"chunked")]
    refusal = refusals.evaluate_head("1.1", b"/", fields, Limits())
    assert refusal is refusals.FRAMED_TWICE


@pytest.mark.parametrize("codings", [b"gzip", b"chunked, gzip", b"chunked,"])
def test_codings_that_do_not_end_in_chunked_are_refused_before_the_application(codings):
    fields = [(b"host", b"a"), (b"transfer-encoding", codings)]
    refusal = refusals.evaluate_head("1.1", b"/", fields, Limits())
    assert refusal is refusals.CODING_NOT_LAST


@pytest.mark.parametrize(
    ("fields", "has_content"),
    [
        ([], False),
        ([(b"content-length", b"0")], False),
        ([(b"content-length", b"00 ")], False),
        ([(b"content-length", b"10")], True),
        ([(b"transfer-encoding", b"chunked")], True),
    ],
)
def test_content_is_told_by_its_framing(fields, has_content):
    assert refusals.has_content(fields) is has_content


labels = st.text("abcXYZ019-_~!$&'()*+,;=", max_size=8)
names = st.lists(st.one_of(labels, st.just("%2F"), st.just("%c3")), max_size=4).map(".".join)
hosts = st.one_of(
    names,
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
ports = st.one_of(st.just(""), st.just(":"), st.integers(0, 65535).map(":{}".format))


@given(hosts, ports)
def test_whatever_follows_the_grammar_is_a_host(host, port):
    assert refusals.is_host(f"{host}{port}".encode())


@given(hosts, ports, st.sampled_from(' \t/@?#\\"<>^`{|}\x00\n\xe9'), st.data())
def test_one_octet_out_of_the_grammar_spoils_a_host(host, port, octet, data):
    text = host + port
    at = data.draw(st.integers(0, len(text)))
    assert not refusals.is_host((text[:at] + octet + text[at:]).encode("latin-1"))


@given(st.text("0123456789abcdef:.", min_size=1, max_size=20))
def test_in_brackets_only_an_address_is_a_host(text):
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        is_address = False
    else:
        is_address = True
    assert refusals.is_host(f"[{text}]".encode()) is is_address
