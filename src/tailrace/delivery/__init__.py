"""Bytes go out: whole, in part, or as they are written. A library by itself."""

from tailrace.delivery.deliver import deliver
from tailrace.delivery.follow import follow
from tailrace.delivery.leaving import UntilDisconnect
from tailrace.delivery.proxied import Proxy
from tailrace.delivery.representations import Representation
from tailrace.delivery.response import BlobResponse, FileResponse

__all__ = [
    "BlobResponse",
    "FileResponse",
    "Proxy",
    "Representation",
    "UntilDisconnect",
    "deliver",
    "follow",
]
