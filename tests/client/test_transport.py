"""Redirects, credentials, proxies, TLS: whom is asked, and what they are told."""

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hostile import Hostile, answer, chunked, honest, raw, read_request, response, whole

from tailrace.client.cancellation import Cancellation
from tailrace.client.connections import Timeouts
from tailrace.client.downloads import download
from tailrace.client.transport import Authorization, Transport, Unreachable
from tailrace.client.urls import Url
from tailrace.errors import ConfigurationError, ConnectionLost, TransferError

CERTIFICATE = Path(__file__).parent / "localhost.pem"


def fetch(url, key=None):
    """Return the content of a URL, as the transport gives it."""
    parsed = Url.parse(url)
    transport = Transport(Timeouts(connect_seconds=5, stall_seconds=5), Cancellation())
    response = transport.fetch(parsed, [], Authorization.of(parsed, key))
    try:
        return response.head.status, response.read(100)
    finally:
        response.close()


def redirect(location, status="302 Found"):
    return answer(status, [("Location", location)], b"look elsewhere")


@pytest.fixture
def tls(monkeypatch):
    """The server's side of TLS, with a certificate that this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


# --- redirects ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status",
    ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"],
)
def test_a_redirect_is_followed(status):
    with Hostile(redirect("/there?x=1", status), whole(b"hello")) as server:
        assert fetch(server.url("/here")) == (200, b"hello")
    assert [request.target for request in server.requests] == ["/here", "/there?x=1"]


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("there", "/a/there"),
        ("../there", "/there"),
        ("?x", "/a/b?x"),
        ("/na\u00efve file", "/na%C3%AFve%20file"),
        ("/there#fragment", "/there"),
    ],
)
def test_a_location_is_a_reference(location, target):
    with Hostile(redirect(location), whole(b"hello")) as server:
        fetch(server.url("/a/b"))
    assert server.requests[1].target == target


def test_a_redirect_loop_ends():
    with Hostile(redirect("/again")) as server:
        with pytest.raises(TransferError, match="more than 10 times"):
            fetch(server.url("/again"))
    assert len(server.requests) == 11


def test_a_redirect_without_location_is_an_answer():
    with Hostile(answer("302 Found")) as server:
        assert fetch(server.url()) == (302, b"")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://host/", "http://[::1/"])
def test_a_redirect_to_what_is_not_http_is_refused(location):
    with Hostile(redirect(location)) as server:
        with pytest.raises(TransferError, match="where we may not go"):
            fetch(server.url())


def test_a_redirect_from_https_to_http_is_refused(tls):
    with (
        Hostile(whole(b"secret")) as plain,
        Hostile(redirect(plain.url()), tls=tls) as secure,
        pytest.raises(TransferError, match="from https to"),
    ):
        fetch(secure.url())
    assert plain.requests == []


# --- credentials --------------------------------------------------------------------------


def test_a_key_is_sent_as_a_bearer_token():
    with Hostile(whole(b"hello")) as server:
        fetch(server.url(), key="secret")
    assert server.requests[0].fields["authorization"] == "Bearer secret"


def test_credentials_in_the_url_are_sent_but_never_as_a_part_of_it():
    with Hostile(whole(b"hello")) as server:
        fetch(server.url().replace("//", "//Aladdin:open%20sesame@"))
    assert server.requests[0].fields["authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert server.requests[0].fields["host"] == f"127.0.0.1:{server.port}"


def test_a_key_goes_along_on_a_redirect_within_its_origin():
    with Hostile(redirect("/there"), whole(b"hello")) as server:
        fetch(server.url(), key="secret")
    assert server.requests[1].fields["authorization"] == "Bearer secret"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_key_never_goes_to_another_origin(host):
    with Hostile(whole(b"hello")) as other:
        with Hostile(redirect(other.url(host=host))) as server:
            fetch(server.url(), key="secret")
    assert "authorization" not in other.requests[0].fields


def test_a_redirect_cannot_bring_credentials_of_its_own():
    with Hostile(whole(b"hello")) as other:
        with Hostile(redirect(other.url().replace("//", "//user:word@"))) as server:
            fetch(server.url())
    assert "authorization" not in other.requests[0].fields


@pytest.mark.parametrize("key", ["", "secret\r\nX-Evil: yes", "two words", "schlüssel"])
def test_what_can_be_no_key_is_refused_and_not_repeated(key):
    with pytest.raises(ConfigurationError) as caught:
        fetch("http://127.0.0.1:1/", key=key)
    assert not key or key not in str(caught.value)


# --- proxies ------------------------------------------------------------------------------


def test_a_proxy_is_asked_for_the_whole_url(monkeypatch):
    with Hostile(whole(b"hello")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url("/").replace("//", "//user:word@"))
        assert fetch("http://example.test:81/path?query") == (200, b"hello")
    (request,) = proxy.requests
    assert request.target == "http://example.test:81/path?query"
    assert request.fields["host"] == "example.test:81"
    assert request.fields["proxy-authorization"] == "Basic dXNlcjp3b3Jk"


def test_a_host_of_no_proxy_is_asked_itself(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Hostile(whole(b"hello")) as server:
        assert fetch(server.url()) == (200, b"hello")


def test_a_proxy_that_cannot_be_spoken_to_is_named(monkeypatch):
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(ConfigurationError, match="socks5"):
        fetch("http://example.test/")


def tunnel(head=b"HTTP/1.1 200 Connection established\r\n\r\n"):
    """A proxy that connects to a server of this machine, whatever host is asked for."""

    def reply(connection, request):
        connection.sendall(head)
        if b" 200 " not in head:
            return
        port = int(request.target.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as there:
            back = threading.Thread(target=pump, args=(there, connection), daemon=True)
            back.start()
            pump(connection, there)
            back.join(5)

    return reply


def pump(source, sink):
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_https_goes_through_a_tunnel(monkeypatch, tls):
    with Hostile(whole(b"hello"), tls=tls) as server, Hostile(tunnel()) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url("/").replace("//", "//user:word@"))
        assert fetch(server.url(host="localhost"), key="secret") == (200, b"hello")
    (asked,) = proxy.requests
    assert (asked.method, asked.target) == ("CONNECT", f"localhost:{server.port}")
    assert asked.fields["proxy-authorization"] == "Basic dXNlcjp3b3Jk"
    assert "authorization" not in asked.fields
    assert "proxy-authorization" not in server.requests[0].fields


def test_a_tunnel_that_is_refused_says_why(monkeypatch):
    with Hostile(tunnel(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url("/"))
        with pytest.raises(Unreachable, match="407 Proxy Authentication Required"):
            fetch("https://example.test/")


def test_a_proxy_that_hangs_up_is_unreachable(monkeypatch):
    with Hostile(raw(b"HTTP/1.1 200")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url("/"))
        with pytest.raises(Unreachable, match="closed the connection"):
            fetch("https://example.test/")


# --- TLS ----------------------------------------------------------------------------------


def test_https_is_spoken(tls):
    with Hostile(whole(b"hello"), tls=tls) as server:
        assert fetch(server.url(host="localhost")) == (200, b"hello")


def test_a_certificate_that_nobody_vouches_for_is_refused(tls, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with Hostile(whole(b"hello"), tls=tls) as server:
        with pytest.raises(TransferError, match="cannot be trusted"):
            fetch(server.url())
    assert server.requests == []


def test_a_download_over_tls_is_resumed(tls, tmp_path, quick):
    content = bytes(range(256)) * 1000
    tag = ("ETag", '"one"')
    head = response("200 OK", [tag, ("Content-Length", str(len(content)))])
    with Hostile(raw(head, content[:100_000]), honest(content, tag), tls=tls) as server:
        done = download(server.url(), tmp_path, **quick)
    assert done.path.read_bytes() == content


# --- connections --------------------------------------------------------------------------


def test_a_port_where_nobody_listens_is_unreachable():
    with Hostile() as server:
        pass
    with pytest.raises(Unreachable, match="no connection to 127"):
        fetch(server.url())


def test_a_host_that_does_not_exist_is_unreachable():
    with pytest.raises(Unreachable, match=r"'does-not-exist\.invalid' is not known"):
        fetch("http://does-not-exist.invalid/")


@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
def test_a_host_that_can_be_no_name_is_unreachable(host):
    with pytest.raises(Unreachable, match="is not known"):
        fetch(f"http://{host}/")


def test_a_server_that_says_nothing_is_lost():
    with Hostile(raw(b"")) as server, pytest.raises(ConnectionLost, match="cut before"):
        fetch(server.url())


def test_the_test_server_reads_what_a_request_says():
    # Of the double itself: the tests above rest on it.
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\nRange: bytes=5-\r\n\r\n")
        request = read_request(theirs)
    assert (request.method, request.target, request.first) == ("GET", "/x", 5)


# --- kept connections ---------------------------------------------------------------------


def serve_each(*replies):
    """Answer one request after the other on one connection, each by the next reply."""

    def reply(connection, request):
        for turn, octets in enumerate(replies):
            if turn:
                asked.append(read_request(connection))
            connection.sendall(octets)
        with suppress(OSError):
            while connection.recv(65536):
                pass

    asked = []
    reply.asked = asked
    return reply


HELLO = response("200 OK", [("Content-Length", "5")], b"hello")


def fetch_twice(server):
    transport = Transport(Timeouts(stall_seconds=5), Cancellation())
    contents = []
    for name in ("/one", "/two"):
        answer = transport.fetch(Url.parse(server.url(name)), (), None)
        contents.append(answer.read(100))
        answer.content.readinto(memoryview(bytearray(1)))
        transport.release(answer)
    transport.close()
    return contents


def test_a_connection_is_kept_for_the_next_request():
    reply = serve_each(HELLO, HELLO.replace(b"hello", b"world"))
    with Hostile(reply) as server:
        assert fetch_twice(server) == [b"hello", b"world"]
    assert [request.target for request in reply.asked] == ["/two"]


def test_a_kept_connection_that_was_closed_is_replaced():
    with Hostile(raw(HELLO), whole(b"again")) as server:
        assert fetch_twice(server) == [b"hello", b"again"]


def test_a_kept_connection_that_ends_when_it_is_used_is_replaced():
    def reply(connection, request):
        connection.sendall(HELLO)
        read_request(connection)

    with Hostile(reply, whole(b"again")) as server:
        assert fetch_twice(server) == [b"hello", b"again"]


UNFIT = {
    "more than was promised": HELLO + HELLO.replace(b"hello", b"evil!"),
    "a wish to close": HELLO.replace(b"OK\r\n", b"OK\r\nConnection: x, Close\r\n"),
    "HTTP/1.0": HELLO.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no length": response("200 OK", [("Transfer-Encoding", "chunked")], chunked(b"hello")),
}


@pytest.mark.parametrize("octets", UNFIT.values(), ids=UNFIT)
def test_a_connection_of_which_nobody_knows_where_it_stands_is_not_kept(octets):
    with Hostile(raw(octets, then="stall"), whole(b"again")) as server:
        assert fetch_twice(server) == [b"hello", b"again"]


def test_a_connection_is_kept_for_its_own_origin_only():
    with Hostile(serve_each(HELLO)) as one, Hostile(whole(b"other")) as other:
        transport = Transport(Timeouts(stall_seconds=5), Cancellation())
        first = transport.fetch(Url.parse(one.url()), (), None)
        first.read(5)
        transport.release(first)
        second = transport.fetch(Url.parse(other.url()), (), None)
        assert second.read(5) == b"other"
        transport.release(second)
        transport.close()
