"""Connections beside the lead of a download, each in a thread that fetches pieces.

A thread, for a call that moves bytes lets the other threads go on, and all that a connection
may go through before its content comes (names, proxies, TLS, redirects) is done in order.
"""

from __future__ import annotations

import threading
import time

from tailrace.client.cancellation import Cancellation, Cancelled
from tailrace.client.coverage import Piece
from tailrace.client.heads import describe
from tailrace.client.landing import Landing
from tailrace.client.moves import Ask
from tailrace.client.pace import Pace
from tailrace.client.partial import Partial
from tailrace.client.plan import Plan
from tailrace.client.throttle import Throttle
from tailrace.client.transport import Authorization, Transport
from tailrace.client.trust import is_piece
from tailrace.client.urls import Url
from tailrace.errors import ConnectionLost, StorageError, TailraceError

# Who is cut off sooner than after this much is not worth another connection.
_LEAST_GAIN = 64 * 1024


class Helpers:
    """The helpers of one download.

    They work from `adjust` until there is nothing left to fetch, or until `stop`. Each that
    the server refuses lowers the number of those that are tried again.
    """

    def __init__(
        self,
        plan: Plan,
        partial: Partial,
        transport: Transport,
        authorization: Authorization | None,
        connections: int,
        throttle: Throttle | None,
    ) -> None:
        self.lock = threading.RLock()
        """To be held by whoever tells the plan, or asks it, while there are helpers."""
        self._plan = plan
        self._partial = partial
        self._transport = transport
        self._authorization = authorization
        self._pace = Pace(connections)
        self._throttle = throttle
        self._changed = threading.Condition(self.lock)
        self._running: dict[threading.Thread, Cancellation] = {}
        self._failure: StorageError | None = None

    def adjust(self, url: Url, *, leads: int) -> None:
        """Have as many connections as are worth it, `leads` of them not helpers.

        Raises:
            StorageError: what a helper fetched could not be written.
        """
        with self.lock:
            if self._failure is not None:
                raise self._failure
            length = self._plan.representation.complete_length
            if length is None:
                return
            now, landed = time.monotonic(), self._plan.coverage.landed_length
            wanted = self._pace.advise(
                now, landed, length - landed, self._transport.connect_seconds
            )
            while len(self._running) + leads < wanted:
                task = self._plan.hand_out(wanted, now)
                if task is None:
                    return
                self._start(url, task)

    def wait(self, seconds: float) -> bool:
        """Wait for a helper to end, but not longer; tell whether there are any."""
        with self._changed:
            if self._running:
                self._changed.wait(seconds)
            return bool(self._running)

    def stop(self) -> None:
        """Have them stop, and return when they have; nothing more is written then."""
        with self.lock:
            running = dict(self._running)
        for cancellation in running.values():
            cancellation.cancel()
        for thread in running:
            thread.join()

    def _start(self, url: Url, task: tuple[Piece, Ask]) -> None:
        cancellation = Cancellation()
        thread = threading.Thread(
            target=self._help,
            args=(url, task, cancellation),
            name="tailrace-helper",
            daemon=True,
        )
        self._running[thread] = cancellation
        thread.start()

    def _help(
        self, url: Url, task: tuple[Piece, Ask] | None, cancellation: Cancellation
    ) -> None:
        transport = self._transport.sibling(cancellation)
        try:
            with Landing(self._partial, self._throttle) as landing:
                while task is not None:
                    task = self._work(transport, url, landing, *task)
        except Cancelled:
            pass
        except StorageError as exc:
            self._failure = exc
        finally:
            transport.close()
            with self._changed:
                del self._running[threading.current_thread()]
                self._changed.notify_all()

    def _work(
        self, transport: Transport, url: Url, landing: Landing, piece: Piece, ask: Ask
    ) -> tuple[Piece, Ask] | None:
        """Fetch a piece, and return the next one."""
        is_welcome = False
        try:
            is_welcome = self._fetch(transport, url, landing, piece, ask)
        finally:
            with self.lock:
                self._plan.coverage.give_back(piece)
        with self.lock:
            if not is_welcome:
                self._pace.stay(len(self._running))  # one less, but for the lead
                return None
            return self._plan.hand_out(len(self._running) + 1, time.monotonic())

    def _fetch(
        self, transport: Transport, url: Url, landing: Landing, piece: Piece, ask: Ask
    ) -> bool:
        """Fetch what is wanted of a piece; tell whether the server gave of it what it could."""
        try:
            response = transport.fetch(url, ask.fields, self._authorization)
        except (TailraceError, OSError):
            return False
        try:
            if not is_piece(self._plan.representation, ask, describe(response)):
                return False
            while (left := piece.left).length:
                count = landing.land(response.content, left)
                if count == 0:  # 206 may be less than what was asked for (RFC 9110 §15.3.7)
                    break
                with self.lock:
                    self._plan.coverage.reach(piece, count)
        except ConnectionLost:
            return piece.position - piece.start >= _LEAST_GAIN
        finally:
            transport.release(response)
        return piece.position > piece.start
