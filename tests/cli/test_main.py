"""The command line itself: `tailrace.cli` and `python -m tailrace`."""

import os
import signal
import subprocess
import sys
import threading
from importlib import import_module

import pytest
from hostile import Hostile, end, response, whole

from tailrace import __version__
from tailrace.cli import COMMANDS

TAILRACE = (sys.executable, "-m", "tailrace")


def test_help_lists_every_command(run):
    status, out, _ = run("--help")
    assert status == 0
    for name, summary in COMMANDS.items():
        assert f"{name} " in out
        assert " ".join(summary.split()) in " ".join(out.split())


def test_help_says_what_the_exit_statuses_mean(run):
    _, out, _ = run("--help")
    for status in ("0 done", "1 failed", "2 wrong use", "3 some of", "130 interrupted"):
        assert status in out


def test_help_imports_no_command():
    code = (
        "import sys, tailrace.cli\n"
        "try: tailrace.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {list(COMMANDS)} if 'tailrace.cli.' + name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert out.endswith(b"[]\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_of_itself_what_the_list_says(name):
    assert import_module(f"tailrace.cli.{name}").SUMMARY == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run, name):
    status, out, _ = run(name, "--help")
    assert status == 0
    assert out.startswith(f"usage: tailrace {name}")


def test_the_version_is_told(run):
    assert run("--version") == (0, f"tailrace {__version__}\n", "")


@pytest.mark.parametrize(
    "words",
    [(), ("bogus",), ("--bogus",), ("get",), ("get", "--bogus", "x"), ("--", "get", "x")],
)
def test_wrong_use_has_a_status_of_its_own(run, words):
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err


def test_an_option_cannot_be_cut_short(run):
    # Or the day that --output-something comes, the script breaks.
    assert run("get", "--outp", "x", "http://127.0.0.1:1/")[0] == 2


def test_it_runs_as_a_module(tmp_path):
    with Hostile(whole(b"hello")) as server:
        done = subprocess.run(
            [*TAILRACE, "get", server.url()], cwd=tmp_path, capture_output=True, check=True
        )
    assert done.stdout == b"file.bin\n"
    assert done.stderr == b""


def test_a_broken_pipe_is_quiet(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    with Hostile(whole(b"hello")) as server:
        done = subprocess.run(
            [*TAILRACE, "get", server.url()],
            cwd=tmp_path,
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def wait_until_landed(directory, length, process):
    while not any(path.stat().st_size >= length for path in directory.glob(".*.part")):
        assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_download_says_so_and_can_be_resumed(tmp_path, number):
    go_on = threading.Event()

    def in_two_pieces(connection, request):
        fields = [("ETag", '"one"'), ("Content-Length", "5000")]
        connection.sendall(response("200 OK", fields, bytes(1000)))
        assert go_on.wait(10)
        connection.sendall(bytes(1000))
        end(connection, "stall")

    with Hostile(in_two_pieces) as server:
        command = [*TAILRACE, "get", server.url()]
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
            wait_until_landed(tmp_path, 1000, process)
            go_on.set()
            # That the second piece is there proves that the first was taken note of.
            wait_until_landed(tmp_path, 2000, process)
            process.send_signal(number)
            _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, b"tailrace: interrupted\n")
    assert len(list(tmp_path.glob(".*.part.json"))) == 1
