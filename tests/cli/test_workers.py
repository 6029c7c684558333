"""The one process that looks after the others."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

CREW = Path(__file__).with_name("crew.py")
PATIENCE_SECONDS = 30


class Crew:
    """A running crew; see `crew.py`."""

    def __init__(self, count, log, *how):
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, CREW, str(count), log, *how],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._connections = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connections.close()
        self.process.kill()  # its workers end with it
        self.process.communicate()

    def announced(self):
        self.port = int(self.process.stdout.readline())
        return self

    def connect(self):
        """Connect; return the connection and the worker that has it."""
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS)
        self._connections.enter_context(connection)
        return connection, int(connection.makefile().readline())

    def kill(self, worker):
        """Kill a worker, and wait until its parent knows."""
        os.kill(worker, signal.SIGKILL)
        self.until("it was noticed", lambda: not Path(f"/proc/{worker}").exists())

    def steps(self, step):
        """The workers that have taken a step so far, each with the moment."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [(int(pid), float(at)) for name, pid, at in lines if name == step]

    def workers(self):
        return [pid for pid, _ in self.steps("begun")]

    def until(self, what, holds):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"it did not come about that {what}"
            time.sleep(0.005)

    def end(self):
        """Wait for the end; return the exit status and what was said on standard error."""
        _, errors = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, errors


@pytest.fixture
def crew(tmp_path):
    return lambda count, *how: Crew(count, tmp_path / "log", *how)


def lives(pid):
    # One that has ended is a zombie until it is reaped, by whoever inherits it.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_others_come_when_the_first_is_ready_and_it_is_announced_when_all_are(crew):
    with crew(3) as started:
        started.announced()
        assert len(started.steps("ready")) == 3
        first_ready_at = started.steps("ready")[0][1]
        begun = started.steps("begun")
        assert begun[0][0] == started.steps("ready")[0][0]
        assert all(at > first_ready_at for _, at in begun[1:])


def test_each_connection_goes_to_the_worker_that_has_the_fewest(crew):
    with crew(3) as started:
        started.announced()
        connections = [started.connect() for _ in range(12)]
        assert Counter(pid for _, pid in connections) == dict.fromkeys(started.workers(), 4)
        lonely = connections[0][1]
        for connection, pid in connections:
            if pid == lonely:
                connection.close()
        # Until that is known, which takes a moment, the next may go anywhere.
        started.until("it got the next one", lambda: started.connect()[1] == lonely)


def test_a_worker_that_was_killed_is_replaced_and_the_others_keep_their_connections(crew):
    with crew(2) as started:
        started.announced()
        before = [started.connect() for _ in range(2)]
        killed, kept = before
        os.kill(killed[1], signal.SIGKILL)
        assert killed[0].recv(1) == b"", "its connections are cut"
        started.until("another came", lambda: len(started.steps("ready")) == 3)
        [new] = {pid for pid, _ in started.steps("ready")} - {pid for _, pid in before}
        started.until("it got the next one", lambda: started.connect()[1] == new)
        kept[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            kept[0].recv(1)
        started.process.terminate()
        assert started.end() == (0, f"worker {killed[1]} has ended (signal 9); another comes\n")


@pytest.mark.parametrize("count", [1, 2])
def test_where_there_is_no_room_for_the_workers_nothing_is_announced(crew, count):
    with crew(count, "no-room") as started:
        announced, errors = started.process.communicate(timeout=PATIENCE_SECONDS)
        assert (started.process.returncode, announced) == (1, "")
        assert "no worker can be started" in errors
        assert "Traceback" not in errors
        assert count == 1 or not any(lives(pid) for pid in started.workers())


def test_where_there_is_no_room_for_another_worker_it_comes_later(crew):
    with crew(2, "no-room-again") as started:
        started.announced()
        killed, kept = (pid for pid, _ in started.steps("ready"))
        started.kill(killed)
        started.until("another came", lambda: len(started.steps("ready")) == 3)
        assert lives(kept)
        started.process.send_signal(signal.SIGTERM)
        status, errors = started.end()
        assert status == 0
        assert errors.count("no worker can be started") == 1


def test_a_worker_that_leaves_is_given_nothing_more_and_replaced_when_it_has_ended(crew):
    with crew(2) as started:
        started.announced()
        leaving = started.workers()[0]
        os.kill(leaving, signal.SIGTERM)
        started.until("it leaves", lambda: started.steps("leaving"))
        started.until("that is known", lambda: started.connect()[1] != leaving)
        assert {started.connect()[1] for _ in range(4)} == {started.workers()[1]}
        os.kill(leaving, signal.SIGUSR1)
        started.until("another came", lambda: len(started.steps("ready")) == 3)
        new = started.steps("ready")[-1][0]
        started.until("it got the next one", lambda: started.connect()[1] == new)
        started.process.terminate()
        said = f"worker {leaving} has ended (exit status 0); another comes\n"
        assert started.end() == (0, said)


def test_who_comes_while_nobody_is_there_is_served_by_the_next(crew):
    with crew(1) as started:
        started.announced()
        _, first = started.connect()
        started.kill(first)
        _, next_one = started.connect()
        assert next_one != first


def test_workers_that_die_at_once_do_not_come_again_and_again_at_once(crew):
    with crew(1) as started:
        started.announced()
        for _ in range(2):
            _, worker = started.connect()
            started.kill(worker)
        started.connect()
        moments = [at for _, at in started.steps("begun")]
        assert len(moments) == 3
        assert all(later - earlier > 0.9 for earlier, later in pairwise(moments))


def test_a_worker_that_cannot_start_ends_the_command(crew):
    with crew(3, "cannot-start") as started:
        assert started.end() == (1, "")
        assert len(started.workers()) == 1


def test_a_worker_that_dies_before_it_is_ready_ends_the_command(crew):
    with crew(3, "dies") as started:
        status, errors = started.end()
        assert status == 1
        [worker] = started.workers()
        assert errors == f"worker {worker} ended before it was ready: signal 9\n"


def test_a_replacement_that_cannot_start_ends_the_others_as_well(crew):
    with crew(2, "cannot-start-again") as started:
        started.announced()
        killed, left = started.workers()
        os.kill(killed, signal.SIGKILL)
        assert started.end()[0] == 1
        assert [pid for pid, _ in started.steps("STOP")] == [left]


def test_sigterm_stops_all_with_status_0(crew):
    with crew(3) as started:
        started.announced()
        started.process.terminate()
        assert started.end() == (0, "")
        assert {pid for pid, _ in started.steps("STOP")} == set(started.workers())


def test_sigint_stops_all_and_is_told_further(crew):
    with crew(3) as started:
        started.announced()
        started.process.send_signal(signal.SIGINT)
        status, errors = started.end()
        assert status == -signal.SIGINT
        assert errors.endswith("KeyboardInterrupt\n")
        assert {pid for pid, _ in started.steps("STOP")} == set(started.workers())


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_sigint_while_they_stop_hurries_them(crew, first):
    with crew(2, "lingers") as started:
        started.announced()
        started.process.send_signal(first)
        started.until("they were told", lambda: len(started.steps("STOP")) == 2)
        started.process.send_signal(signal.SIGINT)
        assert started.end()[0] == -signal.SIGINT
        assert len(started.steps("HURRY")) == 2


def test_sigterm_twice_is_sigterm_once(crew):
    with crew(2, "lingers") as started:
        started.announced()
        started.process.terminate()
        started.until("they were told", lambda: len(started.steps("STOP")) == 2)
        started.process.terminate()
        started.until("they were told again", lambda: len(started.steps("STOP")) == 4)
        assert started.process.poll() is None
        assert started.steps("HURRY") == []


def test_a_terminal_that_sends_sigint_to_all_is_heard_once(crew):
    with crew(2, "lingers") as started:
        started.announced()
        for pid in started.workers():
            os.kill(pid, signal.SIGINT)
        started.process.send_signal(signal.SIGINT)
        started.until("they were told", lambda: len(started.steps("STOP")) == 2)
        assert started.steps("HURRY") == []
        assert all(map(lives, started.workers()))


def test_once_told_to_stop_nobody_new_is_accepted(crew):
    with crew(2, "lingers") as started:
        started.announced()
        started.process.terminate()
        started.until("they were told", lambda: len(started.steps("STOP")) == 2)
        with pytest.raises(ConnectionRefusedError):
            started.connect()


def test_workers_whose_parent_was_killed_stop(crew):
    with crew(3) as started:
        started.announced()
        started.process.kill()
        started.until("they ended", lambda: not any(map(lives, started.workers())))
        assert {pid for pid, _ in started.steps("STOP")} == set(started.workers())
