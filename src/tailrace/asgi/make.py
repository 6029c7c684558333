"""Making files: the same run, answered directly with its bytes or at once with a link."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tailrace.asgi.answering import json_response, problem_response
from tailrace.asgi.job_response import JobResponse, PromiseResponse
from tailrace.asgi.representing import Addresses
from tailrace.asgi.requests import address_of, arguments, fields_of, query_arguments
from tailrace.intake.producers import AnyProducer
from tailrace.protocol import prefer, problems
from tailrace.protocol.idempotency import parse_key
from tailrace.service import Service


async def list_producers(service: Service, request: Request) -> Response:
    """Answer every producer with the JSON Schema of its arguments."""
    return json_response(
        {
            "producers": [
                {
                    "name": producer.name,
                    "description": producer.description,
                    "safe": producer.is_safe,
                    "arguments": producer.arguments.model_json_schema(),
                }
                for producer in service.producers.values()
            ]
        }
    )


async def make(service: Service, request: Request) -> Response:
    """Run a producer with the arguments in the content."""
    producer = service.producer(request.path_params["producer"])
    given = await arguments(request, service.settings.form_limit)
    return await _run(service, request, producer, given)


async def make_safely(service: Service, request: Request) -> Response:
    """Run a producer that is declared safe, with the arguments in the query."""
    producer = service.producer(request.path_params["producer"])
    if not producer.is_safe or request.method == "HEAD":
        allowed = ["POST", "GET"] if producer.is_safe else ["POST"]
        problem = problems.method_not_allowed(request.method, allowed)
        return problem_response(problem, {"Allow": ", ".join(allowed)})
    return await _run(service, request, producer, query_arguments(request))


async def _run(
    service: Service, request: Request, producer: AnyProducer, given: Mapping[str, Any]
) -> Response:
    fields = fields_of(request)
    preferences = prefer.parse(fields)
    key = parse_key(fields)
    job = await service.jobs.start(
        producer,
        given,
        for_reader=producer.on_disconnect == "cancel" and not preferences.respond_async,
        key_hash=None if key is None else _hash_of(producer, key),
    )
    base = address_of(request, f"/make/{producer.name}", service.settings.public_url)
    addresses = Addresses(base, service)
    if preferences.respond_async:
        return PromiseResponse(addresses, job, preferences.wait)
    return JobResponse(service, job, addresses)


def _hash_of(producer: AnyProducer, key: str) -> bytes:
    return hashlib.sha256(f"{producer.name}\0{key}".encode()).digest()
