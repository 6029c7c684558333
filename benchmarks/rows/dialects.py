"""Uploads in other forms than one raw content: multipart/form-data, and tus in pieces."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import urllib.parse
from pathlib import Path

from benchmarks.measures import GB, MIB, PEAK_RSS, RATE, SERVER_CPU, Figures, Measure
from benchmarks.peers import LINK, NO_DIGEST, STARLETTE
from benchmarks.rows.row import Processors, Row, Target
from benchmarks.servers import ServerFailed
from benchmarks.trials import LARGE, Trial, prepare, touch

_PATCH_BYTES = 8 * MIB
_BOUNDARY = "----------boundary"

_WHOLE_RATE = Measure("one PATCH, GB/s", 2)
_SHARE = Measure("of it in PATCHes of 8 MiB", 2)


class _Client:
    """One connection, on which content is sent by sendfile."""

    def __init__(self, port: int, source: Path) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._answers = self._connection.makefile("rb")
        self._source = source.open("rb", buffering=0)

    def close(self) -> None:
        for part in (self._answers, self._connection, self._source):
            part.close()

    def ask(
        self,
        method: str,
        target: str,
        fields: dict[str, str],
        *,
        start: int = 0,
        count: int = 0,
        around: tuple[bytes, bytes] = (b"", b""),
    ) -> dict[str, str]:
        """Make a request with a part of the source, and what stands around it; return the
        fields of the answer, by names in lower case."""
        before, after = around
        fields = {
            "Host": "127.0.0.1",
            "Content-Length": str(len(before) + count + len(after)),
            **fields,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._connection.sendall(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + before)
        self._connection.settimeout(None)  # sendfile wants to block
        stop = start + count
        while start < stop:
            start += os.sendfile(
                self._connection.fileno(), self._source.fileno(), start, stop - start
            )
        self._connection.settimeout(60)
        self._connection.sendall(after)
        return self._answer(f"{method} {target}")

    def _answer(self, what: str) -> dict[str, str]:
        status_line = self._answers.readline().decode()
        lines = iter(lambda: self._answers.readline().decode().strip(), "")
        fields = dict(line.split(": ", 1) for line in lines)
        fields = {name.lower(): value for name, value in fields.items()}
        self._answers.read(int(fields.get("content-length", "0")))
        if status_line.split()[1][0] != "2":
            raise ServerFailed(f"{what} was answered {status_line.strip()}")
        return fields


def _post_form(trial: Trial) -> Figures:
    length = trial.scale.large_bytes
    prepare(trial.root / LARGE, length)
    touch(trial.root, length)
    target = "/uploads" if trial.server.peer.keeps_its_own else "/form"
    head = (
        f"--{_BOUNDARY}\r\nContent-Type: application/octet-stream\r\n"
        'Content-Disposition: form-data; name="file"; filename="form.bin"\r\n\r\n'
    )
    around = (head.encode(), f"\r\n--{_BOUNDARY}--\r\n".encode())
    fields = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    before = trial.server.cpu_seconds()
    with contextlib.closing(_Client(trial.server.port, trial.root / LARGE)) as client:
        begun_at = time.monotonic()
        client.ask("POST", target, fields, count=length, around=around)
        seconds = time.monotonic() - begun_at
    used = trial.server.cpu_seconds() - before
    trial.server.forget_uploads()
    return {
        RATE: length / GB / seconds,
        SERVER_CPU: used / (length / GB),
        PEAK_RSS: trial.server.peak_rss_mib(),
    }


def _patch(trial: Trial) -> Figures:
    length = trial.scale.large_bytes
    prepare(trial.root / LARGE, length)
    whole = _rate_in_patches(trial, length)
    rate = _rate_in_patches(trial, _PATCH_BYTES)
    return {RATE: rate, _WHOLE_RATE: whole, _SHARE: rate / whole}


def _rate_in_patches(trial: Trial, most: int) -> float:
    """Upload by tus in requests of a length; return the rate."""
    length = trial.scale.large_bytes
    touch(trial.root, length)
    version = {"Tus-Resumable": "1.0.0"}
    with contextlib.closing(_Client(trial.server.port, trial.root / LARGE)) as client:
        begun_at = time.monotonic()
        begun = client.ask("POST", "/uploads", {**version, "Upload-Length": str(length)})
        target = urllib.parse.urlsplit(begun["location"]).path
        fields = {**version, "Content-Type": "application/offset+octet-stream"}
        for start in range(0, length, most):
            client.ask(
                "PATCH",
                target,
                {**fields, "Upload-Offset": str(start)},
                start=start,
                count=min(most, length - start),
            )
        seconds = time.monotonic() - begun_at
    trial.server.forget_uploads()
    return length / GB / seconds


ROWS = (
    Row(
        name="form",
        title="1 GiB in a form, 1 connection",
        how="Starlette parses the form and spools its file to /tmp; nothing is done with it"
        " there. tailrace keeps it, computes its SHA-256, and lets others follow meanwhile.",
        peers=(LINK, NO_DIGEST, STARLETTE),
        measure=_post_form,
        targets=(Target(RATE, LINK, at_least=3.0, times=STARLETTE),),
        rounds=3,
        baseline=STARLETTE,
        processors=Processors.SHARED,
    ),
    Row(
        name="tus",
        title="1 GiB by tus, in PATCHes of 8 MiB, 1 connection",
        how="Each is acknowledged when it would survive a power cut, were this a disk.",
        peers=(LINK, NO_DIGEST),
        measure=_patch,
        targets=(Target(_SHARE, LINK, at_least=0.8),),
        rounds=3,
        processors=Processors.SHARED,
    ),
)
