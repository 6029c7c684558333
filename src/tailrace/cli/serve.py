"""`tailrace serve`: the service, on its embedded default until told otherwise."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import fcntl
import logging
import math
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from tailrace import __version__
from tailrace.asgi.app import Tailrace
from tailrace.cli.discovery import find_producers, installed_producers, shipped_producers
from tailrace.cli.lines import WorkersEnd
from tailrace.cli.listening import address_of, is_loopback, listener
from tailrace.cli.outcomes import DONE, FAILED
from tailrace.cli.serving import serve, serve_over
from tailrace.cli.terminal import complain
from tailrace.cli.workers import CANNOT_START, supervise
from tailrace.errors import ConfigurationError, TailraceError
from tailrace.settings import Settings

SUMMARY = "run the service"

# glibc's mallopt: M_ARENA_MAX.
_M_ARENA_MAX = -8

# Far more than the cores of any machine, and few enough to be no mistake in typing.
_MOST_WORKERS = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    environ = os.environ
    parser.add_argument(
        "dir",
        nargs="?",
        default=environ.get("TAILRACE_DATA", "tailrace-data"),
        metavar="DIR",
        help="where files and the catalogue rest (TAILRACE_DATA; default: %(default)s)",
    )
    parser.add_argument(
        "--host",
        default=environ.get("TAILRACE_HOST", "127.0.0.1"),
        help="the address to listen on (TAILRACE_HOST; default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=environ.get("TAILRACE_PORT", "8000"),
        help="the port to listen on; 0 takes a free one (TAILRACE_PORT; default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=_count,
        default=environ.get("TAILRACE_WORKERS", "1"),
        metavar="N",
        help="how many processes serve; one for each core is enough (TAILRACE_WORKERS;"
        " default: %(default)s)",
    )
    parser.add_argument(
        "--producers",
        action="append",
        default=environ.get("TAILRACE_PRODUCERS", "").split(),
        metavar="MODULE[:NAME]",
        help="offer the producers of a module, or one of them; may be repeated"
        " (TAILRACE_PRODUCERS: several, with spaces between)",
    )
    parser.add_argument(
        "--catalogue",
        metavar="URL",
        default=environ.get("TAILRACE_CATALOGUE"),
        help="an SQLAlchemy URL (TAILRACE_CATALOGUE; default: SQLite in DIR)",
    )
    parser.add_argument(
        "--url",
        default=environ.get("TAILRACE_PUBLIC_URL"),
        help="the public address that links begin with (TAILRACE_PUBLIC_URL)",
    )


def run(arguments: argparse.Namespace) -> int:
    _share_one_arena()
    _allow_many_files()
    _log_to_standard_error()
    try:
        return _run(arguments)
    except ConfigurationError as exc:  # the command is right; this machine is not as it says
        complain(str(exc))
        return FAILED


def _run(arguments: argparse.Namespace) -> int:
    with listener(arguments.host, arguments.port) as listening:
        here = address_of(arguments.host, listening)
        public = arguments.url
        if public is None and is_loopback(arguments.host):
            public = here  # a Host field is the word of whoever asks
        given = {"catalogue": arguments.catalogue, "public_url": public}
        tailrace = Tailrace(arguments.dir, **given)
        data = Path(tailrace.settings.data)
        with _alone_in(data) as lock:
            announce = partial(_announce, here, data)
            if arguments.workers == 1:
                _offer_producers(tailrace, arguments.producers)
                serve(tailrace, arguments.host, listening, announce)
                return DONE

            def work(line: WorkersEnd) -> int:
                lock.close()  # or a service that lost its parent would hold off the next
                share = _share(tailrace.settings, arguments.workers)
                return _work(Tailrace(arguments.dir, **given, **share), arguments, line)

            return supervise(arguments.workers, work, listening, announce)


def _work(tailrace: Tailrace, arguments: argparse.Namespace, line: WorkersEnd) -> int:
    try:
        _offer_producers(tailrace, arguments.producers)
        serve_over(line, tailrace, arguments.host)
    except ConfigurationError as exc:
        complain(str(exc))
        return CANNOT_START
    return DONE


def _offer_producers(tailrace: Tailrace, places: Sequence[str]) -> None:
    found = (*shipped_producers(), *installed_producers(), *find_producers(places))
    for producer in found:
        tailrace.add(producer)


def _share(settings: Settings, workers: int) -> dict[str, int]:
    """Return what each worker may do of that which is counted for the whole service."""
    return {"jobs": math.ceil(settings.jobs / workers)}


def _announce(address: str, data: Path) -> None:
    print(address, flush=True)
    print(
        f"tailrace {__version__} keeps its files and their catalogue in {data.absolute()}\n"
        "To try it, in another terminal:\n"
        f"  curl -T FILE {address}/uploads/     upload a file; prints its link\n"
        f"  tailrace put FILE --to {address}    the same, resumable, link first",
        file=sys.stderr,
        flush=True,
    )


@contextlib.contextmanager
def _alone_in(data: Path) -> Iterator[TextIO]:
    """Hold the data directory for one service; the kernel lets go of it with the process."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.fdopen(os.open(data / "serve.lock", flags, 0o600), "r+")
    except OSError as exc:
        raise ConfigurationError(
            f"the data directory {str(data)!r} cannot be written ({exc.strerror}): make it"
            " writable for this user, or give another one"
        ) from exc
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            lock.seek(0)
            raise ConfigurationError(
                f"another tailrace serve (process {lock.read().strip() or 'unknown'}) uses"
                f" {str(data)!r}: stop it, or give another directory"
            ) from exc
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def _count(text: str) -> int:
    count = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= count <= _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"workers are a number from 1 to {_MOST_WORKERS}")
    return count


def _share_one_arena() -> None:
    """Have all threads share one arena of malloc.

    By default glibc gives each thread its own, and what one has freed is not there for the
    others: with 200 followers of one growing file that was 50 MiB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def _allow_many_files() -> None:
    """Have as many files open at once as this user may: each connection is one.

    The limit that is in force is a lower one, for programs that use `select`.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems call a limit what is none
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _log_to_standard_error() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(_in_one_line)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _in_one_line(record: logging.LogRecord) -> bool:
    """Tell what we raise on purpose, to have a response cut, without a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    is_meant = isinstance(error, TailraceError | asyncio.CancelledError)
    if is_meant and record.name == "uvicorn.error":
        reason = error if isinstance(error, TailraceError) else "its time to finish is over"
        record.msg, record.args = f"a response was cut off: {reason}", ()
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
