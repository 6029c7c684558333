"""Files as their owner sees them: listing, looking, fetching, deleting, linking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PositiveInt
from starlette.requests import Request
from starlette.responses import Response

from tailrace.asgi.answering import json_response
from tailrace.asgi.representing import SAFETY, Addresses, representation_of
from tailrace.asgi.requests import address_of, arguments, asks_for_download, query_arguments
from tailrace.catalogue import FileId, FileRecord
from tailrace.delivery import BlobResponse
from tailrace.errors import InvalidArguments
from tailrace.intake.arguments import validated
from tailrace.links import refuse_ended
from tailrace.service import Service


class Page(BaseModel):
    """Which page of a listing: so many, after the one of this id."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1)
    after: str | None = None


# A day inside of what a datetime can be, so that each can be told in UTC.
_EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
_LATEST = datetime(9999, 12, 30, tzinfo=UTC)


class LinkTerms(BaseModel):
    """How long a new link lives; by default as long as its file."""

    model_config = ConfigDict(extra="forbid")

    expires_at: AwareDatetime | None = Field(None, ge=_EARLIEST, le=_LATEST)
    expires_in: PositiveInt | None = Field(None, le=100 * 366 * 86400)
    """Seconds from now, at most a century."""


async def list_files(service: Service, request: Request) -> Response:
    """Answer one page of the files that have not ended, newest first."""
    page = validated(Page, query_arguments(request))
    limit = min(page.limit, service.settings.list_limit)
    after = None if page.after is None else FileId(page.after)
    found = await service.catalogue.list_files(limit=limit, after=after)
    addresses = _addresses(service, request, "/files")
    return json_response(
        {
            "files": [await addresses.file(file, links) for file, links in found],
            "next": found[-1][0].id if len(found) == limit else None,
        }
    )


async def show(service: Service, request: Request) -> Response:
    """Answer what is known of a file, also why it ended."""
    file = await service.file(request.path_params["id"])
    links = await service.catalogue.find_links(file.id)
    addresses = _addresses(service, request, f"/files/{file.id}")
    return json_response(await addresses.file(file, links))


async def send(service: Service, request: Request) -> Response:
    """Answer the bytes of a file."""
    file = await _readable(service, request)
    return BlobResponse(
        service.store.open(file.blob),
        representation_of(file, download=asks_for_download(request)),
        headers=SAFETY,
        at_once=partial(service.store.read_at_once, file.blob),
        sealed_sha256=partial(service.files.sha256, file),
        proxy=service.proxy,
    )


async def delete(service: Service, request: Request) -> Response:
    """End a file now; a repeated call is harmless (RFC 9110 §9.2.2)."""
    await service.delete(await service.file(request.path_params["id"]))
    return Response(status_code=204)


async def add_link(service: Service, request: Request) -> Response:
    """Make a further link to a file, and answer the file with this link alone."""
    file = await _readable(service, request)
    given = await arguments(request, service.settings.form_limit)
    terms = validated(LinkTerms, given)
    if terms.expires_at is not None and terms.expires_in is not None:
        raise InvalidArguments(
            [{"field": "expires_in", "detail": "give expires_at or expires_in, not both"}]
        )
    expires_at = file.expires_at
    if terms.expires_at is not None:
        expires_at = terms.expires_at.astimezone(UTC)
    elif terms.expires_in is not None:
        expires_at = service.now() + timedelta(seconds=terms.expires_in)
    if expires_at is not None and expires_at <= service.now():
        raise InvalidArguments([{"field": "expires_at", "detail": "that is over already"}])
    link = service.links.make(file.id, expires_at)
    await service.catalogue.add_link(link)
    addresses = _addresses(service, request, f"/files/{file.id}/links")
    content = await addresses.file(file, [link])
    return json_response(content, 201, {"Location": addresses.link(link, file)})


async def _readable(service: Service, request: Request) -> FileRecord:
    file = await service.file(request.path_params["id"])
    refuse_ended(file, service.now())
    return file


def _addresses(service: Service, request: Request, route: str) -> Addresses:
    return Addresses(address_of(request, route, service.settings.public_url), service)
