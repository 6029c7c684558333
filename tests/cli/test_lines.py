"""The two ends of the socket between a worker and its parent."""

import socket

import pytest

from tailrace.cli.lines import Order, ParentsEnd, WorkersEnd


@pytest.fixture
def ends():
    """The parent's end and the worker's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ParentsEnd(ours), WorkersEnd(theirs)


@pytest.fixture
def connection():
    """A connection as it was accepted, and the client's side of it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
        listening.accept()[0] as accepted,
    ):
        client.settimeout(10)
        yield accepted, client


def give(parent, worker, accepted):
    """Give the worker one more connection."""
    assert parent.give(accepted)
    [received] = worker.receive()
    return received


def test_a_worker_is_ready_with_its_first_report(ends):
    parent, worker = ends
    parent.hear()
    assert not parent.is_ready
    worker.report(0)
    parent.hear()
    assert parent.is_ready
    assert parent.load == 0


def test_a_connection_that_was_given_is_spoken_to_by_the_worker(ends, connection):
    parent, worker = ends
    accepted, client = connection
    with give(parent, worker, accepted) as received:
        accepted.close()
        received.sendall(b"hello")
        assert client.recv(5) == b"hello"
        assert received.type == socket.SOCK_STREAM
        assert received.getpeername() == client.getsockname()


def test_what_was_given_counts_until_it_was_closed(ends, connection):
    parent, worker = ends
    accepted, _ = connection
    assert parent.give(accepted)
    assert parent.give(accepted)
    assert parent.load == 2, "before the worker has seen them"
    taken = []
    while len(taken) < 2:
        taken += worker.receive()
    for received in taken:
        received.close()
    worker.report(2)
    parent.hear()
    assert parent.load == 2
    worker.report(1)
    parent.hear()
    assert parent.load == 1


def test_of_many_reports_the_last_one_counts(ends):
    parent, worker = ends
    for connections in (1, 2, 3, 2):
        worker.report(connections)
    parent.hear()
    assert parent.load == 2


def test_a_worker_that_leaves_takes_no_more(ends):
    parent, worker = ends
    assert not parent.takes_more, "before it is ready"
    worker.report(1)
    parent.hear()
    assert parent.takes_more
    worker.leave()
    worker.report(1)  # of those that it still has
    parent.hear()
    assert parent.is_ready
    assert not parent.takes_more


def test_orders_come_in_their_order_and_after_what_was_given(ends, connection):
    parent, worker = ends
    accepted, _ = connection
    assert parent.give(accepted)
    parent.order(Order.STOP)
    parent.order(Order.HURRY)
    received = []
    while len(received) < 3:
        received += worker.receive()
    assert isinstance(received[0], socket.socket)
    assert received[1:] == [Order.STOP, Order.HURRY]
    received[0].close()


def test_nothing_new_is_nothing(ends):
    parent, worker = ends
    assert worker.receive() == []
    assert not worker.is_cut
    parent.hear()
    assert not parent.is_ready


def test_a_parent_that_is_gone_means_to_stop(ends):
    parent, worker = ends
    parent.close()
    assert worker.receive() == [Order.STOP]
    assert worker.is_cut
    worker.report(1)  # nobody hears it, which is no trouble


def test_a_worker_that_is_gone_is_no_trouble(connection):
    accepted, _ = connection
    ours, theirs = socket.socketpair()
    parent = ParentsEnd(ours)
    theirs.close()
    assert not parent.give(accepted)
    parent.order(Order.STOP)
    parent.hear()
    assert not parent.is_ready
    assert parent.load == 0
    parent.close()


def test_a_worker_that_takes_nothing_is_given_only_so_much(ends, connection):
    parent, worker = ends
    accepted, _ = connection
    given = 0
    while parent.give(accepted):
        given += 1
    assert parent.load == given > 0
    taken = 0
    while received := worker.receive():
        taken += len(received)
        for copy in received:
            copy.close()
    assert taken == given


def test_a_worker_that_may_open_no_more_files_goes_on(ends, connection, monkeypatch, caplog):
    parent, worker = ends
    accepted, _ = connection
    assert parent.give(accepted)
    receive = socket.recv_fds

    def without_room(end, length, most):
        octets, descriptors, flags, address = receive(end, length, most)
        for descriptor in descriptors:
            socket.close(descriptor)
        return octets, [], flags, address

    with monkeypatch.context() as patch:
        patch.setattr(socket, "recv_fds", without_room)
        assert worker.receive() == []
    assert "may open no more files" in caplog.text
    worker.report(0)
    parent.hear()
    assert parent.load == 0, "it is gone, so it does not count"
