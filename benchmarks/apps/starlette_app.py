"""Starlette's own FileResponse, its request stream written directly, and its forms."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

ROOT = Path(os.environ["ROOT"])


async def get(request: Request) -> Response:
    return FileResponse(ROOT / request.path_params["name"])


async def put(request: Request) -> Response:
    # Writing in the loop is the faster of the two ways; the other is a thread for each chunk.
    with (ROOT / "put" / request.path_params["name"]).open("wb", buffering=0) as file:
        async for chunk in request.stream():
            file.write(chunk)
    return Response(status_code=201)


async def form(request: Request) -> Response:
    # What an UploadFile has been spooled to is removed at the end.
    async with request.form():
        return Response(status_code=201)


app = Starlette(
    routes=[
        Route("/form", form, methods=["POST"]),
        Route("/put/{name}", put, methods=["PUT"]),
        Route("/{name}", get),
    ],
)
