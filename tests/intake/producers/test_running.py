"""Running producers: any generator becomes an asynchronous source of bytes."""

import asyncio
import contextlib
import json
import logging
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import ProducerError
from tailrace.intake.producers.running import AHEAD_BYTES, AHEAD_CHUNKS, content_of

pytestmark = pytest.mark.anyio

KINDS = pytest.mark.parametrize("kind", ["sync", "async"])


def generated(kind, items, failure=None, ended=None):
    """Return a generator of items that then raises, and notes its end."""

    def run():
        try:
            yield from items
            if failure is not None:
                raise failure
        finally:
            if ended is not None:
                ended.set()

    async def run_async():
        with contextlib.closing(run()) as items:
            for item in items:
                await asyncio.sleep(0)
                yield item

    return run() if kind == "sync" else run_async()


async def collected(generator):
    return [chunk async for chunk in content_of(generator)]


async def happened(event):
    """Wait for an event of a thread."""
    assert await asyncio.to_thread(event.wait, 30)


def producer_threads():
    return [t for t in threading.enumerate() if t.name == "tailrace-producer"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    for thread in producer_threads():
        thread.join(30)
        assert not thread.is_alive()


# --- what is yielded ------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("items", [[], [b""], [b"a", b"", b"bc"]])
async def test_bytes_come_as_they_are(kind, items):
    assert await collected(generated(kind, items)) == items


@KINDS
async def test_any_other_values_come_as_lines_of_json(kind):
    items = [{"a": [1, None]}, "line\nend", 7, None, True, (1, 2)]
    chunks = await collected(generated(kind, items))
    assert all(chunk.endswith(b"\n") and chunk.count(b"\n") == 1 for chunk in chunks)
    assert [json.loads(chunk) for chunk in chunks] == json.loads(json.dumps(items))


@KINDS
async def test_numbers_that_json_does_not_have_come_as_null(kind):
    """RFC 8259 §6: numeric values such as Infinity and NaN are not permitted."""
    items = [float("nan"), {"a": [float("inf"), float("-inf"), 1.5]}]
    assert await collected(generated(kind, items)) == [
        b"null\n",
        b'{"a":[null,null,1.5]}\n',
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner)
    ),
    max_leaves=10,
)


@given(st.lists(json_values, max_size=5))
@settings(deadline=None)
def test_every_json_value_is_one_line_that_can_be_read_again(values):
    chunks = asyncio.run(collected(generated("sync", values)))
    assert [json.loads(line) for line in b"".join(chunks).splitlines()] == values


@KINDS
@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([bytearray(b"x")], "yielded a bytearray: yield bytes"),
        ([memoryview(b"x")], "yielded a memoryview: yield bytes"),
        ([object()], "yielded a object: not bytes, not JSON"),
        (["\ud800"], "yielded a str: not bytes, not JSON"),
        ([{"a": b"\xff"}], "yielded a dict: not bytes, not JSON"),
        ([b"x", {}], "bytes and records in one run"),
        ([{}, b"x"], "bytes and records in one run"),
        ([b"", 1], "bytes and records in one run"),
    ],
)
async def test_what_is_neither_or_both_fails_after_what_came_before(kind, items, words):
    ended = threading.Event()
    chunks = []
    with pytest.raises(ProducerError, match=words):
        await _collect(generated(kind, [*items, "never asked for"], ended=ended), chunks)
    assert len(chunks) == len(items) - 1
    await happened(ended)


async def _collect(generator, chunks):
    async with contextlib.aclosing(content_of(generator)) as content:
        async for chunk in content:
            chunks.append(chunk)


# --- failures -------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("failure", [ValueError("x"), SystemExit(2), OSError(5, "x")])
async def test_an_error_of_the_producer_is_the_cause_of_ours(kind, before, failure):
    chunks = []
    with pytest.raises(ProducerError) as error:
        await _collect(generated(kind, [b"x"] * before, failure), chunks)
    assert error.value.__cause__ is failure
    assert str(error.value).startswith(f"{type(failure).__name__}: ")
    assert chunks == [b"x"] * before


@KINDS
async def test_an_error_that_is_ours_already_stays_as_it_is(kind):
    failure = ProducerError("the child process ended with status 1")
    with pytest.raises(ProducerError) as error:
        await collected(generated(kind, [], failure))
    assert error.value is failure


async def test_a_cancellation_inside_of_a_thread_is_no_cancellation_of_ours():
    with pytest.raises(ProducerError) as error:
        await collected(generated("sync", [b"x"], asyncio.CancelledError()))
    assert isinstance(error.value.__cause__, asyncio.CancelledError)


# --- threads --------------------------------------------------------------------------------


async def test_a_sync_producer_runs_from_first_to_last_in_one_thread_of_its_own():
    threads = []

    def run():
        try:
            for _ in range(3):
                threads.append(threading.current_thread())
                yield b"x"
        finally:
            threads.append(threading.current_thread())

    await collected(run())
    assert len(threads) == 4
    assert len(set(threads)) == 1
    assert threads[0].name == "tailrace-producer"
    assert threads[0].daemon  # one that blocks for ever must not hold the process


async def test_nothing_of_a_producer_runs_before_it_is_wanted():
    ended = threading.Event()
    content = content_of(generated("sync", [b"x"], ended=ended))
    await content.aclose()
    assert producer_threads() == []
    assert not ended.is_set()


async def test_the_loop_goes_on_while_a_sync_producer_blocks():
    may_go_on = threading.Event()

    def run():
        yield b"a"
        assert may_go_on.wait(30)
        yield b"b"

    async with contextlib.aclosing(content_of(run())) as content:
        assert await anext(content) == b"a"
        asyncio.get_running_loop().call_soon(may_go_on.set)
        assert await anext(content) == b"b"


@pytest.mark.parametrize(
    ("item", "most"),
    [
        (b"", AHEAD_CHUNKS),
        (b"x", AHEAD_CHUNKS),
        (bytes(AHEAD_BYTES // 4), 4),
        (bytes(3 * AHEAD_BYTES), 1),
        ("x" * (AHEAD_BYTES // 4), 4),
        ({}, AHEAD_CHUNKS),
    ],
    ids=["empty", "tiny", "large", "huge", "large records", "tiny records"],
)
async def test_a_thread_runs_only_so_far_ahead(item, most):
    made = 0
    ended = threading.Event()

    def run():
        nonlocal made
        try:
            for _ in range(3 * AHEAD_CHUNKS):
                made += 1
                yield item
        finally:
            ended.set()

    async with contextlib.aclosing(content_of(run())) as content:
        await anext(content)
        [thread] = producer_threads()
        last = None
        while last != made:  # until it stands still
            last = made
            await asyncio.to_thread(thread.join, 0.05)
        # What was taken at first, what lies ready, and the one it waits with.
        assert made <= 2 * most + 1
    await happened(ended)


@pytest.mark.parametrize("is_behind", [False, True])
async def test_a_thread_that_is_not_wanted_any_more_stops_at_its_next_yield(is_behind):
    made = []
    may_go_on = threading.Event()
    ended = threading.Event()

    def run():
        try:
            yield b"first"
            if not is_behind:
                assert may_go_on.wait(30)
            for _ in range(3 * AHEAD_CHUNKS):
                made.append(1)
                yield b"x"
        finally:
            ended.set()

    async with contextlib.aclosing(content_of(run())) as content:
        assert await anext(content) == b"first"
    may_go_on.set()
    await happened(ended)
    assert len(made) <= 1 if not is_behind else len(made) <= 2 * AHEAD_CHUNKS


async def test_an_async_producer_that_is_not_wanted_any_more_is_closed_at_once():
    ended = threading.Event()
    run = generated("async", [b"x", b"y"], ended=ended)
    async with contextlib.aclosing(content_of(run)) as content:
        assert await anext(content) == b"x"
    assert ended.is_set()


@KINDS
async def test_a_cancelled_run_closes_its_producer(kind):
    ended = threading.Event()
    may_go_on = threading.Event()

    def run():
        try:
            yield b"x"
            may_go_on.wait(30)
            yield b"y"
        finally:
            ended.set()

    async def run_async():
        try:
            yield b"x"
            await asyncio.Event().wait()
        finally:
            ended.set()

    has_begun = asyncio.Event()

    async def run_all():
        async with contextlib.aclosing(
            content_of(run() if kind == "sync" else run_async())
        ) as content:
            async for _ in content:
                has_begun.set()

    running = asyncio.create_task(run_all())
    async with asyncio.timeout(30):
        await has_begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    may_go_on.set()
    await happened(ended)


async def test_a_producer_that_fails_while_it_is_stopped_is_logged_and_hurts_nobody(caplog):
    may_go_on = threading.Event()

    def run():
        try:
            yield b"x"
            assert may_go_on.wait(30)
            yield b"y"
        finally:
            raise ValueError("cannot be cleaned up")

    with caplog.at_level(logging.WARNING, "tailrace.producers"):
        async with contextlib.aclosing(content_of(run())) as content:
            assert await anext(content) == b"x"
        may_go_on.set()
        for thread in producer_threads():
            await asyncio.to_thread(thread.join, 30)
    assert "failed when it was stopped" in caplog.text
    assert "cannot be cleaned up" in caplog.text


async def test_a_producer_that_outlives_its_loop_ends_in_silence():
    may_go_on = threading.Event()
    ended = threading.Event()

    def run():
        try:
            yield b"x"
            assert may_go_on.wait(30)
            yield b"y"
        finally:
            ended.set()

    async def begin():
        async with contextlib.aclosing(content_of(run())) as content:
            assert await anext(content) == b"x"

    await asyncio.to_thread(asyncio.run, begin())
    may_go_on.set()
    await happened(ended)


async def test_an_iterator_that_cannot_be_closed_is_run_as_well():
    assert await collected(iter([b"a", b"b"])) == [b"a", b"b"]
