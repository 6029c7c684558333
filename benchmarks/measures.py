"""What is measured, and in which unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GB = 1e9
MIB = 2**20
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of a table."""

    title: str
    decimals: int

    def text(self, value: float) -> str:
        return f"{value:,.{self.decimals}f}"


# What a measurement gave.
Figures = Mapping[Measure, float]

RATE = Measure("GB/s", 2)
REQUESTS = Measure("requests/s", 0)
SERVER_CPU = Measure("server CPU s/GB", 3)
TOTAL_CPU = Measure("server and client CPU s/GB", 3)
CPU_PER_REQUEST = Measure("server CPU µs/request", 1)
CPU_SHARE = Measure("server CPU, % of a core", 1)
PEAK_RSS = Measure("peak RSS, MiB", 1)
THREADS = Measure("threads", 0)
P50 = Measure("p50, ms", 2)
P99 = Measure("p99, ms", 2)
RATE_KEPT = Measure("slowest client, % of its rate", 1)
SECONDS = Measure("seconds", 2)
