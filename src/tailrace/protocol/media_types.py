"""Media types (RFC 9110 §8.3.1).

media-type = type "/" subtype parameters
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tailrace.errors import MalformedField
from tailrace.protocol.fields import Fields
from tailrace.protocol.grammar import OWS, is_token, parse_parameters, write_word


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type; type, subtype and the names of parameters are in lower case."""

    type: str
    subtype: str
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def essence(self) -> str:
        """The media type without its parameters."""
        return f"{self.type}/{self.subtype}"

    def to_field(self) -> str:
        """Write the media type as §8.3.1 prefers it.

        Raises:
            ValueError: a parameter has a value that no field can hold.
        """
        return self.essence + "".join(
            f";{name}={write_word(value)}" for name, value in self.parameters.items()
        )


def parse_media_type(value: str, field_name: str = "Content-Type") -> MediaType:
    """Read a media type.

    Raises:
        MalformedField: it is none; `field_name` is what the error names.
    """
    essence, _, rest = value.partition(";")
    type_, _, subtype = essence.strip(OWS).partition("/")
    parameters = parse_parameters(rest)
    if not is_token(type_) or not is_token(subtype) or parameters is None:
        raise MalformedField(field_name, value, "a media type, such as text/plain")
    return MediaType(type_.lower(), subtype.lower(), parameters)


def essence_of(fields: Fields) -> str:
    """Return the media type of the content, without parameters and in lower case.

    It is empty where there is none, and whatever stands there where that is no media type.
    """
    return (fields.get("Content-Type") or "").partition(";")[0].strip(OWS).lower()
