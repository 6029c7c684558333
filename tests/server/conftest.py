"""What the tests of the server share: an application served in a thread, on both loops."""

import os
import sys
from pathlib import Path

import pytest

from tailrace.server import Limits

# With --import-mode=importlib nothing else lets tests import what stands beside them.
sys.path.insert(0, str(Path(__file__).parent))

from serving import Served  # needs the path above


@pytest.fixture(scope="session", params=["uvloop", "asyncio"])
def served(request):
    """A server; each test gives it its own `app`."""
    with Served(loop=request.param) as served:
        yield served


@pytest.fixture
def limits(served, monkeypatch):
    """Change limits, for the connections to come."""

    def change(**changes):
        monkeypatch.setattr(served.protocol, "limits", Limits(**changes))

    return change


@pytest.fixture
def nothing_left(served):
    """The test leaves no connection, task or descriptor behind."""
    served.settle()
    before = len(os.listdir("/proc/self/fd"))
    yield
    served.settle()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture(scope="session")
def content():
    """300 KiB of which no two stretches are alike."""
    return b"".join(number.to_bytes(4, "big") for number in range(75 * 1024))


@pytest.fixture(scope="session")
def path(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("files") / "content.bin"
    path.write_bytes(content)
    return path


@pytest.fixture(scope="session")
def long_path(tmp_path_factory):
    """A file longer than any socket buffer."""
    path = tmp_path_factory.mktemp("files") / "long.bin"
    path.write_bytes(bytes(range(256)) * (64 * 1024))
    return path
