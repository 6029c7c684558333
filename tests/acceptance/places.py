"""Every place that sends a sealed representation, for tests that ask all of them the same."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests
from wire import Response, Wire

OURS = "tailrace.server:Protocol"

# Which server, and what of it.
PLACES = {
    "a link of tailrace serve": ("tailrace serve", "link"),
    "a named link of tailrace serve": ("tailrace serve", "named link"),
    "the owner's content of tailrace serve": ("tailrace serve", "content"),
    "FileResponse on our server": (OURS, "file"),
    "a link on uvicorn": ("httptools", "link"),
    "the owner's content on uvicorn": ("httptools", "content"),
    "FileResponse on uvicorn": ("httptools", "file"),
    "FileResponse on uvicorn with h11": ("h11", "file"),
}

EXTENSIONS = {
    "application/octet-stream": "bin",
    "text/plain; charset=utf-8": "txt",
    "text/csv": "csv",
    "text/html": "html",
    "image/png": "png",
    "application/json": "json",
    "audio/mpeg": "mp3",
}


@dataclass
class Place:
    """Where one representation is found, and what is known of it."""

    port: int
    target: str
    content: bytes
    media_type: str
    server: str
    kind: str
    head: Response = field(init=False)
    """What it says of itself when nothing is asked but that."""

    def __post_init__(self) -> None:
        self.head = self.ask("HEAD")

    @property
    def is_ours(self) -> bool:
        """Whether the server is ours, which does what no application can."""
        return self.server in ("tailrace serve", OURS)

    def ask(self, method: str, *lines: tuple[str, str]) -> Response:
        with Wire(self.port) as wire:
            return wire.ask(method, self.target, *lines)

    def fill(self, value: str) -> str:
        """Put in what stands in angle brackets."""
        return re.sub("<([^>]+)>", lambda match: self._filling(match[1]), value)

    def _filling(self, name: str) -> str:
        repeated = re.fullmatch("([0-9]+) (times (.+)|ranges|tags)", name)
        if repeated is None:
            return self.facts()[name]
        count = int(repeated[1])
        match repeated[2]:
            case "ranges":
                return ",".join(f"{n * 10}-{n * 10 + 1}" for n in range(count))
            case "tags":
                return ", ".join(f'"{n}"' for n in range(count))
            case _:
                return repeated[3] * count

    def facts(self) -> dict[str, str]:
        tag = self.head["ETag"]
        opaque = tag.removeprefix("W/").strip('"')
        facts = {
            "tag": tag,
            "opaque": opaque,
            "OPAQUE": opaque.swapcase(),
            "opaque piece": opaque[1:],
        }
        modified = parsedate_to_datetime(self.head["Last-Modified"])
        today = datetime.datetime.now(datetime.UTC)
        second = datetime.timedelta(seconds=1)
        moments = {
            "date": modified,
            "earlier": modified - second,
            "later": modified + second,
            "next year": today.replace(year=today.year + 1, month=1, day=1),
            # With its century cut off, 51 years ahead is what 49 years ago is.
            "51 years ahead": today.replace(year=today.year - 49, month=1, day=1),
        }
        for name, moment in moments.items():
            facts[name] = f"{moment:%a, %d %b %Y %H:%M:%S GMT}"
            facts[f"{name} utc"] = f"{moment:%a, %d %b %Y %H:%M:%S UTC}"
            facts[f"{name} rfc850"] = f"{moment:%A, %d-%b-%y %H:%M:%S GMT}"
            facts[f"{name} asctime"] = f"{moment:%a %b} {moment.day:2} {moment:%H:%M:%S %Y}"
        return facts


class Places:
    """Finds places by name, with a representation of some length and media type there.

    `ports` has the port of each server, and `files` the directory that it sends files from.
    """

    def __init__(self, ports: dict[str, int], files: dict[str, Path]) -> None:
        self._ports = ports
        self._files = files
        self._found: dict[tuple[str, int, str], Place] = {}

    def find(
        self, name: str, length: int, media_type: str = "application/octet-stream"
    ) -> Place:
        key = name, length, media_type
        if key not in self._found:
            server, kind = PLACES[name]
            content = bytes((n * 7 + n // 251) % 256 for n in range(length))
            make: Callable[[str, str, bytes, str], str]
            make = self._lay if kind == "file" else self._store
            target = make(server, kind, content, media_type)
            port = self._ports[server]
            self._found[key] = Place(port, target, content, media_type, server, kind)
        return self._found[key]

    def _lay(self, server: str, kind: str, content: bytes, media_type: str) -> str:
        name = f"{len(content)}.{EXTENSIONS[media_type]}"
        path = self._files[server] / name
        path.write_bytes(content)
        os.utime(path, (1582979696.789, 1582979696.789))
        return f"/file/{name}"

    def _store(self, server: str, kind: str, content: bytes, media_type: str) -> str:
        base = f"http://127.0.0.1:{self._ports[server]}"
        mount = "" if server == "tailrace serve" else "/share"
        answer = requests.put(
            f"{base}{mount}/uploads/some.bin",
            data=content,
            headers={"Content-Type": media_type, "Accept": "application/json"},
            timeout=20,
        )
        answer.raise_for_status()
        file = answer.json()
        named = file["links"][0]["url"].removeprefix(base)
        return {
            "link": named.rpartition("/")[0],
            "named link": named,
            "content": f"{mount}/files/{file['id']}/content",
        }[kind]
