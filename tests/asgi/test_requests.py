import json

import pytest
from starlette.requests import Request

from tailrace.asgi.requests import (
    address_of,
    arguments,
    content,
    content_to_keep,
    fields_of,
    media_type_of,
    query_arguments,
    small_content,
)
from tailrace.errors import (
    ClientDisconnected,
    LengthExceeded,
    MalformedContent,
    MalformedField,
    UnsupportedContent,
)
from tailrace.intake.fill import LandingSource

pytestmark = pytest.mark.anyio

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"


def request_of(*chunks, query="", is_cut=False, path="/", host="a", **fields):
    """A request whose content comes in these chunks, and perhaps breaks off."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if is_cut:
        messages.append({"type": "http.disconnect"})
    else:
        messages.append({"type": "http.request"})
    left = iter(messages)

    async def receive():
        return next(left)

    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "https",
        "server": ("inside", 8000),
        "path": path,
        "query_string": query.encode(),
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in {"host": host, **fields}.items()
        ],
    }
    return Request(scope, receive)


async def test_content_comes_chunk_by_chunk():
    assert [x async for x in content(request_of(b"a", b"", b"b").receive)] == [b"a", b"b"]
    assert [x async for x in content(request_of().receive)] == []


async def test_content_that_breaks_off_is_no_end():
    chunks = content(request_of(b"a", is_cut=True).receive)
    assert await anext(chunks) == b"a"
    with pytest.raises(ClientDisconnected):
        await anext(chunks)


async def test_small_content_is_returned_whole():
    assert await small_content(request_of(b"ab", b"cd"), 4) == b"abcd"


async def test_content_over_the_limit_is_read_no_further():
    request = request_of(b"abc", b"de", b"never")
    with pytest.raises(LengthExceeded) as refused:
        await small_content(request, 4)
    assert refused.value.limit == 4
    assert (await request.receive())["body"] == b"never"


async def test_content_that_says_to_be_over_the_limit_is_not_read_at_all():
    request = request_of(b"never", content_length="5")
    with pytest.raises(LengthExceeded) as refused:
        await small_content(request, 4)
    assert refused.value.received == 5
    assert (await request.receive())["body"] == b"never"


async def test_a_declared_length_of_any_number_is_understood():
    """RFC 9110 §8.6: a recipient must anticipate large numerals."""
    with pytest.raises(LengthExceeded):
        await small_content(request_of(content_length="9" * 5000), 4)
    assert await small_content(request_of(b"a", content_length="0" * 5000 + "1"), 4) == b"a"
    with pytest.raises(MalformedField):
        await small_content(request_of(b"a", content_length="+1"), 4)


@pytest.mark.parametrize(
    ("media_type", "sent", "given"),
    [
        (None, b"", {}),
        ("application/json", b'{"a": 1, "b": null}', {"a": 1, "b": None}),
        ("Application/JSON; charset=utf-8", b'{"a": "\xe4\xbd\xa0"}', {"a": "你"}),
        ("application/vnd.x+json", b"{}", {}),
        (FORM, b"", {}),
        (FORM, b"a=1&b=", {"a": "1", "b": ""}),
        (FORM, "a=你好".encode(), {"a": "你好"}),
        (FORM, b"a=%E4%BD%A0+%26", {"a": "你 &"}),
        (f"{FORM}; charset=utf-8", b"a=b=c", {"a": "b=c"}),
        (
            MULTIPART,
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xe4\xbd\xa0\r\n--b--\r\n',
            {"a": "你"},
        ),
    ],
)
async def test_arguments_are_read_from_what_was_sent(media_type, sent, given):
    fields = {} if media_type is None else {"content_type": media_type}
    assert await arguments(request_of(sent, **fields), 1000) == given


@pytest.mark.parametrize(
    ("media_type", "sent"),
    [
        ("application/json", b""),
        ("application/json", b"["),
        ("application/json", b"[]"),
        ("application/json", b'"a"'),
        ("application/json", b"\xff"),
        ("application/json", b"[" * 100_000),
        ("application/json", b'{"a": ' + b"9" * 5000 + b"}"),
        (FORM, b"a"),
        (FORM, b"a=1&a=2"),
        (FORM, b"a=\xff"),
        (FORM, b"a=%ff"),
        (FORM, b"&".join(b"%d=" % n for n in range(1001))),
        (MULTIPART, b"--b\r\n"),
    ],
)
async def test_content_that_cannot_be_read_is_refused(media_type, sent):
    with pytest.raises(MalformedContent):
        await arguments(request_of(sent, content_type=media_type), 1_000_000)


@pytest.mark.parametrize("media_type", ["text/plain", "", "nonsense"])
async def test_content_of_another_type_is_refused_with_those_that_are_taken(media_type):
    with pytest.raises(UnsupportedContent) as refused:
        await arguments(request_of(b"a=1", content_type=media_type), 1000)
    assert json.dumps(refused.value.accepted)
    assert "application/json" in refused.value.accepted


async def test_arguments_are_as_long_as_the_limit():
    with pytest.raises(LengthExceeded):
        await arguments(request_of(b"a=" + b"b" * 9, content_type=FORM), 10)


def test_a_query_names_each_field_once():
    assert query_arguments(request_of(query="a=1&b=%E4%BD%A0&c")) == {
        "a": "1",
        "b": "你",
        "c": "",
    }
    with pytest.raises(MalformedContent, match="'a' is given twice"):
        query_arguments(request_of(query="a=1&a=1"))


def test_the_media_type_is_told_without_its_parameters():
    assert media_type_of(request_of(content_type="Text/HTML ; charset=x")) == "text/html"
    assert media_type_of(request_of()) == ""


def test_the_fields_keep_every_octet():
    assert fields_of(request_of(x_name="\xe4\xbd")).get("X-Name") == "\xe4\xbd"


@pytest.mark.parametrize(
    ("path", "route", "public", "address"),
    [
        ("/files", "/files", None, "https://a"),
        ("/share/files", "/files", None, "https://a/share"),
        ("/files/files", "/files", None, "https://a/files"),
        ("/bei uns/files", "/files", None, "https://a/bei%20uns"),
        ("/你/uploads/a b", "/uploads/a b", None, "https://a/%E4%BD%A0"),
        ("/share/files", "/files", "http://public", "http://public/share"),
        ("/share/files", "/files", "http://public/x/", "http://public/x/share"),
    ],
)
def test_an_address_is_the_one_that_was_asked_without_the_route(path, route, public, address):
    assert address_of(request_of(path=path), route, public) == address


def test_an_address_is_told_by_host_or_else_by_the_server():
    assert address_of(request_of(path="/f", host="b:81"), "/f", None) == "https://b:81"
    for host in ("", "b/x", 'b"><x', "b:port"):
        assert address_of(request_of(path="/f", host=host), "/f", None) == "https://inside:8000"


# --- content that a server can bring into a file --------------------------------------------


async def land(*_, **__):
    return 0


def offering(request, **offer):
    """The same request, from a server that can land it."""
    request.scope["extensions"] = {
        "tailrace.request.land": {"land": land, "receive": request.receive} | offer
    }
    return request


async def test_content_lands_where_the_server_can_do_it():
    request = offering(request_of(b"abc", content_length="3"))
    async with content_to_keep(request) as source:
        assert isinstance(source, LandingSource)
        assert source.length == 3
        assert [chunk async for chunk in source] == [b"abc"]


async def test_landing_is_handed_on_as_it_is_asked_for():
    asked = []

    async def land(*args, **how):
        asked.append((args, how))
        return 7

    async with content_to_keep(
        offering(request_of(b"abc", content_length="3"), land=land)
    ) as source:
        assert await source.land(5, 6, 7, on_progress=print, update=None) == 7
    assert asked == [((5, 6, 7), {"on_progress": print, "update": None})]


async def test_content_that_something_else_receives_first_does_not_land():
    request = offering(request_of(b"abc", content_length="3"), receive=lambda: None)
    async with content_to_keep(request) as source:
        assert not isinstance(source, LandingSource)
        assert [chunk async for chunk in source] == [b"abc"]


async def test_content_of_another_server_does_not_land():
    async with content_to_keep(request_of(b"abc", content_length="3")) as source:
        assert not isinstance(source, LandingSource)
