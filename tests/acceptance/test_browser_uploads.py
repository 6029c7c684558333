"""Uploads from a page in Chromium: a form, and Uppy, whose network goes away in the middle."""

import json
import os

import pytest

CONTENT = os.urandom(30_000_000)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ä file.png"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def in_page(program, javascript, run, service, path):
    """Upload the file from a page of the service's origin; return what the script tells."""
    node, chromium = program("node"), program("chromium")

    def in_page(by):
        task = {"browser": chromium, "origin": service.address, "path": str(path), "by": by}
        done = run(node, javascript / "browser.js", json.dumps(task))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return in_page


def test_a_form_of_a_page_is_answered_with_the_files(in_page, http, path):
    told = in_page("form")
    [file] = told["files"]
    assert told["status"] == 201
    assert (file["name"], file["media_type"]) == (path.name, "image/png")
    assert http.get(file["links"][0]["url"]).content == CONTENT


def test_uppy_goes_on_when_the_network_is_back(in_page, http, path):
    told = in_page("uppy")
    [url] = told["urls"]
    file = http.get(url).json()
    assert 1_000_000 < told["during"] < len(CONTENT)
    assert told["during"] - told["before"] <= 500_000  # what was on its way
    assert (file["state"], file["name"]) == ("sealed", path.name)
    assert file["media_type"] == "image/png"
    assert http.get(file["links"][0]["url"]).content == CONTENT
