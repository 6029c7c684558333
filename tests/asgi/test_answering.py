import pytest

from tailrace.asgi.answering import (
    error_response,
    json_response,
    problem_response,
    text_response,
)
from tailrace.errors import (
    AccessDenied,
    FileEnded,
    InvalidArguments,
    LengthExceeded,
    StorageFull,
)
from tailrace.protocol.problems import Problem

pytestmark = pytest.mark.anyio

NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


@pytest.fixture
def sent(client_of):
    """What a client sees of a response."""

    async def sent(response):
        return await client_of(response).ask("GET", "/")

    return sent


async def test_json_is_sent_in_utf_8_and_never_kept(sent):
    answer = await sent(json_response({"name": "你好"}, 201, {"X-Further": "1"}))
    assert answer.status == 201
    assert answer.json == {"name": "你好"}
    assert "你好".encode() in answer.content
    assert answer.fields.items() >= (NO_STORE | {"x-further": "1"}).items()


async def test_what_has_no_utf_8_is_replaced(sent):
    assert (await sent(json_response({"name": "\ud800"}))).json == {"name": "?"}


async def test_further_fields_take_the_place_of_ours(sent):
    answer = await sent(json_response({}, headers={"Cache-Control": "private"}))
    assert answer.fields["cache-control"] == "private"


async def test_a_text_is_one_line(sent):
    answer = await sent(text_response("http://a/l/b", 201, {}))
    assert answer.content == b"http://a/l/b\n"
    assert answer.fields["content-type"] == "text/plain; charset=utf-8"
    assert answer.fields.items() >= NO_STORE.items()


async def test_a_problem_has_its_own_media_type(sent):
    """RFC 9457 §3."""
    answer = await sent(problem_response(Problem(409, "urn:x", "T", "D", {"expected": 5})))
    assert answer.status == 409
    assert answer.fields["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "urn:x",
        "title": "T",
        "status": 409,
        "detail": "D",
        "expected": 5,
    }


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidArguments([{"field": "a", "detail": "b"}]), 422, "invalid-arguments"),
        (LengthExceeded(5, 6), 413, "limit-exceeded"),
        (FileEnded("why"), 410, "gone"),
        (StorageFull("the path /secret"), 507, "storage-full"),
    ],
)
async def test_an_error_is_told_as_its_problem(sent, error, status, kind):
    answer = await sent(error_response(error))
    assert (answer.status, answer.problem) == (status, kind)
    assert "www-authenticate" not in answer.fields
    assert b"/secret" not in answer.content


async def test_who_is_denied_access_is_told_the_scheme(sent):
    """RFC 9110 §15.5.2: required with a 401."""
    answer = await sent(error_response(AccessDenied("no key")))
    assert answer.fields["www-authenticate"] == 'Bearer realm="tailrace"'
