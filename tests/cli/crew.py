"""Workers that do little, under the real supervision.

    python crew.py COUNT LOG [HOW]

Each worker writes its steps to LOG, and to each connection its process id. On SIGTERM it
takes no more of them, and on SIGUSR1 it ends. HOW changes what
becomes of it: `cannot-start`, `dies` before it is ready, `lingers` when told to stop, and
`cannot-start-again`, which the first ones do not. With `no-room`, the system has no room for
the last of the first ones, and with `no-room-again` none for the one after them, at first.
"""

import errno
import itertools
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tailrace.cli.lines import Order, WorkersEnd
from tailrace.cli.workers import CANNOT_START, supervise

COUNT, LOG, HOW = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]


def note(step: str) -> None:
    with LOG.open("a") as log:
        log.write(f"{step} {os.getpid()} {time.monotonic()}\n")


def work(line: WorkersEnd) -> int:
    has_begun = LOG.exists() and LOG.read_text().count("begun") >= COUNT
    note("begun")
    if "cannot-start" in HOW or ("cannot-start-again" in HOW and has_begun):
        return CANNOT_START
    if "dies" in HOW:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)  # others that did not wait would begin meanwhile
    signal.signal(signal.SIGTERM, lambda *_: (note("leaving"), line.leave()))
    signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))
    note("ready")
    line.report(0)
    connections: list[socket.socket] = []
    while True:
        for readable in select.select([line, *connections], [], [])[0]:
            if readable is not line:  # its client has closed it
                readable.close()
                connections.remove(readable)
                line.report(len(connections))
                continue
            for received in line.receive():
                if isinstance(received, socket.socket):
                    received.sendall(f"{os.getpid()}\n".encode())
                    connections.append(received)
                    line.report(len(connections))
                else:
                    note(received.name)
                    if received is Order.HURRY or line.is_cut or "lingers" not in HOW:
                        return 0


def without_room(refused: int) -> Callable[[], int]:
    """Return a fork for which there is no room the time before it would be that one's."""
    asked = itertools.count(1)
    fork = os.fork

    def fork_where_there_is_room() -> int:
        if next(asked) == refused:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()

    return fork_where_there_is_room


if "no-room" in HOW:
    os.fork = without_room(COUNT)
elif "no-room-again" in HOW:
    os.fork = without_room(COUNT + 1)

with socket.create_server(("127.0.0.1", 0)) as listening:
    port = listening.getsockname()[1]
    sys.exit(supervise(COUNT, work, listening, lambda: print(port, flush=True)))  # noqa: T201
