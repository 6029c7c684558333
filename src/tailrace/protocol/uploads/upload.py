"""The state of one upload, and the only place that says how it changes.

    EXPECTING ──APPEND_BEGUN──► RECEIVING ──APPEND_COMPLETED──► COMPLETE
        ▲                           │
        └─APPEND_ENDED──────────────┤
        └─CONNECTION_LOST───────────┘

    EXPECTING, RECEIVING ──CANCELLED──► CANCELLED
    EXPECTING, RECEIVING ──EXPIRED────► EXPIRED

An upload begins as EXPECTING. Of two requests that want to write, the later is refused until
the earlier has ended.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from tailrace.errors import UploadEnded


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
    CONNECTION_LOST = "connection lost"
    """Its content broke off; what had come is kept."""
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
            UploadEvent.CONNECTION_LOST: UploadState.EXPECTING,
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
        UploadEnded: the upload is over; nothing can happen to it any more.
        ValueError: the event cannot happen in this state; the caller lost count.
    """
    if state.has_ended:
        raise UploadEnded(f"this upload is {state.value}; it takes no more bytes")
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise ValueError(f"an upload that is {state.value} has no {event.value!r}") from None
