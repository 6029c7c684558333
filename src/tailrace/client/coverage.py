"""Which bytes of a file are here, and which of the others somebody fetches.

    0                                                               length
    ├───landed───┤ lead ► ·····free····· ├──piece 2──┤├──piece 1─────┤
                                           ►            ►

The lead goes up from the first gap. Helpers take pieces from the end of what is free, each a
share of it, so that pieces become smaller as the end comes nearer. When nothing is free, the
upper half of the piece that would be the last to come is taken over.
"""

from __future__ import annotations

from collections.abc import Iterator

from tailrace.protocol.ranges import coalesce
from tailrace.spans import Span

# What a request of its own is worth: at 50 ms and 100 Mbit/s it is on its way for as long
# as it waits.
_SMALLEST_PIECE = 512 * 1024


class Piece:
    """What one helper fetches: [position, stop). `stop` may fall while it does."""

    __slots__ = ("begun_at", "position", "start", "stop")

    def __init__(self, span: Span, begun_at: float) -> None:
        self.start = self.position = span.start
        self.stop = span.stop
        self.begun_at = begun_at

    @property
    def left(self) -> Span:
        return Span(self.position, max(self.stop, self.position))

    def seconds_left(self, now: float) -> float:
        """Return when the rest would be here, if it comes as what is here came."""
        rate = (self.position - self.start + 1) / max(now - self.begun_at, 1e-6)
        return self.left.length / rate


class Coverage:
    """The spans that have landed, and the pieces that are on their way."""

    def __init__(self, landed: tuple[Span, ...]) -> None:
        self.landed = landed
        """Sorted and disjoint."""
        self.lead: int | None = None
        """The offset that the lead is at, or asks for, if it does."""
        self._pieces: list[Piece] = []

    @property
    def front(self) -> int:
        """The offset of the first byte that is missing."""
        return self.landed[0].stop if self.landed and self.landed[0].start == 0 else 0

    @property
    def landed_length(self) -> int:
        return sum(span.length for span in self.landed)

    def standing(self, length: int | None) -> str:
        """Return what is to be said of it where a download ends early."""
        if not self.landed:
            return ""
        of = "unknown" if length is None else length
        return f"; {self.landed_length} of {of} bytes are here"

    def reset(self, landed: tuple[Span, ...]) -> None:
        """Forget all else; what the pieces of before bring does not count any more."""
        self.landed = landed
        self._pieces.clear()

    def add(self, span: Span) -> None:
        self.landed = tuple(sorted(coalesce((*self.landed, span))))

    def room(self, offset: int, end: int) -> Span:
        """Return what is to be landed from `offset` on: up to what is here or on its way."""
        taken = (span.start for span in self._taken() if span.stop > offset)
        return Span(offset, max(offset, min(taken, default=end)))

    def gaps(self, length: int) -> Iterator[Span]:
        """Give what is neither here nor on its way to a helper."""
        position = 0
        for span in sorted(self._taken()):
            if span.start > position:
                yield Span(position, span.start)
            position = max(position, span.stop)
        if position < length:
            yield Span(position, length)

    def hand_out(self, length: int, connections: int, now: float) -> Piece | None:
        """Return a piece for one more helper of so many connections; None if all are small."""
        free = list(self.gaps(length))
        total = sum(span.length for span in free)
        span = free[-1] if free else Span(0, 0)
        size = max(_SMALLEST_PIECE, total // (2 * connections))
        if span.start == self.lead:
            size = min(size, span.length // 2)
        size = min(size, span.length)
        if size < _SMALLEST_PIECE and (span.start == self.lead or not size):
            return self._take_over(now)
        piece = Piece(Span(span.stop - size, span.stop), now)
        self._pieces.append(piece)
        return piece

    def reach(self, piece: Piece, count: int) -> None:
        """Take in that the next `count` bytes of a piece are here."""
        if piece in self._pieces:
            self.add(Span(piece.position, piece.position + count))
        piece.position += count

    def give_back(self, piece: Piece) -> None:
        """Let go of a piece; what of it is not here is free again."""
        if piece in self._pieces:
            self._pieces.remove(piece)

    @property
    def has_pieces(self) -> bool:
        return bool(self._pieces)

    def _taken(self) -> Iterator[Span]:
        yield from self.landed
        yield from (piece.left for piece in self._pieces if piece.left.length)

    def _take_over(self, now: float) -> Piece | None:
        last = max(self._pieces, key=lambda piece: piece.seconds_left(now), default=None)
        if last is None or last.left.length < 2 * _SMALLEST_PIECE:
            return None
        middle = last.position + last.left.length // 2
        piece = Piece(Span(middle, last.stop), now)
        last.stop = middle
        self._pieces.append(piece)
        return piece
