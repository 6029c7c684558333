import argparse

import pytest

from tailrace.cli.options import (
    add_service,
    add_timeout,
    count,
    field,
    key_for,
    length,
    service_address,
    service_key,
)
from tailrace.client.urls import Url


def parsed(*words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_service(parser)
    add_timeout(parser)
    return parser.parse_args(words)


def test_defaults_are_those_of_the_manual():
    arguments = parsed()
    assert (arguments.to, arguments.key) == ("http://127.0.0.1:8000", None)
    assert arguments.timeout == 30


def test_the_environment_comes_before_the_default(monkeypatch):
    monkeypatch.setenv("TAILRACE_URL", "http://service")
    monkeypatch.setenv("TAILRACE_KEY", "secret")
    monkeypatch.setenv("TAILRACE_TIMEOUT", "5")
    arguments = parsed()
    assert (arguments.to, arguments.key, arguments.timeout) == ("http://service", "secret", 5)


def test_an_option_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("TAILRACE_URL", "http://service")
    assert parsed("--to", "http://other").to == "http://other"


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("TAILRACE_URL", "")
    monkeypatch.setenv("TAILRACE_KEY", "")
    assert (service_address(), service_key()) == ("http://127.0.0.1:8000", None)


@pytest.mark.parametrize(
    ("url", "given", "key"),
    [
        ("http://service:81/file", None, "secret"),
        ("http://service:81/file", "mine", "mine"),
        ("http://other/file", "mine", "mine"),
        ("http://other/file", None, None),
        ("http://service/file", None, None),
        ("https://service:81/file", None, None),
    ],
)
def test_the_key_of_the_service_is_for_its_origin(monkeypatch, url, given, key):
    monkeypatch.setenv("TAILRACE_URL", "http://service:81/mount")
    monkeypatch.setenv("TAILRACE_KEY", "secret")
    assert key_for(Url.parse(url), given) == key


def test_without_a_key_the_address_does_not_matter(monkeypatch):
    monkeypatch.setenv("TAILRACE_URL", "no address")
    assert key_for(Url.parse("http://other/"), None) is None


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon", ""])
def test_a_timeout_that_is_none_is_refused(text):
    with pytest.raises(argparse.ArgumentError):
        parsed("--timeout", text)


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1001", "1.5", "٣"])
def test_a_number_that_is_none_is_refused_in_words(text):
    with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 1000"):
        count(text)


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "inf", "nan"])
def test_seconds_that_are_none_are_refused_in_words(capsys, text):
    parser = argparse.ArgumentParser()
    add_timeout(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--timeout={text}"])
    assert "is not a number of seconds above 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), ("500K", 512_000), ("2M", 2 * 2**20), ("3T", 3 * 2**40)]
)
def test_a_length_is_read(text, value):
    assert length(text) == value


@pytest.mark.parametrize("text", ["0", "0K", "-1", "1.5M", "1k", "K", "", "1KB", "٣"])
def test_a_length_that_is_none_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a length"):
        length(text)


def test_a_field_is_read():
    assert field("X-Name:  a: b ") == ("X-Name", "a: b")
    with pytest.raises(argparse.ArgumentTypeError, match="is not a field"):
        field("no colon")
