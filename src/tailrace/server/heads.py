"""How a request's head is read, and what becomes of it before the application sees it."""

from __future__ import annotations

import httptools

from tailrace.server import refusals, targets
from tailrace.server.limits import Limits
from tailrace.server.refusals import Refusal

FieldLines = list[tuple[bytes, bytes]]


def new_parser(callbacks: object) -> httptools.HttpRequestParser:
    """Return a parser that has seen nothing yet."""
    parser = httptools.HttpRequestParser(callbacks)
    # What is pipelined behind a request that closes the connection is read, as by uvicorn; a
    # later minor version is answered as 1.1, and another major one with a 505.
    parser.set_dangerous_leniencies(lenient_data_after_close=True, lenient_version=True)
    return parser


def settle(
    parser: httptools.HttpRequestParser,
    target: bytes,
    fields: FieldLines,
    limits: Limits,
    most_octets: int,
) -> Refusal | bytes:
    """Return why a request is refused, or its target in the form that applications know.

    Field names are in lower case. Where the target names the host, the Host field is made to
    say the same. `most_octets` is what the head may be long, at most.
    """
    if (
        most_octets > limits.head_bytes
        and refusals.head_length(target, fields) > limits.head_bytes
    ):
        return refusals.HEAD_TOO_LARGE
    refusal = refusals.evaluate_head(parser.get_http_version(), target, fields, limits)
    if refusal is not None:
        return refusal
    if targets.is_origin_form(target):  # as nearly all are
        return target
    return _settle_target(parser.get_method(), target, fields)


def without_upgrade(
    parser: httptools.HttpRequestParser, target: bytes, fields: FieldLines
) -> bytes:
    """Write a head again, without the wish to upgrade: a server may ignore it (RFC 9110 §7.8).

    httptools takes whatever follows a head that has one for another protocol.
    """
    version = parser.get_http_version().encode("ascii")
    lines = [b"%s %s HTTP/%s\r\n" % (parser.get_method(), target, version)]
    for name, value in fields:
        if name == b"connection":
            options = (option.strip(b" \t") for option in value.split(b","))
            value = b", ".join(option for option in options if option.lower() != b"upgrade")
        if name != b"upgrade":
            lines += (name, b": ", value, b"\r\n")
    return b"".join((*lines, b"\r\n"))


def _settle_target(method: bytes, octets: bytes, fields: FieldLines) -> Refusal | bytes:
    if method == b"CONNECT":
        return refusals.CONNECT
    target = targets.parse(method, octets)
    if target is None:
        return refusals.TARGET_INVALID
    if target.authority is not None:
        others = [line for line in fields if line[0] != b"host"]
        fields[:] = [(b"host", target.authority), *others]
    return target.octets
