"""A tailrace service as its users reach it: requests with JSON answers, and a key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from tailrace.client.cancellation import Cancellation
from tailrace.client.connections import Connection, FieldLines, Response, Timeouts
from tailrace.client.heads import describe
from tailrace.client.transport import Authorization, Transport, Unreachable
from tailrace.client.urls import Url
from tailrace.errors import TransferError

# A page of a listing has a thousand files of less than a kilobyte.
_MAX_JSON = 8 * 1024 * 1024


class Service:
    """The service at one address. `key` is sent to its origin and to no other."""

    def __init__(self, address: str, key: str | None, timeouts: Timeouts) -> None:
        self.url = Url.parse(address)
        self._authorization = Authorization.of(self.url, key)
        self._transport = Transport(timeouts, Cancellation())

    def ask(self, method: str, url: Url, fields: FieldLines = ()) -> Connection:
        """Send the head of a request; the connection is to be closed.

        Raises:
            Unreachable: no connection could be made.
            ConnectionLost: it was cut.
        """
        more = [("Accept", "application/json"), ("Connection", "close")]
        if self._authorization is not None and self._authorization.origin == url.origin:
            more.extend(self._authorization.lines)
        try:
            connection = self._transport.connect(url.origin)
        except Unreachable as exc:
            raise Unreachable(f"{exc}; is the service at {self.url} running?") from exc
        try:
            connection.send_head(method, url, (*more, *fields))
        except BaseException:
            connection.close()
            raise
        return connection

    def files(self) -> Iterator[Mapping[str, Any]]:
        """Give what the service says of each of its files; asks for pages as they are used.

        Raises:
            Refused: the service does not tell.
            ConnectionLost: it cannot be reached.
        """
        route = "files"
        while True:
            with self.ask("GET", self.url.below(route)) as connection:
                response = connection.read_response("GET")
                if response.head.status != 200:
                    raise describe(response).refusal()
                page = read_json(response)
            files = page.get("files")
            if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
                raise TransferError("the answer has no files; is it a tailrace service?")
            yield from files
            if page.get("next") is None:
                return
            route = f"files?after={quote(str(page['next']), safe='')}"


def read_json(response: Response) -> Mapping[str, Any]:
    """Return the JSON object that is the content of a response.

    Raises:
        TransferError: it is none, so this is no tailrace service.
    """
    try:
        value = json.loads(response.read(_MAX_JSON))
    except (ValueError, RecursionError) as exc:
        raise TransferError(
            f"the answer is not JSON ({exc}); is it a tailrace service?"
        ) from exc
    if not isinstance(value, dict):
        raise TransferError("the answer is no JSON object; is it a tailrace service?")
    return value
