import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
from hostile import Hostile, answer, end, response, whole

CONTENT = b"hello world"


def test_the_path_is_printed_alone_on_a_line(run, in_directory):
    with Hostile(whole(CONTENT)) as server:
        assert run("get", server.url()) == (0, "file.bin\n", "")
    assert (in_directory / "file.bin").read_bytes() == CONTENT


def test_several_urls_go_to_a_directory(run, tmp_path):
    with Hostile(whole(CONTENT)) as server:
        status, out, _ = run("get", server.url("/a"), server.url("/b"), "-o", tmp_path)
    assert status == 0
    assert out == f"{tmp_path}/a\n{tmp_path}/b\n"


def test_a_file_may_be_named(run, tmp_path):
    with Hostile(whole(CONTENT)) as server:
        assert run("get", server.url(), "-o", tmp_path / "mine")[1] == f"{tmp_path}/mine\n"


def test_a_unique_name_keeps_the_extension(run, in_directory):
    with Hostile(whole(CONTENT)) as server:
        _, out, _ = run("get", "--unique", server.url())
    assert uuid.UUID(out.removesuffix(".bin\n"))
    assert Path(out.strip()).read_bytes() == CONTENT


def test_an_existing_file_is_kept(run, in_directory):
    (in_directory / "file.bin").write_bytes(b"mine")
    with Hostile(whole(CONTENT)) as server:
        status, out, err = run("get", server.url())
        assert (status, out) == (1, "")
        assert "file.bin exists already" in err
        assert run("get", "--force", server.url())[0] == 0
    assert (in_directory / "file.bin").read_bytes() == CONTENT


def test_json_is_printed_for_programs(run, in_directory):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    with Hostile(whole(CONTENT)) as server:
        _, out, _ = run("get", "--json", "--sha256", sha256, server.url())
    assert json.loads(out) == {
        "url": server.url(),
        "path": "file.bin",
        "length": 11,
        "sha256": sha256,
        "resumed_from": 0,
    }


# --- exit statuses ------------------------------------------------------------------------


def test_a_failure_is_told_in_one_line(run, in_directory):
    with Hostile(answer("404 Not Found")) as server:
        status, out, err = run("get", server.url())
    assert (status, out) == (1, "")
    assert err == f"tailrace: {server.url()}: the server answered 404 Not Found\n"


def test_some_failures_have_a_status_of_their_own(run, in_directory):
    with Hostile(whole(CONTENT), answer("404 Not Found"), whole(CONTENT)) as server:
        status, out, err = run("get", *(server.url(f"/{name}") for name in "abc"))
    assert (status, out) == (3, "a\nc\n")
    assert server.url("/b") in err


def test_where_all_fail_it_failed(run, in_directory):
    with Hostile(answer("404 Not Found")) as server:
        assert run("get", server.url("/a"), server.url("/b"))[0] == 1


@pytest.mark.parametrize(
    "words",
    [
        ("file:///etc/passwd",),
        ("http://127.0.0.1:1/", "nowhere"),
        ("--sha256", "00" * 32, "http://127.0.0.1:1/", "http://127.0.0.1:2/"),
        ("--sha256", "xyz", "http://127.0.0.1:1/"),
        ("-o", "missing", "http://127.0.0.1:1/", "http://127.0.0.1:2/"),
        ("-o", "name", "--unique", "http://127.0.0.1:1/"),
        ("--timeout", "0", "http://127.0.0.1:1/"),
    ],
)
def test_wrong_use_is_told_before_anything_is_done(run, in_directory, words):
    status, out, err = run("get", *words)
    assert (status, out) == (2, "")
    assert err
    assert not list(in_directory.iterdir())


def test_a_name_from_a_server_cannot_move_the_cursor(run, in_directory):
    with Hostile(answer("404 \x1b[31mred")) as server:
        _, _, err = run("get", server.url())
    assert "\x1b" not in err


def test_a_path_that_is_no_unicode_is_printed_as_it_is(in_directory):
    path = os.fsencode(in_directory) + b"/\xff.bin"
    with Hostile(whole(CONTENT)) as server:
        command = [sys.executable, "-m", "tailrace", "get", server.url(), "-o", path]
        done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == path + b"\n"


# --- keys ---------------------------------------------------------------------------------


def authorization(run, server, *words):
    with server:
        run("get", server.url(), *words)
    return server.requests[0].fields.get("authorization")


def test_a_key_that_is_given_is_sent(run, in_directory):
    assert authorization(run, Hostile(whole(b"")), "--key", "secret") == "Bearer secret"


def test_the_key_of_the_service_is_sent_to_the_service(run, in_directory, monkeypatch):
    server = Hostile(whole(b""))
    monkeypatch.setenv("TAILRACE_KEY", "secret")
    monkeypatch.setenv("TAILRACE_URL", server.url("/mount"))
    assert authorization(run, server) == "Bearer secret"


def test_the_key_of_the_service_is_sent_to_nobody_else(run, in_directory, monkeypatch):
    monkeypatch.setenv("TAILRACE_KEY", "secret")
    monkeypatch.setenv("TAILRACE_URL", "http://127.0.0.1:1/")
    assert authorization(run, Hostile(whole(b""))) is None


# --- cost ---------------------------------------------------------------------------------

HEAVY = [
    "asyncio",
    "concurrent.futures",
    "email",
    "fastapi",
    "http.client",
    "logging",
    "pydantic",
    "rich",
    "sqlalchemy",
    "ssl",
    "starlette",
    "tailrace.asgi",
    "tailrace.client.uploads",
    "tailrace.service",
    "uvicorn",
]


def test_a_small_download_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from tailrace.cli import main; main(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr)"
    )
    with Hostile(whole(CONTENT)) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, "get", server.url(), "-o", tmp_path],
            capture_output=True,
            check=True,
            text=True,
        )
    imported = done.stderr.split()
    assert "tailrace.client.downloads" in imported
    assert not set(HEAVY) & set(imported)


PEAK = """
import sys
import threading
import time
from tailrace.cli import main
main(sys.argv[1:])
with open("/proc/self/status") as status:
    print(*[line.split()[1] for line in status if line.startswith("VmHWM")], file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="getrusage tells the parent's peak as well")
def test_a_large_download_takes_little_memory(tmp_path):
    piece, count = bytes(1024 * 1024), 200

    def large(connection, request):
        fields = [("Content-Length", str(len(piece) * count))]
        connection.sendall(response("200 OK", fields))
        for _ in range(count):
            connection.sendall(piece)
        end(connection, "close")

    with Hostile(large) as server:
        done = subprocess.run(
            [sys.executable, "-c", PEAK, "get", server.url(), "-o", tmp_path],
            capture_output=True,
            check=True,
        )
    assert (tmp_path / "file.bin").stat().st_size == len(piece) * count
    assert int(done.stderr) < 40 * 1024  # KiB


# --- several at once ----------------------------------------------------------------------


def by_name(connection, request):
    whole(request.target.encode())(connection, request)


@pytest.mark.parametrize("jobs", ["1", "3", "9"])
def test_urls_are_read_from_a_list(run, tmp_path, jobs):
    with Hostile(by_name) as server:
        listed = "\n".join(["# a comment", "", *(server.url(f"/{name}") for name in "abcd")])
        (tmp_path / "list").write_text(listed)
        status, out, _ = run("get", "-j", jobs, "-i", tmp_path / "list", "-o", tmp_path)
    assert status == 0
    assert sorted(out.splitlines()) == [f"{tmp_path}/{name}" for name in "abcd"]
    assert all((tmp_path / name).read_text() == f"/{name}" for name in "abcd")


def test_a_url_that_is_there_twice_is_fetched_once(run, in_directory):
    with Hostile(by_name) as server:
        assert run("get", server.url(), server.url())[0] == 0
    assert len(server.requests) == 1


def test_the_list_may_be_standard_input(run, in_directory, monkeypatch):
    with Hostile(by_name) as server:
        monkeypatch.setattr("sys.stdin", io.StringIO(server.url("/a") + "\n"))
        assert run("get", "-i", "-")[:2] == (0, "a\n")


def test_of_several_at_once_some_may_fail(run, in_directory):
    def reply(connection, request):
        known = by_name if request.target != "/b" else answer("404 Not Found")
        known(connection, request)

    with Hostile(reply) as server:
        urls = [server.url(f"/{name}") for name in "abc"]
        status, out, err = run("get", "-j3", *urls)
    assert status == 3
    assert sorted(out.split()) == ["a", "c"]
    assert f"{urls[1]}: the server answered 404" in err


@pytest.mark.parametrize("arguments", [[], ["-i", "nowhere"], ["-i", "/"]])
def test_without_any_url_nothing_can_be_done(run, in_directory, arguments):
    status, out, err = run("get", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("tailrace: ")


def test_an_interrupt_ends_all_of_several_and_leaves_what_they_have(tmp_path):
    reached = threading.Barrier(3)
    head = response("200 OK", [("ETag", '"one"'), ("Content-Length", "2000000")])

    def reply(connection, request):
        connection.sendall(head + bytes(1_500_000))
        reached.wait(10)
        end(connection, "stall")

    with Hostile(reply) as server:
        process = subprocess.Popen(
            [
                *[sys.executable, "-m", "tailrace", "get", "-j2", "--connections=1"],
                *[server.url("/a"), server.url("/b")],
            ],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
        )
        reached.wait(20)
        deadline = time.monotonic() + 20
        while sum(path.stat().st_size == 1_500_000 for path in tmp_path.glob("*.part")) < 2:
            assert time.monotonic() < deadline
        process.terminate()
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, b"tailrace: interrupted\n")
    assert len(list(tmp_path.glob(".*.part"))) == 2
