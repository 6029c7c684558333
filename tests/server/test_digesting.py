import os
import threading

import pytest

from tailrace.errors import StorageUnavailable
from tailrace.server import digesting
from tailrace.server.digesting import BLOCK_BYTES, Trail

SECONDS_FOR_ANYTHING = 10
LENGTH = 5 * BLOCK_BYTES + 7


@pytest.fixture(scope="module")
def content():
    return os.urandom(LENGTH)


@pytest.fixture
def file(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb") as file:
        yield file


class Seen:
    """An `update` that keeps what it is lent, and may be held up."""

    def __init__(self):
        self.content = b""
        self.threads = set()
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __call__(self, lent):
        assert self.goes_on.wait(SECONDS_FOR_ANYTHING)
        self.threads.add(threading.get_ident())
        self.content += lent


@pytest.fixture
def seen():
    seen = Seen()
    yield seen
    seen.goes_on.set()


@pytest.mark.parametrize("step", [1000, BLOCK_BYTES, 3 * BLOCK_BYTES])
@pytest.mark.parametrize("start", [0, 5])
def test_update_sees_all_that_was_written_from_the_start_on(file, content, seen, start, step):
    trail = Trail(file.fileno(), start, seen)
    for front in [*range(start, LENGTH, step), LENGTH]:
        trail.follow(front)
    trail.finish()
    assert seen.content == content[start:]


def test_a_little_is_seen_by_the_thread_that_wrote_it(file, content, seen):
    trail = Trail(file.fileno(), 0, seen)
    trail.follow(100)
    trail.catch_up()
    assert seen.content == content[:100]
    assert seen.threads == {threading.get_ident()}


def test_much_is_seen_by_another_thread_while_this_one_goes_on(file, content, seen):
    trail = Trail(file.fileno(), 0, seen)
    seen.goes_on.clear()
    trail.follow(BLOCK_BYTES)
    trail.follow(LENGTH)
    trail.catch_up()  # the other is at it
    assert seen.content == b""
    seen.goes_on.set()
    trail.finish()
    assert seen.content == content
    assert threading.get_ident() not in seen.threads


def test_who_writes_too_far_ahead_waits(file, seen, monkeypatch):
    monkeypatch.setattr(digesting, "LAG_BYTES", 2 * BLOCK_BYTES)
    trail = Trail(file.fileno(), 0, seen)
    seen.goes_on.clear()
    trail.follow(BLOCK_BYTES)
    timer = threading.Timer(0.01, seen.goes_on.set)
    timer.start()
    trail.follow(LENGTH)
    assert len(seen.content) >= BLOCK_BYTES
    timer.join()
    trail.finish()


def test_once_stopped_no_more_is_seen(file, seen):
    trail = Trail(file.fileno(), 0, seen)
    seen.goes_on.clear()
    trail.follow(LENGTH)
    job = trail.stop()
    seen.goes_on.set()
    job.result()
    assert len(seen.content) <= BLOCK_BYTES
    assert trail.stop() is job


def test_nothing_runs_on_where_nothing_was_begun(file, seen):
    assert Trail(file.fileno(), 0, seen).stop() is None


def fail(_):
    raise ArithmeticError


@pytest.mark.parametrize("ask", ["catch_up", "finish"])
def test_what_update_raises_here_is_raised(file, ask):
    trail = Trail(file.fileno(), 0, fail)
    trail.follow(10)
    with pytest.raises(ArithmeticError):
        getattr(trail, ask)()


def test_what_update_raises_in_another_thread_is_raised_here(file, monkeypatch):
    monkeypatch.setattr(digesting, "LAG_BYTES", 0)  # so that each step waits
    trail = Trail(file.fileno(), 0, fail)
    trail.follow(BLOCK_BYTES)
    with pytest.raises(ArithmeticError):
        trail.follow(2 * BLOCK_BYTES)


def test_a_file_that_became_shorter_is_told(file, seen):
    trail = Trail(file.fileno(), 0, seen)
    trail.follow(LENGTH + 1)
    with pytest.raises(StorageUnavailable, match="ended at"):
        trail.finish()
