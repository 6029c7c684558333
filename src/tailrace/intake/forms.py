"""multipart/form-data (RFC 7578), part by part, each part's content as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from tailrace.errors import MalformedContent

MEDIA_TYPE = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Part:
    """One part: a field, or a file where it has a file name."""

    name: str
    file_name: str | None
    media_type: str | None
    content: AsyncIterator[bytes]
    """To be read before the next part is asked for; what is left of it is skipped."""


async def parts(
    content: AsyncIterator[bytes], content_type: str, *, limit: int
) -> AsyncGenerator[Part]:
    """Yield the parts of a form, at most `limit` of them, as they arrive.

    Raises:
        MalformedContent: the form is broken, or ends before its last boundary.
        LengthExceeded: there are more parts.
    """
    parser = _parser(content_type, limit)
    async with aclosing(_events(parser, content)) as events:
        async for event in events:
            if isinstance(event, MultipartSegment):
                part_content = _until_end_of_part(events)
                yield Part(event.name, event.filename, _type_of(event), part_content)
                async for _ in part_content:
                    pass


def fields_of(content: bytes, content_type: str) -> Mapping[str, object]:
    """Return the fields of a small form; files among them as text.

    Raises:
        MalformedContent: the form is broken, or names a field twice.
    """
    pairs: list[tuple[str, str]] = []
    with _refusals(), _parser(content_type, 1000) as parser:
        value = bytearray()
        for event in parser.parse(content) if content else ():
            if isinstance(event, MultipartSegment):
                name, value = event.name, bytearray()
            elif event is not None:
                value += event
            else:
                pairs.append((name, value.decode("utf-8")))
    return each_once(pairs)


def each_once(pairs: Iterable[tuple[str, str]]) -> Mapping[str, object]:
    """Return pairs as a mapping.

    Raises:
        MalformedContent: a name comes twice.
    """
    named: dict[str, object] = {}
    for name, value in pairs:
        if name in named:
            raise MalformedContent(f"the field {name!r} is given twice")
        named[name] = value
    return named


def _parser(content_type: str, limit: int) -> PushMultipartParser:
    _, options = parse_options_header(content_type)
    boundary = options.get("boundary", "")
    with _refusals():
        return PushMultipartParser(boundary, max_segment_count=limit, strict=True)


async def _events(
    parser: PushMultipartParser, content: AsyncIterator[bytes]
) -> AsyncGenerator[MultipartSegment | bytes | bytearray | None]:
    async for chunk in content:
        with _refusals():
            for event in parser.parse(chunk):
                yield event
    with _refusals():
        parser.close()


async def _until_end_of_part(
    events: AsyncIterator[MultipartSegment | bytes | bytearray | None],
) -> AsyncGenerator[bytes]:
    async for event in events:
        if event is None:
            return
        assert not isinstance(event, MultipartSegment)
        yield bytes(event)


def _type_of(segment: MultipartSegment) -> str | None:
    # The library gives a type even where the part named none; we guess a better one.
    return segment.content_type if segment.header("Content-Type") else None


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ParserLimitReached as exc:
        raise MalformedContent(f"the form is over a limit: {exc}") from exc
    except MultipartError as exc:
        raise MalformedContent(f"the form is broken: {exc}") from exc
    except UnicodeDecodeError as exc:
        raise MalformedContent("a field of the form is not UTF-8") from exc
