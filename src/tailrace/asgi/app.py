"""The two ways to run tailrace: mounted in an application, and as one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack, overload

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from tailrace.asgi.answering import problem_response
from tailrace.asgi.hosts import OwnNames
from tailrace.asgi.making import Making
from tailrace.asgi.routes import routes
from tailrace.asgi.shortcut import SmallFilesByLink
from tailrace.errors import ConfigurationError
from tailrace.intake.producers import AnyProducer, Producer, producer
from tailrace.intake.producers.declared import Declare, Options, Parameters, Returned
from tailrace.protocol.problems import Problem
from tailrace.service import Service, running
from tailrace.settings import Settings, settings

if TYPE_CHECKING:
    from fastapi import APIRouter


class Tailrace:
    """Files over HTTP, to be mounted in a FastAPI or Starlette application.

        files = Tailrace("./data")
        app = FastAPI(lifespan=files.lifespan)
        app.include_router(files.router, prefix="/share")

    `data` is a directory; every other setting can be given by its name (see
    `tailrace.Settings`) or as a `TAILRACE_` variable. Nothing happens before the lifespan.

    Raises:
        ConfigurationError: a setting is wrong.
    """

    def __init__(self, data: str | os.PathLike[str] | None = None, **given: Any) -> None:
        if data is not None:
            given["data"] = os.fspath(data)
        self.settings: Settings = settings(**given)
        self._producers: dict[str, AnyProducer] = {}
        self._service: Service | None = None
        self.routes = routes(lambda: self.service)

    @cached_property
    def router(self) -> APIRouter:
        """The routes as a router, for FastAPI's `include_router`.

        Dependencies that it is given there hold for every route, links among them. Where
        there is no FastAPI, mount the `routes` themselves.
        """
        from tailrace.asgi.mounting import router_of  # FastAPI weighs as much as the rest

        return router_of(self.routes)

    @property
    def service(self) -> Service:
        """The running service.

        Raises:
            ConfigurationError: it is not running.
        """
        if self._service is None:
            raise ConfigurationError(
                "tailrace is not running: give the application its lifespan, as in"
                " FastAPI(lifespan=files.lifespan)"
            )
        return self._service

    @asynccontextmanager
    async def lifespan(self, app: ASGIApp | None = None) -> AsyncIterator[None]:
        """Run the service; to be given to an application, or entered in its own lifespan."""
        async with running(self.settings, self._producers) as service:
            self._service = service
            try:
                yield
            finally:
                self._service = None

    def add(self, producer: AnyProducer) -> None:
        """Offer a producer that was declared elsewhere.

        Raises:
            ConfigurationError: another one has its name.
        """
        if self._producers.setdefault(producer.name, producer) is not producer:
            raise ConfigurationError(
                f"there are two producers of the name {producer.name!r}: rename one"
            )

    async def make(self, producer: str | AnyProducer, /, **arguments: object) -> Making:
        """Begin a run, and return it at once; its link can be read from now on.

        The arguments are validated like those of a request.

        Raises:
            ProducerNotKnown: none has this name.
            InvalidArguments: the arguments are not what the producer takes.
            ServiceBusy: too many runs wait already.
        """
        service = self.service
        if isinstance(producer, str):
            producer = service.producer(producer)
        return Making(service, await service.jobs.start(producer, arguments))

    @overload
    def producer(
        self, function: Callable[Parameters, Returned], /, **options: Unpack[Options]
    ) -> Producer[Parameters, Returned]: ...

    @overload
    def producer(self, **options: Unpack[Options]) -> Declare: ...

    def producer(  # type: ignore[misc]  # false alarm: the function of that name passes
        self, function: Callable[..., Any] | None = None, /, **options: Unpack[Options]
    ) -> AnyProducer | Declare:
        """Declare a producer and offer it; see `tailrace.producer`."""

        def declare(
            function: Callable[Parameters, Returned], /
        ) -> Producer[Parameters, Returned]:
            declared = producer(**options)(function)
            self.add(declared)
            return declared

        return declare if function is None else declare(function)


def application(tailrace: Tailrace, local_names: frozenset[str] | None = None) -> ASGIApp:
    """Return an application that is tailrace alone; every error is problem details.

    `local_names` are the only domain names it answers for; None is all.
    """
    app = Starlette(
        routes=tailrace.routes,
        lifespan=tailrace.lifespan,
        exception_handlers={HTTPException: _tell_http, Exception: _tell_fault},
    )
    shortcut = SmallFilesByLink(app, lambda: tailrace.service)
    return shortcut if local_names is None else OwnNames(shortcut, local_names)


async def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        problem = Problem(
            404,
            "urn:tailrace:not-found",
            "Nothing is known by this name",
            f"There is nothing at {request.url.path}.",
        )
    else:
        problem = Problem(error.status_code, "about:blank", error.detail, error.detail)
    return problem_response(problem, error.headers)


async def _tell_fault(request: Request, error: Exception) -> Response:
    """Answer a fault of ours; the server logs it, the client is told nothing of it."""
    return problem_response(
        Problem(
            500,
            "urn:tailrace:internal-error",
            "Something failed here",
            "The request met a fault of this service; it has been noted in its log.",
        )
    )
