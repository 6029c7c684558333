"""The form of a blob's key, which every store checks before it uses one."""

from __future__ import annotations

import re

from tailrace.blobs.contract import BlobKey

KEY_FORM = re.compile(r"[a-z0-9]{1,64}", re.ASCII)


def checked(key: BlobKey) -> BlobKey:
    """Return the key.

    Raises:
        ValueError: it is not 1 to 64 of `a-z 0-9`.
    """
    if KEY_FORM.fullmatch(key) is None:
        raise ValueError(f"{key[:80]!r} is not a blob key: 1 to 64 of a-z 0-9")
    return key
