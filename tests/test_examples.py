"""The programs of examples/ and of the README, as they stand, behind a real server."""

from __future__ import annotations

import importlib.util
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SECONDS = 20


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs keep their data below the working directory unless they are told otherwise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAILRACE_DATA", str(tmp_path / "tailrace-data"))
    return tmp_path


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an application and give its address; who asks before it is ready waits."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def readme_block(mark: str) -> str:
    """Return the one Python block of the README that has a mark in it."""
    text = (ROOT / "README.md").read_text("utf-8")
    (block,) = [each for each in re.findall(r"```python\n(.*?)```", text, re.S) if mark in each]
    return str(block)


def run(source: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(source, "README.md", "exec"), namespace)
    return namespace


def upload(address: str, name: str, content: bytes) -> str:
    url = f"{address}/share/uploads/{name}"
    return requests.put(url, data=content, timeout=SECONDS).text.strip()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_says_what_it_replaces(path: Path) -> None:
    source = path.read_text("utf-8")
    assert len(source.splitlines()) < 40
    assert "\nReplaces " in source.split('"""')[1]


def test_the_library_example_of_the_readme_makes_and_keeps_a_file() -> None:
    app = run(readme_block("@files.producer"))["app"]
    with serving(app) as address:
        url = f"{address}/share/make/numbers"
        made = requests.post(url, data={"count": "3"}, timeout=SECONDS)
        assert (made.status_code, made.content) == (200, b"0\n1\n2\n")
        assert made.headers["Content-Type"] == "text/csv"
        kept = requests.get(made.headers["Content-Location"], timeout=SECONDS)
        assert kept.content == made.content


def test_the_response_of_the_readme_sends_the_file(scratch: Path) -> None:
    (scratch / "report.pdf").write_bytes(b"%PDF-1.7 and so on")
    response = run(readme_block("import FileResponse"))["response"]
    with serving(Starlette(routes=[Route("/", lambda request: response)])) as address:
        part = requests.get(address, headers={"Range": "bytes=0-7"}, timeout=SECONDS)
    assert (part.status_code, part.content) == (206, b"%PDF-1.7")
    assert part.headers["Content-Disposition"] == 'attachment; filename="report.pdf"'


def test_the_download_of_the_readme_is_the_file_under_a_unique_name() -> None:
    with serving(example("fastapi_app").app) as address:
        link = upload(address, "big.bin", b"all of it")
        block = readme_block("import download").replace(
            "http://127.0.0.1:8000/l/TOKEN/big.bin", link
        )
        assert link in block
        path = run(block)["path"]
    assert path.read_bytes() == b"all of it"
    assert re.fullmatch(r"[0-9a-f-]{36}\.bin", path.name)


def test_the_fastapi_application_makes_reports_and_sends_its_source() -> None:
    with serving(example("fastapi_app").app) as address:
        made = requests.post(
            f"{address}/share/make/report",
            data={"days": "2"},
            headers={"Prefer": "respond-async"},
            timeout=SECONDS,
        )
        assert made.status_code == 202
        followed = requests.get(made.headers["Location"], timeout=SECONDS)
        wrong = requests.post(
            f"{address}/share/make/report", data={"days": "0"}, timeout=SECONDS
        )
        source = requests.get(f"{address}/source", timeout=SECONDS)
        again = requests.get(
            f"{address}/source",
            headers={"If-None-Match": source.headers["ETag"]},
            timeout=SECONDS,
        )
    assert followed.text == "day,visits\n1,1\n2,4\n"
    assert wrong.status_code == 422
    assert source.content == (ROOT / "examples" / "fastapi_app.py").read_bytes()
    assert again.status_code == 304


def test_the_starlette_application_counts_in_records() -> None:
    with serving(example("starlette_app").app) as address:
        ticks = requests.get(
            f"{address}/share/make/ticks",
            params={"count": "3", "seconds": "0"},
            timeout=SECONDS,
        )
    assert ticks.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line)["tick"] for line in ticks.text.splitlines()] == [0, 1, 2]


def test_many_downloads_come_whole_and_one_that_cannot_come_is_told(scratch: Path) -> None:
    contents = [bytes([n]) * 100_000 for n in range(6)]
    target = scratch / "here"
    target.mkdir()
    with serving(example("fastapi_app").app) as address:
        links = [upload(address, f"{n}.bin", content) for n, content in enumerate(contents)]
        wrong = f"{address}/share/l/unknown/x.bin"
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / "download_many.py", target, *links, wrong],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"{wrong}: the server answered 404")
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert sorted(path.read_bytes() for path in paths) == contents
    assert sorted(target.iterdir()) == sorted(paths)
