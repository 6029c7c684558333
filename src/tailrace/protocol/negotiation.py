"""Accept: which media types a client takes, and how gladly (RFC 9110 §12.5.1).

Accept      = #( media-range [ weight ] )
media-range = ( "*/*" / type "/*" / type "/" subtype ) parameters
weight      = OWS ";" OWS "q=" qvalue                         §12.4.2
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.errors import MalformedField
from tailrace.protocol.grammar import OWS, split_list
from tailrace.protocol.media_types import MediaType, parse_media_type

# Java's HttpURLConnection sends "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2" (JDK 7
# and others) and takes any type. So a qvalue may lack its leading zero, and "*" is "*/*".
_QVALUE = re.compile(r"0(?:\.[0-9]{0,3})?|\.[0-9]{1,3}|1(?:\.0{0,3})?")


@dataclass(frozen=True, slots=True)
class MediaRange:
    """Media types that a client takes, and its weight for them: 0, not at all, to 1."""

    range: MediaType
    weight: float

    @property
    def precedence(self) -> tuple[bool, bool, int]:
        """Orders ranges from the widest to the most specific."""
        return self.range.type != "*", self.range.subtype != "*", len(self.range.parameters)

    def matches(self, media_type: MediaType) -> bool:
        return (
            self.range.type in ("*", media_type.type)
            and self.range.subtype in ("*", media_type.subtype)
            and self.range.parameters.items() <= media_type.parameters.items()
        )


def parse(accept: str) -> tuple[MediaRange, ...]:
    """Read an Accept field value; an element that cannot be read is left out."""
    ranges = (_parse_range(element) for element in split_list(accept))
    return tuple(each for each in ranges if each is not None)


def weight(accept: str | None, media_type: str) -> float:
    """Return how gladly the client takes a media type: 0, not at all, to 1.

    Without an Accept field, and with one in which nothing can be read, it takes all alike.
    """
    return _weight(parse(accept or ""), parse_media_type(media_type))


def preferred(accept: str | None, offers: Sequence[str]) -> str | None:
    """Return the offer that the client likes best, the earlier of two that it likes alike.

    None where it takes none of them.
    """
    ranges = parse(accept or "")
    best, most = None, 0.0
    for offer in offers:
        offer_weight = _weight(ranges, parse_media_type(offer))
        if offer_weight > most:
            best, most = offer, offer_weight
    return best


def names(accept: str | None, media_type: str) -> bool:
    """Tell whether the client takes this very media type and has named it, not by a wildcard.

    Parameters do not count on either side.
    """
    essence = parse_media_type(media_type).essence
    return any(
        each.range.essence == essence and each.weight > 0 for each in parse(accept or "")
    )


def _weight(ranges: Sequence[MediaRange], media_type: MediaType) -> float:
    if not ranges:
        return 1.0
    matching = [each for each in ranges if each.matches(media_type)]
    if not matching:
        return 0.0
    return max((each.precedence, each.weight) for each in matching)[1]


def _parse_range(element: str) -> MediaRange | None:
    if element.partition(";")[0].rstrip(OWS) == "*":
        element = "*/" + element
    try:
        media_type = parse_media_type(element, "Accept")
    except MalformedField:
        return None
    # Recipients should take any parameter named "q" as the weight, wherever it stands.
    parameters = dict(media_type.parameters)
    qvalue = parameters.pop("q", "1")
    is_wild_type_only = media_type.type == "*" and media_type.subtype != "*"
    if is_wild_type_only or _QVALUE.fullmatch(qvalue) is None:
        return None
    return MediaRange(MediaType(media_type.type, media_type.subtype, parameters), float(qvalue))
