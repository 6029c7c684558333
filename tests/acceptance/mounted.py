"""Somebody's application, with tailrace mounted in it and middleware in front."""

import os
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware

from tailrace import FileResponse, Tailrace

PLACE = Path(os.environ["MOUNTED_PLACE"])

files = Tailrace(PLACE / "data")
app = FastAPI(lifespan=files.lifespan)
app.include_router(files.router, prefix="/share")


@app.get("/file")
@app.head("/file")
async def file():
    return FileResponse(PLACE / "file.bin")


async def untouched(request, call_next):
    return await call_next(request)


app.add_middleware(GZipMiddleware)
app.add_middleware(BaseHTTPMiddleware, dispatch=untouched)
