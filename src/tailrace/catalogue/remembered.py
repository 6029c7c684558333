"""What was read before, and is still true because nobody has changed anything since."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Found = TypeVar("Found")

# Of what is asked for most one server has seldom more; with its file a link takes some 2 KiB.
_LIMIT = 1024


class Remembered(Generic[Key, Found]):
    """Answers again what `read` has found, while `version` stays the same.

    Any change forgets everything: nothing has to know what depends on what. Where the version
    is None nothing is remembered; nor is, ever, that nothing was found, or whoever asks for
    what does not exist could push the rest out.
    """

    def __init__(
        self,
        version: Callable[[], int | None],
        read: Callable[[Key], Awaitable[Found | None]],
    ) -> None:
        self._version = version
        self._read = read
        self._found: dict[Key, Found] = {}
        self._found_at: int | None = None

    def at_hand(self, key: Key) -> Found | None:
        """Return what there is by this key as of now, if that is known without reading."""
        version = self._version()
        if version != self._found_at or version is None:
            self._found.clear()
            self._found_at = version
        return self._found.get(key)

    async def find(self, key: Key) -> Found | None:
        """Return what there is by this key, as of this call or later."""
        found = self.at_hand(key)
        if found is not None:
            return found
        version = self._found_at
        found = await self._read(key)
        # It was read after the version was: if that is no longer the one, then it is the next
        # call that notices. Unless another has noticed already.
        if found is not None and version is not None and version == self._found_at:
            self._keep(key, found)
        return found

    def _keep(self, key: Key, found: Found) -> None:
        if len(self._found) >= _LIMIT:
            del self._found[next(iter(self._found))]
        self._found[key] = found
