"""What is said of the bytes beside the bytes: the fields of a representation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.protocol import digests
from tailrace.protocol.dates import format_date
from tailrace.protocol.disposition import ContentDisposition
from tailrace.protocol.validators import Validators


@dataclass(frozen=True, slots=True)
class Representation:
    """The representation metadata of one file (RFC 9110 §8)."""

    media_type: str
    validators: Validators
    disposition: ContentDisposition | None = None
    sha256: bytes | None = None
    cache_control: str | None = None
    is_growing: bool = False

    def validating_fields(self) -> Sequence[tuple[str, str]]:
        """Return the fields that a 304 has as well (RFC 9110 §15.4.5)."""
        fields = []
        if self.validators.entity_tag is not None:
            fields.append(("ETag", self.validators.entity_tag.to_field()))
        if self.validators.last_modified is not None:
            fields.append(("Last-Modified", format_date(self.validators.last_modified)))
        if self.cache_control is not None:
            fields.append(("Cache-Control", self.cache_control))
        return fields

    def describing_fields(self) -> Sequence[tuple[str, str]]:
        """Return the fields that go with content, whole or in part, but for its type."""
        fields = list(self.validating_fields())
        if self.disposition is not None:
            fields.append(("Content-Disposition", self.disposition.to_field()))
        if self.sha256 is not None:
            fields.append(("Repr-Digest", digests.to_field(self.sha256)))
        return fields
