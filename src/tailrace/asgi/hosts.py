"""Host: whether a request to a local service is for this machine (RFC 9112 §3.2).

That there is one, and that it can be read, is the server's to see to.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from tailrace.asgi.answering import error_response
from tailrace.errors import ForeignRequest


@dataclass(frozen=True, slots=True)
class OwnNames:
    """Lets a request pass to `app` unless it is for a domain name that is none of `names`.

    Otherwise a page whose name is made to lead here (DNS rebinding) could speak to a service
    that only this machine is to reach. Addresses, and names without a dot, cannot be made
    to; and whoever reads by link has the right to.
    """

    app: ASGIApp
    names: frozenset[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = self._error(scope) if scope["type"] == "http" else None
        respond = self.app if error is None else error_response(error)
        await respond(scope, receive, send)

    def _error(self, scope: Scope) -> ForeignRequest | None:
        if scope["path"].startswith("/l/"):
            return None
        for field_name, value in scope["headers"]:
            if field_name == b"host":
                name = _name_of(value.decode("latin-1"))
                if name not in self.names and _is_domain_name(name):
                    return ForeignRequest(
                        f"this service is not {name}, and listens on this machine only; if a"
                        f" proxy passes requests on to it, start it with --url https://{name}"
                    )
        return None


def _name_of(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_domain_name(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." in name.rstrip(".") and not name.endswith(".localhost")
    return False
