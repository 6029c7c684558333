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
)

from tailrace.errors import MalformedContent, MalformedField
from tailrace.protocol.disposition import FormPart
from tailrace.protocol.media_types import parse_media_type

MEDIA_TYPE = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Part:
    """One part: a field, or a file where it has a file name."""

    name: str
    file_name: str | None
    """As it was sent: see `safe_name`. None also where a file input was left empty."""
    media_type: str | None
    """None where the part names none that can be read."""
    content: AsyncIterator[bytes]
    """To be read before the next part is asked for; what is left of it is skipped."""


async def parts(
    content: AsyncIterator[bytes], content_type: str, *, limit: int
) -> AsyncGenerator[Part]:
    """Yield the parts of a form, at most `limit` of them, as they arrive.

    What comes before the first boundary and after the last is ignored (RFC 2046 §5.1.1).

    Raises:
        MalformedContent: the form is broken, ends before its last boundary, or has more
            parts.
        MalformedField: `content_type` cannot be read.
    """
    parser = _parser(content_type, limit)
    async with aclosing(_events(parser, content)) as events:
        async for event in events:
            if isinstance(event, MultipartSegment):
                described = _described(event)
                async with aclosing(_until_end_of_part(events)) as part_content:
                    yield Part(
                        described.name,
                        described.filename or None,
                        _type_of(event),
                        part_content,
                    )
                    async for _ in part_content:
                        pass


def fields_of(content: bytes, content_type: str) -> Mapping[str, object]:
    """Return the fields of a small form; files among them as text.

    Raises:
        MalformedContent: the form is broken, or names a field twice.
        MalformedField: `content_type` cannot be read.
    """
    pairs: list[tuple[str, str]] = []
    with _refusals(), _parser(content_type, 1000) as parser:
        value = bytearray()
        for event in parser.parse(content) if content else ():
            if isinstance(event, MultipartSegment):
                name, value = _described(event).name, bytearray()
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
    boundary = parse_media_type(content_type).parameters.get("boundary", "")
    with _refusals():
        # Not strict: that refuses a form whose last line end comes in a chunk of its own.
        # One character of a part's head is one octet, which is what `FormPart` reads.
        return PushMultipartParser(
            boundary, max_segment_count=limit, header_charset="latin-1", strict=False
        )


async def _events(
    parser: PushMultipartParser, content: AsyncIterator[bytes]
) -> AsyncGenerator[MultipartSegment | bytes | bytearray | None]:
    async for chunk in content:
        if chunk:  # an empty one would be the end to the parser
            with _refusals():
                for event in parser.parse(chunk):
                    yield event
    with _refusals():
        parser.close()


def _described(segment: MultipartSegment) -> FormPart:
    value = segment.header("Content-Disposition", "")
    part = FormPart.from_field(value)
    if part is None:
        raise MalformedContent(
            "the form is broken: a part must begin with Content-Disposition: form-data and a"
            f" name, not with {value[:200]!r}"
        )
    return part


async def _until_end_of_part(
    events: AsyncIterator[MultipartSegment | bytes | bytearray | None],
) -> AsyncGenerator[bytes]:
    async for event in events:
        if event is None:
            return
        assert not isinstance(event, MultipartSegment)
        yield bytes(event)


def _type_of(segment: MultipartSegment) -> str | None:
    # Not the library's, which has lost the parameters.
    try:
        return parse_media_type(segment.header("Content-Type", "")).to_field()
    except MalformedField:
        return None


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
