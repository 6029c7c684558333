import asyncio
import contextlib
import subprocess
import sys

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

import tailrace as surface
from tailrace import Run
from tailrace.asgi.app import application
from tailrace.errors import ConfigurationError

pytestmark = pytest.mark.anyio


def alone(files):
    return application(files)


def included(files):
    app = FastAPI(lifespan=files.lifespan)
    app.include_router(files.router, prefix="/share")
    return app


def included_twice(files):
    router = APIRouter(prefix="/b")
    router.include_router(files.router, prefix="/c")
    app = FastAPI(lifespan=files.lifespan)
    app.include_router(router, prefix="/a")
    return app


def mounted(files):
    return Starlette(routes=[Mount("/share", routes=files.routes)], lifespan=files.lifespan)


def mounted_as_an_application(files):
    app = FastAPI(lifespan=files.lifespan)
    app.mount("/share", application(files))
    return app


def mounted_on_a_name_that_is_quoted(files):
    return Starlette(routes=[Mount("/bei uns", routes=files.routes)], lifespan=files.lifespan)


def in_middleware(files):
    return Starlette(
        routes=files.routes, lifespan=files.lifespan, middleware=[Middleware(GZipMiddleware)]
    )


MOUNTS = [
    (alone, "", ""),
    (alone, "/outer", ""),
    (included, "", "/share"),
    (included, "/outer", "/share"),
    (included_twice, "", "/a/b/c"),
    (mounted, "", "/share"),
    (mounted, "/outer/inner", "/share"),
    (mounted_as_an_application, "", "/share"),
    (mounted_as_an_application, "/outer", "/share"),
    (mounted_on_a_name_that_is_quoted, "", "/bei%20uns"),
    (in_middleware, "", ""),
]


@pytest.fixture
def files(make_tailrace):
    files = make_tailrace()

    @files.producer(media_type="text/csv", name="numbers.csv", safe=True)
    async def numbers(count: int = 3):
        for n in range(count):
            yield f"{n}\n".encode()

    return files


@pytest.mark.parametrize(
    ("mount", "root_path", "prefix"), MOUNTS, ids=[f"{m.__name__} {r}" for m, r, _ in MOUNTS]
)
async def test_every_address_in_an_answer_begins_where_the_routes_are(
    client_of, lifespan, files, mount, root_path, prefix
):
    app = mount(files)
    client = client_of(app, root_path)
    at = root_path + prefix
    async with lifespan(app):
        put = await client.ask("PUT", f"{at}/uploads/%E4%BD%A0 a.txt", content=b"put")
        posted = await client.ask("POST", f"{at}/uploads?name=b", content=b"posted")
        made = await client.ask("POST", f"{at}/make/numbers")
        safe = await client.ask("GET", f"{at}/make/numbers?count=1")
        later = await client.ask("POST", f"{at}/make/numbers", {"Prefer": "respond-async"})
        listed = await client.ask("GET", f"{at}/files")
        linked = await client.ask("POST", f"{at}/files/{posted.json['id']}/links")
        links = [
            (put.content.decode().strip(), b"put"),
            (posted.json["links"][0]["url"], b"posted"),
            (linked.fields["location"], b"posted"),
            (made.fields["content-location"], b"0\n1\n2\n"),
            (safe.fields["content-location"], b"0\n"),
            (later.fields["location"], b"0\n1\n2\n"),
            *((file["links"][0]["url"], None) for file in listed.json["files"]),
        ]
        for link, content in links:
            assert link.startswith(f"http://testserver{at}/l/")
            read = await client.ask("GET", link)
            assert read.status == 200
            assert content in (None, read.content)
            described = await client.ask(
                "GET", link.rpartition("/")[0], {"Accept": "application/json"}
            )
            assert described.json["links"][0]["url"] == link
        for created in (put, posted):
            assert created.fields["location"].startswith(f"http://testserver{at}/uploads/")
            resource = await client.ask("HEAD", created.fields["location"])
            assert resource.status == 204
            assert created.fields["link"].startswith(f"<http://testserver{at}/l/")


async def test_the_public_address_takes_the_place_of_the_one_that_was_asked(
    client_of, lifespan, make_tailrace
):
    app = included(make_tailrace(public_url="https://files.example/"))
    async with lifespan(app):
        posted = await client_of(app).ask("POST", "/share/uploads", content=b"a")
        assert posted.json["links"][0]["url"].startswith("https://files.example/share/l/")


async def test_the_service_runs_from_startup_to_shutdown(client_of, lifespan, files):
    app = included(files)
    for _ in range(2):  # an application may be started again
        async with lifespan(app):
            assert (await client_of(app).ask("GET", "/share/files")).status == 200
            assert files.service.settings is files.settings
        with pytest.raises(ConfigurationError):
            _ = files.service


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/l/x"), ("GET", "/files"), ("POST", "/uploads"), ("POST", "/make/numbers")],
)
async def test_without_its_lifespan_the_developer_is_told_what_to_do(
    client_of, files, method, path
):
    """The server logs what is raised; the client learns nothing of it."""
    asked = client_of(included(files)).begin(method, f"/share{path}")
    with pytest.raises(ConfigurationError, match=r"FastAPI\(lifespan=files\.lifespan\)"):
        await asked.ends()
    assert asked.status == 500
    assert b"lifespan" not in asked.content


async def test_the_lifespan_can_be_entered_in_the_users_own(client_of, lifespan, files):
    @contextlib.asynccontextmanager
    async def own(app):
        async with files.lifespan():
            yield

    app = FastAPI(lifespan=own)
    app.include_router(files.router)
    async with lifespan(app):
        assert (await client_of(app).ask("GET", "/files")).status == 200


def test_without_fastapi_nothing_of_it_is_imported(tmp_path):
    program = (
        "import sys, tailrace\n"
        f"from tailrace.asgi.app import application\n"
        f"application(tailrace.Tailrace({str(tmp_path)!r}))\n"
        "sys.exit('fastapi' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def test_nothing_happens_before_the_lifespan(make_tailrace, tmp_path):
    files = make_tailrace()
    assert not (tmp_path / "data").exists()
    assert files.settings.data == str(tmp_path / "data")


def test_a_wrong_setting_is_told_by_its_name(make_tailrace):
    with pytest.raises(ConfigurationError, match="file_limit"):
        make_tailrace(file_limit=-1)
    with pytest.raises(ConfigurationError, match="no_such_setting"):
        make_tailrace(no_such_setting=1)


def test_two_producers_of_one_name_are_refused(make_tailrace):
    files = make_tailrace()

    @files.producer
    def rows():
        yield {"n": 1}

    files.add(rows)  # the same one again is no other

    @surface.producer(media_type="text/csv")
    def other():
        yield b""

    with pytest.raises(ConfigurationError, match="two producers of the name 'rows'"):

        @files.producer(name="rows.csv")
        def rows():
            yield b""

    files.add(other)


def test_a_declared_producer_is_still_the_function_it_was(make_tailrace):
    @make_tailrace().producer(name="numbers.txt")
    def numbers(count: int):
        yield b"n" * count

    assert list(numbers(3)) == [b"nnn"]
    assert numbers.name == "numbers"


async def test_what_is_not_there_is_a_problem(client):
    missing = await client.get("/nothing")
    assert (missing.status, missing.problem) == (404, "not-found")
    assert "/nothing" in missing.json["detail"]


async def test_a_fault_of_ours_is_told_without_its_insides(client, tailrace, monkeypatch):
    async def broken(*_, **__):
        raise ZeroDivisionError("the insides")

    monkeypatch.setattr(type(tailrace.service.catalogue), "list_files", broken)
    asked = client.begin("GET", "/files")
    with pytest.raises(ZeroDivisionError):  # for the server to log
        await asked.ends()
    assert (asked.status, asked.problem) == (500, "internal-error")
    assert b"insides" not in asked.content


async def test_a_run_that_goes_on_is_taken_up_by_the_next_service(
    client_of, lifespan, make_tailrace
):
    files = make_tailrace(grace_seconds=0)
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    @files.producer(media_type="text/plain")
    async def patient(run: Run):
        yield f"attempt {run.attempt}\n".encode()
        has_begun.set()
        await may_end.wait()
        yield b"ended"

    app = application(files)
    client = client_of(app)
    async with lifespan(app):
        accepted = await client.ask("POST", "/make/patient", {"Prefer": "respond-async"})
        await has_begun.wait()
    may_end.set()
    async with lifespan(app):
        made = await client.ask("GET", accepted.fields["location"])
        assert made.content == b"attempt 1\nended"
