"""A protocol class for uvicorn that sends files without copying them.

`uvicorn --http tailrace.server:Protocol app:app` serves any ASGI application. A part by
itself: it knows nothing of the rest of tailrace.
"""

from tailrace.server.limits import Limits
from tailrace.server.protocol import Protocol
from tailrace.server.transfer import Disconnected

__all__ = ["Disconnected", "Limits", "Protocol"]
