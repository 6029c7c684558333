import asyncio
import os
import socket
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from tailrace.blobs import BlobState, BlobStatus
from tailrace.delivery.local import open_file, representation_of
from tailrace.errors import StorageUnavailable
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

LARGE = 300_000  # more than is read without a thread


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"0123456789")
    return path


class Gate:
    """Holds up calls of one function until it is opened."""

    def __init__(self, function):
        self._function = function
        self._is_reached = threading.Semaphore(0)
        self._opens = threading.Event()

    def __call__(self, *args, **kwargs):
        self._is_reached.release()
        assert self._opens.wait(10)
        return self._function(*args, **kwargs)

    async def reached(self):
        assert await asyncio.to_thread(self._is_reached.acquire, timeout=10)

    def open(self):
        self._opens.set()


@pytest.fixture
def gated(monkeypatch):
    """Put a gate before a function of `os`."""

    def gated(name):
        gate = Gate(getattr(os, name))
        monkeypatch.setattr(os, name, gate)
        return gate

    return gated


# --- reading ------------------------------------------------------------------------------


async def test_a_file_is_a_sealed_blob_of_its_length(path):
    async with open_file(path) as file:
        assert file.status == BlobStatus(BlobState.SEALED, 10)
        assert await file.wait_beyond(10) == file.status


@pytest.mark.parametrize("span", [Span(0, 10), Span(3, 7), Span(9, 10), Span(4, 4)])
async def test_a_span_is_read(path, span):
    async with open_file(path) as file:
        assert await file.read(span) == b"0123456789"[span.start : span.stop]


async def test_large_spans_are_read_at_once_by_several(path):
    content = os.urandom(LARGE)
    path.write_bytes(content)
    spans = [Span(start, LARGE) for start in range(0, 100_000, 10_000)]
    async with open_file(path) as file:
        found = await asyncio.gather(*map(file.read, spans))
    assert found == [content[span.start :] for span in spans]


async def test_a_path_may_be_text_or_a_link(path):
    link = path.with_name("link")
    link.symlink_to(path.name)
    async with open_file(str(link)) as file:
        assert await file.read(Span(0, 3)) == b"012"


async def test_bytes_that_come_later_are_not_part_of_it(path):
    async with open_file(path) as file:
        with path.open("ab") as appending:
            appending.write(b"more")
        assert file.status.length == 10


@pytest.mark.parametrize("length", [10, LARGE])
async def test_a_file_that_shrinks_is_an_error_and_not_a_short_read(path, length):
    path.write_bytes(bytes(length))
    async with open_file(path) as file:
        os.truncate(path, length - 1)
        with pytest.raises(StorageUnavailable, match=f"ended at {length - 1}, before {length}"):
            await file.read(Span(0, length))


async def test_a_disk_that_fails_is_an_error_without_the_path(path, monkeypatch):
    def failing(*args):
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(os, "preadv", failing)
    monkeypatch.setattr(os, "pread", failing)
    async with open_file(path) as file:
        with pytest.raises(StorageUnavailable) as raised:
            await file.read(Span(0, 10))
    assert str(raised.value) == "the file cannot be read: Input/output error"


async def test_a_file_replaced_under_its_name_is_read_as_it_was(path, closed):
    async with open_file(path) as file:
        path.with_name("new").write_bytes(b"something else")
        path.with_name("new").replace(path)
        assert await file.read(Span(0, file.status.length)) == b"0123456789"
    await closed()  # its bytes are freed in a thread


async def test_a_file_is_closed_at_the_end_of_its_context(path, open_files):
    async with open_file(path) as file:
        assert open_files() == [str(path)]
        assert os.fstat(file.fileno()).st_size == 10
    assert open_files() == []
    with pytest.raises(ValueError, match="closed"):
        await file.read(Span(0, 1))


# --- what is no file ----------------------------------------------------------------------


def a_device(tmp_path):
    return "/dev/zero"


def a_directory(tmp_path):
    return tmp_path


def a_fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def a_socket(tmp_path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    return tmp_path / "socket"


def a_link_to_a_directory(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    return tmp_path / "link"


@pytest.mark.parametrize(
    "make", [a_device, a_directory, a_fifo, a_socket, a_link_to_a_directory]
)
async def test_what_is_no_regular_file_is_refused_at_once(make, tmp_path):
    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="is not a file"):
            async with open_file(make(tmp_path)):
                pass


@pytest.mark.parametrize(
    "name", ["missing", "a" * 256, "a/" * 3000, "file.bin/below", "nul\0"], ids=repr
)
async def test_where_no_file_can_be_none_is_found(name, tmp_path, path):
    with pytest.raises(RuntimeError, match="does not exist"):
        async with open_file(tmp_path / name):
            pass


async def test_a_link_to_nothing_is_missing(tmp_path):
    (tmp_path / "link").symlink_to("nothing")
    with pytest.raises(RuntimeError, match="does not exist"):
        async with open_file(tmp_path / "link"):
            pass


async def test_a_link_to_itself_is_an_error(tmp_path):
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="Too many levels"):
        async with open_file(tmp_path / "link"):
            pass


async def test_whoever_writes_to_a_fifo_is_not_disturbed(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(os, "open", lambda *args, **kwargs: opened.append(args))
    with pytest.raises(RuntimeError, match="is not a file"):
        async with open_file(a_fifo(tmp_path)):
            pass
    assert opened == []


@pytest.mark.usefixtures("nothing_at_hand")
async def test_a_fifo_that_takes_the_place_of_a_file_is_refused_at_once(path, monkeypatch):
    look = os.stat

    def look_too_early(*args, **kwargs):
        found = look(*args, **kwargs)
        if stat.S_ISREG(found.st_mode):
            path.unlink()
            os.mkfifo(path)
        return found

    monkeypatch.setattr(os, "stat", look_too_early)
    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="is not a file"):
            async with open_file(path):
                pass


# --- who leaves ---------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_at_hand")
async def test_who_leaves_while_a_file_is_opened_leaves_no_file_open(
    path, gated, open_files, closed
):
    gate = gated("fstat")

    async def run():
        async with open_file(path):
            pass

    task = asyncio.create_task(run())
    await gate.reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task  # at once, though the file system has not answered
    assert open_files() == [str(path)]
    gate.open()
    await closed()


async def test_who_leaves_while_bytes_are_read_closes_the_file_after_the_read(
    path, gated, open_files, closed
):
    path.write_bytes(bytes(LARGE))
    gate = gated("pread")

    async def run():
        async with open_file(path) as file:
            await file.read(Span(0, LARGE))

    task = asyncio.create_task(run())
    await gate.reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_files() == [str(path)], "another file could get its number while it is read"
    gate.open()
    await closed()


async def test_a_read_that_had_to_wait_for_its_turn_leaves_no_file_open(
    path, gated, open_files
):
    path.write_bytes(bytes(LARGE))
    gate = gated("pread")
    async with open_file(path) as file:
        busy = [asyncio.create_task(file.read(Span(0, LARGE))) for _ in range(16)]
        for _ in busy:
            await gate.reached()
        waiting = asyncio.create_task(file.read(Span(0, LARGE)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.open()
        await asyncio.gather(*busy)
    assert open_files() == []


# --- what is said of it -------------------------------------------------------------------

CHANGED_AT = 1_700_000_000.25
DATE = datetime.fromtimestamp(1_700_000_000, UTC)


def found_with(**differing):
    seen = {"ino": 7, "size": 10, "mtime": CHANGED_AT, "ctime": CHANGED_AT, **differing}
    named = {
        "st_mtime": seen["mtime"],
        "st_ctime": seen["ctime"],
        "st_mtime_ns": seen.get("mtime_ns", int(seen["mtime"] * 10**9)),
        "st_ctime_ns": int(seen["ctime"] * 10**9),
    }
    sequence = [0o100644, seen["ino"], 0, 1, 0, 0, seen["size"]]
    return os.stat_result((*sequence, 0, int(seen["mtime"]), int(seen["ctime"])), named)


def said_of(found, now=CHANGED_AT + 60):
    return representation_of(found, "text/plain", now)


@pytest.mark.parametrize(
    "differing",
    [
        {"ino": 8},
        {"size": 11},
        {"mtime": CHANGED_AT + 0.001},
        {"mtime": CHANGED_AT - 86400},
        {"ctime": CHANGED_AT + 0.001},
    ],
    ids=str,
)
def test_a_file_that_differs_in_anything_has_another_tag(differing):
    tag = said_of(found_with()).validators.entity_tag
    other = said_of(found_with(**differing)).validators.entity_tag
    assert not tag.matches_weakly(other)


TICK = 0.011  # of the slowest kernel, and some time to look
WHOLE = 1_700_000_000.0


@pytest.mark.parametrize(
    ("times", "now"),
    [
        ({}, CHANGED_AT + TICK),
        ({"mtime": CHANGED_AT - 86400}, CHANGED_AT + TICK),
        ({"mtime": CHANGED_AT + 86400}, CHANGED_AT + TICK),  # set by hand; the other tells
        ({"mtime": WHOLE, "ctime": WHOLE}, WHOLE + 2),
        ({"mtime": WHOLE, "ctime": WHOLE + 0.25}, WHOLE + 0.25 + TICK),
    ],
)
def test_the_tag_of_a_file_is_strong_when_another_change_would_be_seen(times, now):
    assert not said_of(found_with(**times), now).validators.entity_tag.weak


@pytest.mark.parametrize(
    ("times", "now"),
    [
        ({}, CHANGED_AT),
        ({}, CHANGED_AT + 0.001),
        ({"mtime": CHANGED_AT - 86400}, CHANGED_AT + 0.001),  # by a copy or by touch
        ({"ctime": CHANGED_AT - 86400}, CHANGED_AT + 0.001),  # a file system without it
        ({"ctime": CHANGED_AT + 86400}, CHANGED_AT + 60),  # the clock was set back
        ({"mtime": WHOLE, "ctime": WHOLE}, WHOLE + 1.9),  # counted in seconds, or pairs of them
    ],
)
def test_a_file_that_may_change_within_one_tick_has_weak_validators(times, now):
    representation = said_of(found_with(**times), now)
    assert representation.validators.entity_tag.weak
    assert representation.has_weak_date


@pytest.mark.parametrize(
    ("times", "now", "is_weak"),
    [
        ({}, CHANGED_AT + 0.7, True),
        ({}, CHANGED_AT + 0.75, False),
        ({"mtime": CHANGED_AT - 86400}, CHANGED_AT + TICK, False),
        ({"mtime": CHANGED_AT + 86400}, CHANGED_AT + 60, True),
    ],
)
def test_a_date_is_strong_when_the_second_that_it_names_is_over(times, now, is_weak):
    """RFC 9110 §8.8.2.2: nothing can have changed twice in it any more."""
    assert said_of(found_with(**times), now).has_weak_date is is_weak


async def test_a_file_that_was_just_made_has_a_strong_tag(tmp_path):
    for number in range(20):
        path = tmp_path / str(number)
        path.write_bytes(b"made")
        async with open_file(path) as file:
            representation = representation_of(file.found, "text/plain", time.time())
        assert not representation.validators.entity_tag.weak


async def test_a_file_that_changes_all_the_time_is_not_waited_for_for_ever(tmp_path):
    path = tmp_path / "changing"
    path.write_bytes(b"")
    is_over = threading.Event()

    def change():
        with path.open("ab") as file:
            while not is_over.is_set():
                file.write(b".")
                file.flush()

    with ThreadPoolExecutor() as threads:
        threads.submit(change)
        try:
            async with asyncio.timeout(10), open_file(path):
                pass
        finally:
            is_over.set()


def test_the_date_is_that_of_the_last_change_to_the_bytes():
    assert said_of(found_with()).validators.last_modified == DATE


def test_a_tag_becomes_strong_with_time_and_stays_the_same_otherwise():
    young = said_of(found_with(), now=CHANGED_AT).validators.entity_tag
    old = said_of(found_with(), now=CHANGED_AT + 60).validators.entity_tag
    assert young.matches_weakly(old)
    assert not old.matches_strongly(young)


def test_a_date_is_cut_to_the_second_and_not_rounded():
    # As a float it is the next second.
    found = found_with(mtime=1_700_000_001.0, mtime_ns=1_700_000_000_999_999_999)
    assert said_of(found).validators.last_modified == DATE


def test_a_date_is_never_later_than_now():
    found = found_with(mtime=CHANGED_AT + 86400)
    assert said_of(found, now=CHANGED_AT).validators.last_modified == DATE


@pytest.mark.parametrize("mtime", [-1.0, -(2.0**31), -(10.0**13)])
def test_a_date_before_1970_is_1970(mtime):
    modified_at = said_of(found_with(mtime=mtime)).validators.last_modified
    assert modified_at == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_date_after_the_year_9999_is_now():
    found = found_with(mtime=10.0**13)
    assert said_of(found, now=CHANGED_AT).validators.last_modified == DATE
