"""The shortest way through: small files by link, when all of it is at hand."""

import os
from datetime import timedelta

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tailrace import cached
from tailrace.asgi.app import application
from tailrace.asgi.shortcut import SmallFilesByLink

pytestmark = pytest.mark.anyio

CONTENT = b"0123456789"


@pytest.fixture(autouse=True)
def all_in_memory(monkeypatch):
    """Not every file system can tell what is in memory; with this, each can."""

    def read(descriptor, start, stop):
        content = os.pread(descriptor, stop - start, start)
        return content if len(content) == stop - start else None

    monkeypatch.setattr(cached, "read", read)


class Noted:
    """A client of the shortcut alone, and what it leaves to the application."""

    def __init__(self, tailrace, client_of):
        self.left = []
        self._app = Starlette(routes=tailrace.routes)
        self.client = client_of(SmallFilesByLink(self._usual_way, lambda: tailrace.service))

    async def _usual_way(self, scope, receive, send):
        self.left.append(scope["path"])
        await self._app(scope, receive, send)

    async def answers_by_itself(self, method, target, fields=()):
        self.left.clear()
        await self.client.ask(method, target, fields)
        return self.left == []


@pytest.fixture
def noted(tailrace, client_of):
    return Noted(tailrace, client_of)


@pytest.fixture
async def link(client):
    """The path of a link to a small file that was asked for before."""
    url = (await client.put("a.txt", CONTENT))["links"][0]["url"]
    await client.get(url)
    return url.removeprefix("http://testserver")


async def test_a_link_that_was_asked_for_before_is_answered_at_once(noted, link):
    assert await noted.answers_by_itself("GET", link)


async def test_the_first_time_the_catalogue_is_asked(noted, client):
    link = (await client.put("a.txt", CONTENT))["links"][0]["url"]
    assert not await noted.answers_by_itself("GET", link)
    assert await noted.answers_by_itself("GET", link)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST"])
async def test_another_method_goes_the_usual_way(noted, link, method):
    assert not await noted.answers_by_itself(method, link)


@pytest.mark.parametrize(
    "field", ["Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Range"]
)
async def test_a_request_for_less_goes_the_usual_way(noted, link, field):
    assert not await noted.answers_by_itself("GET", link, {field: "bytes=0-"})


async def test_whatever_else_is_asked_for_goes_the_usual_way(noted, link):
    for target in (f"{link}?download", link.rpartition("/")[0], "/", "/l", "/l/", "/x/l/a/b"):
        assert not await noted.answers_by_itself("GET", target)


async def test_what_has_to_be_waited_for_goes_the_usual_way(noted, link, monkeypatch):
    monkeypatch.setattr(cached, "read", lambda *_: None)
    assert not await noted.answers_by_itself("GET", link)


async def test_a_long_file_goes_the_usual_way(noted, client):
    link = (await client.put("long", bytes(65_537)))["links"][0]["url"]
    await client.get(link)
    assert not await noted.answers_by_itself("GET", link)


async def test_after_any_change_the_catalogue_is_asked_again(noted, client, link):
    await client.put("other.txt")
    assert not await noted.answers_by_itself("GET", link)
    assert await noted.answers_by_itself("GET", link)


async def test_what_has_expired_since_goes_the_usual_way(noted, clock, link):
    clock.ahead = timedelta(hours=25)
    assert not await noted.answers_by_itself("GET", link)
    assert (await noted.client.get(link)).status == 410


async def test_a_file_that_has_lost_bytes_is_not_delivered(noted, tailrace, link):
    [blob] = [key async for key in tailrace.service.store.keys()]
    os.truncate(f"{tailrace.settings.data}/blobs/{blob[:2]}/{blob}", 5)
    assert (await noted.client.get(link)).status == 503


async def test_what_is_no_request_goes_the_usual_way():
    asked = []

    async def app(scope, receive, send):
        asked.append(scope["type"])

    await SmallFilesByLink(app, None)({"type": "lifespan"}, None, None)
    assert asked == ["lifespan"]


async def test_a_client_that_has_left_is_no_error(noted, tailrace, link):
    async def send(message):
        raise OSError

    shortcut = SmallFilesByLink(None, lambda: tailrace.service)
    scope = {
        "type": "http",
        "method": "GET",
        "path": link,
        "query_string": b"",
        "headers": [],
    }
    await shortcut(scope, None, send)


@pytest.mark.parametrize("name", ["a.txt", "page.html", "☃", "a" * 300, "no-extension"])
async def test_the_answer_is_that_of_the_usual_way(tailrace, client, client_of, name):
    link = (await client.put(name, CONTENT))["links"][0]["url"]
    usual = await client_of(Starlette(routes=tailrace.routes)).get(link)
    shortcut = await client.get(link)
    assert (shortcut.status, shortcut.lines) == (usual.status, usual.lines)
    assert shortcut.content == usual.content == CONTENT


async def test_below_a_mount_it_is_the_path_there_that_counts(tailrace, client_of, link):
    client = client_of(Starlette(routes=[Mount("/share", application(tailrace))]))
    assert (await client.get(f"/share{link}")).content == CONTENT
    assert (await client.get(link)).status == 404
