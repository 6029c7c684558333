import argparse

import pytest

from tailrace.cli.options import add_service, add_timeout, service_address, service_key


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


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon", ""])
def test_a_timeout_that_is_none_is_refused(text):
    with pytest.raises(argparse.ArgumentError):
        parsed("--timeout", text)
