"""The way past the routing, for the requests that there are most of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class LinksFirst:
    """Has `links`, the routes for reading by link, answer before anything else is asked.

    What `app` would do around them, they do without.
    """

    app: ASGIApp
    links: Sequence[Route]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "/l/" in scope["path"]:
            for route in self.links:
                match, found = route.matches(scope)
                if match is Match.FULL:
                    scope.update(found)
                    await route.app(scope, receive, send)
                    return
        await self.app(scope, receive, send)
