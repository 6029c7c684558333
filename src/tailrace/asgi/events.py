"""The life of a file as Server-Sent Events: `GET /l/{token}?events`."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tailrace.blobs import BlobKey, BlobReader, BlobState, BlobStatus
from tailrace.catalogue import FileRecord, FileState, Origin
from tailrace.delivery import UntilDisconnect
from tailrace.errors import BlobMissing, ClientDisconnected
from tailrace.intake.producers import Progress
from tailrace.protocol.events import HEARTBEAT, MEDIA_TYPE, ServerSentEvent
from tailrace.service import Service

# People see no more than a few changes a second, and a file may grow thousands of times.
_SECONDS_BETWEEN = 0.25

# A run may tell how far it is without a byte; then it is asked.
_SECONDS_TO_PROGRESS = 0.5

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
        self._status = BlobStatus(BlobState.GROWING, 0)
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
        while True:
            blob = self._file.blob
            async with aclosing(self._life_of(blob)) as life:
                async for event in life:
                    yield event
            if self._status.state is BlobState.SEALED:
                return
            self._file = await self._service.file(self._file.id)
            if self._file.state is not FileState.GROWING or self._file.blob == blob:
                self._status = BlobStatus(BlobState.ABANDONED, self._status.length)
                yield self._event(_Rate(self._status.length))
                return
            # It is made anew: its life goes on, from its start.

    async def _life_of(self, blob: BlobKey) -> AsyncGenerator[bytes]:
        try:
            async with self._service.store.open(blob) as reader:
                rate = _Rate(reader.status.length)
                self._status = reader.status
                while self._status.state is BlobState.GROWING:
                    told = await self._told()
                    yield self._event(rate, told)
                    silence = _Silence()
                    while not await self._has_changed(reader, told):
                        if silence.is_due():
                            yield HEARTBEAT
                    await asyncio.sleep(_SECONDS_BETWEEN)
                    self._status = await reader.wait_beyond(-1)
                if self._status.state is BlobState.SEALED:
                    yield self._event(rate, await self._told())
        except BlobMissing:
            pass  # given up, just before it was opened

    async def _told(self) -> Progress | None:
        """Return how far a run says it is; what it promised is noted as well."""
        if self._file.origin is not Origin.JOB:
            return None
        if self._file.complete_length is None:
            self._file = await self._service.file(self._file.id)
        return await self._service.jobs.progress(self._file.id)

    async def _has_changed(self, reader: BlobReader, told: Progress | None) -> bool:
        """Wait for a change, for not too long."""
        is_made = self._file.origin is Origin.JOB
        try:
            async with asyncio.timeout(
                _SECONDS_TO_PROGRESS if is_made else _SECONDS_TO_HEARTBEAT
            ):
                await reader.wait_beyond(self._status.length)
        except TimeoutError:
            return await self._told() != told
        return True

    def _event(self, rate: _Rate, progress: Progress | None = None) -> bytes:
        life: dict[str, object] = {
            "state": self._status.state.value,
            "length": self._status.length,
            "complete_length": self._file.complete_length,
            "rate": rate.at(self._status.length),
            "reason": self._file.reason,
        }
        if progress is not None:
            life["progress"] = dataclasses.asdict(progress)
        return ServerSentEvent(json.dumps(life), id=str(self._status.length)).encode()


class _Silence:
    """How long nothing was sent."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def is_due(self) -> bool:
        """Return whether a heartbeat is due, and count from now if it is."""
        now = time.monotonic()
        if now - self._since < _SECONDS_TO_HEARTBEAT:
            return False
        self._since = now
        return True


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
