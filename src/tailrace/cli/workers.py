"""Several processes that serve from one listener, and the one that looks after them.

    first worker ──ready──► the others ──all ready──► announced
                             ▲       │
             another instead └─ends──┘
    SIGTERM, SIGINT ──► all are told to stop ──► the last has ended

The first worker starts alone, so that what a service does once is done when the others come.
Each has a socket to its parent, which nobody else holds:

    worker ──► parent   READY
    parent ──► worker   STOP, HURRY, or the end of the stream: the parent is gone

Workers are forked, which costs milliseconds and shares what was imported. A fork takes no
threads along and must not share connections, so the parent has neither: it only waits.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tailrace.cli.outcomes import DONE, FAILED

_log = logging.getLogger("tailrace.workers")

CANNOT_START = 78
"""What a worker exits with that no other would do better than; EX_CONFIG of sysexits.h."""

# A worker that dies as soon as it has started must not keep a core busy.
_SECONDS_BETWEEN_STARTS = 1.0

_HEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

_READY = b"r"


class Order(enum.Enum):
    """What a parent tells its workers."""

    STOP = b"s"
    """Take nobody new, and let what is under way end within its grace."""
    HURRY = b"h"
    """Do not wait for it."""


class Line:
    """A worker's end of the socket to its parent."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._end.setblocking(False)
        self.is_cut = False
        """Whether the parent is gone; there is nothing more to read then."""

    def fileno(self) -> int:
        return self._end.fileno()

    def tell_ready(self) -> None:
        with contextlib.suppress(OSError):  # no parent is left to care
            self._end.send(_READY)

    def orders(self) -> list[Order]:
        """Return what has come since the last time, at once. A lost parent means to stop."""
        try:
            octets = self._end.recv(64)
        except BlockingIOError:
            return []
        except OSError:
            octets = b""
        self.is_cut = not octets
        return [Order.STOP] if self.is_cut else [Order(bytes((octet,))) for octet in octets]


def supervise(count: int, work: Callable[[Line], int], announce: Callable[[], None]) -> int:
    """Keep so many processes at work until told to stop, and return the exit status.

    `work` is called in each of them, and returns its exit status; it is to heed the orders
    that come over the line. `announce` is called in this process, once all are ready.

    Raises:
        KeyboardInterrupt: it was SIGINT that told; all have ended.
    """
    with _heeded_signals() as heard:
        supervisor = _Supervisor(count, work, announce, heard)
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


@dataclass(slots=True, eq=False)
class _Worker:
    pid: int
    line: socket.socket
    started_at: float
    is_ready: bool = False


class _Supervisor:
    def __init__(
        self,
        count: int,
        work: Callable[[Line], int],
        announce: Callable[[], None],
        heard: socket.socket,
    ) -> None:
        self.status = DONE
        self.was_interrupted = False
        self._count = count
        self._work = work
        self._announce = announce
        self._heard = heard
        self._workers: list[_Worker] = []
        self._next_start_at = 0.0
        self._was_announced = False
        self._is_stopping = False

    def run(self) -> None:
        while self._workers or not self._is_stopping:
            self._start_missing()
            self._wait()
            self._heed_signals()
            self._hear_workers()
            self._reap()

    def _start_missing(self) -> None:
        while self._is_one_due() and time.monotonic() >= self._next_start_at:
            self._workers.append(self._forked())

    def _is_one_due(self) -> bool:
        if self._is_stopping or len(self._workers) >= self._count:
            return False
        return self._was_announced or not self._workers or self._workers[0].is_ready

    def _wait(self) -> None:
        pause = self._next_start_at - time.monotonic() if self._is_one_due() else None
        readable = [self._heard, *(worker.line for worker in self._workers)]
        select.select(readable, [], [], pause if pause is None else max(pause, 0))

    def _heed_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._heard.recv(1024):
                if number == signal.SIGINT:
                    self._order(Order.HURRY if self._is_stopping else Order.STOP)
                    self.was_interrupted = True
                elif number == signal.SIGTERM:
                    self._order(Order.STOP)

    def _order(self, order: Order) -> None:
        self._is_stopping = True
        for worker in self._workers:
            with contextlib.suppress(OSError):  # it has just ended
                worker.line.send(order.value)

    def _hear_workers(self) -> None:
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.is_ready = worker.is_ready or worker.line.recv(64) == _READY
        are_all_ready = sum(worker.is_ready for worker in self._workers) == self._count
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

    def _replace(self, worker: _Worker, exit_code: int) -> None:
        if exit_code == CANNOT_START:  # it has said why
            self.status = FAILED
            self._order(Order.STOP)
            return
        ending = f"signal {-exit_code}" if exit_code < 0 else f"exit status {exit_code}"
        if not self._was_announced:
            _log.error("worker %d ended before it was ready: %s", worker.pid, ending)
            self.status = FAILED
            self._order(Order.STOP)
            return
        _log.warning("worker %d has ended (%s); another takes its place", worker.pid, ending)
        self._next_start_at = max(
            self._next_start_at, worker.started_at + _SECONDS_BETWEEN_STARTS
        )

    def _forked(self) -> _Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        # A signal for the child must not be heard by the parent, through what both hold yet.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEEDED)
        pid = os.fork()
        if pid == 0:
            for end in (ours, self._heard, *(worker.line for worker in self._workers)):
                end.close()
            _become_worker(self._work, Line(theirs))
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return _Worker(pid, ours, time.monotonic())


def _become_worker(work: Callable[[Line], int], line: Line) -> None:
    """Do the work, and end this process with its status. Never returns."""
    status = FAILED
    try:
        os.close(signal.set_wakeup_fd(-1))
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # A terminal sends it to all of us; the parent says what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEEDED)
        status = work(line)
    except BaseException:
        traceback.print_exc()
    finally:
        # What stands further up the stack is the parent's to end.
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(status)
