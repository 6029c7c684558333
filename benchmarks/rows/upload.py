"""Uploads: one as fast as it goes, and many slow ones."""

from __future__ import annotations

from benchmarks.measures import (
    CPU_SHARE,
    GB,
    MIB,
    PEAK_RSS,
    RATE,
    RATE_KEPT,
    SERVER_CPU,
    THREADS,
    TOTAL_CPU,
    Figures,
)
from benchmarks.peers import (
    AIOHTTP,
    GRANIAN,
    LINK,
    NGINX,
    NGINX_TUNED,
    NO_DIGEST,
    STARLETTE,
)
from benchmarks.rows.row import Processors, Row, Target
from benchmarks.trials import LARGE, Trial, prepare, touch

_SENDERS = 200
_RATE = 1 * MIB


def _put(trial: Trial) -> Figures:
    prepare(trial.root / LARGE, trial.scale.large_bytes)
    touch(trial.root, trial.scale.large_bytes)
    before = trial.server.cpu_seconds()
    found = trial.sinks.run(
        "put",
        port=trial.server.port,
        target=trial.server.put_target("put.bin"),
        source=trial.root / LARGE,
        length=trial.scale.large_bytes,
    )
    used = trial.server.cpu_seconds() - before
    gigabytes = found["bytes"] / GB
    figures = {
        RATE: gigabytes / found["seconds"],
        SERVER_CPU: used / gigabytes,
        TOTAL_CPU: (used + found.cpu_seconds) / gigabytes,
        PEAK_RSS: trial.server.peak_rss_mib(),
    }
    trial.server.forget_uploads()
    return figures


def _put_slowly(trial: Trial) -> Figures:
    prepare(trial.root / LARGE, trial.scale.large_bytes)
    before = trial.server.cpu_seconds()
    seconds = trial.scale.slow_seconds
    with trial.sinks.started(
        "put",
        port=trial.server.port,
        target=trial.server.put_target("put-%d.bin"),
        source=trial.root / LARGE,
        connections=trial.scale.share_of(_SENDERS),
        length=int(_RATE * seconds),
        rate=_RATE,
    ) as sink:
        sink.line()
        found = sink.finish()
    used = trial.server.cpu_seconds() - before
    figures = {
        CPU_SHARE: used / found["seconds"] * 100,
        RATE_KEPT: seconds / found["seconds"] * 100,
        THREADS: trial.server.threads(),
        PEAK_RSS: trial.server.peak_rss_mib(),
    }
    trial.server.forget_uploads()
    return figures


ROWS = (
    Row(
        name="put",
        title="1 GiB PUT to a new file, 1 connection",
        how="The client sends by sendfile. tailrace serve computes the SHA-256 unless it is"
        " told not to, and lets others follow meanwhile; the rest write only.",
        peers=(NGINX, NGINX_TUNED, NO_DIGEST, LINK, AIOHTTP, GRANIAN, STARLETTE),
        measure=_put,
        targets=(
            Target(RATE, NO_DIGEST, at_least=2.0, times=NGINX),
            Target(RATE, NO_DIGEST, at_least=1.0, times=NGINX_TUNED),
            Target(RATE, LINK, at_least=1.2, times=NGINX),
            Target(RATE, LINK, at_least=0.6, times=NGINX_TUNED),
        ),
        rounds=5,
        baseline=NGINX,
        processors=Processors.SHARED,
    ),
    Row(
        name="slow-uploads",
        title="200 slow uploaders at 1 MiB/s",
        how="Each sends 16 KiB sixty-four times a second.",
        peers=(NGINX, LINK, AIOHTTP, GRANIAN, STARLETTE),
        measure=_put_slowly,
        targets=(
            Target(RATE_KEPT, LINK, at_least=97),
            Target(THREADS, LINK, at_most=20),
            Target(PEAK_RSS, LINK, at_most=60),
        ),
        rounds=1,
        baseline=NGINX,
    ),
)
