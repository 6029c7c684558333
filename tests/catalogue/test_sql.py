"""What the contract suite cannot see from one process: crashes, neighbours, what is left."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tailrace.catalogue import Catalogue, FileRecord, FileState, LinkRecord, schema
from tailrace.catalogue.sql import SqlCatalogue, open_catalogue
from tailrace.errors import ConfigurationError

pytestmark = pytest.mark.anyio


class Neighbour:
    """`neighbour.py` as a child process."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("neighbour.py")), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._commands, self._answers = self.process.stdin, self.process.stdout
        assert self._answers.readline() == "ready\n"

    def ask(self, command: str) -> str:
        self._commands.write(f"{command}\n")
        self._commands.flush()
        return self._answers.readline().rstrip()

    def close(self) -> None:
        self._commands.close()
        self._answers.close()
        self.process.wait(timeout=10)


@pytest.fixture
def neighbour(url: str) -> Iterator[Neighbour]:
    started = Neighbour(url)
    yield started
    started.close()


@pytest.fixture
async def catalogue(url: str) -> AsyncIterator[Catalogue]:
    opened = await open_catalogue(url, durability="crash")
    yield opened
    await opened.close()


def threads_of_catalogues() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "catalogue" in thread.name]


async def test_what_was_answered_survives_kill_9(
    neighbour: Neighbour, url: str, make_file: Callable[..., FileRecord]
) -> None:
    assert neighbour.ask("add first") == "done"
    assert neighbour.ask("add-and-die last") == ""
    assert neighbour.process.wait(timeout=10) == -signal.SIGKILL
    catalogue = await open_catalogue(url, durability="crash")
    for name in ("first", "last"):
        assert await catalogue.find_file(make_file(name).id) == make_file(name)
    await catalogue.close()


async def test_two_processes_see_each_others_writes(
    catalogue: Catalogue, neighbour: Neighbour, make_file: Callable[..., FileRecord]
) -> None:
    file = make_file("ours")
    await catalogue.add_file(file, [])
    assert neighbour.ask("find ours") == "growing"
    await catalogue.abandon_file(file.id, reason="left", at=file.created_at)
    assert neighbour.ask("find ours") == "abandoned"
    assert await catalogue.find_file(make_file("theirs").id) is None
    neighbour.ask("add theirs")
    assert await catalogue.find_file(make_file("theirs").id) == make_file("theirs")


async def test_two_processes_write_at_once_and_nothing_is_lost(
    catalogue: Catalogue, neighbour: Neighbour, make_file: Callable[..., FileRecord]
) -> None:
    count = 60
    theirs = asyncio.get_running_loop().run_in_executor(None, neighbour.ask, f"fill b {count}")
    for number in range(count):
        await catalogue.add_file(make_file(f"a{number}"), [])
    assert await theirs == "done"
    listed = await catalogue.list_files(limit=3 * count)
    assert sorted(file.name for file, _ in listed) == sorted(
        f"{owner}{number}" for owner in "ab" for number in range(count)
    )


async def test_two_catalogues_in_one_process_see_each_others_writes(
    catalogue: Catalogue, url: str, make_file: Callable[..., FileRecord]
) -> None:
    other = await open_catalogue(url, durability="power")
    await other.add_file(make_file(), [])
    assert await catalogue.find_file(make_file().id) == make_file()
    await other.close()
    assert await catalogue.find_file(make_file().id) == make_file()


async def test_a_link_found_before_is_found_again_without_the_database(
    catalogue: SqlCatalogue,
    make_file: Callable[..., FileRecord],
    make_link: Callable[..., LinkRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = make_file()
    link = make_link(file)
    await catalogue.add_file(file, [link])
    assert await catalogue.find_link(link.token_hash) == (link, file)
    monkeypatch.setattr(catalogue._database, "read", None)
    assert await catalogue.find_link(link.token_hash) == (link, file)
    assert catalogue.link_at_hand(link.token_hash) == (link, file)


async def test_a_link_found_before_is_not_found_after_another_process_ended_it(
    catalogue: Catalogue,
    neighbour: Neighbour,
    make_file: Callable[..., FileRecord],
    make_link: Callable[..., LinkRecord],
) -> None:
    file = make_file("ours")
    link = make_link(file)
    await catalogue.add_file(file, [link])
    assert await catalogue.find_link(link.token_hash) == (link, file)
    neighbour.ask("end ours")
    assert catalogue.link_at_hand(link.token_hash) is None
    _, ended = await catalogue.find_link(link.token_hash)
    assert (ended.state, ended.reason) == (FileState.ABANDONED, "over there")
    neighbour.ask("forget all")
    assert await catalogue.find_link(link.token_hash) is None


async def test_a_link_is_found_while_another_process_keeps_the_database_locked(
    catalogue: Catalogue,
    url: str,
    make_file: Callable[..., FileRecord],
    make_link: Callable[..., LinkRecord],
) -> None:
    file = make_file()
    link = make_link(file)
    await catalogue.add_file(file, [link])
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE links SET revoked_at = created_at")
    for _ in range(2):
        assert await catalogue.find_link(link.token_hash) == (link, file)
    other.execute("COMMIT")
    other.close()
    revoked, _ = await catalogue.find_link(link.token_hash)
    assert revoked.revoked_at == link.created_at


async def test_closing_leaves_no_thread_and_one_file(url: str, tmp_path: Path) -> None:
    catalogue = await open_catalogue(url, durability="power")
    assert threads_of_catalogues()
    await catalogue.close()
    assert not threads_of_catalogues()
    assert os.listdir(tmp_path) == ["catalogue.db"]


async def test_a_catalogue_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        await open_catalogue(f"sqlite:///{tmp_path}/missing/c.db", durability="crash")
    assert not threads_of_catalogues()


async def test_an_opening_that_is_cancelled_leaves_no_thread(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    prepare = schema.prepare

    def prepare_slowly(engine: Engine) -> None:
        begun.set()
        may_go_on.wait(timeout=10)
        prepare(engine)

    monkeypatch.setattr(schema, "prepare", prepare_slowly)
    opening = asyncio.ensure_future(open_catalogue(url, durability="crash"))
    await asyncio.to_thread(begun.wait, 10)
    opening.cancel()
    await asyncio.sleep(0)  # the cancellation arrives, and closing waits for the work
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not threads_of_catalogues()


async def test_a_url_that_cannot_work_is_refused_before_anything_is_touched() -> None:
    with pytest.raises(ConfigurationError, match="names no file"):
        await open_catalogue("sqlite://", durability="crash")
