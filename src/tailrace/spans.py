"""Spans of bytes, the one way tailrace says where bytes lie."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The bytes from offset `start` up to, and without, offset `stop`.

    Raises:
        ValueError: unless 0 <= start <= stop.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"no span from {self.start} to {self.stop}")

    @property
    def length(self) -> int:
        return self.stop - self.start
