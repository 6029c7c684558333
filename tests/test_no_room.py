"""POSIX.1-2024, write(): the errors that say that there is no room."""

import subprocess
import sys

import pytest

from tailrace.no_room import NO_ROOM

WRITE_BEYOND_THE_LIMIT = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4))
try:
    with open(sys.argv[1], "wb", buffering=0) as file:
        file.write(b"abcd")
        file.write(b"e")
except OSError as error:
    print(error.errno)
"""


def test_a_full_disk_has_no_room():
    with open("/dev/full", "wb", buffering=0) as full:
        with pytest.raises(OSError, match="No space") as refused:
            full.write(b"a")
    assert refused.value.errno in NO_ROOM


def test_a_file_that_is_as_long_as_it_may_be_has_no_room(tmp_path):
    command = [sys.executable, "-c", WRITE_BEYOND_THE_LIMIT, tmp_path / "file"]
    said = subprocess.run(command, capture_output=True, check=True, text=True)
    assert int(said.stdout) in NO_ROOM
