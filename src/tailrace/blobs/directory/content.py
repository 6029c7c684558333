"""The bytes of an open file, read and written at offsets. Each function blocks.

A file that is read may be growing: what is asked for must lie below a length known before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from tailrace.spans import Span

# How many chunks one pwritev takes on Linux, macOS and the BSDs (IOV_MAX).
_MAX_CHUNKS = 1024


def read(descriptor: int, span: Span) -> bytes:
    """Return the bytes of a span, fewer if the file ends before."""
    parts = []
    offset = span.start
    while offset < span.stop and (part := os.pread(descriptor, span.stop - offset, offset)):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)  # of one part, without a copy


def write(descriptor: int, offset: int, chunks: Sequence[bytes]) -> Iterator[int]:
    """Write all chunks at offset; yield the length reached after each call to the system."""
    views = [memoryview(chunk) for chunk in chunks if chunk]
    while views:
        written = os.pwritev(descriptor, views[:_MAX_CHUNKS], offset)
        offset += written
        yield offset
        views = _without(views, written)


def _without(views: list[memoryview], written: int) -> list[memoryview]:
    for index, view in enumerate(views):
        if written < len(view):
            return [view[written:], *views[index + 1 :]]
        written -= len(view)
    return []
