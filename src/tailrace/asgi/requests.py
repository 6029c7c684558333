"""Reading requests: content as a stream, small content whole, arguments, addresses."""

from __future__ import annotations

import json
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
)
from contextlib import aclosing, asynccontextmanager
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.types import Receive

from tailrace.errors import (
    ClientDisconnected,
    LengthExceeded,
    MalformedContent,
    UnsupportedContent,
)
from tailrace.intake import forms
from tailrace.intake.fill import LandingSource
from tailrace.protocol.fields import Fields
from tailrace.protocol.media_types import essence_of
from tailrace.protocol.uploads.metadata import read_content_length

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


def fields_of(request: Request) -> Fields:
    return Fields.from_raw(request.scope["headers"])


def media_type_of(request: Request) -> str:
    """Return the type of the request's content, as `essence_of` does."""
    return essence_of(fields_of(request))


async def content(receive: Receive) -> AsyncGenerator[bytes]:
    """Yield the request's content as it comes.

    Raises:
        ClientDisconnected: it was cut off.
    """
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("the sender was cut off")
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body", False):
            return


@asynccontextmanager
async def content_to_keep(request: Request) -> AsyncIterator[AsyncIterable[bytes]]:
    """Lend the request's content, as `content` yields it.

    Where the server can bring it into a file, it is a `LandingSource`; unless something
    between the server and us has put a `receive` of its own in place: it would be passed by.
    """
    async with aclosing(content(request.receive)) as chunks:
        landing = request.scope.get("extensions", {}).get("tailrace.request.land")
        length = read_content_length(fields_of(request))
        if landing is None or landing["receive"] is not request.receive or length is None:
            yield chunks
        else:
            yield _LandingContent(chunks, length, landing["land"])


class _LandingContent:
    def __init__(
        self, chunks: AsyncGenerator[bytes], length: int, land: Callable[..., Awaitable[int]]
    ) -> None:
        self.length = length
        self._chunks = chunks
        self._land = land

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def land(
        self,
        descriptor: int,
        offset: int,
        count: int,
        *,
        on_progress: Callable[[int], None],
        update: Callable[[memoryview], None] | None,
    ) -> int:
        return await self._land(
            descriptor, offset, count, on_progress=on_progress, update=update
        )


_: type[LandingSource] = _LandingContent


async def small_content(request: Request, limit: int) -> bytes:
    """Return the request's content whole.

    Raises:
        LengthExceeded: it is over the limit; told at once where the length was declared.
        MalformedField: the declared length is none.
    """
    declared = read_content_length(fields_of(request))
    if declared is not None and declared > limit:
        raise LengthExceeded(limit, declared)
    collected = bytearray()
    async for chunk in content(request.receive):
        collected += chunk
        if len(collected) > limit:
            raise LengthExceeded(limit)
    return bytes(collected)


async def arguments(request: Request, limit: int) -> Mapping[str, object]:
    """Return what a form or a JSON object in the content names.

    Raises:
        UnsupportedContent: it is neither.
        MalformedContent: it cannot be read, or names a field twice.
    """
    media_type = media_type_of(request)
    content = await small_content(request, limit)
    if not content and not media_type:
        return {}
    if media_type == _JSON or media_type.endswith("+json"):
        return _json_object(content)
    if media_type == _FORM:
        return _form(content)
    if media_type == forms.MEDIA_TYPE:
        return forms.fields_of(content, request.headers["content-type"])
    raise UnsupportedContent(media_type, (_JSON, _FORM, forms.MEDIA_TYPE))


def asks_for_download(request: Request) -> bool:
    """Tell whether the query has `download`."""
    return bool(request.scope["query_string"]) and "download" in request.query_params


def query_arguments(request: Request) -> Mapping[str, object]:
    """Return what the query names.

    Raises:
        MalformedContent: it names a field twice.
    """
    return forms.each_once(request.query_params.multi_items())


def address_of(request: Request, route: str, public: str | None) -> str:
    """Return the address under which the routes are mounted, without a slash at the end.

    `route` is the path of this request below it. `public`, where it is set, takes the place
    of the scheme, host and port that the request came to.
    """
    mount = quote(str(request.scope["path"]).removesuffix(route), safe="/%")
    if public is not None:
        return public.rstrip("/") + mount
    return f"{request.url.scheme}://{request.url.netloc}{mount}"


def _json_object(content: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise MalformedContent(f"the content is not JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise MalformedContent("the content must be a JSON object, with a member each field")
    return value


def _form(content: bytes) -> Mapping[str, object]:
    try:
        pairs = parse_qsl(
            content.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=bool(content),
            errors="strict",
            max_num_fields=1000,
        )
    except ValueError as exc:
        raise MalformedContent(f"the content is not a form in UTF-8: {exc}") from exc
    return forms.each_once(pairs)
