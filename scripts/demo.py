"""The main job on real input, through the real programs: `make demo`.

Serve, make, follow, fetch, cut, resume, upload, follow the upload; every copy is compared by
SHA-256 with what its maker had. Exit status 0 only if all of it held.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TAILRACE = Path(sys.executable).with_name("tailrace")
# What is set for other services, and a proxy, must not change what is seen here.
for variable in [*os.environ]:
    if variable.startswith("TAILRACE_") or variable.lower().endswith("_proxy"):
        del os.environ[variable]
SENTENCES = (
    "A tailrace is the channel that carries away what the mill has made. "
    "This one carries files: they are followed while they are still being written. "
)
REPEATS = 400  # about an hour and a half of speech, so that the making can be watched
UPLOAD_LENGTH = 12 * 1024 * 1024
UPLOAD_RATE = "6M"  # a slow sender, so that the upload can be watched
PATIENCE_SECONDS = 60


class Failed(Exception):
    """Something that the demo promises did not hold."""


def main() -> int:
    if shutil.which("curl") is None:
        return fail("the demo drives curl, which is not installed: apt-get install curl")
    # In the background it would be ignored, here and by those that we interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="tailrace-demo-") as scratch:
        try:
            with service(Path(scratch) / "data") as address:
                say(f"tailrace serve is ready at {address}, with a directory and SQLite")
                follow_speech(address, Path(scratch))
                follow_upload(address, Path(scratch))
        except (Failed, OSError, subprocess.SubprocessError) as exc:
            return fail(str(exc))
    say("all copies are the same as what was made and sent: every SHA-256 agrees")
    return 0


def follow_speech(address: str, scratch: Path) -> None:
    """Have a text spoken, and get it while it is being made; then once more with curl."""
    begun_at = time.monotonic()
    made = post(f"{address}/make/speech", {"text": SENTENCES * REPEATS, "language": "en"})
    link = made["links"][0]["url"]
    say(f"POST /make/speech answered at once with {link}")
    target = scratch / "speech"
    target.mkdir()
    with started(TAILRACE, "get", link, "--unique", "-o", target) as getting:
        until("the first byte is on disk", lambda: any(map(length_of, target.iterdir())))
        first_byte = time.monotonic() - begun_at
        state = describe(link)["state"]
        path = Path(output_of(getting))
    spoken = time.monotonic() - begun_at
    require(state == "growing", f"the speech was {state}, not growing, at its first byte")
    file = describe(link)
    require_same(path, file, "the speech that `tailrace get` followed")
    say(
        f"tailrace get followed it: first byte after {first_byte * 1000:.0f} ms, all"
        f" {file['length']:,} bytes of MP3 after {spoken:.1f} s, as {path.name}"
    )
    again = scratch / "again.mp3"
    run("curl", "-sf", "-o", again, link)
    require_same(again, file, "the speech that curl fetched")
    say("curl fetched the same link again, whole")


def follow_upload(address: str, scratch: Path) -> None:
    """Upload slowly with curl; one client follows, another is cut and resumes."""
    source = scratch / "recording.bin"
    source.write_bytes(os.urandom(UPLOAD_LENGTH))
    command = ("curl", "-sf", "--limit-rate", UPLOAD_RATE, "-T", source, f"{address}/uploads/")
    followed, cut = scratch / "followed.bin", scratch / "cut.bin"
    with started(*command) as uploading:
        until("the upload has begun", lambda: newest(address)["name"] == source.name)
        link = newest(address)["links"][0]["url"]
        with started(TAILRACE, "get", link, "-o", followed) as following:
            interrupted = started(TAILRACE, "get", link, "-o", cut, errors=subprocess.DEVNULL)
            with interrupted as cutting:
                partial = ".cut.bin.*.part"
                until(
                    "some of it has landed",
                    lambda: any(length_of(path) > 2**20 for path in scratch.glob(partial)),
                )
                cutting.send_signal(signal.SIGINT)
                cutting.wait(PATIENCE_SECONDS)
            require(not cut.exists(), "a cut download left a file under its final name")
            require(describe(link)["state"] == "growing", "the upload ended too early")
            resumed = json.loads(run(TAILRACE, "get", link, "-o", cut, "--json"))
            output_of(following)
        require(output_of(uploading) == link, "curl was told another link")
    file = describe(link)
    require_same(source, file, "what the service keeps")
    require_same(followed, file, "the copy that was followed")
    require_same(cut, file, "the copy that was cut and resumed")
    require(resumed["resumed_from"] > 0, "the cut download began again from the start")
    say(f"curl -T uploaded {file['length']:,} bytes, while a second client followed {link}")
    say(f"a third one was cut, and went on at byte {resumed['resumed_from']:,}")


@contextlib.contextmanager
def service(data: Path) -> Iterator[str]:
    log = data.parent / "serve.log"
    with log.open("w") as errors:
        serving = subprocess.Popen(
            [TAILRACE, "serve", data, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert serving.stdout is not None
        try:
            address = serving.stdout.readline().strip()
            require(address.startswith("http://"), f"it did not start: {log.read_text()}")
            yield address
        finally:
            serving.terminate()
            status = serving.wait(PATIENCE_SECONDS)
            serving.stdout.close()
    require(status == 0, f"tailrace serve ended with status {status}: {log.read_text()}")


@contextlib.contextmanager
def started(*command: str | Path, errors: int | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def output_of(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    require(process.returncode == 0, f"{process.args} failed")
    return output.strip()


def run(*command: str | Path) -> str:
    with started(*command) as process:
        return output_of(process)


def post(url: str, form: dict[str, str]) -> dict[str, Any]:
    content = urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(url, content, {"Prefer": "respond-async"})
    return fetched(request)


def describe(link: str) -> dict[str, Any]:
    token_only = link.rpartition("/")[0]
    return fetched(urllib.request.Request(token_only, headers={"Accept": "application/json"}))


def newest(address: str) -> dict[str, Any]:
    file: dict[str, Any] = fetched(urllib.request.Request(f"{address}/files?limit=1"))["files"][
        0
    ]
    return file


def fetched(request: urllib.request.Request) -> dict[str, Any]:
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
        value: dict[str, Any] = json.load(response)
    return value


def until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        require(time.monotonic() < deadline, f"it did not come about that {what}")
        time.sleep(0.002)


def length_of(path: Path) -> int:
    try:
        return path.stat().st_size if path.suffix == ".part" else 0
    except FileNotFoundError:
        return 0


def require_same(path: Path, file: dict[str, Any], what: str) -> None:
    with path.open("rb") as content:
        actual = hashlib.file_digest(content, "sha256").digest()
    expected = base64.b64decode(file["digest"]["sha-256"])
    require(actual == expected, f"{what} is not what was made: {path}")


def require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


def say(line: str) -> None:
    print(f"  {line}", flush=True)


def fail(reason: str) -> int:
    print(f"demo failed: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
