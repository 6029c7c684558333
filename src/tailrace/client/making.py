"""Having a service make a file, and reading it while it is made."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

from tailrace.client.cancellation import Cancellation
from tailrace.client.connections import Timeouts
from tailrace.client.heads import describe
from tailrace.client.service import Service, read_json
from tailrace.client.streams import lost
from tailrace.client.transport import Transport
from tailrace.client.urls import Url
from tailrace.errors import TransferError

_READ_BYTES = 256 * 1024


class Begun(NamedTuple):
    """A file that the service makes now."""

    id: str
    link: str


def begin(service: Service, producer: str, given: Mapping[str, str]) -> Begun:
    """Begin a run of a producer.

    Raises:
        Refused: the service does not make it; the problem says why.
        ConnectionLost: it cannot be reached, or was cut before it answered.
    """
    content = urlencode(given).encode()
    fields = (
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Length", str(len(content))),
        ("Prefer", "respond-async"),
        # Should anybody on the way send it twice.
        ("Idempotency-Key", f'"{secrets.token_hex(16)}"'),
    )
    url = service.url.below(f"make/{quote(producer, safe='')}")
    with service.ask("POST", url, fields) as connection:
        try:
            connection.socket.sendall(content)
        except OSError as exc:
            raise lost(exc, connection.timeouts.stall_seconds) from exc
        response = connection.read_response("POST")
        if response.head.status != 202:
            raise describe(response).refusal()
        file = read_json(response)
    try:
        return Begun(str(file["id"]), str(file["links"][0]["url"]))
    except (KeyError, TypeError, IndexError) as exc:
        raise TransferError("the answer has no link; is it a tailrace service?") from exc


def cancel(service: Service, begun: Begun) -> None:
    """Have a run end, and its file deleted."""
    url = service.url.below(f"files/{quote(begun.id, safe='')}")
    with service.ask("DELETE", url) as connection:
        connection.read_response("DELETE")


def follow(link: str, write: Callable[[memoryview], object], timeouts: Timeouts) -> None:
    """Write what a link gives as it comes, to its end.

    Raises:
        Refused: there is nothing to be read.
        ConnectionLost: it was cut, because the run failed or the service did.
    """
    response = Transport(timeouts, Cancellation()).fetch(Url.parse(link), (), None)
    try:
        if response.head.status != 200:
            raise describe(response).refusal()
        buffer = memoryview(bytearray(_READ_BYTES))
        while count := response.content.readinto(buffer):
            write(buffer[:count])
    finally:
        response.close()
