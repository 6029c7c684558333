import threading

import pytest

from tailrace.cli.outcomes import DONE, FAILED, SOME_FAILED
from tailrace.cli.several import each_at_once
from tailrace.client.cancellation import Cancellation
from tailrace.client.downloads import Session
from tailrace.errors import ConfigurationError, TransferError


def open_session(cancellation: Cancellation) -> Session:
    return Session(cancellation=cancellation)


def act_on(session, item):
    if item.startswith("bad"):
        raise TransferError("no")


@pytest.mark.parametrize(
    ("items", "status"),
    [(["a", "b", "c"], DONE), (["bad", "bad"], FAILED), (["a", "bad", "b"], SOME_FAILED)],
)
def test_several_outcomes_become_one(items, status):
    assert each_at_once(items, act_on, open_session, 2) == status


def test_so_many_act_at_once():
    together = threading.Barrier(3)
    each_at_once(["a", "b", "c"], lambda session, item: together.wait(10), open_session, 3)


def test_each_thread_keeps_its_session():
    seen = []
    each_at_once(list("abcd"), lambda session, item: seen.append(session), open_session, 1)
    assert len(seen) == 4
    assert len(set(seen)) == 1


def test_what_makes_all_others_useless_ends_all():
    cancelled = []

    def act(session, item):
        if item == "wrong":
            raise ConfigurationError("never")
        session._cancellation.sleep(10)
        cancelled.append(item)

    with pytest.raises(ConfigurationError):
        each_at_once(["slow", "wrong", "later"], act, open_session, 2)
    assert cancelled == []
