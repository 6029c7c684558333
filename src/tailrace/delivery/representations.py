"""What is said of the bytes beside the bytes: the fields of a representation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tailrace.protocol import digests
from tailrace.protocol.dates import format_date, parse_date
from tailrace.protocol.disposition import ContentDisposition
from tailrace.protocol.fields import Fields
from tailrace.protocol.validators import EntityTag, Validators

FieldLines: TypeAlias = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Representation:
    """The representation metadata of one file (RFC 9110 §8).

    `has_weak_date` says that the bytes may have changed, or may change again, within the
    second that `last_modified` names. Such a date is told, and conditions compare it, but
    for If-Range it counts for nothing (§8.8.2.2, §13.1.5).
    """

    media_type: str
    validators: Validators
    disposition: ContentDisposition | None = None
    sha256: bytes | None = None
    cache_control: str | None = None
    has_weak_date: bool = False
    length: int | None = None
    """What a sealed blob must have, where it is known; another length is not delivered."""

    def while_growing(self) -> Representation:
        """Return what can be said while the bytes are still being written.

        The entity tag is that of the finished representation: whoever reads to the end has
        the same bytes (docs/decisions/0001). The date and the digest are not known yet, and
        what is not whole yet is not to be kept by a cache.
        """
        return dataclasses.replace(
            self,
            validators=Validators(self.validators.entity_tag, None),
            sha256=None,
            cache_control="no-store",
        )

    def with_validators_of(self, fields: Fields) -> Representation:
        """Return the representation with the validators that other fields give it, if any.

        What a response says of itself is what a later condition is about.
        """
        tag, date = fields.get("ETag"), fields.get("Last-Modified")
        return dataclasses.replace(
            self,
            validators=Validators(
                self.validators.entity_tag if tag is None else EntityTag.from_field(tag),
                self.validators.last_modified if date is None else parse_date(date),
            ),
            has_weak_date=self.has_weak_date and date is None,
        )

    def validating_fields(self) -> FieldLines:
        """Return the fields that a 304 has as well (RFC 9110 §15.4.5)."""
        fields = []
        if self.validators.entity_tag is not None:
            fields.append(("ETag", self.validators.entity_tag.to_field()))
        if self.validators.last_modified is not None:
            fields.append(("Last-Modified", format_date(self.validators.last_modified)))
        if self.cache_control is not None:
            fields.append(("Cache-Control", self.cache_control))
        return fields

    def describing_fields(self) -> FieldLines:
        """Return the fields that go with content, whole or in part, but for its type."""
        fields = list(self.validating_fields())
        if self.disposition is not None:
            fields.append(("Content-Disposition", self.disposition.to_field()))
        if self.sha256 is not None:
            fields.append(("Repr-Digest", digests.to_field(self.sha256)))
        return fields
