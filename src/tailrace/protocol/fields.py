"""Field lines: the header section of a message, or a trailer section (RFC 9110 §5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tailrace.protocol.grammar import OWS, is_token

FieldLines = tuple[tuple[str, str], ...]
"""Names and values, in the order in which they are sent."""

# §5.5: a recipient rejects a message with these in a field value, or reads them as SP.
_INVALID_AND_DANGEROUS = str.maketrans("\r\n\0", "   ")


@dataclass(frozen=True, slots=True)
class Fields:
    """Field lines in the order in which they came; names are in lower case.

    Values have one character for one octet (ISO 8859-1), so that no octet is lost, and no
    whitespace around them.
    """

    lines: FieldLines = ()

    @classmethod
    def from_raw(cls, lines: Iterable[tuple[bytes, bytes]]) -> Fields:
        """Take field lines as ASGI gives them."""
        return cls(
            tuple(
                (
                    name.decode("latin-1").lower(),
                    value.decode("latin-1").translate(_INVALID_AND_DANGEROUS).strip(OWS),
                )
                for name, value in lines
            )
        )

    @classmethod
    def of(cls, *lines: tuple[str, str]) -> Fields:
        """Take field lines that we write.

        Raises:
            ValueError: a name is not a token, or a value cannot be sent.
        """
        for name, value in lines:
            if not is_token(name):
                raise ValueError(f"{name!r} is not a field name")
            if value.translate(_INVALID_AND_DANGEROUS) != value or not _is_latin_1(value):
                raise ValueError(f"the field {name} cannot have the value {value!r}")
        return cls(tuple((name.lower(), value.strip(OWS)) for name, value in lines))

    def get(self, name: str) -> str | None:
        """Return the combined field value (§5.2), or None where no line has this name."""
        values = self.get_all(name)
        return ", ".join(values) if values else None

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return the value of each line of this name."""
        name = name.lower()
        return tuple(value for line_name, value in self.lines if line_name == name)

    def __contains__(self, name: str) -> bool:
        name = name.lower()
        return any(line_name == name for line_name, _ in self.lines)

    def to_raw(self) -> list[tuple[bytes, bytes]]:
        """Give field lines as ASGI takes them."""
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.lines]


def _is_latin_1(text: str) -> bool:
    return all(character <= "\xff" for character in text)
