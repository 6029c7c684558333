"""Bytes go out: whole, in part, or as they are written. A library by itself."""

from tailrace.delivery.deliver import deliver, deliver_content
from tailrace.delivery.follow import follow
from tailrace.delivery.leaving import UntilDisconnect
from tailrace.delivery.proxied import Proxy
from tailrace.delivery.replies import asks_for_the_whole
from tailrace.delivery.representations import Representation
from tailrace.delivery.response import BlobResponse, FileResponse
from tailrace.delivery.send import SMALL_CONTENT

__all__ = [
    "SMALL_CONTENT",
    "BlobResponse",
    "FileResponse",
    "Proxy",
    "Representation",
    "UntilDisconnect",
    "asks_for_the_whole",
    "deliver",
    "deliver_content",
    "follow",
]
