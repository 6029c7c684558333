"""Many readers of one file that is still being written."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measures import (
    CPU_SHARE,
    GB,
    P50,
    P99,
    PEAK_RSS,
    RATE,
    Figures,
    Measure,
)
from benchmarks.peers import LINK
from benchmarks.rows.row import Processors, Row, Target
from benchmarks.trials import LARGE, Trial, prepare

_READERS = 200
_REJOINING_READERS = 1000
_DROPS = 3
_GRACE_SECONDS = 5

_BEHIND = Measure("last reader done after the writer, s", 2)
_RECEIVED = Measure("received by the slowest reader, %", 1)
_WHOLE = Measure("readers with every byte right", 0)
_RESUMED = Measure("times resumed", 0)


def _follow(fed: int, seconds: float) -> Callable[[Trial], Figures]:
    def measure(trial: Trial) -> Figures:
        server = trial.server
        prepare(trial.root / LARGE, trial.scale.large_bytes)
        lasting = min(seconds, trial.scale.slow_seconds)
        length = int(fed * lasting)
        before = server.cpu_seconds()
        with trial.sinks.started(
            "put",
            port=server.port,
            target=server.put_target("followed.bin"),
            source=trial.root / LARGE,
            length=length,
            rate=fed,
        ) as writer:
            since = writer.line()["begun_at"]
            found = trial.sinks.run(
                "get",
                port=server.port,
                target=server.link_of_upload(),
                connections=trial.scale.share_of(_READERS),
                length=length,
                since=f"{since:.6f}",
                fed=fed,
                until=f"{since + lasting + _GRACE_SECONDS:.6f}",
            )
            writer.finish()
        used = server.cpu_seconds() - before
        figures = {
            P50: found["p50_ms"],
            P99: found["p99_ms"],
            _RECEIVED: found["least_bytes"] / length * 100,
            _BEHIND: found["ended_at"] - (since + lasting),
            RATE: found["bytes"] / GB / found["seconds"],
            CPU_SHARE: used / found["seconds"] * 100,
            PEAK_RSS: server.peak_rss_mib(),
        }
        server.forget_uploads()
        return figures

    return measure


def _rejoin(trial: Trial) -> Figures:
    server = trial.server
    source = trial.root / "rejoined.bin"
    length = min(trial.scale.large_bytes, 8_000_000)
    prepare(source, length)
    seconds = trial.scale.slow_seconds
    with trial.sinks.started(
        "put",
        port=server.port,
        target=server.put_target("rejoined.bin"),
        source=source,
        length=length,
        rate=length / seconds,
    ) as writer:
        writer.line()
        found = trial.sinks.run(
            "rejoin",
            port=server.port,
            target=server.link_of_upload(),
            source=source,
            connections=trial.scale.share_of(_REJOINING_READERS),
            seconds=seconds,
            drops=_DROPS,
        )
        writer.finish()
    figures = {
        _WHOLE: found["readers"],
        _RESUMED: found["resumed"],
        PEAK_RSS: server.peak_rss_mib(),
    }
    server.forget_uploads()
    return figures


_DELAY = (
    "Delay: from the moment when a byte was due to be written until it was received, by what"
    " was received together the oldest. Part of it, up to 2 ms, is the writer's. Readers leave"
    f" {_GRACE_SECONDS} s after the writer has ended, whatever they have."
)

ROWS = (
    Row(
        name="follow-100",
        title="200 readers of one file written at 100 MB/s",
        how=f"In sum 20 GB/s: what get-8 gives is how much this machine can move. {_DELAY}",
        peers=(LINK,),
        measure=_follow(100_000_000, seconds=2),
        targets=(
            Target(_RECEIVED, LINK, at_least=100),
            Target(_BEHIND, LINK, at_most=0.05),
            Target(P99, LINK, at_most=50),
            Target(PEAK_RSS, LINK, at_most=80),
        ),
        rounds=1,
        processors=Processors.SHARED,
    ),
    Row(
        name="follow-10",
        title="200 readers of one file written at 10 MB/s",
        how=f"In sum 2 GB/s. {_DELAY}",
        peers=(LINK,),
        measure=_follow(10_000_000, seconds=5),
        targets=(
            Target(_RECEIVED, LINK, at_least=100),
            Target(_BEHIND, LINK, at_most=0.05),
            Target(P99, LINK, at_most=50),
            Target(PEAK_RSS, LINK, at_most=80),
        ),
        rounds=1,
        processors=Processors.SHARED,
    ),
    Row(
        name="rejoin",
        title="1,000 readers joining and dropping at random offsets",
        how=f"A file of 8 MB is written meanwhile. Each reader drops {_DROPS} times and resumes"
        " by Range; every byte is compared with the source.",
        peers=(LINK,),
        measure=_rejoin,
        targets=(Target(_WHOLE, LINK, at_least=_REJOINING_READERS),),
        rounds=1,
        processors=Processors.SHARED,
    ),
)
