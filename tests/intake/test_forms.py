"""multipart/form-data, whole and broken, however it is cut into chunks."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.catalogue import FileState
from tailrace.errors import (
    ClientDisconnected,
    LengthExceeded,
    MalformedContent,
    ProtocolError,
)
from tailrace.intake import forms
from tailrace.protocol.disposition import safe_name
from tailrace.protocol.uploads import Create

pytestmark = pytest.mark.anyio

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "forms.json").read_text())
LIMIT = 10  # parts; what the vectors about their number are made for

SOUND = [vector for vector in VECTORS if vector["parts"] is not None]
BROKEN = [vector for vector in VECTORS if vector["parts"] is None]


def vectors(chosen):
    return pytest.mark.parametrize("vector", chosen, ids=lambda vector: vector["name"])


def octets(text):
    return text.encode("latin-1")


async def source(*chunks):
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


def bytewise(content):
    return [content[n : n + 1] for n in range(len(content))]


async def read(vector, chunks):
    return await read_from(source(*chunks), vector["content_type"])


async def read_from(content, content_type):
    read = []
    async with aclosing(forms.parts(content, content_type, limit=LIMIT)) as parts:
        async for part in parts:
            body = b"".join([chunk async for chunk in part.content])
            read.append([part.name, part.file_name, part.media_type, body])
    return read


def expected(vector):
    return [[*facts, octets(content)] for *facts, content in vector["parts"]]


# --- parts ----------------------------------------------------------------------------------


@vectors(SOUND)
async def test_a_sound_form_is_read_in_one_chunk_and_byte_by_byte(vector):
    content = octets(vector["content"])
    assert await read(vector, [content]) == expected(vector)
    assert await read(vector, bytewise(content)) == expected(vector)


@vectors(SOUND)
async def test_a_sound_form_is_read_wherever_it_is_cut_in_two(vector):
    content = octets(vector["content"])
    for cut in range(len(content) + 1):
        assert await read(vector, [content[:cut], content[cut:]]) == expected(vector)


@vectors(BROKEN)
async def test_a_broken_form_is_refused_in_one_chunk_and_byte_by_byte(vector):
    content = octets(vector["content"])
    for chunks in ([content], bytewise(content)):
        with pytest.raises(ProtocolError):
            await read(vector, chunks)


BOUNDARY = "AaB03x"
# Content of what a boundary is made of reaches further into the parser than any other.
near_boundaries = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"AaB03x", b"--AaB03x", b"x"])
).map(b"".join)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\%'))
written_parts = st.lists(st.tuples(names, st.none() | names, near_boundaries), max_size=5)


@given(written_parts, st.data())
@settings(deadline=None)
def test_what_is_written_as_a_form_is_read_again_however_it_is_cut(written, data):
    delimiter = b"\r\n--" + BOUNDARY.encode()
    written = [part for part in written if delimiter not in b"\r\n" + part[2] + b"\r\n"]
    content = b""
    for name, file_name, body in written:
        disposition = f'form-data; name="{name}"'
        if file_name is not None:
            disposition += f'; filename="{file_name}"'
        head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n"
        content += head.encode() + body + b"\r\n"
    content += f"--{BOUNDARY}--\r\n".encode()
    stops = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    chunks = [content[a:b] for a, b in zip([0, *stops], [*stops, len(content)], strict=True)]
    vector = {"content_type": f"multipart/form-data; boundary={BOUNDARY}"}
    assert asyncio.run(read(vector, chunks)) == [
        [name, file_name or None, None, body] for name, file_name, body in written
    ]


async def test_what_is_left_of_a_part_is_skipped():
    vector = SOUND[0]
    names = []
    chunks = bytewise(octets(vector["content"]))
    async for part in forms.parts(source(*chunks), vector["content_type"], limit=LIMIT):
        names.append(part.name)
        if part.name == "f":
            assert await anext(part.content) == b"o"
    assert names == ["user", "f"]


async def test_content_comes_before_its_part_has_ended():
    vector = SOUND[0]
    whole = octets(vector["content"])
    middle = whole.index(b"two")

    async def content():
        yield whole[:middle]
        pytest.fail("more was asked for than was needed")

    async for part in forms.parts(content(), vector["content_type"], limit=LIMIT):
        if part.name == "f":
            assert (await anext(part.content)).startswith(b"one")
            break


async def test_a_part_that_is_not_read_out_is_closed_with_the_form():
    vector = SOUND[0]
    chunks = bytewise(octets(vector["content"]))
    async with aclosing(
        forms.parts(source(*chunks), vector["content_type"], limit=LIMIT)
    ) as parts:
        part = await anext(parts)
        await anext(part.content)
    assert part.content.ag_frame is None  # and not left to a task of the garbage collector


async def test_a_failure_of_the_source_is_raised_as_it_is():
    vector = SOUND[0]

    async def content():
        yield octets(vector["content"])[:-20]
        raise ClientDisconnected("the sender was cut off")

    with pytest.raises(ClientDisconnected):
        await read_from(content(), vector["content_type"])


# --- forms of files, as uploads -------------------------------------------------------------


async def take(room, content_type, content):
    """Take a form as the service does."""
    async with (
        aclosing(content),
        aclosing(forms.parts(content, content_type, limit=LIMIT)) as parts,
    ):
        async for part in parts:
            if part.file_name is not None:
                command = Create(
                    name=safe_name(part.file_name, "upload"),
                    media_type=part.media_type,
                    complete_length=None,
                    is_complete=True,
                    content_length=None,
                    digests={},
                )
                await room.uploads.create(command, part.content)


@vectors(BROKEN)
async def test_a_broken_form_leaves_whole_files_and_nothing_else_behind(room, vector):
    before = asyncio.all_tasks()
    content = octets(vector["content"])
    with pytest.raises(ProtocolError):
        await take(room, vector["content_type"], source(*bytewise(content)))
    assert asyncio.all_tasks() == before
    await room.check()
    for record in await room.records():
        if record.state is FileState.SEALED:
            assert await room.content(record.blob) in (b"x", b"whole")
        else:
            assert "form" in record.reason


async def test_a_file_over_the_limit_ends_the_form_and_leaves_no_task(room):
    vector = SOUND[0]
    head, tail = octets(vector["content"]).split(b"one\r\ntwo")
    before = asyncio.all_tasks()
    with pytest.raises(LengthExceeded):
        await take(
            room, vector["content_type"], source(head, bytes(1000), b"x", b"y" * 99, tail)
        )
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert [record.state for record in await room.records()] == [FileState.ABANDONED]
    await room.check()


async def test_whenever_a_form_is_cancelled_nothing_dangles(room, cancelled_at_every_step):
    vector = next(vector for vector in SOUND if vector["name"] == "many files under one name")
    content = octets(vector["content"])

    async def attempt():
        chunks = [content[n : n + 50] for n in range(0, len(content), 50)]
        await take(room, vector["content_type"], source(*chunks))

    await cancelled_at_every_step(attempt, room.check)
    sealed = [record.name for record in await room.records() if record.length is not None]
    assert {"a", "b"} <= set(sealed)


# --- small forms ----------------------------------------------------------------------------


def form(*parts):
    content = b""
    for name, value in parts:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        content += head.encode() + value + b"\r\n"
    return content + f"--{BOUNDARY}--\r\n".encode()


def fields_of(content):
    return forms.fields_of(content, f"multipart/form-data; boundary={BOUNDARY}")


def test_fields_are_read_by_name():
    content = form(("a", b"1"), ("b", "日\r\n".encode()), ("日", b""))
    assert fields_of(content) == {"a": "1", "b": "日\r\n", "日": ""}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (form(("a", b"1"), ("a", b"2")), "'a' is given twice"),
        (form(("a", b"\xff")), "not UTF-8"),
        (b"", "broken"),
        (form(("a", b"1"))[:-6], "broken"),
        (form(("a", b"1")).replace(b'name="a"', b"x=y"), "a name"),
        (form(*((f"a{n}", b"1") for n in range(1001))), "over a limit"),
    ],
    ids=["twice", "no text", "nothing", "cut", "no name", "too many"],
)
def test_fields_that_cannot_be_told_apart_or_read_are_refused(content, words):
    with pytest.raises(MalformedContent, match=words):
        fields_of(content)
