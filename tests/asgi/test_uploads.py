import asyncio
import base64
import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

pytestmark = pytest.mark.anyio

PARTIAL = "application/partial-upload"


def digest_of(content):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def form_of(*parts, end=b"--b--\r\n"):
    """A form of `(file name, content)`, with a field where the file name is None."""
    form = b""
    for name, content in parts:
        file = "" if name is None else f'; filename="{name}"'
        form += f'--b\r\nContent-Disposition: form-data; name="f"{file}\r\n\r\n'.encode()
        form += content + b"\r\n"
    return form + end


@pytest.fixture
def post_form(client):
    async def post_form(form):
        return await client.post(
            "/uploads", form, content_type="multipart/form-data; boundary=b"
        )

    return post_form


@pytest.fixture
def begin(client):
    """Begin a resumable upload, and return what was answered."""

    async def begin(content=b"", **fields):
        created = await client.post(
            "/uploads?name=a.txt",
            content,
            **{"content_type": "text/plain", "upload_complete": "?0"} | fields,
        )
        assert created.status == 201
        return created

    return begin


def append_fields(offset, *, complete=True, **more):
    return {
        "Content-Type": PARTIAL,
        "Upload-Complete": "?1" if complete else "?0",
        "Upload-Offset": str(offset),
        **more,
    }


async def files_of(client):
    return (await client.get("/files")).json["files"]


async def read(client, file):
    return (await client.get(file["links"][0]["url"])).content


# --- whole files --------------------------------------------------------------------------


async def test_put_answers_the_link_alone(client):
    put = await client.ask("PUT", "/uploads/a.txt", content=b"content")
    assert put.status == 201
    assert put.fields["content-type"] == "text/plain; charset=utf-8"
    link = put.content.decode().removesuffix("\n")
    assert put.fields["link"] == f'<{link}>; rel="alternate"'
    assert (await client.get(link)).content == b"content"


async def test_put_answers_json_where_it_is_asked_for(client):
    fields = {"Accept": "application/json"}
    put = await client.ask("PUT", "/uploads/a.txt", fields, b"content")
    assert put.json["name"] == "a.txt"
    assert put.json["media_type"] == "text/plain"
    assert put.json["length"] == 7


async def test_post_answers_the_file_and_where_its_upload_is(client):
    posted = await client.post("/uploads", b"content", content_type="image/png")
    assert posted.status == 201
    assert posted.json["name"] == "upload"
    assert posted.json["media_type"] == "image/png"
    assert await read(client, posted.json) == b"content"
    assert posted.fields["link"] == f'<{posted.json["links"][0]["url"]}>; rel="alternate"'
    upload = await client.get(posted.fields["location"])
    assert upload.fields["upload-complete"] == "?1"
    assert upload.json["id"] == posted.json["id"]


@pytest.mark.parametrize(
    ("query", "fields", "name"),
    [
        ("?name=b.txt", {}, "b.txt"),
        ("?name=%E4%BD%A0", {}, "你"),
        ("", {"Content-Disposition": 'inline; filename="c d.txt"'}, "c d.txt"),
        ("", {"Content-Disposition": "inline; filename*=UTF-8''%E4%BD%A0.txt"}, "你.txt"),
        ("?name=b", {"Content-Disposition": "attachment; filename=c"}, "c"),
        ("?name=../../etc/passwd", {}, "passwd"),
        ("?name=CON", {}, "_CON"),
        ("?name=a%0D%0Ab%00c", {}, "abc"),
        ("?name=" + "%E4%BD%A0" * 300 + ".txt", {}, "你" * 83 + ".txt"),
        ("?name=..", {}, "upload"),
        ("?name=", {}, "upload"),
    ],
)
async def test_a_name_is_what_the_request_says_made_safe(client, query, fields, name):
    posted = await client.ask("POST", f"/uploads{query}", fields, b"a")
    assert posted.json["name"] == name
    assert await read(client, posted.json) == b"a"


async def test_a_type_that_says_nothing_is_guessed_from_the_name(client):
    for media_type in (None, "application/octet-stream", "application/x-www-form-urlencoded"):
        fields = {} if media_type is None else {"Content-Type": media_type}
        posted = await client.ask("POST", "/uploads?name=a.mp3", fields, b"a")
        assert posted.json["media_type"] == "audio/mpeg"


async def test_an_empty_file_is_a_file(client):
    for method, path in (("PUT", "/uploads/empty"), ("POST", "/uploads")):
        assert (await client.ask(method, path)).status == 201
    assert [file["state"] for file in await files_of(client)] == ["sealed", "sealed"]


async def test_a_digest_that_was_promised_is_held(client):
    for name in ("Repr-Digest", "Content-Digest"):
        kept = await client.ask("POST", "/uploads", {name: digest_of(b"a")}, b"a")
        assert kept.status == 201
        refused = await client.ask("POST", "/uploads", {name: digest_of(b"b")}, b"a")
        assert (refused.status, refused.problem) == (400, "digest-mismatch")
    assert [file["state"] for file in await files_of(client)].count("sealed") == 2


async def test_an_upload_that_breaks_off_is_given_up(client, tailrace):
    upload = client.begin("PUT", "/uploads/a", {"Content-Length": "10"}, content=None)
    upload.send_chunk(b"part")
    upload.leave()
    await upload.ends()
    (file,) = await files_of(client)
    assert file["state"] == "abandoned"
    assert file["reason"] == "its sender was cut off after 4 bytes"
    assert [key async for key in tailrace.service.store.keys()] == []


@pytest.mark.parametrize("length", ["3", "5"])
async def test_content_of_another_length_than_was_said_is_no_file(client, length):
    """A server lets it through only if it is broken itself."""
    fields = {"Content-Length": length}
    upload = client.begin("PUT", "/uploads/a", fields, content=None)
    upload.send_chunk(b"1234", is_last=True)
    await upload.ends()
    assert upload.status in (400, 413)
    assert [file["state"] for file in await files_of(client)] == ["abandoned"]


@pytest.mark.parametrize("settings", [{"file_limit": 10}])
async def test_a_file_is_not_longer_than_the_limit(client, tailrace, post_form, begin):
    just = await client.ask("PUT", "/uploads/just", content=b"x" * 10)
    assert just.status == 201
    early = client.begin("PUT", "/uploads/a", {"Content-Length": "11"}, content=None)
    await early.ends()  # before any content came
    late = client.begin("POST", "/uploads", content=None)
    late.send_chunk(b"x" * 11)
    await late.ends()
    form = await post_form(form_of(("a", b"x" * 11)))
    promised = await client.ask(
        "POST", "/uploads", {"Upload-Complete": "?0", "Upload-Length": "11"}
    )
    created = await begin(b"x" * 9)
    appended = await client.ask(
        "PATCH", created.fields["location"], append_fields(9, complete=False), b"xx"
    )
    for refused in (early, late, form, promised, appended):
        assert (refused.status, refused.problem) == (413, "limit-exceeded")
        assert refused.json["limit"] == 10
    assert "max-size=10" in promised.fields["upload-limit"]
    states = [file["state"] for file in await files_of(client)]
    assert sorted(states) == ["abandoned", "growing", "sealed"]  # the form was refused early


# --- forms --------------------------------------------------------------------------------


async def test_the_files_of_a_form_become_files(client, post_form):
    posted = await post_form(
        form_of(("a.txt", b"a"), (None, b"a field"), ("", b""), ("你.bin", b"b" * 100_000))
    )
    assert posted.status == 201
    assert [file["name"] for file in posted.json] == ["a.txt", "你.bin"]
    assert [await read(client, file) for file in posted.json] == [b"a", b"b" * 100_000]
    assert len(await files_of(client)) == 2


async def test_a_form_without_a_file_is_refused_with_what_to_do(client, post_form):
    for form in (form_of((None, b"a field")), form_of(("", b"")), form_of()):
        refused = await post_form(form)
        assert (refused.status, refused.problem) == (400, "malformed-content")
        assert "curl -F file=@NAME" in refused.json["detail"]
    assert await files_of(client) == []


async def test_a_form_that_is_cut_leaves_nothing_behind(client, tailrace, post_form):
    refused = await post_form(form_of(("whole", b"a"), ("cut", b"b"), end=b""))
    assert (refused.status, refused.problem) == (400, "malformed-content")
    (cut,) = await files_of(client)
    assert (cut["name"], cut["state"]) == ("cut", "abandoned")
    assert [key async for key in tailrace.service.store.keys()] == []


async def test_each_file_of_a_form_has_its_link_field(post_form):
    posted = await post_form(form_of(("a", b"1"), ("b", b"2")))
    links = [f'<{file["links"][0]["url"]}>; rel="alternate"' for file in posted.json]
    assert posted.fields["link"] == ", ".join(links)


@pytest.mark.parametrize("settings", [{"form_limit": 10}])
async def test_what_a_form_has_beside_files_has_a_limit(client, post_form):
    field = b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\n' + b"x" * 11 + b"\r\n"
    refused = await client.ask(
        "POST",
        "/uploads",
        {"Content-Type": "multipart/form-data; boundary=b"},
        field + b"--b--\r\n",
    )
    assert (refused.status, refused.problem) == (413, "limit-exceeded")


@pytest.mark.parametrize("settings", [{"form_parts": 2}])
async def test_a_form_has_no_more_parts_than_the_limit(post_form):
    assert (await post_form(form_of(("a", b""), ("b", b"")))).status == 201
    refused = await post_form(form_of(("a", b""), ("b", b""), ("c", b"")))
    assert (refused.status, refused.problem) == (400, "malformed-content")


async def test_a_file_of_a_form_can_be_read_while_it_comes(client):
    fields = {"Content-Type": "multipart/form-data; boundary=b"}
    form = form_of(("a.txt", b"first "), end=b"").removesuffix(b"\r\n")
    upload = client.begin("POST", "/uploads", fields, content=None)
    upload.send_chunk(form)
    while not (files := await files_of(client)):
        pass
    reading = client.begin("GET", files[0]["links"][0]["url"])
    await reading.begins()
    upload.send_chunk(b"second\r\n--b--\r\n", is_last=True)
    await reading.ends()
    assert reading.content == b"first second"
    await upload.ends()
    assert upload.status == 201


# --- uploads in parts ---------------------------------------------------------------------


async def test_an_upload_goes_on_where_it_was(client, begin):
    created = await begin(b"first ", upload_length="18")
    assert created.fields["upload-offset"] == "6"
    assert created.fields["upload-complete"] == "?0"
    assert created.fields["upload-limit"]
    assert created.json["complete_length"] == 18
    location = created.fields["location"]
    second = await client.ask("PATCH", location, append_fields(6, complete=False), b"second ")
    assert (second.status, second.fields["upload-offset"]) == (204, "13")
    told = await client.ask("HEAD", location)
    assert told.status == 204
    assert told.fields["upload-offset"] == "13"
    assert told.fields["upload-length"] == "18"
    assert told.fields["cache-control"] == "no-store"
    third = await client.ask("PATCH", location, append_fields(13), b"third")
    assert (third.status, third.fields["upload-complete"]) == (200, "?1")
    assert third.json["state"] == "sealed"
    assert await read(client, created.json) == b"first second third"


async def test_an_upload_is_described_by_its_key(client, begin):
    created = await begin(b"part")
    shown = await client.get(created.fields["location"])
    assert shown.status == 200
    assert shown.fields["upload-offset"] == "4"
    assert (shown.json["state"], shown.json["length"]) == ("growing", 4)
    assert shown.json["links"] == created.json["links"]


async def test_an_upload_can_be_read_while_it_comes(client, begin):
    created = await begin()
    reading = client.begin("GET", created.json["links"][0]["url"])
    await client.ask(
        "PATCH", created.fields["location"], append_fields(0, complete=False), b"first "
    )
    await reading.has(len(b"first "))
    assert not reading.is_ended
    await client.ask("PATCH", created.fields["location"], append_fields(6), b"last")
    await reading.ends()
    assert reading.content == b"first last"


async def test_a_wrong_offset_is_refused_with_the_right_one(client, begin):
    created = await begin(b"part")
    for offset in (0, 3, 5):
        refused = await client.ask(
            "PATCH", created.fields["location"], append_fields(offset), b"more"
        )
        assert refused.status == 409
        assert refused.fields["upload-offset"] == "4"
        assert refused.json["expected-offset"] == 4
    assert (await client.get(created.fields["location"])).json["length"] == 4


async def test_what_came_of_an_append_that_broke_off_is_kept(client, begin):
    created = await begin(b"first ")
    cut = client.begin("PATCH", created.fields["location"], append_fields(6), content=None)
    cut.send_chunk(b"second ")
    cut.leave()
    await cut.ends()
    assert (await client.ask("HEAD", created.fields["location"])).fields[
        "upload-offset"
    ] == "13"


async def test_of_two_appends_at_one_offset_one_wins_and_nothing_is_lost(client, begin):
    """TRAPS."""
    created = await begin()
    location = created.fields["location"]
    first, second = (
        client.begin("PATCH", location, append_fields(0), content=None) for _ in range(2)
    )
    first.send_chunk(b"a" * 10)
    second.send_chunk(b"a" * 10)
    pending = {asyncio.create_task(each.ends()): each for each in (first, second)}
    done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = (pending.pop(task) for task in done)
    assert refused.status in (409, 423)
    ((task, winner),) = pending.items()
    winner.send_chunk(b"b", is_last=True)
    await task
    assert winner.status == 200
    assert await read(client, created.json) == b"a" * 10 + b"b"


async def test_who_asks_for_the_offset_goes_on_for_a_connection_that_is_dead(client, begin):
    created = await begin()
    writing = client.begin("PATCH", created.fields["location"], append_fields(0), content=None)
    writing.send_chunk(b"a")
    reading = client.begin("GET", created.json["links"][0]["url"])
    await reading.has(1)
    looked = await client.ask("GET", created.fields["location"])
    assert (looked.status, looked.json["length"]) == (200, 1)
    asked = await client.ask("HEAD", created.fields["location"])
    assert (asked.status, asked.fields["upload-offset"]) == (204, "1")
    await writing.ends()
    assert writing.status == 423
    ended = await client.ask("PATCH", created.fields["location"], append_fields(1), b"b")
    assert (ended.status, ended.json["length"]) == (200, 2)


async def test_an_upload_that_is_cancelled_is_gone(client, begin, tailrace):
    created = await begin(b"part")
    cancelled = await client.ask("DELETE", created.fields["location"])
    assert (cancelled.status, cancelled.content) == (204, b"")
    for method in ("GET", "HEAD", "DELETE"):
        assert (await client.ask(method, created.fields["location"])).status == 410
    appended = await client.ask("PATCH", created.fields["location"], append_fields(4), b"a")
    assert appended.status == 410
    assert (await client.get(created.json["links"][0]["url"])).status == 410
    assert [key async for key in tailrace.service.store.keys()] == []


async def test_the_last_append_may_be_repeated_by_who_never_saw_its_answer(client, begin):
    created = await begin(b"all")
    for _ in range(2):
        ended = await client.ask("PATCH", created.fields["location"], append_fields(3))
        assert (ended.status, ended.fields["upload-complete"]) == (200, "?1")
    more = await client.ask("PATCH", created.fields["location"], append_fields(3), b"more")
    assert (more.status, more.json["title"]) == (400, "Upload Is Completed")
    assert await read(client, created.json) == b"all"


async def test_a_length_that_contradicts_another_is_refused(client, begin):
    created = await begin(b"part", upload_length="10")
    location = created.fields["location"]
    for fields, content in (
        (append_fields(4, **{"Upload-Length": "11"}), b"123456"),
        (append_fields(4), b"12345"),
        (append_fields(4, complete=False), b"1234567"),
    ):
        refused = await client.ask("PATCH", location, fields, content)
        assert 400 <= refused.status < 500
    assert (await client.get(location)).json["state"] == "growing"


async def test_a_digest_of_the_whole_is_held_at_its_end(client, begin):
    for end, status in ((b"end", 200), (b"and", 400)):
        created = await begin(b"the ", repr_digest=digest_of(b"the end"))
        ended = await client.ask("PATCH", created.fields["location"], append_fields(4), end)
        assert ended.status == status
    assert ended.problem == "digest-mismatch"
    assert (await client.get(created.json["links"][0]["url"])).status == 410


async def test_an_append_of_another_type_is_refused_with_the_right_one(client, begin):
    """RFC 5789 §2.2."""
    created = await begin()
    fields = append_fields(0) | {"Content-Type": "text/plain"}
    refused = await client.ask("PATCH", created.fields["location"], fields, b"a")
    assert refused.status == 415
    assert refused.fields["accept-patch"] == PARTIAL


async def test_an_upload_that_waited_too_long_is_gone(client, begin, clock):
    created = await begin(b"part")
    clock.ahead += timedelta(hours=23)
    assert (await client.ask("HEAD", created.fields["location"])).status == 204
    clock.ahead += timedelta(hours=2)
    assert (await client.ask("HEAD", created.fields["location"])).status == 410


@pytest.mark.parametrize("key", ["x", "%00", "%FF", "a/b", "a" * 5000])
async def test_an_unknown_upload_is_not_found(client, key):
    for method in ("GET", "HEAD", "DELETE"):
        assert (await client.ask(method, f"/uploads/{key}")).status == 404
    appended = await client.ask("PATCH", f"/uploads/{key}", append_fields(0), b"a")
    assert (appended.status, appended.problem) == (404, "not-found")


async def test_what_is_taken_can_be_asked_for(client):
    told = await client.ask("OPTIONS", "/uploads")
    assert told.status == 204
    assert set(told.fields["allow"].split(", ")) == {"POST", "OPTIONS"}
    assert "max-size=" in told.fields["upload-limit"]
    assert "max-age=86400" in told.fields["upload-limit"]


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "TRACE"])
async def test_every_answer_that_tells_the_methods_of_an_upload_tells_all(client, method):
    told = await client.ask(method, "/uploads/key")
    assert told.status == (204 if method == "OPTIONS" else 405)
    methods = {"GET", "HEAD", "PATCH", "DELETE", "PUT", "POST", "OPTIONS"}
    assert set(told.fields["allow"].split(", ")) == methods


async def test_a_protocol_that_is_not_spoken_is_refused(client):
    fields = {"Content-Range": "bytes 0-4/10"}
    refused = await client.ask("POST", "/uploads", fields, b"12345")
    assert (refused.status, refused.problem) == (400, "unsupported-dialect")
    assert await files_of(client) == []


async def test_an_append_that_declares_more_than_was_promised_is_refused_untouched(client):
    promise = {"Upload-Complete": "?0", "Upload-Length": "10"}
    created = await client.ask("POST", "/uploads", promise, content=b"hello")
    location = created.fields["location"]
    declared = {**append_fields(5, complete=False), "Content-Length": "20"}
    refused = client.begin("PATCH", location, declared, content=None)
    await refused.ends()  # before any content came
    assert refused.status == 413
    assert (await client.ask("HEAD", location)).fields["upload-offset"] == "5"


async def test_a_media_type_that_no_head_could_carry_is_refused(client):
    fields = {"Content-Type": "text/" + "a" * 600}
    refused = await client.ask("PUT", "/uploads/a", fields, content=b"a")
    assert (refused.status, refused.problem) == (400, "malformed-field")
    assert await files_of(client) == []


def shorten(blob):
    blob.chmod(0o600)
    blob.write_bytes(b"a")
    blob.chmod(0o400)


async def test_a_file_that_lost_bytes_is_not_delivered_as_whole(client, tailrace):
    put = await client.ask("PUT", "/uploads/a", {"Accept": "application/json"}, content=b"abc")
    (key,) = [key async for key in tailrace.service.store.keys()]
    shorten(Path(tailrace.settings.data, "blobs", key[:2], key))
    answer = await client.ask("GET", put.json["links"][0]["url"])
    assert (answer.status, answer.problem) == (503, "storage-unavailable")


class Interim:
    """The server's way to send interim responses, which keeps them."""

    def __init__(self):
        self.sent = []
        self.extensions = {"tailrace.response.interim": {"send": self.send}}

    async def send(self, status, headers):
        self.sent.append((status, {name.decode(): value.decode() for name, value in headers}))


async def test_a_creation_that_is_cut_goes_on_at_the_place_it_was_told_early(client):
    interim = Interim()
    fields = {
        "Upload-Complete": "?1",
        "Upload-Draft-Interop-Version": "10",
        "Content-Length": "8",
    }
    cut = client.begin("POST", "/uploads", fields, None, extensions=interim.extensions)
    cut.send_chunk(b"abc")
    cut.leave()
    await cut.ends()
    [(status, told)] = interim.sent
    assert (status, told["upload-draft-interop-version"]) == (104, "10")
    assert "max-size=" in told["upload-limit"]
    asked = await client.ask("HEAD", told["location"])
    assert (asked.fields["upload-offset"], asked.fields["upload-complete"]) == ("3", "?0")
    ended = await client.ask("PATCH", told["location"], append_fields(3), b"defgh")
    assert (ended.status, ended.json["length"]) == (200, 8)
    assert told["link"] == ended_link(ended)


def ended_link(answer):
    return f'<{answer.json["links"][0]["url"]}>; rel="alternate"'


@pytest.mark.parametrize("version", ["8", "x", None])
async def test_a_client_of_another_version_is_told_nothing_early(client, version):
    interim = Interim()
    fields = {"Upload-Complete": "?1"}
    if version is not None:
        fields["Upload-Draft-Interop-Version"] = version
    created = client.begin("POST", "/uploads", fields, b"abc", extensions=interim.extensions)
    await created.ends()
    assert (created.status, interim.sent) == (201, [])
