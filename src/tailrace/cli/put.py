"""`tailrace put FILE...`: upload; print each link alone on a line, before the bytes go."""

from __future__ import annotations

import argparse
import json

from tailrace.cli.options import add_service, add_timeout
from tailrace.cli.outcomes import each
from tailrace.cli.terminal import progress_bar, terminable
from tailrace.client.connections import Timeouts
from tailrace.client.uploads import upload

SUMMARY = "upload files, and print a link to each before its bytes are sent"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+")
    add_service(parser)
    add_timeout(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object for each file")


def run(arguments: argparse.Namespace) -> int:
    def put(path: str) -> None:
        def announce(link: str) -> None:
            result = json.dumps({"file": path, "link": link}) if arguments.json else link
            print(result, flush=True)

        with progress_bar(path) as progress:
            upload(
                path,
                arguments.to,
                key=arguments.key,
                announce=announce,
                progress=progress,
                timeouts=Timeouts(stall_seconds=arguments.timeout),
            )

    with terminable():
        return each(arguments.files, put)
