"""`tailrace put FILE...`: upload; print each link alone on a line, before the bytes go."""

from __future__ import annotations

import argparse
import json
import sys

from tailrace.cli.options import add_service, add_timeout
from tailrace.cli.outcomes import each
from tailrace.cli.terminal import printable, progress_bar, terminable
from tailrace.client.connections import Timeouts
from tailrace.client.unfinished import state_directory
from tailrace.client.uploads import Upload, upload
from tailrace.errors import ConfigurationError

SUMMARY = "upload files, and print a link to each before its bytes are sent"

_STANDARD_INPUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="a regular file, or - for standard input"
    )
    parser.add_argument("--name", help="what it is called there (default: its own name)")
    add_service(parser)
    add_timeout(parser)
    parser.add_argument(
        "--json", action="store_true", help="print two JSON objects for each file"
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.name is not None and len(arguments.files) > 1:
        raise ConfigurationError("--name is of one file, but there are several")
    if arguments.name is None and _STANDARD_INPUT in arguments.files:
        raise ConfigurationError("standard input has no name; give it one with --name")

    def put(path: str) -> None:
        def announce(link: str) -> None:
            print(
                json.dumps({"file": path, "link": link}) if arguments.json else link,
                flush=True,
            )

        with progress_bar(path) as progress:
            done = upload(
                sys.stdin.buffer if path == _STANDARD_INPUT else path,
                arguments.to,
                name=arguments.name,
                key=arguments.key,
                announce=announce,
                progress=progress,
                timeouts=Timeouts(stall_seconds=arguments.timeout),
                remember_in=state_directory(),
            )
        if arguments.json:
            print(_json(path, done), flush=True)
        else:
            print(f"sha256 {done.sha256}  {printable(path)}", file=sys.stderr)

    with terminable():
        return each(arguments.files, put)


def _json(path: str, done: Upload) -> str:
    return json.dumps(
        {"file": path, "link": done.link, "length": done.length, "sha256": done.sha256}
    )
