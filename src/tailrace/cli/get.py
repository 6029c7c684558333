"""`tailrace get URL...`: download; print each final path alone on a line."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from tailrace.cli.options import add_timeout, key_for
from tailrace.cli.outcomes import each
from tailrace.cli.terminal import progress_bar, terminable
from tailrace.client.connections import Timeouts
from tailrace.client.downloads import Download, download
from tailrace.client.urls import Url
from tailrace.errors import ConfigurationError

SUMMARY = "download files, and print where each is when it is whole"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("urls", metavar="URL", nargs="+", help="an http or https URL")
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="the file, or a directory in which it is named by the server (default: .)",
    )
    parser.add_argument(
        "--unique",
        action="store_true",
        help="name each file by a UUID and the extension it would have had",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    parser.add_argument("--sha256", metavar="HEX", help="what the file must hash to")
    parser.add_argument(
        "--key",
        help="send this key to the origin of each URL; without it TAILRACE_KEY is sent to"
        " the origin of TAILRACE_URL and to no other",
    )
    add_timeout(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object for each file")


def run(arguments: argparse.Namespace) -> int:
    urls = {text: Url.parse(text) for text in arguments.urls}
    if len(urls) > 1 and arguments.sha256 is not None:
        raise ConfigurationError("--sha256 is of one file, but there are several URLs")
    if len(urls) > 1 and arguments.output and not Path(arguments.output).is_dir():
        raise ConfigurationError(
            f"several files cannot go to {arguments.output!r}; give a directory that exists"
        )

    def get(text: str) -> None:
        url = urls[text]
        with progress_bar(url.last_segment or text) as progress:
            done = download(
                text,
                arguments.output,
                unique=arguments.unique,
                force=arguments.force,
                sha256=arguments.sha256,
                key=key_for(url, arguments.key),
                progress=progress,
                timeouts=Timeouts(stall_seconds=arguments.timeout),
            )
        print(_json(text, done) if arguments.json else os.fspath(done.path), flush=True)

    with terminable():
        return each(arguments.urls, get)


def _json(url: str, done: Download) -> str:
    import json  # only where it is asked for

    return json.dumps(
        {
            "url": url,
            "path": os.fspath(done.path),
            "length": done.length,
            "sha256": done.sha256,
            "resumed_from": done.resumed_from,
        }
    )
