"""Several downloads at once, each of some threads with a session of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from tailrace.cli.outcomes import complain_of, status_of
from tailrace.client.cancellation import Cancellation, Cancelled
from tailrace.client.downloads import Session
from tailrace.errors import ConfigurationError, TailraceError

# Waiting in slices, for a signal that comes just before a wait does not end it.
_SLICE_SECONDS = 0.5


class _Crew:
    def __init__(self, items: Sequence[str], act: Callable[[Session, str], None]) -> None:
        self._act = act
        self._items: SimpleQueue[str] = SimpleQueue()
        for item in items:
            self._items.put(item)
        self.failures: list[str] = []
        self.ended_by: BaseException | None = None

    def work(self, session: Session) -> None:
        with session:
            while self.ended_by is None:
                try:
                    self._do(session, self._items.get_nowait())
                except (Empty, Cancelled):
                    return
                except BaseException as exc:  # for the main thread to raise
                    self.ended_by = exc

    def _do(self, session: Session, item: str) -> None:
        try:
            self._act(session, item)
        except (ConfigurationError, BrokenPipeError):  # no better for the next one
            raise
        except (TailraceError, OSError) as exc:
            self.failures.append(item)
            complain_of(item, exc)


def each_at_once(
    items: Sequence[str],
    act: Callable[[Session, str], None],
    open_session: Callable[[Cancellation], Session],
    jobs: int,
) -> int:
    """Act on the items, so many at once, and return the exit status.

    Whatever ends this early cancels what is going on, which can then be resumed.
    """
    crew = _Crew(items, act)
    cancellations = [Cancellation() for _ in range(jobs)]
    threads = [
        threading.Thread(target=crew.work, args=(open_session(cancellation),))
        for cancellation in cancellations
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(_SLICE_SECONDS)
                if crew.ended_by is not None:
                    raise crew.ended_by
    finally:
        for cancellation in cancellations:
            cancellation.cancel()
        for thread in threads:
            thread.join()
    if crew.ended_by is not None:
        raise crew.ended_by
    return status_of(len(crew.failures), len(items))
