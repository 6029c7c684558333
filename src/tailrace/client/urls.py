"""URLs as a client needs them: an origin to connect to, a target to ask for (RFC 3986)."""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

from tailrace.errors import ConfigurationError

DEFAULT_SERVICE = "http://127.0.0.1:8000"
"""Where `tailrace serve` listens if it is not told otherwise."""

_DEFAULT_PORTS = {"http": 80, "https": 443}

# What may stand in a target as it is; the rest is percent-encoded, as browsers do. A
# percent sign is kept, for it is taken to begin an encoding that is there already.
_KEPT = "%/:=&?~#+!$,;'@()*[]|"


class Origin(NamedTuple):
    """Whom to connect to (RFC 9110 §4.3.1); `host` has no brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as CONNECT wants them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def host_field(self) -> str:
        """The value of the Host field."""
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return self.authority.removesuffix(f":{self.port}")
        return self.authority


class Url(NamedTuple):
    origin: Origin
    target: str
    """Path and query: the origin-form of RFC 9112 §3.2.1."""
    credentials: str | None = None
    """What the userinfo is as an Authorization field; never a part of the text."""

    @classmethod
    def parse(cls, text: str) -> Url:
        """Read an absolute http or https URL; a fragment is dropped.

        Raises:
            ConfigurationError: it is not one.
        """
        try:
            parts = urlsplit(text)
            port = parts.port
            host = _host(parts.hostname)
        except ValueError as exc:
            raise ConfigurationError(f"{text!r} is not a URL: {exc}") from exc
        if parts.scheme not in _DEFAULT_PORTS or not host:
            raise ConfigurationError(
                f"{text!r} is not a URL that begins with http:// or https://"
            )
        if not text.isprintable():
            raise ConfigurationError(f"{text!r} has a character that no URL may have")
        path = quote(parts.path or "/", safe=_KEPT)
        query = quote(parts.query, safe=_KEPT)
        return cls(
            Origin(parts.scheme, host, _DEFAULT_PORTS[parts.scheme] if port is None else port),
            f"{path}?{query}" if query else path,
            _basic(parts.username, parts.password),
        )

    def join(self, reference: str) -> Url:
        """Resolve a URI reference that a response gave, such as a Location.

        Credentials in it are dropped: whom to trust is not for the other side to say.
        """
        joined = Url.parse(urljoin(str(self), reference))
        return Url(joined.origin, joined.target)

    def below(self, path: str) -> Url:
        """Return the URL of a route under this one, which is the address of a service."""
        base = self.target.partition("?")[0].rstrip("/")
        return Url(self.origin, f"{base}/{path}", self.credentials)

    @property
    def last_segment(self) -> str:
        """The last segment of the path, decoded; may be empty."""
        return unquote(self.target.partition("?")[0].rpartition("/")[2])

    def __str__(self) -> str:
        return f"{self.origin.scheme}://{self.origin.host_field}{self.target}"


def _host(name: str | None) -> str | None:
    if name is None or name.isascii():
        return name
    return name.encode("idna").decode("ascii")


def _basic(username: str | None, password: str | None) -> str | None:
    if username is None:
        return None
    pair = f"{unquote(username)}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")
