import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.client.urls import Origin, Url
from tailrace.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "origin", "target"),
    [
        ("http://host", ("http", "host", 80), "/"),
        ("https://HOST/", ("https", "host", 443), "/"),
        ("http://host:8080/a/b?c=d#e", ("http", "host", 8080), "/a/b?c=d"),
        ("http://[::1]:8080/", ("http", "::1", 8080), "/"),
        ("http://host?query", ("http", "host", 80), "/?query"),
        ("http://host/a b/%20/ü", ("http", "host", 80), "/a%20b/%20/%C3%BC"),
        ("http://bücher.example/", ("http", "xn--bcher-kva.example", 80), "/"),
        ("http://user:word@host/", ("http", "host", 80), "/"),
    ],
)
def test_a_url_is_an_origin_and_a_target(text, origin, target):
    url = Url.parse(text)
    assert (url.origin, url.target) == (Origin(*origin), target)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("http://host/", "host"),
        ("http://host:80/", "host"),
        ("https://host:80/", "host:80"),
        ("https://host:443/", "host"),
        ("http://[::1]/", "[::1]"),
        ("http://[::1]:81/", "[::1]:81"),
    ],
)
def test_the_host_field_names_the_port_only_where_it_is_not_the_default(text, field):
    assert Url.parse(text).origin.host_field == field


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host/path",
        "/path",
        "file:///etc/passwd",
        "http:///path",
        "http://host:99999/",
        "http://host:port/",
        "http://[::1/",
        "http://host/\r\nX-Evil: yes",
        "http://ho\x00st/",
        "http://host/\x1b[31m",
    ],
)
def test_what_is_no_http_url_is_refused(text):
    with pytest.raises(ConfigurationError):
        Url.parse(text)


def test_userinfo_becomes_credentials_and_leaves_the_text():
    url = Url.parse("http://Aladdin:open%20sesame@host/path")
    assert url.credentials == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="  # RFC 7617 §2, with %20
    assert str(url) == "http://host/path"


def test_a_reference_cannot_bring_credentials():
    assert Url.parse("http://a/").join("http://user:word@b/").credentials is None


@pytest.mark.parametrize(
    ("service", "route"),
    [("http://host", "/files"), ("http://host/", "/files"), ("http://host/a/?x", "/a/files")],
)
def test_a_route_is_below_the_address_of_its_service(service, route):
    assert Url.parse(service).below("files").target == route


@pytest.mark.parametrize(
    ("text", "segment"),
    [
        ("http://host/a/b.txt?c/d", "b.txt"),
        ("http://host/a/", ""),
        ("http://host", ""),
        ("http://host/a%2Fb", "a/b"),
        ("http://host/%FF", "\ufffd"),
    ],
)
def test_the_last_segment_is_decoded(text, segment):
    assert Url.parse(text).last_segment == segment


paths = st.text(st.characters(codec="utf-8").filter(str.isprintable), max_size=20)


@given(paths, paths)
def test_what_is_written_is_read_as_the_same(path, query):
    url = Url.parse(f"http://host/{path.replace('#', '')}?{query.replace('#', '')}")
    assert url.target.isascii()
    assert " " not in url.target
    assert Url.parse(str(url)) == url
