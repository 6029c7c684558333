"""Settings: what is given, else the environment, else the defaults."""

import inspect
import itertools
import os
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tailrace.errors import ConfigurationError
from tailrace.settings import Settings, settings


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch):
    for name in os.environ:
        if name.upper().startswith("TAILRACE_"):
            monkeypatch.delenv(name)


def test_there_is_a_default_for_everything():
    chosen = settings()
    assert chosen.keep_files == chosen.keep_uploads == timedelta(hours=24)
    assert (chosen.durability, chosen.jobs, chosen.public_url) == ("power", 16, None)


def test_what_is_given_comes_before_the_environment_and_that_before_the_default(monkeypatch):
    monkeypatch.setenv("TAILRACE_JOBS", "2")
    monkeypatch.setenv("TAILRACE_LIST_LIMIT", "3")
    chosen = settings(jobs=1)
    assert (chosen.jobs, chosen.list_limit, chosen.form_parts) == (1, 3, 1000)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("DATA", "/srv/files", "/srv/files"),
        ("PUBLIC_URL", "https://example.com/share", "https://example.com/share"),
        ("PUBLIC_URL", "http://[::1]:8000", "http://[::1]:8000"),
        ("PUBLIC_URL", "none", None),
        ("DURABILITY", "crash", "crash"),
        ("DIGEST", "none", None),
        ("KEEP_FILES", "00:10:00", timedelta(minutes=10)),
        ("KEEP_FILES", "7 days", timedelta(days=7)),
        ("KEEP_FILES", "P7DT12H", timedelta(days=7, hours=12)),
        ("KEEP_FILES", "none", None),
        ("FILE_LIMIT", "1", 1),
        ("GRACE_SECONDS", "0", 0.0),
        ("SWEEP_SECONDS", "0.5", 0.5),
    ],
)
def test_each_is_read_from_the_environment(monkeypatch, name, text, value):
    monkeypatch.setenv(f"TAILRACE_{name}", text)
    assert getattr(settings(), name.lower()) == value


def test_variables_of_others_do_not_disturb(monkeypatch):
    monkeypatch.setenv("TAILRACE_KEY", "secret")
    monkeypatch.setenv("JOBS", "0")
    assert settings().jobs == 16


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"nonsense": 1}, ["nonsense", "not permitted"]),
        (
            {"public_url": "example.com"},
            ["public_url: write it like https://example.com/share"],
        ),
        ({"public_url": "ftp://example.com"}, ["public_url: write it like"]),
        ({"public_url": "https://"}, ["public_url: write it like"]),
        ({"public_url": "https://example.com/?a=b"}, ["public_url: write it like"]),
        ({"public_url": "https://[::1"}, ["public_url: "]),
        ({"durability": "hope"}, ["durability", "'power' or 'crash'"]),
        ({"keep_files": timedelta(0)}, ["keep_files", "greater than 0"]),
        ({"keep_files": "3600"}, ["keep_files", "such as 12:00:00, 7 days or P7D"]),
        ({"keep_files": timedelta.max}, ["keep_files", "less than or equal to 36525 days"]),
        ({"keep_uploads": None}, ["keep_uploads"]),
        ({"keep_records": -timedelta(1)}, ["keep_records", "greater than 0"]),
        ({"file_limit": 0}, ["file_limit", "greater than 0"]),
        ({"file_limit": "1 GiB"}, ["file_limit", "integer"]),
        ({"form_parts": 1.5}, ["form_parts", "integer"]),
        ({"jobs": -1}, ["jobs", "greater than 0"]),
        ({"grace_seconds": -1}, ["grace_seconds", "greater than or equal to 0"]),
        ({"sweep_seconds": 0}, ["sweep_seconds", "greater than 0"]),
        ({"sweep_seconds": float("inf")}, ["sweep_seconds", "finite"]),
        ({"sweep_seconds": float("nan")}, ["sweep_seconds", "finite"]),
        ({"jobs": 0, "form_limit": 0}, ["jobs", "form_limit"]),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence_that_names_it(given, words):
    with pytest.raises(ConfigurationError) as refusal:
        settings(**given)
    message = str(refusal.value)
    assert message.startswith("a setting is wrong: ")
    for word in words:
        assert word in message
    assert "pydantic" not in message


def test_what_the_environment_says_wrong_is_refused_the_same(monkeypatch):
    monkeypatch.setenv("TAILRACE_JOBS", "many")
    with pytest.raises(ConfigurationError, match="jobs: Input should be a valid integer"):
        settings()


def test_the_catalogue_rests_with_the_data_unless_another_is_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert settings(data="files").catalogue_url == (
        f"sqlite:///{tmp_path}/files/catalogue.sqlite3"
    )
    assert Path(settings(data="/srv").catalogue_url.removeprefix("sqlite:///")).is_absolute()
    assert settings(catalogue="postgresql://db/x").catalogue_url == "postgresql://db/x"


@pytest.mark.parametrize(
    "name", ["a b", "a?b", "a#b", "a%20b", "a%3Fb", "a@b:c", "é", "a;b&c=d"]
)
def test_the_catalogue_rests_with_the_data_whatever_its_directory_is_called(tmp_path, name):
    url = make_url(settings(data=str(tmp_path / name)).catalogue_url)
    assert url.database == str(tmp_path / name / "catalogue.sqlite3")
    assert not url.query


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        settings().jobs = 3


def test_every_setting_says_why_it_is_as_it_is():
    lines = [line.strip() for line in inspect.getsource(Settings).splitlines()]
    described = {
        line.partition(":")[0]
        for line, following in itertools.pairwise(lines)
        if following.startswith('"""')
    }
    assert set(Settings.model_fields) <= described
