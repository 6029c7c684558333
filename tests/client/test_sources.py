"""What is uploaded: files and streams."""

import hashlib
import io
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.client.sources import FileSource, StreamSource, opened
from tailrace.errors import SourceChanged, TransferError
from tailrace.spans import Span

CONTENT = b"0123456789" * 1000


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def read(portion):
    return os.pread(portion.fd, portion.span.length, portion.at)


def test_a_file_is_one_portion(path):
    with opened(path) as source:
        [portion] = source.portions()
        assert portion.span == Span(0, len(CONTENT))
        assert read(portion) == CONTENT
        assert source.length == len(CONTENT)
        assert source.finish() == hashlib.sha256(CONTENT).digest()


@pytest.mark.parametrize("length", [0, len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_file_of_another_length_has_changed(path, length):
    with opened(path) as source:
        os.truncate(path, length)
        with pytest.raises(SourceChanged):
            source.finish()


def test_a_file_that_was_written_over_has_changed(path):
    with opened(path) as source:
        path.write_bytes(CONTENT[::-1])
        os.utime(path, ns=(1, 1))  # however coarse the clock of the file system is
        with pytest.raises(SourceChanged):
            source.finish()


def test_an_open_file_stays_open(path):
    with path.open("rb") as file:
        with opened(file) as source:
            assert isinstance(source, FileSource)
        assert not file.closed


def test_a_path_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TransferError, match="regular file"), opened(tmp_path / "pipe"):
        pass


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9 * 2**20), max_size=3))
def test_portions_of_a_stream_are_all_of_it_in_order(lengths):
    pieces = [bytes([number]) * length for number, length in enumerate(lengths)]
    reader, writer = os.pipe()

    def feed():
        with io.FileIO(writer, "w") as writing:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[writing.write(view) :]

    feeding = threading.Thread(target=feed)
    feeding.start()
    found, offset = hashlib.sha256(), 0
    with io.FileIO(reader) as reading, opened(reading) as source:
        assert isinstance(source, StreamSource)
        for portion in source.portions():
            assert portion.span.start == offset
            assert portion.span.length > 0
            offset = portion.span.stop
            found.update(read(portion))
        feeding.join()
        whole = b"".join(pieces)
        assert offset == len(whole)
        assert found.digest() == source.finish() == hashlib.sha256(whole).digest()
