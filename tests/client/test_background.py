"""Downloads under an event loop."""

import asyncio
import os
import threading

import pytest
from hostile import Hostile, answer, end, honest, response, whole

from tailrace.client import adownload
from tailrace.client.moves import Patience
from tailrace.errors import Refused

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(256)) * 40
ETAG = ("ETag", '"one"')


async def test_a_file_is_downloaded(tmp_path):
    with Hostile(whole(CONTENT)) as server:
        done = await adownload(server.url(), tmp_path)
    assert done.path.read_bytes() == CONTENT


async def test_an_error_is_raised_where_it_is_awaited(tmp_path):
    with Hostile(answer("404 Not Found")) as server:
        with pytest.raises(Refused):
            await adownload(server.url(), tmp_path)


async def test_many_go_side_by_side(tmp_path):
    count = 12  # more than the threads that a loop of two cores has
    barrier = threading.Barrier(count)

    def together(connection, request):
        barrier.wait(10)
        whole(CONTENT)(connection, request)

    with Hostile(together) as server:
        downloads = (adownload(server.url(f"/{turn}"), tmp_path) for turn in range(count))
        await asyncio.gather(*downloads)
    assert len(os.listdir(tmp_path)) == count


async def test_a_cancelled_download_stops_at_once_and_can_be_resumed(tmp_path):
    landed = threading.Event()

    def stall(connection, request):
        fields = [ETAG, ("Content-Length", str(len(CONTENT)))]
        connection.sendall(response("200 OK", fields, CONTENT[:1000]))
        end(connection, "stall")

    def progress(count, total):
        if count == 1000:
            landed.set()

    with Hostile(stall, honest(CONTENT, ETAG)) as server:
        task = asyncio.create_task(adownload(server.url(), tmp_path, progress=progress))
        assert await asyncio.to_thread(landed.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        assert not (tmp_path / "file.bin").exists()
        done = await adownload(server.url(), tmp_path)
    assert done.resumed_from == 1000
    assert done.path.read_bytes() == CONTENT


async def test_a_download_that_pauses_is_cancelled_too(tmp_path):
    asked = threading.Event()

    def busy(connection, request):
        answer("503 Busy")(connection, request)
        asked.set()

    with Hostile(busy) as server:
        patience = Patience(first_pause_seconds=60)
        task = asyncio.create_task(adownload(server.url(), tmp_path, patience=patience))
        assert await asyncio.to_thread(asked.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
    assert os.listdir(tmp_path) == []
