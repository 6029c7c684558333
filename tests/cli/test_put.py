import hashlib
import json
import os
import signal
import subprocess
import sys

import pytest
from hostile import Hostile, answer, end
from receiving import Receiving, cut_after, refused

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(in_directory):
    (in_directory / "file.bin").write_bytes(CONTENT)
    return "file.bin"


def test_the_link_is_printed_alone_on_a_line(run, file):
    with Receiving() as service:
        status, out, _ = run("put", file, "--to", service.address)
    assert (status, out) == (0, f"{service.link}\n")
    assert bytes(service.content) == CONTENT


def test_the_link_is_there_before_the_bytes(in_directory, file):
    """The service lets no byte through before it was told that the link was seen."""
    reader, writer = os.pipe()

    def wait(service, connection, request):
        assert os.read(reader, 1) == b"!"
        return False

    with Receiving(wait) as service:
        command = [sys.executable, "-m", "tailrace", "put", file, "--to", service.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline().decode() == f"{service.link}\n"
            os.write(writer, b"!")
            assert process.wait(10) == 0
    os.close(reader)
    os.close(writer)


def test_several_files_have_each_their_link(run, file, in_directory):
    (in_directory / "other.bin").write_bytes(b"other")
    with Receiving() as service:
        status, out, _ = run("put", file, "other.bin", "--to", service.address)
    assert (status, out) == (0, f"{service.link}\n" * 2)
    assert service.files == [CONTENT, b"other"]


def test_json_is_printed_for_programs(run, file):
    with Receiving() as service:
        _, out, _ = run("put", "--json", file, "--to", service.address)
    begun, ended = map(json.loads, out.splitlines())
    assert begun == {"file": file, "link": service.link}
    assert ended == {**begun, "length": len(CONTENT), "sha256": SHA256}


def test_the_digest_is_told_last_beside_the_results(run, file):
    with Receiving() as service:
        _, _, err = run("put", file, "--to", service.address)
    assert err == f"sha256 {SHA256}  file.bin\n"


def test_another_name_may_be_given(run, file):
    with Receiving() as service:
        assert run("put", file, "--name", "other.txt", "--to", service.address)[0] == 0
    assert service.name == 'attachment; filename="other.txt"'


def test_standard_input_is_sent_to_its_end(in_directory):
    with Receiving() as service:
        command = [sys.executable, "-m", "tailrace", "put", "-", "--name", "log.txt"]
        done = subprocess.run(
            [*command, "--to", service.address], input=CONTENT, capture_output=True, timeout=30
        )
    assert (done.returncode, done.stdout.decode()) == (0, f"{service.link}\n")
    assert service.files == [CONTENT]
    assert service.name == 'attachment; filename="log.txt"'


@pytest.mark.parametrize("words", [["-"], ["a", "b", "--name", "c"], ["a", "-"]])
def test_a_name_that_is_missing_or_one_for_several_is_wrong_use(run, words):
    status, out, err = run("put", *words)
    assert (status, out) == (2, "")
    assert "--name" in err


def test_what_was_interrupted_goes_on_with_the_same_command(in_directory, file, monkeypatch):
    """The service takes a part and falls silent; then comes Ctrl-C."""
    monkeypatch.setenv("XDG_STATE_HOME", str(in_directory / "state"))
    reader, writer = os.pipe()

    def stall(service, connection, request):
        service.take(connection, request, 1000)
        os.write(writer, b"!")
        return end(connection, "stall") is None

    with Receiving(stall) as service:
        command = [sys.executable, "-m", "tailrace", "put", file, "--to", service.address]
        with subprocess.Popen(command, stdout=-1, stderr=-1) as process:
            assert os.read(reader, 1) == b"!"
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        assert not service.is_cancelled
        again = subprocess.run(command, capture_output=True, timeout=30)
    os.close(reader)
    os.close(writer)
    assert (again.returncode, again.stdout.decode()) == (0, f"{service.link}\n")
    assert service.methods.count("POST") == 1
    assert service.files == [CONTENT]


def test_the_environment_names_the_service_and_its_key(run, file, monkeypatch):
    with Receiving() as service:
        monkeypatch.setenv("TAILRACE_URL", service.address)
        monkeypatch.setenv("TAILRACE_KEY", "secret")
        assert run("put", file)[0] == 0
    assert service.requests[0].fields["authorization"] == "Bearer secret"


def test_a_cut_is_not_even_noticed(run, file):
    with Receiving(cut_after(1000)) as service:
        status, _, err = run("put", file, "--to", service.address)
    assert status == 0
    assert err.startswith("sha256 ")


def test_a_refusal_is_told(run, file):
    with Hostile(answer("401 Unauthorized")) as service:
        status, out, err = run("put", file, "--to", service.url("/"))
    assert (status, out) == (1, "")
    assert err == "tailrace: file.bin: the server answered 401 Unauthorized\n"


def test_a_refusal_after_the_link_is_told(run, file):
    with Receiving(refused("413 Content Too Large")) as service:
        status, out, err = run("put", file, "--to", service.address)
    assert (status, out) == (1, f"{service.link}\n")
    assert "413" in err


def test_some_failures_have_a_status_of_their_own(run, file):
    with Receiving() as service:
        status, out, err = run("put", "missing", file, "--to", service.address)
    assert (status, out) == (3, f"{service.link}\n")
    assert err.startswith("tailrace: missing: ")


def test_an_address_that_is_none_is_wrong_use(run, file):
    assert run("put", file, "--to", "nowhere")[0] == 2


def test_a_service_that_is_not_there_is_told(run, file):
    with Receiving() as service:
        pass
    status, _, err = run("put", file, "--to", service.address)
    assert status == 1
    assert "no connection to 127.0.0.1" in err
    assert "is the service at" in err


def test_a_file_that_is_not_there_is_named_once_and_in_words(run, in_directory):
    assert run("put", "nowhere") == (1, "", "tailrace: nowhere: No such file or directory\n")
