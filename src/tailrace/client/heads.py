"""What the head of a response says, as the plan wants it told."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from tailrace.client.connections import Response
from tailrace.client.moves import Digests, Head
from tailrace.errors import MalformedField, TailraceError
from tailrace.protocol.fields import Fields
from tailrace.protocol.ranges import ContentRange
from tailrace.protocol.validators import EntityTag

# The content of an error is for people; one of a megabyte is not.
_MAX_PROBLEM = 64 * 1024


def describe(response: Response) -> Head:
    """Return what the plan needs to know of a response, reading the content of an error."""
    head, fields = response.head, response.head.fields
    content_range = fields.get("Content-Range")
    entity_tag = fields.get("ETag")
    coding = (fields.get("Content-Encoding") or "identity").lower()
    return Head(
        status=head.status,
        reason=head.reason,
        framing=response.framing,
        content_length=response.content_length,
        content_range=None if content_range is None else ContentRange.from_field(content_range),
        entity_tag=None if entity_tag is None else EntityTag.from_field(entity_tag),
        digests=_digests(fields),
        content_coding=None if coding == "identity" else coding,
        retry_after_seconds=_retry_after(fields),
        problem=_problem(response) if head.status >= 400 else None,
    )


def _problem(response: Response) -> Mapping[str, object] | None:
    """Return the problem details (RFC 9457) of an error, where there are any."""
    media_type = response.head.fields.get("Content-Type") or ""
    if media_type.partition(";")[0].strip().lower() != "application/problem+json":
        return None
    import json  # a download that goes well needs none

    try:
        problem = json.loads(response.read(_MAX_PROBLEM))
    except (ValueError, RecursionError, TailraceError):  # told badly, or cut: the status stays
        return None
    return problem if isinstance(problem, dict) else None


def _digests(fields: Fields) -> Digests:
    value = fields.get("Repr-Digest")
    if value is None:
        return {}
    from tailrace.protocol import digests  # half of its import time is saved where none is

    try:
        return {
            str(name): digest for name, digest in digests.parse(value, "Repr-Digest").items()
        }
    except MalformedField:  # an offer that cannot be read is none
        return {}


def _retry_after(fields: Fields) -> float | None:
    """Return how long the server wants to be left alone (RFC 9110 §10.2.3)."""
    value = fields.get("Retry-After")
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    from tailrace.protocol.dates import parse_date  # seldom used

    moment = parse_date(value)
    return None if moment is None else max(moment.timestamp() - time.time(), 0.0)
