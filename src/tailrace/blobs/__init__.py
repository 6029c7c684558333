"""Where bytes rest. The contract is `contract`; each other module is one store."""

from tailrace.blobs.contract import (
    BlobKey,
    BlobReader,
    BlobState,
    BlobStatus,
    BlobStore,
    BlobWriter,
    Landing,
    LocalBlobWriter,
)

__all__ = [
    "BlobKey",
    "BlobReader",
    "BlobState",
    "BlobStatus",
    "BlobStore",
    "BlobWriter",
    "Landing",
    "LocalBlobWriter",
]
