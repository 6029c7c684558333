"""The state of an upload: only one of them lets anything more happen."""

import re

import pytest

from tailrace.errors import UploadComplete, UploadEnded
from tailrace.protocol.uploads import upload
from tailrace.protocol.uploads.upload import UploadState, require_expecting


def test_every_state_is_in_the_drawing():
    drawn = set(re.findall(r"[A-Z_]{2,}", upload.__doc__))
    assert drawn == {*UploadState.__members__}


def test_an_upload_that_is_expecting_may_go_on():
    require_expecting(UploadState.EXPECTING)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (UploadState.COMPLETE, UploadComplete),
        (UploadState.CANCELLED, UploadEnded),
        (UploadState.EXPIRED, UploadEnded),
    ],
)
def test_nothing_happens_to_an_upload_that_has_ended_and_it_is_said_how(state, error):
    with pytest.raises(UploadEnded, match=state.value) as raised:
        require_expecting(state)
    assert type(raised.value) is error
