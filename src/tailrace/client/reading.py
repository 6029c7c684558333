"""Reading: the bytes of a file in their order, as they come, for who cannot take one back.

A cut is resumed where it was if the answer proves to go on in the same representation, by a
strong entity tag. Where it does not, the reading fails: what was given cannot be withdrawn.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from tailrace.client.cancellation import Cancellation
from tailrace.client.connections import Response
from tailrace.client.heads import describe
from tailrace.client.moves import Ask, Framing, Head, Patience
from tailrace.client.transport import Authorization, Transport, Unreachable
from tailrace.client.trust import (
    PASSING,
    VERY_LARGE_STOP,
    coded,
    is_asked_for,
    strong,
    unproved_end,
)
from tailrace.client.urls import Url
from tailrace.errors import ConnectionLost, RepresentationChanged, TransferError
from tailrace.protocol.validators import EntityTag

_PIECE = 64 * 1024


class Reading:
    """One reading of one URL. `position` is the offset of the next byte."""

    def __init__(
        self,
        url: Url,
        transport: Transport,
        authorization: Authorization | None,
        patience: Patience,
        cancellation: Cancellation,
    ) -> None:
        self.position = 0
        self._url = url
        self._transport = transport
        self._authorization = authorization
        self._patience = patience
        self._cancellation = cancellation
        self._entity_tag: EntityTag | None = None
        self._has_begun = False
        self._failures = 0
        self._buffer = memoryview(bytearray(_PIECE))

    def seek_end(self) -> None:
        """Begin at what is the end now; of a file that grows, the rest is still to come.

        Raises:
            TransferError: the server does not tell where that is.
        """
        # Not so large that it would be followed (RFC 8673 §2.2).
        ask = Ask(0, None, VERY_LARGE_STOP - 1)
        response = self._transport.fetch(self._url, ask.fields, self._authorization)
        try:
            head = describe(response)
        finally:
            response.close()
        part = head.content_range
        if head.status == 206 and is_asked_for(ask, head) and part and part.span:
            self.position = part.span.stop
            self._entity_tag = strong(head.entity_tag)
        elif head.status == 200 and head.content_length is not None:
            self.position = head.content_length
            self._entity_tag = strong(head.entity_tag)
        elif head.status != 416:  # which is how an empty file answers
            raise head.refusal("; where its end is by now cannot be told")

    def pieces(self) -> Iterator[memoryview]:
        """Give the bytes from `position` on, each time until the next is asked for.

        Raises:
            RepresentationChanged: another file has the URL now.
            Refused: the server gives nothing, or no more.
            ConnectionLost: it was cut too often, or cannot be resumed.
            MalformedContent: the answer is not HTTP.
        """
        is_ended = False
        while not is_ended:
            try:
                response = self._transport.fetch(
                    self._url, self._ask.fields, self._authorization
                )
            except ConnectionLost as exc:
                if isinstance(exc, Unreachable) and not self._has_begun:
                    raise  # a wrong address is not worth a wait
                self._pause(exc)
                continue
            try:
                is_ended = yield from self._read(response)
            except ConnectionLost as exc:
                self._pause(exc)
            finally:
                self._transport.release(response)

    @property
    def _ask(self) -> Ask:
        return Ask(self.position, self._entity_tag if self.position else None)

    def _read(self, response: Response) -> Generator[memoryview, None, bool]:
        """Give what a response has; return whether that was the end of the file."""
        ask, head = self._ask, describe(response)
        if head.status in PASSING:
            self._pause(head.refusal(), head.retry_after_seconds)
            return False
        part = head.content_range
        if head.status == 416 and part is not None and part.complete_length == ask.start:
            self._prove_end(head)
            return True
        if head.status not in (200, 206):
            raise head.refusal()
        self._accept(ask, head)
        skipped = ask.start if head.status == 200 else 0
        while count := response.content.readinto(self._buffer):
            self._cancellation.check()
            fresh = self._buffer[min(skipped, count) : count]
            skipped -= min(skipped, count)
            if fresh:
                self._failures = 0
                self._has_begun = True
                self.position += len(fresh)
                yield fresh
        return self._is_end(head)

    def _accept(self, ask: Ask, head: Head) -> None:
        """Make sure that a response goes on where we are, in the file that we are in."""
        if head.content_coding is not None:
            raise coded(head)
        if head.status == 206 and not is_asked_for(ask, head):
            raise TransferError("the server sent another part than was asked for")
        if self.position == 0:
            self._entity_tag = None  # of what nobody has seen anything
        if self._entity_tag is None:
            if self._has_begun:
                raise ConnectionLost(
                    f"the connection was cut after {self.position} bytes, and this server"
                    " offers no way to resume (a strong ETag)"
                )
            self._entity_tag = strong(head.entity_tag)
        elif head.entity_tag != self._entity_tag:
            raise RepresentationChanged(
                f"the file changed at the server after {self.position} bytes were read"
            )

    def _prove_end(self, head: Head) -> None:
        """Make sure that a 416 which says that we have all is of the file that we are in.

        It need not carry the tag; a 206 for the last byte has to (RFC 9110 §15.3.7).
        """
        if not self._has_begun or head.entity_tag == self._entity_tag is not None:
            return
        ask = Ask(self.position - 1, self._entity_tag)
        response = self._transport.fetch(self._url, ask.fields, self._authorization)
        try:
            head = describe(response)
        finally:
            response.close()
        self._accept(ask, head)
        if head.status != 206:
            raise head.refusal()

    def _is_end(self, head: Head) -> bool:
        if head.framing is Framing.CLOSE:
            raise unproved_end(self.position)
        part = head.content_range
        if head.status == 200 or part is None or part.span is None:
            return True
        if part.complete_length is not None:
            return self.position >= part.complete_length
        return part.span.stop >= VERY_LARGE_STOP

    def _pause(self, error: TransferError, asked_seconds: float | None = None) -> None:
        self._cancellation.check()
        self._failures += 1
        seconds = self._patience.pause_seconds(self._failures, asked_seconds)
        if seconds is None:
            raise error
        self._cancellation.sleep(seconds)
