"""What one request does to a growing file."""

import pytest

from tailrace.catalogue import FileState, Origin
from tailrace.errors import DigestMismatch, LengthExceeded, OffsetMismatch
from tailrace.intake.appending import (
    append_content,
    finish,
    has_promised_length,
    refuse_overlong,
    refuse_wrong_offset,
    whole_or_nothing,
)
from tailrace.protocol.uploads import Append

pytestmark = pytest.mark.anyio


async def content(*chunks):
    for chunk in chunks:
        yield chunk


def appending(offset, content_length=None):
    return Append(
        offset=offset, complete_length=None, is_complete=False, content_length=content_length
    )


async def begin(room, complete_length=None):
    return await room.files.begin(
        name="a", media_type="text/plain", origin=Origin.UPLOAD, complete_length=complete_length
    )


async def test_whatever_fails_meanwhile_a_file_that_must_come_whole_is_given_up(room):
    file = await begin(room)
    with pytest.raises(RuntimeError):
        async with whole_or_nothing(file):
            raise RuntimeError
    assert file.record.state is FileState.ABANDONED


async def test_a_file_has_its_promised_length_once_all_has_come(room):
    file = await begin(room, 3)
    await append_content(file, content(b"ab"), appending(0))
    assert not has_promised_length(file)
    await append_content(file, content(b"c"), appending(2))
    assert has_promised_length(file)
    await finish(file, {})
    assert file.record.state is FileState.SEALED


async def test_a_file_of_no_promised_length_never_has_it(room):
    file = await begin(room)
    assert not has_promised_length(file)
    await file.abandon("the test is over")


async def test_a_file_with_another_digest_is_not_ended(room):
    file = await begin(room)
    with pytest.raises(DigestMismatch):
        await finish(file, {"sha-256": bytes(32)})
    assert file.record.state is FileState.GROWING
    await file.abandon("the test is over")


@pytest.mark.parametrize("offset", [0, 4])
def test_only_the_length_is_the_right_offset(offset):
    refuse_wrong_offset(appending(3), 3)
    with pytest.raises(OffsetMismatch):
        refuse_wrong_offset(appending(offset), 3)


async def test_more_than_was_promised_is_refused_by_its_declared_length(room):
    file = await begin(room, 3)
    refuse_overlong(appending(0, 3), file)
    refuse_overlong(appending(0), file)
    with pytest.raises(LengthExceeded):
        refuse_overlong(appending(1, 3), file)
    await file.abandon("the test is over")
