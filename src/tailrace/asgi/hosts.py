"""Host: which authority a request is for (RFC 9112 §3.2).

Host     = uri-host [ ":" port ]                RFC 9110 §7.2
uri-host = IP-literal / IPv4address / reg-name  RFC 3986 §3.2.2
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from tailrace.asgi.answering import error_response
from tailrace.errors import ForeignRequest, MalformedField, TailraceError

# What is in the brackets of an IP-literal is looked at no further. A reg-name may be empty.
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+)(?::[0-9]*)?"
)


@dataclass(frozen=True, slots=True)
class OneHost:
    """Lets a request pass to `app` if it says once, and so that it can be read, whom it is for.

    Others are refused: servers in a row might take them to be for different hosts. Only
    HTTP/1.0 and what comes after HTTP/1.1 may go without the field.

    With `local_names`, a domain name must be one of them, but for reading by link. Otherwise
    a page whose name is made to lead here (DNS rebinding) could speak to a service that only
    this machine is to reach. Addresses, and names without a dot, cannot be made to.
    """

    app: ASGIApp
    local_names: frozenset[str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = self._error(scope) if scope["type"] == "http" else None
        respond = self.app if error is None else error_response(error)
        await respond(scope, receive, send)

    def _error(self, scope: Scope) -> TailraceError | None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if not _is_for_one_host(hosts, scope["http_version"]):
            received = b", ".join(hosts).decode("latin-1")
            return MalformedField("Host", received, "one, with a host and perhaps a port")
        if self.local_names is None or not hosts or scope["path"].startswith("/l/"):
            return None
        name = _name_of(hosts[0].decode("ascii"))
        if name in self.local_names or not _is_domain_name(name):
            return None
        return ForeignRequest(
            f"this service is not {name}, and listens on this machine only; if a proxy passes"
            f" requests on to it, start it with --url https://{name}"
        )


def _name_of(host: str) -> str:
    if host.startswith("["):
        return host[1 : host.index("]")]
    return host.partition(":")[0].lower()


def _is_domain_name(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." in name.rstrip(".") and not name.endswith(".localhost")
    return False


def _is_for_one_host(hosts: Sequence[bytes], http_version: str) -> bool:
    match hosts:
        case []:
            return http_version != "1.1"
        case [host]:
            return _HOST.fullmatch(host) is not None
        case _:
            return False
