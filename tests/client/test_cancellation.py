import socket
import threading

import pytest

from tailrace.client.cancellation import Cancellation, Cancelled


def test_nothing_happens_until_it_is_cancelled():
    cancellation = Cancellation()
    cancellation.check()
    cancellation.sleep(0)


def test_it_can_be_cancelled_twice():
    cancellation = Cancellation()
    cancellation.cancel()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        cancellation.check()


def test_it_wakes_who_reads():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        cancellation = Cancellation()
        cancellation.watch(ours)
        read = []
        reader = threading.Thread(target=lambda: read.append(ours.recv(1)))
        reader.start()
        cancellation.cancel()
        reader.join(5)
        assert read == [b""]


def test_it_wakes_who_sleeps():
    cancellation = Cancellation()
    threading.Timer(0.01, cancellation.cancel).start()
    with pytest.raises(Cancelled):
        cancellation.sleep(60)


def test_a_socket_that_comes_too_late_is_not_used():
    cancellation = Cancellation()
    cancellation.cancel()
    with socket.socket() as sock, pytest.raises(Cancelled):
        cancellation.watch(sock)


def test_a_socket_that_was_closed_is_no_matter():
    cancellation = Cancellation()
    with socket.socket() as sock:
        cancellation.watch(sock)
    cancellation.cancel()
