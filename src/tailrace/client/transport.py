"""Connections to origins, through proxies and TLS where needed; and what URLs lead to."""

from __future__ import annotations

import re
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from tailrace.client.cancellation import Cancellation
from tailrace.client.connections import Connection, FieldLines, Response, Timeouts
from tailrace.client.messages import write_request
from tailrace.client.proxies import find_proxy
from tailrace.client.streams import words
from tailrace.client.urls import Origin, Url
from tailrace.errors import ConfigurationError, ConnectionLost, TransferError

if TYPE_CHECKING:
    import ssl

# As many as browsers follow half of; a chain of more is a loop (RFC 9110 §15.4).
_MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_TUNNEL_HEAD = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[^\r\n]*\r?\n")
_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(r"[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?")

# What says how a message is framed, what of the file is wanted, and to whom it goes.
_OWN_FIELDS = frozenset(
    "accept accept-encoding connection content-length expect host if-match if-modified-since"
    " if-none-match if-range if-unmodified-since keep-alive proxy-authorization"
    " proxy-connection range te trailer transfer-encoding upgrade".split()
)
_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token of RFC 6750 §2.1


class Unreachable(ConnectionLost):
    """No connection could be made at all."""


class Authorization(NamedTuple):
    """Field lines, and the one origin that may see them."""

    origin: Origin
    lines: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, url: Url, key: str | None, fields: FieldLines = ()) -> Authorization | None:
        """Make one of a key, or of the userinfo of the URL, and of other fields, if any.

        Raises:
            ConfigurationError: the key is no bearer token, or a field cannot be sent.
        """
        lines = tuple(fields)
        for name, value in lines:
            _refuse_unless_sendable(name, value)
        if key is not None:
            if not _BEARER_TOKEN.fullmatch(key):
                raise ConfigurationError(
                    "the key has characters that no key has; was more than the key copied?"
                )
            lines = (("Authorization", f"Bearer {key}"), *lines)
        elif url.credentials is not None:
            lines = (("Authorization", url.credentials), *lines)
        if sum(name.lower() == "authorization" for name, _ in lines) > 1:
            raise ConfigurationError(
                "an Authorization field is given besides a key or a password"
            )
        return cls(url.origin, lines) if lines else None


def _refuse_unless_sendable(name: str, value: str) -> None:
    if name.lower() in _OWN_FIELDS:
        raise ConfigurationError(f"the field {name} is not for others to set")
    if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
        raise ConfigurationError(f"{f'{name}: {value}'!r} is not a field")


class Transport:
    """Makes connections, and asks for what URLs name, wherever they lead."""

    def __init__(self, timeouts: Timeouts, cancellation: Cancellation) -> None:
        self.connect_seconds = 0.0
        """How long the newest connection took to make: a round trip."""
        self._timeouts = timeouts
        self._cancellation = cancellation
        self._context: ssl.SSLContext | None = None
        self._idle: dict[Origin, Connection] = {}

    def sibling(self, cancellation: Cancellation) -> Transport:
        """Return another one, for another thread."""
        transport = Transport(self._timeouts, cancellation)
        transport._context = self._context  # to load certificates takes some time
        return transport

    def fetch(
        self, url: Url, fields: FieldLines, authorization: Authorization | None
    ) -> Response:
        """Send a GET, follow redirects, and return the response; it is to be released.

        Raises:
            Unreachable: no connection could be made.
            ConnectionLost: it was cut before a head came.
            TransferError: where it leads may not be followed, or cannot be trusted.
            MalformedContent: the answer is not HTTP.
        """
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._get(url, fields, authorization)
            location = response.head.fields.get("Location")
            if response.head.status not in _REDIRECTS or location is None:
                return response
            self.release(response)
            url = _follow(url, location)
        raise TransferError(
            f"the server redirected more than {_MAX_REDIRECTS} times, the last time to {url}"
        )

    def connect(self, origin: Origin) -> Connection:
        """Make a connection to an origin, by the proxy that the environment asks for.

        Raises:
            Unreachable: no connection could be made.
            TransferError: its certificate cannot be trusted.
            ConfigurationError: the proxy cannot be used.
        """
        proxy = find_proxy(origin)
        via = origin if proxy is None else proxy.origin
        sock = self._dial(via)
        try:
            is_secure = origin.scheme == "https"
            if is_secure:
                if proxy is not None:
                    _open_tunnel(sock, origin, proxy)
                    proxy = None
                sock = self._secure(sock, origin.host)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return Connection(sock, self._timeouts, proxy, is_secure=is_secure)
        except OSError as exc:
            sock.close()
            raise Unreachable(f"no connection to {origin.authority}: {words(exc)}") from exc
        except BaseException:
            sock.close()
            raise

    def release(self, response: Response) -> None:
        """Keep the connection of a response for the next request, or close it."""
        origin = response.url.origin
        if origin not in self._idle and response.is_reusable:
            self._idle[origin] = response.detach()
        else:
            response.close()

    def close(self) -> None:
        """Close what is kept; may be called twice."""
        while self._idle:
            self._idle.popitem()[1].close()

    def _get(
        self, url: Url, fields: FieldLines, authorization: Authorization | None
    ) -> Response:
        more = [("Accept", "*/*"), ("Accept-Encoding", "identity")]
        # Not to another origin, whoever sends us there (RFC 9110 §15.4).
        if authorization is not None and authorization.origin == url.origin:
            more.extend(authorization.lines)
        lines = (*more, *fields)
        kept = self._idle.pop(url.origin, None)
        if kept is not None:
            try:
                self._cancellation.watch(kept.socket)
                return _exchange(kept, url, lines)
            except ConnectionLost:
                # The server may have closed it just then; once more (RFC 9112 §9.3.1).
                self._cancellation.check()
        return _exchange(self.connect(url.origin), url, lines)

    def _dial(self, origin: Origin) -> socket.socket:
        try:
            # As bytes, for a str would be encoded by IDNA once more, at some milliseconds.
            addresses = socket.getaddrinfo(
                origin.host.encode("ascii"), origin.port, type=socket.SOCK_STREAM
            )
        except (OSError, ValueError) as exc:
            raise Unreachable(f"the host {origin.host!r} is not known: {words(exc)}") from exc
        failures: list[OSError] = []
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                self._cancellation.watch(sock)
                sock.settimeout(self._timeouts.connect_seconds)
                begun_at = time.monotonic()
                sock.connect(address)
                self.connect_seconds = time.monotonic() - begun_at
            except OSError as exc:
                sock.close()
                self._cancellation.check()
                failures.append(exc)
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        reasons = "; ".join(dict.fromkeys(map(words, failures)))
        raise Unreachable(f"no connection to {origin.authority}: {reasons}")

    def _secure(self, sock: socket.socket, host: str) -> socket.socket:
        import ssl  # takes as long as a small download, so only for those who need it

        if self._context is None:
            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["http/1.1"])
        secured = self._context.wrap_socket(
            sock, server_hostname=host, do_handshake_on_connect=False
        )
        try:
            self._cancellation.watch(secured)
            secured.do_handshake()
        except BaseException as exc:
            secured.close()
            if isinstance(exc, ssl.SSLCertVerificationError):
                raise TransferError(
                    f"the certificate of {host} cannot be trusted: {exc.verify_message}"
                ) from exc
            raise
        return secured


def _exchange(connection: Connection, url: Url, fields: FieldLines) -> Response:
    try:
        connection.send_head("GET", url, fields)
        return connection.read_response("GET")
    except BaseException:
        connection.close()
        raise


def _open_tunnel(sock: socket.socket, origin: Origin, proxy: Url) -> None:
    """Ask a proxy for a way through (RFC 9110 §9.3.6)."""
    fields = [("Host", origin.authority)]
    if proxy.credentials:
        fields.append(("Proxy-Authorization", proxy.credentials))
    sock.sendall(write_request("CONNECT", origin.authority, fields))
    head = b""
    # After the head comes nothing by itself: in TLS the client speaks first.
    while b"\n\r\n" not in head and b"\n\n" not in head:
        more = sock.recv(4096)
        head += more
        if not more or len(head) > 64 * 1024:
            raise Unreachable(f"the proxy {proxy} closed the connection")
    match = _TUNNEL_HEAD.match(head)
    if match is None or not match[1].startswith(b"2"):
        line = head.partition(b"\n")[0].decode("latin-1").strip()
        raise Unreachable(f"the proxy {proxy} does not let us through: {line[:80]!r}")


def _follow(url: Url, location: str) -> Url:
    try:
        # Sent as raw UTF-8 by many, though it should be ASCII.
        reference = location.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        reference = location
    try:
        target = url.join(reference)
    except (ConfigurationError, ValueError) as exc:
        raise TransferError(f"the server redirects to where we may not go: {exc}") from exc
    if url.origin.scheme == "https" and target.origin.scheme == "http":
        raise TransferError(
            f"the server redirects from https to {target}, which anybody on the way could"
            " read and change; ask that address yourself if you trust it"
        )
    return target
