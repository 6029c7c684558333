"""Starting a server, knowing where its files are, and what it has cost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.peers import Ground, Peer

_REPOSITORY = Path(__file__).parent.parent
_PATIENCE_SECONDS = 30.0


class ServerFailed(Exception):
    """A server did not start, or does not answer; the message is what it wrote."""


@dataclass(slots=True)
class Server:
    """A server that runs, with the files that it was given."""

    peer: Peer
    ground: Ground
    process: subprocess.Popen[bytes]
    _links: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return self.ground.port

    def target(self, name: str) -> str:
        """Return where a file is."""
        return self._links.get(name, f"/{name}")

    def put_target(self, name: str) -> str:
        """Return where a file can be put."""
        return self.peer.put_target.format(name=name)

    def cpu_seconds(self) -> float:
        return processes.cpu_seconds(self._family())

    def peak_rss_mib(self) -> float:
        return processes.peak_rss_mib(self._family())

    def threads(self) -> int:
        return processes.threads(self._family())

    def link_of_upload(self) -> str:
        """Return the target of the file whose upload has begun last; wait for a first one."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if files := self._files(limit=1):
                return _target_of(files[0])
        raise ServerFailed("an upload that began has no link")

    def forget_uploads(self) -> None:
        """Remove what was put, so that it takes no memory from what comes next."""
        if self.peer.keeps_its_own:
            kept = set(self._links.values())
            for file in self._files(limit=1000):
                if _target_of(file) not in kept:
                    _request(self.port, "DELETE", f"/files/{file['id']}")
        for path in (self.ground.root / "put").iterdir():
            path.unlink()

    def publish(self, path: Path) -> None:
        """Give a file to a server that keeps its own."""
        with path.open("rb") as content:
            _request(self.port, "PUT", self.put_target(path.name), content)
        self._links[path.name] = self.link_of_upload()

    def _files(self, limit: int) -> list[dict[str, Any]]:
        listed = json.loads(_request(self.port, "GET", f"/files?limit={limit}"))
        files: list[dict[str, Any]] = listed["files"]
        return files

    def _family(self) -> list[int]:
        return processes.family(self.process.pid)


@contextlib.contextmanager
def serving(
    peer: Peer, root: Path, names: Iterable[str], prefix: tuple[str, ...] = ()
) -> Iterator[Server]:
    """Run a server that has the named files of a directory, each read once already.

    `prefix` is put before its command.

    Raises:
        ServerFailed: it did not start.
    """
    with tempfile.TemporaryDirectory(dir=root, prefix=".scratch-") as scratch:
        ground = Ground(root, Path(scratch), _free_port())
        log = Path(scratch) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*prefix, *peer.command(ground)],
                cwd=_REPOSITORY,
                env=_environment() | {"ROOT": str(root)} | dict(peer.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        with process:
            try:
                server = Server(peer, ground, process)
                _await(server, log)
                for name in names:
                    if peer.keeps_its_own:
                        server.publish(root / name)
                    _request(server.port, "GET", server.target(name))
                yield server
            finally:
                process.terminate()
                try:
                    process.wait(_PATIENCE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


def _await(server: Server, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", server.port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise ServerFailed(f"{server.peer.name} did not start: {log.read_text()}")


def _target_of(file: dict[str, Any]) -> str:
    url: str = file["links"][0]["url"]
    return urllib.parse.urlsplit(url).path


def _request(port: int, method: str, target: str, content: object = None) -> bytes:
    """Make a request; return the beginning of the response's content, having read all."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=_PATIENCE_SECONDS, blocksize=2**20
    )
    with contextlib.closing(connection):
        connection.request(method, target, content)  # type: ignore[arg-type]  # a file, or None
        response = connection.getresponse()
        beginning = response.read(2**20)
        while response.read(2**20):
            pass
    if response.status // 100 != 2:
        raise ServerFailed(f"{method} {target} was answered {response.status}")
    return beginning


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _environment() -> dict[str, str]:
    """Return our environment without what is set for other services, and proxies."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TAILRACE_") and not name.lower().endswith("_proxy")
    }
