import base64
import contextlib
import hashlib
import sqlite3
import urllib.parse
from datetime import UTC, datetime, timedelta

import pytest

from tailrace.catalogue.sql import open_catalogue
from tailrace.errors import BlobAbandoned

pytestmark = pytest.mark.anyio

CONTENT = b"0123456789"

SAFETY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-accel-buffering": "no",
}


def bare(link):
    """The address of a link without the name, which is decoration."""
    return link.rpartition("/")[0]


@pytest.fixture
async def link(client):
    return (await client.put("a.txt", CONTENT))["links"][0]["url"]


@pytest.fixture
def growing(client):
    """Begin an upload that the test feeds; return it and its link."""

    async def growing():
        created = await client.ask("POST", "/uploads?name=a.txt", {"Upload-Complete": "?0"})
        fields = {
            "Content-Type": "application/partial-upload",
            "Upload-Complete": "?1",
            "Upload-Offset": "0",
        }
        upload = client.begin("PATCH", created.fields["location"], fields, content=None)
        return upload, created.json["links"][0]["url"]

    return growing


async def test_a_link_gives_the_bytes_and_all_that_is_known_of_them(client, link):
    read = await client.get(link)
    assert read.status == 200
    assert read.content == CONTENT
    assert read.is_ended
    digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert (
        read.fields.items()
        >= (
            SAFETY
            | {
                "content-length": "10",
                "content-type": "text/plain",
                "content-disposition": 'inline; filename="a.txt"',
                "accept-ranges": "bytes",
                "repr-digest": f"sha-256=:{digest}:",
                "cache-control": "private, immutable",
            }
        ).items()
    )
    assert read.fields["etag"].startswith('"')
    assert "last-modified" in read.fields
    assert "sandbox" in read.fields["content-security-policy"]


async def test_the_name_is_decoration(client, link):
    for name in ("", "/", "/other.html", "/a/b/../c", "/%00", "/%E4%BD%A0"):
        assert (await client.get(bare(link) + name)).content == CONTENT


@pytest.mark.parametrize(
    ("accept", "is_described"),
    [
        (None, False),
        ("*/*", False),
        ("application/*", False),
        ("application/octet-stream", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/json;q=0", False),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/plain, application/json;q=0.1", True),
    ],
)
async def test_who_names_json_is_told_of_the_file(client, link, accept, is_described):
    """RFC 9110 §12.5.1; no wildcard names it, for curl and browsers send those."""
    fields = {} if accept is None else {"accept": accept}
    asked = await client.get(bare(link), **fields)
    assert asked.status == 200
    assert asked.fields["vary"] == "Accept"
    if is_described:
        assert asked.json["name"] == "a.txt"
        assert asked.json["links"][0]["url"] == link
        assert asked.fields["cache-control"] == "no-store"
    else:
        assert asked.content == CONTENT
    named = await client.get(link, **fields)
    assert named.content == CONTENT, "with the name it is the bytes, always"
    assert "vary" not in named.fields


async def test_a_file_is_told_as_it_is_documented(client, link):
    file = (await client.get(bare(link), accept="application/json")).json
    assert file["state"] == "sealed"
    assert file["length"] == file["complete_length"] == 10
    assert file["origin"] == "upload"
    assert file["reason"] is None
    assert set(file) == {
        *("id", "name", "media_type", "state", "length", "complete_length", "digest"),
        *("created_at", "sealed_at", "expires_at", "ended_at", "origin", "reason", "links"),
    }
    assert set(file["links"][0]) == {"url", "expires_at", "deliveries_left"}
    kept = datetime.fromisoformat(file["expires_at"]) - datetime.fromisoformat(
        file["created_at"]
    )
    assert kept == timedelta(hours=24)
    assert datetime.fromisoformat(file["created_at"]).tzinfo == UTC


async def test_head_tells_what_get_would_and_sends_nothing(client, link):
    for target in (link, bare(link)):
        head, get = await client.ask("HEAD", target), await client.get(target)
        assert head.status == 200
        assert head.fields == get.fields
        assert head.content == b""
        assert head.is_ended


async def test_head_of_an_empty_file_has_its_length(client):
    """TRAPS; RFC 9110 §9.3.2."""
    link = (await client.put("empty", b""))["links"][0]["url"]
    assert (await client.ask("HEAD", link)).fields["content-length"] == "0"
    assert (await client.get(link)).content == b""


@pytest.mark.parametrize(
    ("range_", "status", "content"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=-3", 206, b"789"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=-99", 206, CONTENT),
        ("bytes=10-", 416, None),
        ("pages=1-2", 200, CONTENT),
    ],
)
async def test_a_range_selects_its_bytes(client, link, range_, status, content):
    asked = await client.get(link, range=range_)
    assert asked.status == status
    if status == 416:
        assert asked.fields["content-range"] == "bytes */10"
        assert asked.problem == "range-not-satisfiable"
    else:
        assert asked.content == content
        assert asked.fields.items() >= SAFETY.items()


async def test_head_looks_at_no_range(client, link):
    """TRAPS; RFC 9110 §14.2: it is defined for GET only."""
    assert (await client.ask("HEAD", link, {"Range": "bytes=2-4"})).status == 200


async def test_several_ranges_are_sent_as_parts(client, link):
    asked = await client.get(link, range="bytes=0-1,8-9")
    assert asked.status == 206
    assert asked.fields["content-type"].startswith("multipart/byteranges; boundary=")
    assert asked.content.count(b"Content-Range: bytes ") == 2
    assert asked.fields.items() >= SAFETY.items()


async def test_who_has_it_already_is_not_sent_it_again(client, link):
    tag = (await client.get(link)).fields["etag"]
    asked = await client.get(link, if_none_match=tag)
    assert (asked.status, asked.content) == (304, b"")
    assert asked.fields["etag"] == tag
    refused = await client.get(link, if_match='"another"')
    assert (refused.status, refused.problem) == (412, "precondition-failed")


async def test_a_changed_file_is_never_continued(client, link):
    fields = {"range": "bytes=5-", "if-range": '"another"'}
    assert (await client.ask("GET", link, fields)).content == CONTENT
    fields["if-range"] = (await client.get(link)).fields["etag"]
    assert (await client.ask("GET", link, fields)).content == CONTENT[5:]


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("text/html", "attachment"),
        ("TEXT/HTML; charset=utf-8", "attachment"),
        ("image/svg+xml", "attachment"),
        ("application/xml", "attachment"),
        ("application/xhtml+xml", "attachment"),
        ("text/javascript", "attachment"),
        ("image/png", "inline"),
        ("audio/mpeg", "inline"),
        ("text/plain", "inline"),
    ],
)
async def test_what_a_browser_would_run_is_an_attachment(client, media_type, kind):
    posted = await client.post("/uploads?name=a", CONTENT, content_type=media_type)
    link = posted.json["links"][0]["url"]
    for fields in ({}, {"range": "bytes=0-1"}):
        read = await client.get(link, **fields)
        assert read.fields["content-disposition"].partition(";")[0] == kind
        assert read.fields["x-content-type-options"] == "nosniff"
        assert "sandbox" in read.fields["content-security-policy"]


async def test_download_forces_an_attachment(client, link):
    for target in (link, bare(link)):
        for query in ("?download", "?download=1"):
            read = await client.get(target + query)
            assert read.fields["content-disposition"] == 'attachment; filename="a.txt"'


async def test_a_name_of_any_script_is_given_back(client):
    file = await client.put("%E5%A0%B1%E5%91%8A 1%3B.csv")
    read = await client.get(file["links"][0]["url"])
    assert read.fields["content-disposition"] == (
        "inline; filename=\"__ 1;.csv\"; filename*=UTF-8''%E5%A0%B1%E5%91%8A%201%3B.csv"
    )


# --- while it grows -----------------------------------------------------------------------


async def test_a_growing_file_is_sent_as_it_comes(client, growing):
    upload, link = await growing()
    reading = client.begin("GET", link)
    await reading.begins()
    assert reading.status == 200
    assert "content-length" not in reading.fields
    assert reading.fields["cache-control"] == "no-store"
    assert reading.fields.items() >= SAFETY.items()
    for chunk in (b"first ", b"second "):
        upload.send_chunk(chunk)
        await reading.has(len(reading.content) + len(chunk))
        assert not reading.is_ended
    upload.send_chunk(b"third", is_last=True)
    await reading.ends()
    assert reading.content == b"first second third"
    assert reading.is_ended


async def test_the_tag_of_a_growing_file_is_that_of_the_whole(client, growing):
    upload, link = await growing()
    tag = (await client.ask("HEAD", link)).fields["etag"]
    upload.send_chunk(b"all", is_last=True)
    await upload.ends()
    assert (await client.ask("HEAD", link)).fields["etag"] == tag


async def test_a_file_that_is_given_up_cuts_its_readers_and_says_why(client, growing):
    upload, link = await growing()
    upload.send_chunk(b"part")
    reading = client.begin("GET", link)
    await reading.has(4)
    await client.ask("DELETE", upload.target)
    with pytest.raises(BlobAbandoned):
        await reading.ends()
    assert not reading.is_ended, "a server cuts the connection"
    for target in (link, bare(link)):
        gone = await client.get(target, accept="application/json")
        assert (gone.status, gone.problem) == (410, "gone")
        assert "its upload was cancelled" in gone.json["detail"]


async def test_a_reader_who_leaves_is_no_fault(client, growing):
    upload, link = await growing()
    reading = client.begin("GET", link)
    await reading.begins()
    reading.leave()
    await reading.ends()
    assert not reading.is_ended
    upload.send_chunk(b"all", is_last=True)
    await upload.ends()
    assert (await client.get(link)).content == b"all"


async def test_a_growing_file_tells_how_long_it_is_by_now(client, growing):
    upload, link = await growing()
    upload.send_chunk(b"part")
    reading = client.begin("GET", link)
    await reading.has(4)
    file = (await client.get(bare(link), accept="application/json")).json
    assert (file["state"], file["length"]) == ("growing", 4)
    assert file["complete_length"] is file["digest"] is file["sealed_at"] is None


# --- ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["x", "%00", "%FF", "%ED%A0%80", "a" * 22, "../files"])
async def test_an_unknown_link_is_not_found(client, token):
    for target in (f"/l/{token}", f"/l/{token}/a.txt"):
        missing = await client.get(target)
        assert (missing.status, missing.problem) == (404, "not-found")


async def test_a_link_of_which_a_character_is_missing_is_not_found(client, link):
    token = bare(link).rpartition("/")[2]
    for other in (token[:-1], token + "A", token.swapcase(), token[::-1]):
        assert (await client.get(f"/l/{other}")).status == 404


async def test_the_key_of_an_upload_and_the_token_of_a_link_give_nothing_of_each_other(client):
    created = await client.ask("POST", "/uploads", {"Upload-Complete": "?0"})
    key = created.fields["location"].rpartition("/")[2]
    token = bare(created.json["links"][0]["url"]).rpartition("/")[2]
    assert key != token
    assert (await client.get(f"/l/{key}")).status == 404
    assert (await client.get(f"/uploads/{token}")).status == 404


async def test_a_link_that_has_expired_is_gone(client, clock, link):
    file = (await client.get("/files")).json["files"][0]
    made = await client.post(f"/files/{file['id']}/links", {"expires_in": 60})
    short = made.json["links"][0]["url"]
    clock.ahead = timedelta(seconds=59)
    assert (await client.get(short)).status == 200
    clock.ahead = timedelta(seconds=61)
    gone = await client.get(short)
    assert (gone.status, gone.problem) == (410, "gone")
    assert "this link ended at" in gone.json["detail"]
    assert (await client.get(link)).status == 200, "the other one goes on"


async def test_a_link_of_a_file_that_has_expired_is_gone(client, clock, link):
    clock.ahead = timedelta(hours=25)
    gone = await client.get(link)
    assert (gone.status, gone.problem) == (410, "gone")
    assert "this file expired at" in gone.json["detail"]


async def test_a_link_of_a_deleted_file_is_gone(client, link):
    file = (await client.get("/files")).json["files"][0]
    await client.ask("DELETE", f"/files/{file['id']}")
    for target in (link, bare(link)):
        gone = await client.get(target)
        assert (gone.status, gone.problem) == (410, "gone")
        assert "it was deleted" in gone.json["detail"]
        assert gone.fields["cache-control"] == "no-store"


async def test_a_link_that_another_process_ends_is_gone_at_once(client, tailrace, link):
    assert (await client.get(link)).status == 200
    assert (await client.get(link)).status == 200, "of what was remembered"
    other = await open_catalogue(tailrace.settings.catalogue_url, durability="crash")
    [(file, _)] = await other.list_files(limit=1)
    await other.end_file(file.id, reason="over there", at=datetime.now(UTC))
    gone = await client.get(link)
    assert (gone.status, gone.problem) == (410, "gone")
    assert "over there" in gone.json["detail"]
    await other.close()


async def test_a_link_that_another_process_takes_back_is_gone_at_once(client, tailrace, link):
    assert (await client.get(link)).status == 200
    path = tailrace.settings.catalogue_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE links SET revoked_at = created_at")
    gone = await client.get(link)
    assert (gone.status, gone.problem) == (410, "gone")
    assert "taken back" in gone.json["detail"]


async def test_a_reader_finishes_a_file_that_is_deleted_meanwhile(client):
    content = b"x" * 10_000_000
    file = await client.put("long", content)
    reading = client.begin("GET", file["links"][0]["url"])
    await reading.has(1)
    await client.ask("DELETE", f"/files/{file['id']}")
    await reading.ends()
    assert reading.is_ended
    assert reading.content == content


async def test_a_link_keeps_no_query_of_ours(client, link):
    assert urllib.parse.urlsplit(link).query == ""
    assert (await client.get(link + "?utm_source=x&a=b&a=c")).content == CONTENT
