"""Downloads: of one file, or of many over connections that are kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from tailrace.client.cancellation import Cancellation
from tailrace.client.connections import FieldLines, Timeouts
from tailrace.client.destinations import Destination
from tailrace.client.moves import Patience
from tailrace.client.runs import Download, Progress, Run
from tailrace.client.throttle import Throttle
from tailrace.client.transport import Authorization, Transport
from tailrace.client.urls import Url
from tailrace.errors import ConfigurationError

__all__ = ["CONNECTIONS", "PATIENCE", "TIMEOUTS", "Download", "Progress", "Session", "download"]

PATIENCE = Patience()
TIMEOUTS = Timeouts()

CONNECTIONS = 8
"""At most, to one server. Browsers open six of HTTP/1.1."""


class Session:
    """Downloads one after the other, by one thread, over connections that are kept.

    `cancellation` lets another thread stop it. Where a server gives a strong entity tag and
    ranges, up to `connections` are opened for a file, as long as more of them gain; 1 keeps
    to one. A file longer than `max_length` fails with LengthExceeded, as soon as that is
    known. Sessions that share a `throttle` share its rate.
    `fields` are sent too, like a key to the origin of each URL and to no other.
    """

    def __init__(
        self,
        *,
        patience: Patience = PATIENCE,
        timeouts: Timeouts = TIMEOUTS,
        cancellation: Cancellation | None = None,
        connections: int = CONNECTIONS,
        max_length: int | None = None,
        throttle: Throttle | None = None,
        fields: FieldLines = (),
    ) -> None:
        self._fields = fields
        self._max_length = max_length
        self._throttle = throttle
        self._patience = patience
        self._cancellation = cancellation or Cancellation()
        self._connections = connections
        self._transport = Transport(timeouts, self._cancellation)

    def download(
        self,
        url: str,
        path: str | os.PathLike[str] | None = None,
        *,
        unique: bool = False,
        force: bool = False,
        sha256: str | None = None,
        key: str | None = None,
        progress: Progress | None = None,
    ) -> Download:
        """Do as `tailrace.download` does."""
        parsed = Url.parse(url)
        run = Run(
            url=parsed,
            transport=self._transport,
            authorization=Authorization.of(parsed, key, self._fields),
            destination=Destination.of(path, unique=unique),
            force=force,
            wanted={} if sha256 is None else {"sha-256": _digest(sha256)},
            progress=progress,
            patience=self._patience,
            cancellation=self._cancellation,
            connections=self._connections,
            max_length=self._max_length,
            throttle=self._throttle,
        )
        return run.execute()

    def stream(
        self, url: str, *, offset: int | None = 0, key: str | None = None
    ) -> Iterator[memoryview]:
        """Give the bytes of a file as they come, from `offset` on; None is its end by now.

        Each piece is there until the next is asked for. A file that grows is followed. A
        cut is resumed if the server gives a strong entity tag.

        Raises:
            RepresentationChanged: another file has the URL since it was cut.
            TransferError: not all of it came; the message says why.
            ProtocolError: the answer is not HTTP.
        """
        from tailrace.client.reading import Reading  # a download needs none

        parsed = Url.parse(url)
        authorization = Authorization.of(parsed, key, self._fields)
        reading = Reading(
            parsed, self._transport, authorization, self._patience, self._cancellation
        )
        if offset is None:
            reading.seek_end()
        else:
            reading.position = offset
        yield from reading.pieces()

    def close(self) -> None:
        """Close the connections that were kept; may be called twice."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def download(
    url: str,
    path: str | os.PathLike[str] | None = None,
    *,
    unique: bool = False,
    force: bool = False,
    sha256: str | None = None,
    key: str | None = None,
    progress: Progress | None = None,
    patience: Patience = PATIENCE,
    timeouts: Timeouts = TIMEOUTS,
    cancellation: Cancellation | None = None,
    connections: int = CONNECTIONS,
) -> Download:
    """Download a file; return when it is whole, verified and has its final name.

    `path` is the file or a directory, by default the working directory, where the file is
    named by the server (Content-Disposition), or else by the URL; with `unique` by a UUID
    and the extension of that name. A file that exists is replaced only with `force`.

    What a cut or an error leaves behind is a hidden partial file beside the target, which
    the next call with the same URL builds upon. `sha256` (hexadecimal) proves the whole, as
    does a Repr-Digest of the server. `key` is sent as a bearer token to the origin of the
    URL and to no other. `progress` must be quick, for it is called for each piece.
    `cancellation` and `connections` are those of `Session`.

    Raises:
        Cancelled: another thread has stopped it.
        ConfigurationError: an argument cannot be used.
        UnsafeTarget: the final name is taken, or nothing may be written there.
        TransferError: it did not come whole; the message says where it stands.
        ProtocolError: it came wrong: broken HTTP, or another digest or length.
        StorageError: it could not be written.
    """
    with Session(
        patience=patience,
        timeouts=timeouts,
        cancellation=cancellation,
        connections=connections,
    ) as session:
        return session.download(
            url, path, unique=unique, force=force, sha256=sha256, key=key, progress=progress
        )


def _digest(sha256: str) -> bytes:
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", sha256):
        raise ConfigurationError(f"{sha256!r} is not a SHA-256 digest: 64 hexadecimal digits")
    return bytes.fromhex(sha256)
