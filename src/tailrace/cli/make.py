"""`tailrace make NAME [key=value...]`: run a producer; follow what it makes."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence

from tailrace.cli.options import add_service, add_timeout
from tailrace.cli.outcomes import DONE
from tailrace.cli.terminal import progress_bar, terminable
from tailrace.client.connections import Timeouts
from tailrace.client.downloads import download
from tailrace.client.making import Begun, begin, cancel, follow
from tailrace.client.service import Service
from tailrace.errors import ConfigurationError, TailraceError

SUMMARY = "run a producer, and write what it makes while it is made"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the producer")
    parser.add_argument(
        "arguments", metavar="KEY=VALUE", nargs="*", help="what the producer is given"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="the file, or a directory in which it is named by the service (default: write"
        " to standard output)",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    add_service(parser)
    add_timeout(parser)


def run(arguments: argparse.Namespace) -> int:
    given = _pairs(arguments.arguments)
    timeouts = Timeouts(stall_seconds=arguments.timeout)
    service = Service(arguments.to, arguments.key, timeouts)
    with terminable():
        begun = begin(service, arguments.name, given)
        try:
            _write(begun, arguments, timeouts)
        except BaseException:
            # Nobody else knows of it, so it would be made for nobody.
            with contextlib.suppress(TailraceError):
                cancel(service, begun)
            raise
    return DONE


def _write(begun: Begun, arguments: argparse.Namespace, timeouts: Timeouts) -> None:
    if arguments.output is None:
        follow(begun.link, _write_out, timeouts)
        return
    with progress_bar(arguments.name) as progress:
        done = download(
            begun.link,
            arguments.output,
            force=arguments.force,
            progress=progress,
            timeouts=timeouts,
        )
    print(os.fspath(done.path), flush=True)


def _write_out(piece: memoryview) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()  # it is followed: what is there is of use at once


def _pairs(words: Sequence[str]) -> Mapping[str, str]:
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigurationError(f"{word!r} is no argument; write it as KEY=VALUE")
        if key in given:
            raise ConfigurationError(f"the argument {key!r} is given twice")
        given[key] = value
    return given
