"""Downloads and uploads over HTTP, right or loud; ships without the service.

The names are imported when they are first asked for: a small download must not wait for
an event loop, nor for what only uploads need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.client.background import adownload
    from tailrace.client.cancellation import Cancellation, Cancelled
    from tailrace.client.connections import Timeouts
    from tailrace.client.downloads import Download, Progress, download
    from tailrace.client.moves import Patience
    from tailrace.client.service import Service
    from tailrace.client.uploads import Upload, upload
    from tailrace.client.urls import DEFAULT_SERVICE

__all__ = [
    "DEFAULT_SERVICE",
    "Cancellation",
    "Cancelled",
    "Download",
    "Patience",
    "Progress",
    "Service",
    "Timeouts",
    "Upload",
    "adownload",
    "download",
    "upload",
]

_MODULES = {
    "Cancellation": "cancellation",
    "Cancelled": "cancellation",
    "DEFAULT_SERVICE": "urls",
    "Download": "downloads",
    "Patience": "moves",
    "Progress": "downloads",
    "Service": "service",
    "Timeouts": "connections",
    "Upload": "uploads",
    "adownload": "background",
    "download": "downloads",
    "upload": "uploads",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
