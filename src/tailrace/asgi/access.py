"""Who may write, make and own: whoever has a key, once there is any key.

A reader needs none of this: the token of a link is the right to read.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import Request

from tailrace.catalogue import CredentialRecord
from tailrace.errors import AccessDenied, ForeignRequest
from tailrace.service import Service

_PREFIX = "tr_"

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 §9.2.1


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
        ForeignRequest: there is none to have, and it is another's page that sent it.
    """
    credentials = await service.catalogue.credentials()
    if not credentials:
        _refuse_foreign(request)
        return
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise AccessDenied("send a key of this service as `Authorization: Bearer KEY`")
    if not _is_among(hash_of(key.strip()), credentials):
        raise AccessDenied("this key is not one of this service")


def _refuse_foreign(request: Request) -> None:
    """Refuse what a browser was made to send by a page that it did not have from here.

    A key protects by itself, because no foreign page can add it. Without one, any page that
    somebody on this machine looks at could fill the disk. Programs send neither field.
    """
    if request.method in _SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is None and origin is not None:
        is_foreign = urlsplit(origin).hostname != request.url.hostname
    else:
        is_foreign = site == "cross-site"
    if is_foreign:
        raise ForeignRequest(
            f"a page of {origin or 'another site'} sent this; a service without a key takes"
            " nothing from pages that are not its own"
        )


def _is_among(key_hash: bytes, credentials: Sequence[CredentialRecord]) -> bool:
    return any(hmac.compare_digest(key_hash, credential.key_hash) for credential in credentials)
