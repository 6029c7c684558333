"""The real program on a free port, and the real programs that speak to it."""

import contextlib
import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

# With --import-mode=importlib nothing else lets tests import what stands beside them.
sys.path.insert(0, str(Path(__file__).parent))

from places import OURS, Places  # needs the path above

HERE = Path(__file__).parent

TAILRACE = Path(sys.executable).with_name("tailrace")
PATIENCE_SECONDS = 30

# What is set where the tests run must not change what they see; nor may a proxy.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("TAILRACE_") and not name.lower().endswith("_proxy")
}
# What our client remembers is none of the business of whoever runs the tests.
ENVIRONMENT["XDG_STATE_HOME"] = os.devnull


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Find a program. One that is missing fails in CI, which installs all of them, and is a
    reason to skip elsewhere."""

    def find(name: str) -> str:
        found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
        if found is None and os.environ.get("CI"):
            pytest.fail(f"{name} is not installed; scripts/system-packages installs it")
        if found is None:
            pytest.skip(f"{name} is not installed; scripts/system-packages says how")
        return found

    return find


@pytest.fixture(scope="session")
def curl(program: Callable[[str], str]) -> tuple[str, ...]:
    """curl, told to be quiet and to end."""
    return (program("curl"), "--silent", "--show-error", "--max-time", str(PATIENCE_SECONDS))


@pytest.fixture(scope="session")
def wget(program: Callable[[str], str]) -> tuple[str, ...]:
    return (program("wget"), "--no-verbose", "--tries=2", f"--timeout={PATIENCE_SECONDS}")


@pytest.fixture(scope="session")
def javascript() -> Path:
    """The directory of the scripts for node, with the packages that they use."""
    directory = HERE / "javascript"
    if not (directory / "node_modules").is_dir():
        reason = f"clients for node are not installed: npm install --prefix {directory}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return directory


@pytest.fixture(scope="session")
def tailrace() -> tuple[str, ...]:
    return (str(TAILRACE),)


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """Wait for something to come about; a failure tells what did not."""

    def until(what: str, holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"it did not come about that {what}"
            time.sleep(0.005)

    return until


@pytest.fixture(scope="session")
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command to its end, whatever its exit status."""

    def run(*command: object, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, command)),
            capture_output=True,
            env=ENVIRONMENT | more.pop("environment", {}),
            text=True,
            timeout=PATIENCE_SECONDS * 2,
            **more,
        )

    return run


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start commands that run beside the test; what still runs at its end is killed."""
    with contextlib.ExitStack() as stack:

        def start(*command: object, **more: Any) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                list(map(str, command)),
                env=ENVIRONMENT | more.pop("environment", {}),
                stdin=more.pop("stdin", subprocess.DEVNULL),
                stdout=more.pop("stdout", subprocess.PIPE),
                stderr=subprocess.PIPE,
                **more,
            )
            stack.enter_context(process)  # closes its pipes and waits
            stack.callback(process.kill)
            return process

        yield start


class PatientSession(requests.Session):
    """Requests that do not wait for ever, nor ask a proxy."""

    def request(self, *args: Any, **more: Any) -> requests.Response:
        self.trust_env = False
        return super().request(*args, **{"timeout": PATIENCE_SECONDS} | more)


@pytest.fixture(scope="session")
def http() -> Iterator[requests.Session]:
    with PatientSession() as session:
        yield session


@dataclass
class Served:
    """A running `tailrace serve`, and the directory where its files rest."""

    address: str
    data: Path
    process: subprocess.Popen[str]
    log: Path
    http: requests.Session
    has_ended: bool = field(default=False, init=False)

    def stop(self) -> None:
        """Ask it to stop, unless that was done, and see that it ended well."""
        if not self.has_ended:
            self.process.send_signal(signal.SIGTERM)
            self.wait()

    def wait(self) -> None:
        """Wait for its end, which comes with exit status 0 and no fault in the log."""
        self.has_ended = True
        log = self.log.read_text
        assert self.process.wait(PATIENCE_SECONDS) == 0, log()
        faults = [line for line in log().splitlines() if " ERROR " in line]
        assert all("timeout graceful shutdown exceeded" in line for line in faults), log()

    def kill(self) -> None:
        """Have it end at once, as a crash of the machine would."""
        self.has_ended = True
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def url(self, path: str) -> str:
        return self.address + path

    def files(self) -> list[dict[str, Any]]:
        """Return what the owner's list has, newest first."""
        files: list[dict[str, Any]] = []
        after = ""
        while after is not None:
            page = self.http.get(self.url(f"/files?limit=1000{after and f'&after={after}'}"))
            page.raise_for_status()
            files += page.json()["files"]
            after = page.json()["next"]
        return files

    def file(self, name: str) -> dict[str, Any] | None:
        """Return the newest file of a name, or None where there is none."""
        return next((file for file in self.files() if file["name"] == name), None)

    def link(self, name: str) -> str:
        file = self.file(name)
        assert file is not None, f"there is no file {name}"
        url: str = file["links"][0]["url"]
        return url

    def length(self, name: str) -> int:
        """Return how many bytes the file of a name has by now; -1 where there is none."""
        file = self.file(name)
        return -1 if file is None else file["length"]

    def state(self, name: str) -> str | None:
        file = self.file(name)
        return None if file is None else file["state"]

    def blobs(self) -> set[str]:
        """Return the names of all files in the store."""
        return {path.name for path in (self.data / "blobs").rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def serve(http: requests.Session) -> Callable[..., contextlib.AbstractContextManager[Served]]:
    """Run the program on a directory; at the end it is asked to stop, and ends well."""

    @contextlib.contextmanager
    def serve(data: Path, *options: str, **settings: str) -> Iterator[Served]:
        log = data.with_name(data.name + ".log")
        with log.open("a") as errors:
            process = subprocess.Popen(
                [TAILRACE, "serve", data, "--port", "0", *options],
                cwd=HERE,
                env=ENVIRONMENT | {f"TAILRACE_{name}": settings[name] for name in settings},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        with process:
            try:
                address = process.stdout.readline().strip()
                assert address.startswith("http://"), log.read_text()
                served = Served(address, data, process, log, http)
                yield served
                served.stop()
            finally:
                process.kill()

    return serve


@pytest.fixture(scope="module")
def service(
    serve: Callable[..., contextlib.AbstractContextManager[Served]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """One service for a module that asks nothing special of it."""
    with serve(tmp_path_factory.mktemp("service") / "data", "--producers", "mill") as served:
        yield served


class CurlUpload:
    """`curl -T -`, which sends what the test writes to it, when the test does."""

    def __init__(self, process: subprocess.Popen[bytes], served: Served, name: str) -> None:
        self.process = process
        self.name = name
        self.sent = 0
        self._served = served

    def send(self, content: bytes) -> None:
        """Send content, and wait until the service has it."""
        assert self.process.stdin is not None
        self.process.stdin.write(content)
        self.process.stdin.flush()
        self.sent += len(content)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._served.length(self.name) < self.sent:
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < deadline, "what was uploaded did not arrive"
            time.sleep(0.005)

    def finish(self) -> str:
        """End the file; return the link that curl was told."""
        output, errors = self.process.communicate(timeout=PATIENCE_SECONDS)
        assert self.process.returncode == 0, errors
        return output.decode().strip()

    @property
    def link(self) -> str:
        return self._served.link(self.name)


@pytest.fixture
def upload(
    started: Callable[..., subprocess.Popen[bytes]], curl: tuple[str, ...]
) -> Callable[[Served, str], CurlUpload]:
    """Begin an upload that the test feeds."""

    def upload(served: Served, name: str) -> CurlUpload:
        uploading = started(
            *curl, "-T", "-", served.url(f"/uploads/{quote(name)}"), stdin=subprocess.PIPE
        )
        begun = CurlUpload(uploading, served, name)
        begun.send(b"")
        return begun

    return upload


@pytest.fixture(scope="session")
def sha256() -> Callable[[Path], str]:
    def sha256(path: Path) -> str:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    return sha256


@dataclass(frozen=True)
class Shop:
    """`shop.py` on a server, and the directory whose files it sends."""

    port: int
    files: Path


@pytest.fixture(scope="session")
def shop(
    tmp_path_factory: pytest.TempPathFactory, until: Callable[..., None]
) -> Iterator[Callable[..., Shop]]:
    """Serve `shop.py` by uvicorn; the same options give the same server."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def shop(http: str, loop: str = "auto") -> Shop:
            home = tmp_path_factory.mktemp("shop")
            log = home / "log"
            with log.open("w") as errors:
                process = subprocess.Popen(
                    f"{sys.executable} -m uvicorn shop:application --port 0 --no-access-log"
                    f" --http {http} --loop {loop}".split(),
                    cwd=HERE,
                    env=ENVIRONMENT | {"SHOP_FILES": str(home), "SHOP_DATA": str(home / "d")},
                    stderr=errors,
                )
            stack.enter_context(process)
            stack.callback(process.terminate)
            until("uvicorn runs", lambda: b"running on" in log.read_bytes())
            running = re.search(r"running on http://127.0.0.1:(\d+)", log.read_text())
            return Shop(int(running[1]), home)

        yield shop


@pytest.fixture(scope="session")
def places(
    shop: Callable[..., Shop],
    serve: Callable[..., contextlib.AbstractContextManager[Served]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Places]:
    """Every place that sends a sealed representation."""
    shops = {server: shop(server) for server in (OURS, "httptools", "h11")}
    with serve(tmp_path_factory.mktemp("places") / "data") as served:
        ports = {server: shop.port for server, shop in shops.items()}
        ports["tailrace serve"] = int(served.address.rpartition(":")[2])
        yield Places(ports, {server: shop.files for server, shop in shops.items()})
