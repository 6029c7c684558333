import json
import os
import subprocess
import sys

import pytest
from hostile import Hostile, answer

from tailrace.cli import ls


def file(**said):
    return {
        "id": "x",
        "name": "a.txt",
        "state": "sealed",
        "length": 2048,
        "expires_at": "2030-01-01T00:00:00Z",
        "links": [{"url": "http://host/l/TOKEN/a.txt"}],
        **said,
    }


def page(*files, following=None):
    return answer("200 OK", (), json.dumps({"files": files, "next": following}).encode())


@pytest.fixture
def listing(run):
    def listing(*replies, words=()):
        with Hostile(*replies) as server:
            return run("ls", "--to", server.url("/"), *words)

    return listing


def test_each_file_is_a_line(listing):
    status, out, err = listing(page(file(), file(name="other")))
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "http://host/l/TOKEN/a.txt  a.txt  2.0 KiB  sealed  2030-01-01T00:00:00Z",
        "http://host/l/TOKEN/a.txt  other  2.0 KiB  sealed  2030-01-01T00:00:00Z",
    ]


def test_no_file_is_no_line(listing):
    assert listing(page()) == (0, "", "")


def test_what_has_no_link_and_no_end_says_so(listing):
    _, out, _ = listing(page(file(links=[], expires_at=None)))
    assert out == "-  a.txt  2.0 KiB  sealed  never\n"


def test_columns_stand_below_each_other(listing):
    _, out, _ = listing(page(file(name="a", length=1), file(name="日本.txt"), file(name="äü")))
    places = [line.index("sealed") for line in out.replace("日本", "----").splitlines()]
    assert len(set(places)) == 1


def test_a_name_cannot_move_the_cursor_nor_begin_a_line(listing):
    _, out, _ = listing(page(file(name="\x1b[31m\nevil\u202e")))
    assert len(out.splitlines()) == 1
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_all_pages_are_listed(listing):
    pages = [page(file(name=str(number)), following=str(number)) for number in range(3)]
    _, out, _ = listing(*pages, page(file(name="last")))
    assert [line.split()[1] for line in out.splitlines()] == ["0", "1", "2", "last"]


def test_json_is_printed_for_programs(listing):
    _, out, _ = listing(page(file(), file(name="b")), words=["--json"])
    assert [json.loads(line) for line in out.splitlines()] == [file(), file(name="b")]


def test_headings_are_for_people(listing, monkeypatch, capsys):
    monkeypatch.setattr(ls.sys.stdout, "isatty", lambda: True)
    _, out, _ = listing(page(file()))
    assert out.splitlines()[0].split() == ["LINK", "NAME", "LENGTH", "STATE", "EXPIRES"]


def test_a_refusal_is_told(listing):
    status, out, err = listing(answer("401 Unauthorized"))
    assert (status, out) == (1, "")
    assert "401" in err


def test_who_reads_no_more_is_left_alone():
    rows = [file(name=str(number)) for number in range(3000)]
    with Hostile(page(*rows)) as server:
        command = [sys.executable, "-m", "tailrace", "ls", "--to", server.url("/")]
        reader, writer = os.pipe()
        with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE) as process:
            os.close(writer)
            os.read(reader, 100)
            os.close(reader)
            _, err = process.communicate(timeout=10)
    assert err == b""
