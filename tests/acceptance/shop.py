"""An application as a developer writes it, for the tests to serve on several servers.

/file/{name}    tailrace.FileResponse
/share...       the routes of tailrace
anything else   what was asked, as JSON; below /slow after the client has had time to leave
"""

import asyncio
import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

import tailrace

FILES = os.environ["SHOP_FILES"]
files = tailrace.Tailrace(os.environ["SHOP_DATA"])


async def send_file(request: Request) -> Response:
    name = request.path_params["name"]
    return tailrace.FileResponse(os.path.join(FILES, name), filename=name)


routes = [Route("/file/{name}", send_file), Mount("/share", routes=files.routes)]
starlette = Starlette(routes=routes, lifespan=files.lifespan)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan" or scope["path"].startswith(("/file/", "/share/")):
        await starlette(scope, receive, send)
    else:
        request = Request(scope, receive)
        seen = {
            "method": request.method,
            "version": scope["http_version"],
            "target": scope["raw_path"].decode("latin-1"),
            "query": scope["query_string"].decode("latin-1"),
            "host": request.headers.getlist("host"),
            "content": (await request.body()).decode("latin-1"),
        }
        if scope["path"].startswith("/slow"):
            await asyncio.sleep(0.2)
        await JSONResponse(seen)(scope, receive, send)
