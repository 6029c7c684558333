import hashlib
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.client.following import FollowingDigest
from tailrace.errors import StorageUnavailable


@pytest.fixture
def file(tmp_path):
    with (tmp_path / "file").open("w+b", buffering=0) as file:
        yield file


@given(st.lists(st.binary(max_size=100), max_size=8))
def test_the_digest_is_that_of_all_that_was_written(tmp_path_factory, pieces):
    path = tmp_path_factory.mktemp("following") / "file"
    with path.open("w+b", buffering=0) as file:
        digest = FollowingDigest(file.fileno(), {"sha-256", "sha-512"})
        for piece in pieces:
            file.write(piece)
            digest.advance(file.tell())
        content = b"".join(pieces)
        assert digest.finish(len(content)) == {
            "sha-256": hashlib.sha256(content).digest(),
            "sha-512": hashlib.sha512(content).digest(),
        }


def test_what_was_there_before_counts(file):
    file.write(b"hello")
    digest = FollowingDigest(file.fileno(), {"sha-256"})
    assert digest.finish(5)["sha-256"] == hashlib.sha256(b"hello").digest()


def test_what_lies_beyond_the_front_does_not_count(file):
    file.write(b"hello world")
    digest = FollowingDigest(file.fileno(), {"sha-256"})
    assert digest.finish(5)["sha-256"] == hashlib.sha256(b"hello").digest()


def test_the_front_never_moves_back(file):
    file.write(b"hello")
    digest = FollowingDigest(file.fileno(), {"sha-256"})
    digest.advance(5)
    digest.advance(2)
    assert digest.finish(5)["sha-256"] == hashlib.sha256(b"hello").digest()


def test_without_an_algorithm_there_is_no_thread(file):
    before = threading.active_count()
    digest = FollowingDigest(file.fileno(), set())
    assert threading.active_count() == before
    assert digest.finish(5) == {}
    digest.stop()


def test_a_stopped_digest_leaves_no_thread(file):
    before = threading.active_count()
    digest = FollowingDigest(file.fileno(), {"sha-256"})
    digest.stop()
    digest.stop()
    assert threading.active_count() == before


def test_a_file_that_is_shorter_is_told(file):
    file.write(b"hell")
    with pytest.raises(StorageUnavailable, match="only 4 of 5"):
        FollowingDigest(file.fileno(), {"sha-256"}).finish(5)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    try:
        with pytest.raises(StorageUnavailable, match="read back"):
            FollowingDigest(fd, {"sha-256"}).finish(5)
    finally:
        os.close(fd)
