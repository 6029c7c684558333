"""Responses that send a blob or a local file: ranges, conditions, and following."""

from __future__ import annotations

import mimetypes
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import lru_cache

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tailrace.blobs import BlobReader, BlobState, BlobStatus
from tailrace.delivery.deliver import SealedDigest, deliver, deliver_content, send_at_once
from tailrace.delivery.local import open_file, representation_of
from tailrace.delivery.proxied import Proxy
from tailrace.delivery.replies import Reply, asks_for_the_whole, reply_with_the_whole
from tailrace.delivery.representations import Representation
from tailrace.delivery.send import SMALL_CONTENT
from tailrace.delivery.small import find_small_file
from tailrace.errors import ClientDisconnected
from tailrace.protocol.disposition import ContentDisposition, safe_name


class BlobResponse(Response):
    """Sends a blob whole, in part, or as it grows, as the request asks. To be sent once.

    `opening` is what the `open` of a store returns; it is entered when the response is
    sent. `at_once` is the `read_at_once` of that blob: with it one who asks for the whole of a
    small one gets it without that. `headers` take the place of our fields of the same name; a
    validator among them is the one that conditions are about. `sealed_sha256` is asked for the
    digest of what was followed to its seal. A `proxy` in front is left to send what is long.
    `background` runs when the response has ended, also if the client left early.
    """

    def __init__(
        self,
        opening: AbstractAsyncContextManager[BlobReader],
        representation: Representation,
        *,
        at_once: Callable[[int], bytes | None] | None = None,
        headers: Mapping[str, str] | None = None,
        sealed_sha256: SealedDigest | None = None,
        proxy: Proxy | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        self.status_code = 200
        self.background = background
        self.raw_headers = [] if headers is None else [*_encoded(tuple(headers.items()))]
        self._sealed_sha256 = sealed_sha256
        self._proxy = proxy
        self._opening = opening
        self._at_once = at_once
        self._representation = representation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        further = _decoded(tuple(self.raw_headers))
        with suppress(ClientDisconnected):
            content = self._content_at_once(scope)
            if content is not None:
                await deliver_content(content, self._representation, send, further=further)
            else:
                async with self._opening as reader:
                    await deliver(
                        reader,
                        self._representation,
                        scope,
                        receive,
                        send,
                        further=further,
                        sealed_sha256=self._sealed_sha256,
                        proxy=self._proxy,
                    )
        if self.background is not None:
            await self.background()

    def _content_at_once(self, scope: Scope) -> bytes | None:
        if self._at_once is None or not _is_usual(scope):
            return None
        content = self._at_once(SMALL_CONTENT)
        if content is None or self._representation.length not in (None, len(content)):
            return None
        return content


class FileResponse(Response):
    """Sends a local file; a drop-in for `starlette.responses.FileResponse`.

    The arguments are those of that one, and so are the attributes. What differs:

    - Conditions are answered, with 304 and 412. If-Range takes a date in each of its forms,
      and no weak tag (RFC 9110 §13).
    - A Range that cannot be read, or in another unit, is ignored and not answered with 400;
      so is one that comes with HEAD (§14.2). A range that is not satisfiable does no harm
      to the others (§15.5.17). A 412 or 416 is problem details.
    - The entity tag tells inode, length and times. Copies of a file on several machines
      have different ones: give your own in `headers`, and conditions are about that. While
      the file may change again without a new time there is no strong validator (§8.8.1):
      within one tick of the kernel's clock, a few milliseconds, we wait for the next; for 2 s
      where the file system counts whole seconds the tag is weak. The date does for no
      If-Range within the second that it names.
    - Nothing is sent before the file is open, and what is said of it is what it is then;
      `stat_result` only fills `headers` for who looks at them before. If it turns out
      shorter than was promised, the connection is cut.
    - Of `filename` the last segment is sent, made safe to store, and in ASCII as well. A
      `content_disposition_type` that is not "inline" is an attachment (RFC 6266 §4.2).
    - `chunk_size` and `max_ranges` are not looked at. `http.response.pathsend` is not used:
      the server would open the path again, and may find another file. It cannot be sent to
      deny a WebSocket.

    As there, RuntimeError is raised for a missing file (also of a name too long to exist)
    and for what is no regular file; `background` runs when the response has ended, also if
    the client left early, and not after an error.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
        filename: str | None = None,
        stat_result: os.stat_result | None = None,
        content_disposition_type: str = "attachment",
    ) -> None:
        self.path = path
        self.status_code = status_code
        self.filename = filename
        if media_type is None:
            guessed, _ = mimetypes.guess_type(filename or os.fspath(path))
            media_type = guessed or "application/octet-stream"
        self.media_type = media_type
        self.background = background
        self.init_headers(headers)
        if filename is not None:
            disposition = ContentDisposition(
                "inline" if content_disposition_type == "inline" else "attachment",
                safe_name(filename, default=""),
            )
            self.headers.setdefault("content-disposition", disposition.to_field())
        self._announced: list[tuple[bytes, bytes]] = []
        self._announce(b"accept-ranges", b"bytes")
        self.stat_result = stat_result
        if stat_result is not None:
            self.set_stat_headers(stat_result)

    def set_stat_headers(self, stat_result: os.stat_result) -> None:
        """Announce in `headers` what will be sent if this is the file that is found."""
        self._announce(b"content-length", b"%d" % stat_result.st_size)
        for name, value in self._representation_of(stat_result).validating_fields():
            self._announce(name.lower().encode("ascii"), value.encode("latin-1"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["method"].isupper():  # no server does that; tests of applications may
            scope = {**scope, "method": scope["method"].upper()}
        try:
            small = self._find_small(scope)
            if small is not None:
                reply, content = small
                await send_at_once(reply, content, send, status_code=self.status_code)
            else:
                await self._deliver(scope, receive, send)
        except ClientDisconnected:
            pass
        if self.background is not None:
            await self.background()

    def _find_small(self, scope: Scope) -> tuple[Reply, bytes] | None:
        if not _is_usual(scope):
            return None
        lines = (tuple(self.raw_headers), tuple(self._announced))
        return find_small_file((os.fspath(self.path), lines), self._reply_with_all)

    def _reply_with_all(self, found: os.stat_result) -> Reply:
        status = BlobStatus(BlobState.SEALED, found.st_size)
        return reply_with_the_whole(self._representation_of(found), status, self._further())

    async def _deliver(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with open_file(self.path) as file:
            await deliver(
                file,
                self._representation_of(file.found),
                scope,
                receive,
                send,
                further=self._further(),
                status_code=self.status_code,
            )

    def _representation_of(self, found: os.stat_result) -> Representation:
        return representation_of(found, self.headers["content-type"], time.time())

    def _announce(self, name: bytes, value: bytes) -> None:
        # What we said before sending is not what the user wants instead of ours.
        if all(name != given for given, _ in self.raw_headers):
            self.raw_headers.append((name, value))
            self._announced.append((name, value))

    def _further(self) -> tuple[tuple[str, str], ...]:
        return _decoded(tuple(line for line in self.raw_headers if line not in self._announced))


def _is_usual(scope: Scope) -> bool:
    return scope["method"] == "GET" and asks_for_the_whole(scope)


@lru_cache(maxsize=512)
def _encoded(lines: tuple[tuple[str, str], ...]) -> Sequence[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines]


@lru_cache(maxsize=512)
def _decoded(lines: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in lines)
