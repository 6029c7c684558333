"""How many connections a download is worth: one, until more would gain."""

from __future__ import annotations

# A server whose connections take as long as this to make is far: what a connection brings
# is bound by the round trip, so several bring several times as much.
_FAR_SECONDS = 0.005

# As long as one measures, for a rate that says something.
_WINDOW_SECONDS = 0.1
_LONGEST_WINDOW_SECONDS = 8.0

# At such a rate the limit is this machine, and more connections only cost.
_ENOUGH_PER_SECOND = 200e6

_GAIN = 1.2


class Pace:
    """Tells how many connections are wanted; `most` is the limit.

    On a near server the number grows while the rate does. A server may give each new
    connection a burst, so what gained nothing is tried again later, at longer intervals.
    """

    def __init__(self, most: int) -> None:
        self.wanted = 1
        self._most = most
        self._since = 0.0
        self._landed = 0
        self._window_seconds = _WINDOW_SECONDS
        self._best_rate = 0.0
        self._is_begun = False

    def stay(self, connections: int) -> None:
        """Never want more than these: the server does not."""
        self._most = max(1, min(self._most, connections))
        self.wanted = min(self.wanted, self._most)

    def advise(self, now: float, landed: int, left: int, connect_seconds: float) -> int:
        """Return how many connections are wanted, having landed so much, `left` to come."""
        if not self._is_begun:
            self._is_begun = True
            self._since, self._landed = now, landed
            if connect_seconds >= _FAR_SECONDS:
                self.wanted = self._most
            return self.wanted
        elapsed = now - self._since
        if elapsed < self._window_seconds or self.wanted == self._most:
            return self.wanted
        rate = (landed - self._landed) / elapsed
        self._since, self._landed = now, landed
        if rate >= _ENOUGH_PER_SECOND or left < rate * _WINDOW_SECONDS:
            return self.wanted
        if rate > self._best_rate * _GAIN:
            self._window_seconds = _WINDOW_SECONDS
            self.wanted = min(self.wanted * 4, self._most)
        else:
            self._window_seconds = min(self._window_seconds * 4, _LONGEST_WINDOW_SECONDS)
            self.wanted = min(self.wanted + 1, self._most)
        self._best_rate = max(self._best_rate, rate)
        return self.wanted
