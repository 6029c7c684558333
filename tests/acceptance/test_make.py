"""`tailrace make` against `tailrace serve`, and commands as producers."""

import signal


def test_what_is_made_is_followed_on_standard_output(service, started, tailrace, tmp_path):
    gate = tmp_path / "gate"
    making = started(*tailrace, "make", "gated", f"gate={gate}", "--to", service.address)
    assert making.stdout.readline() == b"first\n"
    gate.touch()
    assert making.communicate(timeout=30) == (b"last\n", b"")
    assert making.returncode == 0


def test_what_is_made_goes_to_a_file(service, run, tailrace, tmp_path):
    gate, target = tmp_path / "gate", tmp_path / "made.txt"
    gate.touch()
    made = run(
        *tailrace, "make", "gated", f"gate={gate}", "-o", target, "--to", service.address
    )
    assert (made.returncode, made.stdout) == (0, f"{target}\n")
    assert target.read_bytes() == b"first\nlast\n"


def test_wrong_arguments_are_told_with_their_names(service, run, tailrace):
    made = run(*tailrace, "make", "gated", "door=x", "--to", service.address)
    assert (made.returncode, made.stdout) == (1, "")
    assert "422" in made.stderr


def test_who_is_interrupted_leaves_no_run_behind(serve, tmp_path, started, tailrace, until):
    with serve(tmp_path / "data", "--producers", "mill") as served:
        making = started(
            *tailrace, "make", "gated", f"gate={tmp_path / 'never'}", "--to", served.address
        )
        assert making.stdout.readline() == b"first\n"
        making.send_signal(signal.SIGINT)
        assert making.wait(30) == 130
        until("it was deleted", lambda: served.files() == [])
        until("its bytes are gone", lambda: served.blobs() == set())


def test_a_command_is_killed_within_a_second_of_its_end(serve, tmp_path, http, until):
    with serve(tmp_path / "data", "--producers", "mill") as served:
        made = http.post(
            served.url("/make/sleeping"), data={}, headers={"Prefer": "respond-async"}
        )
        until("it began", lambda: served.length("sleeping") > 0)
        process = int(http.get(made.json()["links"][0]["url"], stream=True).raw.readline())
        assert is_running(process)
        deleted = http.delete(served.url(f"/files/{made.json()['id']}"))
        assert deleted.status_code == 204
        until("it is killed", lambda: not is_running(process))
        assert deleted.elapsed.total_seconds() < 1


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
