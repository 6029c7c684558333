"""The head of a response, and how its content is delimited (RFC 9112 §6)."""

from __future__ import annotations

import enum
import functools
import http
import re
from collections.abc import Iterable
from email.utils import formatdate
from typing import NamedTuple

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_IN_VALUES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

# Those that frame the message, route it, or say how the content is to be read are of no use
# behind it, or do harm (RFC 9110 §6.5.1).
_NOT_IN_TRAILERS = frozenset(
    {
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"trailer",
        b"transfer-encoding",
    }
)

FieldLines = Iterable[tuple[bytes, bytes]]


class Framing(enum.Enum):
    """How the other side knows where the content ends (RFC 9112 §6.3)."""

    NONE = "none"
    """There is no content, whatever the fields say: HEAD, 1xx, 204, 304."""
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"
    """By the end of the connection, for HTTP/1.0."""


class ResponseHead(NamedTuple):  # made for each response, in a third of a dataclass's time
    """A status line and fields, ready to be sent."""

    status: int
    octets: bytes
    framing: Framing
    content_length: int | None
    """Where the framing is `LENGTH`."""
    keep_alive: bool


def response_head(
    status: int,
    fields: FieldLines,
    defaults: FieldLines = (),
    *,
    method: str,
    http_version: str,
    keep_alive: bool,
) -> ResponseHead:
    """Return a head; `Transfer-Encoding` and `Connection` are added where needed.

    Those of the `defaults` are sent that are not among the fields.

    Raises:
        RuntimeError: a field that must not be sent.
    """
    fields, defaults = tuple(fields), tuple(defaults)
    facts = (status, fields, defaults, method == "HEAD", http_version, keep_alive)
    try:
        return _kept_head(*facts)
    except TypeError:  # a line may be a list, which cannot be looked up
        return _written_head(*facts)


def _written_head(
    status: int,
    fields: FieldLines,
    defaults: FieldLines,
    is_head: bool,
    http_version: str,
    keep_alive: bool,
) -> ResponseHead:
    lines = [_status_line(status)]
    names = set()
    content_length = None
    is_chunked = False
    says_close = False
    for name, value in fields:
        name = _field_name(name)
        names.add(name)
        if _NOT_IN_VALUES.search(value):
            raise RuntimeError("Invalid HTTP header value.")
        if name == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise RuntimeError("The only transfer coding that is sent is chunked.")
            is_chunked = True
            continue  # written below
        if name == b"content-length":
            if not value.isdigit():
                raise RuntimeError("Invalid Content-Length.")
            if status < 200 or status == 204:
                continue  # RFC 9110 §8.6
            content_length = int(value)
        elif name == b"connection":
            says_close = says_close or names_close(value)
        lines += (name, b": ", value, b"\r\n")
    for name, value in defaults:
        if name not in names:
            lines += (name, b": ", value, b"\r\n")
    if is_chunked and content_length is not None:
        raise RuntimeError("Content-Length and Transfer-Encoding exclude each other.")

    framing = _framing(status, is_head, http_version, content_length)
    keep_alive = keep_alive and not says_close and framing is not Framing.CLOSE
    if framing is Framing.CHUNKED:
        lines.append(b"transfer-encoding: chunked\r\n")
    if not keep_alive and not says_close:
        lines.append(b"connection: close\r\n")
    elif keep_alive and http_version == "1.0":  # which closes unless told (RFC 9112 §9.3)
        lines.append(b"connection: keep-alive\r\n")
    lines.append(b"\r\n")
    return ResponseHead(
        status=status,
        octets=b"".join(lines),
        framing=framing,
        content_length=content_length if framing is Framing.LENGTH else None,
        keep_alive=keep_alive,
    )


# The same file has the same head for a second: then the Date is another.
_kept_head = functools.lru_cache(maxsize=256)(_written_head)


def interim_head(status: int, fields: FieldLines) -> bytes:
    """Write an interim response, which is a head alone (RFC 9110 §15.2).

    Raises:
        RuntimeError: as `response_head`, or it is no interim status.
    """
    if not 101 < status < 200:  # 100 is sent when content is asked for, 101 ends HTTP
        raise RuntimeError(f"{status} is not the status of an interim response.")
    return _written_head(status, fields, (), False, "1.1", True).octets


def _framing(
    status: int, is_head: bool, http_version: str, content_length: int | None
) -> Framing:
    if is_head or status < 200 or status in (204, 304):
        return Framing.NONE
    if content_length is not None:
        return Framing.LENGTH
    # RFC 9112 §6.1: no Transfer-Encoding to a client of HTTP/1.0.
    return Framing.CLOSE if http_version == "1.0" else Framing.CHUNKED


def around(framing: Framing, length: int, *, is_last: bool) -> tuple[bytes, bytes]:
    """Return what goes before and after `length` octets of content (RFC 9112 §7.1)."""
    if framing is not Framing.CHUNKED:
        return b"", b""
    last = b"0\r\n\r\n" if is_last else b""
    return (b"%x\r\n" % length, b"\r\n" + last) if length else (b"", last)


def last_chunk(trailers: FieldLines) -> bytes:
    """Write the end of chunked content, with trailer fields (RFC 9112 §7.1.2).

    Raises:
        RuntimeError: a field that must not be sent, or not there.
    """
    lines = [b"0\r\n"]
    for name, value in trailers:
        name = _field_name(name)
        if name in _NOT_IN_TRAILERS:
            raise RuntimeError(f"The field {name.decode('ascii')} is no trailer field.")
        if _NOT_IN_VALUES.search(value):
            raise RuntimeError("Invalid HTTP header value.")
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def dated(defaults: FieldLines, now: float) -> FieldLines:
    """Return the server's own fields with the Date of `now`, in seconds since 1970.

    uvicorn makes the Date once a second, and so it may be a second before the Last-Modified
    of a file that was just made (RFC 9110 §6.6.1, §8.8.2.1).
    """
    date = _date(int(now))
    return [(name, date if name == b"date" else value) for name, value in defaults]


def refusal(status: int, reason: str, fields: FieldLines, *, method: str) -> bytes:
    """Write a whole response, after which the connection is closed."""
    content = reason.encode("ascii")
    described = (
        *fields,
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(content)),
    )
    head = response_head(status, described, method=method, http_version="1.1", keep_alive=False)
    return head.octets if head.framing is Framing.NONE else head.octets + content


@functools.lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode("ascii")


@functools.cache
def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")


@functools.lru_cache(maxsize=512)
def _field_name(name: bytes) -> bytes:
    if _TOKEN.fullmatch(name) is None:
        raise RuntimeError("Invalid HTTP header name.")
    return name.lower()


def names_close(value: bytes) -> bool:
    """Tell whether a Connection field value asks for the end of the connection."""
    return b"close" in (option.strip(b" \t").lower() for option in value.split(b","))
