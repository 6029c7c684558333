"""Whose bytes a response has: which parts may be put beside what is held, and which not.

Where an answer does not say that it has the bytes that were asked for, of the representation
that they were asked of, it is taken to have others.
"""

from __future__ import annotations

from tailrace.client.moves import Ask, Digests, Head, Representation
from tailrace.errors import ConnectionLost, DigestMismatch, RepresentationChanged, TransferError
from tailrace.protocol.validators import EntityTag

# Who answers with a last position like this means "to the end, wherever that will be": the
# smallest that RFC 8673 §2.2 shows. The orderly end of such content is the end of the file.
VERY_LARGE_STOP = 10**12

# Statuses that may pass by themselves; as curl --retry has them.
PASSING = frozenset({408, 429, 500, 502, 503, 504})


def strong(entity_tag: EntityTag | None) -> EntityTag | None:
    return None if entity_tag is None or entity_tag.weak else entity_tag


def is_asked_for(ask: Ask, head: Head) -> bool:
    """Tell whether a 206 begins with the bytes that were asked for."""
    part = head.content_range
    return (
        part is not None
        and part.span is not None
        and part.span.start == ask.start
        and head.content_length in (None, part.span.length)
    )


def agrees(known: Representation, head: Head, complete_length: int | None) -> bool:
    """Tell whether nothing in a head contradicts what is known."""
    if complete_length != known.complete_length and None not in (
        complete_length,
        known.complete_length,
    ):
        return False
    return mismatch(known.digests, head.digests) is None


def mismatch(expected: Digests, actual: Digests) -> DigestMismatch | None:
    """Return the error of the first digest that is known on both sides and not the same."""
    for algorithm in expected.keys() & actual.keys():
        wanted, found = expected[algorithm], actual[algorithm]
        if wanted != found:
            return DigestMismatch(algorithm, wanted.hex(), found.hex())
    return None


def is_piece(known: Representation, ask: Ask, head: Head) -> bool:
    """Tell whether a helper's answer has what was asked, of what is known, and no more.

    Its length has to be told beforehand, for then nothing in it can turn out malformed.
    """
    part = head.content_range
    return (
        head.status == 206
        and part is not None
        and part.span is not None
        and is_asked_for(ask, head)
        and head.content_length == part.span.length
        and (ask.stop is None or part.span.stop <= ask.stop)
        and head.content_coding is None
        and known.entity_tag is not None
        and known.entity_tag == ask.entity_tag == head.entity_tag
        and known.complete_length == part.complete_length
        and agrees(known, head, part.complete_length)
    )


def too_many_restarts(known: Representation, head: Head, restarts: int) -> TransferError:
    """Return the error of a file that has begun anew again and again, the last time so."""
    if head.entity_tag is not None and head.entity_tag != known.entity_tag:
        return RepresentationChanged(
            f"the file changed at the server {restarts} times while it was fetched;"
            " try again when it has come to rest"
        )
    return ConnectionLost(
        f"the connection was cut {restarts} times, and this server offers no way to"
        " resume (a strong ETag with ranges); give its SHA-256 to resume by proof"
    )


def unproved_end(stop: int, advice: str = "") -> TransferError:
    """Return the error of a content that ended as it would if it had been cut."""
    return TransferError(
        f"the connection was closed after {stop} bytes, and nothing tells whether that was the"
        f" end (no Content-Length, not chunked){advice}"
    )


def coded(head: Head) -> TransferError:
    """Return the error of a content coding, which nobody has asked for."""
    return TransferError(
        f"the server sent the content coded as {head.content_coding!r} though it was asked not"
        " to; it would not be the file"
    )
