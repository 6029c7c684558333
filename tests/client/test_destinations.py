import uuid
from pathlib import Path

import pytest

from tailrace.client.destinations import Destination
from tailrace.client.urls import Url
from tailrace.errors import ConfigurationError, UnsafeTarget
from tailrace.protocol.fields import Fields

URL = Url.parse("http://host/a/file.bin")


def named(value):
    return Fields.of(("Content-Disposition", value))


def test_without_a_path_it_is_the_working_directory():
    assert Destination.of(None, unique=False) == (Path(), None, False)


def test_a_directory_takes_any_name(tmp_path):
    assert Destination.of(str(tmp_path) + "/", unique=False).name is None


def test_what_is_no_directory_is_the_file(tmp_path):
    assert Destination.of(tmp_path / "x", unique=False) == (tmp_path, "x", False)


@pytest.mark.parametrize("path", ["missing/", "missing/x"])
def test_a_directory_is_not_made(tmp_path, path):
    with pytest.raises(UnsafeTarget, match="missing"):
        Destination.of(f"{tmp_path}/{path}", unique=False)


def test_a_unique_name_cannot_be_given(tmp_path):
    with pytest.raises(ConfigurationError, match="unique"):
        Destination.of(tmp_path / "x", unique=True)


def test_the_server_names_the_file(tmp_path):
    destination = Destination(tmp_path, None, False)
    fields = named('attachment; filename="b.txt"')
    assert destination.suggested_name(URL, fields) == "b.txt"
    assert destination.target("b.txt") == tmp_path / "b.txt"


def test_a_given_name_stands(tmp_path):
    destination = Destination(tmp_path, "mine", False)
    assert destination.suggested_name(URL, named('attachment; filename="b.txt"')) == "mine"


@pytest.mark.parametrize("value", ["inline", 'attachment; filename=""', 'a; filename="..'])
def test_the_url_names_what_the_server_does_not(tmp_path, value):
    assert Destination(tmp_path, None, False).suggested_name(URL, named(value)) == "file.bin"


def test_a_url_without_a_name_gives_the_default(tmp_path):
    url = Url.parse("http://host/")
    assert Destination(tmp_path, None, False).suggested_name(url, Fields()) == "download"


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.txt", ".txt"),
        ("a.tar.gz", ".tar.gz"),
        ("a.b.c", ".c"),
        ("a", ""),
        ("a.", ""),
        ("a.with space", ""),
        ("version 1.2 of it", ""),
    ],
)
def test_a_unique_name_is_a_uuid_with_the_extension(tmp_path, name, extension):
    target = Destination(tmp_path, None, True).target(name)
    assert target.parent == tmp_path
    assert uuid.UUID(target.name.removesuffix(extension)).version == 4


def test_unique_names_differ(tmp_path):
    destination = Destination(tmp_path, None, True)
    assert destination.target("a") != destination.target("a")
