"""Structured Fields, written (RFC 9651 §4.1)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import assert_never

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
    Parameters,
    Token,
)

_LARGEST_INTEGER = 999_999_999_999_999
_DECIMAL_LIMIT = 10**12
_THOUSANDTH = Decimal("0.001")

_STRING_CHARACTERS = re.compile(r"[\x20-\x7e]*")
_ESCAPED = re.compile(r'["\\]')


def serialize_item(item: Item) -> str:
    """Write an Item.

    Raises:
        Malformed: no field can hold a part of it.
    """
    return _write_bare_item(item.value) + _write_parameters(item.parameters)


def serialize_list(members: Sequence[Member]) -> str:
    """Write a List. Of no members that is the empty string: then send no field (§4.1).

    Raises:
        Malformed: no field can hold a part of it.
    """
    return ", ".join(_write_member(member) for member in members)


def serialize_dictionary(members: Mapping[str, Member]) -> str:
    """Write a Dictionary. Of no members that is the empty string: then send no field (§4.1).

    Raises:
        Malformed: no field can hold a part of it.
    """
    return ", ".join(_write_dictionary_member(key, member) for key, member in members.items())


def _write_member(member: Member) -> str:
    match member:
        case Item():
            return serialize_item(member)
        case InnerList(items, parameters):  # §4.1.1.1
            inner = " ".join(serialize_item(item) for item in items)
            return f"({inner})" + _write_parameters(parameters)
        case _:
            assert_never(member)


def _write_dictionary_member(key: str, member: Member) -> str:  # §4.1.2
    if isinstance(member, Item) and member.value is True:
        return _write_key(key) + _write_parameters(member.parameters)
    return f"{_write_key(key)}={_write_member(member)}"


def _write_parameters(parameters: Parameters) -> str:  # §4.1.1.2
    return "".join(
        f";{_write_key(key)}" + ("" if value is True else f"={_write_bare_item(value)}")
        for key, value in parameters.items()
    )


def _write_key(key: str) -> str:  # §4.1.1.3
    if KEY.fullmatch(key) is None:
        raise Malformed(f"{key!r} is not a key")
    return key


def _write_bare_item(value: BareItem) -> str:  # §4.1.3.1
    match value:
        case bool():  # before int, of which it is a kind
            return "?1" if value else "?0"
        case int():
            return _write_integer(value)
        case Decimal():
            return _write_decimal(value)
        case str():
            return _write_string(value)
        case Token(text):
            if TOKEN.fullmatch(text) is None:
                raise Malformed(f"{text!r} is not a Token")
            return text
        case bytes():
            return f":{base64.b64encode(value).decode('ascii')}:"
        case Date(seconds):
            return "@" + _write_integer(seconds)
        case DisplayString(text):
            return _write_display_string(text)
        case _:
            assert_never(value)


def _write_integer(value: int) -> str:  # §4.1.4
    if abs(value) > _LARGEST_INTEGER:
        raise Malformed("an Integer has at most 15 digits")
    return str(value)


def _write_decimal(value: Decimal) -> str:  # §4.1.5
    if value.is_finite() and abs(value) <= _DECIMAL_LIMIT:
        rounded = value.quantize(_THOUSANDTH, ROUND_HALF_EVEN)
        if abs(rounded) < _DECIMAL_LIMIT:
            whole, fraction = f"{abs(rounded):f}".split(".")
            return f"{'-' if rounded < 0 else ''}{whole}.{fraction.rstrip('0') or '0'}"
    raise Malformed("a Decimal has at most 12 digits before its point")


def _write_string(text: str) -> str:  # §4.1.6
    if _STRING_CHARACTERS.fullmatch(text) is None:
        raise Malformed(f"{text!r} has characters that no String can hold")
    return '"' + _ESCAPED.sub(r"\\\g<0>", text) + '"'


def _write_display_string(text: str) -> str:  # §4.1.11
    try:
        octets = text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise Malformed(f"{text!r} has a lone surrogate") from exc
    written = "".join(
        f"%{octet:02x}" if octet in b'%"' or not 0x20 <= octet <= 0x7E else chr(octet)
        for octet in octets
    )
    return f'%"{written}"'
