"""The data types of Structured Fields (RFC 9651 §3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tailrace.protocol.grammar import TCHAR

KEY = re.compile(r"[a-z*][a-z0-9_\-.*]*")
"""What a key of a Dictionary or of Parameters is (§3.1.2)."""
TOKEN = re.compile(rf"[A-Za-z*][{TCHAR}:/]*")
"""What the text of a Token is (§3.3.4)."""


class Malformed(ValueError):
    """Text that is no such structured field, or a value that none can hold."""


@dataclass(frozen=True, slots=True)
class Token:
    """A short word, which is not the String of the same text (§3.3.4)."""

    text: str


@dataclass(frozen=True, slots=True)
class Date:
    """A moment, in seconds since 1970-01-01T00:00:00Z without leap seconds (§3.3.7).

    May lie outside of what `datetime` can hold.
    """

    seconds: int


@dataclass(frozen=True, slots=True)
class DisplayString:
    """Any Unicode text meant for people (§3.3.8)."""

    text: str


BareItem = int | Decimal | str | Token | bytes | bool | Date | DisplayString
Parameters = Mapping[str, BareItem]


@dataclass(frozen=True, slots=True)
class Item:
    value: BareItem
    parameters: Parameters = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class InnerList:
    items: tuple[Item, ...]
    parameters: Parameters = field(default_factory=dict, hash=False)


Member = Item | InnerList
