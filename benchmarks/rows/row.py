"""The form of a row, and of a target."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measures import Figures, Measure
from benchmarks.peers import Peer
from benchmarks.trials import Trial


class Place(enum.Enum):
    """Where the files of a row rest."""

    MEMORY = "tmpfs"
    DISK = "the disk"


class Processors(enum.Enum):
    """Where server and clients run; the same for all peers of a row."""

    APART = "the server on one processor, the clients on the others"
    SHARED = "server and clients where the kernel puts them"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a measure of a peer, or on how many times that of another it is."""

    measure: Measure
    peer: Peer
    at_least: float | None = None
    at_most: float | None = None
    times: Peer | None = None

    def is_met_by(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )

    def sentence(self) -> str:
        bound = [f"≥ {self.at_least:,g}"] if self.at_least is not None else []
        bound += [f"≤ {self.at_most:,g}"] if self.at_most is not None else []
        times = f" × {self.times.name}" if self.times is not None else ""
        return f"{self.measure.title} of {self.peer.name}: {' and '.join(bound)}{times}"


@dataclass(frozen=True, slots=True)
class Row:
    """One load, put on several peers in turn."""

    name: str
    title: str
    how: str
    """What the reader of the figures has to know, in a sentence or two."""

    peers: tuple[Peer, ...]
    measure: Callable[[Trial], Figures]
    targets: tuple[Target, ...]
    rounds: int
    files: tuple[str, ...] = ()
    """What each server has, and has read once before it is measured."""

    baseline: Peer | None = None
    """Whose first measure is 1.00 in the table."""

    place: Place = Place.MEMORY
    processors: Processors = Processors.APART
    disk_limit: int | None = None
    """Bytes a second that the server may read from the disk."""

    reason_against: Callable[[Path], str | None] = lambda _: None
    """Why it cannot be measured here, on the file system of a directory, if it cannot."""
