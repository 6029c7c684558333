from datetime import UTC, datetime, timedelta

import pytest

from tailrace.asgi.files import LinkTerms

pytestmark = pytest.mark.anyio


@pytest.fixture
async def file(client):
    return await client.put("a.txt", b"content")


async def names_of(client, query=""):
    page = (await client.get(f"/files{query}")).json
    return [file["name"] for file in page["files"]], page["next"]


async def test_files_are_listed_newest_first(client):
    assert await names_of(client) == ([], None)
    for name in "abc":
        await client.put(name)
    assert await names_of(client) == (["c", "b", "a"], None)


async def test_a_list_is_read_page_by_page_to_its_end(client):
    for name in "abcde":
        await client.put(name)
    first, after = await names_of(client, "?limit=2")
    second, after = await names_of(client, f"?limit=2&after={after}")
    third, after = await names_of(client, f"?limit=2&after={after}")
    assert [first, second, third] == [["e", "d"], ["c", "b"], ["a"]]
    assert after is None


async def test_what_comes_or_goes_meanwhile_shifts_no_page(client):
    files = [await client.put(name) for name in "abcd"]
    first, after = await names_of(client, "?limit=2")
    await client.put("e")
    await client.ask("DELETE", f"/files/{files[3]['id']}")
    second, _ = await names_of(client, f"?limit=2&after={after}")
    assert first + second == ["d", "c", "b", "a"]


async def test_a_full_last_page_is_followed_by_an_empty_one(client):
    for name in "ab":
        await client.put(name)
    _, after = await names_of(client, "?limit=2")
    assert await names_of(client, f"?limit=2&after={after}") == ([], None)


@pytest.mark.parametrize("settings", [{"list_limit": 2}])
async def test_a_page_is_no_longer_than_the_limit(client):
    for name in "abc":
        await client.put(name)
    for query in ("", "?limit=3", f"?limit={10**30}"):
        names, after = await names_of(client, query)
        assert names == ["c", "b"]
        assert after is not None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("page=2", "page"),
    ],
)
async def test_a_wrong_page_is_refused_by_the_field(client, query, field):
    refused = await client.get(f"/files?{query}")
    assert (refused.status, refused.problem) == (422, "invalid-arguments")
    assert [error["field"] for error in refused.json["errors"]] == [field]


async def test_a_page_after_no_file_is_empty(client):
    await client.put("a")
    for after in ("x", "", "%00", "%FF"):
        assert await names_of(client, f"?after={after}") == ([], None)


async def test_a_file_is_shown_with_all_its_links(client, file):
    made = await client.post(f"/files/{file['id']}/links", {})
    shown = (await client.get(f"/files/{file['id']}")).json
    links = [link["url"] for link in shown.pop("links")]
    assert links == [file["links"][0]["url"], made.fields["location"]]
    assert shown | {"links": file["links"]} == file


async def test_the_content_of_a_file_is_sent_to_its_owner(client, file):
    path = f"/files/{file['id']}/content"
    assert (await client.get(path)).content == b"content"
    assert (await client.get(path, range="bytes=3-")).content == b"tent"
    assert (await client.ask("HEAD", path)).fields["content-length"] == "7"
    download = await client.get(f"{path}?download")
    assert download.fields["content-disposition"] == 'attachment; filename="a.txt"'
    assert download.fields["x-content-type-options"] == "nosniff"


async def test_a_deleted_file_has_a_record_and_no_bytes(client, tailrace, file):
    for _ in range(2):  # RFC 9110 §9.2.2
        deleted = await client.ask("DELETE", f"/files/{file['id']}")
        assert (deleted.status, deleted.content) == (204, b"")
    shown = (await client.get(f"/files/{file['id']}")).json
    assert shown["reason"] == "it was deleted"
    assert shown["ended_at"] is not None
    gone = await client.get(f"/files/{file['id']}/content")
    assert (gone.status, gone.problem) == (410, "gone")
    assert await names_of(client) == ([], None)
    assert [key async for key in tailrace.service.store.keys()] == []


async def test_a_file_can_be_deleted_while_it_is_written(client, tailrace):
    upload = client.begin("PUT", "/uploads/a", content=None)
    upload.send_chunk(b"x" * 1_000_000)
    created = await client.ask("POST", "/uploads?name=b", {"Upload-Complete": "?0"})
    await client.ask("DELETE", f"/files/{created.json['id']}")
    resumed = await client.ask("HEAD", created.fields["location"])
    assert resumed.status == 410
    upload.leave()
    await upload.ends()


@pytest.mark.parametrize("id_", ["x", "%00", "%FF", "a" * 5000])
async def test_an_unknown_file_is_not_found(client, id_):
    for method, path in (
        ("GET", f"/files/{id_}"),
        ("DELETE", f"/files/{id_}"),
        ("GET", f"/files/{id_}/content"),
        ("POST", f"/files/{id_}/links"),
    ):
        missing = await client.ask(method, path)
        assert (missing.status, missing.problem) == (404, "not-found")


# --- links --------------------------------------------------------------------------------


async def expiry_of(client, file, terms):
    made = await client.post(f"/files/{file['id']}/links", terms)
    assert made.status == 201
    (link,) = made.json["links"]
    assert made.fields["location"] == link["url"]
    assert (await client.get(link["url"])).content == b"content"
    return link["expires_at"]


async def test_a_further_link_lives_as_long_as_its_file(client, file):
    made = await client.ask("POST", f"/files/{file['id']}/links")
    assert made.status == 201
    assert made.json["links"][0]["expires_at"] == file["expires_at"]
    assert made.json["links"][0]["url"] != file["links"][0]["url"]


async def test_a_link_expires_when_it_is_said_to(client, file):
    assert await expiry_of(client, file, {"expires_at": "2126-01-01T00:00:00Z"}) == (
        "2126-01-01T00:00:00Z"
    )
    assert await expiry_of(client, file, {"expires_at": "2126-01-01T02:00:00+02:00"}) == (
        "2126-01-01T00:00:00Z"
    )
    assert await expiry_of(client, file, {"expires_at": None}) == file["expires_at"]


async def test_a_link_expires_after_so_many_seconds(client, file):
    before = datetime.now(UTC).replace(microsecond=0)
    expires_at = datetime.fromisoformat(await expiry_of(client, file, {"expires_in": 3600}))
    assert timedelta(hours=1) <= expires_at - before < timedelta(hours=1, minutes=1)


async def test_the_terms_of_a_link_can_be_a_form(client, file):
    form = "application/x-www-form-urlencoded"
    made = await client.post(f"/files/{file['id']}/links", b"expires_in=60", content_type=form)
    assert made.status == 201


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"expires_in": 60, "expires_at": "2126-01-01T00:00:00Z"}, "expires_in"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": -1}, "expires_in"),
        ({"expires_in": "soon"}, "expires_in"),
        ({"expires_in": 1.5}, "expires_in"),
        ({"expires_in": 10**12}, "expires_in"),
        ({"expires_in": 10**30}, "expires_in"),
        ({"expires_in": [60]}, "expires_in"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2126-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "2126-13-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
        ({"expires": 60}, "expires"),
    ],
    ids=str,
)
async def test_wrong_terms_are_refused_by_the_field_and_make_no_link(
    client, file, terms, field
):
    refused = await client.post(f"/files/{file['id']}/links", terms)
    assert (refused.status, refused.problem) == (422, "invalid-arguments")
    assert [error["field"] for error in refused.json["errors"]] == [field]
    assert len((await client.get(f"/files/{file['id']}")).json["links"]) == 1


@pytest.mark.parametrize(
    ("sent", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"a=b", "text/plain", 415),
    ],
)
async def test_terms_that_cannot_be_read_are_refused(client, file, sent, media_type, status):
    path = f"/files/{file['id']}/links"
    assert (await client.post(path, sent, content_type=media_type)).status == status


@pytest.mark.parametrize("settings", [{"form_limit": 100}])
async def test_terms_of_any_length_are_not_held_in_memory(client, file):
    asked = client.begin(
        "POST", f"/files/{file['id']}/links", {"Content-Type": "application/json"}, None
    )
    for _ in range(3):
        asked.send_chunk(b" " * 50)
    await asked.ends()  # though more was to come
    assert (asked.status, asked.problem) == (413, "limit-exceeded")


async def test_no_link_is_made_to_a_file_that_has_ended(client, file):
    await client.ask("DELETE", f"/files/{file['id']}")
    gone = await client.post(f"/files/{file['id']}/links", {})
    assert (gone.status, gone.problem) == (410, "gone")


def test_terms_say_nothing_by_default():
    assert LinkTerms() == LinkTerms(expires_at=None, expires_in=None)
