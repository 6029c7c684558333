"""Responses that are not files: JSON, a link alone, problems."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tailrace.errors import AccessDenied, ClientDisconnected, InvalidArguments, TailraceError
from tailrace.protocol import problems
from tailrace.protocol.problems import Problem

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]

# What the owner sees is of this moment; no cache may keep it.
_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def json_response(
    content: object, status_code: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    return Response(
        text.encode("utf-8", "replace"),
        status_code,
        {**_NO_STORE, **(headers or {})},
        "application/json",
    )


def text_response(line: str, status_code: int, headers: Mapping[str, str]) -> Response:
    return Response(line + "\n", status_code, {**_NO_STORE, **headers}, "text/plain")


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        problem.to_json() + b"\n",
        problem.status,
        {**_NO_STORE, **(headers or {})},
        problems.MEDIA_TYPE,
    )


def error_response(error: TailraceError) -> Response:
    """Return the problem of an error, with the fields that its status requires."""
    headers = {}
    if isinstance(error, AccessDenied):
        headers["WWW-Authenticate"] = 'Bearer realm="tailrace"'  # RFC 9110 §15.5.2
    return problem_response(problems.problem_for(error), headers)


class ProblemRoute(APIRoute):
    """A route whose errors are told as problem details, in whichever app it is mounted."""

    def get_route_handler(self) -> Endpoint:
        handle = super().get_route_handler()

        async def handle_or_tell(request: Request) -> Response:
            try:
                return await handle(request)
            except ClientDisconnected:
                return Response(status_code=400)  # nobody is there to read it
            except TailraceError as exc:
                return error_response(exc)
            except RequestValidationError as exc:
                return error_response(_invalid(exc))

        return handle_or_tell


class MethodNotAllowed:
    """The last route of a path: every method that none before it takes."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allow = ", ".join(self._allowed)
        if scope["method"] == "OPTIONS":
            response = Response(status_code=204, headers={"Allow": allow})
        else:
            problem = problems.method_not_allowed(scope["method"], self._allowed)
            response = problem_response(problem, {"Allow": allow})
        await response(scope, receive, send)


def _invalid(error: RequestValidationError) -> InvalidArguments:
    return InvalidArguments(
        [
            {"field": ".".join(str(part) for part in each["loc"][1:]), "detail": each["msg"]}
            for each in error.errors()
        ]
    )
