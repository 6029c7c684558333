"""The life of a file as Server-Sent Events: `GET /l/{token}?events`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tailrace.blobs import BlobReader, BlobState, BlobStatus
from tailrace.catalogue import FileRecord
from tailrace.delivery import UntilDisconnect
from tailrace.errors import BlobMissing, ClientDisconnected
from tailrace.protocol.events import HEARTBEAT, MEDIA_TYPE, ServerSentEvent
from tailrace.service import Service

# People see no more than a few changes a second, and a file may grow thousands of times.
_SECONDS_BETWEEN = 0.25

# Proxies give up on a connection that was silent for a minute (nginx, AWS), some sooner.
_SECONDS_TO_HEARTBEAT = 15.0


class EventsResponse(Response):
    """Sends one event now, one each time the file has grown, and a last one at its end.

    The id of an event is the length it tells. Who reconnects with the id of the last event
    of a sealed file gets 204, upon which an EventSource stops (HTML §9.2.3).
    """

    def __init__(self, service: Service, file: FileRecord, last_event_id: str | None) -> None:
        self.background = None
        self._service = service
        self._file = file
        has_seen_all = file.length is not None and last_event_id == str(file.length)
        self.status_code = 204 if has_seen_all else 200
        self.init_headers(
            {
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
                "X-Content-Type-Options": "nosniff",
            }
        )
        if not has_seen_all:
            self.headers["Content-Type"] = MEDIA_TYPE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        if self.status_code == 200 and scope["method"] != "HEAD":
            try:
                async with UntilDisconnect(receive), aclosing(self._events()) as events:
                    async for chunk in events:
                        await send(
                            {"type": "http.response.body", "body": chunk, "more_body": True}
                        )
            except ClientDisconnected:
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self) -> AsyncGenerator[bytes]:
        status = BlobStatus(BlobState.ABANDONED, 0)
        try:
            async with self._service.store.open(self._file.blob) as reader:
                rate = _Rate(reader.status.length)
                status = reader.status
                while status.state is BlobState.GROWING:
                    yield self._event(status, rate)
                    while not await _has_changed(reader, status):
                        yield HEARTBEAT
                    await asyncio.sleep(_SECONDS_BETWEEN)
                    status = await reader.wait_beyond(-1)
                if status.state is BlobState.SEALED:
                    yield self._event(status, rate)
        except BlobMissing:
            pass  # given up, just before it was opened
        if status.state is BlobState.ABANDONED:
            file = await self._service.file(self._file.id)
            yield self._event(status, _Rate(status.length), file.reason)

    def _event(self, status: BlobStatus, rate: _Rate, reason: str | None = None) -> bytes:
        life = {
            "state": status.state.value,
            "length": status.length,
            "complete_length": self._file.complete_length,
            "rate": rate.at(status.length),
            "reason": reason,
        }
        return ServerSentEvent(json.dumps(life), id=str(status.length)).encode()


class _Rate:
    """How many bytes a second have come since it was last asked for."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._at = time.monotonic()

    def at(self, length: int) -> int:
        now = time.monotonic()
        rate = (length - self._length) / max(now - self._at, 0.001)
        self._length, self._at = length, now
        return round(rate)


async def _has_changed(reader: BlobReader, status: BlobStatus) -> bool:
    try:
        async with asyncio.timeout(_SECONDS_TO_HEARTBEAT):
            await reader.wait_beyond(status.length)
    except TimeoutError:
        return False
    return True
