import errno
import os
import socket
import threading

import pytest

from tailrace.server import pipes
from tailrace.server.pipes import BLOCK_BYTES, Pipe


@pytest.fixture
def pipe():
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def connections():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_what_a_socket_has_comes_to_lie_in_a_file(pipe, connections, tmp_path):
    ours, theirs = connections
    theirs.sendall(b"content")
    with (tmp_path / "file").open("w+b") as file:
        assert pipe.draw(ours.fileno(), 100) == 7
        assert pipe.pour(file.fileno(), 2, 7) == 7
        assert file.read() == b"\0\0content"


def test_no_more_is_drawn_than_the_limit(pipe, connections):
    ours, theirs = connections
    theirs.sendall(b"content and more")
    assert pipe.draw(ours.fileno(), 7) == 7
    assert pipe.take_back(7) == b"content"
    assert ours.recv(100) == b" and more"


def test_a_block_fits_in(pipe):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    content = os.urandom(BLOCK_BYTES)
    with ours, theirs:
        sending = threading.Thread(target=theirs.sendall, args=(content,))
        sending.start()
        drawn = 0
        while drawn < BLOCK_BYTES:  # blocking: of itself, it never would
            drawn += pipe.draw(ours.fileno(), BLOCK_BYTES - drawn)
        sending.join()
    assert pipe.take_back(BLOCK_BYTES) == content


def test_a_socket_that_has_nothing_is_not_waited_for(pipe, connections):
    with pytest.raises(BlockingIOError):
        pipe.draw(connections[0].fileno(), 100)


def test_the_end_of_a_connection_gives_nothing(pipe, connections):
    ours, theirs = connections
    theirs.close()
    assert pipe.draw(ours.fileno(), 100) == 0


def test_what_could_not_be_poured_can_be_taken_back(pipe, connections, tmp_path):
    ours, theirs = connections
    theirs.sendall(b"content")
    pipe.draw(ours.fileno(), 7)
    with (tmp_path / "file").open("ab") as file:  # splice refuses a file that appends
        with pytest.raises(OSError, match=f"Errno {errno.EINVAL}"):
            pipe.pour(file.fileno(), 0, 7)
    assert pipe.take_back(7) == b"content"


def test_a_thread_borrows_the_same_pipe_each_time():
    with pipes.borrowed() as first:
        pass
    with pipes.borrowed() as second:
        assert second is first


def test_after_a_failure_a_thread_gets_another_pipe(connections):
    ours, theirs = connections
    theirs.sendall(b"left in it")
    with pytest.raises(BlockingIOError), pipes.borrowed() as spoiled:
        spoiled.draw(ours.fileno(), spoiled.draw(ours.fileno(), 100))
    with pipes.borrowed() as pipe:
        assert pipe is not spoiled
