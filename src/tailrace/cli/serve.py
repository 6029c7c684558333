"""`tailrace serve`: the service, on its embedded default until told otherwise."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import fcntl
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from tailrace import __version__
from tailrace.asgi.app import Tailrace, application
from tailrace.cli.discovery import find_producers, shipped_producers
from tailrace.cli.outcomes import DONE, FAILED
from tailrace.cli.terminal import complain
from tailrace.errors import ConfigurationError, TailraceError
from tailrace.server import Protocol

SUMMARY = "run the service"

# glibc's mallopt: M_ARENA_MAX.
_M_ARENA_MAX = -8

# To give up a file takes some milliseconds.
_SECONDS_TO_CUT = 5.0


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
    _log_to_standard_error()
    try:
        _run(arguments)
    except ConfigurationError as exc:  # the command is right; this machine is not as it says
        complain(str(exc))
        return FAILED
    return DONE


def _run(arguments: argparse.Namespace) -> None:
    with _listener(arguments.host, arguments.port) as listener:
        here = _address(arguments.host, listener)
        public = arguments.url
        if public is None and _is_loopback(arguments.host):
            public = here  # a Host field is the word of whoever asks
        tailrace = Tailrace(arguments.dir, catalogue=arguments.catalogue, public_url=public)
        for producer in (*shipped_producers(), *find_producers(arguments.producers)):
            tailrace.add(producer)
        grace_seconds = tailrace.settings.grace_seconds
        config = uvicorn.Config(
            application(tailrace, _local_names(arguments.host, public)),
            log_config=None,
            access_log=False,  # it would write the tokens of links
            lifespan="off",  # entered below, where its errors are told in a sentence
            timeout_graceful_shutdown=grace_seconds,  # type: ignore[arg-type]  # any number does
            server_header=False,
            http=Protocol,
        )
        # The server puts this handler back when it has stopped and raises the signal again.
        signal.signal(signal.SIGTERM, lambda *_: None)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as loop:
            server = _Server(config, here, tailrace)
            loop.run(_serve(tailrace, server, arguments.host, listener))


async def _serve(
    tailrace: Tailrace, server: uvicorn.Server, host: str, listener: socket.socket
) -> None:
    data = Path(tailrace.settings.data)
    with _alone_in(data):
        async with tailrace.lifespan():
            if not _is_loopback(host) and not await tailrace.service.catalogue.credentials():
                raise ConfigurationError(
                    f"listening on {host} without a key would let anyone in: make one with"
                    f" `tailrace key add NAME --data {data}`, or listen on 127.0.0.1"
                )
            try:
                await server.serve(sockets=[listener])
            finally:
                await _cut(server.server_state.tasks)


async def _cut(requests: set[asyncio.Task[None]]) -> None:
    """End the requests that the server has left, while there is still a service for them."""
    for request in requests:
        request.cancel()
    if requests:
        await asyncio.wait(requests, timeout=_SECONDS_TO_CUT)


class _Server(uvicorn.Server):
    """A server that says where it is as soon as it listens, and nothing else on standard
    output."""

    def __init__(self, config: uvicorn.Config, address: str, tailrace: Tailrace) -> None:
        super().__init__(config)
        self._address = address
        self._tailrace = tailrace

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._address, flush=True)
        _welcome(self._address, Path(self._tailrace.settings.data))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Side by side, so that transfers and runs have one grace time, not two.
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(self._tailrace.service.jobs.stop())
            await super().shutdown(sockets)
            if self.force_exit:  # asked twice
                stopping.cancel()


def _welcome(address: str, data: Path) -> None:
    print(
        f"tailrace {__version__} keeps its files and their catalogue in {data.absolute()}\n"
        "To try it, in another terminal:\n"
        f"  curl -T FILE {address}/uploads/     upload a file; prints its link\n"
        f"  tailrace put FILE --to {address}    the same, resumable, link first",
        file=sys.stderr,
        flush=True,
    )


@contextlib.contextmanager
def _listener(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as exc:
        reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc
        raise ConfigurationError(
            f"cannot listen on {host} port {port} ({reason}): choose another with --port, or 0"
            " for a free one"
        ) from exc
    with listener:
        yield listener


@contextlib.contextmanager
def _alone_in(data: Path) -> Iterator[None]:
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
        yield


def _address(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _local_names(host: str, public: str | None) -> frozenset[str] | None:
    """Return the names of a service that only this machine reaches; None for others."""
    if not _is_loopback(host):
        return None
    names = {host, urlsplit(public).hostname if public else None}
    return frozenset(name for name in names if name)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def _share_one_arena() -> None:
    """Have all threads share one arena of malloc.

    By default glibc gives each thread its own, and what one has freed is not there for the
    others: with 200 followers of one growing file that was 50 MiB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


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
