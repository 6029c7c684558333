"""The shortest way through, for the requests that there are most of.

A GET of all of a small file by link, when both are at hand: it is answered here, as `links`
would answer it in more steps. Anything else, and whatever is not known without waiting, goes
the usual way, which also tells what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from tailrace.asgi.representing import SAFETY, representation_of
from tailrace.asgi.resources import Current
from tailrace.catalogue import FileRecord
from tailrace.delivery import SMALL_CONTENT, asks_for_the_whole, deliver_content
from tailrace.errors import ClientDisconnected, ConfigurationError

_FURTHER = tuple(SAFETY.items())


@dataclass(frozen=True, slots=True)
class SmallFilesByLink:
    """Answers them before `app` is asked."""

    app: ASGIApp
    current: Current

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _token(scope)
        found = None if token is None else self._find(token)
        if found is None:
            await self.app(scope, receive, send)
            return
        file, content = found
        try:
            await deliver_content(
                content, representation_of(file, download=False), send, further=_FURTHER
            )
        except ClientDisconnected:
            pass

    def _find(self, token: str) -> tuple[FileRecord, bytes] | None:
        try:
            service = self.current()
        except ConfigurationError:  # it does not run
            return None
        file = service.links.file_at_hand(token)
        if file is None:
            return None
        content = service.store.read_at_once(file.blob, SMALL_CONTENT)
        return None if content is None or len(content) != file.length else (file, content)


def _token(scope: Scope) -> str | None:
    """Return the token of a link, if nothing but the bytes is asked for, and of all of them."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
        return None
    if scope.get("root_path") or not asks_for_the_whole(scope):
        return None
    match scope["path"].split("/", 3):
        case ["", "l", token, _]:
            return str(token)
        case _:
            return None
