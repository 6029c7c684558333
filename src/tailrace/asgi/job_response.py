"""What a run makes, as a response: its bytes as they come, or the promise of them."""

from __future__ import annotations

import asyncio
from functools import partial

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tailrace.asgi.answering import error_response, json_response
from tailrace.asgi.representing import SAFETY, Addresses, representation_of
from tailrace.blobs import BlobReader, BlobState
from tailrace.delivery import UntilDisconnect, deliver
from tailrace.errors import BlobMissing, ClientDisconnected, ProducerError, TailraceError
from tailrace.intake.jobs import Job
from tailrace.protocol import prefer
from tailrace.protocol.prefer import Preferences
from tailrace.service import Service

# How long a client may have us wait for the end of a run: proxies give up after a minute
# without a byte.
_LONGEST_WAIT_SECONDS = 50


class JobResponse(Response):
    """Sends what a run makes, as it is made.

    The head waits for the first byte: a run that fails before is told with its status, and
    until then it may say what it makes. A failure after it cuts the connection. If the
    client leaves, the producer's `on_disconnect` says what becomes of the run.
    """

    def __init__(self, service: Service, job: Job, addresses: Addresses | None = None) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = []
        self._addresses = addresses
        self._service = service
        self._job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            failure = await self._deliver(scope, receive, send)
        except ClientDisconnected:
            if self._job.record.is_for_reader:
                await self._service.jobs.cancel(self._job, "its reader left")
            return
        if failure is not None:
            await error_response(failure)(scope, receive, send)

    async def _deliver(
        self, scope: Scope, receive: Receive, send: Send
    ) -> TailraceError | None:
        try:
            async with self._service.store.open(self._job.file.blob) as reader:
                async with UntilDisconnect(receive):
                    status = await reader.wait_beyond(0)
                if status.state is BlobState.ABANDONED:
                    return await self._failure()
                await self._send(reader, scope, receive, send)
        except BlobMissing:  # it failed before we could open it
            return await self._failure()
        return None

    async def _send(
        self, reader: BlobReader, scope: Scope, receive: Receive, send: Send
    ) -> None:
        file = self._job.file
        if self._job.growing is None:  # another process runs it, and knows more
            file = await self._service.file(file.id)
        further = SAFETY
        if self._addresses is not None:
            address = self._addresses.link(self._job.link, file)
            further = further | {
                "Content-Location": address,
                "Link": f'<{address}>; rel="alternate"',
                "Vary": "Prefer",
            }
        await deliver(
            reader,
            representation_of(file, download=False),
            scope,
            receive,
            send,
            further=list(further.items()),
            sealed_sha256=partial(self._service.files.sha256, file),
            conditional=False,
            promised_length=file.complete_length,
        )

    async def _failure(self) -> TailraceError:
        failure = self._job.failure
        if isinstance(failure, TailraceError):
            return failure
        file = await self._service.file(self._job.file_id)
        return ProducerError(file.reason or "the run was cancelled")


class PromiseResponse(JobResponse):
    """Answers with the link of what is being made, at once; or, where the client waits for
    some seconds and it is made by then, with what was made."""

    def __init__(self, addresses: Addresses, job: Job, wait_seconds: int | None) -> None:
        super().__init__(addresses.service, job, addresses)
        self._promised = addresses
        self._wait_seconds = wait_seconds and min(wait_seconds, _LONGEST_WAIT_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._wait_seconds:
            try:
                has_ended = await self._ends_within(self._wait_seconds, receive)
            except ClientDisconnected:
                return
            if has_ended:
                await super().__call__(scope, receive, send)
                return
        file = self._job.file
        address = self._promised.link(self._job.link, file)
        applied = prefer.applied(Preferences(respond_async=True, wait=self._wait_seconds))
        assert applied is not None
        headers = {
            "Location": address,
            "Link": f'<{address}>; rel="alternate"',
            "Preference-Applied": applied,
        }
        content = await self._promised.file(file, [self._job.link])
        await json_response(content, 202, headers)(scope, receive, send)

    async def _ends_within(self, seconds: int, receive: Receive) -> bool:
        try:
            async with (
                asyncio.timeout(seconds),
                self._service.store.open(self._job.file.blob) as reader,
                UntilDisconnect(receive),
            ):
                while (status := reader.status).state is BlobState.GROWING:
                    await reader.wait_beyond(status.length)
        except TimeoutError:
            return False
        except BlobMissing:
            pass
        return True
