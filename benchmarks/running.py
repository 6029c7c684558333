"""Running a row: start its servers, give each its turns, stop them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import disk
from benchmarks.peers import Peer
from benchmarks.rounds import Measured, turns
from benchmarks.rows.row import Place, Processors, Row
from benchmarks.servers import Server, ServerFailed, serving
from benchmarks.sinks import SinkFailed, Sinks
from benchmarks.trials import SMALL, SMALL_BYTES, Scale, Trial, prepare


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how large rows are run."""

    roots: Mapping[Place, Path]
    """A directory in each place."""

    programs: Path
    """Where the clients are built."""

    scale: Scale
    say: Callable[[str], None]

    def run(self, row: Row, peers: Sequence[Peer]) -> Measured:
        """Measure those peers of a row that are among `peers` and installed."""
        measured = Measured(row)
        root = self.roots[row.place]
        measured.reason_against = row.reason_against(root)
        if measured.reason_against is not None:
            return measured
        for name in row.files:
            prepare(root / name, SMALL_BYTES if name == SMALL else self.scale.large_bytes)
        (root / "put").mkdir(exist_ok=True)
        with contextlib.ExitStack() as stack:
            ahead, sinks = self._placed(row, stack)
            servers = self._start(measured, peers, ahead, stack)
            rounds = self.scale.rounds or row.rounds
            for server in turns(servers, rounds):
                if server.peer not in measured.failures:
                    self._take_turn(measured, Trial(server, sinks, self.scale))
        return measured

    def _placed(self, row: Row, stack: contextlib.ExitStack) -> tuple[tuple[str, ...], Sinks]:
        """Return what goes before the command of a server, and the clients of a row."""
        ahead: tuple[str, ...] = ()
        if row.disk_limit is not None:
            ahead = stack.enter_context(disk.limited(self.roots[row.place], row.disk_limit))
        first, *others = sorted(os.sched_getaffinity(0))
        if row.processors is Processors.SHARED or not others:
            return ahead, Sinks(self.programs)
        apart = ("taskset", "-c", ",".join(map(str, others)))
        return (*ahead, "taskset", "-c", str(first)), Sinks(self.programs, apart)

    def _start(
        self,
        measured: Measured,
        peers: Sequence[Peer],
        ahead: tuple[str, ...],
        stack: contextlib.ExitStack,
    ) -> list[Server]:
        servers = []
        row = measured.row
        for peer in row.peers:
            if peer not in peers:
                continue
            if not peer.is_installed():
                measured.failures[peer] = "not installed"
                continue
            try:
                starting = serving(peer, self.roots[row.place], row.files, ahead)
                servers.append(stack.enter_context(starting))
            except (ServerFailed, OSError) as exc:
                self._fail(measured, peer, exc)
        return servers

    def _take_turn(self, measured: Measured, trial: Trial) -> None:
        peer, row = trial.server.peer, measured.row
        try:
            figures = row.measure(trial)
        except (ServerFailed, SinkFailed, OSError) as exc:
            self._fail(measured, peer, exc)
            return
        measured.add(peer, figures)
        shown = ", ".join(
            f"{measure.text(value)} {measure.title}" for measure, value in figures.items()
        )
        self.say(f"{row.name:14} {peer.name:30} {shown}")

    def _fail(self, measured: Measured, peer: Peer, exc: Exception) -> None:
        measured.failures[peer] = " ".join(str(exc).split())
        self.say(f"{measured.row.name:14} {peer.name:30} failed: {exc}")
