"""The public surface from the user's side: checked by mypy, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response

import tailrace
from tailrace import FileResponse, Producer, Tailrace

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


a_producer: Producer[[int], bytes] = numbers
rows: Iterator[dict[str, int]] = records(3)  # type: ignore[assignment]  # or asynchronous
response: Response = FileResponse("a.bin", filename="a.bin")
