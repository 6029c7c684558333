"""aiohttp's FileResponse, and its request stream written directly: PORT is the argument."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aiohttp import web

ROOT = Path(os.environ["ROOT"])


async def get(request: web.Request) -> web.FileResponse:
    return web.FileResponse(ROOT / request.match_info["name"])


async def put(request: web.Request) -> web.Response:
    with (ROOT / "put" / request.match_info["name"]).open("wb", buffering=0) as file:
        async for chunk in request.content.iter_any():
            file.write(chunk)
    return web.Response(status=201)


def main() -> None:
    app = web.Application(client_max_size=0)
    app.add_routes([web.put("/put/{name}", put), web.get("/{name}", get)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
