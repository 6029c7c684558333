"""What the tests of the command line share."""

import os
import sys
from pathlib import Path

import pytest

# The servers that the tests of the client speak to; see the conftest there.
sys.path.insert(0, str(Path(__file__).parents[1] / "client"))


@pytest.fixture(autouse=True)
def _environment_of_nobody(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    for name in os.environ:
        if name.startswith("TAILRACE_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def in_directory(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run a command in this process; give its status and what it said."""
    from tailrace.cli import main

    def run(*words):
        try:
            status = main([str(word) for word in words])
        except SystemExit as exc:  # argparse leaves so
            status = exc.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return run
