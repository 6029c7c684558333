"""How many may run at once."""

from tailrace.intake.jobs.turns import Turns
from tailrace.intake.producers import producer


@producer(at_once=1)
def scarce():
    yield b""


@producer
def plenty():
    yield b""


def test_of_all_producers_together_so_many_run():
    turns = Turns(2)
    for _ in range(2):
        assert turns.may_take(plenty)
        turns.take(plenty)
    assert not turns.may_take(plenty)
    assert not turns.may_take(scarce)
    turns.give_back(plenty)
    assert turns.free == 1
    assert turns.may_take(scarce)


def test_of_one_producer_so_many_run_as_it_may():
    turns = Turns(3)
    turns.take(scarce)
    assert not turns.may_take(scarce)
    assert turns.may_take(plenty)
    turns.give_back(scarce)
    assert turns.may_take(scarce)
