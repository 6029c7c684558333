"""A clock that the tests move."""

import asyncio
import heapq


class Clock:
    """As much of an event loop as what waits for a time needs."""

    def __init__(self):
        self.now = 100.0
        self.timers_made = 0
        self._timers = []

    def time(self):
        return self.now

    def call_later(self, delay, callback, *arguments):
        self.timers_made += 1
        timer = asyncio.TimerHandle(self.now + delay, callback, arguments, self)
        heapq.heappush(self._timers, timer)
        return timer

    def _timer_handle_cancelled(self, timer):
        pass

    def get_debug(self):
        return False

    def move(self, seconds):
        until = self.now + seconds
        while self._timers and self._timers[0].when() <= until:
            timer = heapq.heappop(self._timers)
            self.now = timer.when()
            if not timer.cancelled():
                timer._callback(*timer._args)
        self.now = until

    @property
    def is_quiet(self):
        return all(timer.cancelled() for timer in self._timers)
