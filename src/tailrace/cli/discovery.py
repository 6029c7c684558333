"""Finding producers: those that ship, and those of the user's own modules."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec

from tailrace.errors import ConfigurationError
from tailrace.intake.producers import AnyProducer, Producer, producer, speech

_log = logging.getLogger("tailrace")


def shipped_producers() -> Iterator[AnyProducer]:
    """Yield the producers that ship and whose extra is installed; log what is missing."""
    if any(find_spec(module) is None for module in speech.EXTRA):
        _log.info("speech is not offered; to have it: pip install 'tailrace[speech]'")
        return
    yield producer(media_type=speech.media_type, name=speech.file_name)(speech.speech)


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
                f"--producers {place}: there is no producer; mark a generator function with"
                " @tailrace.producer"
            )
        yield from found


def _producers(values: Iterable[object]) -> list[AnyProducer]:
    return [value for value in values if isinstance(value, Producer)]
