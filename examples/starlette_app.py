"""A Starlette application that counts in records, and shows them while they come.

Replaces a queue for each listener, and a log of what they missed: the file is both.

    uvicorn --app-dir examples starlette_app:app
    curl -N 'http://127.0.0.1:8000/share/make/ticks?count=5'
"""

import time
from collections.abc import Iterator

from starlette.applications import Starlette
from starlette.routing import Mount

from tailrace import Tailrace

files = Tailrace()  # in TAILRACE_DATA, or ./tailrace-data
app = Starlette(routes=[Mount("/share", routes=files.routes)], lifespan=files.lifespan)


@files.producer(name="ticks.ndjson", safe=True)
def ticks(count: int = 10, seconds: float = 0.1) -> Iterator[dict[str, float]]:
    """A record a tick, in a thread of its own: it may block."""
    for n in range(count):
        yield {"tick": n, "at": time.time()}
        time.sleep(seconds)
