"""tus over the service's routes."""

import base64
import hashlib
from datetime import timedelta

import pytest

from tailrace.protocol.dates import parse_date

pytestmark = pytest.mark.anyio

VERSION = {"Tus-Resumable": "1.0.0"}
CONTENT = {**VERSION, "Content-Type": "application/offset+octet-stream"}


def metadata(**values):
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items()
    )


def checksum(name, content):
    digest = hashlib.new(name, content).digest()
    return {"Upload-Checksum": f"{name} {base64.b64encode(digest).decode()}"}


class Tus:
    """A client of tus; it keeps to the specification, and asserts that the service does."""

    def __init__(self, client):
        self.client = client

    async def ask(self, method, target, content=b"", **fields):
        names = {name.replace("_", "-"): value for name, value in fields.items()}
        answer = await self.client.ask(method, target, {**CONTENT, **names}, content)
        assert answer.fields["tus-resumable"] == "1.0.0"
        return answer

    async def create(self, content=b"", **fields):
        created = await self.ask("POST", "/uploads", content, **fields)
        assert (created.status, created.fields["upload-offset"]) == (201, str(len(content)))
        return created

    async def append(self, location, offset, content, **fields):
        return await self.ask("PATCH", location, content, Upload_Offset=str(offset), **fields)

    async def offset(self, location):
        told = await self.ask("HEAD", location)
        assert (told.status, told.fields["cache-control"]) == (200, "no-store")
        return int(told.fields["upload-offset"])


@pytest.fixture
def tus(client):
    return Tus(client)


async def test_an_upload_in_parts_is_whole_at_its_length(client, tus):
    created = await tus.create(Upload_Length="11", Upload_Metadata=metadata(filename="a.txt"))
    location = created.fields["location"]
    link = created.json["links"][0]["url"]
    for offset, part in ((0, b"hello"), (5, b" world")):
        appended = await tus.append(location, offset, part)
        assert (appended.status, appended.content) == (204, b"")
        assert int(appended.fields["upload-offset"]) == offset + len(part)
        assert await tus.offset(location) == offset + len(part)
    read = await client.get(link)
    assert (read.content, read.fields["content-type"]) == (
        b"hello world",
        "text/plain",
    )
    assert "etag" in read.fields


async def test_the_link_is_there_before_the_bytes(client, tus):
    created = await tus.create(Upload_Length="2")
    assert created.fields["link"] == f'<{created.json["links"][0]["url"]}>; rel="alternate"'
    reading = client.begin("GET", created.json["links"][0]["url"])
    await reading.begins()
    await tus.append(created.fields["location"], 0, b"a")
    await reading.has(1)
    await tus.append(created.fields["location"], 1, b"b")
    await reading.ends()
    assert reading.content == b"ab"


@pytest.mark.parametrize("content", [b"", b"hello"])
async def test_a_creation_that_brings_all_of_its_content_is_whole(tus, content):
    created = await tus.create(content, Upload_Length=str(len(content)))
    assert (created.json["state"], created.json["length"]) == ("sealed", len(content))
    assert "upload-expires" not in created.fields


async def test_a_length_may_come_later(tus):
    created = await tus.create(Upload_Defer_Length="1")
    location = created.fields["location"]
    told = await tus.ask("HEAD", location)
    assert told.fields["upload-defer-length"] == "1"
    assert "upload-length" not in told.fields
    await tus.append(location, 0, b"abc", Upload_Length="5")
    told = await tus.ask("HEAD", location)
    assert told.fields["upload-length"] == "5"
    assert (await tus.append(location, 3, b"", Upload_Length="6")).status == 400
    assert (await tus.append(location, 3, b"de", Upload_Length="5")).status == 204
    assert (await tus.ask("GET", location)).json["state"] == "sealed"


async def test_metadata_comes_back_as_it_was_given(tus):
    given = metadata(filename="Grüße.pdf", filetype="application/pdf", other="\x00") + ",flag"
    created = await tus.create(Upload_Length="1", Upload_Metadata=given)
    told = await tus.ask("HEAD", created.fields["location"])
    assert told.fields["upload-metadata"] == given
    assert (created.json["name"], created.json["media_type"]) == (
        "Grüße.pdf",
        "application/pdf",
    )


async def test_an_expiry_is_told_and_moves_with_each_append(tus, tailrace):
    keep = timedelta(hours=24)
    created = await tus.create(Upload_Length="5")
    first = parse_date(created.fields["upload-expires"])
    now = tailrace.service.now()
    assert now < first <= now + keep
    appended = await tus.append(created.fields["location"], 0, b"a")
    assert (
        first <= parse_date(appended.fields["upload-expires"]) <= tailrace.service.now() + keep
    )
    ended = await tus.append(created.fields["location"], 1, b"bcde")
    assert "upload-expires" not in ended.fields


async def test_a_wrong_offset_is_told_the_right_one(tus):
    created = await tus.create(b"abc", Upload_Length="5")
    for offset in (0, 2, 4):
        refused = await tus.append(created.fields["location"], offset, b"xy")
        assert (refused.status, refused.fields["upload-offset"]) == (409, "3")
    assert await tus.offset(created.fields["location"]) == 3


async def test_more_than_was_promised_is_refused_and_what_fits_can_go_on(tus):
    created = await tus.create(b"abc", Upload_Length="5")
    location = created.fields["location"]
    assert (await tus.append(location, 3, b"defg")).status == 413
    assert await tus.offset(location) == 3
    assert (await tus.append(location, 3, b"de")).status == 204


async def test_a_file_over_the_limit_is_refused_before_its_content(tus, tailrace):
    limit = tailrace.settings.file_limit
    refused = await tus.ask("POST", "/uploads", Upload_Length=str(limit + 1))
    assert (refused.status, refused.fields["tus-max-size"]) == (413, str(limit))


async def test_what_is_whole_takes_no_more(tus):
    created = await tus.create(b"abc", Upload_Length="3")
    location = created.fields["location"]
    assert (await tus.append(location, 3, b"")).status == 204
    assert (await tus.append(location, 3, b"d")).status == 403
    assert (await tus.append(location, 0, b"abc")).status == 409


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha512", "md5"])
async def test_content_with_its_checksum_is_kept(client, tus, name):
    created = await tus.create(Upload_Length="5")
    fields = checksum(name, b"hello")
    appended = await tus.append(created.fields["location"], 0, b"hello", **fields)
    assert appended.status == 204
    assert (await client.get(created.json["links"][0]["url"])).content == b"hello"


async def test_content_with_a_wrong_checksum_is_not_kept(tus, tailrace):
    created = await tus.create(b"he", Upload_Length="5")
    location = created.fields["location"]
    refused = await tus.append(location, 2, b"LLO", **checksum("sha1", b"llo"))
    assert (refused.status, refused.problem) == (460, "digest-mismatch")
    assert await tus.offset(location) == 2
    assert len([key async for key in tailrace.service.store.keys()]) == 1
    assert (await tus.append(location, 2, b"llo", **checksum("sha1", b"llo"))).status == 204


async def test_a_creation_whose_content_has_a_wrong_checksum_leaves_nothing(tus, tailrace):
    fields = {"Upload_Length": "5", **checksum("md5", b"hello")}
    assert (await tus.ask("POST", "/uploads", b"HELLO", **fields)).status == 460
    assert [key async for key in tailrace.service.store.keys()] == []


async def test_an_unknown_checksum_is_refused(tus):
    created = await tus.create(Upload_Length="5")
    refused = await tus.append(
        created.fields["location"], 0, b"hello", Upload_Checksum="crc32 NhCmhg=="
    )
    assert refused.status == 400
    assert await tus.offset(created.fields["location"]) == 0


@pytest.mark.parametrize("content", [b"abc", b"abcde"])
async def test_a_terminated_upload_is_gone_complete_or_not(client, tus, tailrace, content):
    created = await tus.create(content, Upload_Length="5")
    location = created.fields["location"]
    assert (await tus.ask("DELETE", location)).status == 204
    for method in ("HEAD", "GET", "DELETE"):
        assert (await tus.ask(method, location)).status == 410
    assert (await tus.append(location, len(content), b"")).status == 410
    assert (await client.get(created.json["links"][0]["url"])).status == 410
    assert [key async for key in tailrace.service.store.keys()] == []


async def test_parts_are_joined_in_the_order_that_is_asked_for(client, tus):
    parts = [
        await tus.create(part, Upload_Length=str(len(part)), Upload_Concat="partial")
        for part in (b"hello", b" world", b"!")
    ]
    hello, world, mark = (part.fields["location"] for part in parts)
    path = "/uploads/" + mark.rpartition("/")[2]
    concat = f"final;{hello} {world} {path} {path}"
    final = await client.ask(
        "POST",
        "/uploads",
        {**VERSION, "Upload-Concat": concat, "Upload-Metadata": "filename Yg=="},
    )
    assert (final.status, final.json["state"], final.json["name"]) == (201, "sealed", "b")
    assert (await client.get(final.json["links"][0]["url"])).content == b"hello world!!"
    told = await tus.ask("HEAD", final.fields["location"])
    assert (told.fields["upload-offset"], told.fields["upload-length"]) == ("13", "13")
    assert told.fields["upload-concat"] == concat
    assert (await tus.ask("HEAD", hello)).fields["upload-concat"] == "partial"
    assert (await tus.append(final.fields["location"], 13, b"x")).status == 403


async def test_a_part_that_is_whole_takes_no_more_and_is_no_file(tus):
    part = await tus.create(b"hello", Upload_Length="5", Upload_Concat="partial")
    assert (await tus.append(part.fields["location"], 5, b"!")).status == 413
    assert await tus.offset(part.fields["location"]) == 5
    assert (await tus.ask("GET", part.fields["location"])).json["state"] == "growing"


@pytest.mark.parametrize("kind", ["unfinished", "no part", "unknown", "ended"])
async def test_what_cannot_be_joined_is_refused(client, tus, kind):
    if kind == "no part":
        location = (await tus.create(b"abc", Upload_Length="5")).fields["location"]
    else:
        part = await tus.create(b"abc", Upload_Length="5", Upload_Concat="partial")
        location = part.fields["location"]
    if kind == "unknown":
        location += "x"
    if kind == "ended":
        await tus.ask("DELETE", location)
    refused = await client.ask(
        "POST", "/uploads", {**VERSION, "Upload-Concat": f"final;{location}"}
    )
    expected = {"unfinished": 400, "no part": 400, "unknown": 404, "ended": 410}
    assert refused.status == expected[kind]


async def test_a_method_may_be_named_in_a_field(client, tus):
    created = await tus.create(Upload_Length="5")
    location = created.fields["location"]
    fields = {**CONTENT, "X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0"}
    assert (await client.ask("POST", location, fields, b"hello")).status == 204
    fields = {**VERSION, "X-HTTP-Method-Override": "DELETE"}
    assert (await client.ask("POST", location, fields)).status == 204
    assert (await tus.ask("HEAD", location)).status == 410


@pytest.mark.parametrize("fields", [{}, {"X-HTTP-Method-Override": "PUT"}])
async def test_any_other_post_to_an_upload_is_not_allowed(client, tus, fields):
    created = await tus.create(Upload_Length="5")
    refused = await client.ask("POST", created.fields["location"], {**VERSION, **fields})
    assert refused.status == 405
    assert refused.json["allowed"] == ["HEAD", "PATCH", "DELETE"]


async def test_a_creation_is_no_form_whatever_type_it_claims(client, tus):
    form = {"Content_Type": "multipart/form-data; boundary=b", "Upload_Length": "5"}
    created = await tus.ask("POST", "/uploads", **form)
    assert created.status == 201
    refused = await tus.ask("POST", "/uploads", b"--b--\r\n", **form)
    assert refused.status == 415
    assert await tus.offset(created.fields["location"]) == 0


async def test_another_version_is_not_carried_out(client, tus):
    created = await tus.create(Upload_Length="5")
    fields = {**CONTENT, "Tus-Resumable": "0.2.2", "Upload-Offset": "0"}
    refused = await client.ask("PATCH", created.fields["location"], fields, b"hello")
    assert (refused.status, refused.fields["tus-version"]) == (412, "1.0.0")
    assert await tus.offset(created.fields["location"]) == 0


@pytest.mark.parametrize("target", ["/uploads", "/uploads/x"])
async def test_what_is_spoken_is_announced_whatever_version_is_asked_for(client, target):
    told = await client.ask("OPTIONS", target, {"Tus-Resumable": "0.0.1"})
    assert (told.status, told.fields["tus-version"]) == (204, "1.0.0")
    assert "concatenation" in told.fields["tus-extension"].split(",")
    assert "sha1" in told.fields["tus-checksum-algorithm"].split(",")


async def test_a_client_may_change_its_dialect_between_requests(client, tus):
    begun = await client.post("/uploads", b"", upload_complete="?0", upload_length="10")
    location = begun.fields["location"]
    assert (await tus.append(location, 0, b"abc")).status == 204
    fields = {
        "Content-Type": "application/partial-upload",
        "Upload-Complete": "?0",
        "Upload-Offset": "3",
    }
    assert (await client.ask("PATCH", location, fields, b"defghij")).status == 204
    assert (await client.get(location)).json["state"] == "growing"  # nobody said it was the end
    assert await tus.offset(location) == 10
    assert (await client.get(location)).json["state"] == "sealed"


async def test_a_file_that_is_not_what_its_digest_says_is_given_up(tus):
    wrong = base64.b64encode(bytes(32)).decode()
    created = await tus.create(b"he", Upload_Length="5", Repr_Digest=f"sha-256=:{wrong}:")
    assert (await tus.append(created.fields["location"], 2, b"llo")).status == 400
    assert (await tus.ask("HEAD", created.fields["location"])).status == 410
