import subprocess
import sys

import pytest

from tailrace import client


@pytest.mark.parametrize("name", client.__all__)
def test_each_name_is_there(name):
    assert getattr(client, name)


def test_no_other_name_is():
    with pytest.raises(AttributeError, match="no attribute 'bogus'"):
        client.bogus  # noqa: B018  # the access is the test


def test_to_download_needs_no_event_loop():
    code = "import sys; from tailrace.client import download; print('asyncio' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert out == b"False\n"
