"""An upload resource of a service: each request of Resumable Uploads for HTTP, once.

The transcript is in tailrace.protocol.uploads.rufh. Content is appended with
`Upload-Complete: ?0`, and the end is told by a request of its own, which has the digest of the
whole: so what changed on its way, or here while it was read, never becomes a whole file there.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tailrace.client.connections import Response
from tailrace.client.heads import describe
from tailrace.client.sending import Sending
from tailrace.client.service import Service, read_json
from tailrace.client.sources import Portion
from tailrace.client.urls import Url
from tailrace.errors import Refused, TailraceError, TransferError
from tailrace.protocol import structured
from tailrace.protocol.disposition import ContentDisposition
from tailrace.protocol.uploads.rufh import INTEROP_VERSION, PARTIAL_UPLOAD
from tailrace.spans import Span

_VERSION = ("Upload-Draft-Interop-Version", str(INTEROP_VERSION))

# As for downloads, and two more: the offset was another (409), or our own cut request holds
# the upload still (423).
_PASSING = frozenset({408, 409, 423, 429, 500, 502, 503, 504})


class Postponed(Exception):
    """Refused for now; `seconds` is how long the service wants to be left alone."""

    def __init__(self, refusal: Refused, seconds: float | None) -> None:
        super().__init__()
        self.refusal = refusal
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class UploadResource:
    """Requests raise Postponed, Refused or ConnectionLost where they come to nothing."""

    service: Service
    location: Url
    link: str

    @classmethod
    def create(
        cls, service: Service, *, name: str, media_type: str | None, length: int | None
    ) -> UploadResource:
        """Begin a file, empty."""
        fields = [
            _VERSION,
            ("Upload-Complete", "?0"),
            ("Content-Length", "0"),
            ("Content-Disposition", ContentDisposition("attachment", name).to_field()),
        ]
        if length is not None:
            fields.append(("Upload-Length", str(length)))
        if media_type is not None:
            fields.append(("Content-Type", media_type))
        url = service.url.below("uploads")
        with service.ask("POST", url, fields) as connection:
            response = connection.read_response("POST")
            if response.head.status != 201:
                raise describe(response).refusal()
            location = response.head.fields.get("Location")
            link = _link(read_json(response))
        if location is None or link is None:
            raise TransferError(f"{url} answered without a link; is it a tailrace service?")
        return cls(service, url.join(location), link)

    def append(self, portion: Portion, start: int, advance: Callable[[int], None]) -> None:
        """Send a portion from `start` on; `advance` is told how far it has been sent.

        Raises:
            LengthMismatch: the portion is shorter than it was.
        """
        stop = portion.span.stop
        fields = [
            _VERSION,
            ("Upload-Complete", "?0"),
            ("Upload-Offset", str(start)),
            ("Content-Length", str(stop - start)),
            ("Content-Type", PARTIAL_UPLOAD),
        ]
        base = portion.span.start - portion.at
        with self.service.ask("PATCH", self.location, fields) as connection:
            span = Span(start - base, stop - base)
            sending = Sending(connection, portion.fd, span, "PATCH")
            reached = start
            for sent in sending:
                reached = sent + base
                advance(reached)
            response = sending.response or connection.read_response("PATCH")
            _refuse_unless_done(response)
            if reached != stop:
                raise TransferError("the service took less than all, and calls it done")

    def complete(self, length: int, sha256: bytes) -> Mapping[str, Any]:
        """End the file as whole; return it as the service describes it. May be repeated."""
        fields = [
            _VERSION,
            ("Upload-Complete", "?1"),
            ("Upload-Offset", str(length)),
            ("Content-Length", "0"),
            ("Content-Type", PARTIAL_UPLOAD),
            ("Repr-Digest", f"sha-256=:{base64.b64encode(sha256).decode()}:"),
        ]
        with self.service.ask("PATCH", self.location, fields) as connection:
            response = connection.read_response("PATCH")
            _refuse_unless_done(response)
            return read_json(response)

    def retrieve_offset(self, limit: int) -> int:
        """Ask how much has arrived, of `limit` bytes."""
        with self.service.ask("HEAD", self.location, [_VERSION]) as connection:
            response = connection.read_response("HEAD")
            _refuse_unless_done(response)
            value = response.head.fields.get("Upload-Offset") or ""
        try:
            offset = structured.parse_item(value).value
        except structured.Malformed:
            offset = None
        if type(offset) is not int or not 0 <= offset <= limit:
            raise TransferError(f"the service says that it has {value!r} of {limit} bytes")
        return offset

    def cancel(self) -> None:
        """Tell the service that no more will come, if it can be told."""
        with suppress(TailraceError), self.service.ask("DELETE", self.location) as connection:
            connection.read_response("DELETE")


def _refuse_unless_done(response: Response) -> None:
    if 200 <= response.head.status < 300:
        return
    head = describe(response)
    if head.status in _PASSING:
        raise Postponed(head.refusal(), head.retry_after_seconds)
    raise head.refusal()


def _link(description: Mapping[str, Any]) -> str | None:
    match description.get("links"):
        case [{"url": str(url)}, *_] if url.isascii() and url.isprintable():
            return url  # what else a service may say is not for a terminal
        case _:
            return None
