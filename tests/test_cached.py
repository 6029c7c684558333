"""What the kernel has at hand."""

import ctypes
import errno
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tailrace import cached

CONTENT = b"0123456789"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def descriptor(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def all_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every file system can tell what is in memory; with this, each can."""

    def preadv(descriptor: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        assert flags == os.RWF_NOWAIT
        content = os.pread(descriptor, len(buffers[0]), offset)
        buffers[0][: len(content)] = content
        return len(content)

    monkeypatch.setattr(os, "preadv", preadv)


@pytest.fixture
def never_looked_up() -> Iterator[Path]:
    """A regular file whose name cannot be in memory: that of a thread just begun."""
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    yield Path(f"/proc/{os.getpid()}/task/{thread.native_id}/comm")
    ended.set()
    thread.join()


def numbers_in_use() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- opening ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Path, str])
def test_a_file_whose_name_is_in_memory_is_opened(
    path: Path, kind: Callable[[Path], Path | str]
) -> None:
    assert cached.is_regular(kind(path))
    with cached.open_regular(kind(path), 0) as file:
        assert file.read() == CONTENT
        assert not os.get_inheritable(file.fileno())


def test_a_name_that_a_disk_would_have_to_tell_is_not_waited_for(never_looked_up: Path) -> None:
    assert cached.open_regular(never_looked_up, 0) is None
    assert not cached.is_regular(never_looked_up)
    assert cached.read_regular(never_looked_up, 0, 100) is None
    never_looked_up.stat()
    assert cached.is_regular(never_looked_up)
    cached.open_regular(never_looked_up, 0).close()


def test_a_relative_name_is_looked_up_where_the_process_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    with cached.open_regular(path.name, 0) as file:
        assert file.read() == CONTENT


def test_a_link_is_followed_unless_it_is_not_to_be(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path.name)
    link.stat()
    with cached.open_regular(link, 0) as file:
        assert file.read() == CONTENT
    assert cached.open_regular(link, os.O_NOFOLLOW) is None


def a_directory(path: Path) -> None:
    path.mkdir()


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def nothing(path: Path) -> None:
    pass


@pytest.mark.parametrize("make", [a_directory, a_socket, os.mkfifo, nothing])
def test_what_is_no_regular_file_is_left_to_a_thread(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "other")
    before = numbers_in_use()
    assert not cached.is_regular(tmp_path / "other")
    assert cached.open_regular(tmp_path / "other", 0) is None
    assert cached.read_regular(tmp_path / "other", 0, 100) is None
    assert numbers_in_use() == before


def test_whoever_waits_for_a_reader_of_a_fifo_waits_on_when_it_is_only_looked_at(
    tmp_path: Path,
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    has_reader = threading.Event()

    def write() -> None:
        os.close(os.open(fifo, os.O_WRONLY))
        has_reader.set()

    writer = threading.Thread(target=write)
    writer.start()
    cached.is_regular(fifo)
    assert not has_reader.wait(0.05)
    os.close(os.open(fifo, os.O_RDONLY))
    writer.join()


def test_a_name_with_nul_is_not_taken_for_its_beginning(path: Path) -> None:
    assert not cached.is_regular(f"{path}\0.txt")
    assert cached.open_regular(f"{path}\0.txt", 0) is None


def test_where_there_is_no_such_call_nothing_is_at_hand(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached, "_syscall", None)
    assert not cached.is_regular(path)
    assert cached.open_regular(path, 0) is None


# --- reading a file whole -----------------------------------------------------------------


@pytest.mark.usefixtures("all_in_memory")
@pytest.mark.parametrize("content", [b"", CONTENT])
def test_a_small_file_is_read_whole(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    before = numbers_in_use()
    found, read = cached.read_regular(path, 0, len(content))
    assert (found, read) == (path.stat(), content)
    assert numbers_in_use() == before


@pytest.mark.usefixtures("all_in_memory")
def test_a_file_over_the_limit_is_not_read(path: Path) -> None:
    assert cached.read_regular(path, 0, len(CONTENT) - 1) is None


def test_a_file_whose_bytes_are_not_in_memory_is_not_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = numbers_in_use()
    monkeypatch.setattr(os, "preadv", failing(errno.EAGAIN))
    assert cached.read_regular(path, 0, len(CONTENT)) is None
    assert numbers_in_use() == before


# --- reading a span -----------------------------------------------------------------------


def failing(number: int) -> Callable[..., int]:
    def preadv(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return preadv


@pytest.mark.usefixtures("all_in_memory")
def test_a_read_gives_all_that_is_asked_for_or_nothing(descriptor: int) -> None:
    assert cached.read(descriptor, 2, 5) == b"234"
    assert cached.read(descriptor, 8, 12) is None


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EOPNOTSUPP, errno.EIO])
def test_what_is_not_in_memory_or_not_known_to_be_is_left_to_a_thread(
    descriptor: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "preadv", failing(number))
    assert cached.read(descriptor, 2, 5) is None


def test_a_system_without_the_flag_is_not_asked(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached, "_CACHE_ONLY", 0)
    monkeypatch.setattr(os, "preadv", lambda *_: pytest.fail("it could wait for the disk"))
    assert cached.read(descriptor, 2, 5) is None


# --- file systems that are in memory ------------------------------------------------------


@pytest.fixture
def in_memory() -> Iterator[int]:
    """A file on a tmpfs of the kernel's own, which does not know RWF_NOWAIT."""
    descriptor = os.memfd_create("file")
    os.write(descriptor, CONTENT)
    yield descriptor
    os.close(descriptor)


def test_a_file_on_a_file_system_that_is_in_memory_is_never_waited_for(in_memory: int) -> None:
    assert cached.never_waits(in_memory)
    assert cached.read(in_memory, 2, 10) == CONTENT[2:]
    assert cached.read(in_memory, 2, 11) is None  # not all of it is there


@pytest.mark.parametrize("kind", [0x794C7630, 0x6969, 0xEF53], ids=["overlay", "nfs", "ext4"])
def test_of_any_other_file_system_that_cannot_tell_nothing_is_known(
    descriptor: int, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    def fstatfs(_: int, found: "ctypes.Array[ctypes.c_char]") -> int:
        struct.pack_into("l", found, 0, kind)
        return 0

    def preadv(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(cached, "_fstatfs", fstatfs)
    monkeypatch.setattr(os, "preadv", preadv)
    assert not cached.never_waits(descriptor)
    assert cached.read(descriptor, 0, 10) is None
