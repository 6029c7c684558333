"""Whatever kind of function a producer is, bytes come of it."""

import asyncio
import contextlib
import io
import os
import threading
from pathlib import Path

import pytest

from tailrace.errors import CommandFailed, ProducerError
from tailrace.intake.producers import Command, Run, content_made, producer

pytestmark = pytest.mark.anyio

LONG = bytes(range(256)) * 4096


@pytest.fixture
def run(tmp_path):
    return Run(name="a", media_type=None, scratch=tmp_path / "scratch")


async def made_by(function, run, **arguments):
    content = content_made(producer(function), arguments, run)
    return b"".join([chunk async for chunk in content])


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(LONG)
    return path


def returning(value):
    def blocking():
        return value() if callable(value) else value

    return blocking


def returning_later(value):
    async def coroutine():
        await asyncio.sleep(0)
        return value() if callable(value) else value

    return coroutine


kinds = pytest.mark.parametrize("kind", [returning, returning_later])


# --- what is returned -----------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("content", [b"", b"x", LONG])
async def test_bytes_are_the_file_and_their_length_is_promised(kind, content, run):
    assert await made_by(kind(content), run) == content
    assert run.begin().length == len(content)


@kinds
async def test_a_path_is_a_file_to_be_read_and_its_length_is_promised(kind, source, run):
    assert await made_by(kind(source), run) == LONG
    assert run.begin().length == len(LONG)


async def test_a_length_that_was_promised_is_not_promised_again(run):
    def says_another(run: Run) -> bytes:
        run.length = 7
        return b"x"

    assert await made_by(says_another, run) == b"x"
    assert run.begin().length == 7


@kinds
async def test_a_file_object_is_read_to_its_end_and_closed(kind, source, run):
    opened = source.open("rb")
    assert await made_by(kind(opened), run) == LONG
    assert opened.closed
    assert run.begin().length is None


@kinds
async def test_an_iterator_is_run_as_if_the_function_had_yielded(kind, run):
    assert await made_by(kind(lambda: iter([{"a": 1}, {"a": 2}])), run) == (
        b'{"a":1}\n{"a":2}\n'
    )


async def test_an_asynchronous_iterator_is_run_as_well(run):
    async def items():
        yield b"a"
        yield b"b"

    assert await made_by(returning(items), run) == b"ab"


@kinds
async def test_a_command_is_run_for_its_output(kind, run):
    assert await made_by(kind(Command(["printf", "%s-%s", "a b", "$HOME"])), run) == (
        b"a b-$HOME"
    )


@kinds
@pytest.mark.parametrize("value", [None, "text", 7, ["x"], {"a": 1}])
async def test_what_makes_no_file_is_refused(kind, value, run):
    words = f"returned a {type(value).__name__}"
    with pytest.raises(ProducerError, match=words):
        await made_by(kind(value), run)


@kinds
async def test_a_file_object_of_text_is_refused(kind, run):
    opened = io.StringIO("text")
    with pytest.raises(ProducerError, match="'rb'"):
        await made_by(kind(opened), run)
    assert opened.closed


@kinds
async def test_a_path_without_a_file_is_a_failure_of_the_producer(kind, tmp_path, run):
    with pytest.raises(ProducerError) as error:
        await made_by(kind(tmp_path / "missing"), run)
    assert isinstance(error.value.__cause__, FileNotFoundError)


async def test_only_a_regular_file_is_read(tmp_path, run):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        with pytest.raises(ProducerError, match="no regular file"):
            await made_by(returning(path), run)


# --- how it is called -----------------------------------------------------------------------


async def test_it_gets_its_arguments_and_its_run(run):
    async def told(count: int, run: Run):
        yield f"{count} {run.name}".encode()

    assert await made_by(told, run, count=3) == b"3 a"


@kinds
@pytest.mark.parametrize("failure", [ValueError("x"), SystemExit(1), StopIteration()])
async def test_a_function_that_raises_is_a_failure_of_the_producer(kind, failure, run):
    def fail():
        raise failure

    with pytest.raises(ProducerError):
        await made_by(kind(fail), run)


async def test_what_blocks_does_so_in_a_thread_of_its_own(run):
    may_go_on = threading.Event()

    def slow():
        assert may_go_on.wait(30)
        return threading.current_thread().name.encode()

    making = asyncio.create_task(made_by(slow, run))
    await asyncio.sleep(0)
    may_go_on.set()
    assert await making == b"tailrace-producer"


async def test_who_does_not_want_it_any_more_leaves_at_once(run):
    may_go_on, has_ended = threading.Event(), threading.Event()

    def slow():
        assert may_go_on.wait(30)
        has_ended.set()
        return b"never wanted"

    making = asyncio.create_task(made_by(slow, run))
    await asyncio.sleep(0.01)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert not has_ended.is_set()
    may_go_on.set()
    assert await asyncio.to_thread(has_ended.wait, 30)


# --- commands -------------------------------------------------------------------------------


async def test_a_command_gets_content_surroundings_and_a_directory_of_its_own(run):
    script = 'cat; printf "%s " "$COLOUR"; pwd'
    command = Command(["sh", "-c", script], b"in ", {"COLOUR": "blue"})
    made = await made_by(returning(command), run)
    assert made == f"in blue {run.scratch}\n".encode()
    await run.close()
    assert not run.scratch.parent.joinpath("scratch", "x").exists()


async def test_a_command_runs_where_it_is_told_to(run, tmp_path):
    made = await made_by(returning(Command(["pwd"], directory=tmp_path)), run)
    assert made == f"{tmp_path}\n".encode()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo first >&2; printf 'la\\033st\\nwords\\n' >&2; exit 3", "first la st words"),
        ("exit 3", "ended with status 3"),
        ("kill -9 $$", "ended by SIGKILL"),
    ],
)
async def test_a_command_that_fails_tells_why_in_one_line(script, words, run):
    with pytest.raises(CommandFailed) as error:
        await made_by(returning(Command(["sh", "-c", script])), run)
    assert words in str(error.value)


async def test_a_long_complaint_is_told_by_its_end(run):
    command = Command(["sh", "-c", "yes no | head -c 6000 >&2; echo end >&2; exit 1"])
    with pytest.raises(CommandFailed) as error:
        await made_by(returning(command), run)
    assert str(error.value).endswith("no end")
    assert len(str(error.value)) == 301


@pytest.mark.parametrize("arguments", [["/missing/program"], ["printf", "a\0b"]])
async def test_a_command_that_cannot_be_started_fails(arguments, run):
    with pytest.raises(CommandFailed, match="cannot be started"):
        await made_by(returning(Command(arguments)), run)


async def test_a_command_is_killed_with_its_children_when_nobody_wants_it(run):
    script = "sleep 600 & echo $$ $!; wait"
    content = content_made(producer(returning(Command(["sh", "-c", script]))), {}, run)
    async with contextlib.aclosing(content):
        ids = [int(word) for word in (await anext(content)).split()]
    async with asyncio.timeout(10):
        while any(map(is_running, ids)):  # noqa: ASYNC110  # the kernel sets no Event
            await asyncio.sleep(0.001)


def is_running(process):
    """Tell whether a process is there and no zombie, whom its parent has yet to reap."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
