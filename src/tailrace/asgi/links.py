"""Reading by link. The token is the right; no credential is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tailrace.asgi.answering import error_response, json_response
from tailrace.asgi.representing import SAFETY, Addresses, representation_of
from tailrace.asgi.requests import address_of
from tailrace.delivery import BlobResponse
from tailrace.errors import BlobMissing, TailraceError
from tailrace.protocol import negotiation
from tailrace.service import Service


@dataclass(frozen=True, slots=True)
class LinkEndpoint:
    """GET and HEAD of `/l/{token}`, by Accept, and of `/l/{token}/{name}`, always the bytes.

    An ASGI application rather than a function: every download comes this way.
    """

    current: Callable[[], Service]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
            await response(scope, receive, send)
        except BlobMissing:
            # It ended between the look-up and the opening; nothing was sent yet.
            await (await self._respond(request))(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        service = self.current()
        token = request.path_params["token"]
        try:
            link, file = await service.links.get(token)
        except TailraceError as exc:
            return error_response(exc)
        is_negotiated = "name" not in request.path_params
        vary = {"Vary": "Accept"} if is_negotiated else {}
        if is_negotiated and _asks_for_json(request):
            base = address_of(request, f"/l/{token}", service.settings.url)
            content = await Addresses(base, service).file(file, [link])
            return json_response(content, headers=vary)
        return BlobResponse(
            service.store.open(file.blob),
            representation_of(file, download="download" in request.query_params),
            headers=SAFETY | vary,
        )


def _asks_for_json(request: Request) -> bool:
    return negotiation.names(request.headers.get("accept"), "application/json")
