"""The servers: each is one worker, on loopback, and serves the directory that it is given."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a server stands."""

    root: Path
    """What it serves: `GET /{name}` is a file here, `PUT /put/{name}` writes one in `put`."""

    scratch: Path
    """An empty directory of its own, on the same file system."""

    port: int


@dataclass(frozen=True, slots=True)
class Peer:
    """A server under measurement."""

    name: str
    command: Callable[[Ground], list[str]]
    program: Path
    """What has to be installed for it."""

    put_target: str = "/put/{name}"
    keeps_its_own: bool = False
    """Whether files have to be uploaded to be served, and have links."""

    environment: tuple[tuple[str, str], ...] = ()

    def is_installed(self) -> bool:
        return self.program.exists()


def _nginx(tuning: Mapping[str, str]) -> Callable[[Ground], list[str]]:
    def command(ground: Ground) -> list[str]:
        configuration = ground.scratch / "nginx.conf"
        configuration.write_text(_nginx_conf(ground, tuning))
        return [
            str(_NGINX),
            "-e",
            "stderr",
            "-p",
            f"{ground.scratch}/",
            "-c",
            str(configuration),
        ]

    return command


def _nginx_conf(ground: Ground, tuning: Mapping[str, str]) -> str:
    """Return what Debian's nginx.conf sets for files, with one worker and without a log."""
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "\n    ".join(
        f"{name}_temp_path {ground.scratch}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {NOFILE};
pid {ground.scratch}/pid;
events {{ worker_connections {NOFILE - 100}; }}
http {{
    {temporary}
    sendfile on;
    tcp_nopush on;
    access_log off;
    types {{ }}
    default_type application/octet-stream;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    {tuning.get("client_body_buffer_size", "")}
    server {{
        listen 127.0.0.1:{ground.port} {tuning.get("listen", "")};
        root {ground.root};
        location /put/ {{ dav_methods PUT; }}
    }}
}}
"""


def _uvicorn(app: str, *options: str) -> Callable[[Ground], list[str]]:
    def command(ground: Ground) -> list[str]:
        return [
            *(sys.executable, "-m", "uvicorn", f"benchmarks.apps.{app}:app"),
            *("--host", "127.0.0.1", "--port", str(ground.port), "--loop", "uvloop"),
            *("--no-access-log", "--log-level", "warning"),
            *options,
        ]

    return command


def _aiohttp(ground: Ground) -> list[str]:
    return [sys.executable, "-m", "benchmarks.apps.aiohttp_app", str(ground.port)]


def _granian(ground: Ground) -> list[str]:
    return [
        *(str(_GRANIAN), "--interface", "asgi", "--workers", "1", "--log-level", "warning"),
        *("--host", "127.0.0.1", "--port", str(ground.port), "--no-ws"),
        "benchmarks.apps.starlette_app:app",
    ]


def _serve(ground: Ground) -> list[str]:
    return [str(_TAILRACE), "serve", str(ground.scratch / "data"), "--port", str(ground.port)]


# As many open files as all servers may have; ten thousand connections and room.
NOFILE = 16384

_NGINX = Path(shutil.which("nginx", path=f"{os.defpath}:/usr/sbin:/usr/local/sbin") or "nginx")
_GRANIAN = _BIN / "granian"
_TAILRACE = _BIN / "tailrace"
_UVICORN = _BIN / "uvicorn"
_OURS = ("--http", "tailrace.server:Protocol")

NGINX = Peer("nginx", _nginx({}), _NGINX)
NGINX_TUNED = Peer(
    "nginx, tuned",
    _nginx({"listen": "sndbuf=256k", "client_body_buffer_size": "client_body_buffer_size 1m;"}),
    _NGINX,
)
STARLETTE = Peer(
    "Starlette on uvicorn", _uvicorn("starlette_app", "--http", "httptools"), _UVICORN
)
AIOHTTP = Peer("aiohttp", _aiohttp, Path(sys.executable))
GRANIAN = Peer("Starlette on granian", _granian, _GRANIAN)
RESPONSE = Peer("tailrace.FileResponse", _uvicorn("tailrace_app", *_OURS), _UVICORN)
UNCHANGED = Peer("Starlette on tailrace.server", _uvicorn("starlette_app", *_OURS), _UVICORN)
LINK = Peer(
    "tailrace serve", _serve, _TAILRACE, put_target="/uploads/{name}", keeps_its_own=True
)
NO_DIGEST = replace(
    LINK, name="tailrace serve, no digest", environment=(("TAILRACE_DIGEST", "none"),)
)

PEERS = (
    *(NGINX, NGINX_TUNED, STARLETTE, AIOHTTP, GRANIAN),
    *(RESPONSE, UNCHANGED, LINK, NO_DIGEST),
)
