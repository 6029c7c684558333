"""Whole and resumed downloads by the clients that people have, of files that are there."""

import os

import aiohttp
import httpx
import pytest

pytestmark = pytest.mark.anyio

WHOLE = os.urandom(3_000_000)
BEGUN = 1_000_000
REST = {"Range": f"bytes={BEGUN}-"}


@pytest.fixture(scope="module")
def link(service, http):
    return http.put(service.url("/uploads/whole.bin"), data=WHOLE).text.strip()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "got.bin"


@pytest.fixture
def begun(target):
    """The beginning of a download that was cut."""
    target.write_bytes(WHOLE[:BEGUN])
    return target


@pytest.fixture
def well(run):
    """Run a command to its end, which is a good one, and return what it printed."""

    def well(*command):
        done = run(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return well


# --- curl ---------------------------------------------------------------------------------


def test_curl_gets_the_whole(well, curl, link, target):
    well(*curl, "-f", "-o", target, link)
    assert target.read_bytes() == WHOLE


def test_curl_goes_on(well, curl, link, begun):
    well(*curl, "-f", "-C", "-", "-o", begun, link)
    assert begun.read_bytes() == WHOLE


def test_curl_that_has_all_gets_nothing_more(well, curl, link, target):
    target.write_bytes(WHOLE)
    well(*curl, "-C", "-", "-o", target, link)
    assert target.read_bytes() == WHOLE


@pytest.mark.parametrize(
    ("asked", "span"),
    [("0-99", slice(100)), ("100-199", slice(100, 200)), ("-100", slice(-100, None))],
)
def test_curl_gets_a_range(well, curl, link, target, asked, span):
    well(*curl, "-f", "-r", asked, "-o", target, link)
    assert target.read_bytes() == WHOLE[span]


def test_curl_gets_several_ranges(well, curl, link, target):
    well(*curl, "-f", "-r", "0-9,100-109", "-o", target, link)
    content = target.read_bytes()
    assert content.count(b"Content-Range: bytes ") == 2
    assert WHOLE[:10] in content
    assert WHOLE[100:110] in content


def test_curl_that_has_saved_the_tag_gets_nothing_the_next_time(well, curl, link, target):
    tag = target.with_name("tag")
    well(*curl, "-f", "--etag-save", tag, "-o", target, link)
    assert target.read_bytes() == WHOLE
    told = well(*curl, "--etag-compare", tag, "-w", "%{http_code} %{size_download}", link)
    assert told == "304 0"


def test_curl_that_has_saved_another_tag_gets_the_whole(well, curl, link, target):
    tag = target.with_name("tag")
    tag.write_text('"another"\n')
    well(*curl, "-f", "--etag-compare", tag, "-o", target, link)
    assert target.read_bytes() == WHOLE


def test_curl_that_has_the_date_gets_nothing_the_next_time(well, curl, link, target):
    well(*curl, "-f", "-R", "-o", target, link)  # the file gets the date of Last-Modified
    told = well(*curl, "-z", target, "-w", "%{http_code} %{size_download}", link)
    assert told == "304 0"


def test_curl_that_has_an_earlier_date_gets_the_whole(well, curl, link, target):
    well(*curl, "-f", "-z", "1 January 2000", "-o", target, link)
    assert target.read_bytes() == WHOLE


# --- wget and aria2c ----------------------------------------------------------------------


def test_wget_gets_the_whole(well, wget, link, target):
    well(*wget, "-O", target, link)
    assert target.read_bytes() == WHOLE


def test_wget_goes_on(well, wget, link, begun):
    well(*wget, "-c", "-O", begun, link)
    assert begun.read_bytes() == WHOLE


def test_wget_that_has_all_gets_nothing_more(well, wget, link, target):
    target.write_bytes(WHOLE)
    well(*wget, "-c", "-O", target, link)
    assert target.read_bytes() == WHOLE


def test_wget_that_has_the_date_gets_nothing_the_next_time(run, wget, link, tmp_path):
    """RFC 9110 §13.1.3: wget -N sends If-Modified-Since."""
    for _ in range(2):
        done = run(*wget, "-N", "-P", tmp_path, link)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "whole.bin").read_bytes() == WHOLE
    assert "saved" not in done.stderr
    assert "->" not in done.stderr


@pytest.fixture(scope="session")
def aria2c(program):
    return (
        program("aria2c"),
        "--quiet",
        "--no-conf",
        "--max-tries=2",
        "--file-allocation=none",
    )


def test_aria2c_gets_the_whole_by_several_connections(well, aria2c, link, target):
    split = ("-x4", "-s4", "-k1M")
    well(*aria2c, *split, "-d", target.parent, "-o", target.name, link)
    assert target.read_bytes() == WHOLE


def test_aria2c_goes_on(well, aria2c, link, begun):
    well(*aria2c, "-c", "-d", begun.parent, "-o", begun.name, link)
    assert begun.read_bytes() == WHOLE


def test_aria2c_gets_a_file_that_still_grows(service, upload, started, aria2c, until, target):
    uploading = upload(service, "for aria2c")
    uploading.send(WHOLE[:BEGUN])
    options = ("-x4", "-s4", "-k1M", "-d", target.parent, "-o", target.name)
    getting = started(*aria2c, *options, uploading.link)
    until("aria2c began", lambda: target.exists() and target.stat().st_size)
    uploading.send(WHOLE[BEGUN:])
    uploading.finish()
    output, errors = getting.communicate(timeout=30)
    assert getting.returncode == 0, output + errors
    assert target.read_bytes() == WHOLE


# --- libraries ----------------------------------------------------------------------------


def test_requests_goes_on(http, link):
    head = http.head(link)
    assert head.headers["Content-Length"] == str(len(WHOLE))
    rest = http.get(link, headers=REST | {"If-Range": head.headers["ETag"]})
    assert (rest.status_code, rest.content) == (206, WHOLE[BEGUN:])


def test_requests_that_holds_a_part_of_another_file_gets_the_whole(http, link):
    rest = http.get(link, headers=REST | {"If-Range": '"another"'})
    assert (rest.status_code, rest.content) == (200, WHOLE)


async def test_httpx_gets_the_whole_and_goes_on(link):
    async with httpx.AsyncClient(trust_env=False) as client:
        whole = await client.get(link)
        assert whole.content == WHOLE
        async with client.stream(
            "GET", link, headers=REST | {"If-Range": whole.headers["ETag"]}
        ) as rest:
            assert rest.status_code == 206
            assert b"".join([chunk async for chunk in rest.aiter_bytes()]) == WHOLE[BEGUN:]
        again = await client.get(link, headers={"If-None-Match": whole.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_httpx_follows_a_file_that_still_grows(service, upload):
    uploading = upload(service, "for httpx")
    uploading.send(WHOLE[:BEGUN])
    async with (
        httpx.AsyncClient(trust_env=False) as client,
        client.stream("GET", uploading.link) as response,
    ):
        chunks = response.aiter_bytes()
        got = await anext(chunks)
        uploading.send(WHOLE[BEGUN:])
        uploading.finish()
        got += b"".join([chunk async for chunk in chunks])
    assert got == WHOLE


async def test_aiohttp_gets_the_whole_and_goes_on(link):
    async with aiohttp.ClientSession() as session:
        async with session.get(link) as whole:
            assert await whole.read() == WHOLE
        async with session.get(
            link, headers=REST | {"If-Range": whole.headers["ETag"]}
        ) as rest:
            assert (rest.status, await rest.read()) == (206, WHOLE[BEGUN:])
