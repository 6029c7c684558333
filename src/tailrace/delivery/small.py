"""Small local files, answered in one step: a look at what is remembered, one open, one read.

Only a file that was left alone for a while, so that what is said of it depends on nothing but
its inode and the response; and only if nothing has to be waited for. For all others `local`
has the general way, with the same result.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tailrace import cached
from tailrace.delivery.replies import Reply

# From then on its date and its tag are strong and stay so: see `local`.
_LEFT_ALONE_NS = 2 * 10**9

# Up to here a read out of the page cache costs less than the way to a thread and back.
_LONGEST = 64 * 1024

_REMEMBERED = 512

Key: TypeAlias = tuple[str, object]
"""A path, and whatever else the reply depends on."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found at a path the last time, and the reply for it."""

    facts: tuple[int, int, int, int]
    reply: Reply


_seen: dict[Key, _Seen] = {}


def find_small_file(
    key: Key, reply_for: Callable[[os.stat_result], Reply]
) -> tuple[Reply, bytes] | None:
    """Return the reply with all of a file, and its bytes; None where this way is not open."""
    path, _ = key
    seen = _seen.get(key)
    # Merely to open a FIFO or a device may do something to it. So what is there is looked at
    # first, unless it was a file before.
    read = None
    if seen is not None or cached.is_regular(path):
        read = cached.read_regular(path, 0, _LONGEST)
    if read is None:
        _seen.pop(key, None)
        return None
    found, content = read
    facts = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    if time.time_ns() - max(facts[2:]) < _LEFT_ALONE_NS:
        return None
    if seen is None or seen.facts != facts:
        seen = _Seen(facts, reply_for(found))
        if len(_seen) >= _REMEMBERED:
            del _seen[next(iter(_seen))]
        _seen[key] = seen
    return seen.reply, content
