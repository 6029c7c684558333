"""The grammar that many field values share (RFC 9110 §5.6).

    token          = 1*tchar                                   §5.6.2
    quoted-string  = DQUOTE *( qdtext / quoted-pair ) DQUOTE   §5.6.4
    #element       = [ element ] *( OWS "," OWS [ element ] )  §5.6.1.2
    parameters     = *( OWS ";" OWS [ parameter ] )            §5.6.6
    parameter      = token "=" ( token / quoted-string )

Text is a field value as `Fields` gives it: one character for one octet.
"""

from __future__ import annotations

import re

OWS = " \t"

TCHAR = r"!#$%&'*+\-.^_`|~0-9A-Za-z"
"""The characters of a token, for use inside a character class."""

_TOKEN = re.compile(rf"[{TCHAR}]+")
_QUOTED_STRING = re.compile(
    r'"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+)"'
)
_QUOTED_PAIR = re.compile(r"\\(.)")
_NEEDS_QUOTED_PAIR = re.compile(r'["\\]')

# An element is a run of anything but the separator, in which a quoted string counts as one
# piece. A quoted string left open takes all that follows, and is refused by whoever reads
# the element. Possessive, so that no value takes more than linear time.
_ELEMENTS = {
    separator: re.compile(rf'(?:[^{separator}"]++|"(?:[^"\\]++|\\.)*+"?)++', re.DOTALL)
    for separator in ",;"
}


def is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


def quote(text: str) -> str:
    """Write text as a quoted-string.

    Raises:
        ValueError: it has a character that no quoted-string can hold: a control character
            or one beyond ISO 8859-1.
    """
    quoted = '"' + _NEEDS_QUOTED_PAIR.sub(r"\\\g<0>", text) + '"'
    if _QUOTED_STRING.fullmatch(quoted) is None:
        raise ValueError(f"{text!r} cannot be written as a quoted-string")
    return quoted


def unquote(text: str) -> str | None:
    """Return what a quoted-string says, or None where text is not one, or not only one."""
    match = _QUOTED_STRING.fullmatch(text)
    return None if match is None else _QUOTED_PAIR.sub(r"\1", match[1])


def write_word(text: str) -> str:
    """Write text as a token if it is one, else as a quoted-string.

    Raises:
        ValueError: as `quote`.
    """
    return text if is_token(text) else quote(text)


def parse_word(text: str) -> str | None:
    """Return what a token or a quoted-string says, or None where text is neither."""
    return text if is_token(text) else unquote(text)


def split_list(value: str) -> list[str]:
    """Return the elements of a comma-separated list, without the empty ones (§5.6.1.2)."""
    return _split(value, ",")


def split_semicolons(value: str) -> list[str]:
    """Return what stands between semicolons, without what is empty (§5.6.6)."""
    return _split(value, ";")


def parse_parameters(text: str) -> dict[str, str] | None:
    """Read the parameters in what follows a first semicolon; None where one is malformed.

    Names come in lower case. Of a name given twice the first stands: the RFC is silent, and
    browsers do so (WHATWG MIME Sniffing, "parsing a MIME type").
    """
    parameters: dict[str, str] = {}
    for parameter in split_semicolons(text):
        name, _, word = parameter.partition("=")
        value = parse_word(word)
        if not is_token(name) or value is None:
            return None
        parameters.setdefault(name.lower(), value)
    return parameters


def _split(value: str, separator: str) -> list[str]:
    pieces = (piece.strip(OWS) for piece in _ELEMENTS[separator].findall(value))
    return [piece for piece in pieces if piece]
