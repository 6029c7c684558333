import errno
import os
import socket

import pytest

from tailrace.client.pipes import Pipe


@pytest.fixture
def source():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with theirs, ours:
        ours.setblocking(False)
        theirs.sendall(b"0123456789")
        theirs.shutdown(socket.SHUT_WR)
        yield ours.fileno()


@pytest.fixture
def fd(tmp_path):
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def test_bytes_go_from_a_socket_to_their_place_in_a_file(source, fd):
    with Pipe() as pipe:
        assert pipe.draw(source, 4) == 4
        pipe.pour(fd, 6, 4)
        assert pipe.draw(source, 100) == 6
        pipe.pour(fd, 0, 6)
        assert pipe.draw(source, 100) == 0
    assert os.pread(fd, 100, 0) == b"4567890123"


def test_a_socket_that_has_nothing_now_is_told_from_one_that_ended():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs, Pipe() as pipe, pytest.raises(BlockingIOError):
        pipe.draw(ours.fileno(), 10)


def test_a_file_that_takes_no_pages_is_written(source, fd, monkeypatch):
    with Pipe() as pipe:
        pipe.draw(source, 100)
        monkeypatch.setattr(os, "splice", refuse(errno.EINVAL))
        pipe.pour(fd, 2, 10)
    assert os.pread(fd, 100, 2) == b"0123456789"


def test_a_full_disk_is_told(source, fd, monkeypatch):
    with Pipe() as pipe:
        pipe.draw(source, 100)
        monkeypatch.setattr(os, "splice", refuse(errno.ENOSPC))
        with pytest.raises(OSError, match="No space"):
            pipe.pour(fd, 0, 10)


def refuse(number):
    def splice(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return splice
