"""The way past the routing, for links."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from tailrace.asgi.app import application
from tailrace.asgi.shortcut import LinksFirst

pytestmark = pytest.mark.anyio

CONTENT = b"0123456789"


@pytest.fixture
async def link(client):
    return (await client.put("a.txt", CONTENT))["links"][0]["url"].removeprefix(
        "http://testserver"
    )


class Noting:
    """Middleware that notes which paths get as far as this."""

    def __init__(self, app, seen):
        self._app = app
        self._seen = seen

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            self._seen.append(scope["path"])
        await self._app(scope, receive, send)


@pytest.fixture
def noted(tailrace, client_of):
    """A client of the application with middleware behind the shortcut, and what that saw."""
    app = application(tailrace)
    seen = []
    app.user_middleware.append(Middleware(Noting, seen=seen))
    return client_of(app), seen


async def test_a_link_is_answered_before_anything_else_is_asked(noted, link):
    client, seen = noted
    bare = link.rpartition("/")[0]
    for target in (link, bare, f"{bare}/a/b"):
        assert (await client.get(target)).content == CONTENT
    assert (await client.get("/l/unknown/a.txt")).problem == "not-found"
    assert seen == []


@pytest.mark.parametrize("path", ["/files", "/", "/l", "/l/", "/x/l/y", "/files/l/content"])
async def test_any_other_path_goes_the_usual_way(noted, path):
    client, seen = noted
    await client.get(path)
    assert seen == [path]


async def test_what_is_no_request_goes_the_usual_way():
    asked = []

    async def app(scope, receive, send):
        asked.append(scope["type"])

    await LinksFirst(app, [])({"type": "lifespan"}, None, None)
    assert asked == ["lifespan"]


TARGETS = [
    "{link}",
    "{bare}",
    "{bare}/",
    "{bare}/a/b",
    "{bare}?download",
    "/l/unknown",
    "/l//a",
]
FIELDS = [{}, {"Range": "bytes=2-4"}, {"If-None-Match": "*"}, {"Accept": "application/json"}]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize("fields", FIELDS, ids=str)
@pytest.mark.parametrize("target", TARGETS)
async def test_the_answer_is_the_same_as_without_it(
    tailrace, client_of, link, target, method, fields
):
    target = target.format(link=link, bare=link.rpartition("/")[0])
    shortcut = await client_of(application(tailrace)).ask(method, target, fields)
    routed = await client_of(Starlette(routes=tailrace.routes)).ask(method, target, fields)
    if routed.status == 404 and "problem" not in routed.fields["content-type"]:
        assert shortcut.status == 404  # of no route, which the application tells in its way
        return
    assert (shortcut.status, shortcut.lines) == (routed.status, routed.lines)
    assert shortcut.content == routed.content


async def test_below_a_mount_it_is_the_path_there_that_counts(tailrace, client_of, link):
    client = client_of(Starlette(routes=[Mount("/share", application(tailrace))]))
    assert (await client.get(f"/share{link}")).content == CONTENT
    assert (await client.get(link)).status == 404
