"""Taking uploads: a dialect translates the head, intake takes the content."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import assert_never

from starlette.requests import Request
from starlette.responses import Response

from tailrace.asgi.answering import (
    error_response,
    json_response,
    problem_response,
    text_response,
)
from tailrace.asgi.representing import Addresses
from tailrace.asgi.requests import (
    address_of,
    content,
    content_to_keep,
    fields_of,
    media_type_of,
)
from tailrace.errors import LengthExceeded, MalformedContent, TailraceError
from tailrace.intake import forms
from tailrace.intake.progress import Upload
from tailrace.intake.settling import settled
from tailrace.protocol import negotiation, problems, uploads
from tailrace.protocol.disposition import safe_name
from tailrace.protocol.fields import Fields
from tailrace.protocol.uploads import (
    Append,
    Appended,
    Begun,
    Cancel,
    Cancelled,
    Concatenate,
    Create,
    Created,
    Dialect,
    Inspect,
    Inspected,
    OffsetRetrieved,
    Outcome,
    RequestHead,
    RetrieveOffset,
    plain,
)
from tailrace.protocol.uploads.metadata import DEFAULT_NAME, read_content_length
from tailrace.service import Service

_OVERRIDING = ("HEAD", "PATCH", "DELETE")


async def create(service: Service, request: Request) -> Response:
    """Take a POST: a form, whose files become files, or one file in any dialect."""
    head = RequestHead("POST", fields_of(request), request.query_params.get("name"))
    is_plain = uploads.dialect_of(head) is plain
    if is_plain and media_type_of(request) == forms.MEDIA_TYPE:
        return await _take_form(service, request)
    return await _in_dialect(service, request, head, "/uploads")


async def put(service: Service, request: Request) -> Response:
    """Take a PUT, as `curl -T` sends it; answer the link alone, unless JSON is asked for."""
    name = request.path_params["key"]
    head = RequestHead("PUT", fields_of(request), name)
    return await _in_dialect(service, request, head, f"/uploads/{name}")


async def resource(service: Service, request: Request) -> Response:
    """Answer HEAD, GET, PATCH and DELETE of an upload."""
    return await _resource(service, request, request.method)


async def overridden(service: Service, request: Request) -> Response:
    """Answer a POST to an upload that stands for another method.

    There are environments and proxies that know no PATCH and no DELETE (tus 1.0.0,
    X-HTTP-Method-Override).
    """
    method = request.headers.get("x-http-method-override", "").upper()
    if method not in _OVERRIDING:
        return problem_response(problems.method_not_allowed("POST", _OVERRIDING))
    return await _resource(service, request, method)


async def announce(service: Service, request: Request) -> Response:
    """Answer OPTIONS: what every dialect says of itself."""
    head = uploads.announce(service.uploads.limits)
    return Response(status_code=head.status, headers=dict(head.fields))


async def _resource(service: Service, request: Request, method: str) -> Response:
    key = request.path_params["key"]
    head = RequestHead(method, fields_of(request))
    return await _in_dialect(service, request, head, f"/uploads/{key}", key)


async def _in_dialect(
    service: Service, request: Request, head: RequestHead, route: str, key: str = ""
) -> Response:
    dialect = uploads.dialect_of(head)
    base = address_of(request, route, service.settings.public_url)
    exchange = _Exchange(service, request, dialect, Addresses(base, service))
    try:
        return await exchange.respond(head, key)
    except TailraceError as exc:
        refusal = dialect.refuse(exc, service.uploads.limits)
        if refusal.problem is None:
            response = error_response(exc)
        else:
            response = problem_response(refusal.problem)
        response.headers.update(dict(refusal.fields))
        return response


class _Exchange:
    """One request and its answer, in one dialect."""

    def __init__(
        self, service: Service, request: Request, dialect: Dialect, addresses: Addresses
    ) -> None:
        self._uploads = service.uploads
        self._request = request
        self._dialect = dialect
        self._addresses = addresses

    async def respond(self, head: RequestHead, key: str) -> Response:
        match self._dialect.parse(head):
            case Create() as command:
                async with content_to_keep(self._request) as source:
                    begun = await self._uploads.create(command, source, self._teller(command))
                return await self._created(begun)
            case Concatenate() as command:
                return await self._created(await self._uploads.concatenate(command))
            case Append() as command:
                async with content_to_keep(self._request) as source:
                    upload = await self._uploads.append(key, command, source)
                return await self._describe(Appended(upload.progress), upload)
            case RetrieveOffset(ends_at_length):
                upload = await self._uploads.get(key, ends_at_length=ends_at_length)
                return self._head_only(OffsetRetrieved(upload.progress))
            case Inspect():
                upload = await self._uploads.look(key)
                return await self._describe(Inspected(upload.progress), upload)
            case Cancel(ends_file):
                await self._uploads.cancel(key, ends_file=ends_file)
                return self._head_only(Cancelled())
            case command:
                assert_never(command)

    def _teller(self, command: Create) -> Callable[[Upload], Awaitable[None]] | None:
        """Return what tells of the upload before its content, where it can be told."""
        interim = self._request.scope.get("extensions", {}).get("tailrace.response.interim")
        if interim is None or not command.takes_interim:
            return None

        async def tell(upload: Upload) -> None:
            head = self._dialect.answer(Begun(*self._places(upload), upload.progress))
            await interim["send"](head.status, Fields.of(*head.fields).to_raw())

        return tell

    def _places(self, upload: Upload) -> tuple[str, str]:
        """Return where it goes on and where it can be read."""
        link = self._addresses.link(upload.link, upload.file)
        return f"{self._addresses.base}/uploads/{upload.key}", link

    async def _created(self, upload: Upload) -> Response:
        location, link = self._places(upload)
        outcome = Created(location, link, upload.progress)
        accept = self._request.headers.get("accept")
        if self._request.method == "PUT" and not negotiation.names(accept, "application/json"):
            head = self._dialect.answer(outcome)
            return text_response(link, head.status, dict(head.fields))
        return await self._describe(outcome, upload)

    async def _describe(self, outcome: Outcome, upload: Upload) -> Response:
        head = self._dialect.answer(outcome)
        if head.status == 204:
            return self._head_only(outcome)
        file = await self._addresses.file(upload.file, [upload.link])
        return json_response(file, head.status, dict(head.fields))

    def _head_only(self, outcome: Outcome) -> Response:
        head = self._dialect.answer(outcome)
        return Response(status_code=head.status, headers=dict(head.fields))


async def _take_form(service: Service, request: Request) -> Response:
    """Take a multipart form; every part with a file name becomes a file.

    All of them or none: if the form breaks off, those that had come are ended as well, for
    their sender never learns their links.
    """
    limit = service.settings.file_limit
    declared = read_content_length(fields_of(request))
    if declared is not None and declared > limit:
        raise LengthExceeded(limit, declared)
    taken: list[Upload] = []
    try:
        await _take_parts(service, request, taken)
    except BaseException:
        for upload in taken:
            await settled(service.delete(upload.file, "its form was broken off"))
        raise
    addresses = Addresses(address_of(request, "/uploads", service.settings.public_url), service)
    links = [addresses.link(upload.link, upload.file) for upload in taken]
    return json_response(
        [await addresses.file(upload.file, [upload.link]) for upload in taken],
        201,
        {"Link": ", ".join(f'<{link}>; rel="alternate"' for link in links)},
    )


async def _take_parts(service: Service, request: Request, taken: list[Upload]) -> None:
    """Upload the files of a form, one after the other, and note each that has come whole."""
    async with (
        aclosing(content(request.receive)) as chunks,
        aclosing(
            forms.parts(
                chunks, request.headers["content-type"], limit=service.settings.form_parts
            )
        ) as parts,
    ):
        skipped = 0
        async for part in parts:
            if part.file_name is None:
                async for chunk in part.content:
                    skipped += len(chunk)
                    if skipped > service.settings.form_limit:
                        raise LengthExceeded(service.settings.form_limit)
                continue
            command = Create(
                name=safe_name(part.file_name, DEFAULT_NAME),
                media_type=part.media_type,
                complete_length=None,
                is_complete=True,
                content_length=None,
                digests={},
            )
            taken.append(await service.uploads.create(command, part.content))
    if not taken:
        raise MalformedContent(
            "the form has no file: send at least one part with a file name, as"
            " `curl -F file=@NAME` does"
        )
