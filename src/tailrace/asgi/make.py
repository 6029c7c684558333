"""Making files: the same run, answered directly with its bytes or at once with a link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tailrace.asgi.answering import error_response, json_response, problem_response
from tailrace.asgi.representing import SAFETY, Addresses, representation_of
from tailrace.asgi.requests import address_of, arguments, fields_of, query_arguments
from tailrace.blobs import BlobState
from tailrace.delivery import UntilDisconnect, deliver
from tailrace.errors import BlobMissing, ClientDisconnected, ProducerError, TailraceError
from tailrace.intake.jobs import Job
from tailrace.intake.producers import AnyProducer
from tailrace.protocol import prefer, problems
from tailrace.protocol.prefer import Preferences
from tailrace.service import Service


async def list_producers(service: Service, request: Request) -> Response:
    """Answer every producer with the JSON Schema of its arguments."""
    return json_response(
        {
            "producers": [
                {
                    "name": producer.name,
                    "description": producer.description,
                    "safe": producer.is_safe,
                    "arguments": producer.arguments.model_json_schema(),
                }
                for producer in service.producers.values()
            ]
        }
    )


async def make(service: Service, request: Request) -> Response:
    """Run a producer with the arguments in the content."""
    producer = service.producer(request.path_params["producer"])
    given = await arguments(request, service.settings.form_limit)
    return await _run(service, request, producer, given)


async def make_safely(service: Service, request: Request) -> Response:
    """Run a producer that is declared safe, with the arguments in the query."""
    producer = service.producer(request.path_params["producer"])
    if not producer.is_safe or request.method == "HEAD":
        allowed = ["POST", "GET"] if producer.is_safe else ["POST"]
        problem = problems.method_not_allowed(request.method, allowed)
        return problem_response(problem, {"Allow": ", ".join(allowed)})
    return await _run(service, request, producer, query_arguments(request))


async def _run(
    service: Service, request: Request, producer: AnyProducer, given: Mapping[str, Any]
) -> Response:
    job = await service.jobs.start(producer, given)
    addresses = Addresses(
        address_of(request, f"/make/{producer.name}", service.settings.public_url), service
    )
    preferences = prefer.parse(fields_of(request))
    if preferences.respond_async:
        address = addresses.link(job.file.link, job.file.record)
        applied = prefer.applied(Preferences(respond_async=True))
        assert applied is not None
        headers = {
            "Location": address,
            "Link": f'<{address}>; rel="alternate"',
            "Preference-Applied": applied,
        }
        content = await addresses.file(job.file.record, [job.file.link])
        return json_response(content, 202, headers)

    return JobResponse(addresses, job)


class JobResponse(Response):
    """Sends what a run makes, as it is made.

    The head waits for the first byte: a run that fails before is told with its status, and
    until then it may say what it makes. A failure after it cuts the connection. If the
    client leaves, the producer's `on_disconnect` says what becomes of the run.
    """

    def __init__(self, addresses: Addresses, job: Job) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = []
        self._addresses = addresses
        self._store = addresses.service.store
        self._job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            failure = await self._deliver(scope, receive, send)
        except ClientDisconnected:
            if self._job.producer.on_disconnect == "cancel":
                self._job.cancel("its reader left")
            return
        if failure is not None:
            await error_response(failure)(scope, receive, send)

    async def _deliver(
        self, scope: Scope, receive: Receive, send: Send
    ) -> TailraceError | None:
        try:
            async with self._store.open(self._job.file.record.blob) as reader:
                async with UntilDisconnect(receive):
                    status = await reader.wait_beyond(0)
                if status.state is BlobState.ABANDONED:
                    return self._failure()
                record = self._job.file.record
                address = self._addresses.link(self._job.file.link, record)
                self.init_headers(
                    SAFETY
                    | {
                        "Content-Location": address,
                        "Link": f'<{address}>; rel="alternate"',
                        "Vary": "Prefer",
                    }
                )
                await deliver(
                    reader,
                    representation_of(record, download=False),
                    scope,
                    receive,
                    send,
                    further=list(self.headers.items()),
                    conditional=False,
                    promised_length=record.complete_length,
                )
        except BlobMissing:  # it failed before we could open it
            return self._failure()
        return None

    def _failure(self) -> TailraceError:
        failure = self._job.failure
        if isinstance(failure, TailraceError):
            return failure
        return ProducerError(f"the run of {self._job.producer.name} was cancelled")
