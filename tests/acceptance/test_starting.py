"""What `tailrace serve` wants before it starts, and how it says so."""

import re
import urllib.parse

import pytest

FREE = ("--port", "0")


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def refusal(run, tailrace):
    """What it says when it does not start: one sentence on standard error, and nothing else."""

    def refusal(*options, status=1, **environment):
        ended = run(*tailrace, "serve", *options, environment=environment)
        assert ended.returncode == status, ended.stderr
        assert ended.stdout == ""
        assert ended.stderr.startswith("tailrace: ")
        assert ended.stderr.count("\n") == 1
        return ended.stderr

    return refusal


@pytest.fixture
def key(run, tailrace):
    """Make a key where data rests, and return it."""

    def key(data, name="mine"):
        made = run(*tailrace, "key", "add", name, "--data", data)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    return key


def reached(served):
    """The address to reach a service that listens on every address of this machine."""
    return served.address.replace("0.0.0.0", "127.0.0.1")


def test_the_first_line_is_the_address_and_the_only_one(serve, data, http):
    with serve(data) as served:
        assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+", served.address)
        assert http.get(served.url("/files")).json() == {"files": [], "next": None}
        served.stop()
        assert served.process.stdout.read() == ""


def test_what_it_keeps_is_for_its_user_alone(serve, data):
    with serve(data):
        assert data.stat().st_mode & 0o777 == 0o700
        assert (data / "secret").stat().st_mode & 0o777 == 0o600


def test_a_second_service_on_the_same_directory_is_refused(serve, data, refusal):
    with serve(data) as served:
        sentence = refusal(data, *FREE)
        assert f"another tailrace serve (process {served.process.pid})" in sentence
        assert served.files() == []


def test_a_port_in_use_is_refused_and_nothing_is_left(serve, data, refusal, tmp_path):
    with serve(data) as served:
        port = urllib.parse.urlsplit(served.address).port
        sentence = refusal(tmp_path / "other", "--port", port)
        assert f"cannot listen on 127.0.0.1 port {port} (Address already in use)" in sentence
        assert not (tmp_path / "other").exists()


def test_data_that_cannot_be_written_is_refused(refusal, tmp_path):
    assert "the data directory '/proc/tailrace' cannot be written" in refusal(
        "/proc/tailrace", *FREE
    )
    in_its_place = tmp_path / "file"
    in_its_place.touch()
    assert "cannot be written" in refusal(in_its_place, *FREE)
    assert "cannot be written" in refusal(in_its_place / "below", *FREE)


def test_a_wrong_setting_is_refused_by_its_name(refusal, data):
    assert "grace_seconds" in refusal(data, *FREE, TAILRACE_GRACE_SECONDS="soon")
    assert "keep_files" in refusal(data, *FREE, TAILRACE_KEEP_FILES="-1 day")


def test_producers_that_cannot_be_found_are_refused(refusal, data):
    assert "'no_such_module'" in refusal(data, *FREE, "--producers", "no_such_module")
    assert "there is no producer" in refusal(data, *FREE, "--producers", "json")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost.", ""])
def test_an_open_address_without_a_key_is_refused_with_what_to_do(refusal, data, host):
    sentence = refusal(data, *FREE, "--host", host)
    if "cannot listen" not in sentence:  # this machine may have no such address
        assert f"`tailrace key add NAME --data {data}`, or listen on 127.0.0.1" in sentence


def test_an_open_address_takes_owners_with_a_key_only(serve, data, key, http, run, curl):
    owners = {"Authorization": f"Bearer {key(data)}"}
    with serve(data, "--host", "0.0.0.0") as served:
        address = reached(served)
        for method, path in (
            ("GET", "/files"),
            ("GET", "/files/x"),
            ("DELETE", "/files/x"),
            ("GET", "/files/x/content"),
            ("POST", "/files/x/links"),
            ("GET", "/make"),
            ("POST", "/make/speech"),
            ("POST", "/uploads"),
            ("PUT", "/uploads/x"),
        ):
            for fields in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp4"}):
                refused = http.request(method, address + path, headers=fields, data=b"x=x")
                assert refused.status_code == 401, (method, path, fields)
                assert refused.headers["WWW-Authenticate"] == 'Bearer realm="tailrace"'
                assert refused.headers["Content-Type"] == "application/problem+json"
            assert http.request(method, address + path, headers=owners).status_code != 401
        sent = http.put(address + "/uploads/shared", data=b"shared", headers=owners)
        assert http.get(sent.text.strip()).content == b"shared"
        assert http.head(sent.headers["Location"]).status_code == 204, "its key is in it"
        assert http.get(address + "/files", headers=owners).status_code == 200


def test_the_first_key_closes_a_service_that_was_open(serve, data, key, http, run, tailrace):
    with serve(data) as served:
        assert http.get(served.url("/files")).status_code == 200
        made = key(data)
        assert http.get(served.url("/files")).status_code == 401
        ls = (*tailrace, "ls", "--to", served.address)
        assert run(*ls).returncode == 1
        assert run(*ls, environment={"TAILRACE_KEY": made}).returncode == 0


def test_a_name_has_one_key(key, data, run, tailrace):
    key(data)
    again = run(*tailrace, "key", "add", "mine", "--data", data)
    assert again.returncode == 2
    assert "there is a key of the name 'mine'" in again.stderr
    listed = run(*tailrace, "key", "ls", "--data", data)
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == ["mine"]


def test_links_begin_with_the_public_address(serve, data, http):
    with serve(data, "--url", "https://files.example/share/") as served:
        sent = http.put(served.url("/uploads/a"), data=b"a")
        assert sent.text.startswith("https://files.example/share/l/")


def test_links_of_an_open_address_begin_with_the_one_a_request_came_to(serve, data, key, http):
    owners = {"Authorization": f"Bearer {key(data)}", "Host": "files.example:81"}
    with serve(data, "--host", "0.0.0.0") as served:
        sent = http.put(reached(served) + "/uploads/a", data=b"a", headers=owners)
        assert sent.text.startswith("http://files.example:81/l/")


def test_a_service_that_was_refused_a_start_can_be_started(serve, data, refusal, key):
    refusal(data, *FREE, "--host", "0.0.0.0")
    with serve(data) as served:
        assert served.files() == []
