"""What the tests of the stores share."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.blobs.directory import DirectoryBlobs


@pytest.fixture
def open_files(tmp_path: Path) -> Callable[[], list[str]]:
    """Return the names of all files below `tmp_path` that this process has open."""

    def open_files() -> list[str]:
        names = []
        for descriptor in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):  # that of the listing itself
                names.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        return [name for name in names if name.startswith(str(tmp_path))]

    return open_files


@pytest.fixture(autouse=True)
def no_file_is_left_open(open_files: Callable[[], list[str]]) -> Iterator[None]:
    yield
    assert open_files() == []


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DirectoryBlobs]:
    store = DirectoryBlobs(tmp_path / "blobs", poll_seconds=0.002)
    yield store
    await store.close()


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[DirectoryBlobs]:
    """A second store on the same directory, which knows no more of the first than a process."""
    store = DirectoryBlobs(tmp_path / "blobs", poll_seconds=0.002)
    yield store
    await store.close()


class Gate:
    """Holds up calls of one function until it is opened."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.is_reached = threading.Event()
        self._opens = threading.Event()
        self._function = function

    def __call__(self, *args: Any) -> Any:
        self.is_reached.set()
        assert self._opens.wait(10)
        return self._function(*args)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self.is_reached.wait, 10)

    def open(self) -> None:
        self._opens.set()


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Gate]:
    """Put a gate before a function of `os`."""

    def gated(name: str) -> Gate:
        gate = Gate(getattr(os, name))
        monkeypatch.setattr(os, name, gate)
        return gate

    return gated
