"""Reading by link. The token is the right; no credential is asked for."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from tailrace.asgi.answering import json_response
from tailrace.asgi.events import EventsResponse
from tailrace.asgi.representing import SAFETY, Addresses, representation_of
from tailrace.asgi.requests import address_of, asks_for_download
from tailrace.catalogue import FileRecord, LinkRecord
from tailrace.delivery import BlobResponse
from tailrace.protocol import negotiation
from tailrace.service import Service


async def read(service: Service, request: Request) -> Response:
    """Answer the bytes, whatever the name: it is decoration."""
    _, file = await service.links.get(request.path_params["token"])
    return _bytes(service, request, file)


async def read_as_asked(service: Service, request: Request) -> Response:
    """Answer the file as JSON to who names that type, and else the bytes; or its life."""
    link, file = await service.links.get(request.path_params["token"])
    if "events" in request.query_params:
        return EventsResponse(service, file, request.headers.get("last-event-id"))
    accept = request.headers.get("accept")
    for media_type, answer in _AS_ASKED.items():
        if negotiation.names(accept, media_type):
            response = await answer(service, request, file, link)
            break
    else:
        response = _bytes(service, request, file)
    response.headers["Vary"] = "Accept"
    return response


async def _json(
    service: Service, request: Request, file: FileRecord, link: LinkRecord
) -> Response:
    route = f"/l/{request.path_params['token']}"
    base = address_of(request, route, service.settings.public_url)
    return json_response(await Addresses(base, service).file(file, [link]))


# What is answered to who names a media type; a page for people is one row more.
_AS_ASKED = {"application/json": _json}


def _bytes(service: Service, request: Request, file: FileRecord) -> Response:
    return BlobResponse(
        service.store.open(file.blob),
        representation_of(file, download=asks_for_download(request)),
        headers=SAFETY,
        at_once=partial(service.store.read_at_once, file.blob),
        sealed_sha256=partial(service.files.sha256, file),
        proxy=service.proxy,
    )
