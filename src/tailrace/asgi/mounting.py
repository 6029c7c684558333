"""The routes as FastAPI's own, so that its dependencies guard them and its docs list them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tailrace.asgi.resources import Resource


def router_of(routes: Sequence[Route]) -> APIRouter:
    """Return a router with each method of each route as one of FastAPI's own.

    Of plain routes FastAPI would forget the dependencies that it is given for the router.
    Here these only refuse what is left: the methods that a path does not have.
    """
    router = APIRouter(tags=["tailrace"])
    for route in routes:
        resource = route.endpoint
        assert isinstance(resource, Resource)
        for method, answering in resource.methods.items():
            router.add_api_route(
                route.path,
                _endpoint(resource),
                methods=[method],
                name=answering.__name__,
                description=answering.__doc__,
                response_class=Response,
                include_in_schema=method not in ("HEAD", "OPTIONS"),
            )
        if "GET" in resource.methods and "HEAD" not in resource.methods:
            router.add_api_route(
                route.path, _endpoint(resource), methods=["HEAD"], include_in_schema=False
            )
    router.routes.extend(routes)
    return router


def _endpoint(resource: Resource) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def answer(request: Request) -> Response:
        return _ResourceResponse(resource)

    return answer


class _ResourceResponse(Response):
    """A response that leaves all to the resource: it reads the request, too.

    `background` is what dependencies want done afterwards.
    """

    def __init__(self, resource: Resource) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = []
        self._resource = resource

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._resource(scope, receive, send)
        if self.background is not None:
            await self.background()
