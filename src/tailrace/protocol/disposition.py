"""Content-Disposition (RFC 6266), and how the names and types of files are made harmless.

    content-disposition = disposition-type *( ";" disposition-parm )   RFC 6266 §4.1
    disposition-parm    = "filename" "=" value / "filename*" "=" ext-value / ...
    ext-value           = charset "'" [ language ] "'" value-chars     RFC 8187 §3.2.1

A name that came from outside is a wish. What is kept, shown or written to a disk is what
`safe_name` makes of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote as percent_encode
from urllib.parse import unquote_to_bytes

from tailrace.protocol.grammar import OWS, is_token, quote, split_semicolons

# RFC 8187 §3.2.1: attr-char, without letters, digits and "_.-~", which stay in any case.
_ATTR_CHAR = "!#$&+^`|"
# More characters than attr-char, for many senders encode fewer than they should.
_EXT_VALUE = re.compile(
    r"(utf-8|iso-8859-1)'[a-z0-9-]*'((?:[\x21-\x24\x26-\x7e]|%[0-9a-f]{2})*+)",
    re.ASCII | re.IGNORECASE,
)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
# How browsers write a part head (WHATWG HTML, multipart/form-data encoding algorithm), and
# the two quoted-pairs of clients that do not. Any other backslash is a part of the name.
_FORM_ESCAPES = {"%0A": "\n", "%0D": "\r", "%22": '"', '\\"': '"', "\\\\": "\\"}
_FORM_ESCAPE = re.compile(r'%0A|%0D|%22|\\"|\\\\')
# RFC 6266 appendix D advises against these inside `filename`: recipients differ on them.
_AMBIGUOUS = re.compile(r'["\\\x00-\x1f\x7f]|%(?=[0-9A-Fa-f]{2})')

_LONGEST_NAME = 255  # bytes; NAME_MAX of Linux, and no system in wide use allows less
_LONGEST_EXTENSION = 32  # bytes, with the dot; what is longer is no extension
# C0 and C1 controls, lone surrogates, line and paragraph separators, and what changes the
# direction of text: "invoice<U+202E>fdp.exe" is shown as "invoiceexe.pdf".
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
_FORBIDDEN_BY_WINDOWS = re.compile(r'[<>:"|?*]')
_SEPARATOR = re.compile(r"[/\\]")
_EDGES = ". \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u202f\u205f\u3000"
# Windows opens these devices in any folder, whatever the extension.
_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:\.|\Z)", re.IGNORECASE
)

# WHATWG MIME Sniffing §4.6: the scriptable MIME types (but for those in +xml) and the
# JavaScript MIME types. PDF is scriptable, and inline it is of little use to us: under the
# sandbox of our responses Safari shows an empty page (adobe/aem-core-wcm-components#2839).
# text/xsl is XML to Chromium; multipart/x-mixed-replace has parts of any type.
_ACTIVE = frozenset(
    (
        "text/html",
        "text/xml",
        "text/xsl",
        "application/xml",
        "application/pdf",
        "text/pdf",
        "multipart/x-mixed-replace",
        "application/ecmascript",
        "application/javascript",
        "application/x-ecmascript",
        "application/x-javascript",
        "text/ecmascript",
        "text/javascript",
        *(f"text/javascript1.{minor}" for minor in range(6)),
        "text/jscript",
        "text/livescript",
        "text/x-ecmascript",
        "text/x-javascript",
    )
)


@dataclass(frozen=True, slots=True)
class ContentDisposition:
    """What a recipient is asked to do with a representation, and under which name."""

    kind: Literal["inline", "attachment"]
    filename: str | None = None

    @classmethod
    def from_field(cls, value: str) -> ContentDisposition | None:
        """Read a Content-Disposition field value; None where its structure is broken.

        As browsers do: `filename*` counts more than `filename` if it can be read; octets
        that are UTF-8 are read as that, others as ISO 8859-1; of a parameter given twice
        the first stands; a name without quotes may have spaces. An unknown type is an
        attachment (§4.2). The name is as it was sent: see `safe_name`.
        """
        parsed = _parse(value, _unescape)
        if parsed is None:
            return None
        kind, parameters = parsed
        return cls(
            "inline" if kind == "inline" else "attachment", _filename(parameters) or None
        )

    def to_field(self) -> str:
        """Write a Content-Disposition field value, in ASCII.

        `filename*` is added only where `filename` cannot say the name (appendix D).
        """
        if not self.filename:
            return self.kind
        fallback = _in_ascii(self.filename)
        field = f"{self.kind}; filename={quote(fallback)}"
        if fallback != self.filename:
            encoded = percent_encode(self.filename, safe=_ATTR_CHAR, errors="replace")
            field += f"; filename*=UTF-8''{encoded}"
        return field


@dataclass(frozen=True, slots=True)
class FormPart:
    """What the head of a multipart/form-data part says of it (RFC 7578 §4.2).

    `filename` is None where the part is no file, and empty where a file input was left
    empty. It is as it was sent: see `safe_name`.
    """

    name: str
    filename: str | None = None

    @classmethod
    def from_field(cls, value: str) -> FormPart | None:
        """Read the Content-Disposition of a part; one character of value is one octet.

        None where it is broken, is not form-data, or has no name. `filename*`, which
        RFC 7578 forbids and some clients send, is read.
        """
        parsed = _parse(value, _unescape_form)
        if parsed is None:
            return None
        kind, parameters = parsed
        name = parameters.get("name")
        if kind != "form-data" or name is None:
            return None
        return cls(name, _filename(parameters))


def safe_name(candidate: str, default: str) -> str:
    """Return candidate as a name that may be stored, shown and sent.

    One path segment of at most 255 bytes in UTF-8, in NFC, without control characters, with
    no dot at its start or end, not a device of Windows; the extension is kept. A safe name
    stays as it is. Where nothing is left it is `default`, as that was given.
    """
    name = unicodedata.normalize("NFC", _UNSAFE.sub("", candidate))
    name = _SEPARATOR.split(name)[-1]
    name = _shortened(_FORBIDDEN_BY_WINDOWS.sub("_", name).strip(_EDGES))
    if _DEVICE.match(name):  # after the cut, which may have left one
        name = _shortened("_" + name)
    return name or default


def is_active_content(media_type: str) -> bool:
    """Tell whether a browser that shows such content might run what is in it.

    True as well of what is no media type: nobody knows what a browser makes of that.
    """
    essence = media_type.partition(";")[0].strip().lower()
    type_, _, subtype = essence.partition("/")
    if not is_token(type_) or not is_token(subtype):
        return True
    return essence in _ACTIVE or subtype.endswith("+xml")


def _parse(value: str, unescape: Callable[[str], str]) -> tuple[str, dict[str, str]] | None:
    """Return disposition type and parameters, in lower case; None where value is broken."""
    pieces = split_semicolons(value)
    if not pieces or not is_token(pieces[0]):
        return None
    parameters: dict[str, str] = {}
    for piece in pieces[1:]:
        name, equals, written = (part.strip(OWS) for part in piece.partition("="))
        if not equals or not is_token(name):
            return None
        if '"' in written:
            match = _QUOTED.fullmatch(written)
            if match is None:
                return None
            written = unescape(match[1])
        parameters.setdefault(name.lower(), _decoded(written))
    return pieces[0].lower(), parameters


def _unescape(quoted: str) -> str:
    return _QUOTED_PAIR.sub(r"\1", quoted)


def _unescape_form(quoted: str) -> str:
    return _FORM_ESCAPE.sub(lambda match: _FORM_ESCAPES[match[0]], quoted)


def _decoded(octets: str) -> str:
    try:
        return octets.encode("latin-1").decode("utf-8")
    except UnicodeError:  # then it is ISO 8859-1, or was decoded before
        return octets


def _filename(parameters: dict[str, str]) -> str | None:
    match = _EXT_VALUE.fullmatch(parameters.get("filename*", ""))
    if match is not None:
        charset, encoded = match.groups()
        try:
            return unquote_to_bytes(encoded).decode(charset)
        except UnicodeDecodeError:
            pass  # the plain parameter may be better
    return parameters.get("filename")


def _in_ascii(name: str) -> str:
    letters = (
        unicodedata.normalize("NFD", character)[0]
        for character in name
        if not unicodedata.combining(character)
    )
    return _AMBIGUOUS.sub("_", "".join(x if x.isascii() else "_" for x in letters))


def _shortened(name: str) -> str:
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    stem, dot, extension = name.rpartition(".")
    suffix = dot + extension
    if not stem or len(suffix.encode()) > _LONGEST_EXTENSION:
        stem, suffix = name, ""
    room = _LONGEST_NAME - len(suffix.encode())
    # What is cut in the middle of a character goes.
    cut = stem.encode()[:room].decode(errors="ignore") + suffix
    return cut.strip(_EDGES)
