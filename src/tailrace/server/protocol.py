"""The protocol class for uvicorn: `uvicorn --http tailrace.server:Protocol app:app`.

uvicorn's own class accepts, parses, builds the scope, runs the application and keeps the
connection alive. What is added here:

- Each request runs inside an `Exchange`, which offers what the application may send and
  receive beyond uvicorn's.
- Heads are checked before the application sees them, and everything a client could prolong
  for ever has a limit (`Limits`).

A request's phases, and the deadline of each:

    IDLE ──first octet──► HEAD ──its end──► CONTENT ──its end──► IDLE
    keep-alive (uvicorn)  head_seconds      content_stall_seconds

    and OVER, once the client has shut down its side: half_closed_seconds.

The parser is httptools': h11 has the same rules in Python, at several times the cost for each
request, and zttp is not yet a dependency of uvicorn's default.
"""

from __future__ import annotations

import asyncio
import enum
import re
import sys
from typing import TYPE_CHECKING, Any, ClassVar, assert_never

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tailrace.server import framing, heads, refusals
from tailrace.server.deadlines import Deadlines
from tailrace.server.exchange import Exchange
from tailrace.server.flow import Flow, Pipeline
from tailrace.server.idling import IdleWatch
from tailrace.server.limits import Limits
from tailrace.server.receiving import Inlet, keep_uncopied
from tailrace.server.refusals import Refusal
from tailrace.server.sending import Outlet
from tailrace.server.transfer import LEFT

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application


# A request line whose method the parser does not know. What else it stops at is no request.
_REQUEST_LINE = re.compile(rb"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [^ ]+ HTTP/1\.[0-9]\r?$", re.M)


class _Phase(enum.Enum):
    IDLE = "between requests"
    HEAD = "in a head"
    CONTENT = "in a request's content"
    OVER = "after the last request"


class _Refused(Exception):
    """Stops the parser, from within its callbacks."""


class Protocol(HttpToolsProtocol):
    """Serves any ASGI application; to change a limit, derive a class with other `limits`."""

    # CPython shares the keys of instances that have up to thirty attributes; uvicorn's class
    # has nearly as many. With these beside them an idle connection takes a third less.
    __slots__ = (
        "_answering",
        "_deadlines",
        "_idling",
        "_inlet",
        "_is_deaf",
        "_outlet",
        "_phase",
        "_piece",
        "_refusal",
        "_reread",
        "_without_progress",
    )

    limits: ClassVar[Limits] = Limits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._inlet: Inlet = None  # type: ignore[assignment]  # both made with the connection
        self._outlet: Outlet = None  # type: ignore[assignment]
        self.parser = heads.new_parser(self)
        self.pipeline = Pipeline()  # type: ignore[assignment]  # see there
        self._answering: RequestResponseCycle | None = None
        self._phase = _Phase.IDLE
        self._deadlines = Deadlines(self.loop, self.limits, self._overdue)
        self._piece = b""  # what has just been received, while it is being parsed
        self._without_progress = 0  # octets, since a head or some content was complete
        self._reread = b""  # a head, without its wish to upgrade
        self._refusal: Refusal | None = None
        self._is_deaf = False
        # Between a response and the next request.
        self._idling = IdleWatch(
            self.loop, self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    # --- the connection -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        is_tls = self.scheme == "https"
        self.flow = flow = Flow(transport)
        self._inlet = Inlet(self.loop, transport, flow, self.limits, self, is_tls=is_tls)
        self._outlet = Outlet(self.loop, transport, flow, self.limits, is_tls=is_tls)
        self._deadlines.await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadlines.disarm()
        self._idling.close()
        self._inlet.connection_lost()
        self._outlet.connection_lost()
        super().connection_lost(exc)
        # uvicorn tells the request that came last, which may only be waiting for its turn.
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self._outlet.is_closing_in_stages:
            return
        if self._inlet.past_parser:
            data = self._inlet.take_past_parser(data)
        self._piece = data
        self._without_progress += len(data)
        super().data_received(data)
        self._piece = b""
        if not self._is_deaf:
            self._watch()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection for what is still to be answered (RFC 9112 §9.6).

        To shut down one side and to leave look the same from here. A client that has left
        tells so as soon as it is sent something; one that is sent nothing more is believed
        for `half_closed_seconds`.
        """
        if self.scheme == "https" or self._outlet.is_closing_in_stages:
            return False
        if self._phase is _Phase.CONTENT and not self._withdraw(self.cycle):
            return False  # left in the middle
        if self._answering is None:
            return False
        self._phase = _Phase.OVER
        self._is_deaf = True
        last = self.pipeline[0][0] if self.pipeline else self._answering
        last.keep_alive = last.keep_alive and self._refusal is not None
        self._deadlines.await_departure(self._arrived)
        return True

    def handle_websocket_upgrade(self) -> None:
        self._is_deaf = True
        self._idling.close()
        self.transport.set_write_buffer_limits()  # as the other protocol expects them
        super().handle_websocket_upgrade()

    # --- what the parser tells ------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = _Phase.HEAD

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and refusals.has_content(self.headers):
            self._reread = heads.without_upgrade(self.parser, self.url, self.headers)
            return
        self._refusal = self._settle_head()
        if self._refusal is not None:
            raise _Refused
        version = self.parser.get_http_version()
        if self.expect_100_continue:
            # RFC 9110 §10.1.1
            self.expect_100_continue = version != "1.0" and refusals.has_content(self.headers)
        before = self.cycle
        super().on_headers_complete()
        if version != "1.1" and self.cycle is not before:
            self._settle_version(version)
        self._has_progressed()
        self._phase = _Phase.CONTENT
        self._inlet.begin(self.headers)
        if not self.parser.should_upgrade():
            # The list is in the scope. uvicorn would add the trailer fields to it, behind the
            # back of whoever has checked those of the head (RFC 9110 §6.5.1).
            self.headers = []
        elif self.cycle is not before:
            # An upgrade that uvicorn does not do. httptools throws away what comes behind the
            # head, so nothing that follows could be made sense of.
            self.cycle.keep_alive = False
            self._is_deaf = True

    def _should_upgrade(self) -> bool:
        return not self._reread and super()._should_upgrade()

    def _unsupported_upgrade_warning(self) -> None:
        """Read the request again that the parser took for the last; of others, warn."""
        if not self._reread:
            super()._unsupported_upgrade_warning()
            return
        stopped = sys.exception()
        assert isinstance(stopped, httptools.HttpParserUpgrade)
        (offset,) = stopped.args
        self._piece, self._reread = self._reread + self._piece[offset:], b""
        self.parser = heads.new_parser(self)
        super().data_received(self._piece)

    def _settle_version(self, version: str) -> None:
        if version == "1.0":
            # The parser lets "keep-alive" count more than "close" (RFC 9112 §9.3).
            self.cycle.keep_alive = self.parser.should_keep_alive() and not any(
                name == b"connection" and framing.names_close(value)
                for name, value in self.headers
            )
        else:
            self.scope["http_version"] = "1.1"  # the latest that is spoken here

    def on_body(self, body: bytes) -> None:
        self._without_progress = 0
        self._inlet.received += len(body)
        keep_uncopied(self.cycle)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._reread:
            return
        self._has_progressed()
        self._phase = _Phase.IDLE
        super().on_message_complete()
        if self.cycle is self._answering:
            self.flow.resume_reading()  # so that the client's leaving is seen

    def _has_progressed(self) -> None:
        self._without_progress = 0
        self._deadlines.disarm()

    def renew_parser(self) -> None:
        self.parser = heads.new_parser(self)
        self._deadlines.note_content()

    def refuse_stalled(self) -> None:
        self._refuse(refusals.TOO_SLOW)

    # --- requests and their responses -----------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, Exchange(app, cycle, self._inlet, self._outlet))

    def on_response_complete(self) -> None:
        self._answering = None
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self._go_on()
        if self._phase is _Phase.IDLE and self._answering is None:
            # It may stay so for long, and there may be many.
            self.cycle = self.scope = self.headers = None  # type: ignore[assignment]
        if self._refusal is not None:
            if self._answering is None:
                self._send_refusal(self._refusal)
        elif self._phase is _Phase.HEAD:  # what came of it so far had time until now
            self._deadlines.disarm()
            self._deadlines.await_head()

    def _go_on(self) -> None:
        """Turn to the next request, or wait for it; in place of uvicorn, for `IdleWatch`."""
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idling.end()

    def _unset_keepalive_if_required(self) -> None:
        self._idling.begin()

    # --- refusals -------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Refuse the request in which the parser was stopped, or met what it cannot read."""
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif isinstance(
            sys.exception(), httptools.HttpParserInvalidMethodError
        ) and _REQUEST_LINE.search(self._piece):
            self._refuse(refusals.METHOD_UNKNOWN)
        else:
            self._refuse(refusals.MALFORMED)

    def _settle_head(self) -> Refusal | None:
        if len(self.pipeline) >= self.limits.pipelined_requests:
            return refusals.TOO_MANY_REQUESTS
        most_octets = self._without_progress + len(self._piece)
        settled = heads.settle(self.parser, self.url, self.headers, self.limits, most_octets)
        if isinstance(settled, Refusal):
            return settled
        self.url = settled
        return None

    def _refuse(self, refusal: Refusal) -> None:
        """Answer in place of the application, after the responses that come before."""
        self._deadlines.disarm()
        self._is_deaf = True
        self._refusal = refusal
        self.flow.resume_reading()  # so that the client's leaving is seen
        if self._phase is _Phase.CONTENT and not self._take_back(self.cycle):
            self._outlet.cut(refusal.reason)
        elif self._answering is None:
            self._send_refusal(refusal)

    def _take_back(self, cycle: RequestResponseCycle) -> bool:
        """Take a request from the application, if nothing has been answered yet."""
        if self._withdraw(cycle):
            return True
        if cycle.response_started:
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        self._answering = None
        return True

    def _withdraw(self, cycle: RequestResponseCycle) -> bool:
        """Drop the request that came last, if it is still waiting for its turn."""
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            return True
        return False

    def _send_refusal(self, refusal: Refusal) -> None:
        if self.transport.is_closing():
            return
        octets = framing.refusal(
            refusal.status,
            refusal.reason,
            self.server_state.default_headers,
            method=self.parser.get_method().decode("ascii"),
        )
        self._outlet.write([octets])
        self._outlet.close(in_stages=self._phase is not _Phase.OVER)

    # --- deadlines ------------------------------------------------------------------------

    def _watch(self) -> None:
        """See that the phase the octets have led to has its limits."""
        is_too_much = self._without_progress > self.limits.head_bytes
        match self._phase:
            case _Phase.IDLE:
                if self._answering is None:  # the rest of a request answered before it
                    self._deadlines.await_head()
            case _Phase.HEAD:
                if len(self.url) > self.limits.target_bytes:
                    self._refuse(refusals.TARGET_TOO_LONG)
                elif is_too_much:
                    self._refuse(refusals.HEAD_TOO_LARGE)
                else:
                    self._deadlines.await_head()
            case _Phase.CONTENT:
                if is_too_much:  # chunk extensions, or trailer fields
                    self._refuse(refusals.MALFORMED)
                else:
                    self._deadlines.await_content(self._is_held_up)
            case _Phase.OVER:
                pass  # nothing comes any more
            case _:
                assert_never(self._phase)

    def _overdue(self) -> None:
        match self._phase:
            case _Phase.IDLE if self._answering is None:
                self.transport.close()
            case _Phase.HEAD if self._answering is None:
                self._refuse(refusals.TOO_SLOW)
            case _Phase.IDLE | _Phase.HEAD:
                pass  # the next request's time begins anew when this one is answered
            case _Phase.CONTENT:
                self._refuse(refusals.TOO_SLOW)
            case _Phase.OVER:
                self._outlet.cut(LEFT)
            case _:
                assert_never(self._phase)

    def _is_held_up(self) -> bool:
        """Whether it is for us to go on, before the client can send more content."""
        return bool(self.flow.read_paused or self.cycle.waiting_for_100_continue)

    def _arrived(self) -> int | None:
        return self._outlet.written if self._outlet.is_idle else None
