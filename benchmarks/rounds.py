"""Turns of all peers, and what they come to."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from benchmarks.measures import Figures, Measure
from benchmarks.peers import Peer
from benchmarks.rows.row import Row, Target

T = TypeVar("T")


def turns(these: Sequence[T], rounds: int) -> Iterator[T]:
    """Give each its turn in each round, there and back: so a machine that grows slower, or
    faster, does it to all alike."""
    for number in range(rounds):
        yield from these if number % 2 == 0 else reversed(these)


@dataclass(slots=True)
class Measured:
    """What a row has given so far: for each peer, its figures of each round."""

    row: Row
    figures: dict[Peer, list[Figures]] = field(default_factory=dict)
    failures: dict[Peer, str] = field(default_factory=dict)
    """Why a peer has no figures."""

    reason_against: str | None = None
    """Why nothing was measured."""

    def add(self, peer: Peer, figures: Figures) -> None:
        self.figures.setdefault(peer, []).append(figures)

    def median(self, peer: Peer, measure: Measure) -> float | None:
        values = self._values(peer, measure)
        return statistics.median(values) if values else None

    def extremes(self, peer: Peer, measure: Measure) -> tuple[float, float] | None:
        values = self._values(peer, measure)
        return (min(values), max(values)) if values else None

    def ratio(self, peer: Peer, over: Peer, measure: Measure) -> float | None:
        """Return the median of the rounds' ratios: within a round the machine was the same."""
        pairs = zip(self._values(peer, measure), self._values(over, measure), strict=False)
        ratios = [value / unit for value, unit in pairs if unit]
        return statistics.median(ratios) if ratios else None

    def value(self, target: Target) -> float | None:
        """Return what a target bounds, or None where it was not measured."""
        if target.times is None:
            return self.median(target.peer, target.measure)
        return self.ratio(target.peer, target.times, target.measure)

    def measures(self) -> list[Measure]:
        """Return the columns, in the order in which the row gives them."""
        found = (measure for rounds in self.figures.values() for measure in rounds[0])
        return list(dict.fromkeys(found))

    def _values(self, peer: Peer, measure: Measure) -> list[float]:
        if peer in self.failures:
            return []
        return [figures[measure] for figures in self.figures.get(peer, ())]
