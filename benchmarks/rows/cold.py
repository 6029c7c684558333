"""Other requests, while a file that is not in memory is read from a slow disk."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks import disk
from benchmarks.measures import P50, P99, REQUESTS, Figures, Measure
from benchmarks.peers import NGINX, RESPONSE, STARLETTE
from benchmarks.rows.row import Place, Row, Target
from benchmarks.trials import SMALL, Trial, prepare

_COLD = "cold.bin"
_DISK_RATE = 40_000_000
_REQUESTS_A_SECOND = 400
_CONNECTIONS = 8

_COLD_RATE = Measure("the cold file, MB/s", 1)


def _request_beside_a_cold_file(trial: Trial) -> Figures:
    cold = trial.root / _COLD
    # It is to last until the other requests are done, with the kernel reading ahead.
    length = int(_DISK_RATE * (trial.scale.slow_seconds + 2))
    prepare(cold, length)
    _evict(cold)
    leaving_at = time.monotonic() + trial.scale.slow_seconds
    with trial.sinks.started(
        "get", port=trial.server.port, target=f"/{_COLD}", until=f"{leaving_at:.6f}"
    ) as reading:
        found = trial.sinks.run(
            "repeat",
            port=trial.server.port,
            target=trial.server.target(SMALL),
            connections=_CONNECTIONS,
            rate=_REQUESTS_A_SECOND,
            seconds=trial.scale.slow_seconds,
        )
        read = reading.finish()
    return {
        P99: found["p99_ms"],
        P50: found["p50_ms"],
        REQUESTS: found["requests"] / found["seconds"],
        _COLD_RATE: read["bytes"] / 1e6 / read["seconds"],
    }


def _evict(path: Path) -> None:
    """Take a file out of the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


ROWS = (
    Row(
        name="cold-disk",
        title="Other requests while a cold file comes from a disk of 40 MB/s",
        how=f"{_REQUESTS_A_SECOND} GETs of 4 KiB a second, at even moments, on {_CONNECTIONS}"
        " connections; the wait for a free one counts.",
        peers=(NGINX, RESPONSE, STARLETTE),
        measure=_request_beside_a_cold_file,
        targets=(Target(P99, RESPONSE, at_most=3),),
        rounds=1,
        files=(SMALL,),
        baseline=NGINX,
        place=Place.DISK,
        disk_limit=_DISK_RATE,
        reason_against=disk.reason_against_limits,
    ),
)
