"""Host: which authority a request is for (RFC 9112 §3.2).

Host     = uri-host [ ":" port ]                RFC 9110 §7.2
uri-host = IP-literal / IPv4address / reg-name  RFC 3986 §3.2.2
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from tailrace.asgi.answering import error_response
from tailrace.errors import MalformedField

# What is in the brackets of an IP-literal is looked at no further. A reg-name may be empty.
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+)(?::[0-9]*)?"
)


@dataclass(frozen=True, slots=True)
class OneHost:
    """Lets a request pass to `app` if it says once, and so that it can be read, whom it is for.

    Others are refused: servers in a row might take them to be for different hosts. Only
    HTTP/1.0 and what comes after HTTP/1.1 may go without the field.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_for_one_host(scope):
            await self.app(scope, receive, send)
            return
        hosts = b", ".join(_hosts(scope)).decode("latin-1")
        refusal = MalformedField("Host", hosts, "one, with a host and perhaps a port")
        await error_response(refusal)(scope, receive, send)


def _is_for_one_host(scope: Scope) -> bool:
    match _hosts(scope):
        case []:
            return bool(scope["http_version"] != "1.1")
        case [host]:
            return _HOST.fullmatch(host) is not None
        case _:
            return False


def _hosts(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == b"host"]
