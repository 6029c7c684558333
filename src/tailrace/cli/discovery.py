"""Finding producers: those that ship, those of installed packages, and those of one's own."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import ModuleType

from tailrace.errors import ConfigurationError
from tailrace.intake.producers import AnyProducer, Producer, producer, speech

ENTRY_POINTS = "tailrace.producers"
"""The group of entry points by which a package offers producers."""

_log = logging.getLogger("tailrace")


def shipped_producers() -> Iterator[AnyProducer]:
    """Yield the producers that ship and whose extra is installed; log what is missing."""
    if any(find_spec(module) is None for module in speech.EXTRA):
        _log.info("speech is not offered; to have it: pip install 'tailrace[speech]'")
        return
    yield producer(media_type=speech.media_type, name=speech.file_name)(speech.speech)


def installed_producers() -> Iterator[AnyProducer]:
    """Yield the producers that installed packages offer by an entry point.

    An entry point of the group `tailrace.producers` names a producer, or a module of some.

    Raises:
        ConfigurationError: one of them cannot be loaded, or is none.
    """
    for entry_point in entry_points(group=ENTRY_POINTS):
        try:
            loaded = entry_point.load()
        except Exception as exc:
            raise ConfigurationError(
                f"the producers of {entry_point.value!r}, an entry point of an installed"
                f" package, cannot be loaded: {type(exc).__name__}: {exc}"
            ) from exc
        is_module = isinstance(loaded, ModuleType)
        found = _producers(vars(loaded).values() if is_module else [loaded])
        if not found:
            raise ConfigurationError(
                f"the entry point {entry_point.value!r} of an installed package is no producer"
            )
        yield from found


def find_producers(places: Sequence[str]) -> Iterator[AnyProducer]:
    """Yield the producers of `MODULE`, all of them, or of `MODULE:NAME`, that one.

    Raises:
        ConfigurationError: there is no such module or producer, or the module fails.
    """
    if places and "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` has it: modules beside the user's feet
    for place in places:
        module_name, _, name = place.partition(":")
        try:
            module = importlib.import_module(module_name)
        except Exception as exc:
            raise ConfigurationError(
                f"the module {module_name!r} of --producers cannot be imported:"
                f" {type(exc).__name__}: {exc}"
            ) from exc
        members = vars(module)
        found = _producers([members.get(name)] if name else members.values())
        if not found:
            raise ConfigurationError(
                f"--producers {place}: there is no producer; mark a function with"
                " @tailrace.producer"
            )
        yield from found


def _producers(values: Iterable[object]) -> list[AnyProducer]:
    return [value for value in values if isinstance(value, Producer)]
