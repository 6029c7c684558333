"""`tailrace cat URL...`: write files to standard output, as they come."""

from __future__ import annotations

import argparse
import sys

from tailrace.cli.options import add_timeout, key_for
from tailrace.cli.terminal import terminable
from tailrace.client.connections import Timeouts
from tailrace.client.downloads import Session
from tailrace.client.urls import Url

SUMMARY = "write files to standard output as they come, and follow those that grow"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("urls", metavar="URL", nargs="+", help="an http or https URL")
    parser.add_argument(
        "--offset",
        metavar="N",
        type=_offset,
        default=0,
        help="the first byte to write; `end`: only what is still to come",
    )
    parser.add_argument(
        "--key",
        help="send this key to the origin of each URL; without it TAILRACE_KEY is sent to"
        " the origin of TAILRACE_URL and to no other",
    )
    add_timeout(parser)


def run(arguments: argparse.Namespace) -> int:
    timeouts = Timeouts(stall_seconds=arguments.timeout)
    with terminable(), Session(timeouts=timeouts) as session:
        for text in arguments.urls:
            write_out(session, text, arguments.offset, key_for(Url.parse(text), arguments.key))
    return 0


def write_out(session: Session, url: str, offset: int | None, key: str | None) -> None:
    """Write a file to standard output from an offset on; None is its end by now."""
    for piece in session.stream(url, offset=offset, key=key):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _offset(text: str) -> int | None:
    if text == "end":
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an offset nor `end`")
    return int(text)
