"""Uploads that were not finished, remembered from one run to the next."""

import os
import stat
import time

import pytest

from tailrace.client.unfinished import Place, fingerprint, state_directory, unfinished

PLACE = Place("http://a/uploads/KEY", "http://a/l/TOKEN")


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "state" / "uploads"


def remember(directory, name="mark"):
    with unfinished(directory, name) as kept:
        kept.remember(PLACE)


def recall(directory, name="mark"):
    with unfinished(directory, name) as kept:
        return kept.recall()


def test_what_is_remembered_is_recalled(directory):
    assert recall(directory) is None
    remember(directory)
    assert recall(directory) == PLACE
    assert recall(directory, "other") is None


def test_what_is_forgotten_leaves_nothing(directory):
    remember(directory)
    with unfinished(directory, "mark") as kept:
        kept.forget()
    assert recall(directory) is None
    assert list(directory.iterdir()) == []


def test_whoever_remembers_nothing_leaves_nothing_even_if_it_fails(directory):
    with pytest.raises(RuntimeError), unfinished(directory, "mark"):
        raise RuntimeError
    assert list(directory.iterdir()) == []


def test_nobody_else_may_read_it(directory):
    remember(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "mark").stat().st_mode) == 0o600


def test_a_later_place_takes_the_earlier_ones(directory):
    remember(directory)
    with unfinished(directory, "mark") as kept:
        kept.remember(Place("b", "c"))
    assert recall(directory) == Place("b", "c")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"location": "a"}'])
def test_what_a_crash_cut_off_is_nothing(directory, content):
    directory.mkdir(parents=True)
    (directory / "mark").write_bytes(content)
    assert recall(directory) is None


def test_two_runs_at_once_do_not_share_an_upload(directory):
    with unfinished(directory, "mark") as first:
        first.remember(PLACE)
        with unfinished(directory, "mark") as second:
            assert not second.is_kept
            assert second.recall() is None
            second.remember(Place("b", "c"))
            second.forget()
        assert first.recall() == PLACE


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path):
    (tmp_path / "file").touch()
    with unfinished(tmp_path / "file" / "uploads", "mark") as kept:
        assert not kept.is_kept


def test_what_no_service_can_have_any_more_is_removed(directory):
    remember(directory, "old")
    remember(directory, "young")
    long_ago = time.time() - 31 * 24 * 3600
    os.utime(directory / "old", (long_ago, long_ago))
    remember(directory, "mark")
    assert {path.name for path in directory.iterdir()} == {"young", "mark"}


@pytest.mark.parametrize("given", [None, "", "relative"])
def test_it_is_in_the_home_where_nothing_else_is_said(monkeypatch, tmp_path, given):
    """By the XDG Base Directory Specification a relative path is to be ignored."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    if given is not None:
        monkeypatch.setenv("XDG_STATE_HOME", given)
    assert state_directory() == tmp_path / ".local/state/tailrace/uploads"


def test_it_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_directory() == tmp_path / "tailrace/uploads"


def mark(path, *context):
    with path.open("rb") as file:
        return fingerprint(file.fileno(), path.stat().st_size, *context)


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**20 + 1, 5 * 2**20])
def test_a_fingerprint_is_of_the_bytes_and_of_their_context(tmp_path, length):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"a" * length)
    other.write_bytes(b"a" * length)
    assert mark(one, "x") == mark(other, "x") != mark(one, "y")
    assert mark(one, "x", None) != mark(one, "x", "None")
    with other.open("ab") as file:
        file.write(b"a")
    assert mark(one) != mark(other)


@pytest.mark.parametrize("offset", [0, 65535, -1, -65536])
def test_a_fingerprint_of_a_long_file_knows_its_ends(tmp_path, offset):
    path = tmp_path / "file"
    content = bytearray(5 * 2**20)
    path.write_bytes(content)
    before = mark(path)
    content[offset] = 1
    path.write_bytes(content)
    assert mark(path) != before
