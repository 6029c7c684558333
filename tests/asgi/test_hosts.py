import pytest

from tailrace.asgi.hosts import OwnNames

pytestmark = pytest.mark.anyio


async def test_what_is_no_request_passes():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    for kind in ("lifespan", "websocket"):
        await OwnNames(app, frozenset())({"type": kind}, None, None)
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

    app = OwnNames(hello, frozenset({"files.example.org"}))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "path": path,
        "headers": [(b"host", host.encode())],
        "method": "GET",
    }
    await app(scope, None, send)
    assert sent[0]["status"] == status
