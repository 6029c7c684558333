"""Everything tailrace raises, under one root, as it is drawn."""

import inspect
import re

import pytest

from tailrace import errors
from tailrace.errors import TailraceError
from tailrace.protocol.problems import problem_for

CLASSES = {
    name: found
    for name, found in vars(errors).items()
    if inspect.isclass(found) and found.__module__ == errors.__name__
}

# How each class is made whose first argument is not its message.
ARGUMENTS = {
    "MalformedField": ("Range", "bytes", "a range"),
    "InvalidArguments": ([{"field": "size", "detail": "too small"}],),
    "UnsupportedContent": ("text/html", ["text/csv", "text/plain"]),
    "OffsetMismatch": (3, 5),
    "LengthMismatch": (3, 5),
    "LengthExceeded": (3, 5),
    "DigestMismatch": ("sha-256", "aa", "bb"),
    "ContentDigestMismatch": ("sha-1", "aa", "bb"),
    "ProducerNotKnown": ("speech", ["report"]),
    "ServiceBusy": ("busy", 5),
    "JobKnown": ("abc",),
    "TimeLimitExceeded": (1.5,),
    "Refused": ("refused", 404, {"title": "x"}),
}
every_class = pytest.mark.parametrize("name", CLASSES)


def made(name):
    return CLASSES[name](*ARGUMENTS.get(name, ("a sentence",)))


def drawn():
    """Return the tree of the module docstring: each class and the one it stands under."""
    tree = {}
    above = []
    for line in errors.__doc__.splitlines():
        names = re.match(r"    ([│├└─ ]*)((?:[A-Z][A-Za-z]+)(?: · [A-Z][A-Za-z]+)*)", line)
        if names:
            depth = len(names[1]) // 4
            del above[depth:]
            for name in names[2].split(" · "):
                assert name not in tree, f"{name} is drawn twice"
                tree[name] = above[-1] if above else None
            above.append(name)
    return tree


def test_the_drawing_is_the_tree_that_is_there():
    there = {
        name: None if found is TailraceError else found.__bases__[0].__name__
        for name, found in CLASSES.items()
    }
    assert drawn() == there


@every_class
def test_every_error_is_a_tailrace_error(name):
    assert issubclass(CLASSES[name], TailraceError)


def test_a_wrong_setting_is_a_value_error_too():
    assert issubclass(errors.ConfigurationError, ValueError)


@every_class
def test_every_class_says_what_it_means(name):
    assert CLASSES[name].__doc__
    assert str(made(name))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_an_error_knows_are_its_attributes(name):
    error = made(name)
    parameters = [*inspect.signature(CLASSES[name]).parameters]
    if parameters[0] == "message":
        assert str(error) == ARGUMENTS[name][0]
    for parameter, value in zip(parameters, ARGUMENTS[name], strict=True):
        assert parameter == "message" or getattr(error, parameter) == value


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("OffsetMismatch", "bytes were sent for offset 5, but the next is 3"),
        ("LengthMismatch", "3 bytes were promised, 5 came"),
        ("LengthExceeded", "at most 3 bytes are taken here"),
        ("DigestMismatch", "the sha-256 digest is bb, but aa was promised"),
        ("InvalidArguments", "size: too small"),
        ("UnsupportedContent", "'text/html' is not taken here; send text/csv or text/plain"),
        ("ProducerNotKnown", "there is no producer 'speech'; there are: report"),
    ],
)
def test_a_message_is_a_sentence_with_the_facts(name, message):
    assert str(made(name)) == message


def test_a_long_field_is_shown_in_part():
    assert len(str(errors.MalformedField("Range", "x" * 10_000, "a range"))) < 300


# What is not raised towards a client of ours, or says nothing that would help one.
TOLD_AS_FAULTS = {
    "TailraceError",
    "StorageError",
    "ConfigurationError",
    "JobKnown",
    "TransferError",
    "RepresentationChanged",
    "Refused",
    "ConnectionLost",
    "UnsafeTarget",
}


def test_every_error_that_a_client_can_cause_or_meet_has_a_problem_of_its_own():
    faults = {
        name
        for name in CLASSES
        if problem_for(made(name)).type == "urn:tailrace:internal-error"
    }
    assert faults == TOLD_AS_FAULTS


@every_class
def test_an_errors_problem_has_a_status_of_an_error(name):
    assert 400 <= problem_for(made(name)).status <= 599
