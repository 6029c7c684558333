import re
from datetime import UTC, datetime

import pytest

from tailrace.asgi.access import hash_of
from tailrace.asgi.routes import routes
from tailrace.catalogue import CredentialRecord

pytestmark = pytest.mark.anyio

# DESIGN, section 4: what each path takes, and of that, what wants no credential.
METHODS = {
    "/l/{token}": ({"GET", "HEAD"}, {"GET", "HEAD"}),
    "/l/{token}/{name:path}": ({"GET", "HEAD"}, {"GET", "HEAD"}),
    "/uploads": ({"POST", "OPTIONS"}, set()),
    "/uploads/{key:path}": (
        {"PUT", "GET", "HEAD", "PATCH", "DELETE"},
        {"GET", "HEAD", "PATCH", "DELETE"},
    ),
    "/make": ({"GET", "HEAD"}, set()),
    "/make/{producer}": ({"POST", "GET", "HEAD"}, set()),
    "/files": ({"GET", "HEAD"}, set()),
    "/files/{id}": ({"GET", "HEAD", "DELETE"}, set()),
    "/files/{id}/content": ({"GET", "HEAD"}, set()),
    "/files/{id}/links": ({"POST"}, set()),
}


def path_of(route):
    return re.sub(r"\{.*?\}", "x", route)


def test_the_routes_are_these():
    assert [route.path for route in routes(lambda: None)] == list(METHODS)


@pytest.mark.parametrize("route", METHODS)
async def test_a_path_takes_its_methods_and_names_them_to_who_asks_for_others(client, route):
    methods, _ = METHODS[route]
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        answer = await client.ask(method, path_of(route))
        if method in methods:
            assert answer.status != 405
        else:
            assert answer.status == 405
            assert set(answer.fields["allow"].split(", ")) >= methods
            is_for_another = (route, method) == ("/uploads/{key:path}", "POST")
            assert (method in answer.fields["allow"].split(", ")) is is_for_another


@pytest.mark.parametrize("route", METHODS)
async def test_only_what_has_a_token_or_a_key_in_its_path_wants_no_credential(
    client, tailrace, route
):
    await tailrace.service.catalogue.add_credential(
        CredentialRecord("owner", hash_of("the key"), datetime.now(UTC))
    )
    methods, open_to_all = METHODS[route]
    for method in methods:
        answer = await client.ask(method, path_of(route))
        assert (answer.status == 401) is (method not in open_to_all), method
        owned = await client.ask(method, path_of(route), {"Authorization": "Bearer the key"})
        assert owned.status != 401


async def test_a_name_of_several_segments_is_one_name(client):
    put = await client.ask("PUT", "/uploads/a/b/c.txt", content=b"a")
    assert put.content.decode().rstrip().endswith("/c.txt")


@pytest.mark.parametrize(
    "path", ["/", "/L/x", "/file", "/files/x/y", "/files/x/links/y", "/uploadsx"]
)
async def test_any_other_path_is_not_there(client, path):
    assert (await client.get(path)).status == 404
