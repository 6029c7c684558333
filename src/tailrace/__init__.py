"""Files over HTTP in constant memory: made, uploaded, followed, delivered, cleaned up.

    files = Tailrace("./data")                      mount its router, enter its lifespan
    @files.producer, @producer                      a generator function that makes files
    FileResponse(path)                              a drop-in for Starlette's
    download(url), await adownload(url)             fetch a file, whole or not at all

The names are imported when they are first asked for: who only downloads must not wait for
a web framework (docs/decisions/0007).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.asgi.app import Tailrace
    from tailrace.client import Download, adownload, download
    from tailrace.delivery import BlobResponse, FileResponse
    from tailrace.errors import TailraceError
    from tailrace.intake.producers import Command, Producer, Run, producer
    from tailrace.settings import Settings

__all__ = [
    "BlobResponse",
    "Command",
    "Download",
    "FileResponse",
    "Producer",
    "Run",
    "Settings",
    "Tailrace",
    "TailraceError",
    "__version__",
    "adownload",
    "download",
    "producer",
]

__version__ = "0.1.0"

_ROOMS = {
    "BlobResponse": "tailrace.delivery",
    "Command": "tailrace.intake.producers",
    "Download": "tailrace.client",
    "FileResponse": "tailrace.delivery",
    "Producer": "tailrace.intake.producers",
    "Run": "tailrace.intake.producers",
    "Settings": "tailrace.settings",
    "Tailrace": "tailrace.asgi.app",
    "TailraceError": "tailrace.errors",
    "adownload": "tailrace.client",
    "download": "tailrace.client",
    "producer": "tailrace.intake.producers",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_ROOMS[name]), name)
    return found
