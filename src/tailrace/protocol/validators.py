"""Validators: the entity tag and the date that tell states of a representation apart.

Grammar (RFC 9110 §8.8.3, §13.1.1, §13.1.2):

    entity-tag    = [ weak ] opaque-tag
    weak          = %s"W/"
    opaque-tag    = DQUOTE *etagc DQUOTE
    etagc         = %x21 / %x23-7E / obs-text        ; obs-text = %x80-FF

    If-Match      = "*" / #entity-tag
    If-None-Match = "*" / #entity-tag

An opaque tag may hold commas and backslashes; neither separates or escapes anything.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import datetime

from tailrace.protocol.grammar import OWS

_ETAGC = r"[\x21\x23-\x7e\x80-\xff]"
_OPAQUE = re.compile(rf"{_ETAGC}*")
_ENTITY_TAG = re.compile(rf'(?P<weak>W/)?"(?P<opaque>{_ETAGC}*)"')
# One element, which may be empty, and what ends it. Not `grammar.split_list`, to which a
# backslash before a quote would be an escape.
_LIST_ELEMENT = re.compile(rf'[ \t]*(?:(?P<weak>W/)?"(?P<opaque>{_ETAGC}*)"[ \t]*)?(?:,|\Z)')


@dataclass(frozen=True, slots=True)
class EntityTag:
    """An entity tag; strong unless it is said to be weak.

    Raises:
        ValueError: `opaque` has a character that no opaque tag may have.
    """

    opaque: str
    weak: bool = False

    def __post_init__(self) -> None:
        if _OPAQUE.fullmatch(self.opaque) is None:
            raise ValueError(f"no entity tag can be made of {self.opaque!r}")

    @classmethod
    def from_field(cls, field_value: str) -> EntityTag | None:
        """Read an ETag field value; None where it is malformed."""
        match = _ENTITY_TAG.fullmatch(field_value)
        if match is None:
            return None
        return cls(match["opaque"], weak=match["weak"] is not None)

    def to_field(self) -> str:
        return f'{"W/" if self.weak else ""}"{self.opaque}"'

    def matches_strongly(self, other: EntityTag) -> bool:
        """Tell whether both stand for the same bytes (RFC 9110 §8.8.3.2)."""
        return self == other and not self.weak

    def matches_weakly(self, other: EntityTag) -> bool:
        """Tell whether one may stand in for the other (RFC 9110 §8.8.3.2)."""
        return self.opaque == other.opaque


class AnyTag(enum.Enum):
    """The `*` of If-Match and If-None-Match: whatever representation there is."""

    ANY = "*"


def parse_entity_tags(field_value: str) -> tuple[EntityTag, ...] | AnyTag:
    """Read the value of an If-Match or If-None-Match field.

    A value that is neither `*` nor a list of entity tags reads as the empty list, which
    matches nothing: If-Match then refuses the request, and If-None-Match confirms no stored
    copy. One member that is malformed spoils the list.
    """
    if field_value.strip(OWS) == "*":
        return AnyTag.ANY
    tags = []
    position = 0
    while position < len(field_value):
        element = _LIST_ELEMENT.match(field_value, position)
        if element is None:
            return ()
        if element["opaque"] is not None:  # empty elements do not count (§5.6.1.2)
            tags.append(EntityTag(element["opaque"], weak=element["weak"] is not None))
        position = element.end()
    return tuple(tags)


@dataclass(frozen=True, slots=True)
class Validators:
    """What the selected representation has to be recognised by.

    `last_modified` is an aware datetime; it counts in whole seconds, as HTTP-date does. It
    is taken for a strong validator, so give it only where the representation is known not
    to have changed twice within that second (RFC 9110 §8.8.2.2): sealed bytes never
    change; a file found on disk qualifies once that second is past.
    """

    entity_tag: EntityTag | None
    last_modified: datetime | None
