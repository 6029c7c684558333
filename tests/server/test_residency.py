"""Needs a file system whose pages can be dropped: not one that is in memory by itself."""

import errno
import mmap
import os
import threading

import pytest

from tailrace.server import residency

KIB = 1024
LENGTH = 1024 * KIB


@pytest.fixture
def descriptor(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(LENGTH))
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def cold(tmp_path):
    """A file that was written past the page cache."""
    for name in ("tried", "cold"):
        with mmap.mmap(-1, LENGTH) as content:  # in whole pages, as O_DIRECT wants it
            content[:] = os.urandom(LENGTH)
            try:
                descriptor = os.open(
                    tmp_path / name, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600
                )
            except OSError:
                pytest.skip("this file system keeps its files in memory")
            os.write(descriptor, content)
            os.close(descriptor)
        descriptor = os.open(tmp_path / name, os.O_RDONLY)
        # Found out with a file of its own: to look for a page is to have it read.
        if name == "tried":
            is_in_memory = residency.resident_stop(descriptor, 0, LENGTH) == LENGTH
            os.close(descriptor)
            if is_in_memory:
                pytest.skip("this file system keeps its files in memory")
    yield descriptor
    os.close(descriptor)


def test_what_was_just_written_is_resident(descriptor):
    assert residency.resident_stop(descriptor, 0, LENGTH) == LENGTH


def test_a_span_within_a_stride_is_looked_for_too(descriptor):
    assert residency.resident_stop(descriptor, 1000, 1001) == 1001


# To look for a page is to have it read, and a fast disk has read the first one by the time
# the kernel looks again. It has not read all of them.
def test_what_was_never_read_is_not_resident(cold):
    assert residency.resident_stop(cold, 0, LENGTH) < LENGTH


def test_it_stops_at_the_first_stride_that_is_missing(cold):
    os.posix_fadvise(cold, 0, 0, os.POSIX_FADV_RANDOM)  # nothing is read ahead
    os.pread(cold, 512 * KIB, 0)
    assert 512 * KIB <= residency.resident_stop(cold, 0, LENGTH) < LENGTH


def test_a_file_that_has_ended_needs_no_disk(descriptor):
    assert residency.resident_stop(descriptor, LENGTH, 2 * LENGTH) == 2 * LENGTH


def test_where_the_file_system_cannot_tell_nothing_counts_as_resident(descriptor, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, "")

    monkeypatch.setattr(os, "preadv", unsupported)
    assert residency.resident_stop(descriptor, 5, LENGTH) == 5


def test_reading_ahead_makes_it_resident(cold):
    residency.read_ahead(cold, 0, LENGTH).result(10)
    assert residency.resident_stop(cold, 0, LENGTH) == LENGTH


def test_what_would_have_to_be_waited_for_is_not_resident(descriptor, monkeypatch):
    def block(*_):
        raise BlockingIOError

    monkeypatch.setattr(os, "preadv", block)
    assert residency.resident_stop(descriptor, 0, LENGTH) == 0


def test_a_descriptor_closed_meanwhile_does_not_matter(cold, monkeypatch):
    """The thread must not read what has its number by then."""
    may_go_on = threading.Event()
    touch = residency._touch

    def delayed(*arguments):
        may_go_on.wait()
        touch(*arguments)

    monkeypatch.setattr(residency, "_touch", delayed)
    own = os.dup(cold)
    reading = residency.read_ahead(own, 0, LENGTH)
    os.close(own)
    may_go_on.set()
    reading.result(10)
    assert residency.resident_stop(cold, 0, LENGTH) == LENGTH


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_reading_ahead_leaves_no_descriptor(descriptor, is_cancelled, monkeypatch):
    before = len(os.listdir("/proc/self/fd"))
    may_go_on = threading.Event()
    monkeypatch.setattr(residency, "_touch", lambda *_: may_go_on.wait())
    readings = [residency.read_ahead(descriptor, 0, 1) for _ in range(9)]  # of eight threads
    assert len(os.listdir("/proc/self/fd")) == before + 9
    if is_cancelled:
        assert readings.pop().cancel()
        assert len(os.listdir("/proc/self/fd")) == before + 8
    may_go_on.set()
    together = threading.Barrier(8)
    readings += [residency._readers.submit(together.wait) for _ in range(8)]
    for reading in readings:
        reading.result(10)
    assert len(os.listdir("/proc/self/fd")) == before
