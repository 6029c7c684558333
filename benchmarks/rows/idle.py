"""Connections that say nothing."""

from __future__ import annotations

from benchmarks.measures import P50, P99, PEAK_RSS, Figures, Measure
from benchmarks.peers import LINK, NGINX, RESPONSE, STARLETTE
from benchmarks.rows.row import Row, Target
from benchmarks.trials import SMALL, Trial

_CONNECTIONS = 10_000
_OPEN = Measure("still open at the end", 0)


def _hold(trial: Trial) -> Figures:
    server = trial.server
    target = server.target(SMALL)
    connections = trial.scale.share_of(_CONNECTIONS)
    with trial.sinks.started("idle", port=server.port, connections=connections) as idle:
        idle.line()
        # All are accepted before the first of these is answered.
        found = trial.sinks.run(
            "repeat", port=server.port, target=target, seconds=trial.scale.seconds / 2
        )
        held = idle.finish()
    return {
        P50: found["p50_ms"],
        P99: found["p99_ms"],
        PEAK_RSS: server.peak_rss_mib(),
        _OPEN: held["open"],
    }


ROWS = (
    Row(
        name="idle",
        title="10,000 idle connections",
        how="They are connected and say nothing, while one client asks for 4 KiB again and"
        " again, on a connection of its own.",
        peers=(NGINX, RESPONSE, LINK, STARLETTE),
        measure=_hold,
        targets=(
            Target(PEAK_RSS, RESPONSE, at_most=120),
            Target(P50, RESPONSE, at_most=5),
        ),
        rounds=1,
        files=(SMALL,),
        baseline=NGINX,
    ),
)
