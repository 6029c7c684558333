"""What the picture shows: the ratios of a row to its baseline, and their targets."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.measures import RATE, REQUESTS
from benchmarks.peers import LINK, NO_DIGEST, RESPONSE, UNCHANGED
from benchmarks.rounds import Measured

_OURS = (RESPONSE, UNCHANGED, LINK, NO_DIGEST)


@dataclass(frozen=True, slots=True)
class Bar:
    """One peer of a row."""

    label: str
    ratio: float
    is_ours: bool
    target: float | None
    """Where the ratio is to be, if the row says so."""


def bars(measured: Measured) -> list[Bar]:
    """Return the bars of a row, longest first; none if it compares nothing."""
    row = measured.row
    if row.baseline is None or not measured.figures:
        return []
    main = measured.measures()[0]
    if main not in (RATE, REQUESTS):  # of which more is better
        return []
    found = []
    for peer in measured.figures:
        ratio = measured.ratio(peer, row.baseline, main)
        targets = (
            target.at_least
            for target in row.targets
            if (target.peer, target.times, target.measure) == (peer, row.baseline, main)
        )
        if ratio is not None:
            found.append(Bar(peer.name, ratio, peer in _OURS, next(targets, None)))
    return sorted(found, key=lambda bar: -bar.ratio)
