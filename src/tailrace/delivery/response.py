"""Responses that send a blob or a local file: ranges, conditions, and following."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tailrace.blobs import BlobReader
from tailrace.delivery.deliver import deliver
from tailrace.delivery.local import open_file, representation_of
from tailrace.delivery.representations import Representation
from tailrace.errors import ClientDisconnected
from tailrace.protocol.disposition import ContentDisposition


class BlobResponse(Response):
    """Sends a blob whole, in part, or as it grows, as the request asks.

    `opening` is what the `open` of a store returns; it is entered when the response is
    sent. `headers` take the place of our fields of the same name. `background` runs when
    the response has ended, also if the client left early.
    """

    def __init__(
        self,
        opening: AbstractAsyncContextManager[BlobReader],
        representation: Representation,
        *,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        self.status_code = 200
        self.background = background
        self.init_headers(headers)
        self._opening = opening
        self._representation = representation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._opening as reader:
                await deliver(
                    reader,
                    self._representation,
                    scope,
                    receive,
                    send,
                    further=_further(self),
                )
        except ClientDisconnected:
            pass
        if self.background is not None:
            await self.background()


class FileResponse(Response):
    """Sends a local file; a drop-in for `starlette.responses.FileResponse`.

    Beyond that one it answers conditions (304, 412), understands If-Range with entity
    tags, and cuts the connection when the file turns out shorter than was promised. Only a
    regular file is sent; for anything else, and for a missing one, RuntimeError is raised.
    `stat_result` is taken for compatibility and not trusted: what counts is the file that
    is open. `background` runs when the response has ended, also if the client left early.
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
        content_disposition_type: Literal["attachment", "inline"] = "attachment",
    ) -> None:
        self.path = path
        self.status_code = status_code
        self.filename = filename
        guessed, _ = mimetypes.guess_type(filename or os.fspath(path))
        self.media_type = media_type or guessed or "application/octet-stream"
        self.background = background
        self.init_headers(headers)
        if filename is not None:
            disposition = ContentDisposition(content_disposition_type, filename)
            self.headers.setdefault("content-disposition", disposition.to_field())
        self.stat_result = stat_result

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with open_file(self.path) as file:
                await deliver(
                    file,
                    representation_of(file, self.headers["content-type"]),
                    scope,
                    receive,
                    send,
                    further=_further(self),
                    status_code=self.status_code,
                )
        except ClientDisconnected:
            pass  # as there, the background task runs all the same
        if self.background is not None:
            await self.background()


def _further(response: Response) -> list[tuple[str, str]]:
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in response.raw_headers
    ]
