"""One resource a path: its methods, who may use them, and how its errors are told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tailrace.asgi.access import require_owner
from tailrace.asgi.answering import error_response, problem_response
from tailrace.errors import BlobMissing, ClientDisconnected, TailraceError
from tailrace.protocol import problems
from tailrace.service import Service

Answering: TypeAlias = Callable[[Service, Request], Coroutine[Any, Any, Response]]
Current: TypeAlias = Callable[[], Service]

_log = logging.getLogger("tailrace.requests")

_READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Resource:
    """An ASGI application for one path; its errors are problem details wherever it is mounted.

    `current` gives the service while it runs. A method that is `open` needs no credential,
    because the path itself is the right to use it. HEAD is answered as GET, OPTIONS with
    what is allowed, and anything else with 405. To each answer to OPTIONS, and each 405, is
    added what is allowed, unless it says so itself.
    """

    current: Current
    methods: Mapping[str, Answering]
    open: frozenset[str] = frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        has_begun = False

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        response = await self._respond(request)
        try:
            await response(scope, receive, noting)
        except TailraceError as exc:
            if has_begun:
                raise  # the server must cut the connection
            if isinstance(exc, BlobMissing) and request.method in _READING:
                # It may have ended between its look-up and its opening: a second look tells.
                response = await self._respond(request)
            if not isinstance(exc, BlobMissing) or response.status_code < 400:
                response = _told(request.method, exc)
            await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        response = await self._answer(request)
        if request.method == "OPTIONS" or response.status_code == 405:  # RFC 9110 §15.5.6
            response.headers.setdefault("Allow", ", ".join(self._allowed()))
        return response

    async def _answer(self, request: Request) -> Response:
        method = request.method
        answering = self.methods.get(method)
        if answering is None and method == "HEAD":
            answering = self.methods.get("GET")
        if answering is None:
            return self._refuse(method)
        service = self.current()
        try:
            if method not in self.open:
                await require_owner(service, request)
            return await answering(service, request)
        except ClientDisconnected:
            return Response(status_code=400)  # nobody is there to read it
        except TailraceError as exc:
            return _told(method, exc)

    def _refuse(self, method: str) -> Response:
        if method == "OPTIONS":
            return Response(status_code=204)
        return problem_response(problems.method_not_allowed(method, self._allowed()))

    def _allowed(self) -> list[str]:
        allowed = [*self.methods]
        if "GET" in allowed and "HEAD" not in allowed:
            allowed.insert(allowed.index("GET") + 1, "HEAD")
        if "OPTIONS" not in allowed:
            allowed.append("OPTIONS")
        return allowed


def _told(method: str, error: TailraceError) -> Response:
    response = error_response(error)
    if response.status_code >= 500:  # without the path: it may hold a token
        _log.error("a %s request failed: %s", method, error, exc_info=error.__cause__)
    return response
