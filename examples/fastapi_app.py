"""A FastAPI application that makes reports, gives each a link, and sends a file of its own.

Replaces a StreamingResponse over the generator (nothing kept, nothing resumed), a table of
temporary files with a task that deletes them, and Starlette's FileResponse.

    uvicorn --app-dir examples fastapi_app:app
    curl -d days=3 http://127.0.0.1:8000/share/make/report
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI
from pydantic import Field

from tailrace import FileResponse, Tailrace

files = Tailrace()  # in TAILRACE_DATA, or ./tailrace-data
app = FastAPI(lifespan=files.lifespan)
app.include_router(files.router, prefix="/share")


@files.producer(name="report.csv", media_type="text/csv; charset=utf-8")
async def report(days: Annotated[int, Field(ge=1, le=366)] = 7) -> AsyncIterator[bytes]:
    """One line a day."""
    yield b"day,visits\n"
    for day in range(1, days + 1):
        await asyncio.sleep(0.01)  # where a real one asks its database
        yield f"{day},{day * day}\n".encode()


@app.get("/source")
async def source() -> FileResponse:
    return FileResponse(__file__, filename="fastapi_app.py")
