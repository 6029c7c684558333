"""Uploads by the HTTP clients that people write programs with, and by curl."""

import io
import os

import aiohttp
import httpx
import pytest
import requests

CONTENT = os.urandom(300_000)
NAME = "naïve 文.bin"


def pieces():
    for start in range(0, len(CONTENT), 64 * 1024):
        yield CONTENT[start : start + 64 * 1024]


async def pieces_by_and_by():
    for piece in pieces():
        yield piece


def a_file():
    return io.BytesIO(CONTENT)


in_each_form = pytest.mark.parametrize(
    "content", [lambda: CONTENT, a_file, pieces], ids=["bytes", "file", "generator"]
)


@pytest.fixture
def whole(service, http):
    """Assert that a file of the service is the content."""

    def whole(file, name):
        assert (file["state"], file["name"]) == ("sealed", name)
        assert file["length"] == len(CONTENT)
        assert http.get(file["links"][0]["url"]).content == CONTENT

    return whole


# --- content as it is -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [lambda: CONTENT, a_file, pieces], ids=["bytes", "file", "generator"]
)
def test_requests_posts_content(service, http, whole, content):
    response = http.post(service.url("/uploads"), params={"name": NAME}, data=content())
    assert response.status_code == 201
    whole(response.json(), NAME)


@pytest.mark.parametrize(
    "content", [lambda: CONTENT, a_file, pieces], ids=["bytes", "file", "generator"]
)
def test_httpx_posts_content(service, whole, content):
    with httpx.Client(trust_env=False) as client:
        response = client.post(
            service.url("/uploads"), params={"name": NAME}, content=content()
        )
    assert response.status_code == 201
    whole(response.json(), NAME)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "content", [lambda: CONTENT, pieces_by_and_by], ids=["bytes", "generator"]
)
async def test_httpx_on_an_event_loop_posts_content(service, whole, content):
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.post(
            service.url("/uploads"), params={"name": NAME}, content=content()
        )
    whole(response.json(), NAME)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "content", [lambda: CONTENT, a_file, pieces_by_and_by], ids=["bytes", "file", "generator"]
)
async def test_aiohttp_posts_content(service, whole, content):
    async with (
        aiohttp.ClientSession() as client,
        client.post(service.url("/uploads"), params={"name": NAME}, data=content()) as answer,
    ):
        assert answer.status == 201
        file = await answer.json()
    whole(file, NAME)


@pytest.mark.parametrize(
    "content", [lambda: CONTENT, a_file, pieces], ids=["bytes", "file", "generator"]
)
def test_requests_puts_content(service, http, content):
    answer = http.put(service.url("/uploads/put.bin"), data=content())
    assert answer.status_code == 201
    assert http.get(answer.text.strip()).content == CONTENT


# --- forms ----------------------------------------------------------------------------------


def test_requests_posts_a_form(service, http, whole):
    form = [
        ("note", (None, "not a file")),
        *(("file", (name, a_file(), "image/png")) for name in ("a.bin", NAME)),
    ]
    answer = http.post(service.url("/uploads"), files=form)
    files = answer.json()
    assert answer.status_code == 201
    assert [file["media_type"] for file in files] == ["image/png"] * 2
    for file, name in zip(files, ["a.bin", NAME], strict=True):
        whole(file, name)


def test_httpx_posts_a_form(service, whole):
    with httpx.Client(trust_env=False) as client:
        answer = client.post(
            service.url("/uploads"), files={"file": (NAME, a_file())}, data={"note": "x"}
        )
    [file] = answer.json()
    whole(file, NAME)


@pytest.mark.anyio
async def test_aiohttp_posts_a_form_whose_length_it_does_not_know(service, whole):
    form = aiohttp.FormData()
    form.add_field("note", "not a file")
    form.add_field("file", pieces_by_and_by(), filename="a.bin", content_type="text/csv")
    async with (
        aiohttp.ClientSession() as client,
        client.post(service.url("/uploads"), data=form) as answer,
    ):
        [file] = await answer.json()
    whole(file, "a.bin")
    assert file["media_type"] == "text/csv"


# --- curl -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
def test_curl_puts_a_file_by_its_name(service, run, curl, http, tmp_path, version):
    source = tmp_path / "from curl.bin"
    source.write_bytes(CONTENT)
    done = run(*curl, version, "-T", source, service.url("/uploads/"))
    assert done.returncode == 0, done.stderr
    assert http.get(done.stdout.strip()).content == CONTENT
    assert service.file("from curl.bin")["length"] == len(CONTENT)


def test_curl_is_told_of_a_refusal_before_it_sends(serve, run, curl, tmp_path):
    source = tmp_path / "large.bin"
    source.write_bytes(CONTENT * 5)  # from a megabyte on curl expects 100 (Continue)
    told = ("--fail", "-w", "%{size_upload}")
    with serve(tmp_path / "data", FILE_LIMIT="1000") as service:
        done = run(*curl, *told, "-T", source, service.url("/uploads/"))
    assert (done.returncode, done.stdout) == (22, "0")  # "HTTP page not retrieved"


def test_a_session_goes_on_after_a_refused_upload(service):
    """What was not read of a refused upload must not be taken for the next request."""
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(3):
            refused = session.post(
                service.url("/uploads"), data=CONTENT, headers={"Tus-Resumable": "9"}
            )
            assert refused.status_code == 412
            assert session.get(service.url("/files")).status_code == 200
