"""Reading by link. The token is the right; no credential is asked for."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from tailrace.asgi.answering import json_response
from tailrace.asgi.events import EventsResponse
from tailrace.asgi.representing import SAFETY, Addresses, representation_of
from tailrace.asgi.requests import address_of
from tailrace.catalogue import FileRecord
from tailrace.delivery import BlobResponse
from tailrace.protocol import negotiation
from tailrace.service import Service


async def read(service: Service, request: Request) -> Response:
    """Answer the bytes, whatever the name: it is decoration."""
    _, file = await service.links.get(request.path_params["token"])
    return _bytes(service, request, file)


async def read_as_asked(service: Service, request: Request) -> Response:
    """Answer the file as JSON to who names that type, and else the bytes; or its life."""
    token = request.path_params["token"]
    link, file = await service.links.get(token)
    if "events" in request.query_params:
        return EventsResponse(service, file, request.headers.get("last-event-id"))
    if not negotiation.names(request.headers.get("accept"), "application/json"):
        response = _bytes(service, request, file)
    else:
        base = address_of(request, f"/l/{token}", service.settings.url)
        response = json_response(await Addresses(base, service).file(file, [link]))
    response.headers["Vary"] = "Accept"
    return response


def _bytes(service: Service, request: Request, file: FileRecord) -> Response:
    return BlobResponse(
        service.store.open(file.blob),
        representation_of(file, download="download" in request.query_params),
        headers=SAFETY,
    )
