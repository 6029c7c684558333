"""The wall of the room: errors of the system become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tailrace.errors import StorageFull, StorageUnavailable
from tailrace.no_room import NO_ROOM


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn an OSError into our error. It names no path, because it may reach strangers."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFull(
                f"the directory store has no room at {place}: {error.strerror}"
            ) from error
        raise StorageUnavailable(
            f"the directory store failed at {place}: {error.strerror}"
        ) from error
