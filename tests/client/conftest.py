"""What the tests of the client share."""

import sys
from pathlib import Path

import pytest

from tailrace.client.connections import Timeouts
from tailrace.client.moves import Patience

# With --import-mode=importlib nothing else lets tests import what stands beside them.
sys.path.insert(0, str(Path(__file__).parent))

PROXY_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch):
    for name in PROXY_NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def quick():
    """Arguments with which trouble is over soon."""
    return {
        "patience": Patience(tries=3, first_pause_seconds=0.001),
        "timeouts": Timeouts(connect_seconds=5, stall_seconds=5),
    }
