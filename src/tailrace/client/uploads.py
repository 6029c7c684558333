"""Uploads, by Resumable Uploads for HTTP.

    POST /uploads          the file begins, empty; its link exists from here on
    PATCH Location         the bytes from an offset on
    HEAD Location          after a cut: how many have arrived
    PATCH Location         the end, with the digest of all

With a directory to remember in, an upload of a file that was interrupted is gone on with by the
next run. Any other that is given up is cancelled, so that those who read the file already are
told, and do not wait for the rest.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from tailrace.client.connections import Timeouts
from tailrace.client.downloads import PATIENCE, TIMEOUTS, Progress
from tailrace.client.moves import Patience
from tailrace.client.service import Service
from tailrace.client.sources import FileSource, Portion, Source, opened
from tailrace.client.unfinished import Place, Unfinished, fingerprint, unfinished
from tailrace.client.upload_resource import Postponed, UploadResource
from tailrace.client.urls import DEFAULT_SERVICE, Url
from tailrace.errors import (
    ConfigurationError,
    ConnectionLost,
    DigestMismatch,
    LengthMismatch,
    Refused,
    TransferError,
)

T = TypeVar("T")

_UNKNOWN = frozenset({404, 410})

# About who asks, not about the file: another key, or a pause, and it goes on.
_REPAIRABLE = frozenset({401, 403, 408, 409, 423, 429})

# More than any file has.
_ANY_LENGTH = 2**63 - 1


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
    remember_in: str | os.PathLike[str] | None = None,
) -> Upload:
    """Upload a file to the service at `to`; return when it has all of it.

    `source` is a path; or an open file, which is sent from its first byte; or an open stream,
    which is sent to its end. `announce` gets the link as soon as it exists, before any byte is
    sent: readers may start then. `key` is sent as a bearer token. A connection that is cut is
    taken up again where it was. Without `media_type` the service guesses it from the name.

    With the directory `remember_in`, an upload of a file that did not come to its end is
    remembered there, and the next call with the same file, name and service goes on with it.

    Raises:
        ConfigurationError: an argument cannot be used.
        SourceChanged: the file changed meanwhile; no part of it becomes a file.
        DigestMismatch: the service has other bytes than are here.
        TransferError: the service refused it, or could not be reached any more.
        OSError: the file cannot be read.
    """
    service = Service(to, key, timeouts)
    name = name or _name_of(source)
    with ExitStack() as stack:
        found = stack.enter_context(opened(source))
        kept = Unfinished.none()
        if remember_in is not None and isinstance(found, FileSource):
            mark = fingerprint(found.fd, found.length, str(service.url), name, media_type)
            kept = stack.enter_context(unfinished(Path(remember_in), mark))
        transfer = _Transfer(found, patience, progress)
        resource, offset = _resumed(service, kept, transfer) or (None, 0)
        if resource is None:
            resource = UploadResource.create(
                service, name=name, media_type=media_type, length=found.length
            )
        kept.remember(Place(str(resource.location), resource.link))
        try:
            if announce is not None:
                announce(resource.link)
            length, sha256 = transfer.run(resource, offset)
        except BaseException as exc:
            if not (kept.is_kept and _may_go_on(exc)):
                kept.forget()
                resource.cancel()
            raise
        kept.forget()
    return Upload(resource.link, length, sha256.hex())


def _resumed(
    service: Service, kept: Unfinished, transfer: _Transfer
) -> tuple[UploadResource, int] | None:
    """Return the upload that an earlier run has left, and how much has arrived."""
    place = kept.recall()
    if place is None:
        return None
    resource = UploadResource(service, Url.parse(place.location), place.link)
    try:
        return resource, transfer.retry(lambda: resource.retrieve_offset(transfer.limit))
    except Refused as exc:
        if exc.status in _UNKNOWN:
            return None
        raise


def _may_go_on(exc: BaseException) -> bool:
    """Tell whether a later run can take the upload up where this one left it."""
    match exc:
        case Refused(status=status):
            return status in _REPAIRABLE or status >= 500
        case ConnectionLost() | OSError():
            return True
        case _:
            return not isinstance(exc, Exception)  # interrupted


class _Transfer:
    """Sends a source to an upload, whatever comes between."""

    def __init__(self, source: Source, patience: Patience, progress: Progress | None) -> None:
        self._source = source
        self._patience = patience
        self._progress = progress
        self.limit = _ANY_LENGTH if source.length is None else source.length

    def run(self, resource: UploadResource, offset: int) -> tuple[int, bytes]:
        """Send all from an offset on; return length and SHA-256."""
        if offset > 0:
            self._advance(offset)
        try:
            for portion in self._source.portions():
                offset = self._send(resource, portion, offset)
        except LengthMismatch:  # shorter than it was at first
            self._source.finish()
            raise
        sha256 = self._source.finish()
        description = self.retry(lambda: resource.complete(offset, sha256))
        theirs = _sha256(description)
        if theirs is not None and theirs != sha256:
            raise DigestMismatch("sha-256", sha256.hex(), theirs.hex())
        return offset, sha256

    def retry(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer, or patience ends."""
        failures = 0
        while True:
            try:
                return ask()
            except (ConnectionLost, Postponed) as exc:
                failures += 1
                self._wait(exc, failures)

    def _send(self, resource: UploadResource, portion: Portion, offset: int) -> int:
        failures = 0
        while offset < portion.span.stop:
            try:
                resource.append(portion, offset, self._advance)
                return portion.span.stop
            except (ConnectionLost, Postponed) as exc:
                failures += 1
                self._wait(exc, failures)
            with suppress(ConnectionLost, Postponed):
                reached = resource.retrieve_offset(portion.span.stop)
                if reached < portion.span.start:
                    raise TransferError("the service has lost what it had already")
                failures = 0 if reached > offset else failures
                offset = reached
        return offset

    def _advance(self, offset: int) -> None:
        self._source.advance(offset)
        if self._progress is not None:
            self._progress(offset, self._source.length)

    def _wait(self, exc: ConnectionLost | Postponed, failures: int) -> None:
        if isinstance(exc, Postponed):
            error: TransferError = exc.refusal
            seconds = self._patience.pause_seconds(failures, exc.seconds)
        else:
            error = ConnectionLost(f"{exc}; the upload is given up for now, do it again")
            seconds = self._patience.pause_seconds(failures)
        if seconds is None:
            raise error from exc
        time.sleep(seconds)


def _name_of(source: str | os.PathLike[str] | IO[bytes]) -> str:
    path = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    if not isinstance(path, str | os.PathLike):
        raise ConfigurationError("an open file without a path needs a name")
    return os.path.basename(os.fspath(path))


def _sha256(description: Mapping[str, Any]) -> bytes | None:
    match description.get("digest"):
        case {"sha-256": str(digest)}:
            return base64.b64decode(digest)
        case _:
            return None
