"""Where a service listens, and what it is called there."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from tailrace.errors import ConfigurationError


@contextlib.contextmanager
def listener(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on a port; 0 takes a free one.

    Raises:
        ConfigurationError: that is not possible here.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as exc:
        reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc
        raise ConfigurationError(
            f"cannot listen on {host} port {port} ({reason}): choose another with --port, or 0"
            " for a free one"
        ) from exc
    with listening:
        yield listening


def address_of(host: str, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def local_names(host: str, public: str | None) -> frozenset[str] | None:
    """Return the names of a service that only this machine reaches; None for others."""
    if not is_loopback(host):
        return None
    names = {host, urlsplit(public).hostname if public else None}
    return frozenset(name for name in names if name)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
