"""The state of one upload.

    EXPECTING ──all of it is kept──────────────────────────────► COMPLETE
        ├─────its client gave it up, or broke a promise──► CANCELLED
        └─────nothing came for too long──────────────────► EXPIRED

An upload begins as EXPECTING, in whatever dialect, and each of its requests may be in
another. Of two requests that want to write, one must have ended before the other begins: the
later is refused, or the earlier is ended for it because its client must have given it up.
"""

from __future__ import annotations

import enum

from tailrace.errors import UploadComplete, UploadEnded


class UploadState(enum.Enum):
    EXPECTING = "expecting"
    """Open."""
    COMPLETE = "complete"
    """Whole; takes no more bytes."""
    CANCELLED = "cancelled"
    """Given up, by the client or because it broke a promise; its bytes are gone."""
    EXPIRED = "expired"
    """Given up, because nothing came for too long; its bytes are gone."""


def require_expecting(state: UploadState) -> None:
    """Let pass what may still happen to an upload.

    Raises:
        UploadComplete: the upload is whole; nothing can happen to it any more.
        UploadEnded: it was given up; likewise.
    """
    if state is UploadState.COMPLETE:
        raise UploadComplete("this upload is complete; it takes no more bytes")
    if state is not UploadState.EXPECTING:
        raise UploadEnded(f"this upload is {state.value}; it takes no more bytes")
