import pytest

from tailrace.cli.outcomes import DONE, FAILED, SOME_FAILED, each
from tailrace.errors import ConfigurationError, TransferError


def act_on(item):
    if item.startswith("bad"):
        raise TransferError("no")
    if item == "wrong":
        raise ConfigurationError("never")
    if item == "pipe":
        raise BrokenPipeError


@pytest.mark.parametrize(
    ("items", "status"),
    [
        (["a"], DONE),
        (["a", "b"], DONE),
        (["bad"], FAILED),
        (["bad", "bad"], FAILED),
        (["a", "bad"], SOME_FAILED),
        (["bad", "a"], SOME_FAILED),
    ],
)
def test_several_outcomes_become_one(items, status):
    assert each(items, act_on) == status


def test_each_failure_is_told_with_what_it_is_of(capsys):
    each(["bad 1", "a", "bad 2"], act_on)
    assert capsys.readouterr().err == "tailrace: bad 1: no\ntailrace: bad 2: no\n"


@pytest.mark.parametrize(
    ("item", "error"), [("wrong", ConfigurationError), ("pipe", BrokenPipeError)]
)
def test_what_would_meet_the_next_one_too_ends_it(item, error):
    with pytest.raises(error):
        each([item, "a"], act_on)
