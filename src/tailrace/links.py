"""Links: unguessable capabilities to read one file.

A token is 128 bits: the first half of HMAC-SHA256(secret, link id), in base64url. So the
owner can be told a link's address again at any time, while the catalogue keeps only the
token's hash: who reads the database alone cannot read a file.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from tailrace.catalogue import (
    Catalogue,
    FileId,
    FileRecord,
    FileState,
    LinkId,
    LinkRecord,
)
from tailrace.errors import FileEnded, Gone, LinkExpired, LinkNotKnown, LinkRevoked

LinkToken = NewType("LinkToken", str)

_TOKEN_BYTES = 16


@dataclass(frozen=True, slots=True)
class Links:
    """Makes links and finds what they name. `secret` is 32 random bytes, kept for ever."""

    catalogue: Catalogue
    secret: bytes
    now: Callable[[], datetime]

    def make(self, file_id: FileId, expires_at: datetime | None) -> LinkRecord:
        """Return a new link to a file; the catalogue does not know it yet."""
        link_id = LinkId(secrets.token_hex(16))
        return LinkRecord(
            id=link_id,
            file_id=file_id,
            token_hash=_hash_of(self.token(link_id)),
            created_at=self.now(),
            expires_at=expires_at,
            revoked_at=None,
        )

    def token(self, link_id: LinkId) -> LinkToken:
        mac = hmac.digest(self.secret, link_id.encode(), "sha256")[:_TOKEN_BYTES]
        return LinkToken(base64.urlsafe_b64encode(mac).rstrip(b"=").decode())

    async def get(self, token: str) -> tuple[LinkRecord, FileRecord]:
        """Return a link that may be read now, and its file, which is growing or sealed.

        Raises:
            LinkNotKnown: no link has this token.
            LinkExpired, LinkRevoked: it has ended.
            FileEnded: its file was abandoned, was deleted or has expired.
        """
        found = await self.catalogue.find_link(_hash_of(token))
        if found is None:
            raise LinkNotKnown("there is no such link; check that it was copied whole")
        _refuse_unreadable(*found, self.now())
        return found

    def file_at_hand(self, token: str) -> FileRecord | None:
        """Return the file of a link that may be read now, if that is known without waiting.

        None may mean anything else: then `get` tells.
        """
        found = self.catalogue.link_at_hand(_hash_of(token))
        if found is None:
            return None
        try:
            _refuse_unreadable(*found, self.now())
        except Gone:
            return None
        _, file = found
        return file


def _refuse_unreadable(link: LinkRecord, file: FileRecord, now: datetime) -> None:
    if link.revoked_at is not None:
        raise LinkRevoked(f"this link was taken back at {_moment(link.revoked_at)}")
    refuse_ended(file, now)
    ends_with_file = file.state is FileState.GROWING and link.expires_at == file.expires_at
    if link.expires_at is not None and link.expires_at <= now and not ends_with_file:
        raise LinkExpired(f"this link ended at {_moment(link.expires_at)}")


def refuse_ended(file: FileRecord, now: datetime) -> None:
    """Raise FileEnded, with the reason, unless the file can be read now.

    A growing file ends with its writer; its time begins when it is sealed.
    """
    if file.state is FileState.ABANDONED:
        raise FileEnded(f"this file was given up: {file.reason}")
    if file.ended_at is not None:
        raise FileEnded(f"this file ended at {_moment(file.ended_at)}: {file.reason}")
    if file.state is FileState.GROWING or file.expires_at is None:
        return
    if file.expires_at <= now:
        raise FileEnded(f"this file expired at {_moment(file.expires_at)}")


def _hash_of(token: str) -> bytes:
    # Tokens carry 128 random bits, so a plain hash cannot be reversed by guessing.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
