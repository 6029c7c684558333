"""Sealed representations (RFC 9110), octet by octet, from every place that sends them.

Each vector is asked of each place. Values in angle brackets stand for what the place said in
its answer to a HEAD before, or for something long. Beside what a vector says, each response
must be sound by itself.
"""

import base64
import hashlib
import json
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from places import PLACES
from wire import Wire, content_range, parts_of

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "representations.json").read_text("utf-8")
)

UNKNOWN = "application/octet-stream"

# RFC 9110 §15.4.5: all that a 304 says of the representation, and Last-Modified.
MAY_BE_IN_304 = {"content-location", "etag", "last-modified", "cache-control", "expires"}
OF_REPRESENTATION = MAY_BE_IN_304 | {
    "content-type",
    "content-length",
    "content-range",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-digest",
    "repr-digest",
}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_requests_are_answered_as_the_standard_says(places, vector):
    for name in PLACES:
        place = places.find(name, vector.get("length", 10), vector.get("media_type", UNKNOWN))
        try:
            is_answered_as_the_standard_says(place, vector)
        except Exception as exc:
            exc.add_note(f"It was {name}.")
            raise


def is_answered_as_the_standard_says(place, vector):
    method = vector.get("method", "GET")
    lines = [(name, place.fill(value)) for name, value in vector["fields"]]
    with Wire(place.port) as wire:
        response = wire.ask(method, place.target, *lines)
        assert response.status == vector["status"]
        SOUND[response.status](place, response, vector)
        has_sound_dates(place, response)
        if method != "TRACE":  # whose refusal may close
            assert wire.ask("HEAD", place.target).status == 200  # nothing was left behind


def is_sound_200(place, response, vector):
    if vector.get("method") != "HEAD":
        assert response.content == place.content
    assert response["Content-Length"] == str(len(place.content))
    assert "Content-Range" not in response
    assert essence(response["Content-Type"]) == essence(place.media_type)
    describes_the_representation(place, response)


def is_sound_206(place, response, vector):
    spans = [slice(*span) for span in vector["spans"]]
    if len(spans) == 1:
        (span,) = spans
        assert response.content == place.content[span]
        assert response["Content-Range"] == content_range(span, place.content)
        assert essence(response["Content-Type"]) == essence(place.media_type)
    else:
        assert "Content-Range" not in response  # §15.3.7.2: must not, it is in the parts
        assert parts_of(response) == [
            (
                place.head["Content-Type"],
                content_range(span, place.content),
                place.content[span],
            )
            for span in spans
        ]
    assert response["Content-Length"] == str(len(response.content))
    describes_the_representation(place, response)


def is_sound_304(place, response, vector):
    assert response.content == b""
    assert "Transfer-Encoding" not in response
    said = {name for name, _ in response.lines}
    assert said & OF_REPRESENTATION <= MAY_BE_IN_304
    for name in ("ETag", "Cache-Control", "Vary", "Content-Location", "Expires"):
        assert response.get(name) == place.head.get(name)


def is_sound_405(place, response, vector):
    allowed = {method.strip() for method in response["Allow"].split(",")}
    assert {"GET", "HEAD"} <= allowed
    assert vector["method"] not in allowed


def is_sound_412(place, response, vector):
    tells_a_problem(place, response)
    assert "Content-Range" not in response


def is_sound_416(place, response, vector):
    tells_a_problem(place, response)
    assert response["Content-Range"] == f"bytes */{len(place.content)}"
    assert response["Accept-Ranges"] == "bytes"


SOUND = {
    200: is_sound_200,
    206: is_sound_206,
    304: is_sound_304,
    405: is_sound_405,
    412: is_sound_412,
    416: is_sound_416,
}


def describes_the_representation(place, response):
    assert response["Accept-Ranges"] == "bytes"
    assert not response["ETag"].startswith("W/")
    for name in ("ETag", "Last-Modified", "Content-Disposition", "Vary", "Cache-Control"):
        assert response.get(name) == place.head.get(name)
    if place.kind != "file":
        digest = base64.b64encode(hashlib.sha256(place.content).digest()).decode()
        assert response["Repr-Digest"] == f"sha-256=:{digest}:"
    if place.kind == "link":
        assert response["Vary"].lower() == "accept"  # §12.5.5


def tells_a_problem(place, response):
    said = {name for name, _ in response.lines}
    assert not said & (OF_REPRESENTATION - {"content-type", "content-length", "content-range"})
    assert response["Content-Type"] == "application/problem+json"
    if response.content:
        assert json.loads(response.content)["status"] == response.status
    assert response.get("Vary") == place.head.get("Vary")


def has_sound_dates(place, response):
    date = parsedate_to_datetime(response["Date"])
    if "Last-Modified" in response and place.is_ours:
        assert parsedate_to_datetime(response["Last-Modified"]) <= date  # §8.8.2.1


def essence(media_type):
    return media_type.partition(";")[0]
