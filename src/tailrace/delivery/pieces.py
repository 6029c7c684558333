"""What a response's content is made of: octets of our own, and spans of a representation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import TypeAlias

from tailrace.protocol.byteranges import MultipartByteranges
from tailrace.spans import Span

Piece: TypeAlias = bytes | Span
Pieces: TypeAlias = AsyncGenerator[Piece]


def pieces_of(framing: MultipartByteranges) -> Sequence[Piece]:
    """Return multipart content as pieces."""
    parts = (piece for part in framing.parts() for piece in part)
    return [*parts, framing.closing]


def length_of(pieces: Iterable[Piece]) -> int:
    return sum(len(piece) if isinstance(piece, bytes) else piece.length for piece in pieces)


async def in_turn(pieces: Iterable[Piece]) -> Pieces:
    """Yield each piece."""
    for piece in pieces:
        yield piece
