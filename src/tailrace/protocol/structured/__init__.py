"""Structured Fields (RFC 9651): Items, Lists and Dictionaries, read and written.

List         a, (b c);d=1        a tuple of members
Dictionary   a=1, b, c=(1 2)     members by key, in order
member       an Item or an Inner List, each with parameters
bare item    42  4.5  "text"  token/1  :aGk=:  ?1  @1659578233  %"f%c3%bc"
"""

from tailrace.protocol.structured.parsing import parse_dictionary, parse_item, parse_list
from tailrace.protocol.structured.serializing import (
    serialize_dictionary,
    serialize_item,
    serialize_list,
)
from tailrace.protocol.structured.values import (
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

__all__ = [
    "BareItem",
    "Date",
    "DisplayString",
    "InnerList",
    "Item",
    "Malformed",
    "Member",
    "Parameters",
    "Token",
    "parse_dictionary",
    "parse_item",
    "parse_list",
    "serialize_dictionary",
    "serialize_item",
    "serialize_list",
]
