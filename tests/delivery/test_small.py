"""Small local files, answered in one step."""

import itertools
import os
import time

import pytest

from tailrace import cached
from tailrace.delivery import small
from tailrace.delivery.replies import Reply
from tailrace.delivery.small import find_small_file


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(small, "_seen", {})


@pytest.fixture(autouse=True)
def all_in_memory(monkeypatch):
    """Not every file system can tell what is in memory; with this, each can."""

    def read(descriptor, start, stop):
        content = os.pread(descriptor, stop - start, start)
        return content if len(content) == stop - start else None

    monkeypatch.setattr(cached, "read", read)


@pytest.fixture(autouse=True)
def later(monkeypatch):
    """Move the clock; at first it is a minute later than the files were made."""
    now = time.time_ns()

    def later(seconds):
        monkeypatch.setattr(time, "time_ns", lambda: now + round(seconds * 10**9))

    later(60)
    return later


class Replies:
    """Makes replies that tell how many there were before."""

    def __init__(self):
        self.made = 0

    def __call__(self, found):
        self.made += 1
        return Reply(200, [(b"number", b"%d" % self.made)], [])


@pytest.fixture
def replies():
    return Replies()


def find(path, replies, rest=None):
    return find_small_file((str(path), rest), replies)


def test_the_reply_is_made_once_for_a_file_that_stays_as_it_is(path, replies):
    first = find(path, replies)
    assert first[1] == b"0123456789"
    assert find(path, replies) == first
    assert replies.made == 1


def test_what_the_reply_depends_on_beside_the_file_makes_another(path, replies):
    assert find(path, replies, "a") != find(path, replies, "b")
    assert replies.made == 2


def rewritten(path):
    path.write_bytes(b"ABCDEFGHIJ")


def replaced(path):
    path.with_name("new").write_bytes(b"ABCDEFGHIJ")
    path.with_name("new").replace(path)


def rewritten_and_dated_back(path):
    before = path.stat()
    path.write_bytes(b"ABCDEFGHIJ")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [rewritten, replaced, rewritten_and_dated_back])
def test_a_file_that_was_changed_has_its_own_reply_and_bytes(path, replies, later, change):
    find(path, replies)
    time.sleep(0.02)  # a tick of the clock that files are stamped by
    change(path)
    _, content = find(path, replies)
    assert content == b"ABCDEFGHIJ"
    assert replies.made == 2


@pytest.mark.parametrize(
    ("seconds", "is_found"), [(-60, False), (0, False), (1.9, False), (2.1, True)]
)
def test_only_what_was_left_alone_for_a_while_is_answered(
    path, replies, later, seconds, is_found
):
    later(seconds)
    assert (find(path, replies) is not None) == is_found


def test_a_file_dated_into_the_future_is_not_answered(path, replies):
    os.utime(path, (time.time() + 3600,) * 2)
    assert find(path, replies) is None


@pytest.mark.parametrize(("length", "is_found"), [(0, True), (65_536, True), (65_537, False)])
def test_only_what_is_small_is_answered(path, replies, length, is_found):
    path.write_bytes(bytes(length))
    assert (find(path, replies) is not None) == is_found


@pytest.mark.usefixtures("nothing_at_hand")
def test_what_is_not_at_hand_is_not_answered(path, replies):
    assert find(path, replies) is None


def test_a_file_that_is_gone_is_not_answered_and_forgotten(path, replies):
    find(path, replies)
    path.unlink()
    assert find(path, replies) is None
    assert small._seen == {}


def test_what_never_was_a_file_is_looked_at_and_not_opened(tmp_path, replies, monkeypatch):
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr(cached, "read_regular", None)
    assert find(tmp_path / "fifo", replies) is None


def test_no_more_is_remembered_than_the_limit(path, replies, monkeypatch):
    monkeypatch.setattr(small, "_REMEMBERED", 3)
    for rest in itertools.islice(itertools.cycle(range(5)), 20):
        find(path, replies, rest)
    assert len(small._seen) == 3
    assert replies.made == 20
