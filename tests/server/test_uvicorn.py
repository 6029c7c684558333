"""What the installed uvicorn must have for `Protocol` to stand on it.

If this fails after an upgrade, read `protocol.py` and `exchange.py` against the new uvicorn.
"""

import asyncio
import inspect

import httptools
import pytest
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

pytestmark = pytest.mark.anyio


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.written = b""

    def get_extra_info(self, name, default=None):
        return default

    def write(self, octets):
        self.written += octets

    def is_closing(self):
        return False

    def close(self):
        pass

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


async def some_turns():
    for _ in range(20):
        await asyncio.sleep(0)


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


def connected(kind, app=answer, transport=None):
    config = Config(app, log_config=None)
    config.load()
    protocol = kind(config, ServerState(), {}, asyncio.get_running_loop())
    transport = transport or Transport()
    protocol.connection_made(transport)
    return protocol, transport


GET = b"GET /?a HTTP/1.1\r\nHost: a\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"


async def test_what_we_override_is_there_with_its_arguments():
    expected = {
        "connection_made": ["self", "transport"],
        "connection_lost": ["self", "exc"],
        "data_received": ["self", "data"],
        "eof_received": ["self"],
        "handle_websocket_upgrade": ["self"],
        "send_400_response": ["self", "msg"],
        "on_message_begin": ["self"],
        "on_headers_complete": ["self"],
        "on_body": ["self", "body"],
        "on_message_complete": ["self"],
        "on_response_complete": ["self"],
        "_start_asgi_task": ["self", "cycle", "app"],
    }
    found = {
        name: list(inspect.signature(getattr(HttpToolsProtocol, name)).parameters)
        for name in expected
    }
    assert found == expected


async def test_what_we_use_of_a_connection_is_there():
    protocol, _ = connected(HttpToolsProtocol)
    protocol.data_received(GET[:20])
    assert protocol.headers == []
    assert protocol.expect_100_continue is False
    assert protocol.url == b"/?a"
    assert len(protocol.pipeline) == 0
    assert protocol.scheme == "http"
    assert protocol.server_state.default_headers == []
    assert isinstance(protocol.flow, FlowControl)
    # All that it has, for ours makes the same by itself, but for the event.
    assert set(vars(protocol.flow)) == {
        "_transport",
        "read_paused",
        "write_paused",
        "_is_writable_event",
    }
    assert not protocol.flow.write_paused
    assert not protocol.flow.read_paused
    assert protocol.cycle is None
    assert not protocol.parser.should_upgrade()
    assert protocol.parser.get_method() == b"GET"
    protocol.parser.set_dangerous_leniencies(lenient_version=True)


async def test_a_parser_may_be_replaced_between_two_pieces():
    protocol, transport = connected(HttpToolsProtocol)
    protocol.data_received(PUT)
    protocol.parser = httptools.HttpRequestParser(protocol)
    protocol.on_body(b"abc")
    protocol.on_message_complete()
    protocol.data_received(GET)
    await some_turns()
    assert transport.written.count(b"HTTP/1.1 200") == 2


async def test_what_has_come_of_the_content_is_where_we_take_it_from():
    protocol, _ = connected(HttpToolsProtocol)
    protocol.data_received(PUT + b"ab")
    assert protocol.cycle.body == bytearray(b"ab")
    assert protocol.cycle.more_body
    assert protocol.cycle.message_event.is_set()
    await some_turns()


async def test_reading_is_paused_and_resumed_through_the_flow_only():
    class Reading(Transport):
        is_paused = False

        def pause_reading(self):
            self.is_paused = True

        def resume_reading(self):
            self.is_paused = False

    async def app(scope, receive, send):
        await receive()
        await answer(scope, receive, send)

    protocol, transport = connected(HttpToolsProtocol, app, Reading())
    protocol.data_received(PUT)
    protocol.flow.pause_reading()
    assert transport.is_paused
    await some_turns()
    assert not transport.is_paused  # by `receive`
    protocol.data_received(b"abc")
    await some_turns()


class Started(HttpToolsProtocol):
    """Takes note of the requests that are started."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.started = []

    def _start_asgi_task(self, cycle, app):
        self.started.append((cycle, app))
        super()._start_asgi_task(cycle, app)


async def test_each_request_is_started_by_the_method_that_we_override():
    protocol, transport = connected(Started)
    protocol.data_received(GET + GET)
    assert len(protocol.started) == 1
    (waiting, _), *_ = protocol.pipeline  # the request that came last stands first
    assert waiting is protocol.cycle
    await some_turns()
    assert len(protocol.started) == 2
    assert transport.written.count(b"HTTP/1.1 200") == 2


async def test_what_we_use_of_a_request_is_there():
    protocol, _ = connected(Started)
    protocol.data_received(GET)
    ((cycle, app),) = protocol.started
    assert isinstance(cycle, RequestResponseCycle)
    assert cycle.scope is protocol.scope
    assert cycle.scope["headers"] is protocol.headers  # which is why we replace the latter
    assert cycle.keep_alive is True
    assert cycle.disconnected is False
    assert cycle.response_started is False
    assert cycle.response_complete is False
    assert cycle.waiting_for_100_continue is False
    assert cycle.more_body is False
    assert cycle.default_headers == []
    assert isinstance(cycle.message_event, asyncio.Event)
    assert cycle.access_log in (True, False)
    assert cycle.access_logger.name == "uvicorn.access"
    assert cycle.on_response == protocol.on_response_complete
    assert callable(app)
    await some_turns()


def test_what_we_do_in_place_of_uvicorn_is_what_it_does():
    done = HttpToolsProtocol.on_response_complete.__code__.co_names
    assert set(done) == {
        "server_state",
        "total_requests",
        "transport",
        "is_closing",
        "_unset_keepalive_if_required",
        "flow",
        "resume_reading",
        "pipeline",
        "pop",
        "_start_asgi_task",
        "loop",
        "call_later",
        "timeout_keep_alive",
        "timeout_keep_alive_handler",
        "timeout_keep_alive_task",
    }


async def test_an_error_in_a_callback_of_the_parser_leads_to_the_400_that_we_override():
    class Refusing(HttpToolsProtocol):
        refused = 0

        def on_headers_complete(self):
            raise ValueError

        def send_400_response(self, msg):
            self.refused += 1

    protocol, _ = connected(Refusing)
    protocol.data_received(GET)
    assert protocol.refused == 1


async def test_an_application_that_fails_without_a_response_is_answered_by_uvicorn():
    async def fail(scope, receive, send):
        raise ValueError

    protocol, transport = connected(HttpToolsProtocol, fail)
    protocol.data_received(GET)
    await some_turns()
    assert protocol.cycle.response_complete
    assert transport.written.startswith(b"HTTP/1.1 500")
