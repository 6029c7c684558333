import time

from tailrace.client.throttle import Throttle


def test_what_is_brought_stays_below_the_rate(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0 + sum(slept))
    throttle = Throttle(1000)
    for _ in range(10):
        throttle.pay(50)
    assert abs(sum(slept) - 0.5) < 1e-9


def test_who_was_slow_does_not_save_up(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    moments = iter([100.0, 200.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    throttle = Throttle(1000)
    throttle.pay(50)
    throttle.pay(50)
    assert [round(seconds, 6) for seconds in slept] == [0.05, 0.05]


def test_no_piece_is_longer_than_a_tenth_of_a_second():
    assert Throttle(1000).piece == 100
    assert Throttle(1).piece == 1
