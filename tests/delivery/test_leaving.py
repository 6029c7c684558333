import asyncio
import gc
from contextlib import suppress

import pytest

from tailrace.delivery.leaving import UntilDisconnect, noticing_departure
from tailrace.errors import ClientDisconnected

pytestmark = pytest.mark.anyio

REQUEST = {"type": "http.request", "body": b"", "more_body": True}
DISCONNECT = {"type": "http.disconnect"}


@pytest.fixture(autouse=True)
async def no_watch_is_left_behind():
    yield
    assert watches() == []


def watches():
    return [
        task
        for task in asyncio.all_tasks()
        if task.get_coro().__qualname__.startswith("UntilDisconnect.")
    ]


class Client:
    """Sends what is left of a request, and leaves when told to."""

    def __init__(self, *messages):
        self._messages = list(messages)
        self._left = asyncio.Event()

    def leave(self):
        self._left.set()

    async def receive(self):
        if self._messages:
            return self._messages.pop(0)
        await self._left.wait()
        return DISCONNECT


async def forever():
    await asyncio.Event().wait()


async def watched(receive, block):
    async with UntilDisconnect(receive):
        await block()


def is_cancelled():
    return asyncio.current_task().cancelling() > 0


async def is_free_of_cancels():
    """Whether this task can wait without a cancel that was meant for a block before."""
    await asyncio.sleep(0)
    return not is_cancelled()


# --- leaving ------------------------------------------------------------------------------


async def test_a_block_whose_client_stays_runs_to_its_end():
    async with UntilDisconnect(Client().receive):
        await asyncio.sleep(0)
        assert len(watches()) == 1
    assert watches() == []
    assert await is_free_of_cancels()


async def test_a_block_that_never_waits_runs_to_its_end():
    client = Client()
    client.leave()
    async with UntilDisconnect(client.receive):
        pass
    assert await is_free_of_cancels()


async def test_a_block_ends_when_the_client_leaves():
    client = Client()
    asyncio.get_running_loop().call_later(0.01, client.leave)
    with pytest.raises(ClientDisconnected):
        await watched(client.receive, forever)
    assert await is_free_of_cancels()


async def test_what_is_left_of_the_request_is_no_leaving():
    client = Client(REQUEST, REQUEST, REQUEST)
    async with UntilDisconnect(client.receive):
        for _ in range(5):
            await asyncio.sleep(0)
    client.leave()
    with pytest.raises(ClientDisconnected):
        await watched(client.receive, forever)


@pytest.mark.parametrize("rounds", range(12))
async def test_the_client_may_leave_at_every_await(rounds):
    async def receive():
        for _ in range(rounds):
            await asyncio.sleep(0)
        return DISCONNECT

    steps = []
    with suppress(ClientDisconnected):
        async with UntilDisconnect(receive):
            for step in range(8):
                steps.append(step)
                await asyncio.sleep(0)
            steps.append("end")
    assert ("end" in steps) == (rounds >= 8)
    assert len(steps) == min(rounds + 1, 9)
    assert await is_free_of_cancels()


@pytest.mark.parametrize("is_first_to_leave", [True, False])
async def test_the_client_may_leave_in_the_moment_the_block_ends(is_first_to_leave):
    client = Client()
    last_wait = asyncio.get_running_loop().create_future()

    def end():
        if is_first_to_leave:
            client.leave()
        last_wait.set_result(None)
        client.leave()

    with suppress(ClientDisconnected):
        async with UntilDisconnect(client.receive):
            await asyncio.sleep(0)  # so that the watch is waiting by now
            asyncio.get_running_loop().call_soon(end)
            await last_wait
    assert await is_free_of_cancels()


async def test_a_receive_that_will_not_be_cancelled_cancels_nobody_after_the_block():
    async def receive():
        try:
            await forever()
        except asyncio.CancelledError:
            return DISCONNECT

    async with UntilDisconnect(receive):
        await asyncio.sleep(0)
    assert await is_free_of_cancels()


# --- beside other ends --------------------------------------------------------------------


async def test_an_error_of_the_block_stays_what_it_is():
    async def block():
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await watched(Client().receive, block)


async def test_an_error_on_the_way_out_goes_before_the_leaving():
    async def block():
        try:
            await forever()
        finally:
            raise ZeroDivisionError

    client = Client()
    client.leave()
    with pytest.raises(ZeroDivisionError):
        await watched(client.receive, block)
    assert await is_free_of_cancels()


async def test_a_block_may_keep_the_leaving_to_itself():
    client = Client()
    client.leave()
    async with UntilDisconnect(client.receive):
        with suppress(asyncio.CancelledError):
            await forever()
    assert await is_free_of_cancels()


async def test_a_cancellation_from_outside_stays_one():
    task = asyncio.create_task(watched(Client().receive, forever))
    await asyncio.sleep(0)
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task


@pytest.mark.parametrize("is_first_to_leave", [True, False])
async def test_a_cancellation_together_with_the_leaving_stays_one(is_first_to_leave):
    client = Client()
    task = asyncio.create_task(watched(client.receive, forever))
    for _ in range(3):
        await asyncio.sleep(0)
    client.leave()
    if is_first_to_leave:
        await asyncio.sleep(0)  # the watch has seen it, and the block not yet
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == 1, "the cancel of the client was not taken back"


async def test_a_cancellation_in_the_moment_the_block_ends_stays_one():
    async def run():
        async with UntilDisconnect(Client().receive):
            await asyncio.sleep(0)
            asyncio.current_task().cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(run())


async def test_a_task_cancelled_before_can_still_be_left():
    client = Client()
    client.leave()

    async def run():
        try:
            await forever()
        except asyncio.CancelledError:
            async with UntilDisconnect(client.receive):
                await forever()

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(ClientDisconnected):
        await task
    assert task.cancelling() == 1


def leave_and_expire(client, timeout, is_first_to_leave):
    if is_first_to_leave:
        client.leave()
    timeout.reschedule(asyncio.get_running_loop().time() - 1)
    client.leave()


async def test_a_timeout_within_stays_a_timeout():
    async with UntilDisconnect(Client().receive):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await forever()
        await asyncio.sleep(0)
    assert await is_free_of_cancels()


async def test_a_timeout_around_stays_a_timeout():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), UntilDisconnect(Client().receive):
            await forever()
    assert await is_free_of_cancels()


@pytest.mark.parametrize("is_first_to_leave", [True, False])
async def test_a_timeout_within_together_with_the_leaving_is_a_leaving(is_first_to_leave):
    client = Client()

    async def block():
        await asyncio.sleep(0)  # so that the watch is waiting by now
        async with asyncio.timeout(None) as timeout:
            leave_and_expire(client, timeout, is_first_to_leave)
            await forever()

    with pytest.raises(ClientDisconnected):
        await watched(client.receive, block)
    assert await is_free_of_cancels()


@pytest.mark.parametrize("is_first_to_leave", [True, False])
async def test_a_timeout_around_together_with_the_leaving_is_a_timeout(is_first_to_leave):
    client = Client()

    async def run():
        async with asyncio.timeout(None) as timeout, UntilDisconnect(client.receive):
            await asyncio.sleep(0)
            leave_and_expire(client, timeout, is_first_to_leave)
            await forever()

    with pytest.raises(TimeoutError):
        await run()
    assert await is_free_of_cancels()


async def test_one_block_may_stand_in_another():
    client = Client()
    client.leave()
    with pytest.raises(ClientDisconnected):
        await watched(client.receive, lambda: watched(client.receive, forever))
    assert await is_free_of_cancels()


# --- when the watch fails -----------------------------------------------------------------


async def test_a_receive_that_fails_ends_the_block_with_its_error():
    async def receive():
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await watched(receive, forever)
    assert await is_free_of_cancels()


async def test_a_receive_that_fails_after_the_block_is_told_by_the_event_loop():
    told = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    async def receive():
        try:
            await forever()
        finally:
            raise ZeroDivisionError

    try:
        async with UntilDisconnect(receive):
            await asyncio.sleep(0)
        assert await is_free_of_cancels()
        gc.collect()
    finally:
        loop.set_exception_handler(None)
    assert [type(error) for error in told] == [ZeroDivisionError]


# --- when the server says so --------------------------------------------------------------


async def test_what_is_sent_arrives():
    sent = []

    async def send(message):
        sent.append(message)

    await noticing_departure(send)({"type": "http.response.body"})
    assert sent == [{"type": "http.response.body"}]


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError, ClientDisconnected),
        (BrokenPipeError, ClientDisconnected),
        (RuntimeError, RuntimeError),
        (asyncio.CancelledError, asyncio.CancelledError),
    ],
)
async def test_an_os_error_of_send_is_a_leaving_and_nothing_else_is(raised, expected):
    async def send(message):
        raise raised

    with pytest.raises(expected):
        await noticing_departure(send)({"type": "http.response.body"})
