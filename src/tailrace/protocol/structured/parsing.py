"""Structured Fields, read (RFC 9651 §4.2).

Reading is strict, as §1.1 wants it: a fault spoils the whole field. Of a key given twice
the last stands.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from tailrace.protocol.structured.values import (
    KEY,
    TOKEN,
    BareItem,
    Date,
    DisplayString,
    InnerList,
    Item,
    Malformed,
    Member,
    Token,
)

_T = TypeVar("_T")

_SPACES = re.compile(" *")
_OWS = re.compile(r"[ \t]*")
_COMMA = re.compile(",")
_SEMICOLON = re.compile("; *")
_EQUALS = re.compile("=")
_OPEN = re.compile(r"\(")
_CLOSE = re.compile(r"\)")
_ITEM_ENDS = re.compile(r"(?=[ )])")

_NUMBER = re.compile(r"(-?)([0-9]+)(?:(\.)([0-9]*))?")
_STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*+)"')
# Padding may be missing or too much: §4.2.7 wants the first to be taken, and examples of
# RFC 9530 (B.5, B.6, B.11) have the second.
_BYTE_SEQUENCE = re.compile(r":([A-Za-z0-9+/]*)((?<!:)={1,2})?:")
_BOOLEAN = re.compile(r"\?([01])")
_DATE = re.compile("@")
_DISPLAY_STRING = re.compile(r'%"((?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*+)"')
_ESCAPE = re.compile(r'\\(["\\])')


def parse_item(text: str) -> Item:
    """Read a field that is an Item.

    Raises:
        Malformed: text is none.
    """
    return _parse(text, _read_item)


def parse_list(text: str) -> tuple[Member, ...]:
    """Read a field that is a List; that of an empty or absent field has no members.

    Raises:
        Malformed: text is none.
    """
    return _parse(text, _read_list)


def parse_dictionary(text: str) -> dict[str, Member]:
    """Read a field that is a Dictionary; that of an empty or absent field has no members.

    Raises:
        Malformed: text is none.
    """
    return _parse(text, _read_dictionary)


class _Reader:
    """A text, and how far it has been read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    @property
    def is_at_end(self) -> bool:
        return self._position == len(self._text)

    @property
    def next_character(self) -> str:
        """The first character not yet read; empty at the end."""
        return self._text[self._position : self._position + 1]

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self._position)
        if match is not None:
            self._position = match.end()
        return match

    def expect(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        match = self.take(pattern)
        if match is None:
            raise self.malformed(what)
        return match

    def malformed(self, expected: str) -> Malformed:
        found = self.next_character
        return Malformed(
            f"expected {expected} at character {self._position}, "
            + (f"found {found!r}" if found else "found the end")
        )


def _parse(text: str, read: Callable[[_Reader], _T]) -> _T:
    reader = _Reader(text)
    reader.take(_SPACES)
    value = read(reader)
    reader.take(_SPACES)
    if not reader.is_at_end:
        raise reader.malformed("the end")
    return value


def _read_list(reader: _Reader) -> tuple[Member, ...]:  # §4.2.1
    members = []
    while not reader.is_at_end:
        members.append(_read_member(reader))
        _read_comma(reader)
    return tuple(members)


def _read_dictionary(reader: _Reader) -> dict[str, Member]:  # §4.2.2
    members: dict[str, Member] = {}
    while not reader.is_at_end:
        key = _read_key(reader)
        if reader.take(_EQUALS):
            members[key] = _read_member(reader)
        else:
            members[key] = Item(True, _read_parameters(reader))
        _read_comma(reader)
    return members


def _read_comma(reader: _Reader) -> None:
    reader.take(_OWS)
    if reader.is_at_end:
        return
    reader.expect(_COMMA, "a comma")
    reader.take(_OWS)
    if reader.is_at_end:
        raise reader.malformed("a member after the comma")


def _read_member(reader: _Reader) -> Member:  # §4.2.1.1
    return _read_inner_list(reader) if reader.take(_OPEN) else _read_item(reader)


def _read_inner_list(reader: _Reader) -> InnerList:  # §4.2.1.2
    items: list[Item] = []
    while True:
        reader.take(_SPACES)
        if reader.take(_CLOSE):
            return InnerList(tuple(items), _read_parameters(reader))
        items.append(_read_item(reader))
        reader.expect(_ITEM_ENDS, "a space or a closing parenthesis")


def _read_item(reader: _Reader) -> Item:  # §4.2.3
    return Item(_read_bare_item(reader), _read_parameters(reader))


def _read_bare_item(reader: _Reader) -> BareItem:  # §4.2.3.1
    match reader.next_character:
        case '"':
            return _ESCAPE.sub(r"\1", reader.expect(_STRING, "a String")[1])
        case ":":
            return _decode_base64(reader.expect(_BYTE_SEQUENCE, "a Byte Sequence")[1])
        case "?":
            return reader.expect(_BOOLEAN, "a Boolean")[1] == "1"
        case "@":
            return _read_date(reader)
        case "%":
            return _decode_display_string(reader.expect(_DISPLAY_STRING, "a Display String")[1])
        case "-" | "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9":
            return _read_number(reader)
        case _:
            return Token(reader.expect(TOKEN, "an item")[0])


def _read_parameters(reader: _Reader) -> dict[str, BareItem]:  # §4.2.3.2
    parameters: dict[str, BareItem] = {}
    while reader.take(_SEMICOLON):
        key = _read_key(reader)
        parameters[key] = _read_bare_item(reader) if reader.take(_EQUALS) else True
    return parameters


def _read_key(reader: _Reader) -> str:  # §4.2.3.3
    return reader.expect(KEY, "a key")[0]


def _read_number(reader: _Reader) -> int | Decimal:  # §4.2.4
    sign, digits, point, fraction = reader.expect(_NUMBER, "a number").groups()
    if not point:
        if len(digits) > 15:
            raise Malformed("an Integer has at most 15 digits")
        return int(sign + digits)
    if len(digits) > 12 or not 1 <= len(fraction) <= 3:
        raise Malformed("a Decimal has 1 to 12 digits before its point and 1 to 3 after")
    return Decimal(f"{sign}{digits}.{fraction}")


def _read_date(reader: _Reader) -> Date:  # §4.2.9
    reader.expect(_DATE, "a Date")
    seconds = _read_number(reader)
    if isinstance(seconds, Decimal):
        raise Malformed("a Date is in whole seconds")
    return Date(seconds)


def _decode_base64(content: str) -> bytes:  # §4.2.7
    try:
        return base64.b64decode(content + "=" * (-len(content) % 4))
    except ValueError as exc:
        raise Malformed("a Byte Sequence has a length that no base64 has") from exc


def _decode_display_string(content: str) -> DisplayString:  # §4.2.10
    try:
        return DisplayString(unquote_to_bytes(content).decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise Malformed("a Display String is not UTF-8") from exc
