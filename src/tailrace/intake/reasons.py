"""Why a file was given up, for people."""

from __future__ import annotations

import asyncio

from tailrace.errors import (
    ClientDisconnected,
    CommandFailed,
    ProducerError,
    ProtocolError,
    StorageFull,
    TimeLimitExceeded,
)


def failure_reason(error: BaseException, length: int) -> str:
    """Say for people why a file was given up after so many bytes; nothing of our insides."""
    match error:
        case ClientDisconnected():
            return f"its sender was cut off after {length} bytes"
        case asyncio.CancelledError():
            return f"the service was stopped after {length} bytes"
        case StorageFull():
            return f"there was no room for more than {length} bytes"
        case CommandFailed():
            return f"its command failed after {length} bytes: {error}"
        case TimeLimitExceeded():
            return f"it was stopped after {length} bytes: {error}"
        case ProducerError():
            cause = error.__cause__
            what = f" ({type(cause).__name__})" if cause is not None else ""
            return f"its producer failed after {length} bytes{what}"
        case ProtocolError():
            return str(error)
        case _:
            return f"the service failed after {length} bytes"
