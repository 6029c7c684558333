"""Who may write, make and own: whoever has a key, once there is any key.

A reader needs none of this: the token of a link is the right to read.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from starlette.requests import Request

from tailrace.catalogue import CredentialRecord
from tailrace.errors import AccessDenied
from tailrace.service import Service

_PREFIX = "tr_"


def new_key() -> str:
    """Return a new API key of 256 random bits, which is told once and kept as a hash."""
    return _PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> bytes:
    # Keys are random, not chosen: a plain hash cannot be reversed by guessing.
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


async def require_owner(service: Service, request: Request) -> None:
    """Let the request pass if it has a key, or if none is configured.

    Raises:
        AccessDenied: it has none, or a wrong one.
    """
    credentials = await service.catalogue.credentials()
    if not credentials:
        return
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise AccessDenied("send a key of this service as `Authorization: Bearer KEY`")
    if not _is_among(hash_of(key.strip()), credentials):
        raise AccessDenied("this key is not one of this service")


def _is_among(key_hash: bytes, credentials: Sequence[CredentialRecord]) -> bool:
    return any(hmac.compare_digest(key_hash, credential.key_hash) for credential in credentials)
