import asyncio

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from tailrace.errors import (
    ConfigurationError,
    InvalidArguments,
    ProducerError,
    ProducerNotKnown,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def may_go_on():
    return asyncio.Event()


@pytest.fixture(autouse=True)
def producers(tailrace, may_go_on):
    @tailrace.producer(name="numbers.csv")
    async def numbers(count: int = 3):
        for number in range(count):
            yield b"%d\n" % number

    @tailrace.producer
    async def waiting(ending: str = "good"):
        yield b"begun"
        await may_go_on.wait()
        if ending == "bad":
            raise ValueError("the insides")
        yield b" and ended"

    return {"numbers": numbers, "waiting": waiting}


async def test_an_application_makes_a_file_and_gets_its_link(tailrace, client):
    making = await tailrace.make("numbers", count=2)
    await making.wait()
    assert making.path.endswith("/numbers.csv")
    assert (await client.get(making.path)).content == b"0\n1\n"
    assert (await client.get(f"/files/{making.id}")).json["origin"] == "job"


async def test_a_producer_may_be_named_or_given(tailrace, client, producers):
    making = await tailrace.make(producers["numbers"], count=1)
    assert (await client.get(making.path)).content == b"0\n"


async def test_the_link_works_while_the_file_is_made(tailrace, client, may_go_on):
    making = await tailrace.make("waiting")
    following = client.begin("GET", making.path)
    await following.has(5)
    waiting = asyncio.create_task(making.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    may_go_on.set()
    await waiting
    await following.ends()
    assert following.content == b"begun and ended"


async def test_who_waits_for_what_fails_gets_the_failure(tailrace, may_go_on):
    making = await tailrace.make("waiting", ending="bad")
    may_go_on.set()
    with pytest.raises(ProducerError, match="the insides"):
        await making.wait()
    with pytest.raises(ProducerError, match="the insides"):
        await making.wait()


async def test_a_run_can_be_cancelled(tailrace, client):
    making = await tailrace.make("waiting")
    await making.cancel()
    with pytest.raises(ProducerError, match="it was cancelled"):
        await making.wait()
    gone = await client.get(making.path)
    assert gone.status == 410


@pytest.mark.parametrize("settings", [{"jobs": 1}])
async def test_a_run_that_waits_for_its_turn_can_be_cancelled(tailrace, client, may_go_on):
    await tailrace.make("waiting")
    making = await tailrace.make("waiting")
    await making.cancel("not wanted")
    with pytest.raises(ProducerError, match="not wanted"):
        await making.wait()


async def test_wrong_names_and_arguments_are_refused(tailrace):
    with pytest.raises(ProducerNotKnown):
        await tailrace.make("other")
    with pytest.raises(InvalidArguments):
        await tailrace.make("numbers", count="many")


@pytest.mark.parametrize("settings", [{"public_url": "https://example.com/share/"}])
async def test_the_public_address_is_known_where_it_is_set(tailrace):
    making = await tailrace.make("numbers")
    assert making.url == f"https://example.com/share{making.path}"


async def test_without_one_the_address_is_for_the_application_to_tell(tailrace):
    making = await tailrace.make("numbers")
    with pytest.raises(ConfigurationError, match="public_url"):
        making.url  # noqa: B018


async def test_an_application_answers_with_what_it_makes(tailrace, client_of, may_go_on):
    async def answer(request):
        return (await tailrace.make("waiting")).response()

    app = Starlette(routes=[Route("/report", answer), Mount("/share", routes=tailrace.routes)])
    asking = client_of(app).begin("GET", "/report")
    await asking.has(5)
    may_go_on.set()
    await asking.ends()
    assert asking.content == b"begun and ended"
    assert "content-location" not in asking.fields
