"""The arguments of a job as they are kept: JSON, the same for the same arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic_core import to_json

from tailrace.errors import InvalidArguments


def to_text(given: Mapping[str, object]) -> str:
    """Return arguments as they are kept, the same for the same arguments.

    Raises:
        InvalidArguments: one of them has no JSON.
    """
    members = {}
    for name in sorted(given):
        try:
            members[name] = json.loads(to_json(given[name]))
        except ValueError as exc:
            detail = f"a {type(given[name]).__name__} cannot be kept"
            raise InvalidArguments([{"field": name, "detail": detail}]) from exc
    return json.dumps(members, ensure_ascii=False)


def from_text(text: str) -> Mapping[str, object]:
    """Return arguments that were kept, as they were given."""
    members: dict[str, object] = json.loads(text)
    return members
