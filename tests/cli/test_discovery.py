import sys
from importlib.metadata import EntryPoint

import pytest

from tailrace.cli import discovery
from tailrace.cli.discovery import find_producers, installed_producers
from tailrace.errors import ConfigurationError

MILL = """
from tailrace import producer

@producer
def flour():
    yield b"flour"

@producer
def bran() -> bytes:
    return b"bran"

number = 7
"""


@pytest.fixture
def module(in_directory, monkeypatch):
    """The name of a module with two producers, beside the user's feet."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (in_directory / "a_mill.py").write_text(MILL)
    yield "a_mill"
    sys.modules.pop("a_mill", None)


@pytest.fixture
def installed(monkeypatch):
    """Act as if a package were installed that names something as its producers."""

    def installed(value):
        entry_point = EntryPoint("any", value, discovery.ENTRY_POINTS)
        monkeypatch.setattr(
            discovery,
            "entry_points",
            lambda group: [entry_point] if group == "tailrace.producers" else [],
        )

    return installed


def names(producers):
    return sorted(producer.name for producer in producers)


@pytest.mark.parametrize(
    ("place", "found"), [("a_mill", ["bran", "flour"]), ("a_mill:flour", ["flour"])]
)
def test_producers_are_found_in_a_module_all_or_one(module, place, found):
    assert names(find_producers([place])) == found


@pytest.mark.parametrize("place", ["a_mill:number", "a_mill:other"])
def test_what_is_no_producer_is_refused(module, place):
    with pytest.raises(ConfigurationError, match="there is no producer"):
        list(find_producers([place]))


def test_a_module_that_cannot_be_imported_is_refused(module, in_directory):
    (in_directory / "a_mill.py").write_text("1 / 0")
    with pytest.raises(ConfigurationError, match="ZeroDivisionError"):
        list(find_producers(["a_mill"]))


@pytest.mark.parametrize(
    ("value", "found"), [("a_mill", ["bran", "flour"]), ("a_mill:bran", ["bran"])]
)
def test_an_installed_package_offers_producers_by_an_entry_point(
    module, installed, monkeypatch, in_directory, value, found
):
    monkeypatch.syspath_prepend(in_directory)
    installed(value)
    assert names(installed_producers()) == found


@pytest.mark.parametrize("value", ["a_mill:number", "a_mill:other", "not_there"])
def test_an_entry_point_that_is_no_producer_is_refused(
    module, installed, monkeypatch, in_directory, value
):
    monkeypatch.syspath_prepend(in_directory)
    installed(value)
    with pytest.raises(ConfigurationError, match="entry point"):
        list(installed_producers())


def test_where_nothing_is_installed_nothing_is_found():
    assert names(installed_producers()) == []
