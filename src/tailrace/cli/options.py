"""Options that several commands have."""

from __future__ import annotations

import argparse
import os
import re

from tailrace.client.connections import Timeouts
from tailrace.client.urls import DEFAULT_SERVICE, Url


def add_service(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        metavar="URL",
        default=service_address(),
        help=f"the service (default: TAILRACE_URL, or {DEFAULT_SERVICE})",
    )
    parser.add_argument(
        "--key",
        default=service_key(),
        help="its key (default: TAILRACE_KEY, which other users of this machine cannot see)",
    )


def add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=os.environ.get("TAILRACE_TIMEOUT", Timeouts().stall_seconds),
        help="how long the other side may be silent (default: TAILRACE_TIMEOUT, or 30)",
    )


def service_address() -> str:
    return os.environ.get("TAILRACE_URL") or DEFAULT_SERVICE


def service_key() -> str | None:
    return os.environ.get("TAILRACE_KEY") or None


def key_for(url: Url, given: str | None) -> str | None:
    """Return the key to send to a URL: the given one, else that of the service to itself."""
    key = service_key()
    if given is not None or key is None:
        return given
    return key if Url.parse(service_address()).origin == url.origin else None


def count(text: str) -> int:
    """Read a number of things, of which there is at least one."""
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 1000")
    return int(text)


def length(text: str) -> int:
    """Read a length of at least a byte, in bytes or with K, M, G or T."""
    match = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", text, re.ASCII)
    value = int(match[1]) * 1024 ** "_KMGT".index(match[2] or "_") if match else 0
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not a length, such as 500K or 2M")
    return value


def field(text: str) -> tuple[str, str]:
    """Read a field as it would be sent."""
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is not a field, such as `Name: value`")
    return name, value.strip(" \t")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
