"""How much memory the service and the client take: peak RSS, for files of any length.

    python benchmarks/memory.py [--gib 4] [--followers 200]

One service does everything in turn, so its figure is the peak so far. Followers are plain
sockets in this process: what they cost is the server's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TAILRACE = Path(sys.executable).with_name("tailrace")
LIMIT_MIB = 80
BLOCK = bytes(1024 * 1024)
FOLLOWED_BYTES = 100 * 1024 * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=4, help="length of the file")
    parser.add_argument("--followers", type=int, default=200)
    parser.add_argument("--scratch", help="a directory with three times the room")
    arguments = parser.parse_args()
    length = int(arguments.gib * 1024**3)
    figures: list[tuple[str, int]] = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as directory:
        scratch = Path(directory)
        source = scratch / "source.bin"
        with source.open("wb") as file:
            file.truncate(length)
        with service(scratch / "data") as (address, serving):
            figures.append(("service, started", peak_mib(serving)))
            put_mib, link = client("put", str(source), "--to", address)
            figures.append((f"tailrace put, {arguments.gib:g} GiB", put_mib))
            figures.append(("service, after it", peak_mib(serving)))
            get_mib, path = client("get", link, "-o", str(scratch / "whole.bin"))
            Path(path).unlink()
            figures.append((f"tailrace get, {arguments.gib:g} GiB", get_mib))
            figures.append(("service, after it", peak_mib(serving)))
            with uploading(address, length):
                follow_mib, path = client("get", newest(address), "-o", str(scratch / "f.bin"))
            Path(path).unlink()
            figures.append((f"tailrace get, following {arguments.gib:g} GiB", follow_mib))
            figures.append(("service, after it", peak_mib(serving)))
        with service(scratch / "data2") as (address, serving):
            with uploading(address, FOLLOWED_BYTES):
                follow_all(newest(address), arguments.followers)
            figures.append((f"service, {arguments.followers} followers", peak_mib(serving)))
    for what, mib in figures:
        print(f"{what:40} {mib:5} MiB{'' if mib <= LIMIT_MIB else f'   over {LIMIT_MIB}'}")
    return 0 if all(mib <= LIMIT_MIB for _, mib in figures) else 1


@contextlib.contextmanager
def service(data: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    serving = subprocess.Popen(
        [TAILRACE, "serve", data, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert serving.stdout is not None
    with serving, serving.stdout:
        try:
            yield serving.stdout.readline().strip(), serving
        finally:
            serving.terminate()


def client(*words: str) -> tuple[int, str]:
    """Run a command of ours; return its peak and the line it printed."""
    with subprocess.Popen([TAILRACE, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read().strip()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"tailrace {words[0]} failed")
    return usage.ru_maxrss // 1024, output


@contextlib.contextmanager
def uploading(address: str, length: int) -> Iterator[None]:
    """Upload zeros as fast as they are taken; on leaving, all have been."""
    host, _, port = address.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)))
    head = f"PUT /uploads/zeros HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode())
    sender = threading.Thread(target=_send_zeros, args=(connection, length))
    sender.start()
    while "zeros" not in newest(address):
        time.sleep(0.01)
    yield
    sender.join()
    connection.close()


def _send_zeros(connection: socket.socket, length: int) -> None:
    for start in range(0, length, len(BLOCK)):
        connection.sendall(BLOCK[: length - start])
    connection.recv(65536)


def newest(address: str) -> str:
    with urllib.request.urlopen(f"{address}/files?limit=1") as response:
        files: list[dict[str, Any]] = json.load(response)["files"]
    return files[0]["links"][0]["url"] if files else ""


def follow_all(link: str, count: int) -> None:
    address, _, path = link.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    received: dict[socket.socket, int] = {}
    buffer = bytearray(len(BLOCK))
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            follower = socket.create_connection((host, int(port)))
            request = f"GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            follower.sendall(request.encode())
            follower.setblocking(False)
            selector.register(follower, selectors.EVENT_READ)
            received[follower] = 0
        following = count
        while following:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                got = key.fileobj.recv_into(buffer)
                received[key.fileobj] += got
                if got == 0:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    following -= 1
    if min(received.values()) < FOLLOWED_BYTES:
        raise SystemExit("a follower did not get the whole file")


def peak_mib(process: subprocess.Popen[str]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+)", status)
    assert peak is not None
    return int(peak[1]) // 1024


if __name__ == "__main__":
    sys.exit(main())
