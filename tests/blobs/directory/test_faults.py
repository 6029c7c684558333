"""Errors of the system become ours."""

import errno
import os

import pytest

from tailrace.blobs.directory.faults import translated
from tailrace.errors import BlobMissing, StorageFull, StorageUnavailable


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EFBIG, StorageFull),
        (errno.EIO, StorageUnavailable),
        (errno.EROFS, StorageUnavailable),
        (errno.EMFILE, StorageUnavailable),
        (errno.EACCES, StorageUnavailable),
        (errno.ENOENT, StorageUnavailable),
        (errno.ESTALE, StorageUnavailable),
    ],
)
def test_each_becomes_one_of_ours_with_its_cause_and_without_a_path(
    number: int, expected: type[Exception]
) -> None:
    error = OSError(number, os.strerror(number), "/srv/private/ab/abc")
    with pytest.raises(expected) as raised, translated("abc"):
        raise error
    assert type(raised.value) is expected
    assert raised.value.__cause__ is error
    assert "abc" in str(raised.value)
    assert os.strerror(number) in str(raised.value)
    assert "/srv" not in str(raised.value)


@pytest.mark.parametrize("error", [BlobMissing("gone"), ValueError("wrong")])
def test_what_is_not_the_systems_goes_through(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, translated("abc"):
        raise error
    assert raised.value is error
