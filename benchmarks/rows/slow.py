"""Many clients that read slowly."""

from __future__ import annotations

from benchmarks.measures import CPU_SHARE, MIB, PEAK_RSS, RATE_KEPT, Figures
from benchmarks.peers import AIOHTTP, GRANIAN, LINK, NGINX, RESPONSE, STARLETTE
from benchmarks.rows.row import Row, Target
from benchmarks.trials import LARGE, Trial

_READERS = 500
_RATE = 1 * MIB


def _read_slowly(trial: Trial) -> Figures:
    before = trial.server.cpu_seconds()
    found = trial.sinks.run(
        "get",
        port=trial.server.port,
        target=trial.server.target(LARGE),
        connections=trial.scale.share_of(_READERS),
        rate=_RATE,
        seconds=trial.scale.slow_seconds,
    )
    used = trial.server.cpu_seconds() - before
    return {
        CPU_SHARE: used / found["seconds"] * 100,
        RATE_KEPT: found["least_bytes"] / (_RATE * found["seconds"]) * 100,
        PEAK_RSS: trial.server.peak_rss_mib(),
    }


ROWS = (
    Row(
        name="slow-readers",
        title="500 slow readers at 1 MiB/s",
        how="Each takes 64 KiB sixteen times a second, with a receive buffer of 128 KiB.",
        peers=(NGINX, RESPONSE, LINK, AIOHTTP, GRANIAN, STARLETTE),
        measure=_read_slowly,
        targets=(
            Target(RATE_KEPT, RESPONSE, at_least=97),
            Target(CPU_SHARE, RESPONSE, at_most=8),
            Target(PEAK_RSS, RESPONSE, at_most=45),
        ),
        rounds=1,
        files=(LARGE,),
        baseline=NGINX,
    ),
)
