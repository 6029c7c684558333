"""Speech, from a form to sound in somebody's ear."""

import importlib.util
import json
import re
import urllib.parse

import pytest

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("espeakng_loader", "lameenc")),
    reason="the extra tailrace[speech] is not installed",
)

SENTENCE = "A tailrace is the channel that carries away what the mill has made. "
# Hours of speech, so that there is time to be in the middle of it.
LONG = SENTENCE * 5000

# A frame of MPEG-1 or MPEG-2, layer III (ISO/IEC 11172-3 §2.4.1.3), never free of a rate.
MP3_FRAME = re.compile(rb"\xff[\xfa\xfb\xf2\xf3][\x10-\xef]", re.DOTALL)


@pytest.fixture
def make(http, service):
    def make(**more):
        return http.post(service.url("/make/speech"), **more)

    return make


def is_mp3(content):
    return MP3_FRAME.match(content) is not None


def is_wav(content):
    return content[:4] == b"RIFF" and content[8:16] == b"WAVEfmt " and len(content) > 1000


@pytest.mark.parametrize(
    "request_content",
    [
        {"data": {"text": SENTENCE, "language": "en"}},
        {"json": {"text": SENTENCE, "language": "en"}},
        {"files": {"text": (None, SENTENCE), "language": (None, "en")}},
    ],
    ids=["form", "JSON", "multipart"],
)
def test_speech_is_asked_for_in_any_form(make, request_content):
    response = make(**request_content)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "audio/mpeg"
    assert is_mp3(response.content)
    assert len(response.content) > 10_000


def test_speech_comes_as_wav_where_that_is_asked_for(make):
    response = make(json={"text": SENTENCE, "format": "wav"})
    assert response.headers["Content-Type"] == "audio/wav"
    assert is_wav(response.content)


def test_chinese_is_spoken_as_curl_sends_it(service, run, curl, tmp_path, http):
    sound = tmp_path / "sound.mp3"
    spoken = run(*curl, "-d", "text=你好", "-o", sound, service.url("/make/speech"))
    assert spoken.returncode == 0, spoken.stderr
    assert is_mp3(sound.read_bytes())
    named = http.post(service.url("/make/speech"), data={"text": "你好", "language": "zh"})
    assert named.content == sound.read_bytes(), "its script tells the language"


def test_speech_comes_while_it_is_made_and_is_kept(make, http):
    with make(data={"text": LONG}, stream=True) as response:
        assert "Content-Length" not in response.headers
        beginning = next(response.iter_content(1000))
        link = response.headers["Content-Location"]
        file = file_of(http, link)
        assert file["state"] == "growing"
        with http.get(link, stream=True) as following:
            assert next(following.iter_content(len(beginning))) == beginning
    assert http.delete(urllib.parse.urljoin(link, f"/files/{file['id']}")).status_code == 204
    assert http.get(link).status_code == 410


def test_what_was_answered_is_what_the_link_gives(make, http):
    response = make(data={"text": SENTENCE})
    link = response.headers["Content-Location"]
    assert f'<{link}>; rel="alternate"' in response.headers["Link"]
    again = http.get(link)
    assert again.content == response.content
    assert again.headers["Content-Type"] == "audio/mpeg"
    part = http.get(link, headers={"Range": "bytes=500-"})
    assert part.status_code == 206
    assert part.content == response.content[500:]


def test_speech_can_be_had_by_its_link_alone(make, http):
    accepted = make(data={"text": SENTENCE}, headers={"Prefer": "respond-async"})
    assert accepted.status_code == 202
    assert accepted.headers["Preference-Applied"] == "respond-async"
    link = accepted.headers["Location"]
    assert accepted.json()["links"][0]["url"] == link
    assert is_mp3(http.get(link).content), "it is followed to its end"
    assert file_of(http, link)["state"] == "sealed"


def test_a_client_who_leaves_in_the_middle_finds_the_speech_whole(
    make, http, service, started, curl
):
    text = SENTENCE * 40
    whole = make(data={"text": text}).content
    leaving = started(*curl, "-N", "-D", "-", "-d", f"text={text}", service.url("/make/speech"))
    head = b"".join(iter(leaving.stdout.readline, b"\r\n")).decode()
    assert leaving.stdout.read(100) == whole[:100]
    leaving.kill()
    link = re.search(r"(?i)^content-location: (\S+)", head, re.MULTILINE)[1]
    assert http.get(link).content == whole
    assert file_of(http, link)["state"] == "sealed"


def test_an_unknown_language_is_refused_with_those_there_are(make, service):
    before = len(service.files())
    refused = make(data={"text": "a", "language": "xx"})
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert error["field"] == "language"
    assert {"de", "en", "fr", "yue", "zh"} <= set(re.findall(r"\w+", error["detail"]))
    assert len(service.files()) == before


@pytest.mark.parametrize("text", ["", " \n", "\x01"])
def test_a_text_with_nothing_to_say_is_refused(make, service, text):
    before = len(service.files())
    refused = make(json={"text": text})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "text"
    assert len(service.files()) == before


def test_the_form_of_speech_is_told(http, service):
    producers = {
        each["name"]: each for each in http.get(service.url("/make")).json()["producers"]
    }
    arguments = producers["speech"]["arguments"]
    assert arguments["required"] == ["text"]
    assert "zh" in json.dumps(arguments["properties"]["language"])


def file_of(http, link):
    described = http.get(link.rpartition("/")[0], headers={"Accept": "application/json"})
    return described.json()
