"""A trial: one server, one measurement, and how large it is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measures import GIB, MIB
from benchmarks.servers import Server
from benchmarks.sinks import Sinks

LARGE = "large.bin"
SMALL = "small.bin"
SMALL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is sent, and for how long."""

    large_bytes: int
    seconds: float
    """Of requests repeated as fast as they are answered."""

    slow_seconds: float
    """Of clients at a fixed rate."""

    clients: float
    """What share of the clients that a row names takes part."""

    rounds: int | None = None
    """In place of the number that each row asks for."""

    def share_of(self, clients: int) -> int:
        return max(1, round(clients * self.clients))


FULL = Scale(large_bytes=GIB, seconds=2.0, slow_seconds=8.0, clients=1.0)
# As small as shows that everything works.
QUICK = Scale(large_bytes=4 * MIB, seconds=0.2, slow_seconds=0.5, clients=0.02, rounds=1)


@dataclass(frozen=True, slots=True)
class Trial:
    server: Server
    sinks: Sinks
    scale: Scale

    @property
    def root(self) -> Path:
        return self.server.ground.root


def prepare(path: Path, length: int) -> None:
    """Have a file of a length, no two blocks of which are the same."""
    if path.exists() and path.stat().st_size == length:
        return
    noise = os.urandom(MIB)
    with path.open("wb") as file:
        for start in range(0, length, MIB):
            block = start.to_bytes(8) + noise[8:]
            file.write(block[: length - start])


def touch(root: Path, length: int) -> None:
    """Write as much as is to come, and remove it: on virtual machines the first touch of a
    page costs several times what the later ones do."""
    path = root / "touched.bin"
    block = bytes(MIB)
    with path.open("wb", buffering=0) as file:
        for _ in range(length // MIB):
            file.write(block)
    path.unlink()
