"""The same application with tailrace's FileResponse."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tailrace import FileResponse

ROOT = Path(os.environ["ROOT"])


async def get(request: Request) -> Response:
    return FileResponse(ROOT / request.path_params["name"])


app = Starlette(routes=[Route("/{name}", get)])
