import re

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException

from tailrace.asgi.mounting import router_of

pytestmark = pytest.mark.anyio

# Documented where GET is, or not worth it.
UNDOCUMENTED = {"HEAD", "OPTIONS"}


@pytest.fixture
def client(tailrace, client_of):
    """Mount the routes, with what a test wants of the router or of the application."""

    def client(of_application=(), **of_router):
        app = FastAPI(dependencies=of_application)
        app.include_router(router_of(tailrace.routes), prefix="/share", **of_router)
        return client_of(app)

    return client


def methods_of(route):
    methods = set(route.endpoint.methods)
    return methods | {"HEAD"} if "GET" in methods else methods


def path_of(route):
    return "/share" + re.sub(r"\{.*?\}", "x", route.path)


def refuse():
    raise HTTPException(403)


@pytest.mark.parametrize("whose", ["router", "application"])
async def test_dependencies_guard_every_method_of_every_route(client, tailrace, whose):
    guard = [Depends(refuse)]
    guarded = client(dependencies=guard) if whose == "router" else client(guard)
    for route in tailrace.routes:
        for method in methods_of(route):
            answer = await guarded.ask(method, path_of(route))
            assert answer.status == 403, (method, route.path)


async def test_what_dependencies_want_done_afterwards_is_done(client):
    done = []

    def add(tasks: BackgroundTasks):
        tasks.add_task(done.append, "a task")

    mounted = client(dependencies=[Depends(add)])
    assert (await mounted.ask("PUT", "/share/uploads/a", content=b"a")).status == 201
    assert done == ["a task"]


async def test_a_method_that_a_path_does_not_have_is_refused_with_all_it_has(client, tailrace):
    mounted = client()
    for route in tailrace.routes:
        for method in {"GET", "POST", "PATCH", "PROPFIND"} - methods_of(route):
            refused = await mounted.ask(method, path_of(route))
            assert (refused.status, refused.problem) == (405, "method-not-allowed")
            assert set(refused.fields["allow"].split(", ")) >= methods_of(route)


async def test_the_schema_tells_each_method_of_each_path_once(client, tailrace):
    schema = (await client().get("/openapi.json")).json
    told = {
        (path, method.upper())
        for path, operations in schema["paths"].items()
        for method in operations
    }
    assert told == {
        (f"/share{route.path}".replace(":path", ""), method)
        for route in tailrace.routes
        for method in methods_of(route) - UNDOCUMENTED
    }
    ids = [
        operation["operationId"]
        for operations in schema["paths"].values()
        for operation in operations.values()
    ]
    assert len(set(ids)) == len(ids) == len(told)


async def test_head_is_answered_as_get(client):
    mounted = client()
    put = await mounted.ask("PUT", "/share/uploads/a", content=b"content")
    head = await mounted.ask("HEAD", put.content.decode().strip())
    assert (head.status, head.fields["content-length"]) == (200, "7")
