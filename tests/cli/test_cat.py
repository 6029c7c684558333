import subprocess
import sys

import pytest
from hostile import Hostile, answer, cut, honest, whole

CONTENT = bytes(range(256)) * 40
ETAG = ("ETag", '"one"')


def tailrace(*words):
    done = subprocess.run(
        [sys.executable, "-m", "tailrace", *words], capture_output=True, timeout=30, check=False
    )
    return done.returncode, done.stdout, done.stderr.decode()


def test_files_are_written_to_standard_output_as_they_are():
    with Hostile(whole(CONTENT)) as server:
        assert tailrace("cat", server.url(), server.url()) == (0, CONTENT * 2, "")


def test_get_writes_to_standard_output_too(tmp_path):
    with Hostile(cut(CONTENT, 1000, ETAG), honest(CONTENT, ETAG)) as server:
        assert tailrace("get", "-o", "-", server.url()) == (0, CONTENT, "")


@pytest.mark.parametrize(("offset", "start"), [("5000", 5000), ("end", len(CONTENT))])
def test_it_may_begin_later(offset, start):
    with Hostile(honest(CONTENT, ETAG)) as server:
        assert tailrace("cat", "--offset", offset, server.url()) == (0, CONTENT[start:], "")


def test_what_fails_says_so():
    with Hostile(answer("404 Not Found")) as server:
        status, out, err = tailrace("cat", server.url())
    assert (status, out) == (1, b"")
    assert "404 Not Found" in err


@pytest.mark.parametrize("offset", ["-1", "x", "", "1e3", "9" * 19])
def test_an_offset_that_is_none_is_refused(run, offset):
    status, _, err = run("cat", f"--offset={offset}", "http://127.0.0.1:1/")
    assert status == 2
    assert "neither an offset nor `end`" in err


@pytest.mark.parametrize("option", ["--json", "--unique", f"--sha256={'0' * 64}"])
def test_what_is_of_files_is_not_of_standard_output(run, option):
    status, _, err = run("get", "-o", "-", option, "http://127.0.0.1:1/")
    assert status == 2
    assert "-o - writes none" in err
