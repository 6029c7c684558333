"""The public surface from the user's side: checked by mypy, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response

import tailrace
from tailrace import Command, FileResponse, Producer, Run, Tailrace

elsewhere = Tailrace(Path("data"))
files = Tailrace("./data", public_url="https://files.example")
app = FastAPI(lifespan=files.lifespan)
app.include_router(files.router, prefix="/share")


@files.producer(media_type="text/csv", name="numbers.csv")
async def numbers(count: int = 10) -> AsyncIterator[bytes]:
    for n in range(count):
        yield f"{n}\n".encode()


@tailrace.producer
def records(count: int = 10) -> Iterator[dict[str, int]]:
    for n in range(count):
        yield {"n": n}


@tailrace.producer(name="report.pdf", deterministic=True, retries=3)
def report(month: str, run: Run) -> Path:
    run.progress(1, 2, "drawing")
    return run.scratch / "report.pdf"


@tailrace.producer(at_once=1, time_limit=timedelta(minutes=5), length_limit=10**9)
async def picture(title: str) -> bytes:
    return title.encode()


@tailrace.producer(safe=True, on_disconnect="cancel")
def listing(path: Path) -> Command:
    return Command(["ls", "--", str(path)])


@tailrace.producer  # type: ignore[type-var]  # a number is no file
def number() -> int:
    return 1


a_producer: Producer[[int], AsyncIterator[bytes]] = numbers
rows: Iterator[dict[str, int]] = records(3)
path: Path = report("May", Run(name="a", media_type=None, scratch=Path("b")))
response: Response = FileResponse("a.bin", filename="a.bin")
