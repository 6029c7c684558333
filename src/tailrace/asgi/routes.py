"""Every route, under one router that mounts anywhere."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response
from starlette.routing import Route

from tailrace.asgi import files, make, uploads
from tailrace.asgi.access import require_owner
from tailrace.asgi.answering import MethodNotAllowed, ProblemRoute
from tailrace.asgi.files import LinkTerms
from tailrace.asgi.links import LinkEndpoint
from tailrace.service import Service

Current = Callable[[], Service]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Coroutine[Any, Any, Response]])


def routes(current: Current) -> APIRouter:
    """Return the router of a service; `current` gives it while it runs."""
    router = APIRouter(route_class=ProblemRoute, tags=["tailrace"])
    _add_reading(router, current)
    _add_owned(router, current)
    for path, allowed in _METHODS.items():
        router.routes.append(Route(path, MethodNotAllowed(allowed), include_in_schema=False))
    return router


# What each path takes. The last route of a path answers every other method with 405 and
# Allow: matched route by route, Allow would name the methods of one route only.
_METHODS = {
    "/l/{token}": ("GET", "HEAD"),
    "/l/{token}/{name:path}": ("GET", "HEAD"),
    "/uploads": ("POST", "OPTIONS"),
    "/uploads/{name:path}": ("PUT", "GET", "HEAD", "PATCH", "DELETE"),
    "/make": ("GET", "HEAD"),
    "/make/{producer}": ("POST", "GET"),
    "/files": ("GET", "HEAD"),
    "/files/{file_id}": ("GET", "HEAD", "DELETE"),
    "/files/{file_id}/content": ("GET", "HEAD"),
    "/files/{file_id}/links": ("POST",),
}


def _add_reading(router: APIRouter, current: Current) -> None:
    # Not an API route: the hot path needs no validation, and a token no documentation.
    endpoint = LinkEndpoint(current)
    for path in ("/l/{token}", "/l/{token}/{name:path}"):
        router.routes.append(
            Route(path, endpoint, methods=["GET", "HEAD"], include_in_schema=False)
        )

    @_each(router, "/uploads/{key}", "GET", "HEAD", "PATCH", "DELETE")
    async def upload(key: str, request: Request) -> Response:
        """Go on with an upload, or ask how far it is. The key is the right to do so."""
        return await uploads.resource(current(), request, key)


def _add_owned(router: APIRouter, current: Current) -> None:
    async def owner(request: Request) -> Service:
        service = current()
        await require_owner(service, request)
        return service

    owned = Depends(owner)

    @router.options("/uploads")
    async def announce(service: Service = owned) -> Response:
        """Say which upload protocols are spoken, and what is taken."""
        return uploads.announce(service)

    @router.post("/uploads", status_code=201)
    async def create_upload(request: Request, service: Service = owned) -> Response:
        """Upload a file, or the files of a form, or begin an upload to be continued."""
        return await uploads.create(service, request)

    @router.put("/uploads/{name:path}", status_code=201)
    async def put_upload(request: Request, name: str, service: Service = owned) -> Response:
        """Upload a file, as `curl -T` does; the answer is its link."""
        return await uploads.put(service, request, name)

    @_each(router, "/make", "GET", "HEAD")
    async def list_producers(service: Service = owned) -> Response:
        """List the producers, each with the JSON Schema of its arguments."""
        return make.list_producers(service)

    @_each(router, "/make/{producer}", "POST", "GET")
    async def make_file(request: Request, producer: str, service: Service = owned) -> Response:
        """Make a file: its bytes as they are made, or with `Prefer: respond-async` its link."""
        return await make.make(service, request, producer)

    @_each(router, "/files", "GET", "HEAD")
    async def list_files(
        request: Request,
        limit: Annotated[int, Query(ge=1)] = 100,
        after: str | None = None,
        service: Service = owned,
    ) -> Response:
        """List the files there are, newest first, a page at a time."""
        return await files.list_files(service, request, limit, after)

    @_each(router, "/files/{file_id}", "GET", "HEAD")
    async def show_file(request: Request, file_id: str, service: Service = owned) -> Response:
        """Say what is known of a file, also why it ended."""
        return await files.show_file(service, request, file_id)

    @router.delete("/files/{file_id}", status_code=204)
    async def delete_file(file_id: str, service: Service = owned) -> Response:
        """End a file now."""
        return await files.delete_file(service, file_id)

    @_each(router, "/files/{file_id}/content", "GET", "HEAD")
    async def send_file(request: Request, file_id: str, service: Service = owned) -> Response:
        """Send the bytes of a file."""
        download = "download" in request.query_params
        return await files.send_file(service, file_id, download=download)

    @router.post("/files/{file_id}/links", status_code=201)
    async def add_link(
        request: Request,
        file_id: str,
        terms: LinkTerms | None = None,
        service: Service = owned,
    ) -> Response:
        """Make a further link to a file."""
        return await files.add_link(service, request, file_id, terms or LinkTerms())


def _each(router: APIRouter, path: str, *methods: str) -> Callable[[Endpoint], Endpoint]:
    """Add one function for several methods of a path, each documented by itself."""

    def add(endpoint: Endpoint) -> Endpoint:
        for method in methods:
            is_documented = method != "HEAD"
            router.add_api_route(
                path, endpoint, methods=[method], include_in_schema=is_documented
            )
        return endpoint

    return add
