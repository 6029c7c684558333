"""The state of one upload, and the only place that says how it changes.

    EXPECTING ──APPEND_BEGUN──► RECEIVING ──APPEND_COMPLETED──► COMPLETE
        ▲                           │
        ├─APPEND_ENDED──────────────┤
        ├─APPEND_REFUSED────────────┤
        ├─CONNECTION_LOST───────────┤
        └─TAKEN_OVER────────────────┘

    EXPECTING, RECEIVING ──CANCELLED──► CANCELLED
    EXPECTING, RECEIVING ──EXPIRED────► EXPIRED

An upload begins as EXPECTING, in whatever dialect, and each of its requests may be in
another. Of two requests that want to write, one must have ended before the other begins: the
later is refused, or the earlier is ended for it because its client must have given it up.
What completes an upload also goes through RECEIVING, if only for a moment: nothing but the
one that may write can know that nobody else does.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from tailrace.errors import UploadComplete, UploadEnded


class UploadState(enum.Enum):
    EXPECTING = "expecting"
    """Open; no request is writing."""
    RECEIVING = "receiving"
    """Open; one request is writing."""
    COMPLETE = "complete"
    """Whole; takes no more bytes."""
    CANCELLED = "cancelled"
    """Given up, by the client or because it broke a promise; its bytes are gone."""
    EXPIRED = "expired"
    """Given up, because nothing came for too long; its bytes are gone."""

    @property
    def has_ended(self) -> bool:
        return not TRANSITIONS[self]


class UploadEvent(enum.Enum):
    APPEND_BEGUN = "append begun"
    """A request at the right offset may write now."""
    APPEND_ENDED = "append ended"
    """All of its content is kept; more is to come."""
    APPEND_COMPLETED = "append completed"
    """All of its content is kept; it was the rest."""
    APPEND_REFUSED = "append refused"
    """Its content was not what its own digest says; nothing of it is kept."""
    CONNECTION_LOST = "connection lost"
    """Its content broke off; what had come is kept."""
    TAKEN_OVER = "taken over"
    """Another request of the same client ended it; what had come is kept."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"


TRANSITIONS: Mapping[UploadState, Mapping[UploadEvent, UploadState]] = MappingProxyType(
    {
        UploadState.EXPECTING: {
            UploadEvent.APPEND_BEGUN: UploadState.RECEIVING,
            UploadEvent.CANCELLED: UploadState.CANCELLED,
            UploadEvent.EXPIRED: UploadState.EXPIRED,
        },
        UploadState.RECEIVING: {
            UploadEvent.APPEND_ENDED: UploadState.EXPECTING,
            UploadEvent.APPEND_COMPLETED: UploadState.COMPLETE,
            UploadEvent.APPEND_REFUSED: UploadState.EXPECTING,
            UploadEvent.CONNECTION_LOST: UploadState.EXPECTING,
            UploadEvent.TAKEN_OVER: UploadState.EXPECTING,
            UploadEvent.CANCELLED: UploadState.CANCELLED,
            UploadEvent.EXPIRED: UploadState.EXPIRED,
        },
        UploadState.COMPLETE: {},
        UploadState.CANCELLED: {},
        UploadState.EXPIRED: {},
    }
)


def advance(state: UploadState, event: UploadEvent) -> UploadState:
    """Return the state after an event.

    Raises:
        UploadComplete: the upload is whole; nothing can happen to it any more.
        UploadEnded: it was given up; likewise.
        ValueError: the event cannot happen in this state; the caller lost count.
    """
    if state is UploadState.COMPLETE:
        raise UploadComplete("this upload is complete; it takes no more bytes")
    if state.has_ended:
        raise UploadEnded(f"this upload is {state.value}; it takes no more bytes")
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise ValueError(f"an upload that is {state.value} has no {event.value!r}") from None
