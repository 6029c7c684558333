"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header).

    Idempotency-Key = sf-item ; a String of Structured Fields

Many clients send it without the quotes; such a key is taken as it stands.
"""

from __future__ import annotations

import re

from tailrace.errors import MalformedField
from tailrace.protocol.fields import Fields
from tailrace.protocol.structured import Malformed, parse_item

# Precedent: Stripe takes 255; a UUID has 36.
MAX_LENGTH = 255

_BARE = re.compile(r"[!#-~]+")  # visible, and no quotes

_EXPECTED = f'a key in quotes, of 1 to {MAX_LENGTH} characters, such as "8e03978e-40d5"'


def parse_key(fields: Fields) -> str | None:
    """Return the key by which a request may be repeated; None where there is none.

    Raises:
        MalformedField: it is no key.
    """
    value = fields.get("Idempotency-Key")
    if value is None:
        return None
    key = value if _BARE.fullmatch(value) else _quoted(value)
    if key is None or not 0 < len(key) <= MAX_LENGTH:
        raise MalformedField("Idempotency-Key", value, _EXPECTED)
    return key


def _quoted(value: str) -> str | None:
    try:
        item = parse_item(value)
    except Malformed:
        return None
    return item.value if isinstance(item.value, str) else None
