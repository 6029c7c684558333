import asyncio
import json

import pytest

from tailrace import Run
from tailrace.asgi import events

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """People need them; these tests do not."""
    monkeypatch.setattr(events, "_SECONDS_BETWEEN", 0)


@pytest.fixture
async def growing(client):
    """An upload that the test goes on with: its link without the name, and where it is."""
    created = await client.ask(
        "POST", "/uploads", {"Upload-Complete": "?0", "Upload-Length": "12"}
    )
    link = created.json["links"][0]["url"].rpartition("/")[0]
    return link, created.fields["location"]


async def append(client, location, offset, content, *, complete):
    return await client.ask(
        "PATCH",
        location,
        {
            "Content-Type": "application/partial-upload",
            "Upload-Complete": "?1" if complete else "?0",
            "Upload-Offset": str(offset),
        },
        content,
    )


def events_of(exchange):
    """Read a stream as a browser does (HTML §9.2.6): pairs of id and data."""
    read = []
    for block in exchange.content.decode().split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line[0] != ":")
        if lines:
            read.append((lines["id"], json.loads(lines["data"])))
    return read


async def test_the_life_of_a_file_is_told_to_its_end(client, growing):
    link, location = growing
    following = client.begin("GET", f"{link}?events")
    await following.has(1)
    assert following.fields["content-type"].startswith("text/event-stream")
    assert following.fields["cache-control"] == "no-cache"
    await append(client, location, 0, b"first ", complete=False)
    await following.until(lambda: b'"length": 6' in following.content)
    await append(client, location, 6, b"second", complete=True)
    await following.ends()
    assert following.is_ended
    told = events_of(following)
    assert told[0][0] == "0"
    assert (
        told[0][1].items() >= {"state": "growing", "length": 0, "complete_length": 12}.items()
    )
    assert told[-1][0] == "12"
    assert told[-1][1].items() >= {"state": "sealed", "length": 12, "reason": None}.items()
    assert all(id_ == str(life["length"]) for id_, life in told)
    assert [life["length"] for _, life in told] == sorted(life["length"] for _, life in told)


async def test_a_file_that_is_given_up_tells_why(client, growing):
    link, location = growing
    following = client.begin("GET", f"{link}?events")
    await following.has(1)
    await client.ask("DELETE", location)
    await following.ends()
    assert following.is_ended
    last = events_of(following)[-1][1]
    assert (last["state"], last["reason"]) == ("abandoned", "its upload was cancelled")


async def test_a_sealed_file_tells_its_end_at_once(client):
    link = (await client.put("a", b"12345"))["links"][0]["url"].rpartition("/")[0]
    told = await client.get(f"{link}?events")
    ((id_, life),) = events_of(told)
    assert (id_, life["state"], life["length"]) == ("5", "sealed", 5)


async def test_who_has_seen_the_end_is_told_to_stop(client):
    """HTML §9.2.3: a 204 ends the reconnecting of an EventSource."""
    link = (await client.put("a", b"12345"))["links"][0]["url"].rpartition("/")[0]
    assert (await client.get(f"{link}?events", last_event_id="5")).status == 204
    assert (await client.get(f"{link}?events", last_event_id="4")).status == 200


async def test_a_silence_is_broken_by_comments(client, growing, monkeypatch):
    monkeypatch.setattr(events, "_SECONDS_TO_HEARTBEAT", 0.001)
    link, _ = growing
    following = client.begin("GET", f"{link}?events")
    await following.has(1)
    await following.until(lambda: following.content.endswith(b"\n\n:\n\n"))
    assert len(events_of(following)) == 1


async def test_a_reader_who_leaves_is_no_fault(client, growing):
    link, _ = growing
    following = client.begin("GET", f"{link}?events")
    await following.has(1)
    following.leave()
    await following.ends()
    assert not following.is_ended


async def test_head_tells_the_type_and_waits_for_nothing(client, growing):
    link, _ = growing
    head = await client.ask("HEAD", f"{link}?events")
    assert head.status == 200
    assert head.fields["content-type"].startswith("text/event-stream")
    assert head.is_ended


async def test_a_link_that_is_not_there_has_no_events(client):
    assert (await client.get("/l/x?events")).status == 404


async def test_a_run_tells_how_far_it_is_also_without_a_byte(client, tailrace, monkeypatch):
    monkeypatch.setattr(events, "_SECONDS_TO_PROGRESS", 0.001)
    may_go_on = asyncio.Event()

    @tailrace.producer
    async def drawing(run: Run):
        run.length = 3
        run.progress(1, 3, "drawing")
        await may_go_on.wait()
        run.progress(2, 3)
        yield b"png"

    made = await client.ask("POST", "/make/drawing", {"Prefer": "respond-async"})
    link = made.fields["location"].rpartition("/")[0]
    following = client.begin("GET", f"{link}?events")
    await following.until(lambda: b'"message": "drawing"' in following.content)
    may_go_on.set()
    await following.ends()
    _, life = events_of(following)[-1]
    assert life["progress"] == {"done": 2, "total": 3, "message": None}
    assert (life["state"], life["length"], life["complete_length"]) == ("sealed", 3, 3)


async def test_the_life_of_a_file_goes_on_when_it_is_made_anew(client, tailrace):
    may_fail = asyncio.Event()

    @tailrace.producer(retries=1)
    async def moody(run: Run):
        yield b"attempt %d" % run.attempt
        if run.attempt == 1:
            await may_fail.wait()
            raise ValueError("a bad mood")

    made = await client.ask("POST", "/make/moody", {"Prefer": "respond-async"})
    link = made.fields["location"].rpartition("/")[0]
    following = client.begin("GET", f"{link}?events")
    await following.until(lambda: b'"length": 9' in following.content)
    may_fail.set()
    await following.ends()
    told = [(life["state"], life["length"]) for _, life in events_of(following)]
    assert ("growing", 0) in told[1:]
    assert told[-1] == ("sealed", 9)
