"""Small files, again and again on kept connections."""

from __future__ import annotations

from benchmarks.measures import CPU_PER_REQUEST, P50, P99, PEAK_RSS, REQUESTS, Figures
from benchmarks.peers import AIOHTTP, GRANIAN, LINK, NGINX, RESPONSE, STARLETTE
from benchmarks.rows.row import Row, Target
from benchmarks.trials import SMALL, Trial

_CONNECTIONS = 16


def _repeat(trial: Trial) -> Figures:
    before = trial.server.cpu_seconds()
    found = trial.sinks.run(
        "repeat",
        port=trial.server.port,
        target=trial.server.target(SMALL),
        connections=_CONNECTIONS,
        seconds=trial.scale.seconds,
    )
    used = trial.server.cpu_seconds() - before
    return {
        REQUESTS: found["requests"] / found["seconds"],
        P50: found["p50_ms"],
        P99: found["p99_ms"],
        CPU_PER_REQUEST: used / found["requests"] * 1e6,
        PEAK_RSS: trial.server.peak_rss_mib(),
    }


ROWS = (
    Row(
        name="small",
        title="4 KiB GETs, keep-alive, one worker",
        how=f"{_CONNECTIONS} connections, one request at a time on each.",
        peers=(STARLETTE, RESPONSE, LINK, AIOHTTP, GRANIAN, NGINX),
        measure=_repeat,
        targets=(
            Target(REQUESTS, RESPONSE, at_least=15, times=STARLETTE),
            Target(REQUESTS, RESPONSE, at_least=25_000),
            Target(REQUESTS, LINK, at_least=10, times=STARLETTE),
        ),
        rounds=5,
        files=(SMALL,),
        baseline=STARLETTE,
    ),
)
