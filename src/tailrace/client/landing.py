"""Content on its way into the partial file, by the shortest way there is."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from tailrace.client import pipes
from tailrace.client.messages import Content, PlainContent
from tailrace.client.partial import Partial
from tailrace.client.throttle import Throttle
from tailrace.spans import Span

# Large enough that what is done for each piece does not count, small enough that progress
# moves and that the bytes are still in the processor's cache when they are digested.
_PIECE = 1024 * 1024


class Landing:
    """Writes contents, one after the other, where they belong; owns what carries them."""

    def __init__(self, partial: Partial, throttle: Throttle | None = None) -> None:
        self._partial = partial
        self._throttle = throttle
        self._pipe: pipes.Pipe | None = None
        self._buffer: memoryview | None = None

    def land(self, content: Content, room: Span) -> int:
        """Write what there is at the start of `room`; return how much, 0 at the orderly end.

        Raises:
            ConnectionLost: the content was cut.
            MalformedContent: its framing is broken.
            StorageError: it could not be written.
        """
        limit = min(room.length, _PIECE)
        if self._throttle is not None:
            limit = min(limit, self._throttle.piece)
        if pipes.IS_SUPPORTED and isinstance(content, PlainContent) and content.is_drawable:
            self._pipe = self._pipe or pipes.Pipe()
            count = content.draw(self._pipe, limit)
            self._partial.pour(self._pipe, room.start, count)
        else:
            if self._buffer is None:
                self._buffer = memoryview(bytearray(_PIECE))
            count = content.readinto(self._buffer[:limit])
            self._partial.land(room.start, self._buffer[:count])
        if self._throttle is not None:
            self._throttle.pay(count)
        return count

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
