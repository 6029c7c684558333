import pytest
from starlette.responses import PlainTextResponse, Response

from tailrace.asgi.resources import Resource
from tailrace.errors import (
    BlobMissing,
    ClientDisconnected,
    ConfigurationError,
    FileEnded,
    LengthExceeded,
    LinkNotKnown,
    StorageFull,
    StorageUnavailable,
)

pytestmark = pytest.mark.anyio


class NoCatalogue:
    async def credentials(self):
        return ()


class FakeService:
    """As much of a service as a resource itself asks."""

    catalogue = NoCatalogue()


@pytest.fixture
def client(client_of):
    """Serve these methods at one path."""
    return lambda **methods: client_of(Resource(FakeService, methods))


async def hello(service, request):
    return PlainTextResponse("hello")


def failing(error):
    async def fail(service, request):
        raise error

    return fail


class EndsMeanwhile(Response):
    """A response whose file has ended since it was looked up."""

    async def __call__(self, scope, receive, send):
        raise BlobMissing("no such blob")


async def test_a_method_is_answered_by_its_function(client):
    resource = client(GET=hello, DELETE=hello)
    for method in ("GET", "DELETE"):
        assert (await resource.ask(method, "/")).content == b"hello"


async def test_head_is_answered_as_get(client):
    head = await client(GET=hello).ask("HEAD", "/")
    assert (head.status, head.fields["content-length"], head.content) == (200, "5", b"")


@pytest.mark.parametrize(
    ("methods", "allowed"),
    [
        (["GET"], {"GET", "HEAD", "OPTIONS"}),
        (["POST", "GET"], {"POST", "GET", "HEAD", "OPTIONS"}),
        (["PUT", "HEAD", "GET"], {"PUT", "HEAD", "GET", "OPTIONS"}),
        (["POST", "OPTIONS"], {"POST", "OPTIONS"}),
        (["POST"], {"POST", "OPTIONS"}),
    ],
)
async def test_any_other_method_is_refused_with_those_there_are(client, methods, allowed):
    """RFC 9110 §15.5.6."""
    resource = client(**dict.fromkeys(methods, hello))
    for method in {"GET", "HEAD", "POST", "PUT", "TRACE", "PROPFIND"} - allowed:
        refused = await resource.ask(method, "/")
        assert refused.status == 405
        told = refused.fields["allow"].split(", ")
        assert set(told) == allowed
        assert len(told) == len(allowed)
        if method != "HEAD":
            assert refused.json["allowed"] == told


async def test_options_tells_the_methods_there_are(client):
    """RFC 9110 §9.3.7."""
    told = await client(GET=hello).ask("OPTIONS", "/")
    assert (told.status, told.fields["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert (await client(OPTIONS=hello).ask("OPTIONS", "/")).content == b"hello"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (LinkNotKnown("x"), 404),
        (FileEnded("x"), 410),
        (LengthExceeded(1), 413),
        (StorageFull("x"), 507),
        (StorageUnavailable("x"), 503),
    ],
)
async def test_an_error_is_told_as_its_problem(client, error, status):
    failed = await client(GET=failing(error)).ask("GET", "/")
    assert failed.status == status
    assert failed.fields["content-type"] == "application/problem+json"


async def test_a_fault_that_nobody_meant_is_the_servers_to_log(client):
    asked = client(GET=failing(ZeroDivisionError())).begin("GET", "/")
    with pytest.raises(ZeroDivisionError):
        await asked.ends()


async def test_a_client_who_left_is_answered_nothing_that_matters(client):
    assert (await client(POST=failing(ClientDisconnected("x"))).ask("POST", "/")).status == 400


async def test_a_file_that_ends_before_it_is_opened_is_looked_up_again(client):
    answers = iter([EndsMeanwhile(), FileEnded("it was deleted")])

    async def look_up(service, request):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    gone = await client(GET=look_up).ask("GET", "/")
    assert (gone.status, gone.problem) == (410, "gone")


async def test_what_is_not_reading_is_not_done_twice(client):
    done = []

    async def make(service, request):
        done.append(1)
        return EndsMeanwhile()

    answer = await client(POST=make).ask("POST", "/")
    assert (answer.status, answer.problem) == (404, "bytes-missing")
    assert done == [1]


async def test_bytes_that_are_lost_are_told_and_not_a_fault(client):
    async def read(service, request):
        return EndsMeanwhile()

    answer = await client(GET=read).ask("GET", "/")
    assert (answer.status, answer.problem) == (404, "bytes-missing")


async def test_a_service_that_does_not_run_is_a_fault_of_the_developer(client_of):
    def not_running():
        raise ConfigurationError("give the application its lifespan")

    resource = client_of(Resource(not_running, {"GET": hello}))
    with pytest.raises(ConfigurationError, match="lifespan"):
        await resource.ask("GET", "/")
    assert (await resource.ask("PUT", "/")).status == 405
