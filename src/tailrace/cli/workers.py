"""Several processes that serve, and the one that looks after them.

    first worker ──ready──► the others ──all ready──► announced
                             ▲       │
             another instead └─ends──┘
    SIGTERM, SIGINT ──► all are told to stop ──► the last has ended

The first worker starts alone, so that what a service does once is done when the others come.

The parent accepts, and gives each connection to the worker that has the fewest. Were each
worker to accept for itself, whoever wakes first would take a burst whole: of eight downloads
two workers were seen to take eight and none, and a download stays where it is to its end.

Workers are forked, which costs milliseconds and shares what was imported. A fork takes no
threads along and must not share connections of its own, so the parent has neither.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from tailrace.cli.lines import MORE_FILES, Order, ParentsEnd, WorkersEnd
from tailrace.cli.outcomes import DONE, FAILED

_log = logging.getLogger("tailrace.workers")

CANNOT_START = 78
"""What a worker exits with that no other would do better than; EX_CONFIG of sysexits.h."""

# A worker that dies as soon as it has started must not keep a core busy, nor a system that
# has no room for one.
_SECONDS_BETWEEN_STARTS = 1.0

# When nobody can be given the connection that waits. A worker that is only slow takes it soon.
_SECONDS_TO_PLACE_AGAIN = 0.05

# When none can be accepted though one waits. Files come free as downloads end; to ask sooner
# would only fill the log.
_SECONDS_TO_ACCEPT_AGAIN = 1.0

# Some milliseconds' worth, before signals and reports are heard again.
_ACCEPTED_AT_ONCE = 64

_HEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

Work = Callable[[WorkersEnd], int]
"""Serves what comes over a line until ordered to stop, and returns the exit status."""


def supervise(
    count: int, work: Work, listening: socket.socket, announce: Callable[[], None]
) -> int:
    """Keep so many processes at work until told to stop, and return the exit status.

    `work` is called in each of them, `announce` in this one, once all are ready.

    Raises:
        KeyboardInterrupt: it was SIGINT that told; all have ended.
    """
    listening.setblocking(False)
    with _heeded_signals() as heard:
        supervisor = _Supervisor(count, work, listening, announce, heard)
        supervisor.run()
    if supervisor.was_interrupted:
        raise KeyboardInterrupt
    return supervisor.status


@contextlib.contextmanager
def _heeded_signals() -> Iterator[socket.socket]:
    """Have the signals told as octets of a socket, so that nothing else is interrupted."""
    heard, told = socket.socketpair()
    with heard, told:
        heard.setblocking(False)
        told.setblocking(False)
        wakeup_before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, lambda *_: None) for number in _HEEDED}
        try:
            yield heard
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup_before)


@dataclass(frozen=True, slots=True, eq=False)
class _Child:
    pid: int
    line: ParentsEnd
    started_at: float


class _Supervisor:
    def __init__(
        self,
        count: int,
        work: Work,
        listening: socket.socket,
        announce: Callable[[], None],
        heard: socket.socket,
    ) -> None:
        self.status = DONE
        self.was_interrupted = False
        self._count = count
        self._work = work
        self._listening = listening
        self._announce = announce
        self._heard = heard
        self._workers: list[_Child] = []
        self._next_start_at = 0.0
        self._accepts_at = 0.0
        self._unplaced: socket.socket | None = None
        self._was_announced = False
        self._is_stopping = False

    def run(self) -> None:
        while self._workers or not self._is_stopping:
            self._wait()
            self._heed_signals()
            self._hear_workers()
            self._reap()
            if self._accepts():
                self._accept()
            self._start_missing()

    def _wait(self) -> None:
        now = time.monotonic()
        readable: list[socket.socket | ParentsEnd] = [self._heard]
        readable += [worker.line for worker in self._workers]
        due_at = [self._next_start_at] if self._is_one_due() else []
        if self._accepts():
            readable.append(self._listening)
        elif self._was_announced and not self._is_stopping:
            due_at.append(self._accepts_at)
        pause = max(min(due_at) - now, 0) if due_at else None
        select.select(readable, [], [], pause)

    # --- workers ---------------------------------------------------------------------------

    def _start_missing(self) -> None:
        while self._is_one_due() and time.monotonic() >= self._next_start_at:
            try:
                self._workers.append(self._forked())
            except OSError as exc:
                self._do_without(exc.strerror)

    def _do_without(self, reason: str | None) -> None:
        advice = "allow more processes (TasksMax in systemd, `ulimit -u` in a shell) or memory"
        if self._was_announced:
            _log.warning("no worker can be started: %s; %s", reason, advice)
            self._next_start_at = time.monotonic() + _SECONDS_BETWEEN_STARTS
        else:
            _log.error("no worker can be started: %s; %s", reason, advice)
            self.status = FAILED
            self._stop(Order.STOP)

    def _is_one_due(self) -> bool:
        if self._is_stopping or len(self._workers) >= self._count:
            return False
        return self._was_announced or not self._workers or self._workers[0].line.is_ready

    def _hear_workers(self) -> None:
        for worker in self._workers:
            worker.line.hear()
        are_all_ready = sum(worker.line.is_ready for worker in self._workers) == self._count
        if are_all_ready and not self._was_announced and not self._is_stopping:
            self._was_announced = True
            self._announce()

    def _reap(self) -> None:
        for worker in list(self._workers):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._workers.remove(worker)
                worker.line.close()
                if not self._is_stopping:
                    self._replace(worker, os.waitstatus_to_exitcode(status))

    def _replace(self, worker: _Child, exit_code: int) -> None:
        ending = f"signal {-exit_code}" if exit_code < 0 else f"exit status {exit_code}"
        if exit_code == CANNOT_START:  # it has said why
            self.status = FAILED
            self._stop(Order.STOP)
        elif not self._was_announced:
            _log.error("worker %d ended before it was ready: %s", worker.pid, ending)
            self.status = FAILED
            self._stop(Order.STOP)
        else:
            _log.warning("worker %d has ended (%s); another comes", worker.pid, ending)
            earliest = worker.started_at + _SECONDS_BETWEEN_STARTS
            self._next_start_at = max(self._next_start_at, earliest)

    def _forked(self) -> _Child:
        ours, theirs = socket.socketpair()
        # A signal for the child must not be heard by the parent, through what both hold yet.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEEDED)
        try:
            pid = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            for end in (ours, self._heard, self._listening):
                end.close()
            for worker in self._workers:
                worker.line.close()
            if self._unplaced is not None:
                self._unplaced.close()
            _become_worker(self._work, theirs)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return _Child(pid, ParentsEnd(ours), time.monotonic())

    # --- to stop ---------------------------------------------------------------------------

    def _heed_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._heard.recv(1024):
                if number == signal.SIGINT:
                    self.was_interrupted = True
                    self._stop(Order.HURRY if self._is_stopping else Order.STOP)
                elif number == signal.SIGTERM:
                    self._stop(Order.STOP)

    def _stop(self, order: Order) -> None:
        self._is_stopping = True
        self._listening.close()
        if self._unplaced is not None:
            self._unplaced.close()
        for worker in self._workers:
            worker.line.order(order)

    # --- connections -----------------------------------------------------------------------

    def _accepts(self) -> bool:
        is_open = self._was_announced and not self._is_stopping
        return is_open and time.monotonic() >= self._accepts_at

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection = self._unplaced or self._listening.accept()[0]
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as exc:
                advice = f"; {MORE_FILES}" if exc.errno == errno.EMFILE else ""
                _log.warning("connections cannot be accepted: %s%s", exc.strerror, advice)
                self._accepts_at = time.monotonic() + _SECONDS_TO_ACCEPT_AGAIN
                return
            if not self._place(connection):
                self._unplaced = connection
                self._accepts_at = time.monotonic() + _SECONDS_TO_PLACE_AGAIN
                return
            self._unplaced = None
            connection.close()

    def _place(self, connection: socket.socket) -> bool:
        """Give a connection to the worker that has the fewest; tell if anybody has taken it."""
        ready = [worker.line for worker in self._workers if worker.line.takes_more]
        return any(line.give(connection) for line in sorted(ready, key=_load_of))


def _load_of(line: ParentsEnd) -> int:
    return line.load


def _become_worker(work: Work, end: socket.socket) -> NoReturn:
    """Do the work, and leave as any program does.

    On the way out, what the parent has opened is closed in this process only.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A terminal sends it to all of us; the parent says what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEEDED)
    sys.exit(work(WorkersEnd(end)))
