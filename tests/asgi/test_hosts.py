import pytest

from tailrace.asgi.hosts import OneHost

pytestmark = pytest.mark.anyio


@pytest.fixture
def client(client_of):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    return client_of(OneHost(app))


async def status_with(client, *hosts, version="1.1"):
    lines = [(b"host", host.encode("latin-1")) for host in hosts]
    return (await client.ask("GET", "/", headers=lines, http_version=version)).status


@pytest.mark.parametrize(
    "host",
    ["files.example", "files.example:8000", "127.0.0.1", "[::1]:80", "", "a_b", "x:", "%41.x"],
)
async def test_a_request_for_one_host_passes(client, host):
    assert await status_with(client, host) == 204


@pytest.mark.parametrize(
    "host",
    ["a b", "a/b", "a@b", "a?b", "a#b", '"a"', "a,b c", "a:8o", "[::1", "::1", "%4", "\xe4.x"],
)
async def test_a_host_that_cannot_be_read_is_refused(client, host):
    """RFC 9112 §3.2: an invalid field value."""
    assert await status_with(client, host) == 400


async def test_a_request_for_two_hosts_is_refused_also_if_they_are_the_same(client):
    assert await status_with(client, "a", "b") == 400
    assert await status_with(client, "a", "a") == 400


async def test_only_http_1_1_has_to_name_a_host(client):
    assert await status_with(client, version="1.0") == 204
    assert await status_with(client, version="2") == 204
    assert await status_with(client, version="1.1") == 400


async def test_the_refusal_tells_the_field(client):
    refused = await client.ask("GET", "/", headers=[])
    assert refused.problem == "malformed-field"
    assert refused.json["field"] == "Host"


async def test_what_is_no_request_passes():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    for kind in ("lifespan", "websocket"):
        await OneHost(app)({"type": kind}, None, None)
    assert seen == ["lifespan", "websocket"]


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("127.0.0.1:8000", "/files", 200),
        ("localhost", "/files", 200),
        ("[::1]:8000", "/files", 200),
        ("files.example.org", "/files", 200),
        ("evil.example", "/files", 403),
        ("evil.example.", "/files", 403),
        ("evil.example", "/l/token", 200),
    ],
)
async def test_a_local_service_answers_no_foreign_domain_but_for_links(host, path, status):
    sent = []

    async def hello(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    app = OneHost(hello, frozenset({"files.example.org"}))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "path": path,
        "headers": [(b"host", host.encode())],
        "method": "GET",
    }
    await app(scope, None, send)
    assert sent[0]["status"] == status
