"""Uploads, by Resumable Uploads for HTTP (transcript in tailrace.protocol.uploads.rufh).

    POST /uploads          the file begins, empty; its link exists from here on
    PATCH Location         the bytes from an offset on
    HEAD Location          after a cut: how many have arrived

Nothing is kept from one run to the next: an upload that is given up is cancelled, so that
those who read the file already are told, and do not wait for the rest.
"""

from __future__ import annotations

import base64
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from tailrace.client.connections import Response, Timeouts
from tailrace.client.downloads import PATIENCE, TIMEOUTS, Progress
from tailrace.client.following import FollowingDigest
from tailrace.client.heads import describe
from tailrace.client.moves import Patience
from tailrace.client.sending import Sending
from tailrace.client.service import Service, read_json
from tailrace.client.urls import DEFAULT_SERVICE, Url
from tailrace.errors import (
    ConfigurationError,
    ConnectionLost,
    DigestMismatch,
    LengthMismatch,
    Refused,
    TailraceError,
    TransferError,
)
from tailrace.protocol import structured
from tailrace.protocol.disposition import ContentDisposition
from tailrace.protocol.uploads.rufh import INTEROP_VERSION, PARTIAL_UPLOAD
from tailrace.spans import Span

_VERSION = ("Upload-Draft-Interop-Version", str(INTEROP_VERSION))

# As for downloads, and two more: the offset was another (409), or our own cut request holds
# the upload still (423).
_PASSING = frozenset({408, 409, 423, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that the service has, whole."""

    link: str
    length: int
    sha256: str
    """In hexadecimal, of what was read here; the service has the same, if it said any."""


def upload(
    source: str | os.PathLike[str] | IO[bytes],
    to: str = DEFAULT_SERVICE,
    *,
    name: str | None = None,
    media_type: str | None = None,
    key: str | None = None,
    announce: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    patience: Patience = PATIENCE,
    timeouts: Timeouts = TIMEOUTS,
) -> Upload:
    """Upload a file to the service at `to`; return when it has all of it.

    `source` is a path, or an open file, which is sent from its first byte. `announce` gets
    the link as soon as it exists, before any byte is sent: readers may start then. `key` is
    sent as a bearer token. A connection that is cut is taken up again where it was. Without
    `media_type` the service guesses it from the name.

    Raises:
        ConfigurationError: an argument cannot be used.
        SourceChanged: the file changed its length meanwhile; a LengthMismatch.
        DigestMismatch: the service has other bytes than are here.
        TransferError: the service refused it, or could not be reached any more.
        OSError: the file cannot be read.
    """
    service = Service(to, key, timeouts)
    with _opened(source) as fd:
        resource = _Resource.create(service, fd, name or _name_of(source), media_type)
        try:
            if announce is not None:
                announce(resource.link)
            sha256 = resource.fill(patience, progress)
        except BaseException:
            resource.cancel()
            raise
    return Upload(resource.link, resource.length, sha256)


class SourceChanged(LengthMismatch):
    """The file that is sent has another length than when it was begun."""

    def __str__(self) -> str:
        return (
            f"the file changed while it was sent: it had {self.expected} bytes when that began,"
            f" and has {self.received} now; do it again when it has come to rest"
        )


class _Postponed(Exception):
    """Refused for now."""

    def __init__(self, refusal: Refused, seconds: float | None) -> None:
        super().__init__()
        self.refusal = refusal
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class _Resource:
    """An upload resource, and the file that is to fill it."""

    service: Service
    location: Url
    link: str
    fd: int
    length: int

    @classmethod
    def create(cls, service: Service, fd: int, name: str, media_type: str | None) -> _Resource:
        length = os.fstat(fd).st_size
        fields = [
            _VERSION,
            ("Upload-Complete", "?0"),
            ("Upload-Length", str(length)),
            ("Content-Length", "0"),
            ("Content-Disposition", ContentDisposition("attachment", name).to_field()),
        ]
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
        return cls(service, url.join(location), link, fd, length)

    def fill(self, patience: Patience, progress: Progress | None) -> str:
        """Send all of the file, whatever comes between; return its SHA-256 in hexadecimal."""
        digest = FollowingDigest(self.fd, {"sha-256"})
        try:
            description = self._send_all(digest, patience, progress)
            sha256 = digest.finish(self.length)["sha-256"]
        finally:
            digest.stop()
        theirs = _sha256(description)
        if theirs is not None and theirs != sha256:
            raise DigestMismatch("sha-256", sha256.hex(), theirs.hex())
        return sha256.hex()

    def cancel(self) -> None:
        """Tell the service that no more will come, if it can be told."""
        with suppress(TailraceError), self.service.ask("DELETE", self.location) as connection:
            connection.read_response("DELETE")

    def _send_all(
        self, digest: FollowingDigest, patience: Patience, progress: Progress | None
    ) -> Mapping[str, Any]:
        offset, failures = 0, 0
        while True:
            try:
                return self._append(offset, digest, progress)
            except (ConnectionLost, _Postponed) as exc:
                failures += 1
                self._wait(exc, failures, patience)
            with suppress(ConnectionLost, _Postponed):
                reached = self._retrieve_offset()
                failures = 0 if reached > offset else failures
                offset = reached

    def _append(
        self, start: int, digest: FollowingDigest, progress: Progress | None
    ) -> Mapping[str, Any]:
        """Send what is missing; return the file as the service describes it."""
        fields = [
            _VERSION,
            ("Upload-Complete", "?1"),
            ("Upload-Offset", str(start)),
            ("Content-Length", str(self.length - start)),
            ("Content-Type", PARTIAL_UPLOAD),
        ]
        with self.service.ask("PATCH", self.location, fields) as connection:
            sending = Sending(connection, self.fd, Span(start, self.length), "PATCH")
            reached = start
            try:
                for reached in sending:
                    digest.advance(reached)
                    if progress is not None:
                        progress(reached, self.length)
            except LengthMismatch as exc:
                raise SourceChanged(self.length, os.fstat(self.fd).st_size) from exc
            response = sending.response or connection.read_response("PATCH")
            _refuse_unless_done(response)
            length = os.fstat(self.fd).st_size
            if length != self.length:
                raise SourceChanged(self.length, length)
            if reached != self.length:
                raise LengthMismatch(self.length, reached)
            return read_json(response)

    def _retrieve_offset(self) -> int:
        with self.service.ask("HEAD", self.location, [_VERSION]) as connection:
            response = connection.read_response("HEAD")
            _refuse_unless_done(response)
            value = response.head.fields.get("Upload-Offset") or ""
        try:
            offset = structured.parse_item(value).value
        except structured.Malformed:
            offset = None
        if type(offset) is not int or not 0 <= offset <= self.length:
            raise TransferError(
                f"the service says that it has {value!r} bytes of a file of {self.length}"
            )
        return offset

    def _wait(
        self, exc: ConnectionLost | _Postponed, failures: int, patience: Patience
    ) -> None:
        if isinstance(exc, _Postponed):
            error: TransferError = exc.refusal
            seconds = patience.pause_seconds(failures, exc.seconds)
        else:
            error = ConnectionLost(f"{exc}; the upload is given up, do it again")
            seconds = patience.pause_seconds(failures)
        if seconds is None:
            raise error from exc
        time.sleep(seconds)


def _refuse_unless_done(response: Response) -> None:
    if 200 <= response.head.status < 300:
        return
    head = describe(response)
    if head.status in _PASSING:
        raise _Postponed(head.refusal(), head.retry_after_seconds)
    raise head.refusal()


@contextmanager
def _opened(source: str | os.PathLike[str] | IO[bytes]) -> Iterator[int]:
    """Give a file descriptor to read from, that of a regular file."""
    if is_path := isinstance(source, str | os.PathLike):
        # O_NONBLOCK, or opening a FIFO would wait for its writer.
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    else:
        fd = source.fileno()
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise TransferError("this is not a regular file, so nobody knows its length")
        yield fd
    finally:
        if is_path:
            os.close(fd)


def _name_of(source: str | os.PathLike[str] | IO[bytes]) -> str:
    path = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    if not isinstance(path, str | os.PathLike):
        raise ConfigurationError("an open file without a path needs a name")
    return os.path.basename(os.fspath(path))


def _link(description: Mapping[str, Any]) -> str | None:
    match description.get("links"):
        case [{"url": str(url)}, *_] if url.isascii() and url.isprintable():
            return url  # what else a service may say is not for a terminal
        case _:
            return None


def _sha256(description: Mapping[str, Any]) -> bytes | None:
    match description.get("digest"):
        case {"sha-256": str(digest)}:
            return base64.b64decode(digest)
        case _:
            return None
