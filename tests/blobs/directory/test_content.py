"""The bytes of an open file."""

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.blobs.directory import content
from tailrace.errors import StorageUnavailable
from tailrace.spans import Span


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def test_a_span_is_read_whole_though_the_system_gives_it_in_pieces(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, count, offset: pread(fd, min(count, 3), offset))
    assert content.read(descriptor, Span(1, 10)) == b"123456789"


@pytest.mark.parametrize(
    ("span", "expected"), [(Span(8, 12), b"89"), (Span(10, 12), b""), (Span(4, 4), b"")]
)
def test_a_read_past_the_end_gives_what_there_is(
    descriptor: int, span: Span, expected: bytes
) -> None:
    assert content.read(descriptor, span) == expected


class ShortWrites:
    """A pwritev into memory that takes as many bytes as it is told to, call by call."""

    def __init__(self, counts: Iterator[int]) -> None:
        self.written = bytearray(b"####")
        self._counts = counts

    def __call__(self, descriptor: int, buffers: list[memoryview], offset: int) -> int:
        assert offset == len(self.written)
        assert 0 < len(buffers) <= 1024
        taken = b"".join(buffers)[: next(self._counts)]
        self.written += taken
        return len(taken)


@given(st.lists(st.binary(max_size=9), max_size=12), st.lists(st.integers(1, 20), min_size=120))
def test_however_little_the_system_takes_all_is_written_in_order(
    chunks: list[bytes], counts: list[int]
) -> None:
    writes = ShortWrites(itertools.cycle(counts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwritev", writes)
        lengths = list(content.write(-1, 4, chunks))
    assert writes.written == b"####" + b"".join(chunks)
    assert lengths == sorted(set(lengths))
    assert [4, *lengths][-1] == len(writes.written)


def test_more_chunks_than_one_call_takes_are_written(descriptor: int) -> None:
    chunks = [b"%04d" % n for n in range(2500)]
    lengths = list(content.write(descriptor, 10, chunks))
    assert lengths == [10 + 4096, 10 + 8192, 10 + 10_000]
    assert os.pread(descriptor, 20_000, 10) == b"".join(chunks)


def test_nothing_to_write_asks_nothing_of_the_system(descriptor: int) -> None:
    assert list(content.write(-1, 0, [b"", b""])) == []


@pytest.fixture
def source(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "source"
    path.write_bytes(b"0123456789")
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def refusing(code: int) -> Callable[..., int]:
    def copy_file_range(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    return copy_file_range


@pytest.mark.parametrize(
    "code", [None, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP]
)
def test_a_span_is_copied_also_where_the_system_cannot_do_it_alone(
    descriptor: int, source: int, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    if code is not None:
        monkeypatch.setattr(os, "copy_file_range", refusing(code), raising=False)
        monkeypatch.setattr(content, "_COPIED_BYTES", 3)
    lengths = list(content.copy(source, Span(1, 9), descriptor, 10))
    assert lengths[-1] == 18
    assert lengths == sorted(set(lengths))
    assert os.pread(descriptor, 20, 10) == b"12345678"


def test_any_other_failure_of_the_system_is_one(
    descriptor: int, source: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "copy_file_range", refusing(errno.ENOSPC), raising=False)
    with pytest.raises(OSError, match="space"):
        list(content.copy(source, Span(0, 10), descriptor, 0))


def test_a_span_that_is_not_all_there_is_not_taken_for_whole(
    descriptor: int, source: int
) -> None:
    with pytest.raises(StorageUnavailable, match="end at 10"):
        list(content.copy(source, Span(5, 11), descriptor, 0))
