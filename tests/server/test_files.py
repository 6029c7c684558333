import os

import pytest

from tailrace.errors import StorageUnavailable
from tailrace.server import files
from tailrace.spans import Span

CONTENT = b"0123456789"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def path_send(path, **keys):
    return {"type": "http.response.pathsend", "path": str(path), **keys}


def zero_copy_send(file, **keys):
    return {"type": "http.response.zerocopysend", "file": file, **keys}


@pytest.mark.parametrize(
    ("keys", "limit", "span"),
    [
        ({}, None, Span(0, 10)),
        ({}, 10, Span(0, 10)),
        ({}, 4, Span(0, 4)),
        ({}, 40, Span(0, 10)),
        ({"offset": 3}, None, Span(3, 10)),
        ({"offset": 3}, 4, Span(3, 7)),
        ({"offset": 10}, None, Span(10, 10)),
        ({"offset": 11}, None, Span(11, 11)),
        ({"count": 4}, None, Span(0, 4)),
        ({"count": 4}, 2, Span(0, 4)),
        ({"offset": 3, "count": 4}, None, Span(3, 7)),
        ({"offset": 30, "count": 0}, None, Span(30, 30)),
    ],
)
def test_offset_and_count_select_a_span(path, keys, limit, span):
    with files.opened(path_send(path, **keys), limit) as (descriptor, selected):
        assert selected == span
        assert os.pread(descriptor, span.length, span.start) == CONTENT[span.start : span.stop]
    with path.open("rb") as file:
        message = zero_copy_send(
            file, offset=keys.get("offset", 0), **keys_without_offset(keys)
        )
        with files.opened(message, limit) as (_, selected):
            assert selected == span


def keys_without_offset(keys):
    return {key: value for key, value in keys.items() if key != "offset"}


def test_a_span_beyond_the_end_is_refused(path):
    with (
        pytest.raises(StorageUnavailable, match="ends at 10, before 11"),
        files.opened(path_send(path, offset=7, count=4), None),
    ):
        pytest.fail("it was opened")


@pytest.mark.parametrize("keys", [{"offset": -1}, {"offset": 5, "count": -1}])
def test_offsets_and_counts_below_0_are_wrong(path, keys):
    with (
        pytest.raises(ValueError, match="no span"),
        files.opened(path_send(path, **keys), None),
    ):
        pytest.fail("it was opened")


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "device"])
def test_only_a_regular_file_is_opened_by_its_path(tmp_path, kind):
    path = tmp_path / "other"
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "device":
            path = "/dev/zero"
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(StorageUnavailable), files.opened(path_send(path), None):
        pytest.fail("it was opened")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_link_is_followed(tmp_path, path):
    link = tmp_path / "link"
    link.symlink_to(path)
    with files.opened(path_send(link), None) as (_, span):
        assert span == Span(0, 10)


def test_an_application_may_close_its_file_meanwhile(path):
    with path.open("rb") as file:
        message = zero_copy_send(file, offset=0)
        with files.opened(message, None) as (descriptor, _):
            file.close()
            assert os.pread(descriptor, 10, 0) == CONTENT


def test_without_an_offset_the_position_moves_once_all_is_sent(path):
    with path.open("rb") as file:
        assert file.read(2) == b"01"
        with files.opened(zero_copy_send(file, count=3), None) as (_, span):
            assert span == Span(2, 5)
            assert file.tell() == 2
        assert file.read() == b"56789"


def test_what_could_not_be_sent_leaves_the_position(path):
    with path.open("rb") as file:
        file.read(2)
        with (
            pytest.raises(ConnectionError),
            files.opened(zero_copy_send(file, count=3), None),
        ):
            raise ConnectionError
        assert file.tell() == 2


def test_a_file_object_without_a_position_of_its_own_has_that_of_its_descriptor(path):
    class OnlyDescriptor:
        def fileno(self):
            return descriptor

    descriptor = os.open(path, os.O_RDONLY)
    os.lseek(descriptor, 4, os.SEEK_SET)
    with files.opened(zero_copy_send(OnlyDescriptor()), None) as (_, span):
        assert span == Span(4, 10)
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 10
    os.close(descriptor)
