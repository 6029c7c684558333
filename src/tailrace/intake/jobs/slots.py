"""Slots: how many runs go on at once, of all producers and of each."""

from __future__ import annotations

from collections import Counter

from tailrace.intake.producers import AnyProducer


class Slots:
    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._taken: Counter[str] = Counter()

    @property
    def free(self) -> int:
        return self._at_once - self._taken.total()

    def may_take(self, producer: AnyProducer) -> bool:
        most = producer.at_once
        return self.free > 0 and (most is None or self._taken[producer.name] < most)

    def take(self, producer: AnyProducer) -> None:
        self._taken[producer.name] += 1

    def give_back(self, producer: AnyProducer) -> None:
        self._taken[producer.name] -= 1
