"""Every test runs on both event loops that tailrace is run with."""

import asyncio
import os
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from tailrace.errors import ProducerError
from tailrace.intake.producers.child import UNREAD_BYTES, output_of

pytestmark = pytest.mark.anyio

ENDLESS = "import os; os.write(1, b'%d ' % os.getpid())\nwhile True: os.write(1, bytes(4096))"
SILENT = "import os, time; os.write(1, b'%d ' % os.getpid()); time.sleep(600)"


@pytest.fixture(params=["asyncio", "uvloop"], scope="module")
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


def child(program, content=b"", stall_seconds=60.0):
    command = [sys.executable, "-I", "-S", "-c", program]
    return output_of(command, content, stall_seconds=stall_seconds)


async def whole(output):
    return b"".join([block async for block in output])


def is_reaped(first_block):
    """Tell by the id, which a zombie still has."""
    try:
        os.kill(int(first_block.split()[0]), 0)
    except ProcessLookupError:
        return True
    return False


def open_descriptors():
    return set(os.listdir("/dev/fd"))


def children_alive():
    """The ids of all child processes of this one, zombies too."""
    status = [path.read_text() for path in Path("/proc").glob("[0-9]*/status") if path.exists()]
    mine = f"\nPPid:\t{os.getpid()}\n"
    return {each.partition("\nPid:\t")[2].split()[0] for each in status if mine in each}


async def eventually(is_true):
    async with asyncio.timeout(10):
        while not is_true():  # noqa: ASYNC110  # the kernel sets no Event
            await asyncio.sleep(0.001)


@pytest.fixture
async def before():
    """What is open when the loop has opened what it opens once, at the first child."""
    await whole(child("print()"))
    return open_descriptors()


async def test_content_longer_than_any_pipe_goes_in_and_comes_out():
    content = os.urandom(1_000_003)
    copy = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    assert await whole(child(copy, content)) == content


async def test_content_that_is_not_read_is_no_fault():
    assert await whole(child("print('done')", bytes(1_000_000))) == b"done\n"


async def test_what_stands_on_standard_error_is_the_reason():
    with pytest.raises(ProducerError, match=r"^no such voice$"):
        await whole(child("import sys; sys.exit('no such voice')"))


async def test_only_the_end_of_a_long_complaint_is_kept():
    program = "import sys; sys.stderr.write('x' * 500_000); sys.exit('the point')"
    with pytest.raises(ProducerError, match=r"^x{,4096}the point$"):
        await whole(child(program))


async def test_a_failure_without_words_is_told_by_its_status():
    with pytest.raises(ProducerError, match="ended with status 3"):
        await whole(child("import sys; sys.exit(3)"))


async def test_a_crash_is_told_by_its_signal():
    with pytest.raises(ProducerError, match="ended by SIGSEGV"):
        await whole(child("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))


async def test_what_came_before_a_failure_is_yielded():
    output = child("import sys; print('half', flush=True); sys.exit('sorry')")
    assert await anext(output) == b"half\n"
    with pytest.raises(ProducerError, match="sorry"):
        await anext(output)


async def test_a_program_that_is_not_there_is_a_producers_error():
    with pytest.raises(ProducerError, match="/nonexistent cannot be started"):
        await whole(output_of(["/nonexistent"], b"", stall_seconds=60))


async def test_a_child_that_gives_no_sign_is_killed(before):
    with pytest.raises(ProducerError, match=r"gave no sign for 0.1 seconds"):
        await whole(child("import time; time.sleep(600)", stall_seconds=0.1))
    assert open_descriptors() == before


async def test_a_child_whose_output_is_not_taken_waits():
    async with aclosing(child(ENDLESS)) as output:
        for _ in range(5):
            await asyncio.sleep(0.02)  # many megabytes would come in this time
            # The read that passes the limit may bring some 100 KiB more.
            assert len(await anext(output)) < UNREAD_BYTES + 1024 * 1024


async def test_the_child_leads_its_own_process_group():
    program = "import os; print(os.getpgid(0) == os.getpid())"
    assert await whole(child(program)) == b"True\n"


async def test_closing_the_generator_kills_and_reaps_the_child():
    output = child(ENDLESS)
    first_block = await anext(output)
    await output.aclose()
    assert is_reaped(first_block)


async def test_closing_does_not_wait_for_a_child_that_does_not_read():
    output = child(SILENT, bytes(1_000_000))
    first_block = await anext(output)
    await output.aclose()
    assert is_reaped(first_block)


async def test_cancelling_the_reader_kills_and_reaps_the_child():
    blocks = []

    async def read():
        async with aclosing(child(SILENT)) as output:
            async for block in output:
                blocks.append(block)
                has_begun.set()

    has_begun = asyncio.Event()
    reader = asyncio.create_task(read())
    await has_begun.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert is_reaped(blocks[0])


async def test_a_run_that_ends_by_itself_leaves_nothing_open(before):
    await whole(child("print()"))
    assert open_descriptors() == before


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks /proc for children")
@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8, 20])
async def test_cancelled_at_any_turn_it_leaves_nothing_behind(before, turns):
    children, tasks = children_alive(), asyncio.all_tasks()
    reader = asyncio.create_task(whole(child("import time; time.sleep(600)")))
    for _ in range(turns):
        await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert asyncio.all_tasks() == tasks
    assert open_descriptors() == before
    # Cancelled while it starts the child, uvloop reaps it in a later turn.
    await eventually(lambda: children_alive() == children)


async def test_a_second_cancellation_while_it_ends_leaks_nothing(before):
    output = child(ENDLESS)
    first_block = await anext(output)
    closing = asyncio.create_task(output.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await eventually(lambda: open_descriptors() == before)
    await eventually(lambda: is_reaped(first_block))
