"""What the catalogue keeps of an upload, and what is read from it again."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import datetime
from typing import NewType

from tailrace.catalogue import FileId, UploadRecord
from tailrace.errors import MalformedField
from tailrace.intake.media_types import OCTET_STREAM, guess_media_type
from tailrace.protocol import digests, structured
from tailrace.protocol.digests import Digests
from tailrace.protocol.fields import FieldLines
from tailrace.protocol.uploads import Concatenate, Create

# It goes out in a field with every answer. Names have at most 127 characters on each side
# of the slash (RFC 6838 §4.2), which leaves room for parameters.
_LONGEST_MEDIA_TYPE = 512

UploadKey = NewType("UploadKey", str)
"""The right to write one file: 128 random bits, known to the catalogue by hash only."""


def new_key() -> UploadKey:
    return UploadKey(secrets.token_urlsafe(16))


def hash_of(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def record_of(
    command: Create | Concatenate,
    key: UploadKey,
    file_id: FileId,
    created_at: datetime,
    expires_at: datetime | None,
) -> UploadRecord:
    return UploadRecord(
        key_hash=hash_of(key),
        file_id=file_id,
        created_at=created_at,
        expires_at=expires_at,
        repr_digest=_field_of(command.digests),
        notes=json.dumps(command.notes) if command.notes else None,
        is_partial=isinstance(command, Create) and command.is_partial,
    )


def expected_of(record: UploadRecord) -> Digests:
    """Return what the whole file must have, as far as it was said when it was begun."""
    return digests.parse(record.repr_digest or "", "Repr-Digest")


def notes_of(record: UploadRecord) -> FieldLines:
    return tuple((name, value) for name, value in json.loads(record.notes or "[]"))


def media_type_of(command: Create | Concatenate) -> str:
    """Return the type a file is kept under: its client's, or a guess from its name.

    Raises:
        MalformedField: it is longer than any.
    """
    if command.media_type is not None and len(command.media_type) > _LONGEST_MEDIA_TYPE:
        raise MalformedField(
            "Content-Type", command.media_type, f"at most {_LONGEST_MEDIA_TYPE} characters"
        )
    # A client that says "some bytes" has not looked; the name may tell more.
    if command.media_type in (None, OCTET_STREAM):
        return guess_media_type(command.name)
    return command.media_type


def _field_of(given: Digests) -> str | None:
    members = {str(name): structured.Item(digest) for name, digest in given.items()}
    return structured.serialize_dictionary(members) if members else None
