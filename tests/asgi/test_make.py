import asyncio
import json
from datetime import timedelta

import pytest

from tailrace import Command, Run
from tailrace.asgi import job_response
from tailrace.errors import BlobAbandoned

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("mill")]

CSV = b"0\n1\n2\n"


class Mill:
    """What the producers of this test wait for, and how they ended."""

    def __init__(self):
        self.may_go_on = asyncio.Event()
        self.ended = []


@pytest.fixture
async def mill(tailrace):
    mill = Mill()

    @tailrace.producer(
        media_type="text/csv", name=lambda given: f"{given['count']}.csv", safe=True
    )
    async def numbers(count: int = 3):
        """Count."""
        for n in range(count):
            yield f"{n}\n".encode()

    @tailrace.producer(media_type="text/csv")
    def synchronous(count: int = 3):
        for n in range(count):
            yield f"{n}\n".encode()

    @tailrace.producer(name="records.ndjson")
    async def records(count: int = 3):
        for n in range(count):
            yield {"n": n, "名": "你"}

    @tailrace.producer(name="records.ndjson")
    def synchronous_records(count: int = 3):
        for n in range(count):
            yield {"n": n, "名": "你"}

    @tailrace.producer(media_type="text/plain")
    async def waiting(ending: str = "good"):
        try:
            yield b"begun"
            await mill.may_go_on.wait()
            if ending == "bad":
                raise ValueError("the insides")
            yield b" and ended"
        finally:
            mill.ended.append("waiting")

    @tailrace.producer(media_type="text/plain", on_disconnect="cancel")
    async def for_its_reader():
        try:
            yield b"begun"
            await mill.may_go_on.wait()
        finally:
            mill.ended.append("for_its_reader")

    @tailrace.producer(media_type="text/plain")
    async def failing():
        if mill is not None:
            raise ValueError("the insides")
        yield b""

    @tailrace.producer(media_type="text/html")
    async def empty():
        for nothing in ():
            yield nothing

    return mill


async def described(client, link):
    return (await client.get(link.rpartition("/")[0], accept="application/json")).json


async def test_the_producers_are_listed_with_what_they_take(client):
    producers = {each["name"]: each for each in (await client.get("/make")).json["producers"]}
    assert producers["numbers"]["description"] == "Count."
    assert producers["numbers"]["safe"]
    assert not producers["synchronous"]["safe"]
    arguments = producers["numbers"]["arguments"]
    assert arguments["properties"]["count"]["type"] == "integer"
    assert arguments["properties"]["count"]["default"] == 3
    assert arguments["additionalProperties"] is False


@pytest.mark.parametrize("name", ["numbers", "synchronous"])
async def test_what_is_made_is_answered_and_kept(client, name):
    made = await client.post(f"/make/{name}", {"count": 3})
    assert made.status == 200
    assert made.is_ended
    assert made.content == CSV
    assert made.fields["content-type"] == "text/csv"
    assert made.fields["vary"] == "Prefer"
    assert made.fields["x-content-type-options"] == "nosniff"
    link = made.fields["content-location"]
    assert made.fields["link"] == f'<{link}>; rel="alternate"'
    assert (await client.get(link)).content == CSV
    assert (await client.get(link, range="bytes=2-")).content == CSV[2:]
    assert (await described(client, link))["origin"] == "job"


@pytest.mark.parametrize("name", ["records", "synchronous_records"])
async def test_records_are_lines_of_json(client, name):
    made = await client.post(f"/make/{name}", {"count": 2})
    assert made.fields["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in made.content.splitlines()] == [
        {"n": 0, "名": "你"},
        {"n": 1, "名": "你"},
    ]


async def test_arguments_can_be_a_form(client):
    form = "application/x-www-form-urlencoded"
    assert (await client.post("/make/numbers", b"count=1", content_type=form)).content == b"0\n"
    assert (await client.ask("POST", "/make/numbers")).content == CSV


async def test_bytes_come_while_they_are_made(client, mill):
    making = client.begin("POST", "/make/waiting")
    await making.has(len(b"begun"))
    assert not making.is_ended
    assert "content-length" not in making.fields
    link = making.fields["content-location"]
    assert (await described(client, link))["state"] == "growing"
    mill.may_go_on.set()
    await making.ends()
    assert making.content == b"begun and ended"
    assert (await client.get(link)).content == making.content


async def test_who_prefers_it_is_answered_at_once_with_the_link(client, mill):
    """RFC 7240 §4.1, §3."""
    accepted = await client.ask("POST", "/make/waiting", {"Prefer": "respond-async"})
    assert accepted.status == 202
    assert accepted.fields["preference-applied"] == "respond-async"
    link = accepted.fields["location"]
    assert accepted.json["links"][0]["url"] == link
    assert accepted.fields["link"] == f'<{link}>; rel="alternate"'
    assert accepted.json["state"] == "growing"
    following = client.begin("GET", link)
    await following.has(len(b"begun"))
    mill.may_go_on.set()
    await following.ends()
    assert following.content == b"begun and ended"


@pytest.mark.parametrize("prefer", ["wait=5", "respond-async=no", "handling=lenient"])
async def test_another_preference_is_ignored(client, prefer):
    """RFC 7240 §2."""
    made = await client.ask("POST", "/make/numbers", {"Prefer": prefer})
    assert made.status == 200
    assert "preference-applied" not in made.fields


async def test_get_runs_a_producer_that_is_safe(client):
    made = await client.get("/make/numbers?count=2")
    assert (made.status, made.content) == (200, b"0\n1\n")
    assert made.fields["content-location"].endswith("/2.csv")


@pytest.mark.parametrize(
    ("method", "name", "allowed"),
    [
        ("GET", "waiting", "POST"),
        ("HEAD", "waiting", "POST"),
        ("HEAD", "numbers", "POST, GET"),
    ],
)
async def test_another_method_is_refused_with_those_that_run_it(client, method, name, allowed):
    refused = await client.ask(method, f"/make/{name}")
    assert refused.status == 405
    assert refused.fields["allow"] == allowed
    assert (await client.get("/files")).json["files"] == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("query", "given", "fields"),
    [
        ("count=many", {"count": "many"}, ["count"]),
        ("cuont=3", {"cuont": 3}, ["cuont"]),
        ("count=x&cuont=3", {"count": [], "cuont": 3}, ["count", "cuont"]),
    ],
)
async def test_wrong_arguments_are_refused_by_field_and_nothing_begins(
    client, method, query, given, fields
):
    if method == "GET":
        refused = await client.get(f"/make/numbers?{query}")
    else:
        refused = await client.post("/make/numbers", given)
    assert (refused.status, refused.problem) == (422, "invalid-arguments")
    assert [error["field"] for error in refused.json["errors"]] == fields
    assert (await client.get("/files")).json["files"] == []


async def test_an_argument_given_twice_is_refused(client):
    refused = await client.get("/make/numbers?count=1&count=2")
    assert (refused.status, refused.problem) == (400, "malformed-content")


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_an_unknown_producer_is_refused_with_those_there_are(client, method):
    refused = await client.ask(method, "/make/other")
    assert refused.status == 404
    if method != "HEAD":
        assert refused.problem == "producer-not-known"
        assert refused.json["known"] == sorted(refused.json["known"])
        assert "numbers" in refused.json["known"]


@pytest.mark.parametrize("settings", [{"form_limit": 20}])
async def test_arguments_over_the_limit_are_refused(client):
    refused = await client.post("/make/numbers", {"count": "9" * 20})
    assert (refused.status, refused.problem) == (413, "limit-exceeded")


async def test_a_failure_before_the_first_byte_is_told_with_its_status(client):
    failed = await client.post("/make/failing", {})
    assert (failed.status, failed.problem) == (500, "producer-failed")
    assert failed.is_ended
    assert b"insides" not in failed.content
    (file,) = (await client.get("/files")).json["files"]
    assert file["state"] == "abandoned"
    assert file["reason"] == "its producer failed after 0 bytes (ValueError)"


async def test_a_failure_after_the_first_byte_cuts_the_answer(client, mill):
    making = client.begin(
        "POST", "/make/waiting", {"Content-Type": "application/json"}, b'{"ending": "bad"}'
    )
    await making.has(len(b"begun"))
    mill.may_go_on.set()
    with pytest.raises(BlobAbandoned):
        await making.ends()
    assert making.status == 200
    assert not making.is_ended
    gone = await client.get(making.fields["content-location"])
    assert gone.status == 410
    assert "its producer failed after 5 bytes" in gone.json["detail"]


async def test_a_run_goes_on_when_its_reader_leaves(client, mill):
    making = client.begin("POST", "/make/waiting")
    await making.has(len(b"begun"))
    making.leave()
    await making.ends()
    assert not making.is_ended
    mill.may_go_on.set()
    assert (await client.get(making.fields["content-location"])).content == b"begun and ended"


async def test_a_run_that_is_for_its_reader_ends_when_he_leaves(client, mill):
    making = client.begin("POST", "/make/for_its_reader")
    await making.has(len(b"begun"))
    following = client.begin("GET", making.fields["content-location"])
    await following.has(len(b"begun"))
    making.leave()
    with pytest.raises(BlobAbandoned):
        await following.ends()
    assert mill.ended == ["for_its_reader"]
    gone = await client.get(making.fields["content-location"])
    assert "its reader left" in gone.json["detail"]


async def test_a_run_ends_when_its_file_is_deleted(client, mill):
    accepted = await client.ask("POST", "/make/waiting", {"Prefer": "respond-async"})
    following = client.begin("GET", accepted.fields["location"])
    await following.has(len(b"begun"))
    await client.ask("DELETE", f"/files/{accepted.json['id']}")
    with pytest.raises(BlobAbandoned):
        await following.ends()
    assert mill.ended == ["waiting"]


async def test_a_run_that_makes_nothing_makes_an_empty_file(client):
    made = await client.post("/make/empty", {})
    assert (made.status, made.content, made.is_ended) == (200, b"", True)
    assert made.fields["content-disposition"] == 'attachment; filename="empty"'
    assert (await described(client, made.fields["content-location"]))["length"] == 0


async def test_conditions_and_ranges_speak_of_another_resource(client):
    """RFC 9110 §13.2.1: they are for what is selected, and this is made anew."""
    for method in ("GET", "POST"):
        for fields in ({"Range": "bytes=2-"}, {"If-None-Match": "*"}, {"If-Match": '"x"'}):
            made = await client.ask(method, "/make/numbers", fields)
            assert (made.status, made.content) == (200, CSV)


@pytest.mark.parametrize("settings", [{"jobs": 1}])
async def test_a_run_that_waits_for_its_turn_has_its_link_already(client, mill):
    first = client.begin("POST", "/make/waiting")
    await first.has(len(b"begun"))
    accepted = await client.ask("POST", "/make/numbers", {"Prefer": "respond-async"})
    second = client.begin("GET", accepted.fields["location"])
    await second.begins()
    assert second.content == b""
    mill.may_go_on.set()
    await second.ends()
    assert second.content == CSV


# --- what a run says of its file ------------------------------------------------------------


@pytest.fixture
def telling(tailrace):
    """A producer that says what it makes, and then waits, makes it, or fails."""
    may_go_on = asyncio.Event()

    @tailrace.producer(media_type="text/plain")
    async def telling(length: int, run: Run):
        run.name, run.media_type, run.length = "told.csv", "text/csv", length
        yield b"12"
        await may_go_on.wait()
        yield b"34"

    return may_go_on


async def test_what_a_run_says_is_in_the_head_and_its_length_is_promised(client, telling):
    making = client.begin(
        "POST", "/make/telling", {"Content-Type": "application/json"}, b'{"length": 4}'
    )
    await making.has(2)
    assert making.fields["content-length"] == "4"
    assert making.fields["content-type"] == "text/csv"
    assert making.fields["content-location"].endswith("/told.csv")
    assert making.fields["content-disposition"] == 'inline; filename="told.csv"'
    told = await described(client, making.fields["content-location"])
    assert (told["name"], told["complete_length"]) == ("told.csv", 4)
    telling.set()
    await making.ends()
    assert making.content == b"1234"


@pytest.mark.parametrize("length", [3, 5])
async def test_a_promise_that_is_broken_cuts_the_answer(client, telling, length):
    making = client.begin(
        *("POST", "/make/telling", {"Content-Type": "application/json"}),
        b'{"length": %d}' % length,
    )
    await making.has(2)
    telling.set()
    with pytest.raises(BlobAbandoned):
        await making.ends()
    assert not making.is_ended


@pytest.mark.parametrize("content", [b"", b"whole"])
async def test_bytes_that_are_returned_have_their_length_at_once(client, tailrace, content):
    @tailrace.producer(name="a.txt")
    def whole() -> bytes:
        return content

    made = await client.post("/make/whole", {})
    assert (made.content, made.fields["content-length"]) == (content, str(len(content)))
    assert made.fields["content-type"] == "text/plain"


async def test_a_command_that_fails_before_its_first_byte_tells_why(client, tailrace):
    @tailrace.producer
    def printing(text: str) -> Command:
        return Command(["sh", "-c", "echo no such printer >&2; exit 1"])

    failed = await client.post("/make/printing", {"text": "x"})
    assert (failed.status, failed.problem) == (500, "command-failed")
    assert failed.json["detail"] == "no such printer"
    (file,) = (await client.get("/files")).json["files"]
    assert file["reason"] == "its command failed after 0 bytes: no such printer"


async def test_a_run_that_takes_too_long_before_its_first_byte_tells_so(client, tailrace):
    @tailrace.producer(time_limit=timedelta(milliseconds=10))
    async def slow():
        await asyncio.Event().wait()
        yield b""

    failed = await client.post("/make/slow", {})
    assert (failed.status, failed.problem) == (500, "time-limit-exceeded")
    assert failed.json["limit_seconds"] == 0.01


async def test_a_run_that_is_tried_again_before_its_first_byte_is_waited_for(
    client, tailrace, clock
):
    @tailrace.producer(retries=1)
    async def moody(run: Run):
        if run.attempt == 1:
            raise ValueError("a bad mood")
        yield b"made"

    making = client.begin("POST", "/make/moody")
    async with asyncio.timeout(20):
        while not await tailrace.service.catalogue.waiting_jobs():  # noqa: ASYNC110  # rows
            await asyncio.sleep(0.001)
    clock.ahead += timedelta(seconds=1)
    tailrace.service.jobs.look()
    await making.ends()
    assert (making.status, making.content) == (200, b"made")


# --- asking twice, and waiting ---------------------------------------------------------------


@pytest.mark.parametrize("prefer", [{}, {"Prefer": "respond-async"}])
async def test_the_same_key_gets_the_same_file(client, prefer):
    fields = {"Idempotency-Key": '"8e03978e-40d5"', "Content-Type": "application/json"}
    ask = [("POST", "/make/numbers", fields | each, b'{"count": 3}') for each in ({}, prefer)]
    first = await client.ask(*ask[0])
    again = await client.ask(*ask[1])
    name = "location" if prefer else "content-location"
    assert again.fields[name] == first.fields["content-location"]
    assert prefer or again.content == first.content == CSV
    assert len((await client.get("/files")).json["files"]) == 1


async def test_a_key_that_stands_for_another_request_is_refused(client):
    """draft-ietf-httpapi-idempotency-key-header §2.7: 422."""
    key = {"idempotency_key": "8e03978e-40d5"}
    await client.post("/make/numbers", {"count": 3}, **key)
    refused = await client.post("/make/numbers", {"count": 4}, **key)
    assert (refused.status, refused.problem) == (422, "key-reused")


async def test_a_key_that_is_none_is_refused(client):
    refused = await client.post("/make/numbers", {}, idempotency_key='"')
    assert (refused.status, refused.problem) == (400, "malformed-field")


async def test_who_repeats_a_request_while_it_runs_follows_the_same_run(client, mill):
    fields = {"Idempotency-Key": "k"}
    first = client.begin("POST", "/make/waiting", fields)
    await first.has(len(b"begun"))
    again = client.begin("POST", "/make/waiting", fields)
    await again.has(len(b"begun"))
    mill.may_go_on.set()
    for each in (first, again):
        await each.ends()
        assert each.content == b"begun and ended"
    assert mill.ended == ["waiting"]


async def test_who_waits_gets_what_was_made_by_then(client):
    """RFC 7240 §4.3: respond asynchronously only if it takes longer."""
    made = await client.ask("POST", "/make/numbers", {"Prefer": "respond-async, wait=20"})
    assert (made.status, made.content) == (200, CSV)
    failed = await client.ask("POST", "/make/failing", {"Prefer": "respond-async, wait=20"})
    assert (failed.status, failed.problem) == (500, "producer-failed")


async def test_who_has_waited_long_enough_gets_the_link(client, monkeypatch):
    monkeypatch.setattr(job_response, "_LONGEST_WAIT_SECONDS", 0.01)
    waited = await client.ask("POST", "/make/waiting", {"Prefer": "respond-async, wait=20"})
    assert waited.status == 202
    assert waited.fields["preference-applied"].startswith("respond-async, wait=")
    assert waited.json["links"][0]["url"] == waited.fields["location"]


async def test_who_leaves_while_he_waits_leaves_the_run_alone(client, mill):
    waiting = client.begin("POST", "/make/waiting", {"Prefer": "respond-async, wait=20"})
    await asyncio.sleep(0.01)
    waiting.leave()
    await waiting.ends()
    assert waiting.status is None
    mill.may_go_on.set()
