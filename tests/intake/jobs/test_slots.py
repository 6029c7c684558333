"""How many may run at once."""

from tailrace.intake.jobs.slots import Slots
from tailrace.intake.producers import producer


@producer(at_once=1)
def scarce():
    yield b""


@producer
def plenty():
    yield b""


def test_of_all_producers_together_so_many_run():
    slots = Slots(2)
    for _ in range(2):
        assert slots.may_take(plenty)
        slots.take(plenty)
    assert not slots.may_take(plenty)
    assert not slots.may_take(scarce)
    slots.give_back(plenty)
    assert slots.free == 1
    assert slots.may_take(scarce)


def test_of_one_producer_so_many_run_as_it_may():
    slots = Slots(3)
    slots.take(scarce)
    assert not slots.may_take(scarce)
    assert slots.may_take(plenty)
    slots.give_back(scarce)
    assert slots.may_take(scarce)
