"""Large files, whole, as fast as they come."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measures import (
    GB,
    PEAK_RSS,
    RATE,
    SERVER_CPU,
    TOTAL_CPU,
    Figures,
)
from benchmarks.peers import (
    AIOHTTP,
    GRANIAN,
    LINK,
    NGINX,
    NGINX_TUNED,
    RESPONSE,
    STARLETTE,
    UNCHANGED,
)
from benchmarks.rows.row import Row, Target
from benchmarks.trials import LARGE, Trial


def _get(connections: int, *, copies: bool = False) -> Callable[[Trial], Figures]:
    def measure(trial: Trial) -> Figures:
        before = trial.server.cpu_seconds()
        found = trial.sinks.run(
            "get",
            port=trial.server.port,
            target=trial.server.target(LARGE),
            connections=connections,
            length=trial.scale.large_bytes,
            copy=int(copies),
        )
        used = trial.server.cpu_seconds() - before
        gigabytes = found["bytes"] / GB
        return {
            RATE: gigabytes / found["seconds"],
            SERVER_CPU: used / gigabytes,
            TOTAL_CPU: (used + found.cpu_seconds) / gigabytes,
            PEAK_RSS: trial.server.peak_rss_mib(),
        }

    return measure


_DISCARDED = (
    "The client has the kernel throw the content away, so that the server is the limit."
)

ROWS = (
    Row(
        name="get-1",
        title="1 GiB GET, 1 connection",
        how=_DISCARDED,
        peers=(NGINX, NGINX_TUNED, RESPONSE, UNCHANGED, LINK, AIOHTTP, GRANIAN, STARLETTE),
        measure=_get(1),
        targets=(
            Target(RATE, RESPONSE, at_least=1.4, times=NGINX),
            Target(RATE, RESPONSE, at_least=0.95, times=NGINX_TUNED),
            Target(TOTAL_CPU, RESPONSE, at_most=1.0, times=NGINX),
            Target(RATE, UNCHANGED, at_least=1.3, times=NGINX),
            Target(RATE, LINK, at_least=0.97, times=RESPONSE),
        ),
        rounds=7,
        files=(LARGE,),
        baseline=NGINX,
    ),
    Row(
        name="get-8",
        title="1 GiB GET, 8 connections",
        how=_DISCARDED,
        peers=(NGINX, NGINX_TUNED, RESPONSE, AIOHTTP, GRANIAN, STARLETTE),
        measure=_get(8),
        targets=(Target(RATE, RESPONSE, at_least=1.4, times=NGINX),),
        rounds=3,
        files=(LARGE,),
        baseline=NGINX,
    ),
    Row(
        name="get-copied",
        title="1 GiB GET, 1 connection, into the client's memory",
        how="As a real client would: it receives into a buffer of 256 KiB.",
        peers=(NGINX, NGINX_TUNED, RESPONSE),
        measure=_get(1, copies=True),
        targets=(),
        rounds=5,
        files=(LARGE,),
        baseline=NGINX,
    ),
)
