import pytest

from tailrace.client.proxies import find_proxy
from tailrace.client.urls import Origin, Url
from tailrace.errors import ConfigurationError

HTTP = Origin("http", "example.test", 80)
HTTPS = Origin("https", "example.test", 443)


def test_without_a_word_in_the_environment_there_is_no_proxy():
    assert find_proxy(HTTP) is None


def test_each_scheme_has_its_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://one:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://two:2")
    assert find_proxy(HTTP) == Url.parse("http://one:1")
    assert find_proxy(HTTPS) == Url.parse("http://two:2")


def test_one_proxy_may_be_for_all(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://one:1")
    assert find_proxy(HTTPS) == Url.parse("http://one:1")


def test_a_proxy_may_be_named_without_a_scheme(monkeypatch):
    monkeypatch.setenv("http_proxy", "one:3128")
    assert find_proxy(HTTP) == Url.parse("http://one:3128")


@pytest.mark.parametrize("exempt", ["example.test", ".test", "*", "other, example.test"])
def test_a_host_may_be_exempt(monkeypatch, exempt):
    monkeypatch.setenv("http_proxy", "http://one:1")
    monkeypatch.setenv("no_proxy", exempt)
    assert find_proxy(HTTP) is None


@pytest.mark.parametrize("proxy", ["socks5://one:1080", "https://one:443"])
def test_a_proxy_of_another_kind_is_refused(monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(ConfigurationError, match="one"):
        find_proxy(HTTP)
