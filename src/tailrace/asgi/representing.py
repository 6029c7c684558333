"""A file as JSON, and as a representation to be delivered."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from tailrace.blobs import BlobKey
from tailrace.catalogue import FileRecord, FileState, LinkRecord
from tailrace.delivery import Representation
from tailrace.errors import BlobMissing
from tailrace.protocol.disposition import ContentDisposition, is_active_content
from tailrace.protocol.validators import EntityTag, Validators
from tailrace.service import Service

# What a browser may do with bytes that strangers gave us: show them, and nothing else.
SAFETY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self';"
    " img-src 'self'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
    # A proxy in between must pass on what comes as it comes.
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where things are, for one request: below the address that it came to."""

    base: str
    service: Service

    def link(self, link: LinkRecord, file: FileRecord) -> str:
        token = self.service.links.token(link.id)
        return f"{self.base}/l/{token}/{quote(file.name, safe='')}"

    async def file(self, file: FileRecord, links: Sequence[LinkRecord]) -> dict[str, Any]:
        """Return a file as JSON (docs/reference/http.md)."""
        digest = None
        if file.sha256 is not None:
            digest = {"sha-256": base64.b64encode(file.sha256).decode()}
        return {
            "id": file.id,
            "name": file.name,
            "media_type": file.media_type,
            "state": file.state.value,
            "length": await self._length(file),
            "complete_length": file.complete_length,
            "digest": digest,
            "created_at": moment(file.created_at),
            "sealed_at": moment(file.sealed_at),
            "expires_at": moment(file.expires_at),
            "ended_at": moment(file.ended_at),
            "origin": file.origin.value,
            "reason": file.reason,
            "links": [
                {
                    "url": self.link(link, file),
                    "expires_at": moment(link.expires_at),
                    "deliveries_left": None,
                }
                for link in links
                if link.revoked_at is None
            ],
        }

    async def _length(self, file: FileRecord) -> int:
        if file.length is not None:
            return file.length
        if file.state is not FileState.GROWING or file.ended_at is not None:
            return 0
        try:
            return (await self.service.store.status(file.blob)).length
        except BlobMissing:  # abandoned just now
            return 0


def moment(at: datetime | None) -> str | None:
    """Return a moment as RFC 3339 writes it, in UTC."""
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")


def representation_of(file: FileRecord, *, download: bool) -> Representation:
    """Return how a file is delivered.

    Its entity tag is the key of its blob: random, used once, and sealed bytes never change.
    Types that a browser would run are always an attachment.
    """
    return _representation(
        file.media_type,
        file.blob,
        file.name,
        file.sha256,
        file.sealed_at,
        file.length,
        download,
    )


@lru_cache(maxsize=512)  # each takes some 10 µs to make, and a hot file is asked for again
def _representation(
    media_type: str,
    blob: BlobKey,
    name: str,
    sha256: bytes | None,
    sealed_at: datetime | None,
    length: int | None,
    download: bool,
) -> Representation:
    attach = download or is_active_content(media_type)
    return Representation(
        media_type=media_type,
        validators=Validators(EntityTag(blob), sealed_at),
        disposition=ContentDisposition("attachment" if attach else "inline", name),
        sha256=sha256,
        cache_control="private, immutable",
        length=length,
    )
