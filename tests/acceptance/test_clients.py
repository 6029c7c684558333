"""The clients that people have, and ours, on files that are still being written."""

import asyncio
import base64
import fcntl
import hashlib
import json
import os
import shutil
import signal

import aiohttp
import pytest
import requests

pytestmark = pytest.mark.anyio

PART = os.urandom(100_000)
WHOLE = PART * 3


@pytest.fixture
def begun(tmp_path):
    """The beginning of a download that was cut."""
    path = tmp_path / "begun"
    path.write_bytes(PART[:1000])
    return path


def output_of(process):
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    return output


def is_longer(path, length):
    return lambda: path.exists() and path.stat().st_size > length


def test_curl_goes_on_with_a_growing_file_to_its_end(
    service, upload, started, curl, until, begun
):
    uploading = upload(service, "for curl -C -")
    uploading.send(PART)
    getting = started(*curl, "-N", "-C", "-", "-o", begun, uploading.link)
    until("curl went on", is_longer(begun, 1000))
    uploading.send(PART)
    uploading.send(PART)
    uploading.finish()
    output_of(getting)
    assert begun.read_bytes() == WHOLE


def test_wget_goes_on_with_a_growing_file_to_its_end(
    service, upload, started, wget, until, begun
):
    uploading = upload(service, "for wget -c")
    uploading.send(PART)
    getting = started(*wget, "-c", "-O", begun, uploading.link)
    until("wget went on", is_longer(begun, 1000))
    uploading.send(PART)
    uploading.send(PART)
    uploading.finish()
    output_of(getting)
    assert begun.read_bytes() == WHOLE


def test_wget_follows_a_growing_file_from_its_start(
    service, upload, started, wget, until, tmp_path
):
    uploading = upload(service, "for wget")
    uploading.send(PART)
    getting = started(*wget, "-P", tmp_path, uploading.link)
    until("wget began", is_longer(tmp_path / "for wget", 0))
    uploading.send(PART)
    uploading.send(PART)
    uploading.finish()
    output_of(getting)
    assert (tmp_path / "for wget").read_bytes() == WHOLE


def test_wget_of_a_file_that_is_abandoned_fails(service, upload, started, wget, until, begun):
    uploading = upload(service, "abandoned for wget")
    uploading.send(PART)
    getting = started(*wget, "-c", "-O", begun, uploading.link)
    until("wget went on", is_longer(begun, 1000))
    uploading.process.kill()
    assert getting.wait(30) != 0


def test_tailrace_get_follows_and_is_named_by_the_service(
    service, upload, started, tailrace, until, tmp_path
):
    uploading = upload(service, "文件 for get.bin")
    uploading.send(PART)
    getting = started(*tailrace, "get", uploading.link, "-o", tmp_path)
    until("it began", lambda: any(path.stat().st_size for path in tmp_path.glob("*.part")))
    assert not (tmp_path / "文件 for get.bin").exists()
    uploading.send(PART)
    uploading.send(PART)
    uploading.finish()
    assert output_of(getting).decode() == f"{tmp_path / '文件 for get.bin'}\n"
    assert (tmp_path / "文件 for get.bin").read_bytes() == WHOLE


def test_tailrace_get_goes_on_after_a_cut(
    service, upload, started, run, tailrace, until, tmp_path
):
    uploading = upload(service, "resumed")
    uploading.send(PART)
    target = tmp_path / "resumed"
    cut = started(*tailrace, "get", uploading.link, "-o", target)
    until(
        "all there is by now has landed",
        lambda: any(path.stat().st_size == len(PART) for path in tmp_path.glob("*.part")),
    )
    cut.send_signal(signal.SIGINT)
    assert cut.wait(30) == 130
    assert not target.exists()
    uploading.send(PART)
    uploading.send(PART)
    uploading.finish()
    got = run(*tailrace, "get", uploading.link, "-o", target, "--json")
    assert got.returncode == 0, got.stderr
    assert json.loads(got.stdout)["resumed_from"] == len(PART)
    assert target.read_bytes() == WHOLE


def test_tailrace_get_of_a_file_that_is_abandoned_fails_and_leaves_no_file(
    service, upload, started, tailrace, until, tmp_path
):
    uploading = upload(service, "abandoned")
    uploading.send(PART)
    getting = started(*tailrace, "get", uploading.link, "-o", tmp_path / "abandoned")
    until("it began", lambda: any(path.stat().st_size for path in tmp_path.glob("*.part")))
    uploading.process.kill()
    output, errors = getting.communicate(timeout=30)
    assert getting.returncode == 1
    assert output == b""
    assert b"its sender was cut off" in errors
    assert not (tmp_path / "abandoned").exists()


def test_tailrace_put_tells_the_link_before_it_sends_a_byte(
    service, started, tailrace, curl, until, tmp_path
):
    source = tmp_path / "put.bin"
    source.write_bytes(os.urandom(5_000_000))
    # It cannot go on before somebody reads its link, for there is no room in the pipe.
    reading, writing = os.pipe()
    filling = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"." * filling)
    putting = started(*tailrace, "put", source, "--to", service.address, stdout=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        until("the file was begun", lambda: service.state("put.bin") == "growing")
        link = service.link("put.bin")
        copy = tmp_path / "copy"
        following = started(*curl, "-N", "-D", tmp_path / "head", "-o", copy, link)
        until("it was followed", is_longer(tmp_path / "head", 0))
        assert service.length("put.bin") == 0
        assert told.read(filling) == b"." * filling
        assert told.readline().decode() == f"{link}\n"
        assert putting.wait(30) == 0, putting.stderr.read()
    output_of(following)
    assert copy.read_bytes() == source.read_bytes()


def test_tailrace_ls_lists_what_there_is(service, run, tailrace, upload):
    uploading = upload(service, "listed.csv")
    uploading.send(b"a,b\n")
    uploading.finish()
    listed = run(*tailrace, "ls", "--to", service.address)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.splitlines()[0].split()[:5] == [
        uploading.link,
        "listed.csv",
        "4",
        "B",
        "sealed",
    ]


def test_put_get_and_ls_speak_of_the_same_file(service, run, tailrace, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    sent = [source / "报告.txt", source / "b.bin", source / "empty"]
    for path, content in zip(sent, (b"text\n", PART, b""), strict=True):
        path.write_bytes(content)
    put = run(*tailrace, "put", *sent, "--to", service.address)
    assert put.returncode == 0, put.stderr
    links = put.stdout.splitlines()
    assert len(links) == 3
    listed = run(*tailrace, "ls", "--json", environment={"TAILRACE_URL": service.address})
    files = [json.loads(line) for line in listed.stdout.splitlines()[:3]]
    assert [file["links"][0]["url"] for file in files] == links[::-1]
    target = tmp_path / "target"
    target.mkdir()
    got = run(*tailrace, "get", *links, "-o", target)
    assert got.returncode == 0, got.stderr
    assert got.stdout.splitlines() == [str(target / path.name) for path in sent]
    for path in sent:
        assert (target / path.name).read_bytes() == path.read_bytes()


def test_a_client_of_tutorials_copies_the_raw_stream_of_requests(
    service, upload, http, tmp_path
):
    uploading = upload(service, "for copyfileobj")
    uploading.send(PART)
    with (
        http.get(uploading.link, stream=True) as response,
        (tmp_path / "copy").open("wb") as to,
    ):
        uploading.send(PART)
        uploading.send(PART)
        uploading.finish()
        shutil.copyfileobj(response.raw, to)
    assert (tmp_path / "copy").read_bytes() == WHOLE


def test_a_client_of_tutorials_iterates_over_the_content_with_requests(service, upload, http):
    uploading = upload(service, "for iter_content")
    uploading.send(PART)
    with http.get(uploading.link, stream=True) as response:
        response.raise_for_status()
        chunks = response.iter_content(chunk_size=8192)
        got = [next(chunks)]
        uploading.send(PART)
        uploading.send(PART)
        uploading.finish()
        got += chunks
    assert b"".join(got) == WHOLE


def test_requests_tells_of_a_cut(service, upload, http):
    uploading = upload(service, "cut for requests")
    uploading.send(PART)
    with http.get(uploading.link, stream=True) as response:
        chunks = response.iter_content(chunk_size=8192)
        next(chunks)
        uploading.process.kill()
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(chunks)


async def test_a_client_of_tutorials_reads_two_urls_at_once_with_aiohttp(
    service, upload, tmp_path
):
    uploads = [upload(service, f"for aiohttp {n}") for n in range(2)]

    async def download(session, url, path):
        async with session.get(url) as response:
            response.raise_for_status()
            with path.open("wb") as file:
                while chunk := await response.content.readany():
                    file.write(chunk)

    def feed():
        for _ in range(3):
            for uploading in uploads:
                uploading.send(PART)
        for uploading in uploads:
            uploading.finish()

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for n, uploading in enumerate(uploads):
            group.create_task(download(session, uploading.link, tmp_path / str(n)))
        group.create_task(asyncio.to_thread(feed))
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [WHOLE, WHOLE]


async def test_aiohttp_tells_of_a_cut(service, upload):
    uploading = upload(service, "cut for aiohttp")
    uploading.send(PART)
    async with aiohttp.ClientSession() as session, session.get(uploading.link) as response:
        await response.content.readexactly(len(PART))
        uploading.process.kill()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.readany()


def test_a_digest_that_the_service_tells_is_that_of_the_bytes(service, upload, http):
    uploading = upload(service, "digested")
    uploading.send(PART)
    uploading.finish()
    response = http.get(uploading.link)
    digest = base64.b64encode(hashlib.sha256(response.content).digest()).decode()
    assert response.headers["Repr-Digest"] == f"sha-256=:{digest}:"


def test_an_uploader_in_a_form_gets_a_list_of_links(service, run, curl, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "b.txt").write_bytes(b"b")
    sent = run(
        *curl,
        "-F",
        f"file=@{tmp_path / 'a.txt'}",
        "-F",
        "note=not a file",
        "-F",
        f"file=@{tmp_path / 'b.txt'};filename=二.txt",
        service.url("/uploads"),
    )
    files = json.loads(sent.stdout)
    assert [file["name"] for file in files] == ["a.txt", "二.txt"]
    got = run(*curl, *(file["links"][0]["url"] for file in files))
    assert got.stdout == "ab"


def test_an_upload_of_a_file_of_known_length_tells_it_while_it_grows(
    service, started, curl, until, http, tmp_path
):
    source = tmp_path / "known.bin"
    source.write_bytes(WHOLE)
    sending = started(*curl, "--limit-rate", "1k", "-T", source, service.url("/uploads/"))
    until("the upload was begun", lambda: service.state("known.bin") == "growing")
    assert service.file("known.bin")["complete_length"] == len(WHOLE)
    with http.get(service.link("known.bin"), stream=True) as response:
        assert "Content-Length" not in response.headers
    sending.kill()
