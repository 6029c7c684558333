"""Responses that are not files: JSON, a link alone, problems."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import Response

from tailrace.errors import AccessDenied, ForeignRequest, ServiceBusy, TailraceError
from tailrace.protocol import problems
from tailrace.protocol.problems import Problem

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
    if isinstance(error, ServiceBusy):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, AccessDenied) and not isinstance(error, ForeignRequest):
        headers["WWW-Authenticate"] = 'Bearer realm="tailrace"'  # RFC 9110 §15.5.2
    return problem_response(problems.problem_for(error), headers)
