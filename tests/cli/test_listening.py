"""Where a service listens, and what it is called there."""

import socket

import pytest

from tailrace.cli.listening import address_of, is_loopback, listener, local_names
from tailrace.errors import ConfigurationError


def test_port_0_takes_a_free_one_and_the_address_tells_it():
    with listener("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert port > 0
        assert address_of("127.0.0.1", listening) == f"http://127.0.0.1:{port}"
        socket.create_connection(("127.0.0.1", port)).close()


def test_an_ipv6_address_is_written_in_brackets():  # RFC 3986 §3.2.2
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert address_of("::1", listening) == f"http://[::1]:{port}"


def test_a_port_in_use_is_refused_with_what_to_do():
    with listener("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with (
            pytest.raises(ConfigurationError, match=f"port {port} .*--port, or 0"),
            listener("127.0.0.1", port),
        ):
            pass


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_is_known(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.0.2.1", "localhost.", "example.com", ""]
)
def test_what_others_may_reach_is_no_loopback(host):
    assert not is_loopback(host)


def test_on_loopback_a_service_has_its_host_and_its_public_name():
    assert local_names("127.0.0.1", None) == {"127.0.0.1"}
    assert local_names("::1", "https://files.example:81/x") == {"::1", "files.example"}


def test_elsewhere_a_service_may_have_any_name():
    assert local_names("0.0.0.0", "https://files.example") is None
