"""Files as their owner sees them: listing, looking, fetching, deleting, linking."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, PositiveInt
from starlette.responses import Response

from tailrace.asgi.answering import json_response
from tailrace.asgi.representing import SAFETY, Addresses, representation_of
from tailrace.asgi.requests import address_of
from tailrace.catalogue import FileId, FileRecord
from tailrace.delivery import BlobResponse
from tailrace.errors import InvalidArguments
from tailrace.links import refuse_ended
from tailrace.service import Service


class LinkTerms(BaseModel):
    """How long a new link lives; by default as long as its file."""

    model_config = ConfigDict(extra="forbid")

    expires_at: AwareDatetime | None = None
    expires_in: PositiveInt | None = None
    """Seconds from now."""


async def list_files(
    service: Service, request: Request, limit: int, after: str | None
) -> Response:
    """Answer one page of the files that have not ended, newest first."""
    limit = min(limit, service.settings.list_limit)
    page = await service.catalogue.list_files(
        limit=limit, after=None if after is None else FileId(after)
    )
    addresses = Addresses(address_of(request, "/files", service.settings.url), service)
    return json_response(
        {
            "files": [await addresses.file(file, links) for file, links in page],
            "next": page[-1][0].id if len(page) == limit else None,
        }
    )


async def show_file(service: Service, request: Request, file_id: str) -> Response:
    file = await service.file(file_id)
    return json_response(
        await _addresses(service, request, f"/files/{file_id}").file(
            file, await service.catalogue.find_links(file.id)
        )
    )


async def send_file(service: Service, file_id: str, *, download: bool) -> Response:
    file = await _readable(service, file_id)
    return BlobResponse(
        service.store.open(file.blob),
        representation_of(file, download=download),
        headers=SAFETY,
    )


async def delete_file(service: Service, file_id: str) -> Response:
    """End a file now; a repeated call is harmless (RFC 9110 §9.2.2)."""
    await service.delete(await service.file(file_id))
    return Response(status_code=204)


async def add_link(
    service: Service, request: Request, file_id: str, terms: LinkTerms
) -> Response:
    """Make a further link to a file."""
    file = await _readable(service, file_id)
    expires_at = file.expires_at
    if terms.expires_at is not None and terms.expires_in is not None:
        raise InvalidArguments(
            [{"field": "expires_in", "detail": "give expires_at or expires_in, not both"}]
        )
    if terms.expires_at is not None:
        expires_at = terms.expires_at
    elif terms.expires_in is not None:
        expires_at = service.now() + timedelta(seconds=terms.expires_in)
    link = service.links.make(file.id, expires_at)
    await service.catalogue.add_link(link)
    addresses = _addresses(service, request, f"/files/{file_id}/links")
    content = await addresses.file(file, [link])
    return json_response(content, 201, {"Location": addresses.link(link, file)})


async def _readable(service: Service, file_id: str) -> FileRecord:
    file = await service.file(file_id)
    refuse_ended(file, service.now())
    return file


def _addresses(service: Service, request: Request, route: str) -> Addresses:
    return Addresses(address_of(request, route, service.settings.url), service)
